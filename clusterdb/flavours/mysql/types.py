"""What MySQL makes of the kinds of its operands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from clusterdb.flavours.types import (
    BOOLEAN,
    BYTES,
    DATE,
    DATETIME,
    DOUBLE,
    INTEGER,
    JSON,
    NUMBERS,
    TEXT,
    TIME,
    UNKNOWN,
    Kind,
    KindRule,
    decimal,
    kind_of,
    kind_of_literal,
    merged,
)

NUMBER = Kind("number")
"""A number of which only the value tells whether it is exact."""

_DIVISION_DIGITS = 4
"""The system variable div_precision_increment."""


def _scale_of(kind: Kind) -> int:
    return kind.scale or 0 if kind.name == "decimal" else 0


def _exact(kinds: list[Kind]) -> bool | None:
    """Whether an operation is exact; None if that depends on the values."""
    names = {kind.name for kind in kinds}
    if names & {"unknown", "mixed", "number"}:
        return False if names & {"double", "text", "json", "enum"} else None
    return names <= {"integer", "boolean", "decimal", "null"}


def _sum(node: exp.Expression, kinds: list[Kind]) -> Kind:
    """Plus and minus; an interval gives a date."""
    if isinstance(node.expression, exp.Interval) or isinstance(node.this, exp.Interval):
        interval, at = (node.expression, 0) if isinstance(node.expression, exp.Interval) else (node.this, 1)
        return _shifted(interval, kinds[at])
    exact = _exact(kinds)
    if exact is None:
        return NUMBER
    if not exact:
        return DOUBLE
    if all(kind.name in ("integer", "boolean", "null") for kind in kinds):
        return INTEGER
    return _with_inner(decimal(max(map(_scale_of, kinds))), kinds, max)


def _product(node: exp.Expression, kinds: list[Kind]) -> Kind:
    result = _sum(node, kinds)
    return _with_inner(decimal(min(30, sum(map(_scale_of, kinds)))), kinds, sum) if result.name == "decimal" else result


def _with_inner(result: Kind, kinds: list[Kind], join: Callable[[list[int]], int]) -> Kind:
    """What is calculated with a quotient has its digits too, behind those that are shown."""
    if not any(kind.size for kind in kinds if kind.name == "decimal"):
        return result
    inner = join([kind.size if kind.name == "decimal" and kind.size else _scale_of(kind) for kind in kinds])
    return replace(result, size=min(30, inner))


def _quotient(_: exp.Expression, kinds: list[Kind]) -> Kind:
    exact = _exact(kinds)
    if not exact:
        return NUMBER if exact is None else DOUBLE
    first, second = (9 * -(-_scale_of(kind) // 9) for kind in kinds)
    more = max(0, _DIVISION_DIGITS - (first - _scale_of(kinds[0])) - (second - _scale_of(kinds[1])))
    inner = 9 * -(-(first + second + more) // 9)
    return replace(decimal(_scale_of(kinds[0]) + _DIVISION_DIGITS), size=inner)


def negative(_: exp.Expression, kinds: list[Kind]) -> Kind:
    if kinds[0].name in ("integer", "decimal", "double", "number", "null"):
        return kinds[0]
    return INTEGER if kinds[0].name == "boolean" else NUMBER if kinds[0].name == "unknown" else DOUBLE


def total(_: exp.Expression, kinds: list[Kind]) -> Kind:
    kind = kinds[0] if kinds else UNKNOWN
    if kind.name in ("integer", "boolean"):
        return decimal(0)
    return kind if kind.name in ("decimal", "number") else NUMBER if kind.name == "unknown" else DOUBLE


def mean(_: exp.Expression, kinds: list[Kind]) -> Kind:
    result = total(_, kinds)
    return replace(decimal(_scale_of(result) + _DIVISION_DIGITS), size=9) if result.name == "decimal" else result


def rounded(node: exp.Expression, kinds: list[Kind]) -> Kind:
    kind = kinds[0]
    if kind.name not in ("decimal", "integer"):
        return NUMBER if kind.name in ("unknown", "number") else DOUBLE
    digits = node.expressions[1] if isinstance(node, exp.Anonymous) and len(node.expressions) > 1 else None
    if kind.name == "integer" or digits is None:
        return INTEGER if kind.name == "integer" else decimal(0)
    if not (isinstance(digits, exp.Literal) and digits.name.isdigit()):
        return decimal(0) if isinstance(digits, exp.Neg) else Kind("mixed")
    return decimal(min(int(digits.name), 30) if kind.name == "decimal" else 0)


def whole(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return INTEGER if kinds[0].name in ("integer", "decimal") else kinds[0] if kinds[0].name == "unknown" else DOUBLE


def same(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return kinds[0] if kinds else UNKNOWN


def of_several(kinds: list[Kind]) -> Kind:
    """What is one or the other: a text, if one of them is."""
    result = merged(kinds)
    names = {kind.name for kind in kinds}
    plain = NUMBERS | {"boolean", "text", "enum", "date", "datetime", "time", "null"}
    return TEXT if result.name == "mixed" and names <= plain else result


def any_of(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return of_several(kinds)


def extreme(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return merged(kinds)


def branch(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return of_several(kinds[1:])


def case(node: exp.Expression, _: list[Kind]) -> Kind:
    values = [expression.args["true"] for expression in node.args["ifs"]] + [node.args.get("default")]
    return of_several([kind_of(value) for value in values if value is not None])


def branches_of(node: exp.Expression, _: list[Kind]) -> Kind:
    return of_several(
        [
            kind_of(expression)
            for expression in (node.args.get("true"), node.args.get("false"))
            if expression is not None
        ]
    )


def absolute(_: exp.Expression, kinds: list[Kind]) -> Kind:
    return negative(_, kinds)


_CASTS = {
    **dict.fromkeys(("BIGINT", "INT", "SIGNED", "UBIGINT", "UINT"), INTEGER),
    **dict.fromkeys(("CHAR", "VARCHAR", "TEXT", "NCHAR", "CHARACTER_SET", "CHARACTER SET"), TEXT),
    **dict.fromkeys(("BINARY", "VARBINARY"), Kind("text", collation="binary")),
    **dict.fromkeys(("DOUBLE", "FLOAT"), DOUBLE),
    "DATE": DATE,
    "DATETIME": DATETIME,
    "TIMESTAMP": DATETIME,
    "TIMESTAMPTZ": DATETIME,
    "TIME": TIME,
    "JSON": JSON,
}


def _cast(node: exp.Cast, kinds: list[Kind]) -> Kind:
    kind = node.to.this.value if isinstance(node.to.this, exp.DataType.Type) else str(node.to.this)
    sizes = [int(expression.name) for expression in node.to.expressions if expression.name.isdigit()]
    if kind in ("DECIMAL", "UDECIMAL"):
        return decimal(sizes[1] if len(sizes) > 1 else 0)
    if kind in ("DATETIME", "TIMESTAMP", "TIMESTAMPTZ", "TIME"):
        return replace(_CASTS[kind], scale=sizes[0] if sizes else 0)
    return _CASTS.get(kind, UNKNOWN)


def _shifted(interval: exp.Expression, kind: Kind) -> Kind:
    """A date stays one if days are added; what text is made of a text, the text tells."""
    if kind.name not in ("date", "datetime"):
        return UNKNOWN
    unit = interval.args.get("unit") if isinstance(interval, exp.Interval) else None
    days = unit is None or unit.name.lower() in ("day", "week", "month", "quarter", "year", "year_month")
    return kind if kind.name == "datetime" or days else DATETIME


def shifted_by(node: exp.Expression, kinds: list[Kind]) -> Kind:
    return _shifted(node.expressions[1], kinds[0])


def _literal(node: exp.Literal, _: list[Kind]) -> Kind:
    return kind_of_literal(node)


NODES: dict[type[exp.Expression], KindRule] = {
    exp.Literal: _literal,
    exp.Add: _sum,
    exp.Sub: _sum,
    exp.Mul: _product,
    exp.Div: _quotient,
    exp.Mod: _sum,
    exp.Neg: negative,
    exp.IntDiv: lambda node, kinds: INTEGER,
    **dict.fromkeys(
        (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift),
        lambda node, kinds: INTEGER,
    ),
    exp.Cast: _cast,
    exp.Case: case,
    exp.If: branches_of,
    exp.Boolean: lambda node, kinds: BOOLEAN,
    **dict.fromkeys((exp.Ceil, exp.Floor), whole),
    exp.Sum: total,
    exp.Avg: mean,
    exp.Count: lambda node, kinds: INTEGER,
    exp.GroupConcat: lambda node, kinds: TEXT,
    exp.Trim: lambda node, kinds: TEXT,
    exp.Substring: lambda node, kinds: TEXT,
    exp.StrPosition: lambda node, kinds: INTEGER,
    exp.Extract: lambda node, kinds: INTEGER,
    exp.DPipe: lambda node, kinds: TEXT,
    exp.CurrentTimestamp: lambda node, kinds: now(node, kinds),
    exp.CurrentDate: lambda node, kinds: DATE,
    exp.CurrentTime: lambda node, kinds: TIME,
    exp.JSONExtract: lambda node, kinds: JSON,
    exp.JSONExtractScalar: lambda node, kinds: Kind("text", collation="utf8mb4_bin"),
    exp.JSONObject: lambda node, kinds: JSON,
    exp.JSONArrayAgg: lambda node, kinds: JSON,
    exp.JSONObjectAgg: lambda node, kinds: JSON,
    exp.HexString: lambda node, kinds: Kind("text", collation="binary"),
    exp.Introducer: lambda node, kinds: BYTES if str(node.this).lower() == "_binary" else TEXT,
    exp.National: lambda node, kinds: TEXT,
    exp.Chr: lambda node, kinds: TEXT if node.args.get("charset") else BYTES,
}


def now(node: exp.Expression, _: list[Kind]) -> Kind:
    digits = node.this if isinstance(node, exp.CurrentTimestamp) else node.expressions[0] if node.expressions else None
    return replace(DATETIME, scale=int(digits.name) if isinstance(digits, exp.Literal) else 0)


def remainder(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """MOD()."""
    return INTEGER if all(kind.name == "integer" for kind in kinds) else merged(kinds)


def neighbour(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """LAG() and LEAD(): the value, or the default."""
    return merged([kinds[0], *kinds[2:3]]) if kinds else UNKNOWN


def from_unixtime(_: exp.Expression, kinds: list[Kind]) -> Kind:
    """FROM_UNIXTIME(): in a form it is a text."""
    return TEXT if len(kinds) > 1 else DATETIME
