"""PostgreSQL 15's SQL, as Aurora PostgreSQL has it."""

from __future__ import annotations

import json
import math
import random
import re
import uuid
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import apsw
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from clusterdb.flavours import functions as f
from clusterdb.flavours.flavour import (
    SAVEPOINT,
    Flavour,
    NotSaid,
    Translation,
    Work,
    among_dates,
    arithmetic,
    between_dates,
    call,
    compared_with_date,
    is_default,
    literal,
)
from clusterdb.flavours.functions import COMMON_AGGREGATES, Function, strict, text_of

__all__ = ["PostgreSQLFlavour"]


class _Dialect(Postgres):
    """PostgreSQL's grammar, with functions under their own names."""

    class Parser(Postgres.Parser):  # type: ignore[valid-type,misc]
        FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012


# --- functions --------------------------------------------------------------------------------------------------------
@strict
def div(a: Any, b: Any) -> int | float:
    """Whole numbers give a whole number.  Raises ZeroDivisionError."""
    if not b:
        raise ZeroDivisionError("division by zero")
    if isinstance(a, int) and isinstance(b, int):
        made = abs(a) // abs(b)
        return made if (a < 0) == (b < 0) else -made
    return a / b


@strict
def mod(a: Any, b: Any) -> int | float:
    if not b:
        raise ZeroDivisionError("division by zero")
    made = abs(a) % abs(b)
    return -made if a < 0 else made


def _number(value: Any) -> int | float:
    """A number.  Raises ValueError for a text that is none."""
    if isinstance(value, int | float):
        return value
    text = text_of(value).strip()
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


@strict
def to_int(value: Any) -> int:
    number = _number(value)
    if isinstance(value, str) and isinstance(number, float):
        raise ValueError(f"invalid input syntax for type integer: {value!r}")
    return int(f.rounded(number))


@strict
def to_float(value: Any) -> float:
    return float(_number(value))


@strict
def to_numeric(value: Any, digits: int = -1) -> int | float:
    number = _number(value)
    return float(f.rounded(float(number), digits)) if digits >= 0 else number


@strict
def to_text(value: Any, length: int = -1) -> str:
    return text_of(value)[:length] if length >= 0 else text_of(value)


@strict
def to_boolean(value: Any) -> int:
    if isinstance(value, int):
        return int(bool(value))
    text = text_of(value).strip().lower()
    if (text and any(word.startswith(text) for word in ("true", "yes"))) or text in ("on", "1"):
        return 1
    if (text and any(word.startswith(text) for word in ("false", "no"))) or text in ("off", "of", "0"):
        return 0
    raise ValueError(f"invalid input syntax for type boolean: {value!r}")


@strict
def to_date(value: Any) -> str:
    return f.as_datetime(value).date().isoformat()


@strict
def to_timestamp(value: Any) -> str:
    return f.shown(f.as_datetime(value))


@strict
def to_time(value: Any) -> str:
    text = text_of(value)[-8:] if len(text_of(value)) > 8 else text_of(value)
    return datetime.strptime(text if text.count(":") == 2 else f"{text}:00", "%H:%M:%S").time().isoformat()


@strict
def to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    text = text_of(value)
    return bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode()


@strict
def to_uuid(value: Any) -> str:
    return str(uuid.UUID(text_of(value)))


_INTERVAL = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([a-zA-Z]+)")


def _pieces(text: str) -> list[tuple[float, str]]:
    """The parts of an interval.  Raises ValueError."""
    text = text.removeprefix("interval ")
    clock = re.search(r"([+-]?)(\d+):(\d+)(?::(\d+(?:\.\d+)?))?", text)
    found = [(float(count), f.unit_of(unit)) for count, unit in _INTERVAL.findall(re.sub(r"\d+:[\d:.]+", "", text))]
    short = {"min": "minute", "sec": "second", "hr": "hour", "mon": "month"}
    found = [(count, short.get(unit, unit)) for count, unit in found]
    months = sum(count * f.MONTHS[unit] for count, unit in found if unit in f.MONTHS)
    found = [(months, "month")] * bool(months) + [each for each in found if each[1] not in f.MONTHS]
    if clock is not None:
        sign = -1 if clock[1] == "-" else 1
        found += [
            (sign * int(clock[2]), "hour"),
            (sign * int(clock[3]), "minute"),
            (sign * float(clock[4] or 0), "second"),
        ]
    rest = _INTERVAL.sub("", re.sub(r"[+-]?\d+:[\d:.]+", "", text)).strip(" ,")
    if not found or rest or any(unit not in f.MONTHS and unit not in f.UNITS for _, unit in found):
        raise ValueError(f"invalid input syntax for type interval: {text!r}")
    return found


@strict
def shift(value: Any, interval: str, factor: Any = 1) -> str:
    """A date or a time, and an interval (so many times): a timestamp."""
    at = f.as_datetime(value)
    for count, unit in _pieces(text_of(interval)):
        at = f.plus(at, count * factor, unit)
    return f.shown(at)


@strict
def add_days(value: Any, days: int) -> str:
    return (f.as_datetime(value).date() + timedelta(days=days)).isoformat()


@strict
def time_between(later: Any, earlier: Any) -> str:
    """The time between two timestamps, as PostgreSQL shows an interval."""
    passed = f.as_datetime(later) - f.as_datetime(earlier)
    days, rest = divmod(int(passed.total_seconds()), 86_400)
    clock = f.clock(rest)
    return clock if not days else f"{days} day{'s' if days != 1 else ''} {clock}"


@strict
def age(later: Any, earlier: Any) -> str:
    second, first = f.as_datetime(later), f.as_datetime(earlier)
    months = (second.year - first.year) * 12 + second.month - first.month
    if (second.day, second.time()) < (first.day, first.time()):
        months -= 1
    rest = second - f.plus(first, months, "month")
    return f"{months // 12} years {months % 12} mons {rest.days} days {f.clock(rest.seconds)}"


@strict
def extract(unit: str, value: Any) -> int | float:
    unit = unit.lower()
    text = text_of(value)
    if re.match(r"\d{4}-", text):
        return f.part(unit, value)
    pieces = dict.fromkeys(("year", "month", "day", "hour", "minute", "second"), 0.0)
    for count, name in _pieces(text):
        pieces[name] = pieces.get(name, 0) + count
    pieces["year"], pieces["month"] = divmod(pieces["year"] * 12 + pieces["month"], 12)
    if unit == "epoch":
        days = pieces["day"] + 30 * pieces["month"] + 365.25 * pieces["year"]
        return days * 86_400 + pieces["hour"] * 3600 + pieces["minute"] * 60 + pieces["second"]
    return pieces[unit]


_CHAR = re.compile(
    r"FM|HH24|HH12|HH|MI|SS|MS|US|YYYY|YY|MM|Month|MONTH|month|Mon|MON|mon|Day|DAY|day|Dy|DY|dy|DDD|DD|D|AM|PM|am|pm|Q|IW|WW"
    r'|"[^"]*"'
)


