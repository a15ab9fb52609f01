"""MySQL 8's SQL, as Aurora MySQL 3 has it."""

from __future__ import annotations

import json
import math
import random
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import apsw
from sqlglot import exp
from sqlglot.dialects.mysql import MySQL

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
from clusterdb.flavours.functions import COMMON_AGGREGATES, Function, number_of, strict, text_of
from clusterdb.flavours.mysql_tables import quoted

__all__ = ["SYSTEM_VARIABLES", "MySQLFlavour", "bitwise_xor", "quantified"]

SYSTEM_VARIABLES = {
    "autocommit": 1,
    "version": "8.0.0-clusterdb",
    "version_comment": "clusterdb",
    "sql_mode": "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO",
    "time_zone": "+00:00",
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_results": "utf8mb4",
    "collation_connection": "utf8mb4_general_ci",
    "transaction_isolation": "SERIALIZABLE",
    "lower_case_table_names": 1,
    "max_allowed_packet": 67108864,
}
_IGNORED_SETTINGS = {"sql_mode", "names", "character set", "charset", "unique_checks", "sql_notes", "wait_timeout"}
_IGNORED_SETTINGS |= {"character_set_client", "character_set_results", "character_set_connection"}
_IGNORED_SETTINGS |= {"collation_connection"}


class _Dialect(MySQL):
    """MySQL's grammar, with functions under their own names."""

    class Parser(MySQL.Parser):  # type: ignore[valid-type,misc]
        FUNCTIONS: dict[str, Callable[..., Any]] = {}  # noqa: RUF012


# --- functions --------------------------------------------------------------------------------------------------------
@strict
def div(a: Any, b: Any) -> float | None:
    return number_of(a) / number_of(b) if number_of(b) else None


@strict
def int_div(a: Any, b: Any) -> int | None:
    return int(number_of(a) / number_of(b)) if number_of(b) else None


@strict
def mod(a: Any, b: Any) -> int | float | None:
    a, b = number_of(a), number_of(b)
    if not b:
        return None
    made = abs(a) % abs(b)
    return -made if a < 0 else made


@strict
def xor(a: Any, b: Any) -> int:
    return int(bool(number_of(a)) != bool(number_of(b)))


@strict
def to_int(value: Any) -> int:
    return int(f.rounded(value)) if isinstance(value, float) else int(number_of(value))


@strict
def to_text(value: Any, length: int = -1) -> str:
    return text_of(value)[:length] if length >= 0 else text_of(value)


@strict
def to_decimal(value: Any, digits: int) -> float | int:
    return f.rounded(float(number_of(value)), digits)


@strict
def substring(text: Any, at: int, length: int | None = None) -> str:
    text = text_of(text)
    if at == 0 or (length is not None and length <= 0) or abs(at) > len(text):
        return ""
    start = at - 1 if at > 0 else len(text) + at
    return text[start:] if length is None else text[start : start + length]


@strict
def locate(word: Any, text: Any, at: int = 1) -> int:
    return text_of(text).lower().find(text_of(word).lower(), at - 1) + 1


@strict
def strcmp(a: Any, b: Any) -> int:
    a, b = text_of(a).lower(), text_of(b).lower()
    return (a > b) - (a < b)


@strict
def quote(text: Any) -> str:
    return "'" + re.sub(r"(['\\])", r"\\\1", text_of(text)) + "'"


def field(wanted: Any, *values: Any) -> int:
    for at, value in enumerate(values, 1):
        if wanted is not None and (value == wanted or text_of(value).lower() == text_of(wanted).lower()):
            return at
    return 0


def elt(number: Any, *values: Any) -> Any:
    return values[number - 1] if number is not None and 0 < number <= len(values) else None


@strict
def find_in_set(word: Any, words: Any) -> int:
    parts = text_of(words).lower().split(",")
    return parts.index(text_of(word).lower()) + 1 if text_of(word).lower() in parts else 0


@strict
def with_commas(value: Any, digits: int) -> str:
    return f"{float(f.rounded(float(number_of(value)), max(0, digits))):,.{max(0, digits)}f}"


@strict
def conv(value: Any, source: int, target: int) -> str:
    number, digits = int(text_of(value), abs(source)), ""
    number &= 2**64 - 1  # as an unsigned number of 64 bits
    while number:
        number, digit = divmod(number, abs(target))
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits or "0"


@strict
def log(a: Any, b: Any = None) -> float | None:
    a = number_of(a)
    if a <= 0:
        return None
    return math.log(a) if b is None else math.log(number_of(b), a)


@strict
def hex_of(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:X}"
    return (value if isinstance(value, bytes) else text_of(value).encode()).hex().upper()


@strict
def unhex(text: Any) -> bytes | None:
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
}


@strict
def add(value: Any, count: Any, unit: str) -> str | None:
    units = _COMPOUND.get(unit.lower())
    if units is None:
        return f.add_interval(value, count, unit)
    sign = -1 if text_of(count).strip().startswith("-") else 1
    for each, number in zip(units, re.findall(r"\d+", text_of(count)), strict=False):
        value = f.add_interval(value, sign * int(number), each)
    return value


@strict
@f.nothing_if_wrong
def extract(unit: str, value: Any) -> int | float:
    unit = unit.lower()
    if unit == "year_month":
        return f.part("year", value) * 100 + f.part("month", value)
    return f.part(unit, value)


@strict
@f.nothing_if_wrong
def timestampdiff(unit: str, earlier: Any, later: Any) -> int:
    first, second = f.as_datetime(earlier), f.as_datetime(later)
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


@strict
@f.nothing_if_wrong
def timediff(later: Any, earlier: Any) -> str:
    return f.clock((f.as_datetime(later) - f.as_datetime(earlier)).total_seconds())


