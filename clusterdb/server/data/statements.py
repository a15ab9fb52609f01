"""One statement on a connection, or a batch of one statement, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import apsw
import apsw.ext

import clusterdb.dbapi2 as dbapi
from clusterdb.dbapi2.columns import Column
from clusterdb.errors import Error
from clusterdb.server.data.columns import ResultColumn, by_value, type_of
from clusterdb.server.data.fields import limited
from clusterdb.server.data.parameters import Value
from clusterdb.server.data.problems import database_error, invalid

__all__ = ["Result", "Runner", "Statement", "is_query", "is_rollback", "is_stateless", "require_single"]

_BLANK = r"(?>\s|--[^\n]*+|/\*(?>(?!\*/).)*+\*/)*+"
_VERB = re.compile(rf"(?>{_BLANK}\()*+{_BLANK}(\w++)", re.DOTALL)
_STATELESS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "VALUES", "WITH"})
_SESSION = re.compile(r"@|\bset_config\b|\bpg_advisory", re.IGNORECASE)
_QUERIES = frozenset({"SELECT", "VALUES", "WITH", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"})
_NAME = r"""(?>"(?>[^"]|"")++"|`[^`]++`|\[[^\]]++\]|[\w$]++)"""
_TABLE = re.compile(
    rf"""{_BLANK}(?:INSERT|REPLACE|UPDATE|DELETE)\s++
    (?>(?:OR\s++\w++|LOW_PRIORITY|DELAYED|HIGH_PRIORITY|QUICK|IGNORE|ONLY|INTO|FROM)\s++)*+
    (?:{_NAME}\s*+\.\s*+)?({_NAME})""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_COLUMN = "SELECT name FROM pragma_table_xinfo(?) WHERE pk = 1 AND upper(type) = 'INTEGER'"


@dataclass(frozen=True)
class Statement:
    """A statement with its values by name."""

    sql: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Result:
    """What a statement has answered.

    ``columns``: empty if it returns no rows.  ``updated``: the number of changed rows; 0 for a query.  ``generated``:
    the numbers of the inserted rows, where a column is numbered and the engine is not PostgreSQL.
    """

    columns: tuple[ResultColumn, ...] = ()
    rows: tuple[Sequence[Any], ...] = ()
    updated: int = 0
    generated: tuple[int, ...] = ()


# --- texts ------------------------------------------------------------------------------------------------------------
def _verb(sql: str) -> str:
    match = _VERB.match(sql)
    return match[1].upper() if match is not None else ""


def is_query(sql: str) -> bool:
    """Whether a statement begins as one that only reads."""
    return _verb(sql) in _QUERIES


def is_rollback(sql: str) -> bool:
    """Whether a statement rolls a transaction back, perhaps to a savepoint."""
    return _verb(sql) in ("ROLLBACK", "ABORT")


def is_stateless(sql: str) -> bool:
    """Whether the connection is as good as new after a statement, so that the next client may have it."""
    return _verb(sql) in _STATELESS and _SESSION.search(sql) is None


def require_single(sql: str, engine: str) -> None:
    """Raises Fault for several statements in a text; SQLite itself refuses them in sqlite clusters."""
    if engine == "sqlite" or ";" not in sql.rstrip().rstrip(";"):
        return
    from clusterdb.flavours import flavour_of

    statements = [text for text in flavour_of(engine).statements_of(sql) if text.strip().strip(";").strip()]
    if len(statements) > 1:
        raise invalid("Multistatements aren't supported.")


# --- running ----------------------------------------------------------------------------------------------------------
class Runner:
    """Runs statements on a connection to a cluster of an engine, and remembers the columns of queries.

    :param memory: where to remember, as long as the connection is open
    """

    def __init__(self, connection: dbapi.Connection, engine: str, memory: dict[Any, Any]) -> None:
        self.connection, self._engine, self._memory = connection, engine, memory

    def run(self, statement: Statement, *, row_bytes_max: int, bytes_max: int) -> Result:
        """Run a statement and read its rows.

        Raises Fault for several statements, and for more rows than a response may have, which does not undo what the
        statement has changed; the errors of PEP 249.
        """
        sql = statement.sql
        require_single(sql, self._engine)
        before = self.connection.total_changes
        try:
            cursor = self.connection.execute(sql, dict(statement.values))
        except Error as error:
            if str(error) == "You can only execute one statement at a time.":
                raise invalid("Multistatements aren't supported.") from None
            raise
        except KeyError as error:  # a statement that takes several of SQLite's
            raise dbapi.ProgrammingError(
                f"You did not supply a value for binding parameter :{error.args[0]}."
            ) from None
        try:
            if cursor.description is None:
                updated = cursor.rowcount if cursor.rowcount >= 0 else self._changes(sql, before)
                return Result(updated=updated, generated=self._generated(cursor, sql, updated))
            columns = self._columns(cursor, sql)
            rows, _ = limited(cursor, row_bytes_max=row_bytes_max, bytes_max=bytes_max)
            return Result(self._described(columns, rows), tuple(rows))
        finally:
            cursor.close()

    def run_batch(self, sql: str, sets: Sequence[Mapping[str, Value]]) -> list[tuple[int, ...]]:
        """Run a statement for each set of values; returns the generated numbers of each.

        Raises Fault for a statement that returns rows, and as :meth:`run`.
        """
        results = []
        for values in sets:
            result = self.run(Statement(sql, values), row_bytes_max=2**62, bytes_max=2**62)
            if result.columns:
                raise database_error("A result was returned when none was expected.")
            results.append(result.generated)
        return results

    def _changes(self, sql: str, before: int) -> int:
        return self.connection.total_changes - before if _verb(sql) in _WRITES else 0

    # --- columns ----------------------------------------------------------------------------------------------------
    def _versions(self) -> tuple[object, object]:
        db = self.connection.apsw
        return db.pragma("schema_version"), db.execute("PRAGMA temp.schema_version").get

    def _columns(self, cursor: dbapi.Cursor, sql: str) -> tuple[ResultColumn, ...]:
        """The columns of a query, remembered while the schema is the same."""
        versions = self._versions()
        if self._memory.get("versions") != versions:
            self._memory.clear()
            self._memory["versions"] = versions
        key = "columns", sql
        if key not in self._memory:
            if len(self._memory) > 500:
                self._memory.clear()
                self._memory["versions"] = versions
            self._memory[key] = self._found_columns(cursor, sql)
        columns: tuple[ResultColumn, ...] = self._memory[key]
        return columns

    def _found_columns(self, cursor: dbapi.Cursor, sql: str) -> tuple[ResultColumn, ...]:
        columns = cursor.columns
        if self._engine != "sqlite":
            return tuple(self._column_of_engine(column) for column in columns)
        result = []
        origins = self._origins(sql, [column.name for column in columns])
        for column, (table, name) in zip(columns, origins, strict=True):
            declared, nullable, is_numbered = self._column_of(table, name) if table else (None, 1, False)
            type = type_of("sqlite", replace(column, declared_type=column.declared_type or declared))
            result.append(ResultColumn(column.name, name or column.name, table, type, nullable, is_numbered))
        return tuple(result)

    def _column_of_engine(self, column: Column) -> ResultColumn:
        name = column.column if self._engine == "aurora-mysql" else ""  # PostgreSQL's driver reports the label
        type = type_of(self._engine, column)
        return ResultColumn(
            column.name, name or column.name, column.table, type, column.nullable, column.is_auto_increment
        )

    def _origins(self, sql: str, names: Sequence[str]) -> list[tuple[str, str]]:
        """The table and column that each column of a result is in a sqlite cluster, empty texts for others."""
        with suppress(apsw.Error):
            details = apsw.ext.query_info(self.connection.apsw, sql)
            full = details.description_full
            if full is not None and len(full) == len(names) and any(column[3] for column in full):
                return [(column[3] or "", column[4] or "") for column in full]
            match = _TABLE.match(sql)  # INSERT ... RETURNING, of which SQLite tells nothing
            if match is not None:
                table = _unquoted(match[1])
                known = {name.lower() for name in self._names_of(table)}
                return [(table, name) if name.lower() in known else ("", "") for name in names]
        return [("", "")] * len(names)

    def _names_of(self, table: str) -> list[str]:
        return [str(row[0]) for row in self.connection.apsw.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))]

    def _column_of(self, table: str, column: str) -> tuple[str | None, int, bool]:
        """The declared type of a column of a table, whether it takes NULL (1, else 0), and whether it is numbered."""
        db = self.connection.apsw
        for schema in ("temp", "main"):
            with suppress(apsw.SQLError):
                declared, _, not_null, is_key, numbered = db.column_metadata(schema, table, column)
                is_alias = is_key and (declared or "").upper() == "INTEGER" and self._engine == "sqlite"
                return declared, 0 if not_null or is_key else 1, bool(numbered or is_alias)
        return None, 1, False

    def _described(self, columns: tuple[ResultColumn, ...], rows: Sequence[Sequence[Any]]) -> tuple[ResultColumn, ...]:
        """The columns with the types of their values, where these alone have one."""
        if all(column.type is not None for column in columns):
            return columns
        return tuple(
            column
            if column.type is not None
            else replace(column, type=by_value(self._engine, [row[at] for row in rows]))
            for at, column in enumerate(columns)
        )

    # --- numbers ----------------------------------------------------------------------------------------------------
    def _generated(self, cursor: dbapi.Cursor, sql: str, count: int) -> tuple[int, ...]:
        """The numbers that an INSERT has given to its rows, as JDBC drivers derive them: they are consecutive."""
        if self._engine == "aurora-postgresql" or count < 1 or _verb(sql) not in ("INSERT", "REPLACE"):
            return ()
        match = _TABLE.match(sql)
        last = self.connection.apsw.last_insert_rowid()
        if match is None or not last or not self._is_numbered(_unquoted(match[1])):
            return ()
        return tuple(range(last - count + 1, last + 1)) if _verb(sql) == "INSERT" else (last,)

    def _is_numbered(self, table: str) -> bool:
        """Whether a column of a table is the row's number: INTEGER PRIMARY KEY, in MySQL AUTO_INCREMENT."""
        db = self.connection.apsw
        column = db.execute(_COLUMN, (table,)).get
        if column is None:
            return False
        return self._column_of(table, str(column))[2]


def _unquoted(name: str) -> str:
    if name[0] in '"`[':
        return name[1:-1].replace('""', '"')
    return name
