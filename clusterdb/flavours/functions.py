"""SQL functions in Python that the engines share: texts, numbers, dates as ISO text, JSON as text.

They are not called with NULL, unless they take it by their row in the engine's registry.  Dates and times of the day
are texts as SQLite's own date functions write them; an interval is a number and a unit.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import json
import math
import re
import uuid
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache, wraps
from typing import ParamSpec, Protocol, TypeVar

__all__ = ["MONTHS", "UNITS", "Aggregate", "Group", "Implementation", "SqlValue", "as_datetime", "number_of", "shown"]

P = ParamSpec("P")
T = TypeVar("T")
SqlValue = None | int | float | str | bytes
"""A value of SQLite's."""
Number = int | float
Json = bool | Number | Decimal | str | None | list["Json"] | dict[str, "Json"]
"""A JSON document as :func:`json.loads` reads it, perhaps with decimal numbers."""
Implementation = Callable[..., SqlValue]
"""What computes a function."""


class Group(Protocol):
    """The values of a group that an aggregate has seen."""

    @property
    def step(self) -> Callable[..., None]:
        """Take the arguments of one row."""

    @property
    def final(self) -> Callable[[], SqlValue]:
        """Compute the result."""


Aggregate = Callable[[], Group]
"""What begins a group."""


# --- values -----------------------------------------------------------------------------------------------------------
_LEADING = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def number_of(value: SqlValue) -> int | float:
    """A number, or what a text begins with, as MySQL takes it."""
    if isinstance(value, int | float):
        return value
    match = _LEADING.match(value.decode() if isinstance(value, bytes) else str(value))
    if match is None:
        return 0
    return float(match[0]) if set(match[0]) & set(".eE") else int(match[0])