@strict
def time_to_sec(text: Any) -> int:
    hours, minutes, seconds = (int(each) for each in text_of(text).split(":"))
    return hours * 3600 + minutes * 60 + seconds


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
    "v": lambda at: f"{at.isocalendar()[1]:02}",
    "x": lambda at: f"{at.isocalendar()[0]:04}",
}


@strict
@f.nothing_if_wrong
def date_format(value: Any, wanted: str) -> str:
    at = f.as_datetime(value)
    return re.sub(r"%(.)", lambda match: _FORMATS[match[1]](at) if match[1] in _FORMATS else match[1], wanted)


_UNKNOWN_LETTERS = "DUuVX"
_PARSED = {"Y": "%Y", "y": "%y", "m": "%m", "c": "%m", "d": "%d", "e": "%d", "H": "%H", "k": "%H", "h": "%I", "l": "%I"}
_PARSED |= {"i": "%M", "s": "%S", "S": "%S", "f": "%f", "p": "%p", "b": "%b", "M": "%B", "a": "%a", "W": "%A"}
_PARSED["T"] = "%H:%M:%S"


@strict
@f.nothing_if_wrong
def str_to_date(text: str, form: str) -> str:
    at = datetime.strptime(text, re.sub(r"%(.)", lambda match: _PARSED.get(match[1], match[1]), form))
    return f.shown(at) if re.search(r"%[HkhIlisSfT]", form) else at.date().isoformat()


@strict
@f.nothing_if_wrong
def week(value: Any, mode: int = 0) -> int | None:
    at = f.as_datetime(value)
    if mode == 3:
        return at.isocalendar()[1]
    if mode == 0:
        return int(at.strftime("%U"))
    return None


def unix_timestamp(value: Any) -> Any:
    return None if value is None else f.part("epoch", value)


@strict
def from_unixtime(seconds: Any, form: str | None = None) -> str:
    at = datetime(1970, 1, 1) + timedelta(seconds=number_of(seconds))
    return date_format(f.shown(at), form) if form is not None else f.shown(at)


@strict
def inet_aton(text: str) -> int:
    value = 0
    for each in text.split("."):
        value = value * 256 + int(each)
    return value


@strict
def inet_ntoa(number: int) -> str:
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


@strict
def char(*codes: int) -> str:
    return "".join(chr(code) for code in codes)


def _rand() -> float:
    return random.random()


FUNCTIONS: dict[str, Function] = {
    **{name: f.COMMON[name] for name in ("plus", "minus", "times", "negative")},
    "concat": strict(lambda *values: "".join(map(text_of, values))),
    "json_text": lambda value, kind: _json_text(value, kind),
    **{name: f.COMMON[name] for name in ("lpad", "rpad", "left", "right", "reverse", "repeat", "concat_ws", "replace")},
    **{name: f.COMMON[name] for name in ("substring_index", "crc32", "to_base64", "from_base64", "greatest", "least")},
    **{name: f.COMMON[name] for name in ("sha2", "last_day", "uuid", "truncate", "round", "trim_word", "add_interval")},
    "left": strict(lambda text, count: text_of(text)[: max(0, int(number_of(count)))]),
    "right": strict(lambda text, count: f.right(text, max(0, int(number_of(count))))),
    "upper": f.upper,
    "ucase": f.upper,
    "lower": f.lower,
    "lcase": f.lower,
    "length": f.octets,
    "octet_length": f.octets,
    "char_length": f.characters,
    "character_length": f.characters,
    "substring": substring,
    "substr": substring,
    "mid": substring,
    "locate": locate,
    "position": locate,
    "instr": strict(lambda text, word: locate(word, text)),
    "insert": f.insert_text,
    "ascii": f.code_of,
    "strcmp": strcmp,
    "quote": quote,
    "space": strict(lambda count: " " * max(0, count)),
    "field": field,
    "elt": elt,
    "find_in_set": find_in_set,
    "format": with_commas,
    "bin": strict(lambda value: f"{int(number_of(value)):b}"),
    "oct": strict(lambda value: f"{int(number_of(value)):o}"),
    "conv": conv,
    "hex": hex_of,
    "unhex": unhex,
    "md5": strict(lambda value: f.digest(value, "md5")),
    "sha1": strict(lambda value: f.digest(value, "sha1")),
    "sha": strict(lambda value: f.digest(value, "sha1")),
    "bit_count": strict(lambda value: int(number_of(value)).bit_count()),
    "log": log,
    "pow": f.power,
    "power": f.power,
    "rand": _rand,
    "div": div,
    "int_div": int_div,
    "mod": mod,
    "xor": xor,
    "number": strict(number_of),
    "to_int": to_int,
    "to_text": to_text,
    "to_decimal": to_decimal,
    "add": add,
    "extract": extract,
    "datediff": f.days_between,
    "timestampdiff": timestampdiff,
    "timediff": timediff,
    "time_to_sec": time_to_sec,
    "sec_to_time": f.clock,
    "date": f.date_only,
    "timestamp": f.whole_timestamp,
    "time": strict(lambda value: text_of(value)[-8:]),
    **{name: strict(lambda value, name=name: f.part(name, value)) for name in ("year", "month", "day", "hour")},
    **{name: strict(lambda value, name=name: f.part(name, value)) for name in ("minute", "second", "quarter")},
    "dayofmonth": strict(lambda value: f.part("day", value)),
    "dayofyear": strict(lambda value: f.part("doy", value)),
    "dayofweek": strict(lambda value: f.part("dow", value) + 1),
    "weekday": strict(lambda value: f.part("isodow", value) - 1),
    "dayname": strict(lambda value: f.as_datetime(value).strftime("%A")),
    "monthname": strict(lambda value: f.as_datetime(value).strftime("%B")),
    "week": week,
    "date_format": date_format,
    "str_to_date": str_to_date,
    "unix_timestamp": unix_timestamp,
    "from_unixtime": from_unixtime,
    "inet_aton": inet_aton,
    "inet_ntoa": inet_ntoa,
    "regexp": strict(lambda text, pattern: f.matches(text, pattern, "i")),
    "regexp_replace": strict(lambda text, pattern, new: f.regexp_replace(text, pattern, new, "gi")),
    "regexp_substr": strict(lambda text, pattern: f.regexp_substr(text, pattern, "i")),
    "regexp_instr": strict(lambda text, pattern: f.regexp_instr(text, pattern, "i")),
    "regexp_like": strict(lambda text, pattern: f.matches(text, pattern, "i")),
    "json_contains": f.json_contains,
    "json_unquote": strict(lambda text: json.loads(text) if text[:1] == '"' else text),
    "json_keys": strict(lambda text: json.dumps(list(json.loads(text)))),
    "json_length": strict(lambda text: _json_length(text)),
    "json_type": strict(lambda text: _json_type(text)),
    "char": char,
}


