"""PostgreSQL's SQL functions in Python, and those that its rules call."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Context, Decimal

from clusterdb.flavours import functions as f
from clusterdb.flavours.functions import Number, SqlValue, text_of
from clusterdb.flavours.postgresql import formats, intervals
from clusterdb.flavours.postgresql import values as v

_CONTEXT = Context(prec=50)


def div(a: Number, b: Number) -> int | float:
    """Whole numbers give a whole number.  Raises ZeroDivisionError."""
    if not b:
        raise ZeroDivisionError("division by zero")
    if isinstance(a, int) and isinstance(b, int):
        result = abs(a) // abs(b)
        return result if (a < 0) == (b < 0) else -result
    return a / b


def mod(a: Number, b: Number) -> int | float:
    if not b:
        raise ZeroDivisionError("division by zero")
    result = abs(a) % abs(b)
    return -result if a < 0 else result


def shift(value: SqlValue, interval: str, sign: int = 1) -> str:
    """A date or a time, and an interval: a timestamp."""
    return v.moment_text(intervals.later(v.moment(value), intervals.interval_of(interval), sign))


def clock_shift(value: str, interval: str, sign: int = 1) -> str:
    """A time of the day and an interval: only its time counts, around the clock."""
    at = datetime.combine(datetime(2000, 1, 1), time.fromisoformat(value))
    return (at + sign * timedelta(microseconds=intervals.interval_of(interval).micros)).time().isoformat()


def clock_between(later: str, earlier: str) -> str:
    first, second = (datetime.combine(datetime(2000, 1, 1), time.fromisoformat(item)) for item in (earlier, later))
    return intervals.interval_text(intervals.between(second, first))


def add_days(value: SqlValue, days: int) -> str:
    return (v.moment(value).date() + timedelta(days=days)).isoformat()


def days_between(later: SqlValue, earlier: SqlValue) -> int:
    return (v.moment(later).date() - v.moment(earlier).date()).days


def time_between(later: SqlValue, earlier: SqlValue) -> str:
    """The time between two timestamps."""
    return intervals.interval_text(intervals.between(v.moment(later), v.moment(earlier)))


def age(later: SqlValue, earlier: SqlValue) -> str:
    """Years, months and days from one time to another, as timestamp_age() of the server counts them."""
    second, first = v.moment(later), v.moment(earlier)
    if second < first:
        months, days, micros = _age(first, second)
        return intervals.interval_text(intervals.Interval(-months, -days, -micros))
    return intervals.interval_text(intervals.Interval(*_age(second, first)))


def _age(second: datetime, first: datetime) -> tuple[int, int, int]:
    months = (second.year - first.year) * 12 + second.month - first.month
    days = second.day - first.day
    micros = (_seconds(second) - _seconds(first)) * 1_000_000 + second.microsecond - first.microsecond
    if micros < 0:
        micros, days = micros + 86_400_000_000, days - 1
    if days < 0:
        days, months = days + calendar.monthrange(first.year, first.month)[1], months - 1
    return months, days, micros


def _seconds(at: datetime) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def extract(unit: str, value: str) -> int | float:
    """A part of a date, a time or a timestamp."""
    unit = unit.lower()
    if value[2:3] == ":":
        at, allowed = v.moment(f"1970-01-01 {value}"), {"hour", "minute", "second", "epoch", "microseconds"}
    else:
        at, allowed = v.moment(value), set(_UNITS)
        allowed -= set() if len(value) > 10 else {"hour", "minute", "second", "microseconds", "milliseconds"}
    if unit not in allowed:
        raise ValueError(f"{unit} of {value!r}")
    result = _UNITS[unit](at)
    return int(result) if isinstance(result, float) and result.is_integer() else result


_UNITS: dict[str, Callable[[datetime], int | float]] = {
    "year": lambda at: at.year,
    "isoyear": lambda at: at.isocalendar()[0],
    "quarter": lambda at: (at.month + 2) // 3,
    "month": lambda at: at.month,
    "week": lambda at: at.isocalendar()[1],
    "day": lambda at: at.day,
    "doy": lambda at: at.timetuple().tm_yday,
    "dow": lambda at: at.isoweekday() % 7,
    "isodow": lambda at: at.isoweekday(),
    "hour": lambda at: at.hour,
    "minute": lambda at: at.minute,
    "second": lambda at: (at.second * 1_000_000 + at.microsecond) / 1_000_000,
    "milliseconds": lambda at: (at.second * 1_000_000 + at.microsecond) / 1000,
    "microseconds": lambda at: at.second * 1_000_000 + at.microsecond,
    "epoch": lambda at: (at - datetime(1970, 1, 1)) / timedelta(seconds=1),
    "decade": lambda at: at.year // 10,
    "century": lambda at: (at.year + 99) // 100,
}


def date_trunc(unit: str, value: str) -> str:
    """The beginning of the unit that a time lies in.  Raises ValueError for units that it has not."""
    result = f.date_trunc(unit, value)
    if result is None:
        raise ValueError(f"date_trunc('{unit}', '{value}')")
    return str(result)


def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> str:
    micros = round(second * 1_000_000)
    return v.moment_text(datetime(year, month, day, hour, minute) + timedelta(microseconds=micros))


def to_timestamp(value: str | Number, form: str | None = None) -> str:
    """A time from its number of seconds since 1970, or from a text in a form."""
    if form is not None and isinstance(value, str):
        return v.moment_text(formats.parsed(value, form))
    if form is None and not isinstance(value, str):
        return v.moment_text(datetime(1970, 1, 1) + timedelta(seconds=value))
    raise TypeError(f"to_timestamp() of {value!r}")


def to_char(value: str | Number, form: str) -> str:
    """Dates and numbers, in a form."""
    return formats.number_as(value, form) if isinstance(value, int | float) else formats.time_as(value, form)


def substring(text: SqlValue, at: int, length: int | None = None) -> str:
    text = text_of(text)
    if length is not None and length < 0:
        raise ValueError("negative substring length not allowed")
    end = len(text) if length is None else at - 1 + length
    return text[max(0, at - 1) : max(0, end)]


def overlaid(text: str, new: str, at: int, length: int) -> str:
    if at < 1:
        raise ValueError("negative substring length not allowed")
    return text[: at - 1] + new + text[max(0, at - 1 + length) :]


def split_part(text: str, delimiter: str, number: int) -> str:
    if not number:
        raise ValueError("field position must not be zero")
    if not delimiter:
        return text if number in (1, -1) else ""
    return str(f.split_part(text, delimiter, number))


def concat(*values: SqlValue) -> str:
    return "".join(text_of(value) for value in values if value is not None)


def joined(a: SqlValue, b: SqlValue) -> SqlValue:
    """``||`` of texts, and of bytes."""
    return a + b if isinstance(a, bytes) and isinstance(b, bytes) else text_of(a) + text_of(b)


def to_hex(value: int, size: int = 64) -> str:
    return f"{value & (2**size - 1):x}"


def checked_code(code: int) -> int:
    """A code point that PostgreSQL has.  Raises ValueError for zero."""
    if code <= 0:
        raise ValueError("null character not permitted")
    return code


def formatted(form: str | None, *values: SqlValue) -> str | None:
    """format(), with the parameters in order, or by their number, and a width."""
    if form is None:
        return None
    rest = iter(values)

    def result(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        try:
            value = values[int(match[1]) - 1] if match[1] else next(rest)
        except (IndexError, StopIteration):
            raise ValueError("too few arguments for format()") from None
        if value is None and match[4] == "I":
            raise ValueError("null values cannot be formatted as an SQL identifier")
        text = {"s": "" if value is None else text_of(value), "L": "NULL"}.get(match[4], "")
        if value is not None and match[4] in "IL":
            text = str({"I": quote_ident, "L": quote_literal}[match[4]](text_of(value)))
        width = int(match[3] or 0)
        return text.ljust(width) if match[2] else text.rjust(width)

    pattern = r"%(?:(\d+)\$)?(-)?(\d+)?([sIL])|%%"
    if "%" in re.sub(pattern, "", form) or (re.search(r"%\d+\$", form) and re.search(r"%-?\d*[sIL]", form)):
        raise ValueError(f"the format {form!r}")
    return re.sub(pattern, result, form)


def quote_ident(name: str) -> str:
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ]
)


def quote_literal(value: SqlValue) -> str:
    text = text_of(value).replace("'", "''")
    return "E'" + text.replace("\\", "\\\\") + "'" if "\\" in text else f"'{text}'"


def encode(data: bytes, how: str) -> str:
    if how == "escape":
        return "".join(_escaped(byte) for byte in data)
    if how not in ("hex", "base64"):
        raise ValueError(f"encode() as {how}")
    return data.hex() if how == "hex" else f.to_base64(data)


def _escaped(byte: int) -> str:
    """A byte in the escape format."""
    return "\\\\" if byte == 92 else chr(byte) if 0 < byte < 128 else f"\\{byte:03o}"


def decode(text: str, how: str) -> bytes:
    if how not in ("hex", "base64"):
        raise ValueError(f"decode() as {how}")
    return bytes.fromhex(text) if how == "hex" else f.from_base64(text)


def width_bucket(value: float, low: float, high: float, count: int) -> int:
    if low >= high:
        raise ValueError("width_bucket() with its bounds the other way round")
    if value < low:
        return 0
    return count + 1 if value >= high else int((value - low) / (high - low) * count) + 1


# --- whole numbers of a size ------------------------------------------------------------------------------------------
def fitting(value: Number, size: int = 64) -> Number:
    """A number; a whole one within its size.  Raises OverflowError."""
    if isinstance(value, int) and not -(2 ** (size - 1)) <= value < 2 ** (size - 1):
        raise OverflowError({16: "smallint", 32: "integer"}.get(size, "bigint") + " out of range")
    return f.checked(value)


def wrapped(value: int, size: int) -> int:
    value &= 2**size - 1
    return value - 2**size if value >= 2 ** (size - 1) else value


def rounded_even(value: float) -> float:
    return float(round(value))


def exact_over(a: Number, b: Number) -> float:
    if not b:
        raise ZeroDivisionError("division by zero")
    return float(_CONTEXT.divide(Decimal(repr(a)), Decimal(repr(b)))) + 0.0  # there is no minus zero


def quotient(a: Number, b: Number) -> float:
    if not b:
        raise ZeroDivisionError("division by zero")
    return float(a) / float(b)


def compare(a: SqlValue, b: SqlValue) -> int | None:
    """Which of two parameters is larger.  Raises TypeError for those of different types."""
    if a is None or b is None:
        return None
    if isinstance(a, int | float) != isinstance(b, int | float) or isinstance(a, bytes) != isinstance(b, bytes):
        raise TypeError("two parameters of different types are compared: say their types")
    return (a > b) - (a < b)  # type: ignore[operator]  # both are of one type


def jsonb_number(value: SqlValue) -> int | float:
    """A number of jsonb.  Raises ValueError for other values."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return v.as_decimal(value)
    if isinstance(value, int | float):
        return value
    raise ValueError(f"cannot cast jsonb to a number: {text_of(value)}")


