"""What PostgreSQL's functions do, in Python, and which of SQLite's mean the same."""

from __future__ import annotations

import json
import math
import random
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from clusterdb.flavours import functions as f
from clusterdb.flavours.functions import COMMON_AGGREGATES, Function, strict, text_of

__all__ = ["AGGREGATES", "FUNCTIONS", "NATIVE"]


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