def _json_text(value: Any, kind: str | None) -> str | None:
    if kind is None:
        return None
    if kind in ("array", "object"):
        return str(value)
    return json.dumps({"true": True, "false": False, "null": None}.get(kind, value), ensure_ascii=False)


def _json_length(text: str) -> int:
    value = json.loads(text)
    return len(value) if isinstance(value, dict | list) else 1


def _json_type(text: str) -> str:
    kinds = {dict: "OBJECT", list: "ARRAY", str: "STRING", bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE"}
    return kinds.get(type(json.loads(text)), "NULL")


AGGREGATES: dict[str, Callable[[], Any]] = {
    **COMMON_AGGREGATES,
    "std": COMMON_AGGREGATES["stddev_pop"],
    "stddev": COMMON_AGGREGATES["stddev_pop"],
    "variance": COMMON_AGGREGATES["var_pop"],
}
NATIVE = frozenset(
    [
        *("count", "sum", "min", "max", "avg", "coalesce", "ifnull", "nullif", "abs", "sign", "ceil"),
        *("ceiling", "floor", "sqrt", "ln", "exp", "pi", "degrees", "radians", "log2", "log10", "sin", "cos"),
        *("tan", "asin", "acos", "atan", "atan2", "row_number", "rank", "dense_rank", "percent_rank"),
        *("cume_dist", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "json_valid"),
        *("json_remove", "json_array", "concat", "group_concat", "json_set", "json_insert", "json_replace"),
    ]
)


# --- the flavour ------------------------------------------------------------------------------------------------------
class MySQLFlavour(Flavour):
    """Aurora MySQL."""

    engine = "aurora-mysql"
    dialect = _Dialect
    prefix = "my_"
    functions = FUNCTIONS
    aggregates = AGGREGATES
    native = NATIVE
    committing = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable)

    def __init__(self) -> None:
        self.rules = {
            exp.Div: lambda node: call("my_div", node.this, node.expression),
            exp.IntDiv: lambda node: call("my_int_div", node.this, node.expression),
            exp.Mul: arithmetic("my_times"),
            exp.Neg: arithmetic("my_negative"),
            exp.Between: between_dates,
            exp.In: _in,
            exp.Ordered: _without_case,
            exp.Mod: lambda node: call("my_mod", node.this, node.expression),
            exp.Xor: lambda node: call("my_xor", node.this, node.expression),
            exp.BitwiseXor: bitwise_xor,
            exp.Add: lambda node: _shifted(node, 1),
            exp.Sub: lambda node: _shifted(node, -1),
            exp.Like: _like,
            exp.RegexpLike: lambda node: call("my_regexp", node.this, node.expression),
            exp.NullSafeEQ: lambda node: exp.Is(this=node.this, expression=node.expression),
            exp.Cast: _cast,
            exp.Extract: lambda node: call("my_extract", node.name.lower(), node.expression),
            exp.Trim: _trim,
            exp.Substring: _substring,
            exp.StrPosition: _position,
            exp.GroupConcat: _group_concat,
            exp.CurrentTimestamp: lambda node: _now("%Y-%m-%d %H:%M:%S"),
            exp.CurrentDate: lambda node: _now("%Y-%m-%d"),
            exp.CurrentTime: lambda node: _now("%H:%M:%S"),
            exp.Anonymous: self._named,
            exp.Count: _count,
            exp.Parameter: _variable,
            exp.SessionParameter: _system_variable,
            exp.Table: _table,
            exp.SetOperation: _set_operation,
            exp.Select: _select,
            exp.Lock: lambda node: None,
            exp.If: lambda node: node,
            exp.Chr: lambda node: call("my_char", *node.expressions),
            exp.Values: _values,
            exp.HexString: _hex,
            exp.BitString: lambda node: literal(int(node.name, 2)),
            **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), _comparison),
            exp.JSONObject: _json_object,
            exp.JSONArrayAgg: lambda node: exp.Anonymous(this="json_group_array", expressions=[node.this]),
            exp.JSONObjectAgg: _json_object_agg,
            exp.MatchAgainst: _refused("MATCH ... AGAINST"),
            exp.Collate: lambda node: exp.Collate(this=node.this, expression=exp.var(_collation(node.expression.name))),
            exp.Lateral: _refused("LATERAL"),
            exp.Group: _group,
            exp.Uuid: lambda node: call("my_uuid"),
            exp.Rand: lambda node: call("my_rand"),
            exp.Literal: _text_literal,
            exp.All: _of_comparison,
            exp.Any: _of_comparison,
        }

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions, and user variables of its own."""
        super().install(db)
        variables: dict[str, Any] = {}

        def assign(name: str, value: Any) -> Any:
            variables[name] = value
            return value

        db.create_scalar_function("my_get", variables.get, 1)  # type: ignore[arg-type]
        db.create_scalar_function("my_set", assign, 2)  # type: ignore[arg-type]

    def special(self, sql: str) -> Translation | None:
        """Comments that only servers of a version read, and statements that sqlglot does not know."""
        versioned = re.fullmatch(r"\s*/\*!\d{5}\s+(.*?)\*/\s*;?\s*", sql, re.DOTALL)
        if versioned is not None:
            return self.translate(versioned[1])
        if SAVEPOINT.fullmatch(sql):
            return Translation(sql.replace("`", '"'))
        if re.fullmatch(r"\s*(?:OPTIMIZE|ANALYZE)\s+TABLE\s+[\w`, ]+;?\s*", sql, re.I):
            return Translation("ANALYZE")
        replace = re.match(r"\s*REPLACE\s+INTO\b", sql, re.I)
        if replace is not None:
            made = self.translate("INSERT" + sql[replace.end() - 5 :])
            return Translation(re.sub(r"^INSERT", "INSERT OR REPLACE", made.sql), made.before, made.after)
        renamed = re.fullmatch(r"\s*RENAME\s+TABLE\s+(\S+)\s+TO\s+(\S+?)\s*;?\s*", sql, re.I)
        if renamed is not None:
            return Translation(f"ALTER TABLE {renamed[1]} RENAME TO {renamed[2]}")
        dropped = re.fullmatch(r"\s*DROP\s+INDEX\s+`?(\w+)`?\s+ON\s+`?(\w+)`?\s*;?\s*", sql, re.I)
        if dropped is not None:
            return Translation(f'DROP INDEX "{dropped[2]}__{dropped[1]}"', commits=True)
        empty = re.fullmatch(r"(\s*INSERT\s+INTO\s+\S+)\s*\(\s*\)\s*VALUES?\s*\(\s*\)\s*;?\s*", sql, re.I)
        if empty is not None:
            return Translation(f"{empty[1]} DEFAULT VALUES".replace("`", '"'))
        explained = re.match(r"\s*EXPLAIN\s+(?=SELECT|UPDATE|DELETE|INSERT|WITH)", sql, re.I)
        if explained is not None:
            return Translation("EXPLAIN QUERY PLAN " + self.translate(sql[explained.end() :]).sql)
        index = re.fullmatch(
            r"(\s*CREATE\s+(?:UNIQUE\s+)?INDEX\b.*?)\s+USING\s+(?:BTREE|HASH)\s*;?\s*", sql, re.I | re.DOTALL
        )
        if index is not None:
            return self.translate(re.sub(r"(\w+)\(\d+\)", r"\1", index[1]))
        return None

    def _named(self, node: exp.Anonymous) -> exp.Expression:
        name, arguments = node.name.lower(), node.expressions
        if name in ("date_add", "adddate", "date_sub", "subdate"):
            sign = 1 if "add" in name else -1
            interval = arguments[1]
            if not isinstance(interval, exp.Interval):
                return call("my_add", arguments[0], exp.Mul(this=literal(sign), expression=exp.paren(interval)), "day")
            return _plus(arguments[0], interval, sign)
        if name in ("now", "current_timestamp", "sysdate", "utc_timestamp", "localtime", "localtimestamp"):
            return _now("%Y-%m-%d %H:%M:%S")
        if name in ("curdate", "current_date", "utc_date"):
            return _now("%Y-%m-%d")
        if name in ("curtime", "current_time", "utc_time"):
            return _now("%H:%M:%S")
        if name == "unix_timestamp" and not arguments:
            return call("unixepoch")
        if name in ("timestampdiff", "timestampadd"):
            unit = arguments[0].name.lower()
            if name == "timestampdiff":
                return call("my_timestampdiff", unit, *arguments[1:])
            return call("my_add", arguments[2], arguments[1], unit)
        if name == "isnull":
            return exp.paren(exp.Is(this=arguments[0], expression=exp.null()))
        if name == "last_insert_id" and not arguments:
            return call("last_insert_rowid")
        if name == "row_count":
            return call("changes")
        if name in ("version", "database", "schema", "user", "current_user", "session_user"):
            known = {"version": SYSTEM_VARIABLES["version"], "database": "main", "schema": "main"}
            return literal(known.get(name, "local@localhost"))
        if name == "connection_id":
            return literal(threading.get_native_id())
        if name == "log" and len(arguments) == 1:
            return call("ln", *arguments)
        if name == "count":
            return _count(node)
        if name == "concat":
            return call("my_concat", *arguments)
        if name == "values":
            return exp.column(arguments[0].name, table="excluded")
        if name in ("ltrim", "rtrim", "trim") and len(arguments) == 1:
            return exp.Anonymous(this=name, expressions=arguments)
        if name == "json_extract":
            return _json_extract(arguments)
        if name == "json_arrayagg":
            return exp.Anonymous(this="json_group_array", expressions=arguments)
        if name == "json_contains" and len(arguments) == 3:
            return call("my_json_contains", _json_extract([arguments[0], arguments[2]]), arguments[1])
        if name in ("json_object", "json_unquote", "if"):
            return exp.Anonymous(this=name if name != "json_unquote" else "my_json_unquote", expressions=arguments)
        if name in ("stddev", "std", "variance") or name in self.functions:
            return call("my_" + name, *arguments)
        return self._function(node)

    # --- statements that are no queries -----------------------------------------------------------------------------
    def on_insert(self, tree: exp.Insert, work: Work) -> exp.Expression:
        """INSERT, with IGNORE, SET, ON DUPLICATE KEY UPDATE."""
        conflict = tree.args.get("conflict")
        if tree.args.get("ignore"):
            tree.set("ignore", None)  # of duplicates only: what else MySQL would adjust is refused
            conflict = exp.OnConflict(action=exp.var("DO NOTHING"))
            tree.set("conflict", conflict)
            if isinstance(tree.expression, exp.Select) and not tree.expression.args.get("where"):
                tree.expression.where("TRUE", copy=False)
            return self.expression(tree)
        if tree.args.get("partition"):
            raise NotSaid("PARTITION")
        if conflict is not None:
            conflict.set("duplicate", None)
            conflict.set("action", exp.var("DO UPDATE"))
            self._assign_in_order(conflict)
            source = tree.expression
            if isinstance(source, exp.Select) and not source.args.get("where"):
                source.where("TRUE", copy=False)  # or SQLite takes ON for a join's
        return self.expression(tree)

    def on_update(self, tree: exp.Update, work: Work) -> exp.Expression:
        """UPDATE: assignments see those before them; several tables; ORDER BY ... LIMIT."""
        table = tree.this
        order, limit = tree.args.get("order"), tree.args.get("limit")
        if order is not None or limit is not None:
            key = exp.select("rowid").from_(table.copy())
            for part, value in (("where", tree.args.get("where")), ("order", order), ("limit", limit)):
                key.set(part, value.copy() if value is not None else None)
            for part in ("where", "order", "limit"):
                tree.set(part, None)
            tree.where(exp.In(this=exp.column("rowid"), query=key.subquery()), copy=False)
        if any(is_default(each.expression) for each in tree.expressions):
            raise NotSaid("SET ... = DEFAULT")
        self._assign_in_order(tree)
        joins = table.args.get("joins") or []
        if joins or tree.args.get("joins"):
            return self.expression(self._update_joined(tree))
        return self.expression(tree)

    def _assign_in_order(self, tree: exp.Update | exp.OnConflict) -> None:
        done: dict[str, exp.Expression] = {}
        for assignment in tree.expressions:
            value = assignment.expression.transform(
                lambda node: (
                    exp.paren(done[node.name.lower()].copy())
                    if isinstance(node, exp.Column) and node.name.lower() in done
                    else node
                )
            )
            assignment.set("expression", value)
            done[assignment.this.name.lower()] = value

    def _update_joined(self, tree: exp.Update) -> exp.Update:
        """UPDATE a JOIN b: the rows of a that the join finds, with the values that it gives them."""
        table = tree.this.copy()
        joins = [*(table.args.get("joins") or []), *(tree.args.get("joins") or [])]
        table.set("joins", None)
        name = table.alias_or_name
        targets = {assignment.this.table or name for assignment in tree.expressions}
        if targets != {name}:
            raise NotSaid("UPDATE of more than the first table")
        columns = [exp.alias_(exp.column("rowid", table=name), "clusterdb_row")]
        columns += [exp.alias_(each.expression.copy(), f"v{at}") for at, each in enumerate(tree.expressions)]
        found = exp.select(*columns).from_(table.copy())
        found.set("joins", [join.copy() for join in joins])
        if tree.args.get("where") is not None:
            found.set("where", tree.args["where"].copy())
        made = exp.Update(
            this=table,
            expressions=[
                exp.EQ(this=exp.column(each.this.name), expression=exp.column(f"v{at}", table="clusterdb_found"))
                for at, each in enumerate(tree.expressions)
            ],
        )
        made.set("from_", exp.From(this=found.subquery("clusterdb_found")))
        row, found_row = exp.column("rowid", table=name), exp.column("clusterdb_row", table="clusterdb_found")
        made.set("where", exp.Where(this=exp.EQ(this=row, expression=found_row)))
        return made

    def on_delete(self, tree: exp.Delete, work: Work) -> exp.Expression:
        """DELETE, with joins, USING, ORDER BY ... LIMIT."""
        order, limit, using = tree.args.get("order"), tree.args.get("limit"), tree.args.get("using")
        tables = tree.args.get("tables")
        source = tree.this
        joins = (source.args.get("joins") if source is not None else None) or []
        if not (order or limit or using or tables or joins):
            return self.expression(tree)
        if using:
            target, source = source.name, using[0]
        elif tables:
            if len(tables) != 1:
                raise NotSaid("DELETE from several tables")
            target = tables[0].name
        else:
            target = source.alias_or_name
        sources = [source, *(join.this for join in source.args.get("joins") or [])]
        every = {each.alias_or_name: each.name for each in sources}
        if target not in every:
            raise NotSaid(f"DELETE from {target}")
        key = exp.select(exp.column("rowid", table=target)).from_(source.copy())
        if source.args.get("joins"):
            key.args["from_"].this.set("joins", None)
            key.set("joins", [join.copy() for join in source.args["joins"]])
        for part, value in (("where", tree.args.get("where")), ("order", order), ("limit", limit)):
            key.set(part, value.copy() if value is not None else None)
        made = exp.Delete(this=exp.to_table(every[target]))
        made.set("where", exp.Where(this=exp.In(this=exp.column("rowid"), query=key.subquery())))
        return self.expression(made)

    def on_create(self, tree: exp.Create, work: Work) -> exp.Expression | Translation:
        """CREATE TABLE, INDEX, VIEW."""
        kind = tree.args["kind"].upper()
        if kind == "TABLE":
            from clusterdb.flavours.mysql_tables import create_table

            return create_table(self, tree, work)
        if kind == "VIEW":
            for part in ("properties",):
                tree.set(part, None)
            if tree.args.get("replace"):
                tree.set("replace", None)
                work.before.append(f"DROP VIEW IF EXISTS {self.text(tree.this)}")
            return self.expression(tree)
        if kind == "INDEX":
            index = tree.this
            table = index.args["table"]
            index.set("this", exp.to_identifier(f"{table.name}__{index.name}", quoted=True))
            return self.expression(tree)
        raise NotSaid(f"CREATE {kind}")

    def on_drop(self, tree: exp.Drop, work: Work) -> exp.Expression | Translation:
        """DROP TABLE (several), VIEW, INDEX ... ON."""
        kind = tree.args["kind"].upper()
        exists = "IF EXISTS " if tree.args.get("exists") else ""
        if kind in ("TABLE", "VIEW"):
            several = tree.args.get("tables") or [tree.this, *tree.expressions]
            texts = [f"DROP {kind} {exists}{quoted(each.name)}" for each in several]
            return Translation(texts[-1], tuple(texts[:-1]))
        if kind == "INDEX":
            raise NotSaid("DROP INDEX without ON")
        raise NotSaid(f"DROP {kind}")

    def on_alter(self, tree: exp.Alter, work: Work) -> Translation:
        """ALTER TABLE: what SQLite has too, one action after the other."""
        from clusterdb.flavours.mysql_tables import alter_table

        return alter_table(self, tree)

    def on_truncatetable(self, tree: exp.TruncateTable, work: Work) -> Translation:
        """TRUNCATE: no rows, and numbering begins again."""
        (table,) = tree.expressions
        name = table.name.replace("'", "''")
        return Translation(
            f"DELETE FROM {self.text(table)}",
            after=(f"UPDATE sqlite_sequence SET seq = 0 WHERE name = '{name}'",),
        )

    def on_transaction(self, tree: exp.Transaction, work: Work) -> Translation:
        """START TRANSACTION."""
        return Translation("BEGIN")

    def on_commit(self, tree: exp.Commit, work: Work) -> Translation:
        """COMMIT."""
        return Translation("COMMIT", ends=True)

    def on_rollback(self, tree: exp.Rollback, work: Work) -> Translation:
        """ROLLBACK."""
        savepoint = tree.args.get("savepoint")
        if savepoint is not None:
            return Translation(f'ROLLBACK TO "{savepoint.name}"')
        return Translation("ROLLBACK", ends=True)

    def on_set(self, tree: exp.Set, work: Work) -> Translation:
        """SET: user variables; of the session's, what makes no difference here."""
        texts = []
        for item in tree.expressions:
            texts += self._set_item(item)
        return Translation(texts[-1] if texts else "SELECT 1 WHERE 0", tuple(texts[:-1]))

    def _set_item(self, item: exp.Expression) -> list[str]:
        kind = str(item.args.get("kind") or "").upper()
        if kind in ("NAMES", "CHARACTER SET") or "TRANSACTION" in kind:
            return []
        assignment = item.this
        if isinstance(assignment, exp.EQ | exp.PropertyEQ):
            target, value = assignment.this, assignment.expression
            if isinstance(target, exp.Parameter):
                return [self.text(exp.select(call("my_set", target.name.lower(), self.expression(value))))]
            name = target.name.lower()
            if name in _IGNORED_SETTINGS:
                return []
            if name == "time_zone" and value.name.upper() in ("+00:00", "UTC", "SYSTEM"):
                return []
            if name == "foreign_key_checks":
                return [f"PRAGMA foreign_keys = {value.name}"]
            if name == "autocommit" and value.name in ("1", "ON", "on"):
                return []
        raise NotSaid(f"SET {item.sql(dialect='mysql')}")

    def on_show(self, tree: exp.Show, work: Work) -> Translation:
        """SHOW TABLES, COLUMNS, INDEX, VARIABLES."""
        from clusterdb.flavours.mysql_tables import show

        return show(tree)

    def on_describe(self, tree: exp.Describe, work: Work) -> Translation:
        """DESCRIBE a table."""
        from clusterdb.flavours.mysql_tables import COLUMNS

        return Translation(COLUMNS.format(table=tree.this.name.replace("'", "''")))


