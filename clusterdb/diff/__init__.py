"""Differences between two clusters, or between two points in time: as text, JSON, an SQL script, or a changeset.

pages.py       where rows may differ, from the pages that differ: the cost follows the change, not the database
tables.py      the schema of a database
compare.py     the rows and schema entries that differ
script.py      a difference as an SQL script
changesets.py  a difference as a changeset, and applying one
clusters.py    differences between clusters of a store
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clusterdb.diff.changesets import Applied, OnConflict, applied, changeset_of
from clusterdb.diff.compare import RowChange, SchemaChange, Side, TableChanges, compare_schemas, compare_tables
from clusterdb.diff.report import difference_json, difference_text
from clusterdb.diff.script import script
from clusterdb.diff.tables import Schema
from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.names import suggestion

__all__ = [
    "Applied",
    "Diff",
    "OnConflict",
    "RowChange",
    "SchemaChange",
    "Side",
    "TableChanges",
    "applied",
    "difference",
]


@dataclass(frozen=True)
class Diff:
    """The changes from ``before`` to ``after``.

    SQLite's own tables (``sqlite_sequence``, ``sqlite_stat1``) are left out; of virtual tables, the shadow tables are
    compared.  The changed rows are held in memory.
    """

    before: str
    after: str
    schema: tuple[SchemaChange, ...]
    tables: tuple[TableChanges, ...]
    _schemas: tuple[Schema, Schema] = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.schema or self.tables)

    def text(self, *, rows: bool = True) -> str:
        """As text, with the changed rows; with ``rows=False`` only their numbers."""
        return difference_text(self.before, self.after, self.schema, self.tables, rows=rows)

    def json(self) -> dict[str, Any]:
        """As an object for :func:`json.dumps`; a blob is ``{"blob": hexadecimal}``."""
        return difference_json(self.before, self.after, self.schema, self.tables)

    def sql(self) -> str:
        """A script that turns a copy of ``before`` into ``after``; run it outside of a transaction.

        Raises NotSupportedError for a virtual table that was altered.
        """
        return "".join(f"{statement};\n" for statement in script(*self._schemas, self.schema, self.tables))

    def changeset(self) -> bytes:
        """The changed rows for :meth:`Cluster.apply`.

        Raises NotSupportedError if a table with changes has other columns or another key in the two, or has no key.
        """
        return changeset_of(*self._schemas, self.tables)


def difference(
    names: tuple[str, str], before: Side, after: Side, changed: set[int] | None, tables: Iterable[str] | None
) -> Diff:
    """Compare two sides: all tables, or the ones that ``tables`` names.  Raises InvalidArgumentError."""
    chosen = None if tables is None else {str(name).lower() for name in tables}
    existing = {**before.schema.tables, **after.schema.tables}
    for name in sorted(chosen - set(existing)) if chosen is not None else ():
        raise InvalidArgumentError(
            f"neither '{names[0]}' nor '{names[1]}' has a table '{name}'{suggestion(name, existing)}"
        )
    schema = compare_schemas(before.schema, after.schema)
    if chosen is not None:
        schema = tuple(change for change in schema if change.name.lower() in chosen)
    changes = compare_tables(before, after, changed, chosen)
    return Diff(*names, schema, tuple(changes), (before.schema, after.schema))
