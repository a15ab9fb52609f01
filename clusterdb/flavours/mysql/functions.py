"""MySQL's SQL functions in Python, and those that its rules call."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from clusterdb.flavours import functions as f
from clusterdb.flavours.collations import fold, key, like
from clusterdb.flavours.functions import Implementation, SqlValue, number_of, text_of
from clusterdb.flavours.mysql.json import truth_or_number


def div(a: SqlValue, b: SqlValue) -> float | None:
    return number_of(a) / number_of(b) if number_of(b) else None


def quotient(a: SqlValue, b: SqlValue, digits: int) -> int | float | None:
    """An exact quotient, truncated to a number of digits."""
    divisor = f.exact(b)
    if not divisor:
        return None
    return float((f.exact(a) / divisor).quantize(Decimal(1).scaleb(-digits), ROUND_DOWN))


def int_div(a: SqlValue, b: SqlValue) -> int | None:
    return f.fitting(int(f.exact(a) / f.exact(b))) if number_of(b) else None


def mod(a: SqlValue, b: SqlValue) -> int | float | None:
    a, b = number_of(a), number_of(b)
    if not b:
        return None
    result = abs(f.exact(a)) % abs(f.exact(b))
    result = -result if a < 0 else result
    return int(result) if isinstance(a, int) and isinstance(b, int) else float(result)


def unsigned(value: int) -> int:
    """What bits make.  Raises OverflowError where only an unsigned number would do."""
    value &= 2**64 - 1
    if value >= 2**63:
        raise OverflowError(f"{value} is larger than the largest integer that is kept")
    return value


def bits(value: SqlValue) -> int:
    """A number as 64 bits."""
    return f.whole(value) & (2**64 - 1)


def shifted(value: SqlValue, count: SqlValue, *, left: bool) -> int:
    places = f.whole(count)
    if not 0 <= places < 64:
        return 0
    return unsigned(bits(value) << places if left else bits(value) >> places)


def rounded(value: SqlValue, digits: SqlValue = 0) -> int | float:
    """A floating point number half to even, an exact one half away from zero."""
    number, places = number_of(value), f.whole(digits)
    if isinstance(number, int):
        return f.rounded(number, places)
    if places >= 0:
        scale = 10.0**places
        result = round(number * scale) / scale if math.isfinite(number * scale) else number
        return float(result)
    return float(round(number / 10**-places) * 10**-places)


def compare(a: SqlValue, b: SqlValue) -> int | None:
    """Less than nothing, nothing, or more, as a comparison of two values has it."""
    if a is None or b is None:
        return None
    if isinstance(a, str) and isinstance(b, str):
        first, second = key(a), key(b)
        return (first > second) - (first < second)
    if isinstance(a, bytes) or isinstance(b, bytes):
        one, other = (item if isinstance(item, bytes) else text_of(item).encode() for item in (a, b))
        return (one > other) - (one < other)
    left, right = number_of(a), number_of(b)
    return (left > right) - (left < right)


def word(value: SqlValue) -> str:
    """A parameter that is compared with a text.  Raises TypeError for a number."""
    if isinstance(value, int | float):
        raise TypeError(f"a text is compared with the number {value}: give a str, or write the column + 0")
    return value if isinstance(value, str) else text_of(value)


def figure(value: SqlValue) -> SqlValue:
    """A parameter among numbers.  Raises TypeError for a text."""
    if isinstance(value, str | bytes):
        raise TypeError(f"a number is meant where '{value!r}' is: give an int or a float")
    return value


def json_word(text: str) -> str:
    """A JSON string as what a text is compared with.  Raises TypeError for other values."""
    value = json.loads(text)
    if not isinstance(value, str):
        raise TypeError(f"JSON that is no string is compared with a text: {text}")
    return value


def json_beside(text: str, other: SqlValue) -> SqlValue:
    """JSON as what a parameter is compared with."""
    return truth_or_number(text) if isinstance(other, int | float) else json_word(text)


# --- what is stored ---------------------------------------------------------------------------------------------------
_WHOLE_NUMBER = re.compile(r"\s*[-+]?(?:\d++\.?\d*+|\.\d+)(?:[eE][-+]?\d+)?\s*")


def _stored_number(value: SqlValue) -> int | float:
    if isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        raise ValueError(f"Incorrect number: '{value}'")
    return number_of(value)


def into_int(value: SqlValue) -> int:
    """A number as an integer column keeps it: rounded."""
    number = _stored_number(value)
    return number if isinstance(number, int) else round(number) if isinstance(value, float) else f.whole(number)


def into_some_int(value: SqlValue) -> int:
    """What a parameter is calculated with, in an integer column.  Raises ValueError if it lies between two numbers."""
    if isinstance(value, float) and value % 1 == 0.5:
        raise ValueError(f"{value} as a whole number: an exact number would be rounded otherwise than another one")
    return int(into_int(value))


def into_exact_int(value: SqlValue) -> int:
    return f.whole(_stored_number(value))


def into_decimal(value: SqlValue, scale: int) -> int | float:
    return f.decimal_rounded(_stored_number(value), scale)


def into_text(value: SqlValue) -> str | bytes:
    return value if isinstance(value, str | bytes) else text_of(value)


def into_single(value: SqlValue) -> int | float:
    """A FLOAT: only what six digits can say.  Raises ValueError."""
    number = _stored_number(value)
    if float(f"{number:.6g}") != number:
        raise ValueError(f"a FLOAT keeps six digits only: {number!r}")
    return number


def into_date(value: SqlValue) -> str:
    return f.moment_of(value).date().isoformat()


def divisor(value: SqlValue) -> SqlValue:
    """What is divided by.  Raises ZeroDivisionError."""
    if number_of(value) == 0:
        raise ZeroDivisionError("Division by 0")
    return value


def differs(old: SqlValue, new: SqlValue) -> int:
    """Whether a value is another one than before, to the byte."""
    alike = isinstance(old, str | bytes) == isinstance(new, str | bytes)
    return int(old != new if alike or old is None or new is None else text_of(old) != text_of(new))


_ZEROS = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?:[ T]+(\d\d?:\d\d:\d\d)(?:\.(\d{1,6}))?)?")


def _with_zeros(value: SqlValue, zero_allowed: int, in_allowed: int) -> tuple[str, str] | None:
    """A date with zeros in it, as some SQL modes allow, and the time behind it; None for other dates."""
    match = _ZEROS.fullmatch(value.strip()) if isinstance(value, str) else None
    if value == 0 and isinstance(value, int) and zero_allowed:
        return "0000-00-00", "00:00:00"
    if match is None:
        return None
    year, month, day = (int(part) for part in match.group(1, 2, 3))
    is_zero = not (year or month or day)
    if (month and day) or not (zero_allowed if is_zero else in_allowed) or month > 12 or day > 31:
        return None
    return f"{year:04}-{month:02}-{day:02}", (match[4] or "00:00:00").rjust(8, "0")


def into_zero_date(value: SqlValue, zero_allowed: int, in_allowed: int) -> str:
    """A date, which may have zeros in it."""
    zeros = _with_zeros(value, zero_allowed, in_allowed)
    return zeros[0] if zeros is not None else str(into_date(value))


def into_zero_datetime(value: SqlValue, digits: int, zero_allowed: int, in_allowed: int) -> str:
    """A date and a time, the date of which may have zeros in it."""
    zeros = _with_zeros(value, zero_allowed, in_allowed)
    return " ".join(zeros) if zeros is not None else str(into_datetime(value, digits))


def into_datetime(value: SqlValue, digits: int) -> str:
    """A date and a time with as many digits of a second as the column has: rounded, as MySQL 8 does it."""
    at = f.moment_of(value)
    unit = 10 ** (6 - digits)
    rest = at.microsecond % unit
    return (at + timedelta(microseconds=(unit if 2 * rest >= unit else 0) - rest)).isoformat(" ")


def as_time(value: SqlValue) -> str:
    """A time of the day, or a span of less than a day.  Raises ValueError."""
    match = re.fullmatch(r"(?:\d{4}-\d\d-\d\d )?(\d\d?):(\d\d)(?::(\d\d))?(?:\.0*)?", text_of(value))
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3] or 0) > 59:
        raise ValueError(f"'{text_of(value)}' is no time of the day")
    return f"{int(match[1]):02}:{match[2]}:{match[3] or '00'}"


def into_year(value: SqlValue) -> int:
    number = f.whole(_stored_number(value))
    if 0 < number < 100 or (number == 0 and isinstance(value, str)):
        number += 2000 if number < 70 else 1900
    if number and not 1901 <= number <= 2155:
        raise ValueError(f"Out of range value for a YEAR: {text_of(value)}")
    return number


def into_bytes(value: SqlValue, size: int = 0) -> bytes:
    result = value if isinstance(value, bytes) else text_of(value).encode()
    return result.ljust(size, b"\0")


def xor(a: SqlValue, b: SqlValue) -> int:
    return int(bool(number_of(a)) != bool(number_of(b)))


def to_int(value: SqlValue) -> int:
    return int(f.rounded(value)) if isinstance(value, float) else int(number_of(value))


def to_unsigned(value: SqlValue) -> int:
    number = to_int(value)
    if number < 0:
        raise OverflowError(f"{number} as an unsigned number is larger than the largest integer that is kept")
    return number


def to_text(value: SqlValue, length: int = -1) -> str:
    return text_of(value)[:length] if length >= 0 else text_of(value)


def date_only(value: SqlValue) -> SqlValue:
    """The day.  Raises ValueError for a text that begins with one and has more, of which MySQL takes a part."""
    if isinstance(value, int | float):
        raise TypeError(f"{value} as a date")
    result = f.date_only(value)
    if result is None and re.match(r"\s*\d{1,4}([-/.:]\d|\s*\Z)", text_of(value)):
        raise ValueError(f"'{text_of(value)}' is no date, though it begins with one")
    return result


def to_decimal(value: SqlValue, scale: int, digits: int = 65) -> float | int:
    result = f.rounded(float(number_of(value)), scale)
    if abs(result) >= 10 ** (digits - scale):
        raise OverflowError(f"{result} has more than {digits - scale} digits before the point")
    return result


def substring(text: SqlValue, at: SqlValue, length: SqlValue = None) -> str:
    text, at, length = text_of(text), f.whole(at), None if length is None else f.whole(length)
    if at == 0 or (length is not None and length <= 0) or abs(at) > len(text):
        return ""
    start = at - 1 if at > 0 else len(text) + at
    return text[start:] if length is None else text[start : start + length]


def locate(word: SqlValue, text: SqlValue, at: SqlValue = 1) -> int:
    start = f.whole(at)
    if start <= 0:
        return 0
    text, word = text_of(text), text_of(word)
    result = fold(text).find(fold(word), start - 1)
    if result != text.lower().find(word.lower(), start - 1):
        raise ValueError(f"'{word}' in '{text}': letters are equal of which the bytes are not as many")
    return result + 1


def strcmp(a: SqlValue, b: SqlValue) -> int:
    a, b = key(text_of(a)), key(text_of(b))
    return (a > b) - (a < b)


def quote(text: SqlValue) -> str:
    return "'" + re.sub(r"(['\\])", r"\\\1", text_of(text)) + "'"


def field(wanted: SqlValue, *values: SqlValue) -> int:
    for at, value in enumerate(values, 1):
        if wanted is not None and compare(value, wanted) == 0:
            return at
    return 0


def elt(number: SqlValue, *values: SqlValue) -> SqlValue:
    at = None if number is None else f.whole(number)
    return values[at - 1] if at is not None and 0 < at <= len(values) else None


def find_in_set(word: SqlValue, words: SqlValue) -> int:
    parts = [key(item) for item in text_of(words).split(",")] if text_of(words) else []
    return parts.index(key(text_of(word))) + 1 if key(text_of(word)) in parts else 0


def with_commas(value: SqlValue, digits: int) -> str:
    return f"{float(f.rounded(float(number_of(value)), max(0, digits))):,.{max(0, digits)}f}"


def conv(value: SqlValue, source: int, target: int) -> str:
    match = re.match(r"\s*-?[0-9a-zA-Z]+", text_of(value))
    text, digits = match[0].strip() if match is not None else "0", ""
    digits_of = "0123456789abcdefghijklmnopqrstuvwxyz"[: abs(source)]
    good = re.match(f"-?[{digits_of}]+", text.lower())
    number = int(good[0], abs(source)) if good is not None and good[0] != "-" else 0
    number &= 2**64 - 1  # as an unsigned number of 64 bits
    if target < 0 or source < 0:
        raise ValueError("CONV() of a negative base")
    while number:
        number, digit = divmod(number, abs(target))
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits or "0"


def log(a: SqlValue, b: SqlValue = None) -> float | None:
    a = number_of(a)
    if a <= 0:
        return None
    return math.log(a) if b is None else math.log(number_of(b), a)


def hex_of(value: SqlValue) -> str:
    if isinstance(value, int | float):
        return f"{bits(value):X}"
    return (value if isinstance(value, bytes) else text_of(value).encode()).hex().upper()


def unhex(text: SqlValue) -> bytes | None:
    try:
        return bytes.fromhex(text_of(text))
    except ValueError:
        return None


_COMPOUND: dict[str, tuple[str, ...]] = {
    "hour_minute": ("hour", "minute"),
    "minute_second": ("minute", "second"),
    "day_hour": ("day", "hour"),
    "year_month": ("year", "month"),
    "hour_second": ("hour", "minute", "second"),
    "day_minute": ("day", "hour", "minute"),
    "day_second": ("day", "hour", "minute", "second"),
}


def add(value: SqlValue, count: SqlValue, unit: str) -> SqlValue:
    units = _COMPOUND.get(unit.lower())
    if units is None:
        fraction = f.unit_of(unit) in ("second", "microsecond")
        if not fraction and not float(number_of(count)).is_integer():
            raise TypeError(f"an interval of {text_of(count)} {unit}")
        number = number_of(count) if fraction else int(number_of(count)) if isinstance(count, str) else f.whole(count)
        return f.add_interval(value, number, unit)
    sign = -1 if text_of(count).strip().startswith("-") else 1
    numbers = re.findall(r"\d+", text_of(count))
    for item, number in zip(units[len(units) - len(numbers) :], numbers, strict=False):
        value = f.add_interval(value, sign * int(number), item)
    return value


@f.null_if_invalid
def extract(unit: str, value: SqlValue) -> int | float | None:
    unit = unit.lower()
    if isinstance(value, int | float):
        raise TypeError(f"{value} as a date")
    if unit == "week":
        return int(f.moment_of(value).strftime("%U"))
    if unit == "year_month":
        year, month = f.part("year", value), f.part("month", value)
        return None if year is None or month is None else year * 100 + month
    return f.part(unit, value)


@f.null_if_invalid
def timestampdiff(unit: str, earlier: SqlValue, later: SqlValue) -> int:
    first, second = f.moment_of(earlier), f.moment_of(later)
    unit = f.unit_of(unit)
    if unit in f.MONTHS:
        sign = 1
        if second < first:
            first, second, sign = second, first, -1
        months = (second.year - first.year) * 12 + second.month - first.month
        if (second.day, second.time()) < (first.day, first.time()):
            months -= 1
        return sign * (months // f.MONTHS[unit])
    return int((second - first) / f.UNITS[unit])


@f.null_if_invalid
def timediff(later: SqlValue, earlier: SqlValue) -> str:
    if ":" in text_of(later)[:4] and ":" in text_of(earlier)[:4]:
        return f.clock(time_to_sec(later) - time_to_sec(earlier))
    return f.clock((f.moment_of(later) - f.moment_of(earlier)).total_seconds())


def time_to_sec(text: SqlValue) -> int:
    sign, hours, minutes, seconds = _clock_of(text)
    return sign * (hours * 3600 + minutes * 60 + seconds)


def _clock_of(text: SqlValue) -> tuple[int, int, int, int]:
    """The sign, hours, minutes and seconds of a time, or of a date and a time.  Raises ValueError."""
    match = re.fullmatch(r"(?:\d{4}-\d\d-\d\d[ T])?(-?)(\d{1,3}):(\d\d)(?::(\d\d)(?:\.\d*)?)?", text_of(text).strip())
    if match is None:
        raise ValueError(f"'{text_of(text)}' is no time")
    return -1 if match[1] else 1, int(match[2]), int(match[3]), int(match[4] or 0)


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:04}",
    "y": lambda at: f"{at.year % 100:02}",
    "m": lambda at: f"{at.month:02}",
    "c": lambda at: str(at.month),
    "d": lambda at: f"{at.day:02}",
    "e": lambda at: str(at.day),
    "H": lambda at: f"{at.hour:02}",
    "k": lambda at: str(at.hour),
    "h": lambda at: f"{(at.hour + 11) % 12 + 1:02}",
    "I": lambda at: f"{(at.hour + 11) % 12 + 1:02}",
    "l": lambda at: str((at.hour + 11) % 12 + 1),
    "i": lambda at: f"{at.minute:02}",
    "s": lambda at: f"{at.second:02}",
    "S": lambda at: f"{at.second:02}",
    "f": lambda at: f"{at.microsecond:06}",
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "W": lambda at: at.strftime("%A"),
    "a": lambda at: at.strftime("%a"),
    "M": lambda at: at.strftime("%B"),
    "b": lambda at: at.strftime("%b"),
    "j": lambda at: f"{at.timetuple().tm_yday:03}",
    "w": lambda at: str(at.isoweekday() % 7),
    "T": lambda at: at.strftime("%H:%M:%S"),
    "r": lambda at: at.strftime("%I:%M:%S %p"),
    "D": lambda at: f"{at.day}" + ("th" if 10 < at.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(at.day % 10, "th")),
    "U": lambda at: at.strftime("%U"),
    "u": lambda at: f"{_monday_week(at):02}",
    "V": lambda at: _sunday_week(at)[1],
    "X": lambda at: _sunday_week(at)[0],
    "v": lambda at: f"{at.isocalendar()[1]:02}",
    "x": lambda at: f"{at.isocalendar()[0]:04}",
}


def _monday_week(at: datetime) -> int:
    """The number of a week that begins on Monday; the first has four days or more in this year."""
    first = datetime(at.year, 1, 1).weekday()
    return (at.timetuple().tm_yday + first - 1) // 7 + (1 if first <= 3 else 0)


def _sunday_week(at: datetime) -> tuple[str, str]:
    """The year and the number of a week that begins on Sunday; days before the first are in the last year's last."""
    number, year = int(at.strftime("%U")), at.year
    if not number:
        year -= 1
        number = int(datetime(year, 12, 31).strftime("%U"))
    return f"{year:04}", f"{number:02}"


