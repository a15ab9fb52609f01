"""What a database's tables and views are made of, as a flavour stored it: a value that translations are kept by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import apsw

__all__ = ["NOTHING", "Column", "Known", "Schema", "kinds_comment", "read"]

_KINDS = re.compile(r"/\* columns: (.*?) \*/", re.DOTALL)
_COLUMNS = (
    "SELECT m.name, m.type, m.sql, c.name, c.type, c.pk FROM {schema}.sqlite_schema AS m, "
    "pragma_table_xinfo(m.name, '{schema}') AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type as declared in SQLite, and its collation where that is not the usual one."""

    declared: str
    collation: str = ""


@dataclass(frozen=True, eq=False)
class Schema:
    """Tables and views by their name in lower case, their columns in order, by their name in lower case.

    Equal only to itself: :func:`read` gives the same value for the same content.
    """

    tables: Mapping[str, Mapping[str, Column]]
    numbered: frozenset[str] = frozenset()
    """The tables whose rows are numbered."""


NOTHING = Schema(MappingProxyType({}))

_Content = tuple[tuple[str, tuple[tuple[str, Column], ...]], ...]


def read(db: apsw.Connection) -> Schema:
    """The schema that statements of a connection see; tables of the session hide others."""
    tables: dict[str, dict[str, Column]] = {}
    numbered: set[str] = set()
    for schema in ("main", "temp"):
        seen: dict[str, dict[str, Column]] = {}
        for table, _, sql, column, declared, key in db.execute(_COLUMNS.format(schema=schema)):
            collation = ""
            if " collate " in str(sql).lower():
                collation = str(db.column_metadata(schema, str(table), str(column))[1])
            seen.setdefault(str(table).lower(), {})[str(column).lower()] = Column(str(declared).lower(), collation)
            if key and "AUTOINCREMENT" in str(sql):
                numbered.add(str(table).lower())
        tables |= seen
        views = db.execute(f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'view'")
        for view, sql in views:
            tables[str(view).lower()] = _columns_of_view(str(sql))
    return _interned(tuple((name, tuple(columns.items())) for name, columns in tables.items()), frozenset(numbered))


@lru_cache(maxsize=64)
def _interned(content: _Content, numbered: frozenset[str]) -> Schema:
    return Schema({name: dict(columns) for name, columns in content}, numbered)


def kinds_comment(columns: list[tuple[str, str]]) -> str:
    """What a view's definition says of its columns' types, since SQLite does not keep those of expressions."""
    said = "; ".join(f"{name}={declared}" for name, declared in columns if not set(";=*/") & set(name))
    return f"/* columns: {said} */"


def _columns_of_view(sql: str) -> dict[str, Column]:
    found = _KINDS.search(sql)
    pairs = [each.partition("=") for each in found[1].split("; ")] if found is not None and found[1] else []
    made = {}
    for name, _, declared in pairs:
        kind, _, collation = declared.partition(" collate ")
        made[name.lower()] = Column(kind, collation)
    return made


class Known:
    """What one connection knows of its schema, and what it has planned by that."""

    def __init__(self) -> None:
        self.schema = NOTHING
        self.plans: dict[str, Any] = {}
        self._versions: tuple[Any, Any] | None = None

    def refresh(self, db: apsw.Connection) -> None:
        """Look whether the schema has changed; what was planned by another is forgotten."""
        versions = db.execute("PRAGMA schema_version").get, db.execute("PRAGMA temp.schema_version").get
        if versions != self._versions:
            schema = read(db)
            self._versions = versions
            if schema is not self.schema:
                self.schema = schema
                self.plans.clear()