def text_of(value: SqlValue) -> str:
    """A value as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def as_datetime(value: SqlValue) -> datetime:
    """A date, or a date and a time, from their text.  Raises ValueError."""
    text = str(value).strip().replace("T", " ").removesuffix("Z").removesuffix("+00:00").removesuffix("+00")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return moment_of(value)


_MOMENT = re.compile(
    r"\s*(\d{4}|\d\d)([-/.])(\d\d?)\2(\d\d?)(?:(?:\s+|T)(\d\d?)(?::(\d\d?)(?::(\d\d?)(?:\.(\d*))?)?)?)?\s*"
)
_DIGITS = re.compile(r"\s*(\d{4}|\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)(?:\.(\d*))?)?\s*")


def moment_of(value: SqlValue) -> datetime:
    """A date, or a date and a time, in any of the forms that MySQL reads.  Raises ValueError."""
    text = str(value)
    match = _MOMENT.fullmatch(text)
    parts = [match[1], *match.group(3, 4, 5, 6, 7, 8)] if match is not None else None
    if parts is None:
        short = _DIGITS.fullmatch(text)
        if short is None:
            raise ValueError(f"'{text}' is no date")
        parts = list(short.groups())
    year = int(parts[0] or 0)
    if not int(parts[1] or 0) or not int(parts[2] or 0):
        raise TypeError(f"'{text}': years, months and days of zero")
    if len(parts[0] or "") == 2:
        year += 2000 if year < 70 else 1900
    numbers = [int(item or 0) for item in parts[1:6]]
    fraction = (parts[6] or "")[:6].ljust(6, "0")
    return datetime(year, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], int(fraction))


def as_moment(value: SqlValue, kind: str) -> str:
    """A date or a time as what is stored: of a date at midnight nothing but the date.  Raises ValueError."""
    at = moment_of(value)
    if kind == "date" and at.time() == datetime.min.time():
        return at.date().isoformat()
    return at.isoformat(" ")


def shown(at: datetime, like: SqlValue = None) -> str:
    """A date and a time as text; of the form of ``like`` if that is a date without a time, and ``at`` is midnight."""
    if isinstance(like, str) and len(like.strip()) == 10 and at.time() == datetime.min.time():
        return at.date().isoformat()
    return at.isoformat(" ")


def null_if_invalid(function: Callable[P, T]) -> Callable[P, T | None]:
    """NULL for what is not a date, as MySQL does it."""

    @wraps(function)
    def called(*arguments: P.args, **options: P.kwargs) -> T | None:
        try:
            return function(*arguments, **options)
        except (ValueError, OverflowError):
            return None

    return called


_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def operand(value: SqlValue) -> int | float:
    """An operand of arithmetic: a number, which the text of a date is not.  Raises ValueError."""
    if isinstance(value, str) and _DATE.match(value):
        raise ValueError(f"'{value}' is a date: add intervals to it, or take the difference with the engine's function")
    return number_of(value)


def added(a: SqlValue, b: SqlValue) -> int | float:
    return checked(operand(a) + operand(b))


def subtracted(a: SqlValue, b: SqlValue) -> int | float:
    return checked(operand(a) - operand(b))


def multiplied(a: SqlValue, b: SqlValue) -> int | float:
    return checked(operand(a) * operand(b))


def negated(value: SqlValue) -> int | float:
    return checked(-operand(value))


# --- texts ------------------------------------------------------------------------------------------------------------
def pad(text: SqlValue, length: int, fill: str, *, left: bool) -> str | None:
    """A text of that length."""
    text = text_of(text)
    if length < 0:
        return None
    if len(text) >= length or not fill:
        return text[:length]
    missing = (fill * (length // len(fill) + 1))[: length - len(text)]
    return missing + text if left else text + missing


def lpad(text: SqlValue, length: int, fill: SqlValue = " ") -> SqlValue:
    return pad(text, length, text_of(fill), left=True)


def rpad(text: SqlValue, length: int, fill: SqlValue = " ") -> SqlValue:
    return pad(text, length, text_of(fill), left=False)


def left(text: SqlValue, count: int) -> str:
    text = text_of(text)
    return text[:count] if count >= 0 else text[: max(0, len(text) + count)]


def right(text: SqlValue, count: int) -> str:
    text = text_of(text)
    if count >= 0:
        return text[len(text) - min(count, len(text)) :]
    return text[-count:]


def reverse(text: SqlValue) -> str:
    return text_of(text)[::-1]


def repeat(text: SqlValue, count: int) -> str:
    return text_of(text) * max(0, count)


def upper(text: SqlValue) -> str:
    return case_changed(text_of(text), str.upper)


def lower(text: SqlValue) -> str:
    return case_changed(text_of(text), str.lower)


def octets(value: SqlValue) -> int:
    return len(value if isinstance(value, bytes) else text_of(value).encode())


def characters(value: SqlValue) -> int:
    return len(value if isinstance(value, bytes) else text_of(value))


def concat_ws(separator: SqlValue, *values: SqlValue) -> str | None:
    """Joined by a separator; what is NULL is left out."""
    return (
        None if separator is None else text_of(separator).join(text_of(value) for value in values if value is not None)
    )


def code_of(text: SqlValue) -> int:
    text = text_of(text)
    return ord(text[0]) if text else 0


def digest(text: SqlValue, name: str) -> str:
    data = text if isinstance(text, bytes) else text_of(text).encode()
    return hashlib.new(name, data).hexdigest()


def sha2(text: SqlValue, bits: int) -> str | None:
    if bits not in (0, 224, 256, 384, 512):
        return None
    return digest(text, f"sha{bits or 256}")


def replaced(text: SqlValue, old: SqlValue, new: SqlValue) -> str:
    return text_of(text).replace(text_of(old), text_of(new)) if text_of(old) else text_of(text)


def substring_index(text: SqlValue, delimiter: SqlValue, count: int) -> str:
    parts = text_of(text).split(text_of(delimiter))
    return text_of(delimiter).join(parts[:count] if count >= 0 else parts[count:]) if count else ""


def split_part(text: SqlValue, delimiter: SqlValue, number: int) -> str:
    parts = text_of(text).split(text_of(delimiter))
    at = number - 1 if number > 0 else len(parts) + number
    return parts[at] if 0 <= at < len(parts) else ""


def translated(text: SqlValue, old: str, new: str) -> str:
    table = {ord(char): new[at] if at < len(new) else None for at, char in reversed(list(enumerate(old)))}
    return text_of(text).translate(table)


def initcap(text: SqlValue) -> str:
    return re.sub(r"[^\W_]+", lambda word: word[0].capitalize(), text_of(text))


def insert_text(text: SqlValue, at: int, length: int, new: SqlValue) -> str:
    text = text_of(text)
    if not 0 < at <= len(text):
        return text
    return text[: at - 1] + text_of(new) + text[at - 1 + length :] if length >= 0 else text[: at - 1] + text_of(new)


def trimmed(text: SqlValue, chars: str, where: str) -> str:
    text = text_of(text)
    if where == "leading":
        return text.lstrip(chars)
    return text.rstrip(chars) if where == "trailing" else text.strip(chars)


def trimmed_word(text: SqlValue, word: str, where: str) -> str:
    """As MySQL trims: whole words."""
    text = text_of(text)
    while word and where in ("leading", "both") and text.startswith(word):
        text = text[len(word) :]
    while word and where in ("trailing", "both") and text.endswith(word):
        text = text[: -len(word)]
    return text


# --- regular expressions ----------------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def compiled(pattern: str, flags: str) -> re.Pattern[str]:
    """A pattern; POSIX classes are Python's."""
    for name, chars in (("alpha", "a-zA-Z"), ("digit", "0-9"), ("alnum", "a-zA-Z0-9"), ("space", r"\s")):
        pattern = pattern.replace(f"[:{name}:]", chars)
    return re.compile(pattern, re.IGNORECASE if "i" in flags else 0)


