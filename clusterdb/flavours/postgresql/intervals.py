"""PostgreSQL's intervals: months, days and microseconds, kept as the text that the server shows.

Months and days are kept apart from the time, since a month has no length of its own; only where intervals are compared
a month counts as 30 days and a day as 24 hours.
"""

from __future__ import annotations

import calendar
import math
import re
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from clusterdb.flavours.functions import Implementation, Number, SqlValue

__all__ = ["HELPERS", "Interval", "between", "later", "interval_of", "interval_text"]

_DAY = 86_400_000_000
_MONTHS = {"month": 1, "mon": 1, "year": 12, "yr": 12, "y": 12, "decade": 120, "century": 1200, "centurie": 1200}
_MONTHS |= {"millennium": 12_000, "mil": 12_000}
_DAYS = {"day": 1, "d": 1, "week": 7, "w": 7}
_TIMES = {"hour": 3600_000_000, "hr": 3600_000_000, "h": 3600_000_000, "minute": 60_000_000, "min": 60_000_000}
_TIMES |= {"m": 60_000_000, "second": 1_000_000, "sec": 1_000_000, "s": 1_000_000, "millisecond": 1000, "ms": 1000}
_TIMES |= {"microsecond": 1, "us": 1}
_ISO = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_ISO_TIME = {"H": "hour", "M": "minute", "S": "second"}
_TOKEN = re.compile(
    r"\s*+(?:(?P<sign>[+-]?)(?P<hours>\d+):(?P<minutes>\d\d?)(?::(?P<seconds>\d\d?(?:\.\d*)?))?"
    r"|(?P<years>[+-]?\d+)-(?P<months>\d+)(?!\d)"
    r"|(?P<count>[+-]?\s*(?:\d++\.?\d*+|\.\d+))\s*(?P<unit>[a-zA-Z]+)?)"
)


class Interval(NamedTuple):
    """An interval."""

    months: int
    days: int
    micros: int

    def ticks(self) -> int:
        """What intervals are compared by."""
        return (self.months * 30 + self.days) * _DAY + self.micros


