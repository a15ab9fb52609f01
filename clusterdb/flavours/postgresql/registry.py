"""PostgreSQL's functions: a row for each, and the helpers that the rules call.

The letters of arguments: ``t`` is a text, ``i`` an integer, ``n`` a number, ``b`` a boolean, ``d`` a point in time,
``j`` JSON, ``x`` bytes, ``y`` a text or bytes, ``o`` anything, converted to a text; ``*`` anything, as it is; ``!`` an
argument that PostgreSQL has, but that is not supported here.
"""

from __future__ import annotations

import math
import random
from datetime import datetime

from clusterdb.flavours import functions as f
from clusterdb.flavours.functions import text_of
from clusterdb.flavours.postgresql import array_rules, arrays, calls, formats, intervals, json, patterns, rules
from clusterdb.flavours.postgresql import compare as c
from clusterdb.flavours.postgresql import functions as p
from clusterdb.flavours.postgresql import types as t
from clusterdb.flavours.postgresql import values as v
from clusterdb.flavours.postgresql.types import EXACT, INT, JSONB, UUID, ZONED
from clusterdb.flavours.postgresql.unnest import ELEMENT, PLACE
from clusterdb.flavours.registry import Function, Functions
from clusterdb.flavours.types import (
    BOOLEAN,
    BYTES,
    DATE,
    DATETIME,
    DOUBLE,
    INTEGER,
    INTERVAL,
    JSON,
    TEXT,
    Kind,
    Typing,
    decimal,
)

__all__ = ["FUNCTIONS", "TYPING"]


_TEXTS = (
    Function("ascii", "t", INT, f.code_of),
    Function("btrim", "t/t", TEXT, lambda text, chars=" ": text_of(text).strip(chars)),
    Function("chr", "i", TEXT, lambda code: chr(p.checked_code(code))),
    Function("concat", "o+", TEXT, p.concat, takes_null=True),
    Function("concat_ws", "to+", TEXT, f.concat_ws, takes_null=True),
    Function("format", "t/o+", TEXT, p.formatted, takes_null=True),
    Function("initcap", "t", TEXT, f.initcap),
    Function("left", "ti", TEXT, f.left),
    Function("length char_length character_length", "y", INT, f.characters),
    Function("lower", "t", TEXT, f.lower),
    Function("lpad", "ti/t", TEXT, p.padded, length=lambda text, length, *fill: int(length)),
    Function("ltrim", "t/t", TEXT, lambda text, chars=" ": text_of(text).lstrip(chars)),
    Function("octet_length", "y", INT, f.octets),
    Function("overlay", "ttii", TEXT, p.overlaid),
    Function("quote_ident", "t", TEXT, p.quote_ident),
    Function("quote_literal", "o", TEXT, p.quote_literal),
    Function("regexp_replace", "ttt/t!!", TEXT, patterns.replaced),
    Function("repeat", "ti", TEXT, f.repeat, length=lambda text, count: len(str(text)) * int(count)),
    Function(
        *("replace", "ttt", TEXT, f.replaced),
        length=lambda text, old, new: str(text).count(str(old)) * len(str(new)) if old else 0,
    ),
    Function("reverse", "t", TEXT, f.reverse),
    Function("right", "ti", TEXT, f.right),
    Function("rpad", "ti/t", TEXT, p.padded_right, length=lambda text, length, *fill: int(length)),
    Function("rtrim", "t/t", TEXT, lambda text, chars=" ": text_of(text).rstrip(chars)),
    Function("split_part", "tti", TEXT, p.split_part),
    Function("starts_with", "tt", BOOLEAN, lambda text, head: int(text_of(text).startswith(head))),
    Function("strpos", "tt", INT, lambda text, word: text_of(text).find(text_of(word)) + 1),
    Function("substring substr", "ti/i", TEXT, p.substring),
    Function("translate", "ttt", TEXT, f.translated),
    Function("upper", "t", TEXT, f.upper),
    # digests and encodings
    Function("decode", "tt", BYTES, p.decode),
    Function("encode", "xt", TEXT, p.encode),
    Function("gen_random_uuid", "", UUID, f.new_uuid, is_volatile=True),
    Function("md5", "y", TEXT, lambda value: f.digest(value, "md5")),
    Function("sha256", "x", BYTES, lambda value: bytes.fromhex(f.digest(value, "sha256"))),
    Function("to_hex", "i", TEXT, p.to_hex, rewrite=calls.hexadecimal),
)

