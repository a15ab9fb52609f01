"""Points in time of a cluster: a version, a time, a time span ago, or a snapshot; and their textual form."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.durations import unit_s

__all__ = ["BASE", "Point", "parse", "split", "time_ns_of", "time_text"]

Point = int | datetime | timedelta | str
"""A version number; a time (local time if it has no time zone); a time span before now; ``"base"``, where a clone
began; the name of a snapshot."""

BASE = "base"
"""The point at which a clone began.  No snapshot can have this name."""

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s+ago\Z", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse(text: str) -> Point:
    """Parse a point in time: ``1234`` (a version), ``5 minutes ago``, an ISO 8601 time, else ``base`` or a snapshot.

    Raises InvalidArgumentError for a text that starts with a digit but is not a version or a time.
    """
    text = text.strip()
    if text.isdecimal() and len(text) < 20:
        return int(text)
    ago = _AGO.match(text)
    unit = unit_s(ago[2]) if ago is not None else None
    if ago is not None and unit is not None:
        with suppress(OverflowError):
            return timedelta(seconds=float(ago[1]) * unit)
    if text[:1].isdigit() or ago is not None:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise InvalidArgumentError(
                f"invalid point in time '{text[:100]}': use a version number, '5 minutes ago' (seconds, minutes, "
                "hours, days), a time as 2026-01-31T12:00:00, or the name of a snapshot"
            ) from None
    return text


def split(text: str) -> tuple[str, Point | None]:
    """Split ``prod@5 minutes ago`` into a name and a point in time.  Raises InvalidArgumentError."""
    name, at, point = text.partition("@")
    if at and not point.strip():
        raise InvalidArgumentError(f"'{text}': point in time missing after the @: add one, or remove the @")
    return name, parse(point) if point else None


def time_ns_of(point: datetime | timedelta, now_ns: int) -> int:
    """Convert a point to nanoseconds since 1970.  Raises InvalidArgumentError if it is out of range."""
    try:
        if isinstance(point, timedelta):
            time_ns = now_ns - point // timedelta(microseconds=1) * 1000
        else:
            since = point.astimezone(timezone.utc) - _EPOCH
            time_ns = since // timedelta(microseconds=1) * 1000
        datetime.fromtimestamp(time_ns / 1e9, tz=timezone.utc)
        return time_ns
    except (OverflowError, OSError, ValueError) as error:
        raise InvalidArgumentError(f"invalid point in time {point!r}: {error}") from error


def time_text(time: datetime) -> str:
    """A time as it is shown everywhere: ISO 8601, local time with its UTC offset.  :func:`parse` returns it."""
    try:
        return time.astimezone().isoformat()
    except (OverflowError, OSError, ValueError):  # the first and the last day that a datetime can express
        return time.isoformat()