# --- rules ------------------------------------------------------------------------------------------------------------
def _refused(what: str) -> Callable[[Any], exp.Expression]:
    def refuse(_: Any) -> exp.Expression:
        raise NotSaid(what)

    return refuse


def _now(form: str) -> exp.Expression:
    return exp.Anonymous(this="strftime", expressions=[literal(form), literal("now")])


def bitwise_xor(node: exp.BitwiseXor) -> exp.Expression:
    a, b = node.this, node.expression
    either = exp.paren(exp.BitwiseOr(this=exp.paren(a.copy()), expression=exp.paren(b.copy())))
    both = exp.paren(exp.BitwiseAnd(this=exp.paren(a.copy()), expression=exp.paren(b.copy())))
    return exp.paren(exp.Sub(this=either, expression=both))


def _shifted(node: Any, sign: int) -> exp.Expression:
    """What an interval is added to, or taken from."""
    if isinstance(node.expression, exp.Interval):
        return _plus(node.this, node.expression, sign)
    if isinstance(node.this, exp.Interval) and sign > 0:
        return _plus(node.expression, node.this, sign)
    return arithmetic("my_plus" if sign > 0 else "my_minus")(node)


def _plus(value: exp.Expression, interval: exp.Interval, sign: int) -> exp.Expression:
    unit = interval.args["unit"].name.lower() if interval.args.get("unit") is not None else ""
    if not unit:
        raise NotSaid("an INTERVAL without a unit")
    count = interval.this
    if sign < 0:
        count = exp.Neg(this=exp.paren(count.copy())) if "_" not in unit else call("my_concat", "-", count)
    return call("my_add", value, count, unit)


