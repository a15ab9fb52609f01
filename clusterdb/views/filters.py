"""Which records a list shows: globs on their names, or on one of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

__all__ = ["is_wanted"]


def is_wanted(name: str, fields: Mapping[str, object], filters: Iterable[str]) -> bool:
    """Whether a record matches all filters: ``prod*``, or ``KEY=GLOB`` for a field; an absent field is empty."""
    for text in filters:
        key, equals, glob = text.partition("=")
        value = fields.get(key)
        if not fnmatchcase("" if value is None else str(value), glob) if equals else not fnmatchcase(name, text):
            return False
    return True
