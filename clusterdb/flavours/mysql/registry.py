"""MySQL's functions: a row for each, and the helpers that the rules call.

The letters of arguments: ``t`` is a text, to which numbers are converted as MySQL writes them; ``i`` a number beside
texts, which may be handed over as a text; ``n`` a number, which a date is not; ``d`` a date, which a number is not;
``*`` anything; ``!`` an argument that MySQL has, but that is not supported here.
"""

from __future__ import annotations

from functools import partial

from clusterdb.flavours import functions as f
from clusterdb.flavours.collations import key
from clusterdb.flavours.functions import text_of
from clusterdb.flavours.mysql import calls, json
from clusterdb.flavours.mysql import compare as c
from clusterdb.flavours.mysql import functions as m
from clusterdb.flavours.mysql import rules as r
from clusterdb.flavours.mysql import types as t
from clusterdb.flavours.mysql.members import enum_of, ordinal, set_of
from clusterdb.flavours.registry import Function, Functions
from clusterdb.flavours.types import (
    BYTES,
    DATE,
    DATETIME,
    DOUBLE,
    INTEGER,
    JSON,
    TEXT,
    TIME,
    Kind,
    Typing,
)

__all__ = ["FUNCTIONS", "TYPING"]

_JSON_TEXT = Kind("text", collation="utf8mb4_bin")

_TEXTS = (
    Function("ascii", "t", INTEGER, lambda text: (text_of(text).encode() or b"\0")[0]),
    Function("bit_length", "t", INTEGER, lambda text: 8 * f.octets(text)),
    Function("char_length character_length", "t", INTEGER, f.characters),
    Function("concat", "t+", TEXT, m.concat),
    Function("concat_ws", "tt+", TEXT, f.concat_ws, takes_null=True),
    Function("elt", "**+", TEXT, m.elt, takes_null=True),
    Function("field", "tt+", INTEGER, m.field, takes_null=True),
    Function("find_in_set", "tt", INTEGER, m.find_in_set),
    Function("format", "**/!", TEXT, m.with_commas),
    Function("insert", "tiit", TEXT, f.insert_text),
    Function("instr", "tt", INTEGER, lambda text, word: m.locate(word, text)),
    Function("left", "ti", TEXT, m.left),
    Function("length octet_length", "t", INTEGER, f.octets),
    Function("locate position", "tt/i", INTEGER, m.locate),
    Function("lower lcase", "t", TEXT, f.lower),
    Function("lpad", "ti/t", TEXT, m.lpad, length=lambda text, length, *fill: int(length)),
    Function("ltrim rtrim trim", "t", TEXT),
    Function("quote", "t", TEXT, m.quote),
    Function("repeat", "ti", TEXT, f.repeat, length=lambda text, count: len(str(text)) * int(count)),
    Function(
        *("replace", "ttt", TEXT, f.replaced),
        length=lambda text, old, new: str(text).count(str(old)) * len(str(new)) if old else 0,
    ),
    Function("reverse", "t", TEXT, f.reverse),
    Function("right", "ti", TEXT, m.right),
    Function("rpad", "ti/t", TEXT, m.rpad, length=lambda text, length, *fill: int(length)),
    Function("space", "*", TEXT, lambda count: " " * max(0, count)),
    Function("strcmp", "tt", INTEGER, m.strcmp),
    Function("substring substr mid", "ti/i", TEXT, m.substring),
    Function("substring_index", "tti", TEXT, f.substring_index),
    Function("upper ucase", "t", TEXT, f.upper),
    # digests and encodings
    Function("bin", "*", TEXT, lambda value: f"{m.bits(value):b}"),
    Function("char", "*+", BYTES, m.char, takes_null=True),
    Function("conv", "***", TEXT, m.conv),
    Function("crc32", "t", INTEGER, f.crc32),
    Function("from_base64", "*", BYTES, f.from_base64),
    Function("hex", "*", TEXT, m.hex_of),
    Function("md5", "t", TEXT, lambda value: f.digest(value, "md5")),
    Function("oct", "*", TEXT, lambda value: f"{m.bits(value):o}"),
    Function("sha1 sha", "t", TEXT, lambda value: f.digest(value, "sha1")),
    Function("sha2", "ti", TEXT, f.sha2),
    Function("to_base64", "t", TEXT, f.to_base64),
    Function("unhex", "*", BYTES, m.unhex),
    Function("inet_aton", "*", INTEGER, m.inet_aton),
    Function("inet_ntoa", "*", TEXT, m.inet_ntoa),
    Function("uuid", "", TEXT, f.new_uuid, is_volatile=True),
    # regular expressions
    Function("regexp_instr", "tt/!!!!", INTEGER, lambda text, pattern: f.regexp_instr(text, pattern, "i")),
    Function("regexp_like", "tt/!", INTEGER, lambda text, pattern: f.matches(text, pattern, "i")),
    Function("regexp_replace", "ttt/!!!", TEXT, lambda text, pattern, new: f.regexp_replace(text, pattern, new, "gi")),
    Function("regexp_substr", "tt/!!!", TEXT, lambda text, pattern: f.regexp_substr(text, pattern, "i")),
)