def _like(node: exp.Like) -> exp.Expression:
    if isinstance(node.parent, exp.Escape):
        return node
    if isinstance(node.expression, exp.Literal) and "\\" not in node.expression.name:
        return node
    return exp.Escape(this=exp.Like(this=node.this, expression=node.expression), expression=literal("\\"))


_CASTS = {
    "BIGINT": ("my_to_int", ()),
    "INT": ("my_to_int", ()),
    "SIGNED": ("my_to_int", ()),
    "UBIGINT": ("my_to_int", ()),
    "UINT": ("my_to_int", ()),
    "DATE": ("my_date", ()),
    "DATETIME": ("my_timestamp", ()),
    "TIMESTAMP": ("my_timestamp", ()),
    "DOUBLE": ("my_number", ()),
    "FLOAT": ("my_number", ()),
}


def _cast(node: exp.Cast) -> exp.Expression:
    kind = node.to.this.value if isinstance(node.to.this, exp.DataType.Type) else str(node.to.this)
    sizes = [int(each.name) for each in node.to.expressions]
    if kind in _CASTS:
        return call(_CASTS[kind][0], node.this)
    if kind in ("CHAR", "VARCHAR", "TEXT", "NCHAR"):
        return call("my_to_text", node.this, *sizes[:1])
    if kind in ("DECIMAL", "UDECIMAL"):
        return call("my_to_decimal", node.this, sizes[1] if len(sizes) > 1 else 0)
    if kind in ("BINARY", "VARBINARY"):
        return exp.Collate(this=exp.paren(node.this), expression=exp.var("BINARY"))
    if kind in ("CHARACTER_SET", "CHARACTER SET"):
        return node.this
    if kind == "JSON":
        return call("json", node.this)
    raise NotSaid(f"CAST ... AS {kind}")


