"""What a database's tables and views are made of, as a flavour stored it: a value that translations are kept by."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import apsw

__all__ = [
    "KINDS_COMMENT",
    "NOTHING",
    "TYPES",
    "Column",
    "Known",
    "Labels",
    "Numbering",
    "Schema",
    "kinds_comment",
    "members_of",
    "read",
]

KINDS_COMMENT = re.compile(r"/\* columns: (.*?) \*/", re.DOTALL)
_COLUMNS = (
    'SELECT m.name, m.type, m.sql, c.name, c.type, c.pk, c."notnull", c.hidden, c.dflt_value '
    "FROM {schema}.sqlite_schema AS m, "
    "pragma_table_xinfo(m.name, '{schema}') AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'"
)
TYPES = "clusterdb_types"
"""The view that has the enumerated types of a database: so a change of them is one of the schema."""
_UNIQUE = (
    "SELECT m.name, i.name, c.name FROM {schema}.sqlite_schema AS m, pragma_index_list(m.name, '{schema}') AS i, "
    "pragma_index_info(i.name, '{schema}') AS c WHERE m.type = 'table' AND i.\"unique\" AND NOT i.partial"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type as declared in SQLite, its collation where that is not the usual one, the members of an ENUM
    or a SET, its default, and whether it is NOT NULL."""

    declared: str
    collation: str = ""
    members: str = ""
    is_generated: bool = False
    default: str = ""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Numbering:
    """What a column is numbered by.

    ``kind`` is serial, always (no statement may choose a number), nextval (the sequence is not the column's own), or
    owned (the sequence is the column's own, but does not number it).
    """

    sequence: str
    kind: str

    def __str__(self) -> str:
        """The comment in the column's definition."""
        return f"/* {self.kind} {self.sequence} */"


_NUMBERED = re.compile(
    r'"((?:[^"]|"")+)" (?:INTEGER (?:CONSTRAINT "(?:[^"]|"")+" )?PRIMARY KEY AUTOINCREMENT|\w+(?: NOT NULL)?) '
    r"/\* (serial|always|nextval|owned) (.+?) \*/"
)
"""A column that is numbered by a sequence, in the definition of its table."""


@dataclass(frozen=True, slots=True)
class Labels:
    """An enumerated type: its name, and its values in their order."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Schema:
    """Tables and views by their name in lower case, their columns in order, by their name in lower case.

    Equal only to itself: :func:`read` gives the same value for the same content.
    """

    tables: Mapping[str, Mapping[str, Column]]
    numbered: frozenset[str] = frozenset()
    """The tables whose rows are numbered."""
    primary: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The columns of the primary key of each table that has one."""
    unique: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    """Of each table the sets of columns that no two rows have in common, and that are never NULL."""
    numbers: Mapping[str, Mapping[str, Numbering]] = field(default_factory=dict)
    """Of each table what its columns are numbered by."""
    owned: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each table the sequences of its columns' own."""
    labels: Mapping[int, Labels] = field(default_factory=dict)
    """The enumerated types by their numbers."""

    @cached_property
    def has_arrays(self) -> bool:
        """Whether a column is an array."""
        return any(
            column.declared.startswith("array of ") for columns in self.tables.values() for column in columns.values()
        )


NOTHING = Schema(MappingProxyType({}))

_Content = tuple[tuple[str, tuple[tuple[str, Column], ...]], ...]
_Key = frozenset[str]
_Numbers = tuple[tuple[str, Numbering], ...]


