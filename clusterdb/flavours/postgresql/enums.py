"""Enumerated types: CREATE TYPE ... AS ENUM, ALTER TYPE ... ADD VALUE, DROP TYPE.

The view ``clusterdb_types`` stores the types.  A column is declared ``enum text(3)``, with the number of its type, and
has a CHECK constraint on the labels, so that plain SQLite can write the table too.

Source: "Enumerated Types" and ALTER TYPE in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Refused, Step, Translation
from clusterdb.flavours.postgresql.clauses import Clause, unquoted
from clusterdb.flavours.postgresql.draft import Draft, Edit, rebuilding
from clusterdb.flavours.postgresql.labels import check, number_of
from clusterdb.flavours.schema import TYPES, Labels
from clusterdb.flavours.session import together
from clusterdb.flavours.tables import text

__all__ = ["translated"]

_CREATE = (
    f"CREATE TABLE IF NOT EXISTS {TYPES} (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, labels TEXT NOT NULL)"
)
_NAME = r'(?:"?public"?\s*\.\s*)?(?P<name>"(?:[^"]|"")+"|\w+)'
_LABEL = r"'(?:[^']|'')*'"
_CREATED = re.compile(rf"CREATE\s+TYPE\s+{_NAME}\s+AS\s+ENUM\s*\((?P<labels>.*)\)", re.I | re.S)
_DROPPED = re.compile(rf"DROP\s+TYPE\s+(?P<exists>IF\s+EXISTS\s+)?{_NAME}(?:\s+(?:CASCADE|RESTRICT))?", re.I)
_ADDED = re.compile(
    rf"ALTER\s+TYPE\s+{_NAME}\s+ADD\s+VALUE\s+(?P<exists>IF\s+NOT\s+EXISTS\s+)?(?P<label>{_LABEL})"
    rf"(?:\s+(?P<where>BEFORE|AFTER)\s+(?P<other>{_LABEL}))?",
    re.I | re.S,
)


def translated(sql: str, context: Context) -> Translation | None:
    """CREATE, ALTER and DROP TYPE of an enumerated type; None for another statement.  Raises Unsupported or Refused."""
    for pattern, handler in ((_CREATED, _create), (_DROPPED, _drop), (_ADDED, _add)):
        match = pattern.fullmatch(sql)
        if match is not None:
            return handler(match, context)
    return None


def _named(match: re.Match[str]) -> str:
    token = match["name"]
    return unquoted(token) if token[0] == '"' else token.lower()


def _label(token: str) -> str:
    return token[1:-1].replace("''", "'")


def _create(match: re.Match[str], context: Context) -> Translation:
    name = _named(match)
    labels = [_label(token) for token in re.findall(_LABEL, match["labels"])]
    if number_of(name, context) is not None:
        raise Refused(f'type "{name}" already exists')
    if len(set(labels)) < len(labels) or re.sub(rf"{_LABEL}|[\s,]", "", match["labels"]):
        raise Refused(f'labels of enum type "{name}" must be distinct string literals')
    types = context.schema.labels
    return Translation(IDLE, (together(_stored({**types, max(types, default=0) + 1: Labels(name, tuple(labels))})),))


def _stored(types: Mapping[int, Labels]) -> list[str | Step]:
    """The statements that store these types in place of the present ones."""
    rows = [
        f"SELECT {number} AS id, {text(enum.name)} AS name, {text(json.dumps(enum.labels))} AS labels"
        for number, enum in types.items()
    ]
    created = [f"CREATE VIEW {TYPES} AS {' UNION ALL '.join(rows)}"] if rows else []
    return [f"DROP VIEW IF EXISTS {TYPES}", *created]


def _drop(match: re.Match[str], context: Context) -> Translation:
    name = _named(match)
    number = number_of(name, context)
    if number is None:
        if match["exists"]:
            return Translation(IDLE)
        raise Refused(f'type "{name}" does not exist')
    users = _users(number, context)
    if users:
        table, column = users[0]
        raise Refused(
            f"cannot drop type {name} because other objects depend on it: drop column {column} of table {table} first"
        )
    remaining = {other: enum for other, enum in context.schema.labels.items() if other != number}
    return Translation(IDLE, (together(_stored(remaining)),))


def _add(match: re.Match[str], context: Context) -> Translation:
    name, label = _named(match), _label(match["label"])
    number = number_of(name, context)
    if number is None:
        raise Refused(f'type "{name}" does not exist')
    labels = list(context.schema.labels[number].labels)
    if label in labels:
        if match["exists"]:
            return Translation(IDLE)
        raise Refused(f'enum label "{label}" already exists')
    at = len(labels)
    if match["other"] is not None:
        other = _label(match["other"])
        if other not in labels:
            raise Refused(f'"{other}" is not an existing enum label')
        at = labels.index(other) + (match["where"].upper() == "AFTER")
    labels.insert(at, label)
    steps = _stored({**context.schema.labels, number: Labels(name, tuple(labels))})
    for table in dict.fromkeys(table for table, _ in _users(number, context)):
        edits = [_relabel(column, labels) for owner, column in _users(number, context) if owner == table]
        steps.append(rebuilding(table, tuple(edits)))
    return Translation(IDLE, (together(steps),))


def _users(number: int, context: Context) -> list[tuple[str, str]]:
    """The columns of a type: pairs of table and column."""
    tables = context.schema.tables.items()
    declared = f"enum text({number})"
    return [
        (table, name) for table, columns in tables for name, column in columns.items() if column.declared == declared
    ]


def _relabel(name: str, labels: list[str]) -> Edit:
    """Replace the CHECK constraint on a column's labels."""

    def edit(draft: Draft) -> None:
        column = draft.column(name)
        column.drop_type_checks()
        column.clauses.append(Clause("CHECK", f"CHECK ({check(column.name, labels)})"))

    return edit