@strict
def to_char(value: Any, form: str) -> str:
    """Dates and numbers, in a form."""
    if isinstance(value, int | float):
        return _number_as(value, form)
    at = f.as_datetime(value)
    makers: dict[str, Callable[[], str]] = {
        "HH24": lambda: f"{at.hour:02}",
        "HH12": lambda: f"{(at.hour + 11) % 12 + 1:02}",
        "HH": lambda: f"{(at.hour + 11) % 12 + 1:02}",
        "MI": lambda: f"{at.minute:02}",
        "SS": lambda: f"{at.second:02}",
        "MS": lambda: f"{at.microsecond // 1000:03}",
        "US": lambda: f"{at.microsecond:06}",
        "YYYY": lambda: f"{at.year:04}",
        "YY": lambda: f"{at.year % 100:02}",
        "MM": lambda: f"{at.month:02}",
        "DDD": lambda: f"{at.timetuple().tm_yday:03}",
        "DD": lambda: f"{at.day:02}",
        "D": lambda: str(at.isoweekday() % 7 + 1),
        "Q": lambda: str((at.month + 2) // 3),
        "IW": lambda: f"{at.isocalendar()[1]:02}",
        "WW": lambda: f"{(at.timetuple().tm_yday - 1) // 7 + 1:02}",
    }
    words = {"month": (at.strftime("%B"), 9), "mon": (at.strftime("%b"), 3), "day": (at.strftime("%A"), 9)}
    words |= {"dy": (at.strftime("%a"), 3), "am": ("AM" if at.hour < 12 else "PM", 2)}
    words["pm"] = words["am"]
    unpadded = False

    def made(match: re.Match[str]) -> str:
        nonlocal unpadded
        part = match[0]
        if part == "FM":
            unpadded = True
            return ""
        plain, unpadded = unpadded, False
        if part.startswith('"'):
            return part[1:-1]
        if part in makers:
            text = makers[part]()
            return (text.lstrip("0") or "0") if plain else text
        word, width = words[part.lower()]
        word = word.upper() if part.isupper() else word.lower() if part.islower() else word
        return word if plain else word.ljust(width)

    return _CHAR.sub(made, form)


def _number_as(value: float, form: str) -> str:
    fill = form.startswith("FM")
    form = form.removeprefix("FM")
    whole, _, fraction = form.partition(".")
    number = f"{abs(f.rounded(float(value), len(fraction))):.{len(fraction)}f}"
    digits, _, behind = number.partition(".")
    least = sum(char == "0" for char in whole)
    digits = digits.lstrip("0").rjust(least, "0") if least or digits.strip("0") else ""
    if "," in whole:
        digits = f"{int(digits or 0):,}"
    text = digits + (f".{behind}" if fraction else "")
    text = f"-{text}" if value < 0 else text
    return text if fill else text.rjust(len(form) + 1)


_PARSED = {
    "YYYY": "%Y",
    "YY": "%y",
    "MM": "%m",
    "DD": "%d",
    "HH24": "%H",
    "HH12": "%I",
    "HH": "%I",
    "MI": "%M",
    "SS": "%S",
}
_PARSED |= {"Mon": "%b", "Month": "%B", "AM": "%p", "PM": "%p"}


def _parsed(text: str, form: str) -> datetime:
    return datetime.strptime(text, _CHAR.sub(lambda match: _PARSED.get(match[0], match[0]), form))


@strict
def to_number(text: str, _: str) -> float:
    return float(text.replace(",", ""))


@strict
def substring(text: Any, at: int, length: int | None = None) -> str:
    text = text_of(text)
    end = len(text) if length is None else at - 1 + length
    return text[max(0, at - 1) : max(0, end)]


@strict
def formatted(form: str, *values: Any) -> str:
    rest = iter(values)

    def made(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        value = text_of(next(rest))
        return {"s": value, "I": quote_ident(value), "L": quote_literal(value)}[match[1]]

    return re.sub(r"%([%sIL])", made, form)


@strict
def quote_ident(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


@strict
def quote_literal(value: Any) -> str:
    return "'" + text_of(value).replace("'", "''") + "'"


@strict
def encode(data: bytes, how: str) -> str:
    if how == "hex":
        return data.hex()
    if how == "base64":
        return f.to_base64(data)
    return data.decode()


@strict
def decode(text: str, how: str) -> bytes:
    return bytes.fromhex(text) if how == "hex" else f.from_base64(text)


@strict
def json_text(value: Any, kind: str | None) -> str | None:
    return None if kind is None else text_of(value)


@strict
def json_merge(first: str, second: str) -> str:
    a, b = json.loads(first), json.loads(second)
    if isinstance(a, dict) and isinstance(b, dict):
        return _dump({**a, **b})
    return _dump([*(a if isinstance(a, list) else [a]), *(b if isinstance(b, list) else [b])])


@strict
def json_remove(document: str, key: Any) -> str:
    value = json.loads(document)
    if isinstance(value, dict):
        value.pop(key, None)
    elif isinstance(key, int):
        del value[key]
    else:
        value = [each for each in value if each != key]
    return _dump(value)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(document: Any, path: list[Any]) -> Any:
    """What lies at a path; raises LookupError."""
    value = json.loads(document) if isinstance(document, str) else document
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _shown(value: Any, *, as_text: bool) -> str | None:
    if as_text and value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and not as_text:
        return value  # type: ignore[return-value]
    return value if as_text and isinstance(value, str) else _dump(value)


def json_get(document: Any, *path: Any) -> str | None:
    """``->``: JSON."""
    try:
        return None if document is None else _shown(_at(document, list(path)), as_text=False)
    except (LookupError, TypeError, ValueError):
        return None


def json_get_text(document: Any, *path: Any) -> str | None:
    """``->>``: text."""
    try:
        return None if document is None else _shown(_at(document, list(path)), as_text=True)
    except (LookupError, TypeError, ValueError):
        return None


def _steps(path: str) -> list[str]:
    return [step.strip('"') for step in path.strip("{}").split(",")]


@strict
def json_has(document: str, key: str) -> int:
    value = json.loads(document)
    return int(key in value if isinstance(value, dict | list) else value == key)


@strict
def jsonb_set(document: str, path: str, new: str) -> str:
    value = json.loads(document)
    place, steps = value, _steps(path)
    for step in steps[:-1]:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if isinstance(place, list):
        place[int(steps[-1])] = json.loads(new)
    else:
        place[steps[-1]] = json.loads(new)
    return _dump(value)


@strict
def json_typeof(document: str) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(json.loads(document)), "null")


@strict
def width_bucket(value: float, low: float, high: float, count: int) -> int:
    if value < low:
        return 0
    return count + 1 if value >= high else int((value - low) / (high - low) * count) + 1


def regexp_part(text: Any, pattern: str) -> str | None:
    """What a pattern finds; of one with groups, what the first group finds."""
    found = f.compiled(pattern, "").search(text_of(text))
    return None if found is None else found[1] if found.re.groups else found[0]


@strict
def similar(text: Any, pattern: str) -> int:
    made = re.sub(r"[.^$]", r"\\\g<0>", pattern).replace("%", ".*").replace("_", ".")
    return int(re.fullmatch(made, text_of(text), re.DOTALL) is not None)


@strict
def like(text: Any, pattern: str, escape: str = "\\") -> int:
    return int(_like_pattern(pattern, escape, "").fullmatch(text_of(text)) is not None)


@strict
def ilike(text: Any, pattern: str, escape: str = "\\") -> int:
    return int(_like_pattern(pattern, escape, "i").fullmatch(text_of(text)) is not None)


@lru_cache(maxsize=256)
def _like_pattern(pattern: str, escape: str, flags: str) -> re.Pattern[str]:
    made, rest = "", iter(pattern)
    for char in rest:
        if char == escape:
            made += re.escape(next(rest, ""))
        else:
            made += {"%": ".*", "_": "."}.get(char) or re.escape(char)
    return re.compile(made, re.DOTALL | (re.IGNORECASE if flags else 0))


@strict
def overlaps(a: Any, b: Any, c: Any, d: Any) -> int:
    first, second = sorted((a, b)), sorted((c, d))
    return int(first[0] < second[1] and second[0] < first[1])


class _Every:
    def __init__(self, how: Callable[[list[bool]], bool]) -> None:
        self._how = how
        self._values: list[bool] = []

    def step(self, value: Any) -> None:
        if value is not None:
            self._values.append(bool(value))

    def final(self) -> int | None:
        return int(self._how(self._values)) if self._values else None


FUNCTIONS: dict[str, Function] = {
    **{name: f.COMMON[name] for name in ("plus", "minus", "times", "negative")},
    "divide": strict(lambda a, b: f.operand(a) / f.operand(b)),
    **{name: f.COMMON[name] for name in ("lpad", "rpad", "left", "right", "reverse", "repeat", "upper", "lower")},
    **{name: f.COMMON[name] for name in ("concat_ws", "replace", "split_part", "translate", "initcap", "date_trunc")},
    **{name: f.COMMON[name] for name in ("make_date", "trim", "round", "power")},
    "length": f.characters,
    "char_length": f.characters,
    "character_length": f.characters,
    "octet_length": f.octets,
    "concat": lambda *values: "".join(text_of(value) for value in values if value is not None),
    "join": strict(lambda a, b: a + b if isinstance(a, bytes) else text_of(a) + text_of(b)),
    "substring": substring,
    "substr": substring,
    "strpos": strict(lambda text, word: text_of(text).find(text_of(word)) + 1),
    "ltrim": strict(lambda text, chars=" ": text_of(text).lstrip(chars)),
    "rtrim": strict(lambda text, chars=" ": text_of(text).rstrip(chars)),
    "btrim": strict(lambda text, chars=" ": text_of(text).strip(chars)),
    "ascii": f.code_of,
    "chr": strict(chr),
    "overlay": strict(lambda text, new, at, length: f.insert_text(text, at, length, new)),
    "starts_with": strict(lambda text, head: int(text_of(text).startswith(head))),
    "quote_literal": quote_literal,
    "quote_ident": quote_ident,
    "format": formatted,
    "md5": strict(lambda value: f.digest(value, "md5")),
    "sha256": strict(lambda value: bytes.fromhex(f.digest(value, "sha256"))),
    "encode": encode,
    "decode": decode,
    "to_hex": strict(lambda value: f"{value:x}"),
    "gen_random_uuid": f.new_uuid,
    "regexp": f.matches,
    "regexp_replace": f.regexp_replace,
    "regexp_substr": strict(lambda text, pattern: regexp_part(text, pattern)),
    "similar": similar,
    "like": like,
    "ilike": ilike,
    "div_op": div,
    "mod": mod,
    "div": strict(lambda a, b: math.trunc(div(float(a), float(b)))),
    "cbrt": strict(lambda value: f.rounded(math.copysign(abs(value) ** (1 / 3), value), 12)),
    "trunc": f.truncated,
    "gcd": strict(math.gcd),
    "lcm": strict(math.lcm),
    "factorial": strict(math.factorial),
    "log": strict(lambda a, b=None: math.log10(a) if b is None else math.log(b, a)),
    "width_bucket": width_bucket,
    "random": lambda: random.random(),
    "least": lambda *values: min((value for value in values if value is not None), default=None),
    "greatest": lambda *values: max((value for value in values if value is not None), default=None),
    "to_int": to_int,
    "to_float": to_float,
    "to_numeric": to_numeric,
    "to_text": to_text,
    "to_interval": to_text,
    "to_boolean": to_boolean,
    "to_date_value": to_date,
    "to_timestamp_value": to_timestamp,
    "to_time": to_time,
    "to_bytes": to_bytes,
    "to_uuid": to_uuid,
    "shift": shift,
    "add_days": add_days,
    "days_between": f.days_between,
    "time_between": time_between,
    "age": age,
    "extract": extract,
    "date_part": extract,
    "to_char": to_char,
    "to_date": strict(lambda text, form: _parsed(text, form).date().isoformat()),
    "to_timestamp": strict(
        lambda value, form=None: (
            f.shown(datetime(1970, 1, 1) + timedelta(seconds=value)) if form is None else f.shown(_parsed(value, form))
        )
    ),
    "to_number": to_number,
    "make_timestamp": strict(lambda *parts: f.shown(datetime(*map(int, parts)))),  # type: ignore[arg-type]
    "overlaps": overlaps,
    "json_get": json_get,
    "json_get_text": json_get_text,
    "json_path": strict(lambda document, path: json_get(document, *_steps(path))),
    "json_path_text": strict(lambda document, path: json_get_text(document, *_steps(path))),
    "json_extract_path_text": strict(json_get_text),
    "jsonb_extract_path_text": strict(json_get_text),
    "json_contains": f.json_contains,
    "json_has": json_has,
    "json_merge": json_merge,
    "json_remove": json_remove,
    "jsonb_set": jsonb_set,
    "json_typeof": json_typeof,
    "jsonb_typeof": json_typeof,
    "json_array_length": strict(lambda text: len(json.loads(text))),
    "jsonb_array_length": strict(lambda text: len(json.loads(text))),
    "to_json": strict(lambda value: _dump(value)),
    "to_jsonb": strict(lambda value: _dump(value)),
}
AGGREGATES: dict[str, Callable[[], Any]] = {
    **COMMON_AGGREGATES,
    "stddev": COMMON_AGGREGATES["stddev_samp"],
    "variance": COMMON_AGGREGATES["var_samp"],
    "bool_and": lambda: _Every(all),
    "bool_or": lambda: _Every(any),
    "every": lambda: _Every(all),
}
NATIVE = frozenset(
    [
        *("count", "sum", "min", "max", "avg", "coalesce", "nullif", "abs", "sign", "ceil", "ceiling", "floor"),
        *("sqrt", "ln", "exp", "pi", "degrees", "radians", "sin", "cos", "tan", "asin", "acos", "atan"),
        *("atan2", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"),
        *("first_value", "last_value", "nth_value"),
    ]
)
_RENAMED = {
    "string_agg": "group_concat",
    "json_agg": "json_group_array",
    "jsonb_agg": "json_group_array",
    "json_object_agg": "json_group_object",
    "jsonb_object_agg": "json_group_object",
    "json_build_object": "json_object",
    "jsonb_build_object": "json_object",
    "json_build_array": "json_array",
    "jsonb_build_array": "json_array",
    "lastval": "last_insert_rowid",
    "pow": "pg_power",
    "date_part": "pg_extract",
}
_CONSTANTS = {
    "version": "PostgreSQL 15 (clusterdb)",
    "current_database": "main",
    "current_schema": "public",
    "current_user": "local",
    "session_user": "local",
    "user": "local",
    "pg_backend_pid": 1,
}
_SHOWN = {
    "server_version": "15.0",
    "standard_conforming_strings": "on",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "transaction_isolation": "serializable",
    "search_path": "public",
}
_BEGIN = Translation("BEGIN", before=("SELECT pg_forget()",))
_IGNORED = re.compile(
    r"\s*SET\s+(?:SESSION\s+|LOCAL\s+)?(?:TIME\s+ZONE\s+'?UTC'?|(?:client_encoding|standard_conforming_strings|search_path|"
    r"application_name|statement_timeout|lock_timeout|client_min_messages|extra_float_digits|datestyle|timezone)\s*"
    r"(?:=|TO)\s*.*|SESSION\s+CHARACTERISTICS\s+.*|TRANSACTION\s+.*)\s*;?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)


# --- the flavour ------------------------------------------------------------------------------------------------------
class PostgreSQLFlavour(Flavour):
    """Aurora PostgreSQL."""

    engine = "aurora-postgresql"
    dialect = _Dialect
    prefix = "pg_"
    functions = FUNCTIONS
    aggregates = AGGREGATES
    native = NATIVE

    def __init__(self) -> None:
        self.rules = {
            exp.Div: _divided,
            exp.Mul: _times,
            exp.Neg: arithmetic("pg_negative"),
            exp.In: _in,
            exp.Mod: lambda node: call("pg_mod", node.this, node.expression),
            exp.Pow: lambda node: call("pg_power", node.this, node.expression),
            exp.BitwiseXor: _bitwise_xor,
            exp.Add: lambda node: _shifted(node, 1),
            exp.Sub: lambda node: _shifted(node, -1),
            exp.DPipe: _joined,
            exp.Like: _like("pg_like"),
            exp.ILike: _like("pg_ilike"),
            exp.Escape: _escape,
            exp.SimilarTo: lambda node: call("pg_similar", node.this, node.expression),
            exp.RegexpLike: lambda node: call("pg_regexp", node.this, node.expression),
            exp.RegexpILike: lambda node: call("pg_regexp", node.this, node.expression, "i"),
            exp.NullSafeEQ: lambda node: exp.Is(this=node.this, expression=node.expression),
            exp.NullSafeNEQ: lambda node: exp.Not(this=exp.paren(exp.Is(this=node.this, expression=node.expression))),
            exp.Cast: self._cast,
            exp.Extract: lambda node: call("pg_extract", node.name.lower(), node.expression),
            exp.Trim: _trim,
            exp.Substring: _substring,
            exp.StrPosition: lambda node: call("pg_strpos", node.this, node.args["substr"]),
            exp.Overlay: _overlay,
            exp.GroupConcat: _string_agg,
            exp.CurrentTimestamp: lambda node: _now(),
            exp.Localtimestamp: lambda node: _now("%Y-%m-%d %H:%M:%S") if node.this is not None else _now(),
            exp.CurrentDate: lambda node: _now("%Y-%m-%d"),
            exp.CurrentTime: lambda node: _now("%H:%M:%S"),
            exp.Anonymous: self._named,
            exp.Ordered: _ordered,
            exp.Parameter: lambda node: exp.Placeholder(this=None) if not node.this else exp.var(f"?{node.name}"),
            exp.Table: _table,
            exp.Select: self._select,
            exp.SetOperation: _set_operation,
            exp.Lock: lambda node: None,
            exp.Group: _group,
            exp.Between: _between,
            exp.JSONExtract: lambda node: _json(node, "pg_json_get"),
            exp.JSONExtractScalar: lambda node: _json(node, "pg_json_get_text"),
            exp.JSONBExtract: lambda node: call("pg_json_path", node.this, node.expression),
            exp.JSONBExtractScalar: lambda node: call("pg_json_path_text", node.this, node.expression),
            exp.ArrayContainsAll: lambda node: call("pg_json_contains", node.this, node.expression),
            exp.JSONBContains: lambda node: call("pg_json_has", node.this, node.expression),
            exp.JSONObject: _refused("JSON_OBJECT"),
            exp.Overlaps: _overlaps,
            exp.Array: _of_quantifier,
            exp.All: _of_comparison,
            exp.Any: _of_comparison,
            exp.Lateral: _refused("LATERAL"),
            exp.Literal: _utc,
            exp.WithinGroup: _refused("WITHIN GROUP"),
            exp.MatchAgainst: _refused("full text search"),
            exp.Values: _values,
            exp.Boolean: lambda node: node if isinstance(node.parent, exp.Is | exp.Cast) else literal(int(node.this)),
            exp.AtTimeZone: _refused("AT TIME ZONE"),
            exp.Opclass: lambda node: node.this,
            exp.Column: _column,
            exp.CTE: _cte,
            exp.OnConflict: _conflict,
            exp.Concat: lambda node: call("pg_concat", *node.expressions),
            exp.ByteString: lambda node: literal(node.name),
            exp.Collate: _collate,
            exp.CurrentUser: lambda node: literal("local"),
            exp.CurrentSchema: lambda node: literal("public"),
            exp.CurrentDatabase: lambda node: literal("main"),
            exp.JSONArrayAgg: lambda node: exp.Anonymous(this="json_group_array", expressions=[node.this]),
            exp.Decode: lambda node: call("pg_decode", node.this, node.args["charset"]),
            exp.Initcap: lambda node: call("pg_initcap", node.this),
            exp.Dot: _dot,
            **dict.fromkeys((exp.Rollup, exp.Cube, exp.GroupingSets), _refused("GROUPING SETS")),
            exp.HexString: lambda node: node,
            exp.Interval: _interval,
            **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), _comparison),
        }
        for name in ("JSONBContainsTopKey",):
            if hasattr(exp, name):
                self.rules[getattr(exp, name)] = lambda node: call("pg_json_has", node.this, node.expression)
        for name in ("JSONBDeleteAtPath", "Columns"):
            if hasattr(exp, name):
                self.rules[getattr(exp, name)] = _refused(name)

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions, and generate_series()."""
        import apsw.ext

        super().install(db)
        apsw.ext.make_virtual_module(db, "generate_series", apsw.ext.generate_series)  # type: ignore[arg-type]
        connection, began = weakref.ref(db), []  # type: ignore[var-annotated]

        def now(statement: str) -> str:
            db = connection()
            if db is None or not db.in_transaction:
                began.clear()
                return statement
            if not began:
                began.append(statement)
            return str(began[0])

        db.create_scalar_function("pg_now", now, 1)  # type: ignore[arg-type]
        db.create_scalar_function("pg_forget", began.clear, 0)  # type: ignore[arg-type]
        db.set_commit_hook(lambda: bool(began.clear()), id="clusterdb-now")  # type: ignore[func-returns-value]
        db.set_rollback_hook(began.clear, id="clusterdb-now")

    def placeholder(self, number: int) -> str:
        """``$1``: a question mark is an operator."""
        return f"${number}"

    def special(self, sql: str) -> Translation | None:
        """Settings that make no difference, and statements that sqlglot does not know."""
        if _IGNORED.match(sql):
            return Translation("SELECT 1 WHERE 0")
        if SAVEPOINT.fullmatch(sql):
            return Translation(sql)
        if re.fullmatch(r"\s*(?:START\s+TRANSACTION|BEGIN)\b[^;]*;?\s*", sql, re.I):
            return _BEGIN
        if re.fullmatch(r"\s*(?:ABORT|END)(?:\s+(?:WORK|TRANSACTION))?\s*;?\s*", sql, re.I):
            return Translation("ROLLBACK" if sql.strip()[:1].upper() == "A" else "COMMIT", ends=True)
        if re.fullmatch(r"\s*(?:RESET|DISCARD|DEALLOCATE)\s+ALL\s*;?\s*", sql, re.I):
            return Translation("SELECT 1 WHERE 0")
        shown = re.fullmatch(r"\s*SHOW\s+(\w+)\s*;?\s*", sql, re.I)
        if shown is not None and shown[1].lower() in _SHOWN:
            return Translation(f"SELECT '{_SHOWN[shown[1].lower()]}' AS \"{shown[1].lower()}\"")
        if re.fullmatch(r"\s*(?:VACUUM|ANALYZE|REINDEX)\b.*", sql, re.I | re.DOTALL):
            return Translation("ANALYZE")
        explained = re.match(
            r"\s*EXPLAIN\s*(?:\([^)]*\)|ANALYZE|VERBOSE|\s)*(?=SELECT|UPDATE|DELETE|INSERT|WITH)", sql, re.I
        )
        if explained is not None:
            return Translation("EXPLAIN QUERY PLAN " + self.translate(sql[explained.end() :]).sql)
        return None

    def _named(self, node: exp.Anonymous) -> exp.Expression:
        name, arguments = node.name.lower(), node.expressions
        if name in ("now", "transaction_timestamp", "statement_timestamp", "clock_timestamp"):
            return _now()
        if name in _CONSTANTS:
            return literal(_CONSTANTS[name])
        if name == "string_agg":
            return _string_agg_of(arguments)
        if name in ("json_agg", "jsonb_agg") and isinstance(arguments[0], exp.Order):
            return exp.Anonymous(this="json_group_array", expressions=arguments)
        if name == "make_interval":
            return call("pg_concat", *_made_interval(arguments))
        if name in _RENAMED:
            return exp.Anonymous(this=_RENAMED[name], expressions=arguments)
        if name in ("any", "all", "some", "generate_series"):
            return node
        if name in ("localtimestamp", "current_timestamp"):
            return _now("%Y-%m-%d %H:%M:%S")
        if name == "set_config":
            return literal("")
        return self._function(node)

    def _cast(self, node: exp.Cast) -> exp.Expression:
        kind = node.to.this.value if isinstance(node.to.this, exp.DataType.Type) else str(node.to.this)
        sizes = [int(each.name) for each in node.to.expressions if each.name.isdigit()]
        simple = {
            **dict.fromkeys(("INT", "BIGINT", "SMALLINT", "TINYINT", "SERIAL"), "pg_to_int"),
            **dict.fromkeys(("DOUBLE", "FLOAT"), "pg_to_float"),
            "BOOLEAN": "pg_to_boolean",
            "DATE": "pg_to_date_value",
            **dict.fromkeys(("TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "TIMESTAMPNTZ"), "pg_to_timestamp_value"),
            "TIME": "pg_to_time",
            "VARBINARY": "pg_to_bytes",
            "UUID": "pg_to_uuid",
            "JSON": "json",
            "JSONB": "json",
        }
        if kind in simple:
            return call(simple[kind], node.this)
        if kind in ("TEXT", "VARCHAR", "CHAR", "BPCHAR", "NAME"):
            if isinstance(node.this, exp.Literal) and not node.this.is_string:
                return literal(node.this.name)
            if isinstance(node.this, exp.Boolean):
                return literal("true" if node.this.this else "false")
            if _is_boolean(node.this):
                raise NotSaid("a boolean as text")
            return call("pg_to_text", node.this, *sizes[:1])
        if kind == "DECIMAL":
            return call("pg_to_numeric", node.this, *([sizes[1] if len(sizes) > 1 else 0] if sizes else []))
        if kind == "INTERVAL":
            return call("pg_to_interval", node.this)
        if kind == "ARRAY" and _quantifier_of(node) is not None:
            return node.this if isinstance(node.this, exp.Tuple) else _array_of(node)
        raise NotSaid(f"a cast to {node.to.sql(dialect='postgres')}")

    def column_name(self, tree: Any) -> str:
        """What a column without a name is called: its function, its type, or nothing in particular."""
        while isinstance(tree, exp.Paren):
            tree = tree.this
        if isinstance(tree, exp.Cast):
            inner = tree.this
            return (
                inner.name if isinstance(inner, exp.Column) else tree.to.sql(dialect="postgres").lower().split("(")[0]
            )
        if isinstance(tree, exp.Case):
            return "case"
        if isinstance(tree, exp.Window):
            tree = tree.this
        if isinstance(tree, exp.Func) and not isinstance(tree, exp.Connector):
            return str(tree.name if isinstance(tree, exp.Anonymous) else tree.sql_name()).lower()
        return "?column?"

    # --- queries ----------------------------------------------------------------------------------------------------
    def _select(self, node: exp.Select) -> exp.Expression:
        node.set("locks", None)
        distinct = node.args.get("distinct")
        if node.args.get("into") is not None:
            raise NotSaid("SELECT ... INTO")
        if distinct is not None and distinct.args.get("on") is not None:
            return self._distinct_on(node, distinct.args["on"])
        return node

    def _distinct_on(self, node: exp.Select, on: Any) -> exp.Expression:
        """The first row of each group, in the order of the query."""
        keys = on.expressions if isinstance(on, exp.Tuple) else [on]
        order = node.args.get("order")
        inner = node.copy()
        inner.set("distinct", None)
        inner.set("order", None)
        for part in ("limit", "offset"):
            inner.set(part, None)
        names: list[exp.Expression] = []
        if not any(isinstance(each, exp.Star) for each in inner.expressions):
            columns = []
            for at, each in enumerate(inner.expressions):
                name = each.alias_or_name or f"column{at + 1}"
                columns.append(exp.alias_(each.unalias().copy(), name, quoted=True))
                names.append(exp.column(name, quoted=True))
            inner.set("expressions", columns)
        window = exp.Window(
            this=exp.Anonymous(this="row_number"),
            partition_by=[each.copy() for each in keys],
            order=order.copy() if order is not None else None,
        )
        inner.append("expressions", exp.alias_(window, "clusterdb_row"))
        if not names:
            raise NotSaid("DISTINCT ON with *")
        made = exp.select(*names).from_(inner.subquery("clusterdb_rows")).where("clusterdb_row = 1")
        if order is not None:
            plain = [each.name for each in names]
            for each in order.expressions:
                if isinstance(each.this, exp.Column) and each.this.name in plain:
                    made.order_by(exp.Ordered(**{**each.args, "this": exp.column(each.this.name)}), copy=False)
        for part in ("limit", "offset"):
            made.set(part, node.args.get(part))
        return made

    # --- statements that are no queries -----------------------------------------------------------------------------
    def on_insert(self, tree: exp.Insert, work: Work) -> exp.Expression:
        """INSERT ... ON CONFLICT, RETURNING."""
        conflict = tree.args.get("conflict")
        if conflict is not None and isinstance(tree.expression, exp.Select) and not tree.expression.args.get("where"):
            tree.expression.where("TRUE", copy=False)  # or SQLite takes ON for a join's
        return self.expression(tree)

    def on_update(self, tree: exp.Update, work: Work) -> exp.Expression:
        """UPDATE, also FROM."""
        if any(is_default(each.expression) for each in tree.expressions if isinstance(each, exp.EQ)):
            raise NotSaid("SET ... = DEFAULT")
        return self.expression(tree)

    def on_delete(self, tree: exp.Delete, work: Work) -> exp.Expression:
        """DELETE, also USING."""
        using = tree.args.get("using")
        if not using:
            return self.expression(tree)
        table = tree.this
        if tree.args.get("returning") is not None and table.alias:
            raise NotSaid("DELETE ... USING with an alias and RETURNING")
        key = exp.select(exp.column("rowid", table=table.alias_or_name)).from_(table.copy())
        for each in using:
            key.join(each.copy(), copy=False)
        if tree.args.get("where") is not None:
            key.set("where", tree.args["where"].copy())
        made = exp.Delete(this=exp.to_table(table.name))
        made.set("where", exp.Where(this=exp.In(this=exp.column("rowid"), query=key.subquery())))
        made.set("returning", tree.args.get("returning"))
        return self.expression(made)

    def on_create(self, tree: exp.Create, work: Work) -> exp.Expression | Translation:
        """CREATE TABLE, INDEX, VIEW."""
        kind = tree.args["kind"].upper()
        if kind == "TABLE":
            from clusterdb.flavours.postgresql_tables import create_table

            return create_table(self, tree)
        if kind == "VIEW":
            properties = tree.args.get("properties")
            kinds = [type(each) for each in (properties.expressions if properties is not None else [])]
            if exp.MaterializedProperty in kinds:
                raise NotSaid("CREATE MATERIALIZED VIEW")
            if tree.args.get("replace"):
                tree.set("replace", None)
                work.before.append(f"DROP VIEW IF EXISTS {self.text(tree.this)}")
            return self.expression(tree)
        if kind == "INDEX":
            parameters = tree.this.args.get("params")
            if parameters is not None:
                using = parameters.args.get("using")
                if using is not None and using.name.lower() not in ("btree", "hash"):
                    raise NotSaid(f"an index USING {using.name}")
                parameters.set("using", None)
                for each in parameters.args.get("columns") or []:
                    each.set("nulls_first", None)
                parameters.set("include", None)
            tree.set("concurrently", None)
            if tree.this.this is None:
                columns = "_".join(each.this.name for each in parameters.args.get("columns") or [])
                tree.this.set("this", exp.to_identifier(f"{tree.this.args['table'].name}_{columns}_idx", quoted=True))
            return self.expression(tree)
        raise NotSaid(f"CREATE {kind}")

    def on_drop(self, tree: exp.Drop, work: Work) -> exp.Expression | Translation:
        """DROP TABLE (several), VIEW, INDEX."""
        from clusterdb.flavours.mysql_tables import quoted

        kind = tree.args["kind"].upper()
        if kind not in ("TABLE", "VIEW", "INDEX"):
            raise NotSaid(f"DROP {kind}")
        exists = "IF EXISTS " if tree.args.get("exists") else ""
        several = tree.args.get("tables") or [tree.this, *tree.expressions]
        texts = [f"DROP {kind} {exists}{quoted(each.name)}" for each in several]
        return Translation(texts[-1], tuple(texts[:-1]))

    def on_alter(self, tree: exp.Alter, work: Work) -> Translation:
        """ALTER TABLE: what SQLite has too."""
        from clusterdb.flavours.postgresql_tables import alter_table

        return alter_table(self, tree)

    def on_truncatetable(self, tree: exp.TruncateTable, work: Work) -> Translation:
        """TRUNCATE: no rows; numbering goes on, unless RESTART IDENTITY."""
        texts = [f"DELETE FROM {self.text(each)}" for each in tree.expressions]
        after: list[str] = []
        if str(tree.args.get("identity") or "").upper() == "RESTART":
            names = ", ".join("'" + each.name.replace("'", "''") + "'" for each in tree.expressions)
            after.append(f"UPDATE sqlite_sequence SET seq = 0 WHERE name IN ({names})")
        return Translation(texts[-1], tuple(texts[:-1]), tuple(after))

    def on_transaction(self, tree: exp.Transaction, work: Work) -> Translation:
        """BEGIN."""
        return _BEGIN

    def on_commit(self, tree: exp.Commit, work: Work) -> Translation:
        """COMMIT."""
        return Translation("COMMIT", ends=True)

    def on_rollback(self, tree: exp.Rollback, work: Work) -> Translation:
        """ROLLBACK."""
        savepoint = tree.args.get("savepoint")
        if savepoint is not None:
            return Translation(f"ROLLBACK TO {savepoint.name}")
        return Translation("ROLLBACK", ends=True)

    def on_comment(self, tree: exp.Comment, work: Work) -> Translation:
        """COMMENT ON: nobody can ask for it."""
        return Translation("SELECT 1 WHERE 0")


# --- rules ------------------------------------------------------------------------------------------------------------
def _refused(what: str) -> Callable[[Any], exp.Expression]:
    def refuse(_: Any) -> exp.Expression:
        raise NotSaid(what)

    return refuse


def _now(form: str = "%Y-%m-%d %H:%M:%f") -> exp.Expression:
    """The time at which the transaction began (or the statement, outside of one)."""
    now = exp.Anonymous(this="strftime", expressions=[literal("%Y-%m-%d %H:%M:%f"), literal("now")])
    at = exp.Anonymous(this="pg_now", expressions=[now])
    return at if form.endswith("%f") else exp.Anonymous(this="strftime", expressions=[literal(form), at])


def _is_boolean(node: Any) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "pg_to_boolean"


def _bitwise_xor(node: exp.BitwiseXor) -> exp.Expression:
    from clusterdb.flavours.mysql import bitwise_xor as xor

    return xor(node)


_DATES = ("pg_to_date_value", "pg_make_date", "pg_add_days", "pg_to_date")
_TIMES = ("pg_to_timestamp_value", "pg_shift", "pg_date_trunc", "pg_to_timestamp", "pg_make_timestamp")


def _kind_of(node: Any) -> str:
    """What is known of an expression: "date", "timestamp", "interval", "number", or nothing."""
    if isinstance(node, exp.Paren):
        return _kind_of(node.this)
    if isinstance(node, exp.Interval):
        return "interval"
    if isinstance(node, exp.Literal) and not node.is_string:
        return "number"
    if isinstance(node, exp.Anonymous):
        name = node.name.lower()
        if name in _DATES:
            return "date"
        if name in _TIMES:
            return "timestamp"
        if name == "strftime":
            return "date" if node.expressions[0].name == "%Y-%m-%d" else "timestamp"
        if name == "pg_now":
            return "timestamp"
        if name in ("pg_to_interval", "pg_time_between", "pg_age"):
            return "interval"
        if name == "pg_concat" and node.expressions and node.expressions[0].name == "interval ":
            return "interval"
    if isinstance(node, exp.Mul) and "interval" in (_kind_of(node.this), _kind_of(node.expression)):
        return "interval"
    return ""


def _interval_of(node: Any, sign: int) -> tuple[Any, Any]:
    """An interval's text, and how many times it is meant."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Mul):
        first, second = (
            (node.this, node.expression) if _kind_of(node.this) == "interval" else (node.expression, node.this)
        )
        text, _ = _interval_of(first, 1)
        return text, exp.paren(second.copy()) if sign > 0 else exp.Neg(this=exp.paren(second.copy()))
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        text = literal(f"{node.this.name} {unit.name if unit is not None else ''}".strip())
        return text, literal(sign)
    return node, literal(sign)


def _interval(node: exp.Interval) -> exp.Expression:
    """An interval that stands by itself is its text; beside a date it is added to that."""
    if isinstance(node.parent, exp.Add | exp.Sub | exp.Mul | exp.Paren):
        return node
    text, _ = _interval_of(node, 1)
    return text


def _shifted(node: Any, sign: int) -> exp.Expression:
    left, right = node.this, node.expression
    kinds = _kind_of(left), _kind_of(right)
    if kinds[1] == "interval":
        text, factor = _interval_of(right, sign)
        return call("pg_shift", left, text, factor)
    if kinds[0] == "interval" and sign > 0:
        text, factor = _interval_of(left, 1)
        return call("pg_shift", right, text, factor)
    if sign < 0 and isinstance(right, exp.Literal) and right.is_string and kinds[0] not in ("date", "timestamp"):
        return call("pg_json_remove", left, right)
    if kinds == ("date", "date") and sign < 0:
        return call("pg_days_between", left, right)
    if kinds[0] == "date" and kinds[1] in ("number", "") and not isinstance(right, exp.Column):
        return call("pg_add_days", left, right if sign > 0 else exp.Neg(this=exp.paren(right.copy())))
    if "timestamp" in kinds and sign < 0:
        return call("pg_time_between", left, right)
    if "interval" in kinds:
        raise NotSaid("arithmetic of intervals")
    return arithmetic("pg_plus" if sign > 0 else "pg_minus")(node)


def _times(node: exp.Mul) -> Any:
    """An interval so many times is added to a date as such."""
    return node if _kind_of(node) == "interval" else arithmetic("pg_times")(node)


_NUMERIC = ("pg_to_numeric", "pg_trunc", "pg_extract", "pg_date_part", "pg_round", "pg_to_float", "pg_power")


_CALCULATED = ("pg_plus", "pg_minus", "pg_times", "pg_negative", "pg_div_op", "pg_divide", "pg_mod", "abs", "count")


def _divided(node: exp.Div) -> exp.Expression:
    """Whole numbers give a whole number, unless one of them is of the type numeric."""
    for each in (node.this, node.expression):
        inner = each.this if isinstance(each, exp.Paren) else each
        if isinstance(inner, exp.Anonymous) and inner.name.lower() in _NUMERIC:
            return call("pg_divide", node.this, node.expression)
    return call("pg_div_op", node.this, node.expression)


def _in(node: exp.In) -> Any:
    """IN: dates; numbers written as texts beside what is a number."""
    _as_numbers(node.this, node.expressions)
    return among_dates(node)


def _is_number(tree: Any) -> bool:
    if isinstance(tree, exp.Paren):
        return _is_number(tree.this)
    if isinstance(tree, exp.Anonymous):
        return tree.name.lower() in (
            *_NUMERIC,
            "pg_plus",
            "pg_minus",
            "pg_times",
            "pg_div_op",
            "pg_divide",
            "pg_mod",
            "abs",
        )
    return isinstance(tree, exp.Count | exp.Sum | exp.Abs) or (isinstance(tree, exp.Literal) and not tree.is_string)


def _as_numbers(left: Any, others: list[Any]) -> None:
    """A literal beside a number is one."""
    if _is_number(left):
        for each in others:
            if isinstance(each, exp.Literal) and each.is_string:
                each.replace(call("pg_to_numeric", each))


def _joined(node: exp.DPipe) -> exp.Expression:
    """``||``: texts, bytes, JSON."""
    for each in (node.this, node.expression):
        if isinstance(each, exp.Literal) and each.is_string and each.name[:1] in ("{", "["):
            return call("pg_json_merge", node.this, node.expression)
        if isinstance(each, exp.Array):
            raise NotSaid("arrays")
    return call("pg_join", node.this, node.expression)


def _like(name: str) -> Callable[[Any], exp.Expression]:
    def rule(node: Any) -> exp.Expression:
        if isinstance(node.expression, exp.Any | exp.All):
            raise NotSaid("LIKE ANY")
        return call(name, node.this, node.expression)

    return rule


def _escape(node: exp.Escape) -> exp.Expression:
    made = node.this
    if isinstance(made, exp.Not):
        inner = made.this.this if isinstance(made.this, exp.Paren) else made.this
        return exp.Not(this=exp.paren(_escape(exp.Escape(this=inner, expression=node.expression))))
    if isinstance(made, exp.Anonymous):
        return call(made.name, *made.expressions, node.expression)
    return node


def _trim(node: exp.Trim) -> exp.Expression:
    where = str(node.args.get("position") or "both").lower()
    return call("pg_trim", node.this, node.expression or " ", where)


def _substring(node: exp.Substring) -> exp.Expression:
    start = node.args.get("start") or literal(1)
    if isinstance(start, exp.Literal) and start.is_string:
        return call("pg_regexp_substr", node.this, start)
    arguments = [node.this, start]
    if node.args.get("length") is not None:
        arguments.append(node.args["length"])
    return call("pg_substring", *arguments)


def _overlay(node: Any) -> exp.Expression:
    size = node.args.get("for_") or node.args.get("for") or call("pg_length", node.expression)
    start = node.args.get("from_") or node.args.get("from")
    return call("pg_overlay", node.this, node.expression, start, size)


def _string_agg(node: exp.GroupConcat) -> exp.Expression:
    arguments = [node.this]
    if node.args.get("separator") is not None:
        arguments.append(node.args["separator"])
    return _string_agg_of(arguments)


def _string_agg_of(arguments: list[Any]) -> exp.Expression:
    what = arguments[0]
    separator = arguments[1] if len(arguments) > 1 else literal(",")
    order = None
    if isinstance(separator, exp.Order):
        order, separator = separator, separator.this
    if isinstance(what, exp.Order):
        order, what = what, what.this
    if isinstance(what, exp.Distinct):
        if separator.name != ",":
            raise NotSaid("string_agg(DISTINCT ...) with another separator than a comma")
        made: list[Any] = [what]
    else:
        made = [what, separator]
    if order is not None:
        made[-1] = exp.Order(this=made[-1].copy(), expressions=order.expressions)
    return exp.Anonymous(this="group_concat", expressions=made)


def _ordered(node: exp.Ordered) -> exp.Expression:
    """NULL is larger than everything; of an index that makes no difference."""
    if not isinstance(node.parent, exp.Order):
        node.set("nulls_first", bool(not node.args.get("desc")))
        return node
    if node.args.get("nulls_first") is None or not _says_nulls(node):
        node.set("nulls_first", bool(node.args.get("desc")))
    return node


def _says_nulls(node: exp.Ordered) -> bool:
    return node.args.get("nulls_first") is not None


def _dot(node: exp.Dot) -> exp.Expression:
    if node.this.name.lower() != "pg_catalog":
        raise NotSaid(f"{node.this.name}. ...")
    return node.expression


def _column(node: exp.Column) -> exp.Expression:
    if node.db.lower() == "public":
        node.set("db", None)
    return node


def _cte(node: exp.CTE) -> exp.Expression:
    if isinstance(node.this, exp.Insert | exp.Update | exp.Delete):
        raise NotSaid("a CTE that changes data")
    return node


def _conflict(node: exp.OnConflict) -> exp.Expression:
    if node.args.get("constraint") is not None:
        raise NotSaid("ON CONFLICT ON CONSTRAINT")
    return node


def _collate(node: exp.Collate) -> exp.Expression:
    if node.expression.name.upper() not in ("C", "POSIX"):
        raise NotSaid(f"COLLATE {node.expression.name}")
    return exp.Collate(this=node.this, expression=exp.var("BINARY"))


def _series(node: exp.Table) -> exp.Expression:
    """generate_series() of whole numbers."""
    call_of = node.this
    if not all(isinstance(each, exp.Literal | exp.Neg | exp.Placeholder | exp.Var) for each in call_of.expressions):
        raise NotSaid("generate_series() of something else than numbers")
    alias = node.args.get("alias")
    name = alias.name if alias is not None else "generate_series"
    column = alias.columns[0].name if alias is not None and alias.columns else name
    source = exp.Table(this=exp.Anonymous(this="generate_series", expressions=call_of.expressions))
    return exp.select(exp.alias_(exp.column("value"), column, quoted=True)).from_(source).subquery(name)


def _table(node: exp.Table) -> exp.Expression:
    if isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "generate_series":
        return _series(node)
    if node.db.lower() == "information_schema":
        from clusterdb.flavours.postgresql_tables import information_schema

        return information_schema(node)
    if node.db.lower() in ("pg_catalog",) or (
        node.name.lower().startswith("pg_") and isinstance(node.this, exp.Identifier)
    ):
        raise NotSaid(f"{node.name}")
    if node.db.lower() == "public":
        node.set("db", None)
    if isinstance(node.this, exp.Func):
        raise NotSaid("a function in FROM")
    return node


def _set_operation(node: exp.SetOperation) -> exp.Expression:
    if node.args.get("distinct") is False and not isinstance(node, exp.Union):
        raise NotSaid(f"{node.key.upper()} ALL")
    for part in ("this", "expression"):
        piece = node.args[part]
        if isinstance(piece, exp.Subquery):
            inner = piece.this
            plain = isinstance(inner, exp.Select) and not inner.args.get("order") and not inner.args.get("limit")
            node.set(part, inner if plain else exp.select("*").from_(piece.copy()))
    if isinstance(node.expression, exp.SetOperation):
        node.set("expression", exp.select("*").from_(node.expression.subquery("clusterdb_part")))
    return node


def _group(node: exp.Group) -> exp.Expression:
    if any(node.args.get(part) for part in ("rollup", "cube", "grouping_sets", "totals")):
        raise NotSaid("GROUPING SETS")
    return node


def _between(node: exp.Between) -> exp.Expression:
    if node.args.get("symmetric"):
        low, high = node.args["low"], node.args["high"]
        return exp.Between(
            this=node.this,
            low=exp.Anonymous(this="min", expressions=[low.copy(), high.copy()]),
            high=exp.Anonymous(this="max", expressions=[low.copy(), high.copy()]),
        )
    return between_dates(node)


def _json(node: Any, name: str) -> exp.Expression:
    path = node.expression
    if isinstance(path, exp.JSONPath):
        steps = [each.this for each in path.expressions if not isinstance(each, exp.JSONPathRoot)]
        return call(name, node.this, *steps)
    return call(name, node.this, path)


def _overlaps(node: Any) -> exp.Expression:
    if not isinstance(node.this, exp.Tuple) or not isinstance(node.expression, exp.Tuple):
        raise NotSaid("OVERLAPS")
    return call("pg_overlaps", *node.this.expressions, *node.expression.expressions)


def _array_of(node: Any) -> exp.Expression:
    """The members of an array: ARRAY[...] or '{...}'::text[]."""
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Paren) and isinstance(node.this.this, exp.Tuple):
        return node.this.this
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        members = [literal(each.strip('" ')) for each in node.this.name.strip("{}").split(",") if each]
        return exp.Tuple(expressions=members)
    raise NotSaid("arrays")


def _quantifier_of(node: Any) -> Any:
    """The ANY or ALL that an array stands in."""
    parent = node.parent
    while isinstance(parent, exp.Paren | exp.Cast):
        parent = parent.parent
    return parent if _is_quantifier(parent) else None


def _is_quantifier(node: Any) -> bool:
    return isinstance(node, exp.All | exp.Any) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in ("all", "any", "some")
    )


