"""What PostgreSQL reads from a text and writes as one, type by type.

Each ``as_...`` makes the value of a type from a literal or a parameter; a number is left to be one.  They raise
ValueError or TypeError for what the type does not have.  Dates and times are texts as :func:`moment_text` writes them,
so that equal ones are equal texts: in UTC, without a fraction of a second or with six digits of it.
"""

from __future__ import annotations

import json
import math
import re
import struct
import uuid
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

from clusterdb.flavours.functions import Implementation, Number, SqlValue, inexact, text_of
from clusterdb.flavours.postgresql.intervals import interval_of, interval_text
from clusterdb.flavours.postgresql.json import canonical, checked_json

__all__ = ["HELPERS", "double_text", "moment", "moment_text", "number_text"]

_CONTEXT = Context(prec=100)
_DATED = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:\s+|T)(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d*))?)?)?\s*+"
    r"(Z|UTC|[+-]\d{1,2}(?::?\d\d)?)?\s*",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\s*(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d*))?)?\s*")


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_FORMS = tuple(
    re.compile(rf"\s*{form}(?P<rest>(?:[\sT].*)?)", re.IGNORECASE | re.DOTALL)
    for form in (
        r"(?P<year>\d{4})/(?P<month>\d\d?)/(?P<day>\d\d?)",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        r"(?P<month>\d\d?)(?P<mark>[-/.])(?P<day>\d\d?)(?P=mark)(?P<year>\d{4})",
        rf"{_NAMED}\s+(?P<day>\d\d?)(?:\s*,\s*|\s+)(?P<year>\d{{4}})",
        rf"(?P<day>\d\d?)[\s-]+{_NAMED}[\s,-]+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})-{_NAMED}-(?P<day>\d\d?)",
        r"(?P<year>\d{4})-(?P<month>\d\d?)-(?P<day>\d\d?)",
    )
)
"""The forms of a date besides the usual one, in the order month, day, year where nothing else tells."""
_HALF = re.compile(r"(\d{1,2})(:\d\d(?::\d\d(?:\.\d*)?)?)\s*([AP])M\b", re.IGNORECASE)


def _usual(value: str) -> str:
    """A date in another form as it is usually written; as it is if it is in none."""
    matched = next((match for form in _FORMS if (match := form.fullmatch(value))), None)
    if matched is None:
        return value
    parts = matched.groupdict()
    month = _MONTHS.index(parts["name"][:3].lower()) + 1 if parts.get("name") else parts["month"]
    return f"{parts['year']}-{month}-{parts['day']}{_HALF.sub(_of_24_hours, parts['rest'])}"


def _of_24_hours(clock: re.Match[str]) -> str:
    hour = int(clock[1])
    if not 1 <= hour <= 12:
        raise ValueError(f"date/time field value out of range: '{clock[0]}'")
    return f"{hour % 12 + (12 if clock[3].upper() == 'P' else 0)}{clock[2]}"


# --- dates and times --------------------------------------------------------------------------------------------------
def _rounded_fraction(digits: str | None, places: int) -> int:
    """A fraction of a second in microseconds."""
    result = Decimal(f"0.{digits or 0}").quantize(Decimal(1).scaleb(-places), "ROUND_HALF_EVEN")
    return int(result * 1_000_000)


