"""What PostgreSQL makes of the kinds of its operands, and of what kinds its results are.

PostgreSQL converts hardly anything by itself: a text beside a number is an error there, so it is refused.  Only a
literal in quotes, and a parameter, becomes what stands beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from clusterdb.flavours.schema import Column
from clusterdb.flavours.types import (
    BOOLEAN,
    BYTES,
    DATE,
    DATETIME,
    DOUBLE,
    INTEGER,
    INTERVAL,
    JSON,
    LITERAL,
    NULL,
    NUMBERS,
    TEXT,
    TIME,
    UNKNOWN,
    Kind,
    KindRule,
    decimal,
    declared_as,
    kind_of,
    of_column,
)

INT = Kind("integer", size=32)
REAL = Kind("double", size=32)
JSONB = Kind("jsonb")
UUID = Kind("uuid")
ZONED = Kind("datetime", collation="zone")
EXACT = decimal(None)
"""A number of the type numeric of which only the value tells how many digits it has."""

NUMERIC = NUMBERS | {"number"}
WHOLE_OR_DOUBLE = Kind("number", size=64)
"""What a parameter and a whole number make: the value tells whether it is a whole one or a floating point number."""
EXACT_OR_DOUBLE = Kind("number")
"""What a parameter and an exact number make: nothing tells whether it is exact."""

_MOMENTS = frozenset({"date", "datetime"})
_LOOSE = frozenset({"null", "literal", "unknown"})


TEXTS = Kind("array", members="text")


class Mixed(Exception):
    """Kinds that PostgreSQL does not convert to each other; the text names them."""


def promoted(kinds: list[Kind]) -> Kind:
    """The type that numbers of several types are calculated in."""
    is_loose = any(kind.name == "unknown" for kind in kinds)
    kinds = [kind for kind in kinds if kind.name in NUMERIC]
    names = {kind.name for kind in kinds}
    if not kinds:
        return UNKNOWN
    if "double" in names:
        return REAL if all(kind == REAL for kind in kinds) and not is_loose else DOUBLE
    if is_loose or "number" in names:
        whole = all(kind.name == "integer" or kind == WHOLE_OR_DOUBLE for kind in kinds)
        return WHOLE_OR_DOUBLE if whole else EXACT_OR_DOUBLE
    if "decimal" in names:
        scales = [kind.scale if kind.name == "decimal" else 0 for kind in kinds]
        return decimal(None if None in scales else max(scale or 0 for scale in scales))
    return Kind("integer", size=max(kind.size or 64 for kind in kinds))


def common(kinds: list[Kind]) -> Kind:
    """The type of what is one of several; UNKNOWN if nothing tells.  Raises Mixed."""
    known = [kind for kind in kinds if kind.name not in _LOOSE]
    names = {kind.name for kind in known}
    if not known:
        if any(kind.name == "unknown" for kind in kinds):
            return UNKNOWN
        return TEXT if any(kind.name == "literal" for kind in kinds) else NULL
    if "mixed" in names:
        raise Mixed("mixed")
    if names <= NUMERIC:
        result = promoted(kinds)
        alike = len({kind.scale for kind in known}) == 1 and not any(kind.name == "literal" for kind in kinds)
        return result if result.name != "decimal" or alike else EXACT
    if names <= _MOMENTS:
        return next((kind for kind in known if kind.collation), DATETIME) if "datetime" in names else DATE
    if names == {"char"}:
        return replace(known[0], size=max(kind.size for kind in known))
    if names <= {"text", "char"}:
        return TEXT
    if len(names) == 1 and (names != {"enum"} or len({kind.size for kind in known}) == 1):
        return known[0]
    raise Mixed(" and ".join(sorted(names)))


def _common(kinds: list[Kind]) -> Kind:
    try:
        return common(kinds)
    except Mixed:
        return Kind("mixed")


# --- arithmetic -------------------------------------------------------------------------------------------------------
def _calculated(kinds: list[Kind]) -> Kind:
    names = {kind.name for kind in kinds}
    if names <= NUMERIC | _LOOSE:
        return promoted(kinds) if names & NUMERIC else UNKNOWN
    return Kind("mixed")


def _sum(node: exp.Expression, kinds: list[Kind]) -> Kind:
    """Plus and minus of numbers, dates, intervals, JSON."""
    left, right = kinds[0].name, kinds[1].name
    minus = isinstance(node, exp.Sub)
    if left == "literal":
        left = right if minus or right not in _MOMENTS else "interval"
    if right == "literal":
        right = {"datetime": "datetime" if minus else "interval", "date": "date" if minus else "mixed"}.get(left, left)
    pair = (left, right) if minus or left in (*_MOMENTS, "time") else (right, left)
    if left == "interval" == right:
        return INTERVAL
    if pair[0] in _MOMENTS and pair[1] == "interval":
        return kinds[0] if kinds[0].name == "datetime" else kinds[1] if kinds[1].name == "datetime" else DATETIME
    if pair == ("time", "interval"):
        return TIME
    if pair == ("date", "integer") or (pair[0] == "date" and pair[1] == "unknown" and not minus):
        return DATE
    if not minus and set(pair) == {"date", "time"}:
        return DATETIME
    if minus and pair == ("date", "date"):
        return INT
    if minus and (pair == ("time", "time") or (set(pair) <= _MOMENTS and "datetime" in pair)):
        return INTERVAL
    if minus and left == "jsonb":
        return JSONB
    return _calculated(kinds)


def _product(_: exp.Expression, kinds: list[Kind]) -> Kind:
    if any(kind.name == "interval" for kind in kinds):
        return INTERVAL
    result = _calculated(kinds)
    if result.name != "decimal":
        return result
    scales = [kind.scale if kind.name == "decimal" else 0 for kind in kinds]
    return decimal(None if None in scales else sum(scale or 0 for scale in scales))


def _quotient(_: exp.Expression, kinds: list[Kind]) -> Kind:
    if kinds[0].name == "interval":
        return INTERVAL
    result = _calculated(kinds)
    return EXACT if result.name == "decimal" else result


def same(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return kinds[0] if kinds else UNKNOWN


def _negated(node: exp.Expression, kinds: list[Kind]) -> Kind:
    smallest = isinstance(node.this, exp.Literal) and node.this.name == str(2**31)
    return INT if smallest else kinds[0]


def total(_: exp.Expression, kinds: list[Kind]) -> Kind:
    kind = kinds[0] if kinds else UNKNOWN
    if kind.name == "integer":
        return INTEGER if 0 < kind.size < 64 else decimal(0)
    return EXACT_OR_DOUBLE if kind.name == "number" else kind


def mean(_: exp.Expression, kinds: list[Kind]) -> Kind:
    kind = kinds[0] if kinds else UNKNOWN
    if kind.name == "number":
        return EXACT_OR_DOUBLE
    return DOUBLE if kind.name == "double" else EXACT if kind.name in NUMBERS else kind


def spread(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return DOUBLE if kinds and kinds[0].name == "double" else EXACT


def numeric(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """sqrt() and the like: exact of exact numbers that are no integers."""
    return (
        EXACT
        if kinds
        and all(kind.name in ("decimal", "integer") for kind in kinds)
        and any(kind.name == "decimal" for kind in kinds)
        else DOUBLE
    )


def whole(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return decimal(0) if kinds[0].name == "decimal" else DOUBLE


def rounded(node: exp.Expression, kinds: list[Kind]) -> Kind:
    if len(kinds) == 1 or kinds[0].name == "number":
        return decimal(0) if kinds[0].name == "decimal" else DOUBLE
    digits = node.expressions[1]
    return decimal(int(digits.name)) if isinstance(digits, exp.Literal) and digits.name.isdigit() else EXACT


def integers(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return promoted(kinds)


# --- choices ----------------------------------------------------------------------------------------------------------
def any_of(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return _common(kinds)


def _case(node: exp.Expression, _: list[Kind]) -> Kind:
    values = [expression.args["true"] for expression in node.args["ifs"]] + [node.args.get("default")]
    return _common([kind_of(value) for value in values if value is not None])


def _array(node: exp.Expression, kinds: list[Kind]) -> Kind:
    """ARRAY[...], also of arrays."""
    nested = next((kind for kind in kinds if kind.name == "array"), None)
    if nested is not None:
        return nested
    kind = _common(kinds)
    if kind.name == "number":
        kind = INTEGER if kind == WHOLE_OR_DOUBLE else EXACT
    return Kind("array", members=declared_as(kind) or "text") if kind.name not in ("literal", "null") else TEXTS


def _subscript(node: exp.Expression, kinds: list[Kind]) -> Kind:
    kind = kinds[0]
    if kind.name != "array" or any(isinstance(place, exp.Slice) for place in node.expressions):
        return kind
    return element(kind)


def element(kind: Kind) -> Kind:
    """The kind of an array's elements."""
    return of_column(Column(kind.members)) if kind.name == "array" else UNKNOWN