def matches(text: SqlValue, pattern: str, flags: str = "") -> int:
    return int(compiled(pattern, flags).search(text_of(text)) is not None)


def regexp_replace(text: SqlValue, pattern: str, new: str, flags: str = "") -> str:
    new = re.sub(r"\$(\d)", r"\\\1", new)
    return compiled(pattern, flags).sub(new, text_of(text), count=0 if "g" in flags else 1)


def regexp_substr(text: SqlValue, pattern: str, flags: str = "") -> str | None:
    match = compiled(pattern, flags).search(text_of(text))
    return match[0] if match else None


def regexp_instr(text: SqlValue, pattern: str, flags: str = "") -> int:
    match = compiled(pattern, flags).search(text_of(text))
    return match.start() + 1 if match else 0


# --- exact numbers ----------------------------------------------------------------------------------------------------
def exact(value: SqlValue) -> Decimal:
    """The decimal number that a floating point number stands for: the shortest that rounds to it."""
    value = number_of(value)
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def inexact(value: Decimal, scale: int) -> int | float:
    """A decimal number rounded to a number of digits, half away from zero, as SQLite keeps it."""
    result = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _CONTEXT)
    return int(result) if scale <= 0 and abs(result) < 2**63 else float(result) + 0.0  # there is no minus zero


_CONTEXT = Context(prec=100)


def decimal_plus(a: SqlValue, b: SqlValue, scale: int) -> int | float:
    return inexact(exact(a) + exact(b), scale)


def decimal_minus(a: SqlValue, b: SqlValue, scale: int) -> int | float:
    return inexact(exact(a) - exact(b), scale)


def decimal_times(a: SqlValue, b: SqlValue, scale: int) -> int | float:
    return inexact(exact(a) * exact(b), scale)


def decimal_rounded(value: SqlValue, scale: int) -> int | float:
    return inexact(exact(value), scale)


def decimal_text(value: SqlValue, scale: int) -> str:
    """All its digits.  Raises ValueError if a floating point number cannot tell them."""
    number = exact(value)
    if len(number.as_tuple().digits) > 15 and isinstance(value, float):
        raise ValueError(f"{value!r} may have more digits than are kept")
    return f"{number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _CONTEXT):f}"


def whole(value: SqlValue) -> int:
    """A count of characters: rounded."""
    return int(inexact(exact(value), 0))