def _of_quantifier(node: exp.Array) -> exp.Expression:
    if _quantifier_of(node) is None:
        raise NotSaid("arrays")
    return exp.Tuple(expressions=node.expressions)


def _of_comparison(node: Any) -> exp.Expression:
    if not isinstance(node.parent, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        raise NotSaid(f"{node.key.upper()} (...)")
    return node


def _comparison(node: Any) -> exp.Expression:
    right = node.expression
    if "interval" in (_kind_of(node.this), _kind_of(right)):
        raise NotSaid("a comparison of intervals")
    _as_numbers(node.this, [right])
    dated = compared_with_date(node)
    if dated is not None:
        return dated
    right = node.expression
    if isinstance(right, exp.Literal) and right.is_string and right.name.lower() in _TRUTHS:
        return _maybe_boolean(node, _TRUTHS[right.name.lower()])
    if _is_quantifier(right):
        inner = right.expressions[0] if isinstance(right, exp.Anonymous) else right.this
        if isinstance(right, exp.Anonymous):
            right = (exp.All if right.name.lower() == "all" else exp.Any)(this=inner)
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Tuple | exp.Literal):
            inner = inner if isinstance(inner, exp.Tuple) else exp.Tuple(expressions=[inner])
            if isinstance(right, exp.Any) and isinstance(node, exp.EQ):
                return exp.In(this=node.this, expressions=inner.expressions)
            if isinstance(right, exp.All) and isinstance(node, exp.NEQ):
                return exp.Not(this=exp.In(this=node.this, expressions=inner.expressions))
            raise NotSaid("ANY or ALL of an array, with another comparison than = ANY and <> ALL")
        from clusterdb.flavours.mysql import quantified

        return quantified(node, right)
    return node