def padded(text: SqlValue, length: int, fill: SqlValue = " ") -> SqlValue:
    return f.lpad(text, max(0, length), fill) or ""


def padded_right(text: SqlValue, length: int, fill: SqlValue = " ") -> SqlValue:
    return f.rpad(text, max(0, length), fill) or ""


def overlaps(a: str, b: str, c: str, d: str) -> int:
    first, second = sorted((a, b)), sorted((c, d))
    return int(first[0] < second[1] and second[0] < first[1])


def logarithm(a: float, b: float | None = None) -> float:
    return math.log10(a) if b is None else math.log(b, a)


def cube_root(value: float) -> float:
    return float(f.rounded(math.copysign(abs(value) ** (1 / 3), value), 12))


def least(*values: SqlValue) -> SqlValue:
    """The smallest of those that are not NULL."""
    return min((value for value in values if value is not None), default=None)


def greatest(*values: SqlValue) -> SqlValue:
    """The largest of those that are not NULL."""
    return max((value for value in values if value is not None), default=None)


class Every:
    def __init__(self, how: Callable[[list[bool]], bool]) -> None:
        self._how = how
        self._values: list[bool] = []

    def step(self, value: SqlValue) -> None:
        if value is not None:
            self._values.append(bool(value))

    def final(self) -> int | None:
        return int(self._how(self._values)) if self._values else None