def _trim(node: exp.Trim) -> exp.Expression:
    where = str(node.args.get("position") or "both").lower()
    return call("my_trim_word", node.this, node.expression or " ", where)


def _substring(node: exp.Substring) -> exp.Expression:
    arguments = [node.this, node.args.get("start") or literal(1)]
    if node.args.get("length") is not None:
        arguments.append(node.args["length"])
    return call("my_substring", *arguments)


def _position(node: exp.StrPosition) -> exp.Expression:
    return call("my_locate", node.args["substr"], node.this)


def _group_concat(node: exp.GroupConcat) -> exp.Expression:
    what, separator = node.this, node.args.get("separator")
    order = None
    if isinstance(what, exp.Order):
        order, what = what, what.this
    distinct = isinstance(what, exp.Distinct)
    if distinct:
        values = what.expressions
        if separator is not None and separator.name != ",":
            raise NotSaid("GROUP_CONCAT(DISTINCT ... SEPARATOR other than a comma)")
    else:
        values = [what]
    if len(values) != 1:
        raise NotSaid("GROUP_CONCAT of several")
    inner: exp.Expression = exp.Distinct(expressions=values) if distinct else values[0]
    arguments = [inner] if distinct else [inner, separator or literal(",")]
    if order is not None:
        arguments[-1] = exp.Order(this=arguments[-1], expressions=order.expressions)
    return exp.Anonymous(this="group_concat", expressions=arguments)


