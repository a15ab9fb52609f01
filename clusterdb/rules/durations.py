"""Durations as people write them: ``90s``, ``30m``, ``1h``, ``2d``; a number alone is seconds."""

from __future__ import annotations

import re

from clusterdb.errors import InvalidArgumentError

__all__ = ["seconds_of", "unit_s"]

_UNITS = {"second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "m": 60, "hour": 3600, "h": 3600}
_UNITS |= {"day": 86_400, "d": 86_400, "week": 604_800, "w": 604_800}
_DURATION = re.compile(r"(-?\d+(?:\.\d*)?|-?\.\d+)\s*([a-z]*)\Z", re.IGNORECASE)


def unit_s(word: str) -> int | None:
    """The seconds of a unit, also in the plural; None for another word."""
    word = word.lower()
    return _UNITS.get(word) or (_UNITS.get(word[:-1]) if len(word) > 2 and word.endswith("s") else None)


def seconds_of(text: str) -> float:
    """A duration in seconds.  Raises InvalidArgumentError."""
    match = _DURATION.match(text.strip())
    unit = unit_s(match[2] or "s") if match is not None else None
    if match is None or unit is None:
        raise InvalidArgumentError(f"invalid duration '{text}': use a number of seconds, or 90s, 30m, 12h, 2d")
    return float(match[1]) * unit
