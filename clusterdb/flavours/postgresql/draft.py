"""A draft of a table's new definition, and the steps that rebuild a table, rename an index, validate a constraint.

An :data:`Edit` changes a :class:`Draft`, which starts as the table's present definition.  It raises ProgrammingError
where PostgreSQL refuses the action; the rows are checked while the rebuild copies them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import apsw

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.flavour import Step
from clusterdb.flavours.indexes import index_statement, indexes_of
from clusterdb.flavours.postgresql.clauses import Clause, Column, Table, clause_of
from clusterdb.flavours.postgresql.tables import checks_of
from clusterdb.flavours.rebuild import definition_of, rebuild
from clusterdb.flavours.session import EngineSession
from clusterdb.flavours.tables import quoted

__all__ = ["ROW_ID", "WHOLE", "Draft", "Edit", "checking", "never_null", "rebuilding", "renaming_index"]

WHOLE = ("smallint", "integer", "bigint")
ROW_ID = "INTEGER"
"""The declared type of a primary key with its own sequence, SQLite's row id; other types are in lower case."""


@dataclass
class Draft:
    """A table to rebuild: its parts, the expression over the old row that fills each column, and its indexes."""

    db: apsw.Connection
    table: Table
    sources: dict[str, str]
    indexes: list[str]

    @classmethod
    def of(cls, db: apsw.Connection, name: str) -> Draft:
        """A draft with the present definition of a table.  Raises OperationalError if it does not exist."""
        table = Table.of(definition_of(db, name))
        sources = {column.name: quoted(column.name) for column in table.columns if column.of("GENERATED") is None}
        return cls(db, table, sources, list(indexes_of(db, table.definition.schema, name).values()))

    def column(self, name: str) -> Column:
        """A column by its name.  Raises ProgrammingError."""
        column = self.table.column(name)
        if column is None:
            raise ProgrammingError(f'column "{name}" of relation "{self.table.name}" does not exist')
        return column

    def constraint(self, name: str) -> tuple[Clause, Column | None]:
        """A constraint by its name, and the column that declares it; None for the table.  Raises ProgrammingError."""
        for own_name, clause, column in self.table.named():
            if own_name.lower() == name.lower():
                return clause, column
        raise ProgrammingError(f'constraint "{name}" of relation "{self.table.name}" does not exist')


Edit = Callable[[Draft], None]


# --- running ----------------------------------------------------------------------------------------------------------
def rebuilding(table: str, edits: tuple[Edit, ...]) -> Step:
    """The step that rebuilds a table after applying edits."""

    def edit(session: EngineSession) -> None:
        db = session.db
        draft = Draft.of(db, table)
        for change in edits:
            change(draft)
        _settle(draft.table)
        rebuild(db, table, draft.table.sql, draft.sources, draft.indexes)

    return edit


def renaming_index(old: str, new: str, *, must_exist: bool) -> Step:
    """The step that renames an index.  It raises ProgrammingError if the index ``must_exist`` and does not."""

    def rename(session: EngineSession) -> None:
        db = session.db
        query = (
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE AND sql IS NOT NULL"
        )
        indexes = db.execute(query, (old,)).fetchall()
        if not indexes:
            if must_exist:
                raise ProgrammingError(f'relation "{old}" does not exist')
            return
        ((name, sql),) = indexes
        db.execute(f"DROP INDEX {quoted(str(name))}")
        db.execute(index_statement(str(sql), new))

    return rename


def _settle(table: Table) -> None:
    """Declare the primary key as CREATE TABLE does: NOT NULL, and as SQLite's row id if it has its own sequence."""
    for column in table.columns:
        clause, is_key = column.of("PRIMARY KEY"), table.key == [column.name.lower()]
        is_numbered = column.number is not None and column.number.kind in ("serial", "always")
        was_row_id = column.declared == ROW_ID
        is_row_id = is_key and is_numbered and column.declared.lower() in WHOLE
        if is_row_id and not was_row_id:
            key = clause or next(constraint for constraint in table.constraints if constraint.kind == "PRIMARY KEY")
            table.without([key])
            column.drop_type_checks()
            column.drop("NOT NULL", "NULL")
            column.clauses.insert(0, Clause("PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT", key.name))
            column.declared = ROW_ID
        elif was_row_id and not is_row_id:
            column.declared = "integer"
            column.clauses += map(clause_of, checks_of(column.name, column.declared))
            never_null(column)
        if clause is not None and not is_row_id:
            clause.text = "PRIMARY KEY"
        if column.name.lower() in table.key and not is_row_id:
            never_null(column)


def never_null(column: Column) -> None:
    """Declare a column NOT NULL."""
    column.drop("NULL")
    if column.of("NOT NULL") is None:
        column.clauses.insert(0, Clause("NOT NULL", "NOT NULL"))


def checking(table: str, name: str) -> Step:
    """The step of VALIDATE CONSTRAINT, which only requires the constraint: adding it has checked every row."""

    def check(session: EngineSession) -> None:
        db = session.db
        Draft.of(db, table).constraint(name)

    return check