def _count(node: Any) -> exp.Expression:
    what = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
    if isinstance(what, exp.Distinct) and len(what.expressions) > 1:
        nothing = exp.or_(*(exp.Is(this=each.copy(), expression=exp.null()) for each in what.expressions))
        together = exp.Anonymous(this="json_array", expressions=[each.copy() for each in what.expressions])
        case = exp.Case(ifs=[exp.If(this=nothing, true=exp.null())], default=together)
        return exp.Count(this=exp.Distinct(expressions=[case]))
    return node


def _variable(node: exp.Parameter) -> exp.Expression:
    return call("my_get", node.name.lower())


def _system_variable(node: exp.SessionParameter) -> exp.Expression:
    name = node.name.lower()
    if name not in SYSTEM_VARIABLES:
        raise NotSaid(f"@@{name}")
    return literal(SYSTEM_VARIABLES[name])


def _table(node: exp.Table) -> exp.Expression:
    for part in ("hints", "joins"):
        if part == "hints" and node.args.get(part):
            node.set(part, None)
    if node.args.get("partition"):
        raise NotSaid("PARTITION")
    if node.db.lower() == "information_schema":
        from clusterdb.flavours.mysql_tables import information_schema

        return information_schema(node)
    return node


def _select(node: exp.Select) -> exp.Expression:
    source = node.args.get("from_")
    if source is not None and isinstance(source.this, exp.Table) and source.this.name.lower() == "dual":
        node.set("from_", None)
    node.set("locks", None)
    node.set("hint", None)
    node.set("operation_modifiers", None)
    if node.args.get("into") is not None:
        raise NotSaid("SELECT ... INTO")
    return node


def _set_operation(node: exp.SetOperation) -> exp.Expression:
    """SQLite knows no brackets around the parts of a UNION."""
    for part in ("this", "expression"):
        piece = node.args[part]
        if isinstance(piece, exp.Subquery):
            inner = piece.this
            plain = isinstance(inner, exp.Select) and not inner.args.get("order") and not inner.args.get("limit")
            node.set(part, inner if plain else exp.select("*").from_(piece.copy()))
    return node