def read(db: apsw.Connection) -> Schema:
    """The schema that statements of a connection see; tables of the session hide others."""
    tables: dict[str, dict[str, Column]] = {}
    marks: dict[str, tuple[bool, _Numbers]] = {}
    keys: dict[str, tuple[_Key, tuple[_Key, ...]]] = {}
    for schema in ("main", "temp"):
        seen: dict[str, dict[str, Column]] = {}
        primary: dict[str, set[str]] = {}
        required: dict[str, set[str]] = {}
        result = db.execute(_COLUMNS.format(schema=schema))
        for table, _, sql, column, declared, key, not_null, hidden, default in result:
            collation = ""
            if " collate " in str(sql).lower():
                collation = str(db.column_metadata(schema, str(table), str(column))[1])
            name = str(table).lower()
            members = members_of(str(sql), str(column)) if str(declared).endswith(("enum text", "set_of text")) else ""
            seen.setdefault(name, {})[str(column).lower()] = Column(
                str(declared).lower(), collation, members, hidden in (2, 3), str(default or ""), bool(key or not_null)
            )
            if key:
                primary.setdefault(name, set()).add(str(column).lower())
            if key or not_null:
                required.setdefault(name, set()).add(str(column).lower())
            if key or name not in marks:
                marks[name] = bool(key and "AUTOINCREMENT" in str(sql)), _numbers(str(sql))
        tables |= seen
        unique = _unique(db, schema, required)
        keys |= {name: (frozenset(primary.get(name, ())), unique.get(name, ())) for name in seen}
        views = db.execute(f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'view'")
        for view, sql in views:
            tables[str(view).lower()] = _columns_of_view(str(sql))
            keys.pop(str(view).lower(), None)
    content = tuple((name, tuple(columns.items())) for name, columns in tables.items())
    return _interned(content, tuple(marks.items()), tuple(keys.items()), _labels(db) if TYPES in tables else ())


def _labels(db: apsw.Connection) -> tuple[tuple[int, Labels], ...]:
    rows = db.execute(f"SELECT id, name, labels FROM {TYPES} ORDER BY id").fetchall()
    return tuple((int(str(number)), Labels(str(name), tuple(json.loads(str(labels))))) for number, name, labels in rows)


def members_of(sql: str, column: str) -> str:
    """The members of an ENUM or a SET, as the definition of its table has them."""
    name = column.replace('"', '""')
    match = re.search(rf'"{re.escape(name)}" (?:enum|set_of) text /\* (.*?) \*/', sql, re.IGNORECASE | re.DOTALL)
    return match[1] if match is not None else ""


def _numbers(sql: str) -> _Numbers:
    """What the columns of a table are numbered by."""
    result = _NUMBERED.findall(sql)
    return tuple((column.replace('""', '"').lower(), Numbering(sequence, kind)) for column, kind, sequence in result)


def _unique(db: apsw.Connection, schema: str, required: Mapping[str, set[str]]) -> dict[str, tuple[_Key, ...]]:
    """The columns of the unique indices of each table, where all of them are ``required``."""
    result: dict[tuple[str, str], set[str | None]] = {}
    for table, index, column in db.execute(_UNIQUE.format(schema=schema)):
        name = None if column is None else str(column).lower()
        result.setdefault((str(table).lower(), str(index)), set()).add(name)
    converted: dict[str, tuple[_Key, ...]] = {}
    for (table, _), columns in result.items():
        names = frozenset(item for item in columns if item is not None)
        if len(names) == len(columns) and names <= required.get(table, set()):
            converted[table] = (*converted.get(table, ()), names)
    return converted


@lru_cache(maxsize=64)
def _interned(
    content: _Content,
    marks: tuple[tuple[str, tuple[bool, _Numbers]], ...],
    keys: tuple[tuple[str, tuple[_Key, tuple[_Key, ...]]], ...],
    labels: tuple[tuple[int, Labels], ...],
) -> Schema:
    return Schema(
        {name: dict(columns) for name, columns in content},
        numbered=frozenset(name for name, (is_numbered, _) in marks if is_numbered),
        primary={name: primary for name, (primary, _) in keys if primary},
        unique={name: unique for name, (_, unique) in keys},
        numbers={name: _numbering(numbers) for name, (_, numbers) in marks if numbers},
        owned={name: _sequences(numbers) for name, (_, numbers) in marks if numbers},
        labels=dict(labels),
    )


def _numbering(numbers: _Numbers) -> dict[str, Numbering]:
    return {column: number for column, number in numbers if number.kind != "owned"}


def _sequences(numbers: _Numbers) -> dict[str, str]:
    return {column: number.sequence for column, number in numbers if number.kind != "nextval"}


def kinds_comment(columns: list[tuple[str, str]]) -> str:
    """The comment in a view's definition with its columns' types, which SQLite does not keep for expressions."""
    text = "; ".join(f"{name}={declared}" for name, declared in columns if not set(";=*/") & set(name))
    return f"/* columns: {text} */"


def _columns_of_view(sql: str) -> dict[str, Column]:
    match = KINDS_COMMENT.search(sql)
    pairs = [item.partition("=") for item in match[1].split("; ")] if match is not None and match[1] else []
    result = {}
    for name, _, declared in pairs:
        kind, _, collation = declared.partition(" collate ")
        kind, _, members = kind.partition(" members ")
        result[name.lower()] = Column(kind, collation, bytes.fromhex(members).decode())
    return result


class Known:
    """What one connection knows of its schema, and what it has planned by that."""

    def __init__(self) -> None:
        self.schema = NOTHING
        self.plans: dict[str, Any] = {}
        self._versions: tuple[object, object] | None = None
        self._flavour: object = None

    def refresh(self, db: apsw.Connection, flavour: object) -> None:
        """Look whether the schema or the flavour has changed; what was planned by another is forgotten."""
        if flavour is not self._flavour:
            self._flavour = flavour
            self.plans.clear()
        versions = db.execute("PRAGMA schema_version").get, db.execute("PRAGMA temp.schema_version").get
        if versions != self._versions:
            schema = read(db)
            self._versions = versions
            if schema is not self.schema:
                self.schema = schema
                self.plans.clear()