class Total:
    """The sum of exact numbers, or their mean."""

    def __init__(self, *, mean: bool) -> None:
        self._mean, self._count, self._sum = mean, 0, Decimal(0)

    def step(self, value: SqlValue) -> None:
        if value is not None:
            self._sum = _CONTEXT.add(self._sum, Decimal(repr(value)))
            self._count += 1

    def final(self) -> int | float | None:
        if not self._count:
            return None
        result = _CONTEXT.divide(self._sum, self._count) if self._mean else self._sum
        whole = not self._mean and result == result.to_integral_value() and abs(result) < 2**63
        return int(result) if whole else float(result)


class Reals:
    """sum() of REALs, each sum of which is rounded to one."""

    def __init__(self) -> None:
        self._sum: float | None = None

    def step(self, value: float | None) -> None:
        if value is not None:
            self._sum = value if self._sum is None else v.real_plus(self._sum, value)

    def final(self) -> float | None:
        return self._sum


class Spans:
    """The sum of intervals."""

    def __init__(self) -> None:
        self._sum: intervals.Interval | None = None

    def step(self, value: SqlValue) -> None:
        if value is not None:
            more, old = intervals.interval_of(value), self._sum or intervals.Interval(0, 0, 0)
            self._sum = intervals.Interval(old.months + more.months, old.days + more.days, old.micros + more.micros)

    def final(self) -> str | None:
        return None if self._sum is None else intervals.interval_text(self._sum)