def interval_of(text: SqlValue) -> Interval:
    """An interval from its text.  Raises ValueError."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no interval: give a str")
    whole = text.strip().removeprefix("@").strip()
    ago = whole.lower().endswith(" ago")
    whole = whole[:-4] if ago else whole
    parts = _iso(whole) if whole[:1] == "P" else _parts(whole)
    months = sum((part for part, unit in parts if unit in _MONTHS), Fraction(0))
    days = sum((part for part, unit in parts if unit in _DAYS), Fraction(0))
    micros = sum((part for part, unit in parts if unit in _TIMES), Fraction(0))
    if not parts:
        raise ValueError(f"invalid input syntax for type interval: {text!r}")
    days += (months - int(months)) * 30
    micros += (days - int(days)) * _DAY
    result = Interval(int(months), int(days), round(micros))
    return Interval(-result.months, -result.days, -result.micros) if ago else result


def _amount(count: str, unit: str) -> tuple[Fraction, str]:
    unit = unit.lower()
    name = unit if unit in _MONTHS or unit in _DAYS or unit in _TIMES else unit.removesuffix("s")
    for table in (_MONTHS, _DAYS, _TIMES):
        if name in table:
            result = Fraction(count) * table[name]
            return (Fraction(round(result)) if table is _MONTHS and table[name] > 1 else result), name
    raise ValueError(f"invalid input syntax for type interval: {count} {unit}")


def _parts(text: str) -> list[tuple[Fraction, str]]:
    result: list[tuple[Fraction, str]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"invalid input syntax for type interval: {text!r}")
        at, count = match.end(), (match["count"] or "").replace(" ", "")
        if match["hours"] is not None:
            sign = -1 if match["sign"] == "-" else 1
            seconds = Fraction(match["seconds"] or 0)
            micros = (int(match["hours"]) * 3600 + int(match["minutes"]) * 60 + seconds) * 1_000_000
            result.append((sign * micros, "second"))
        elif match["years"] is not None:
            sign = -1 if match["years"].startswith("-") else 1
            result.append((Fraction(int(match["years"]) * 12 + sign * int(match["months"])), "month"))
        elif match["unit"] is not None:
            result.append(_amount(count, match["unit"]))
        else:
            follows = _TOKEN.match(text, at)
            result.append(_amount(count, "day" if follows is not None and follows["hours"] else "second"))
    return result


def _iso(text: str) -> list[tuple[Fraction, str]]:
    dates, _, times = text[1:].partition("T")
    piece = re.compile(r"([+-]?\d+(?:\.\d*)?)([A-Z])")
    if piece.sub("", dates) or piece.sub("", times):
        raise ValueError(f"invalid input syntax for type interval: {text!r}")
    result = [_amount(count, _ISO[unit]) for count, unit in piece.findall(dates)]
    return result + [_amount(count, _ISO_TIME[unit]) for count, unit in piece.findall(times)]


def interval_text(value: Interval) -> str:
    """An interval as PostgreSQL shows it."""
    years, months = int(value.months / 12), int(math.fmod(value.months, 12))
    texts: list[str] = []
    negative = False
    for count, unit in ((years, "year"), (months, "mon"), (value.days, "day")):
        if count:
            texts.append(f"{'+' if negative and count > 0 else ''}{count} {unit}{'' if count == 1 else 's'}")
            negative = count < 0
    if value.micros or not texts:
        seconds, micros = divmod(abs(value.micros), 1_000_000)
        sign = "-" if value.micros < 0 else "+" if negative else ""
        fraction = f".{micros:06}".rstrip("0") if micros else ""
        texts.append(f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}")
    return " ".join(texts)


def later(at: datetime, value: Interval, sign: int = 1) -> datetime:
    """A time and an interval: first the months, then the rest."""
    year, month = divmod(at.year * 12 + at.month - 1 + sign * value.months, 12)
    day = min(at.day, calendar.monthrange(year, month + 1)[1])
    rest = timedelta(days=value.days, microseconds=value.micros)
    return at.replace(year=year, month=month + 1, day=day) + sign * rest


def between(later: datetime, earlier: datetime) -> Interval:
    """What passed between two times: days and a time of the same sign."""
    passed = later - earlier
    micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    days = int(Fraction(micros, _DAY))
    return Interval(0, days, micros - days * _DAY)


def _times(value: Interval, factor: Fraction) -> Interval:
    months = Fraction(value.months) * factor
    more = (months - int(months)) * 30
    days = value.days * factor
    rest = (days - int(days) + more - int(more)) * 86_400
    extra = int(rest / 86_400)
    micros = value.micros * factor + (rest - extra * 86_400) * 1_000_000
    return Interval(int(months), int(days) + int(more) + extra, round(micros))


def _part(unit: str, value: Interval) -> int | float:
    seconds = abs(value.micros)
    sign = -1 if value.micros < 0 else 1
    parts: dict[str, float] = {
        "year": int(value.months / 12),
        "month": int(math.fmod(value.months, 12)),
        "quarter": int(math.fmod(value.months, 12)) // 3 + 1,
        "day": value.days,
        "hour": sign * (seconds // 3600_000_000),
        "minute": sign * (seconds // 60_000_000 % 60),
        "second": sign * (seconds % 60_000_000) / 1_000_000,
        "epoch": _epoch(value),
    }
    if unit not in parts:
        raise ValueError(f"{unit} of an interval")
    return parts[unit]


def _epoch(value: Interval) -> float:
    years, months = int(value.months / 12), int(math.fmod(value.months, 12))
    return float((years * Fraction("365.25") + months * 30 + value.days) * 86_400 + Fraction(value.micros, 1_000_000))


def _added(a: str, b: str, sign: int) -> str:
    first, second = interval_of(a), interval_of(b)
    return interval_text(Interval(*(one + sign * other for one, other in zip(first, second, strict=True))))


def _factor(value: Number) -> Fraction:
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


HELPERS: dict[str, Implementation] = {
    "span": lambda text: interval_text(interval_of(text)),
    "span_ticks": lambda text: interval_of(text).ticks(),
    "span_plus": _added,
    "span_times": lambda text, factor: interval_text(_times(interval_of(text), _factor(factor))),
    "span_over": lambda text, factor: interval_text(_times(interval_of(text), 1 / _factor(factor))),
    "span_part": lambda unit, text: _part(unit.lower(), interval_of(text)),
}
"""By name without the prefix that they have in SQL."""
