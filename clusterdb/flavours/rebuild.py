"""Rebuild a table with a new definition, for changes that SQLite's ALTER TABLE does not have.

The procedure is that of https://sqlite.org/lang_altertable.html, section 7, in one savepoint: rename the old table,
create the new one under its name, copy the rows, drop the old table, and create its indexes and triggers again.  Views
and foreign keys of other tables refer to the table by name and remain valid; the foreign keys are checked at the end.
Meanwhile enforcement of foreign keys is off, and legacy_alter_table on, by the connection's configuration, which unlike
the pragmas takes effect inside a transaction.

Definitions are edited as text: :class:`Definition` is the stored ``CREATE TABLE``, split into columns and constraints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import apsw

from clusterdb.errors import IntegrityError, OperationalError
from clusterdb.flavours.tables import quoted

__all__ = [
    "TOKEN",
    "Definition",
    "definition_of",
    "foreign_keys",
    "last_number",
    "rebuild",
    "savepoint",
    "set_foreign_keys",
    "split",
    "tokens",
    "violations",
    "without_default",
]

_ASIDE = "clusterdb_old"
_SAVEPOINT = "clusterdb_rebuild"
TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/ | \w+ | \s+ | .""",
    re.VERBOSE | re.DOTALL,
)
"""A word, name, literal, comment, operator or white space of SQLite's SQL."""
_CONSTRAINTS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})


@dataclass
class Definition:
    """A ``CREATE TABLE``: ``parts`` are columns, then constraints; ``tail`` follows the closing parenthesis."""

    schema: str
    table: str
    parts: list[str] = field(default_factory=list)
    tail: str = ""

    @property
    def columns(self) -> dict[str, int]:
        """The place of each column in ``parts``, by its name in lower case."""
        names = (_first_name(part) for part in self.parts)
        return {name.lower(): at for at, name in enumerate(names) if name is not None}

    @property
    def sql(self) -> str:
        """The statement that creates the table."""
        word = "CREATE TEMP TABLE" if self.schema == "temp" else "CREATE TABLE"
        return f"{word} {quoted(self.table)} ({', '.join(self.parts)}){self.tail}"


def definition_of(db: apsw.Connection, table: str) -> Definition:
    """The definition of a table; temporary tables hide others.  Raises OperationalError if it does not exist."""
    for schema in ("temp", "main"):
        query = f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE"
        for name, sql in db.execute(query, (table,)):
            parts, tail = split(str(sql))
            return Definition(schema, str(name), parts, tail)
    raise OperationalError(f"no such table: {table}")


def split(sql: str) -> tuple[list[str], str]:
    """The parts between the outer parentheses, and the text after them.  Raises OperationalError if there are none."""
    parts: list[str] = []
    depth = begin = 0
    for match in TOKEN.finditer(sql):
        token = match[0]
        if token == "(":
            depth += 1
            begin = match.end() if depth == 1 else begin
        elif token == ")":
            depth -= 1
            if not depth:
                return [*parts, sql[begin : match.start()].strip()], sql[match.end() :]
        elif token == "," and depth == 1:
            parts.append(sql[begin : match.start()].strip())
            begin = match.end()
    raise OperationalError(f"cannot read the columns of a definition: {sql}")


def tokens(part: str) -> list[str]:
    """The tokens of a definition, without white space and comments."""
    return [match[0] for match in TOKEN.finditer(part) if match[0].strip() and match[0][:2] not in ("--", "/*")]


def without_default(part: str) -> str:
    """The definition of a column without its DEFAULT."""
    depth = begin = 0
    end = len(part)
    state = ""
    for match in TOKEN.finditer(part):
        token = match[0]
        depth += (token == "(") - (token == ")")
        if not depth and token.upper() == "DEFAULT":
            begin, state = match.start(), "value"
        elif state == "value" and not depth and token.strip() and token not in "+-":
            end = match.end()
            state = "blob" if token in "xX" else "done"
        elif state == "blob":
            end, state = match.end(), "done"
    return f"{part[:begin].rstrip()} {part[end:].lstrip()}".strip() if state else part


def _first_name(part: str) -> str | None:
    """The name of a column; None for a constraint."""
    token = tokens(part)[0]
    if token.upper() in _CONSTRAINTS:
        return None
    if token[0] in "\"`'":
        return token[1:-1].replace(token[0] * 2, token[0])
    return token[1:-1] if token[0] == "[" else token


# --- foreign keys -----------------------------------------------------------------------------------------------------
def foreign_keys(db: apsw.Connection) -> bool:
    """Whether foreign keys are enforced."""
    return bool(db.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1))


def set_foreign_keys(db: apsw.Connection, on: bool) -> None:
    """Turn the enforcement of foreign keys on or off from the next statement on, even inside a transaction."""
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(on))


def violations(db: apsw.Connection, schema: str, table: str) -> set[tuple[object, ...]]:
    """The violated foreign keys of a table and of those that refer to it: table, parent, number of the key, and number
    of rows."""
    query = (
        f"SELECT DISTINCT m.name FROM {schema}.sqlite_schema AS m, pragma_foreign_key_list(m.name, '{schema}') AS f "
        "WHERE m.type = 'table' AND (f.\"table\" = ?1 COLLATE NOCASE OR m.name = ?1 COLLATE NOCASE)"
    )
    names = [str(name) for (name,) in db.execute(query, (table,)).fetchall()]
    violated: set[tuple[object, ...]] = set()
    for name in names:
        violated |= set(
            db.execute(
                'SELECT "table", parent, fkid, count(*) FROM pragma_foreign_key_check(?, ?) GROUP BY 1, 2, 3',
                (name, schema),
            ).fetchall()
        )
    return violated


