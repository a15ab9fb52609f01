"""What the translation of one statement depends on, besides its text: passed to every rule that needs it.

A context is immutable but for the statements that it collects.  A part of a statement that is translated by other
rules, as the definition of a table, gets a context derived from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from clusterdb.flavours.schema import NOTHING, Schema
from clusterdb.flavours.types import Columns, of_column

__all__ = ["Context", "Step"]

Step = Callable[[Any], None]
"""What takes more than a statement of SQLite's: it is called with the ``EngineSession`` that runs it."""


@dataclass(frozen=True, slots=True)
class Context:
    """The context of one statement.

    ``schema``: the tables that the statement may name.  ``own_columns``: the columns of the table of which a part is
    translated.  ``in_definition``: whether the result becomes part of a table's definition, which programs without
    our functions must be able to read.  ``is_replacing``: whether the statement is MySQL's REPLACE.
    ``is_overriding``: whether it is PostgreSQL's INSERT ... OVERRIDING SYSTEM VALUE.  ``before`` and ``after`` collect
    the statements and steps that run before and after the translated one.
    """

    schema: Schema = NOTHING
    own_columns: Columns | None = None
    in_definition: bool = False
    is_replacing: bool = False
    is_overriding: bool = False
    before: list[str | Step] = field(default_factory=list)
    after: list[str | Step] = field(default_factory=list)

    def for_statement(self) -> Context:
        """The same, with nothing collected yet."""
        return replace(self, before=[], after=[])

    def for_definition(self, own_columns: Columns | None = None) -> Context:
        """The same for what becomes part of the definition of a table with these columns, or of the present one."""
        return replace(self, in_definition=True, own_columns=self.own_columns if own_columns is None else own_columns)

    def for_query(self) -> Context:
        """The same for what does not become part of a table's definition."""
        return replace(self, in_definition=False)

    def columns_of(self, table: str) -> Columns:
        """The columns of a table with their kinds; empty if there is no such table."""
        return {name: of_column(column) for name, column in self.schema.tables.get(table.lower(), {}).items()}