@f.null_if_invalid
def date_format(value: SqlValue, wanted: str) -> str | None:
    at = f.moment_of(value)
    if not wanted:
        return None
    return re.sub(r"%(.)", lambda match: _FORMATS[match[1]](at) if match[1] in _FORMATS else match[1], wanted)


_PARSED = {"Y": "%Y", "y": "%y", "m": "%m", "c": "%m", "d": "%d", "e": "%d", "H": "%H", "k": "%H", "h": "%I", "l": "%I"}
_PARSED |= {"i": "%M", "s": "%S", "S": "%S", "f": "%f", "p": "%p", "b": "%b", "M": "%B", "a": "%a", "W": "%A"}
_PARSED |= {"T": "%H:%M:%S", "j": "%j", "%": "%%"}


@f.null_if_invalid
def str_to_date(text: str, form: str) -> str:
    unknown = re.search(r"%[^YymcdeHkhlisSfpbMaWTj%]", form)
    if unknown is not None:
        raise TypeError(f"STR_TO_DATE() with {unknown[0]}")
    whole = re.sub(r"%(.)", lambda match: _PARSED.get(match[1], match[1]), form)
    try:
        at = datetime.strptime(text, whole)
    except ValueError as error:
        rest = re.search("unconverted data remains: (.*)", str(error), re.DOTALL)
        if rest is None:
            if re.fullmatch(r"[\d\W]+", text):
                raise TypeError(f"STR_TO_DATE() of '{text}', which does not fit '{form}'") from None
            raise
        at = datetime.strptime(text[: -len(rest[1])], whole)
    has_clock, has_date = re.search(r"%[HkhIlisSfT]", form), re.search(r"%[YymcdebMj]", form)
    if not has_date:
        return at.strftime("%H:%M:%S")
    return f.shown(at) if has_clock else at.date().isoformat()


