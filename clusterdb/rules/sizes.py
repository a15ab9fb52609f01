"""Sizes as people write them: ``500MB``, ``64k``, ``2g``, all powers of 1024; a number alone is bytes."""

from __future__ import annotations

import re

from clusterdb.errors import InvalidArgumentError

__all__ = ["bytes_of"]

_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgt])(?:i?b)?|b|bytes?)?\Z", re.IGNORECASE)
_SHIFTS = {"k": 10, "m": 20, "g": 30, "t": 40}


def bytes_of(text: str) -> int:
    """A size in bytes.  Raises InvalidArgumentError."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise InvalidArgumentError(f"invalid size '{text}': use a number of bytes, or 64k, 500MB, 2g")
    return int(float(match[1]) * (1 << _SHIFTS.get((match[2] or "").lower(), 0)))