_TRUTHS = {"true": 1, "t": 1, "false": 0, "f": 0}


def _maybe_boolean(node: Any, truth: int) -> exp.Expression:
    """A column may be a boolean or a text: who writes 'true' means either."""
    if not isinstance(node, exp.EQ):
        raise NotSaid(f"a comparison with '{node.expression.name}' other than =")
    whole = exp.EQ(this=call("typeof", node.this), expression=literal("integer"))
    same = exp.EQ(this=node.this.copy(), expression=literal(truth))
    return exp.paren(exp.or_(node.copy(), exp.and_(whole, same)))


_ZONED = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d(?::?\d\d)?|Z)\Z")


def _utc(node: exp.Literal) -> exp.Expression:
    """Times are stored in UTC without saying so."""
    if not node.is_string or not _ZONED.match(node.name):
        return node
    at = datetime.fromisoformat(node.name)
    return literal(f.shown(at.astimezone(timezone.utc).replace(tzinfo=None)))


def _values(node: exp.Values) -> exp.Expression:
    for row in node.expressions:
        for each in row.expressions:
            if is_default(each):
                raise NotSaid("DEFAULT in VALUES")
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        columns = enumerate(alias.columns, 1)
        names = [exp.alias_(exp.column(f"column{at}"), each.name, quoted=True) for at, each in columns]
        inner = node.copy()
        inner.set("alias", None)
        return exp.select(*names).from_(exp.Subquery(this=inner)).subquery(alias.name)
    return node


def _made_interval(arguments: list[Any]) -> list[Any]:
    parts: list[Any] = ["interval "]
    for each in arguments:
        if not isinstance(each, exp.Kwarg | exp.PropertyEQ):
            raise NotSaid("make_interval() without names")
        parts += [each.expression, f" {each.this.name} "]
    return parts