def moment(value: SqlValue, *, zoned: bool = False, places: int = 6) -> datetime:
    """A date and a time from its text; the zone that it says counts for ``zoned`` ones only.  Raises ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no date: give a date, a datetime or a str")
    match = _DATED.fullmatch(value) or _DATED.fullmatch(_usual(value))
    if match is None:
        raise ValueError(f"'{value}' is not written as 2026-01-31 or 2026-01-31 12:00:00")
    year, month, day, hour, minute, second = (int(item or 0) for item in match.group(1, 2, 3, 4, 5, 6))
    result = datetime(year, month, day) + timedelta(hours=hour, minutes=minute, seconds=second)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError(f"date/time field value out of range: '{value}'")
    result += timedelta(microseconds=_rounded_fraction(match[7], places))
    zone = (match[8] or "Z").upper()
    if zoned and zone not in ("Z", "UTC"):
        digits = zone[1:].replace(":", "")
        ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
        result = result - ahead if zone[0] == "+" else result + ahead
    return result


def moment_text(at: datetime) -> str:
    """A date and a time as it is stored."""
    return at.isoformat(" ")


def as_date(value: SqlValue) -> str:
    return moment(value).date().isoformat()


def as_day(value: SqlValue) -> str:
    """A parameter beside a date: of one with a time only the driver knows whether it is a timestamp."""
    at = moment(value)
    if at.time() != time():
        raise ValueError(f"'{text_of(value)}' is a parameter beside a date: say ::date or ::timestamp")
    return at.date().isoformat()


def as_datetime(value: SqlValue, zoned: int = 0, places: int = 6) -> str:
    return moment_text(moment(value, zoned=bool(zoned), places=places))


def as_time(value: SqlValue) -> str:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"invalid input syntax for type time: {value!r}")
    hour, minute, second = (int(item or 0) for item in match.group(1, 2, 3))
    result = datetime(1, 1, 1, hour, minute, second)
    return (result + timedelta(microseconds=_rounded_fraction(match[4], 6))).time().isoformat()


def shown_moment(value: str, zone: str = "") -> str:
    """A date and a time as text: without zeros that the fraction ends with."""
    return (value.rstrip("0") if "." in value else value) + zone


# --- numbers ----------------------------------------------------------------------------------------------------------
def as_integer(value: SqlValue) -> int | float:
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\s*[+-]?\d+\s*", value):
        raise ValueError(f"invalid input syntax for type integer: {value!r}")
    result = int(value)
    if not -(2**63) <= result < 2**63:
        raise ValueError(f"{value} is out of range for type bigint")
    return result


def as_decimal(value: SqlValue) -> int | float:
    if isinstance(value, int | float):
        return _finite(value)
    try:
        result = Decimal(value.strip()) if isinstance(value, str) else None
    except InvalidOperation:
        result = None
    if result is None:
        raise ValueError(f"invalid input syntax for type numeric: {value!r}")
    if not result.is_finite():
        raise ValueError(f"{text_of(value)} is no number that is kept")
    whole = result == result.to_integral_value() and abs(result) < 2**63
    return int(result) if whole else float(result)


def as_double(value: SqlValue) -> float:
    return float(_finite(float(as_decimal(value))))


def _finite(value: int | float) -> int | float:
    if not math.isfinite(value):
        raise ValueError(f"{text_of(value)} is no number that is kept")
    return value


def single(value: SqlValue) -> float:
    """What a REAL of that text is worth."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def as_real(value: SqlValue) -> float:
    """A REAL, as the shortest number that means it.  Raises OverflowError for one that is too great."""
    exact = single(as_double(value))
    lengths = (float(f"{exact:.{digits}g}") for digits in range(1, 10))
    return next(short for short in lengths if single(short) == exact)


def real_plus(a: float, b: float) -> float:
    return as_real(single(a) + single(b))


def real_minus(a: float, b: float) -> float:
    return as_real(single(a) - single(b))


def real_times(a: float, b: float) -> float:
    return as_real(single(a) * single(b))


def real_over(a: float, b: float) -> float:
    if not single(b):
        raise ZeroDivisionError("division by zero")
    return as_real(single(a) / single(b))


def double_text(value: Number, bits: int = 64) -> str:
    """A floating point number: with an exponent, if that is less than -4 or has more digits than are exact."""
    number = Decimal(repr(float(value)))
    exponent = number.adjusted()
    if not number:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if -4 <= exponent < (15 if bits == 64 else 6):
        text = f"{number:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0") or "0"
    sign = "-" if number.is_signed() else ""
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def number_text(text: str) -> str:
    """A number of a statement as PostgreSQL writes it."""
    return f"{Decimal(text):f}"


def into_integer(value: SqlValue) -> int:
    """What an integer column keeps of a floating point number: the nearest even one of two."""
    result = as_integer(value)
    return round(result) if isinstance(result, float) else result


def nearest(value: SqlValue) -> int:
    """An exact number as a whole one: half away from zero."""
    return int(Decimal(repr(value)).quantize(Decimal(1), ROUND_HALF_UP, _CONTEXT))


def exact_plus(a: SqlValue, b: SqlValue) -> int | float:
    return _unscaled(Decimal(repr(a)) + Decimal(repr(b)))


def exact_minus(a: SqlValue, b: SqlValue) -> int | float:
    return _unscaled(Decimal(repr(a)) - Decimal(repr(b)))


