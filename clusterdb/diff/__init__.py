"""What differs between two clusters, or two points in the past of one: as text, JSON, an SQL script, or a changeset.

Pages tell where rows may differ (:mod:`clusterdb.diff.pages`), so the time follows the change and not the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clusterdb.diff.changesets import Applied, OnConflict, applied, changeset_of
from clusterdb.diff.compare import RowChange, SchemaChange, Side, TableChanges, compare_schemas, compare_tables
from clusterdb.diff.report import as_json, as_text
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
    """What made of ``before`` what ``after`` is.

    SQLite's own tables (``sqlite_sequence``, ``sqlite_stat1``) are left out, and of virtual tables their shadow tables
    are compared.  It holds the changed rows in memory.
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
        """For people; ``rows=False`` gives the numbers only."""
        return as_text(self.before, self.after, self.schema, self.tables, rows=rows)

    def json(self) -> dict[str, Any]:
        """What :func:`json.dumps` takes; a blob is ``{"blob": hexadecimal}``."""
        return as_json(self.before, self.after, self.schema, self.tables)

    def sql(self) -> str:
        """A script that, run in a copy of ``before``, makes it ``after``; for a session without a transaction.

        Raises NotSupportedError for a virtual table that was altered.
        """
        return "".join(f"{statement};\n" for statement in script(*self._schemas, self.schema, self.tables))

    def changeset(self) -> bytes:
        """The changed rows for :meth:`Cluster.apply`.

        Raises NotSupportedError if a table with changes is not the same in both, or has no key to go by.
        """
        return changeset_of(*self._schemas, self.tables)


def difference(names: tuple[str, str], before: Side, after: Side, changed: set[int] | None, tables: Any) -> Diff:
    """Compare two sides; ``tables`` names those to be compared, or is None.  Raises InvalidArgumentError."""
    chosen = None if tables is None else {str(name).lower() for name in tables}
    known = {**before.schema.tables, **after.schema.tables}
    for name in sorted(chosen - set(known)) if chosen is not None else ():
        raise InvalidArgumentError(
            f"neither '{names[0]}' nor '{names[1]}' has a table '{name}'{suggestion(name, known)}"
        )
    schema = compare_schemas(before.schema, after.schema)
    if chosen is not None:
        schema = tuple(change for change in schema if change.name.lower() in chosen)
    found = compare_tables(before, after, changed, chosen)
    return Diff(*names, schema, tuple(found), (before.schema, after.schema))