def fitting(value: int) -> int:
    """A whole number of 64 bits.  Raises OverflowError."""
    if not -(2**63) <= value < 2**63:
        raise OverflowError("BIGINT value is out of range")
    return value


def checked(value: int | float) -> int | float:
    """What was calculated, if it fits.  Raises OverflowError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise OverflowError("value is out of range")
    return fitting(value) if isinstance(value, int) else value


def case_changed(text: str, change: Callable[[str], str]) -> str:
    """Letter by letter; those that would become several stay."""
    result = change(text)
    if len(result) == len(text):
        return result
    changed = [(char, change(char)) for char in text]
    return "".join(new if len(new) == 1 else new[0] if change is str.lower else char for char, new in changed)


# --- numbers ----------------------------------------------------------------------------------------------------------
def rounded(value: SqlValue, digits: int = 0) -> int | float:
    """Half away from zero."""
    value = number_of(value)
    if isinstance(value, int) and digits >= 0:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return value
    result = Decimal(repr(value) if isinstance(value, float) else value).quantize(
        Decimal(1).scaleb(-digits), ROUND_HALF_UP
    )
    return int(result) if digits <= 0 and isinstance(value, int) else float(result)


def truncated(value: SqlValue, digits: int = 0) -> int | float:
    value = number_of(value)
    scale = 10**digits
    result = (
        math.trunc(Decimal(repr(value)) * scale) / scale
        if digits > 0
        else math.trunc(value / 10**-digits) * 10**-digits
    )
    return result if digits > 0 else int(result)


def power(base: SqlValue, exponent: SqlValue) -> float:
    return float(number_of(base)) ** number_of(exponent)


# --- dates ------------------------------------------------------------------------------------------------------------
UNITS = {
    "microsecond": timedelta(microseconds=1),
    "millisecond": timedelta(milliseconds=1),
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
MONTHS = {"month": 1, "mon": 1, "quarter": 3, "year": 12, "decade": 120}


def unit_of(unit: str) -> str:
    """A unit's name as the tables have it."""
    unit = unit.lower()
    return unit.removesuffix("s") if unit not in ("century",) else unit


def plus(at: datetime, count: float, unit: str) -> datetime:
    """A number of units later; the end of a shorter month is its last day."""
    unit = unit_of(unit)
    if unit in MONTHS:
        months = at.year * 12 + at.month - 1 + int(count) * MONTHS[unit]
        year, month = divmod(months, 12)
        return at.replace(year=year, month=month + 1, day=min(at.day, calendar.monthrange(year, month + 1)[1]))
    return at + UNITS[unit] * count


@null_if_invalid
def add_interval(value: SqlValue, count: SqlValue, unit: str) -> str:
    """A date or time, and an interval: a date if both are days."""
    result = plus(as_datetime(value), number_of(count), unit)
    whole_days = unit_of(unit) in ("day", "week", *MONTHS)
    return shown(result, value if whole_days else None)


@null_if_invalid
def part(unit: str, value: SqlValue) -> int | float:
    """A part of a date."""
    clock = re.fullmatch(r"(\d{1,3}):(\d\d)(?::(\d\d))?", str(value).strip())
    if clock is not None and unit.lower() in ("hour", "minute", "second"):
        return int({"hour": clock[1], "minute": clock[2], "second": clock[3] or 0}[unit.lower()])
    if re.fullmatch(r"\s*\d+\.\d*\s*", str(value)):
        raise TypeError(f"'{text_of(value)}' as a date")
    at = as_datetime(value)
    year, week, weekday = at.isocalendar()
    return {
        "year": at.year,
        "quarter": (at.month + 2) // 3,
        "month": at.month,
        "week": week,
        "isoyear": year,
        "day": at.day,
        "doy": at.timetuple().tm_yday,
        "dow": weekday % 7,
        "isodow": weekday,
        "hour": at.hour,
        "minute": at.minute,
        "second": at.second,
        "microsecond": at.microsecond,
        "epoch": int((at - datetime(1970, 1, 1)).total_seconds()),
        "decade": at.year // 10,
        "century": (at.year + 99) // 100,
    }[unit.lower()]