def exact_times(a: SqlValue, b: SqlValue) -> int | float:
    return _unscaled(_CONTEXT.multiply(Decimal(repr(a)), Decimal(repr(b))))


def exact_mod(a: SqlValue, b: SqlValue) -> int | float:
    if not b:
        raise ZeroDivisionError("division by zero")
    return _unscaled(_CONTEXT.remainder(Decimal(repr(a)), Decimal(repr(b))))


def _unscaled(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value) + 0.0


# --- others -----------------------------------------------------------------------------------------------------------
def as_boolean(value: SqlValue) -> int:
    if isinstance(value, int) and value in (0, 1):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    if (text and any(word.startswith(text) for word in ("true", "yes"))) or text in ("on", "1"):
        return 1
    if (text and any(word.startswith(text) for word in ("false", "no"))) or text in ("off", "of", "0"):
        return 0
    raise ValueError(f"invalid input syntax for type boolean: {value!r}")


def as_text(value: SqlValue) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"a text is meant where {value!r} is: give a str")


def as_char(value: SqlValue, size: int = 1) -> str:
    return as_text(value).rstrip(" ").ljust(size)


def as_uuid(value: SqlValue) -> str:
    return str(uuid.UUID(text_of(value)))


def as_bytes(value: SqlValue) -> bytes:
    if isinstance(value, bytes):
        return value
    if as_text(value).startswith("\\x"):
        return bytes.fromhex(as_text(value)[2:])
    return b"".join(_escaped(part) for part in _ESCAPED.findall(as_text(value)))


_ESCAPED = re.compile(r"\\\\|\\[0-3][0-7]{2}|[^\\]+|\\", re.DOTALL)


def _escaped(part: str) -> bytes:
    """A part of the escape format of bytes."""
    if part[0] != "\\":
        return part.encode()
    if part == "\\":
        raise ValueError("invalid input syntax for type bytea")
    return b"\\" if part[1] == "\\" else bytes([int(part[1:], 8)])


def boolean_text(value: SqlValue, short: int = 0) -> str:
    text = "true" if value else "false"
    return text[0] if short else text


def integer_text(value: SqlValue) -> str:
    if not isinstance(value, int):
        raise TypeError(f"a whole number is meant where {value!r} is")
    return str(value)


def into_decimal(value: SqlValue, scale: int) -> int | float:
    return inexact(Decimal(repr(as_decimal(value))), scale)


def within(value: Number, digits: int, scale: int = 0) -> int | float:
    """A number with no more digits than a type allows.  Raises OverflowError."""
    if abs(value) >= 10 ** (digits - scale):
        raise OverflowError(f"numeric field overflow: {value}")
    return value


def as_label(value: SqlValue, labels: str, name: str) -> str:
    """A text as one of an enumerated type.  Raises ValueError for other texts."""
    if value not in json.loads(labels):
        raise ValueError(f'invalid input value for enum {name}: "{text_of(value)}"')
    return text_of(value)


HELPERS: dict[str, Implementation] = {
    "as_date": as_date,
    "as_day": as_day,
    "as_datetime": as_datetime,
    "as_time": as_time,
    "as_integer": as_integer,
    "as_decimal": as_decimal,
    "as_double": as_double,
    "as_real": as_real,
    "as_boolean": as_boolean,
    "as_text": as_text,
    "as_char": as_char,
    "as_label": as_label,
    "as_uuid": as_uuid,
    "as_bytes": as_bytes,
    "as_interval": lambda value: interval_text(interval_of(value)),
    "as_json": checked_json,
    "as_jsonb": canonical,
    "real_plus": real_plus,
    "real_minus": real_minus,
    "real_times": real_times,
    "real_over": real_over,
    "into_integer": into_integer,
    "into_decimal": into_decimal,
    "within": within,
    "single": single,
    "nearest": nearest,
    "nearest_even": lambda value: round(value),
    "exact_plus": exact_plus,
    "exact_minus": exact_minus,
    "exact_times": exact_times,
    "exact_mod": exact_mod,
    "double_text": double_text,
    "boolean_text": boolean_text,
    "integer_text": integer_text,
    "number_text": lambda value: str(value) if isinstance(value, int) else double_text(value),
    "moment_text": shown_moment,
    "bytes_text": lambda value: "\\x" + value.hex(),
    "date_and_time": lambda day, clock: f"{date.fromisoformat(day)} {clock}",
}
"""By name without the prefix that they have in SQL."""