_NUMBERS = (
    Function("abs", "n", t.absolute),
    Function("sign", "n", INTEGER),
    Function("ceil ceiling floor", "n", t.whole),
    Function("round", "n/n", t.rounded, m.rounded, rewrite=calls.rounded),
    Function("truncate", "nn", t.rounded, f.truncated, rewrite=calls.rounded),
    Function("mod", "nn", t.remainder, m.mod, rewrite=calls.remainder),
    Function("pow power", "nn", DOUBLE, f.power),
    Function("log", "n/n", DOUBLE, m.log, rewrite=calls.logarithm),
    Function("sqrt ln exp log2 log10", "n", DOUBLE),
    Function("degrees radians sin cos tan asin acos", "*", DOUBLE),
    Function("atan", "*/!", DOUBLE),
    Function("atan2", "**", DOUBLE),
    Function("pi", "", DOUBLE),
    Function("rand", "/!", DOUBLE, m.rand, is_volatile=True),
    Function("bit_count", "*", INTEGER, lambda value: m.bits(value).bit_count()),
)

_DATES = (
    Function(
        *("now current_timestamp sysdate utc_timestamp localtime localtimestamp", "/*", t.now),
        rewrite=calls.time_now(calls.DATETIME, has_digits=True),
    ),
    Function("curdate current_date utc_date", "", DATE, rewrite=calls.time_now(calls.DATE)),
    Function("curtime current_time utc_time", "/*", TIME, rewrite=calls.time_now(calls.TIME)),
    Function("date_add adddate", "d*", t.shifted_by, rewrite=calls.shifted(1)),
    Function("date_sub subdate", "d*", t.shifted_by, rewrite=calls.shifted(-1)),
    Function("timestampadd", "***", rewrite=calls.sum_of_units),
    Function("timestampdiff", "***", INTEGER, m.timestampdiff, rewrite=calls.difference),
    Function("datediff", "d*", INTEGER, f.days_between),
    Function("timediff", "**", TIME, m.timediff),
    Function("date", "d", DATE, m.date_only),
    Function("time", "*", TIME, m.time),
    Function("timestamp", "d/*", DATETIME, f.whole_timestamp, rewrite=calls.timestamp),
    Function("last_day", "d", DATE, f.last_day),
    Function("year", "d", INTEGER, partial(f.part, "year")),
    Function("quarter", "d", INTEGER, partial(f.part, "quarter")),
    Function("month", "d", INTEGER, partial(f.part, "month")),
    Function("week", "d/*", INTEGER, m.week),
    Function("day dayofmonth", "d", INTEGER, partial(f.part, "day")),
    Function("hour", "d", INTEGER, partial(f.part, "hour")),
    Function("minute", "d", INTEGER, partial(f.part, "minute")),
    Function("second", "d", INTEGER, partial(f.part, "second")),
    Function("dayofyear", "d", INTEGER, partial(f.part, "doy")),
    Function("dayofweek", "d", INTEGER, m.day_of_week),
    Function("weekday", "d", INTEGER, m.weekday),
    Function("dayname", "d", TEXT, m.day_name),
    Function("monthname", "d", TEXT, m.month_name),
    Function("extract", "**", INTEGER, m.extract),
    Function("date_format", "d*", TEXT, m.date_format),
    Function("str_to_date", "**", python=m.str_to_date),
    Function("unix_timestamp", "/d", INTEGER, m.unix_timestamp, rewrite=calls.seconds_since_1970),
    Function("from_unixtime", "*/*", t.from_unixtime, m.from_unixtime),
    Function("time_to_sec", "*", INTEGER, m.time_to_sec),
    Function("sec_to_time", "*", TIME, f.clock),
)