@f.null_if_invalid
def week(value: SqlValue, mode: int = 0) -> int | None:
    at = f.moment_of(value)
    if mode == 3:
        return at.isocalendar()[1]
    if mode == 0:
        return int(at.strftime("%U"))
    if mode == 1:
        return _monday_week(at)
    raise ValueError(f"WEEK() with mode {mode}")


@f.null_if_invalid
def unix_timestamp(value: SqlValue) -> SqlValue:
    seconds = (f.moment_of(value) - datetime(1970, 1, 1)).total_seconds()
    return None if seconds < 0 else int(seconds) if seconds.is_integer() else seconds


def from_unixtime(seconds: SqlValue, form: str | None = None) -> str | None:
    if number_of(seconds) < 0:
        return None
    at = datetime(1970, 1, 1) + timedelta(seconds=number_of(seconds))
    return date_format(f.shown(at), form) if form is not None else f.shown(at)


def inet_aton(text: str) -> int:
    value = 0
    for item in text.split("."):
        value = value * 256 + int(item)
    return value


def inet_ntoa(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def char(*codes: SqlValue) -> bytes:
    result = b""
    for item in codes:
        code = None if item is None else f.whole(item)
        result += b"" if code is None else code.to_bytes(max(1, (code.bit_length() + 7) // 8), "big")
    return result


def concat(*values: SqlValue) -> str:
    return "".join(map(text_of, values))


def left(text: SqlValue, count: SqlValue) -> str:
    return text_of(text)[: max(0, f.whole(count))]


def right(text: SqlValue, count: SqlValue) -> str:
    return f.right(text, max(0, f.whole(count)))


def matches_like(text: SqlValue, pattern: SqlValue, escape: SqlValue = "\\") -> int:
    return int(like(text_of(text), text_of(pattern), text_of(escape)))


def matches_like_exactly(text: SqlValue, pattern: SqlValue, escape: SqlValue = "\\") -> int:
    return int(like(text_of(text), text_of(pattern), text_of(escape), exactly=True))


def joined_timestamp(value: SqlValue, clock: SqlValue) -> str:
    return f.shown(f.moment_of(value) + timedelta(seconds=time_to_sec(clock)))


def time(value: SqlValue) -> str:
    sign, hours, minutes, seconds = _clock_of(value)
    return f"{'-' * (sign < 0)}{hours:02}:{minutes:02}:{seconds:02}"


@f.null_if_invalid
def day_of_week(value: SqlValue) -> int:
    """Sunday is 1."""
    return f.moment_of(value).isoweekday() % 7 + 1


@f.null_if_invalid
def weekday(value: SqlValue) -> int:
    """Monday is 0."""
    return f.moment_of(value).weekday()


@f.null_if_invalid
def day_name(value: SqlValue) -> str:
    return f.moment_of(value).strftime("%A")


@f.null_if_invalid
def month_name(value: SqlValue) -> str:
    return f.moment_of(value).strftime("%B")


def rand(*seed: SqlValue) -> float:
    if seed:
        raise TypeError("RAND() with a seed")
    return random.random()


def greatest(*values: SqlValue) -> SqlValue:
    return _extreme(max, values)


def least(*values: SqlValue) -> SqlValue:
    return _extreme(min, values)


def _extreme(choose: Callable[..., SqlValue], values: tuple[SqlValue, ...]) -> SqlValue:
    if len({isinstance(value, str) for value in values}) > 1:
        raise TypeError("GREATEST and LEAST of numbers and texts")
    dated = all(_DATED.match(str(value)) for value in values)
    return choose(values, key=key) if isinstance(values[0], str) and not dated else choose(values)


_DATED = re.compile(r"\d{4}-\d\d-\d\d")


def lpad(text: SqlValue, length: SqlValue, fill: SqlValue = " ") -> SqlValue:
    return _padded(f.lpad, text, length, fill)


def rpad(text: SqlValue, length: SqlValue, fill: SqlValue = " ") -> SqlValue:
    return _padded(f.rpad, text, length, fill)


def _padded(how: Implementation, text: SqlValue, length: SqlValue, fill: SqlValue) -> SqlValue:
    count = f.whole(length)
    return None if not text_of(fill) and count > len(text_of(text)) else how(text, count, fill)


class AnyValue:
    """The first value of a group."""

    def __init__(self) -> None:
        self._values: list[SqlValue] = []

    def step(self, value: SqlValue) -> None:
        if not self._values:
            self._values.append(value)

    def final(self) -> SqlValue:
        return self._values[0] if self._values else None


class DistinctTexts:
    """GROUP_CONCAT(DISTINCT text ORDER BY text): of those that are equal, the first."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._descending = False

    def step(self, text: SqlValue, descending: int) -> None:
        self._descending = bool(descending)
        if text is not None:
            self._texts.setdefault(key(text_of(text)), text_of(text))

    def final(self) -> str | None:
        texts = [self._texts[text] for text in sorted(self._texts, reverse=self._descending)]
        return ",".join(texts) if texts else None