# --- the procedure ----------------------------------------------------------------------------------------------------
def rebuild(
    db: apsw.Connection,
    table: str,
    create_sql: str,
    sources: Mapping[str, str] | None = None,
    indexes: Sequence[str] | None = None,
) -> None:
    """Rebuild a table, under the same name, with the definition of ``create_sql``; atomic.

    ``sources``: the expressions over the old row that fill columns, by column; None copies the columns of the same
    name.  ``indexes``: the statements that create the indexes; None keeps the present ones.  Raises IntegrityError if a
    row violates a constraint, or a foreign key that was satisfied before.
    """
    old = definition_of(db, table)
    schema, name = old.schema, old.table
    objects = _objects(db, schema, name)
    wanted = [sql for kind, sql in objects if kind == "index"] if indexes is None else list(indexes)
    triggers = [sql for kind, sql in objects if kind == "trigger"]
    checks = foreign_keys(db)
    with _relaxed(db), savepoint(db):
        before = violations(db, schema, name) if checks else set()
        number = last_number(db, schema, name)
        db.execute(f"ALTER TABLE {schema}.{quoted(name)} RENAME TO {quoted(_ASIDE)}")
        db.execute(create_sql)
        pairs = sources if sources is not None else _common(db, schema, _ASIDE, name)
        if pairs:
            db.execute(
                f"INSERT INTO {schema}.{quoted(name)} ({', '.join(map(quoted, pairs))}) "
                f"SELECT {', '.join(pairs.values())} FROM {schema}.{quoted(_ASIDE)}"
            )
        db.execute(f"DROP TABLE {schema}.{quoted(_ASIDE)}")
        for sql in [*wanted, *triggers]:
            db.execute(sql)
        _continue_numbers(db, schema, name, number)
        lost = violations(db, schema, name) - before if checks else set()
        if lost:
            child, parent, *_ = min(lost, key=str)
            raise IntegrityError(
                f"FOREIGN KEY constraint failed: rows of '{child}' refer to missing rows of '{parent}'"
            )


@contextmanager
def _relaxed(db: apsw.Connection) -> Iterator[None]:
    """Turn foreign keys off, and have ALTER TABLE RENAME leave the rest of the schema unchanged."""
    options = {apsw.SQLITE_DBCONFIG_ENABLE_FKEY: 0, apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE: 1}
    before = {option: db.config(option, -1) for option in options}
    try:
        for option, value in options.items():
            db.config(option, value)
        yield
    finally:
        for option, value in before.items():
            db.config(option, value)


@contextmanager
def savepoint(db: apsw.Connection) -> Iterator[None]:
    """Run the block in a savepoint, of the open transaction or of its own, that an exception rolls back."""
    db.execute(f"SAVEPOINT {_SAVEPOINT}")
    try:
        yield
        db.execute(f"RELEASE {_SAVEPOINT}")
    except BaseException:
        with suppress(apsw.SQLError):  # the error has already rolled back the whole transaction
            db.execute(f"ROLLBACK TO {_SAVEPOINT}; RELEASE {_SAVEPOINT}")
        raise


def _objects(db: apsw.Connection, schema: str, table: str) -> list[tuple[str, str]]:
    """The indexes and triggers of a table: pairs of type and statement."""
    query = (
        f"SELECT type, sql FROM {schema}.sqlite_schema WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL "
        "AND type IN ('index', 'trigger') ORDER BY rowid"
    )
    return [(str(kind), str(sql)) for kind, sql in db.execute(query, (table,)).fetchall()]


def _common(db: apsw.Connection, schema: str, old: str, new: str) -> dict[str, str]:
    """The stored columns of the new table that the old one has too, by name, quoted."""
    query = "SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden NOT IN (1, 2, 3)"
    there = {
        str(name).lower() for (name,) in db.execute(query.replace(" WHERE hidden NOT IN (1, 2, 3)", ""), (old, schema))
    }
    names = [str(name) for (name,) in db.execute(query, (new, schema)).fetchall()]
    return {name: quoted(name) for name in names if name.lower() in there}


def last_number(db: apsw.Connection, schema: str, table: str) -> int | None:
    """The last AUTOINCREMENT number of a table; None if it has none."""
    with suppress(apsw.SQLError):  # no table of the schema has AUTOINCREMENT
        query = f"SELECT seq FROM {schema}.sqlite_sequence WHERE name = ? COLLATE NOCASE"
        for (number,) in db.execute(query, (table,)):
            return int(number)
    return None


def _continue_numbers(db: apsw.Connection, schema: str, table: str, number: int | None) -> None:
    """Continue the AUTOINCREMENT numbers of the old table, if the new one has AUTOINCREMENT."""
    if number is None or "AUTOINCREMENT" not in definition_of(db, table).sql.upper():
        return
    last = max(number, last_number(db, schema, table) or 0)
    db.execute(f"DELETE FROM {schema}.sqlite_sequence WHERE name = ? COLLATE NOCASE", (table,))
    db.execute(f"INSERT INTO {schema}.sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