_CHOICES = (
    Function("coalesce", "*+", t.any_of, rewrite=calls.first_not_null),
    Function("ifnull", "**", t.any_of, rewrite=calls.first_not_null),
    Function("if", "***", t.branch, rewrite=calls.choice),
    Function("isnull", "*", INTEGER, rewrite=calls.is_null),
    Function("nullif", "**", t.same, rewrite=calls.by_node(c.nullif)),
    Function("greatest", "**+", t.extreme, m.greatest, rewrite=lambda called, context: c.extreme(called.node)),
    Function("least", "**+", t.extreme, m.least, rewrite=lambda called, context: c.extreme(called.node)),
    Function("values", "*", rewrite=calls.value_to_insert),
)

_JSON = (
    Function("json_array", "/*+", JSON, json.array, rewrite=calls.json_values, takes_null=True),
    Function("json_object", "/*+", JSON, json.made_object, rewrite=calls.json_pairs, takes_null=True),
    Function("json_contains", "**/*", INTEGER, f.json_contains, rewrite=calls.json_contains),
    Function("json_extract", "**+", JSON, rewrite=calls.json_extract),
    Function("json_insert", "***+", JSON, json.inserted, rewrite=calls.json_changed, takes_null=True),
    Function("json_keys", "*/*", JSON, json.keys),
    Function("json_length", "*/*", INTEGER, json.length),
    Function("json_remove", "**+", JSON, json.removed),
    Function("json_replace", "***+", JSON, json.replaced, rewrite=calls.json_changed, takes_null=True),
    Function("json_set", "***+", JSON, json.changed, rewrite=calls.json_changed, takes_null=True),
    Function("json_type", "*", _JSON_TEXT, json.type_of),
    Function("json_unquote", "*", _JSON_TEXT, json.unquoted),
    Function("json_valid", "*", INTEGER),
)

_AGGREGATES = (
    Function("count", "*", INTEGER, rewrite=calls.by_node(r.count)),
    Function("sum", "n", t.total, rewrite=calls.by_node(r.total)),
    Function("avg", "n", t.mean, rewrite=calls.by_node(r.total)),
    Function("min max", "*", t.same, rewrite=calls.least_or_greatest_of_group),
    Function("any_value", "*", t.same, aggregate=m.AnyValue),
    Function("bit_and", "n", INTEGER, aggregate=lambda: f.Bits("and", None, 2**64 - 1)),
    Function("bit_or", "n", INTEGER, aggregate=lambda: f.Bits("or", 0)),
    Function("bit_xor", "n", INTEGER, aggregate=lambda: f.Bits("xor", 0)),
    Function("std stddev", "n", DOUBLE, aggregate=lambda: f.Deviation(of_sample=False, root=True)),
    Function("stddev_pop", "*", DOUBLE, aggregate=lambda: f.Deviation(of_sample=False, root=True)),
    Function("stddev_samp", "*", DOUBLE, aggregate=lambda: f.Deviation(of_sample=True, root=True)),
    Function("variance", "n", DOUBLE, aggregate=lambda: f.Deviation(of_sample=False, root=False)),
    Function("var_pop", "*", DOUBLE, aggregate=lambda: f.Deviation(of_sample=False, root=False)),
    Function("var_samp", "*", DOUBLE, aggregate=lambda: f.Deviation(of_sample=True, root=False)),
    Function("group_concat", "*+", TEXT),
    Function("json_arrayagg", "*", JSON, aggregate=json.ArrayOf, rewrite=calls.json_values),
    Function("json_objectagg", "**", JSON, aggregate=json.ObjectOf),
    # of windows
    Function("row_number rank dense_rank", "", INTEGER),
    Function("percent_rank cume_dist", "", DOUBLE),
    Function("ntile", "*", INTEGER),
    Function("lag lead", "*/**", t.neighbour),
    Function("first_value last_value", "*", t.same),
    Function("nth_value", "**", t.same),
)