_NUMBERS = (
    Function("abs", "n", t.same),
    Function("sign ceil ceiling floor", "n", t.whole),
    Function("round", "n/i", t.rounded, f.rounded, rewrite=calls.rounded),
    Function("trunc", "n/i", t.rounded, f.truncated, rewrite=calls.rounded),
    Function("div", "nn", decimal(0), lambda a, b: math.trunc(p.exact_over(a, b))),
    Function("mod", "**", t.remainder, p.mod, rewrite=calls.remainder),
    Function("sqrt", "n", t.numeric, math.sqrt),
    Function("exp", "n", t.numeric, math.exp),
    Function("ln", "n", t.numeric, math.log),
    Function("log", "n/n", t.numeric, p.logarithm),
    Function("power pow", "nn", t.numeric, f.power),
    Function("cbrt", "n", DOUBLE, p.cube_root),
    Function("degrees radians sin cos tan atan", "n", DOUBLE),
    Function("asin", "n", DOUBLE, math.asin),
    Function("acos", "n", DOUBLE, math.acos),
    Function("atan2", "nn", DOUBLE),
    Function("sinh", "n", DOUBLE, math.sinh),
    Function("pi", "", DOUBLE),
    Function("random", "", DOUBLE, random.random, is_volatile=True),
    Function("gcd", "ii", t.integers, math.gcd),
    Function("lcm", "ii", t.integers, math.lcm),
    Function("factorial", "i", decimal(0), math.factorial),
    Function("width_bucket", "nnni", INT, p.width_bucket),
    Function("to_number", "tt", EXACT, formats.to_number),
)

_DATES = (
    Function("now transaction_timestamp statement_timestamp clock_timestamp", "", ZONED, rewrite=calls.time_now(ZONED)),
    Function("current_timestamp", "/*", ZONED, rewrite=calls.time_now(ZONED)),
    Function("localtimestamp", "/*", DATETIME, rewrite=calls.time_now(DATETIME)),
    Function("age", "d/d", INTERVAL, p.age, rewrite=calls.age),
    Function("date", "*", DATE, rewrite=calls.date),
    Function("date_trunc", "**/!", t.truncated, p.date_trunc, rewrite=calls.by_arguments(rules.truncated)),
    Function("date_part", "**", DOUBLE, rewrite=calls.part),
    Function("extract", "**", EXACT, p.extract, rewrite=calls.part),
    Function("make_date", "iii", DATE, lambda year, month, day: datetime(year, month, day).date().isoformat()),
    Function("make_interval", "/*+", INTERVAL, rewrite=calls.interval),
    Function("make_timestamp", "iiiiin", DATETIME, p.make_timestamp),
    Function("to_char", "**", TEXT, p.to_char, rewrite=calls.formatted),
    Function("to_date", "tt", DATE, lambda text, form: formats.parsed(text, form).date().isoformat()),
    Function("to_timestamp", "*/t", ZONED, p.to_timestamp),
)

_CHOICES = (
    Function("coalesce", "*+", t.any_of, rewrite=calls.chosen),
    Function("greatest", "*+", t.any_of, p.greatest, rewrite=calls.chosen, takes_null=True),
    Function("least", "*+", t.any_of, p.least, rewrite=calls.chosen, takes_null=True),
    Function("nullif", "**", t.same, rewrite=calls.by_node(c.nullif)),
)

_JSON = (
    Function("json_array_length jsonb_array_length", "j", INT, json.array_length),
    Function("json_typeof jsonb_typeof", "j", TEXT, json.type_of),
    Function("json_extract_path_text jsonb_extract_path_text", "*t+", TEXT, json.extract_path_text),
    Function("jsonb_extract_path", "*t+", JSONB, json.extract_path),
    Function("jsonb_set", "jtj/b", JSONB, json.jsonb_set),
    Function("to_json", "*", JSON, rewrite=calls.as_json),
    Function("to_jsonb", "*", JSONB, rewrite=calls.as_json),
    Function("json_build_object", "/*+", JSON, json.build_object, rewrite=calls.by_name(rules.built), takes_null=True),
    Function("json_build_array", "/*+", JSON, json.build_array, rewrite=calls.by_name(rules.built), takes_null=True),
    Function(
        *("jsonb_build_object", "/*+", JSONB, lambda *pairs: json.canonical(json.build_object(*pairs))),
        rewrite=calls.by_name(rules.built),
        takes_null=True,
    ),
    Function(
        *("jsonb_build_array", "/*+", JSONB, lambda *values: json.canonical(json.build_array(*values))),
        rewrite=calls.by_name(rules.built),
        takes_null=True,
    ),
)

