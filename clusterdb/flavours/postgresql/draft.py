"""A table on its way to another definition, and the rebuilding that ends it.

An :data:`Edit` changes a :class:`Draft`, which begins as the table is.  It raises ProgrammingError where PostgreSQL
refuses the action; the rows are checked as they are copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.flavour import Step
from clusterdb.flavours.postgresql.clauses import Clause, Column, Table, clause_of
from clusterdb.flavours.postgresql.tables import checks_of
from clusterdb.flavours.rebuild import definition_of, rebuild
from clusterdb.flavours.session import EngineSession
from clusterdb.flavours.tables import quoted

if TYPE_CHECKING:
    from clusterdb.flavours.session import EngineSession

__all__ = ["ROW_ID", "WHOLE", "Draft", "Edit", "checking", "never_null", "rebuilding", "renaming_index"]

WHOLE = ("smallint", "integer", "bigint")
ROW_ID = "INTEGER"
"""The type of a primary key that is numbered by a sequence of its own; other columns have theirs in lower case."""


@dataclass
class Draft:
    """A table that is to be rebuilt: its parts, what each column is filled from, and its indexes."""

    db: apsw.Connection
    table: Table
    sources: dict[str, str]
    indexes: list[str]

    @classmethod
    def of(cls, db: apsw.Connection, name: str) -> Draft:
        """The table as it is."""
        table = Table.of(definition_of(db, name))
        sources = {each.name: quoted(each.name) for each in table.columns if each.of("GENERATED") is None}
        query = (
            f"SELECT sql FROM {table.definition.schema}.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL "
            "AND tbl_name = ? COLLATE NOCASE ORDER BY rowid"
        )
        return cls(db, table, sources, [str(sql) for (sql,) in db.execute(query, (name,)).fetchall()])

    def column(self, name: str) -> Column:
        """A column, which is there."""
        found = self.table.column(name)
        if found is None:
            raise ProgrammingError(f'column "{name}" of relation "{self.table.name}" does not exist')
        return found

    def constraint(self, name: str) -> tuple[Clause, Column | None]:
        """A constraint by its name, and the column that it stands at.  Raises ProgrammingError."""
        for own_name, clause, column in self.table.named():
            if own_name.lower() == name.lower():
                return clause, column
        raise ProgrammingError(f'constraint "{name}" of relation "{self.table.name}" does not exist')


Edit = Callable[[Draft], None]


# --- running ----------------------------------------------------------------------------------------------------------
def rebuilding(table: str, edits: tuple[Edit, ...]) -> Step:
    """A table as these edits leave it."""

    def edit(session: EngineSession) -> None:
        db = session.db
        draft = Draft.of(db, table)
        for change in edits:
            change(draft)
        _settle(draft.table)
        rebuild(db, table, draft.table.sql, draft.sources, draft.indexes)

    return edit


def renaming_index(old: str, new: str, *, must_exist: bool) -> Step:
    """An index under another name."""

    def rename(session: EngineSession) -> None:
        db = session.db
        query = (
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND name = ? COLLATE NOCASE AND sql IS NOT NULL"
        )
        found = db.execute(query, (old,)).fetchall()
        if not found:
            if must_exist:
                raise ProgrammingError(f'relation "{old}" does not exist')
            return
        ((name, sql),) = found
        head = re.match(r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+", str(sql), re.IGNORECASE)
        rest = re.compile(r'(?:"(?:[^"]|"")+"|\w+)').sub("", str(sql)[head.end() :], count=1) if head else ""
        db.execute(f"DROP INDEX {quoted(str(name))}")
        db.execute(f"{head[0] if head else ''}{quoted(new)}{rest}")

    return rename


def _settle(table: Table) -> None:
    """The primary key is never NULL; one that a sequence of its own numbers is the row id, as in CREATE TABLE."""
    for column in table.columns:
        clause, is_key = column.of("PRIMARY KEY"), table.key == [column.name.lower()]
        is_numbered = column.number is not None and column.number.kind in ("serial", "always")
        was_row_id = column.declared == ROW_ID
        is_row_id = is_key and is_numbered and column.declared.lower() in WHOLE
        if is_row_id and not was_row_id:
            key = clause or next(each for each in table.constraints if each.kind == "PRIMARY KEY")
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
    """Let a column be NOT NULL."""
    column.drop("NULL")
    if column.of("NOT NULL") is None:
        column.clauses.insert(0, Clause("NOT NULL", "NOT NULL"))


def checking(table: str, name: str) -> Step:
    """VALIDATE CONSTRAINT: every row was checked when the constraint was added."""

    def check(session: EngineSession) -> None:
        db = session.db
        Draft.of(db, table).constraint(name)

    return check
