"""CREATE TYPE ... AS ENUM: texts that are one of several labels, in an order of their own.

The types are in the view ``clusterdb_types``.  A column of one is declared ``enum text(3)``, with the number of its
type, and checks its labels itself, so that others can write the table.

Source: "Enumerated Types" and ALTER TYPE in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Step, Translation, Wrong
from clusterdb.flavours.postgresql.clauses import Clause, unquoted
from clusterdb.flavours.postgresql.draft import Draft, Edit, rebuilding
from clusterdb.flavours.postgresql.labels import check, number_of
from clusterdb.flavours.schema import TYPES, Labels
from clusterdb.flavours.session import together
from clusterdb.flavours.tables import text

__all__ = ["said"]

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


def said(sql: str, context: Context) -> Translation | None:
    """CREATE, ALTER and DROP TYPE of an enumerated type; None for another statement.  Raises NotSaid or Wrong."""
    for pattern, handler in ((_CREATED, _create), (_DROPPED, _drop), (_ADDED, _add)):
        found = pattern.fullmatch(sql)
        if found is not None:
            return handler(found, context)
    return None


def _named(found: re.Match[str]) -> str:
    token = found["name"]
    return unquoted(token) if token[0] == '"' else token.lower()


def _label(token: str) -> str:
    return token[1:-1].replace("''", "'")


def _create(found: re.Match[str], context: Context) -> Translation:
    name = _named(found)
    labels = [_label(each) for each in re.findall(_LABEL, found["labels"])]
    if number_of(name, context) is not None:
        raise Wrong(f'type "{name}" already exists')
    if len(set(labels)) < len(labels) or re.sub(rf"{_LABEL}|[\s,]", "", found["labels"]):
        raise Wrong(f'the labels of type "{name}" are not different texts')
    types = context.schema.labels
    return Translation(IDLE, (together(_stored({**types, max(types, default=0) + 1: Labels(name, tuple(labels))})),))


def _stored(types: Mapping[int, Labels]) -> list[str | Step]:
    """The statements after which these are the types."""
    rows = [
        f"SELECT {number} AS id, {text(each.name)} AS name, {text(json.dumps(each.labels))} AS labels"
        for number, each in types.items()
    ]
    created = [f"CREATE VIEW {TYPES} AS {' UNION ALL '.join(rows)}"] if rows else []
    return [f"DROP VIEW IF EXISTS {TYPES}", *created]


def _drop(found: re.Match[str], context: Context) -> Translation:
    name = _named(found)
    number = number_of(name, context)
    if number is None:
        if found["exists"]:
            return Translation(IDLE)
        raise Wrong(f'type "{name}" does not exist')
    users = _users(number, context)
    if users:
        table, column = users[0]
        raise Wrong(f"cannot drop type {name} because column {column} of table {table} depends on it: drop that first")
    left = {other: each for other, each in context.schema.labels.items() if other != number}
    return Translation(IDLE, (together(_stored(left)),))


def _add(found: re.Match[str], context: Context) -> Translation:
    name, label = _named(found), _label(found["label"])
    number = number_of(name, context)
    if number is None:
        raise Wrong(f'type "{name}" does not exist')
    labels = list(context.schema.labels[number].labels)
    if label in labels:
        if found["exists"]:
            return Translation(IDLE)
        raise Wrong(f'enum label "{label}" already exists')
    at = len(labels)
    if found["other"] is not None:
        other = _label(found["other"])
        if other not in labels:
            raise Wrong(f'"{other}" is not an existing enum label')
        at = labels.index(other) + (found["where"].upper() == "AFTER")
    labels.insert(at, label)
    steps = _stored({**context.schema.labels, number: Labels(name, tuple(labels))})
    for table in dict.fromkeys(table for table, _ in _users(number, context)):
        edits = [_relabel(column, labels) for owner, column in _users(number, context) if owner == table]
        steps.append(rebuilding(table, tuple(edits)))
    return Translation(IDLE, (together(steps),))


def _users(number: int, context: Context) -> list[tuple[str, str]]:
    """The tables and columns that are of a type."""
    tables = context.schema.tables.items()
    return [
        (table, name) for table, columns in tables for name, each in columns.items() if each.declared == _kept(number)
    ]


def _kept(number: int) -> str:
    return f"enum text({number})"


def _relabel(name: str, labels: list[str]) -> Edit:
    def edit(draft: Draft) -> None:
        column = draft.column(name)
        column.drop_type_checks()
        column.clauses.append(Clause("CHECK", f"CHECK ({check(column.name, labels)})"))

    return edit