_ARRAYS = (
    Function("array_to_string", "*t/t", TEXT, arrays.FUNCTIONS["array_to_string"], takes_null=True),
    Function("string_to_array", "tt/t", t.TEXTS, arrays.FUNCTIONS["string_to_array"], takes_null=True),
    Function("array_length", "*i", INT, arrays.FUNCTIONS["array_length"]),
    Function("array_upper", "*i", INT, arrays.FUNCTIONS["array_length"]),
    Function("array_lower", "*i", INT, arrays.FUNCTIONS["array_lower"]),
    Function("array_ndims", "*", INT, arrays.FUNCTIONS["array_ndims"]),
    Function("array_dims", "*", TEXT, arrays.FUNCTIONS["array_dims"]),
    Function("cardinality", "*", INT, arrays.FUNCTIONS["cardinality"]),
    Function("array_cat", "**", t.same, arrays.FUNCTIONS["array_cat"], takes_null=True),
    Function(
        "array_append", "**", t.same, arrays.FUNCTIONS["array_append"], rewrite=array_rules.appended, takes_null=True
    ),
    Function(
        "array_prepend",
        "**",
        t.second,
        arrays.FUNCTIONS["array_prepend"],
        rewrite=array_rules.appended,
        takes_null=True,
    ),
    Function(
        "array_remove", "**", t.same, arrays.FUNCTIONS["array_remove"], rewrite=array_rules.removed, takes_null=True
    ),
    Function(
        "array_replace", "***", t.same, arrays.FUNCTIONS["array_replace"], rewrite=array_rules.removed, takes_null=True
    ),
    Function(
        "array_position", "**/i", INT, arrays.FUNCTIONS["array_position"], rewrite=array_rules.position, takes_null=True
    ),
    Function(
        "array_positions",
        "**",
        Kind("array", members="int"),
        arrays.FUNCTIONS["array_positions"],
        rewrite=array_rules.position,
        takes_null=True,
    ),
    Function(
        "array_agg", "*", t.array_of, aggregate=lambda: arrays.Gathered(of_arrays=False), rewrite=array_rules.gathered
    ),
    Function("array", "*", t.array_of, rewrite=lambda of, context: array_rules.of_query(of.arguments, context)),
)

_AGGREGATES = (
    Function("count", "*", INTEGER, rewrite=calls.count),
    Function("sum", "*", t.total, rewrite=calls.total),
    Function("avg", "*", t.mean, rewrite=calls.total),
    Function("min max", "*", t.same, rewrite=calls.by_name(rules.extreme)),
    Function("stddev stddev_samp", "n", t.spread, aggregate=lambda: f.Deviation(of_sample=True, root=True)),
    Function("stddev_pop", "n", t.spread, aggregate=lambda: f.Deviation(of_sample=False, root=True)),
    Function("variance var_samp", "n", t.spread, aggregate=lambda: f.Deviation(of_sample=True, root=False)),
    Function("var_pop", "n", t.spread, aggregate=lambda: f.Deviation(of_sample=False, root=False)),
    Function("bool_and every", "b", BOOLEAN, aggregate=lambda: p.Every(all)),
    Function("bool_or", "b", BOOLEAN, aggregate=lambda: p.Every(any)),
    Function("bit_and", "i", t.same, aggregate=lambda: f.Bits("and", None)),
    Function("bit_or", "i", t.same, aggregate=lambda: f.Bits("or", None)),
    Function("bit_xor", "i", t.same, aggregate=lambda: f.Bits("xor", None)),
    Function("string_agg", "**", TEXT, rewrite=calls.by_arguments(rules.string_agg_of)),
    Function(
        "json_agg", "*", JSON, aggregate=lambda: json.ArrayOf(binary=False), rewrite=calls.by_name(rules.gathered)
    ),
    Function(
        "jsonb_agg", "*", JSONB, aggregate=lambda: json.ArrayOf(binary=True), rewrite=calls.by_name(rules.gathered)
    ),
    Function(
        *("json_object_agg", "**", JSON),
        aggregate=lambda: json.ObjectOf(binary=False),
        rewrite=calls.by_name(rules.gathered),
    ),
    Function(
        *("jsonb_object_agg", "**", JSONB),
        aggregate=lambda: json.ObjectOf(binary=True),
        rewrite=calls.by_name(rules.gathered),
    ),
    # of windows
    Function("row_number rank dense_rank", "", INTEGER),
    Function("percent_rank cume_dist", "", DOUBLE),
    Function("ntile", "i", INT),
    Function("lag lead", "*/i*", t.neighbour),
    Function("first_value last_value", "*", t.same),
    Function("nth_value", "*i", t.same),
)

