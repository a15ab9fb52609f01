"""What a case is, and how the values of three drivers are made alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

__all__ = ["Case", "normalised"]

Row = tuple[Any, ...]
Parameters = tuple[Any, ...] | Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One statement of a flavour, and what comes of it.

    ``feature``: its line in the support matrix.  ``setup``: statements of the same flavour, run before.  ``sql``: the
    statement under test.  ``rows``: those of ``then`` if there is one, else of ``sql``, normalised; None: any will do.
    ``unsupported``: SQLite cannot say it, so it is refused.  ``fails``: the servers refuse it, so nobody may take it.
    ``names``: what the columns are called; None: that is not looked at.
    """

    feature: str
    setup: tuple[str, ...]
    sql: str
    parameters: Parameters = ()
    rows: list[Row] | None = None
    unsupported: bool = False
    then: str = ""
    fails: bool = False
    names: tuple[str, ...] | None = None


def normalised(rows: Iterable[Sequence[Any]]) -> list[Row]:
    """Rows with the values that a case is written with."""
    return [tuple(_value(value) for value in row) for row in rows]


def _value(value: Any) -> Any:
    """Numbers rounded to nine places, times as ISO text in UTC without an offset, JSON without spaces."""
    match value:
        case bool():
            return int(value)
        case Decimal() | float():
            return round(float(value), 9)
        case datetime():
            at = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
            return at.isoformat(" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return _clock(value)
        case UUID():
            return str(value)
        case bytearray() | memoryview():
            return bytes(value)
        case dict() | list():
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        case str():
            return _text(value)
    return value


def _clock(span: timedelta) -> str:
    """Hours, which may be more than 24, minutes and seconds."""
    seconds = int(span.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


_SPAN = re.compile(
    r"(?=.)(?:(-?\d+) years? ?)?(?:\+?(-?\d+) mons? ?)?(?:\+?(-?\d+) days? ?)?"
    r"(?:([+-]?)(\d\d+):(\d\d):(\d\d)(?:\.\d+)?)?"
)


def _span(text: str) -> str | None:
    """An interval of PostgreSQL's as psycopg gives it, with months of 30 days; None for another text."""
    match = _SPAN.fullmatch(text)
    if match is None or not any(match.group(1, 2, 3)):
        return None
    years, months, days, hours, minutes, seconds = (int(part or 0) for part in match.group(1, 2, 3, 5, 6, 7))
    sign = -1 if match[4] == "-" else 1
    clock = sign * timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return _clock(timedelta(days=365 * years + 30 * months + days) + clock)


def _text(text: str) -> str:
    """JSON without spaces, intervals as hours, points in time without the offset of UTC; other text as it is."""
    span = _span(text)
    if span is not None:
        return span
    if text[:1] + text[-1:] in ("{}", "[]"):
        try:
            return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
        except ValueError:
            return text
    return re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\+00(?::?00)?$", r"\1", text)