@null_if_invalid
def date_trunc(unit: str, value: SqlValue) -> str:
    """The beginning of the unit that a time lies in."""
    at = as_datetime(value)
    unit = unit_of(unit)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "week":
        return shown(day - timedelta(days=day.weekday()))
    starts = {
        "second": at.replace(microsecond=0),
        "minute": at.replace(second=0, microsecond=0),
        "hour": at.replace(minute=0, second=0, microsecond=0),
        "day": day,
        "month": day.replace(day=1),
        "quarter": day.replace(day=1, month=(at.month - 1) // 3 * 3 + 1),
        "year": day.replace(day=1, month=1),
    }
    return shown(starts[unit])


@null_if_invalid
def last_day(value: SqlValue) -> str:
    at = as_datetime(value)
    return at.date().replace(day=calendar.monthrange(at.year, at.month)[1]).isoformat()


@null_if_invalid
def days_between(later: SqlValue, earlier: SqlValue) -> int:
    return (as_datetime(later).date() - as_datetime(earlier).date()).days


def clock(seconds: SqlValue) -> str:
    """Seconds as HH:MM:SS."""
    seconds = number_of(seconds)
    sign, count = "-" if seconds < 0 else "", abs(int(seconds))
    return f"{sign}{count // 3600:02}:{count // 60 % 60:02}:{count % 60:02}"


@null_if_invalid
def date_only(value: SqlValue) -> str:
    return as_datetime(value).date().isoformat()


@null_if_invalid
def whole_timestamp(value: SqlValue) -> str:
    return shown(as_datetime(value))


# --- others -----------------------------------------------------------------------------------------------------------
def to_base64(value: SqlValue) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else text_of(value).encode()).decode()


def from_base64(text: str) -> bytes:
    return base64.b64decode(text)


def crc32(value: SqlValue) -> int:
    return zlib.crc32(value if isinstance(value, bytes) else text_of(value).encode())


def new_uuid() -> str:
    return str(uuid.uuid4())


def json_contains(target: str, candidate: str) -> int:
    """Whether a document contains another: JSON_CONTAINS, @>."""

    def contains(whole: SqlValue, piece: SqlValue) -> bool:
        if isinstance(whole, dict) and isinstance(piece, dict):
            return all(key in whole and contains(whole[key], value) for key, value in piece.items())
        if isinstance(whole, list):
            pieces = piece if isinstance(piece, list) else [piece]
            return all(any(contains(item, wanted) for item in whole) for wanted in pieces)
        return bool(whole == piece) and isinstance(whole, bool) == isinstance(piece, bool)

    return int(contains(json.loads(target), json.loads(candidate)))


class Deviation:
    """Standard deviations and variances; of a sample, or of everything."""

    def __init__(self, *, of_sample: bool, root: bool) -> None:
        self._values: list[float] = []
        self._of_sample, self._root = of_sample, root

    def step(self, value: SqlValue) -> None:
        if value is not None:
            self._values.append(float(number_of(value)))

    def final(self) -> float | None:
        count = len(self._values) - self._of_sample
        if count <= 0:
            return None
        mean = math.fsum(self._values) / len(self._values)
        variance = math.fsum((value - mean) ** 2 for value in self._values) / count
        return math.sqrt(variance) if self._root else variance


class Bits:
    """Bitwise aggregates."""

    def __init__(self, how: str, empty: int | None, refused: int | None = None) -> None:
        self._how, self._empty, self._refused = how, empty, refused
        self._value: int | None = None

    def step(self, value: SqlValue) -> None:
        if value is None:
            return
        value = whole(value)
        if self._value is None:
            self._value = value
        else:
            self._value = {"and": self._value & value, "or": self._value | value, "xor": self._value ^ value}[self._how]

    def final(self) -> int | None:
        if self._value is None and self._refused is not None:
            raise OverflowError(f"{self._refused} is larger than the largest integer that is kept")
        return self._empty if self._value is None else self._value