_SESSION = (
    Function("version", "", TEXT, rewrite=calls.constant("PostgreSQL 15 (clusterdb)")),
    Function("current_database", "", TEXT, rewrite=calls.constant("main")),
    Function("current_schema", "", TEXT, rewrite=calls.constant("public")),
    Function("current_user session_user user", "", TEXT, rewrite=calls.constant("local")),
    Function("pg_backend_pid", "", INT, rewrite=calls.constant(1)),
    Function("pg_table_is_visible pg_type_is_visible", "*", BOOLEAN, rewrite=calls.constant(1)),
    Function("set_config", "***", TEXT, rewrite=calls.configured),
    Function("nextval currval", "t", INTEGER, in_session=True),
    Function("lastval", "", INTEGER, in_session=True),
    Function("setval", "ti/b", INTEGER, in_session=True),
    Function("pg_get_serial_sequence", "**", TEXT, rewrite=calls.serial_sequence),
    Function("generate_series", "**/*", INT, rewrite=calls.as_written),
)


FUNCTIONS = Functions(
    rows=(*_TEXTS, *_NUMBERS, *_DATES, *_CHOICES, *_JSON, *_ARRAYS, *_AGGREGATES, *_SESSION),
    helpers={
        **intervals.HELPERS,
        **v.HELPERS,
        **arrays.HELPERS,
        # arithmetic
        "negative": f.negated,
        "plus": lambda a, b, size=64: p.fitting(a + b, size),
        "minus": lambda a, b, size=64: p.fitting(a - b, size),
        "times": lambda a, b, size=64: p.fitting(a * b, size),
        "fitting": p.fitting,
        "divide": p.quotient,
        "div_op": p.div,
        "exact_over": p.exact_over,
        "decimal_plus": f.decimal_plus,
        "decimal_minus": f.decimal_minus,
        "decimal_times": f.decimal_times,
        "decimal_round": f.decimal_rounded,
        "decimal_text": f.decimal_text,
        "double_exact": lambda value, bits: float(f"{value:.{15 if bits == 64 else 6}g}"),
        "round_even": p.rounded_even,
        "bits_and": lambda a, b, size: a & b,
        "bits_or": lambda a, b, size: a | b,
        "bits_xor": lambda a, b, size: a ^ b,
        "bits_not": lambda a, size: ~a,
        "shift_left": lambda a, count, size: p.wrapped(a << (count % size), size),
        "shift_right": lambda a, count, size: a >> (count % size),
        # texts
        "join": p.joined,
        "trim": f.trimmed,
        "like": patterns.like,
        "ilike": patterns.ilike,
        "similar": patterns.similar,
        "regexp": patterns.matches,
        "regexp_substr": patterns.part,
        # dates
        "shift": p.shift,
        "clock_shift": p.clock_shift,
        "clock_between": p.clock_between,
        "add_days": p.add_days,
        "days_between": p.days_between,
        "time_between": p.time_between,
        "overlaps": p.overlaps,
        # JSON
        "json_get": json.get,
        "json_get_text": json.get_text,
        "json_path": json.path,
        "json_path_text": json.path_text,
        "json_of": json.json_of,
        "json_contains": json.contains,
        "json_has": json.has,
        "json_merge": json.merge,
        "json_remove": json.remove,
        "jsonb": json.normalised,
        "jsonb_compare": json.compare,
        "jsonb_number": p.jsonb_number,
        "jsonb_integer": lambda value: v.nearest(p.jsonb_number(value)),
    },
    null_helpers={"compare": p.compare, **arrays.NULL_HELPERS},
    helper_aggregates={
        "array_agg_arrays": lambda: arrays.Gathered(of_arrays=True),
        "real_sum": p.Reals,
        "exact_sum": lambda: p.Total(mean=False),
        "exact_avg": lambda: p.Total(mean=True),
        "span_sum": p.Spans,
    },
    session_helpers=frozenset({"now", "forget", "given", "begin", "untouched", "restart", "several"}),
)

TYPING = Typing(t.NODES, {**FUNCTIONS.kinds, ELEMENT: t.element_of, PLACE: INTEGER})