def element_of(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """unnest()."""
    return element(kinds[0]) if kinds else UNKNOWN


def array_of(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """array_agg() and ARRAY(...)."""
    kind = kinds[0] if kinds else UNKNOWN
    return kind if kind.name == "array" else Kind("array", members=declared_as(kind) or "text")


def second(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return kinds[1] if len(kinds) > 1 else UNKNOWN


def _joined(_: exp.Expression, kinds: list[Kind]) -> Kind:
    names = {kind.name for kind in kinds}
    if "array" in names:
        return next(kind for kind in kinds if kind.name == "array")
    return JSONB if "jsonb" in names else BYTES if "bytes" in names else TEXT


def _member(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return kinds[0] if kinds and kinds[0].name in ("json", "jsonb") else JSONB


# --- casts and literals -----------------------------------------------------------------------------------------------
_CASTS = {
    **dict.fromkeys(("INT", "SERIAL"), INT),
    "BIGINT": INTEGER,
    **dict.fromkeys(("SMALLINT", "TINYINT"), Kind("integer", size=16)),
    "DOUBLE": DOUBLE,
    "FLOAT": REAL,
    "BOOLEAN": BOOLEAN,
    "DATE": DATE,
    "TIME": TIME,
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPNTZ", "DATETIME"), DATETIME),
    "TIMESTAMPTZ": ZONED,
    **dict.fromkeys(("TEXT", "VARCHAR", "NAME"), TEXT),
    "VARBINARY": BYTES,
    "UUID": UUID,
    "JSON": JSON,
    "JSONB": JSONB,
    "INTERVAL": INTERVAL,
}


def cast_kind(to: exp.Expression) -> Kind:
    """The kind that a type's name means; UNKNOWN for types that are not kept."""
    name = to.this.value if isinstance(to.this, exp.DataType.Type) else str(to.this)
    if isinstance(to.this, exp.Interval):
        return INTERVAL
    if name == "ARRAY":
        inner = to.expressions[0] if to.expressions else None
        kind = cast_kind(inner) if isinstance(inner, exp.DataType) else UNKNOWN
        return kind if kind.name in ("array", "unknown") else Kind("array", members=declared_as(kind))
    sizes = [int(node.name) for node in to.expressions if node.name.isdigit()]
    if name == "DECIMAL":
        return decimal((sizes[1] if len(sizes) > 1 else 0) if sizes else None)
    if name == "USER-DEFINED" and sizes:
        return Kind("enum", size=sizes[0])
    if name in ("CHAR", "BPCHAR"):
        return TEXT if name == "BPCHAR" and not sizes else Kind("char", size=sizes[0] if sizes else 1)
    if name in ("TIMESTAMP", "TIMESTAMPTZ", "TIME") and sizes:
        return replace(_CASTS[name], scale=sizes[0])
    return _CASTS.get(name, UNKNOWN)


def cast_to(to: exp.Expression, value: exp.Expression, own: Kind) -> Kind:
    """The kind of a cast: a numeric without sizes has the digits of what is cast."""
    kind = cast_kind(to)
    if kind != EXACT:
        return kind
    if own.name in ("decimal", "integer"):
        return decimal(own.scale if own.name == "decimal" else 0)
    if own.name == "literal" and isinstance(value, exp.Literal) and re.fullmatch(r"-?\d+(?:\.\d+)?", value.name):
        return decimal(len(value.name.partition(".")[2]))
    return kind


def _literal(node: exp.Literal, _: list[Kind]) -> Kind:
    if node.is_string:
        return LITERAL
    text = node.name.lower()
    if text.isdigit():
        return INT if int(text) < 2**31 else INTEGER if int(text) < 2**63 else decimal(0)
    return decimal(max(0, -int(Decimal(text).as_tuple().exponent)))


def _always(kind: Kind) -> KindRule:
    return lambda node, kinds: kind


NODES: dict[type[exp.Expression], KindRule] = {
    exp.Literal: _literal,
    exp.Add: _sum,
    exp.Sub: _sum,
    exp.Mul: _product,
    exp.Div: _quotient,
    exp.Mod: lambda node, kinds: _calculated(kinds),
    exp.Pow: numeric,
    exp.Neg: _negated,
    **dict.fromkeys(
        (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift),
        same,
    ),
    exp.Cast: lambda node, kinds: cast_to(node.to, node.this, kinds[0] if kinds else UNKNOWN),
    exp.Interval: _always(INTERVAL),
    exp.Array: _array,
    exp.Bracket: _subscript,
    **dict.fromkeys((exp.ArrayOverlaps, exp.ArrayContainedBy), _always(BOOLEAN)),
    exp.Dot: lambda node, kinds: kinds[-1],
    exp.Case: _case,
    exp.DPipe: _joined,
    exp.Concat: _always(TEXT),
    exp.Boolean: _always(BOOLEAN),
    exp.GroupConcat: _always(TEXT),
    exp.Trim: _always(TEXT),
    exp.Substring: _always(TEXT),
    exp.Overlay: _always(TEXT),
    exp.Initcap: _always(TEXT),
    exp.StrPosition: _always(INT),
    exp.Extract: _always(EXACT),
    exp.Count: _always(INTEGER),
    exp.Sum: total,
    exp.Avg: mean,
    **dict.fromkeys((exp.Min, exp.Max), same),
    exp.CurrentTimestamp: _always(ZONED),
    exp.Localtimestamp: _always(DATETIME),
    exp.CurrentDate: _always(DATE),
    exp.CurrentTime: _always(TIME),
    **dict.fromkeys((exp.JSONExtract, exp.JSONBExtract), _member),
    **dict.fromkeys((exp.JSONExtractScalar, exp.JSONBExtractScalar), _always(TEXT)),
    **dict.fromkeys((exp.ArrayContainsAll, exp.JSONBContains, exp.Overlaps), _always(BOOLEAN)),
    exp.JSONArrayAgg: _always(JSON),
    **dict.fromkeys((exp.HexString, exp.ByteString, exp.National), _always(LITERAL)),
    exp.Decode: _always(BYTES),
    **dict.fromkeys((exp.CurrentUser, exp.CurrentSchema, exp.CurrentDatabase), _always(TEXT)),
}


def remainder(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """mod()."""
    return _calculated(kinds)


def truncated(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """date_trunc()."""
    return kinds[1] if kinds[1].name in ("interval", "datetime") else ZONED


def neighbour(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """lag() and lead(): the value, or the default."""
    return _common([kinds[0], *kinds[2:3]]) if kinds else UNKNOWN