_SESSION = (
    Function("version", "", TEXT, rewrite=calls.constant(calls.VERSION)),
    Function("database schema", "", TEXT, rewrite=calls.constant("main")),
    Function("user current_user session_user", "", TEXT, rewrite=calls.constant("local@localhost")),
    Function("connection_id", "", INTEGER, rewrite=calls.connection_id),
    Function("last_insert_id", "/!", INTEGER, in_session=True),
    Function("row_count", "", INTEGER, in_session=True, rewrite=calls.row_count),
)

FUNCTIONS = Functions(
    rows=(*_TEXTS, *_NUMBERS, *_DATES, *_CHOICES, *_JSON, *_AGGREGATES, *_SESSION),
    helpers={
        # arithmetic
        "plus": f.added,
        "minus": f.subtracted,
        "times": f.multiplied,
        "negative": f.negated,
        "div": m.div,
        "int_div": m.int_div,
        "quotient": m.quotient,
        "divisor": m.divisor,
        "decimal_plus": f.decimal_plus,
        "decimal_minus": f.decimal_minus,
        "decimal_times": f.decimal_times,
        "decimal_round": f.decimal_rounded,
        "bits_and": lambda a, b: m.unsigned(m.bits(a) & m.bits(b)),
        "bits_or": lambda a, b: m.unsigned(m.bits(a) | m.bits(b)),
        "bits_xor": lambda a, b: m.unsigned(m.bits(a) ^ m.bits(b)),
        "bit_not": lambda a: m.unsigned(~m.bits(a)),
        "bit_left": partial(m.shifted, left=True),
        "bit_right": partial(m.shifted, left=False),
        "add": m.add,
        "add_interval": f.add_interval,
        # comparisons
        "xor": m.xor,
        "word": m.word,
        "figure": m.figure,
        "like": m.matches_like,
        "like_bin": m.matches_like_exactly,
        "regexp": lambda text, pattern: f.matches(text, pattern, "i"),
        "as_date": lambda value: f.as_moment(value, "date"),
        "as_datetime": lambda value: f.as_moment(value, "datetime"),
        "as_time": m.as_time,
        "json_at": json.extract,
        "json_number": json.truth_or_number,
        "json_word": m.json_word,
        "json_beside": m.json_beside,
        # casts
        "number": f.number_of,
        "decimal_text": f.decimal_text,
        "to_int": m.to_int,
        "double_to_int": lambda value: round(value) if isinstance(value, float) else m.to_int(value),
        "to_unsigned": m.to_unsigned,
        "to_text": m.to_text,
        "to_decimal": m.to_decimal,
        "trim_word": f.trimmed_word,
        "joined_timestamp": m.joined_timestamp,
        # what columns take
        "into_int": m.into_int,
        "into_exact_int": m.into_exact_int,
        "into_some_int": m.into_some_int,
        "into_decimal": m.into_decimal,
        "into_text": m.into_text,
        "into_single": m.into_single,
        "into_date": m.into_date,
        "into_zero_date": m.into_zero_date,
        "into_zero_datetime": m.into_zero_datetime,
        "into_datetime": m.into_datetime,
        "into_year": m.into_year,
        "into_bytes": m.into_bytes,
        "char_end": lambda value: text_of(value).rstrip(" "),
    },
    null_helpers={
        "compare": m.compare,
        "differs": m.differs,
        "greatest_text": lambda *values: None if None in values else max(values, key=key),
        "least_text": lambda *values: None if None in values else min(values, key=key),
        "into_enum": enum_of,
        "into_set": set_of,
        "ordinal": ordinal,
        "json_quoted": json.quoted,
    },
    helper_aggregates={"distinct_concat": m.DistinctTexts},
    session_helpers=frozenset(
        [
            *("get", "set", "variable", "shown_variable", "assign"),
            *("numbered", "forget", "restart", "doubtful", "several"),
        ]
    ),
)

TYPING = Typing(t.NODES, FUNCTIONS.kinds)