def _of_comparison(node: Any) -> exp.Expression:
    if not isinstance(node.parent, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        raise NotSaid(f"{node.key.upper()} (...)")
    return node


def _group(node: exp.Group) -> exp.Expression:
    if any(node.args.get(part) for part in ("rollup", "cube", "grouping_sets", "totals")):
        raise NotSaid("GROUP BY ... WITH ROLLUP")
    return node


def _values(node: exp.Values) -> exp.Expression:
    for row in node.expressions:
        for each in row.expressions:
            if is_default(each):
                raise NotSaid("DEFAULT in VALUES")
    return node


def _hex(node: exp.HexString) -> exp.Expression:
    if isinstance(node.parent, exp.Binary) and not isinstance(node.parent, exp.Predicate):
        return literal(int(node.name, 16))
    if isinstance(node.parent, exp.EQ | exp.NEQ):
        return exp.Anonymous(this="my_to_text", expressions=[node.copy()])
    return node


def _comparison(node: Any) -> exp.Expression:
    """Texts are compared whatever their case; a text and a number as numbers; ANY and ALL."""
    left, right = node.this, node.expression
    if isinstance(right, exp.All | exp.Any):
        return quantified(node, right)
    texts = [isinstance(each, exp.Literal) and each.is_string for each in (left, right)]
    numbers = [isinstance(each, exp.Literal) and not each.is_string for each in (left, right)]
    dated = compared_with_date(node)
    if dated is not None:
        return dated
    if all(texts):
        node.set("this", exp.Collate(this=left.copy(), expression=exp.var("NOCASE")))
    elif texts[1] and _is_called(left, "my_unhex", "my_from_base64"):
        node.set("this", call("my_to_text", left))
    elif texts[1] and _is_called(left, "my_json_text"):
        node.set("this", call("my_json_unquote", left))
    elif texts[1] and _is_number(left):
        node.set("expression", call("my_number", right))
    elif texts[1] and not isinstance(left, exp.Column | exp.Collate):
        node.set("this", exp.Collate(this=exp.paren(left.copy()), expression=exp.var("NOCASE")))
    elif texts[0] and numbers[1]:
        node.set("this", call("my_number", left))
    elif texts[1] and numbers[0]:
        node.set("expression", call("my_number", right))
    return node


_NUMBERS = (
    *("my_year", "my_month", "my_day", "my_hour", "my_minute", "my_second", "my_quarter", "my_week", "my_length"),
    *("my_plus", "my_minus", "my_times", "my_negative", "my_div", "my_int_div", "my_mod", "my_round", "my_extract"),
    *("my_datediff", "my_char_length", "my_dayofweek", "my_dayofyear", "my_dayofmonth", "my_weekday", "my_to_int"),
    *("my_number", "abs", "count", "sum"),
)


def _is_number(tree: Any) -> bool:
    return isinstance(tree, exp.Count | exp.Sum) or _is_called(tree, *_NUMBERS)


def _in(node: exp.In) -> exp.Expression:
    """IN: dates, and texts whatever their case."""
    made = among_dates(node)
    if not isinstance(node.this, exp.Column | exp.Collate | exp.Literal | exp.Tuple) and not _is_number(node.this):
        made.set("this", exp.Collate(this=exp.paren(node.this.copy()), expression=exp.var("NOCASE")))
    return made


def _without_case(node: exp.Ordered) -> exp.Expression:
    """Texts are ordered whatever their case, also those that a function makes."""
    if isinstance(node.this, exp.Anonymous | exp.Case | exp.Coalesce | exp.If) and not _is_number(node.this):
        node.set("this", exp.Collate(this=exp.paren(node.this.copy()), expression=exp.var("NOCASE")))
    return node


def _is_called(tree: Any, *names: str) -> bool:
    return isinstance(tree, exp.Anonymous) and tree.name.lower() in names


def _text_literal(node: exp.Literal) -> exp.Expression:
    """SQLite's texts in SQL end at a NUL."""
    if not node.is_string or "\0" not in node.name:
        return node
    parts: list[exp.Expression] = []
    for at, piece in enumerate(node.name.split("\0")):
        parts += ([exp.Anonymous(this="char", expressions=[literal(0)])] if at else []) + [literal(piece)]
    return exp.paren(exp.DPipe(this=parts[0], expression=parts[1]) if len(parts) == 2 else _joined(parts))


def _joined(parts: list[exp.Expression]) -> exp.Expression:
    made = parts[0]
    for each in parts[1:]:
        made = exp.DPipe(this=made, expression=each)
    return made


def quantified(node: Any, right: Any) -> exp.Expression:
    query = right.this
    query = query.this if isinstance(query, exp.Subquery | exp.Paren) else query
    if not isinstance(query, exp.Select):
        raise NotSaid("ANY or ALL of something that is no query")
    if isinstance(right, exp.Any) and isinstance(node, exp.EQ):
        return exp.In(this=node.this, query=query.subquery())
    if isinstance(right, exp.All) and isinstance(node, exp.NEQ):
        return exp.Not(this=exp.In(this=node.this, query=query.subquery()))
    if len(query.expressions) != 1:
        raise NotSaid("ANY or ALL of several columns")
    inner = query.copy()
    inner.set("expressions", [exp.alias_(inner.expressions[0], "clusterdb_value", copy=False)])
    test = type(node)(this=node.this.copy(), expression=exp.column("clusterdb_value", table="clusterdb_all"))
    found = exp.select("1").from_(inner.subquery("clusterdb_all"))
    if isinstance(right, exp.Any):
        return exp.Exists(this=found.where(test))
    untrue = exp.Is(this=exp.paren(test), expression=exp.Not(this=exp.true()))
    return exp.Not(this=exp.Exists(this=found.where(untrue)))


def _collation(name: str) -> str:
    return "BINARY" if name.lower().endswith(("_bin", "binary", "_cs")) else "NOCASE"


def _json_extract(arguments: list[Any]) -> exp.Expression:
    """The value as JSON text: a string with its quotes."""
    made = exp.Anonymous(this="json_extract", expressions=[each.copy() for each in arguments])
    return call("my_json_text", made, exp.Anonymous(this="json_type", expressions=[each.copy() for each in arguments]))


def _json_object(node: exp.JSONObject) -> exp.Expression:
    arguments: list[exp.Expression] = []
    for each in node.expressions:
        arguments += [each.this, each.expression]
    return exp.Anonymous(this="json_object", expressions=arguments)


def _json_object_agg(node: Any) -> exp.Expression:
    pair = node.this if isinstance(node.this, exp.JSONKeyValue) else node.expressions[0]
    return exp.Anonymous(this="json_group_object", expressions=[pair.this, pair.expression])
