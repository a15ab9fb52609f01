"""The members of ENUM and SET columns: what a value is kept as, and its number.

``members`` is their list as a column's definition has it, texts of SQLite's: ``'small','large'``.
"""

from __future__ import annotations

import re
from functools import lru_cache

from clusterdb.flavours.collations import key
from clusterdb.flavours.functions import SqlValue

__all__ = ["enum_of", "is_member", "ordinal", "set_of"]

_NAME = re.compile(r"'((?:[^']|'')*)'")


@lru_cache(maxsize=256)
def _places(members: str) -> dict[str, int]:
    """The number of each member, from 1, by what it compares as."""
    names = _names(members)
    return {key(name): at for at, name in reversed(list(enumerate(names, 1)))}


@lru_cache(maxsize=256)
def _names(members: str) -> tuple[str, ...]:
    return tuple(name.replace("''", "'") for name in _NAME.findall(members))


def enum_of(value: SqlValue, members: str) -> SqlValue:
    """The member that a text or a number stands for; what stands for none stays, for the column to refuse it."""
    if value is None:
        return None
    names = _names(members)
    at = _places(members).get(key(value), 0) if isinstance(value, str) else _number(value)
    if not at and isinstance(value, str):
        at = _number(value)
    return names[at - 1] if 0 < at <= len(names) else value


def set_of(value: SqlValue, members: str) -> SqlValue:
    """The members that a text or a number stands for, in their order; what stands for none stays."""
    if value is None or value == "":
        return value
    names = _names(members)
    if isinstance(value, str):
        places = {_places(members).get(key(part), 0) for part in value.split(",")}
        bits = sum(1 << place - 1 for place in places) if 0 not in places else _number(value) or -1
    else:
        bits = _number(value)
    if not 0 <= bits < 1 << len(names):
        return value
    return ",".join(name for at, name in enumerate(names) if bits >> at & 1)


def _number(value: SqlValue) -> int:
    """A number, or a text of one; 0 for other texts."""
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else 0


def ordinal(value: str | None, members: str, is_set: int) -> int | None:
    """The number of a value: of an ENUM its place from 1, of a SET a bit for each member."""
    if value is None:
        return None
    places = _places(members)
    if is_set:
        return sum(1 << places[key(part)] - 1 for part in value.split(",")) if value else 0
    return places.get(key(value), 0)


def is_member(value: SqlValue, members: str, *, is_set: bool) -> bool:
    """Whether a column with these members can have the value."""
    if is_set:
        return value == "" or all(part in _names(members) for part in str(value).split(","))
    return value in _names(members)
