"""PostgreSQL's operators by the types of their operands: numbers, dates, intervals, texts, JSON."""

from __future__ import annotations

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Rule, Unsupported, call, literal
from clusterdb.flavours.postgresql.casts import as_text, converted, is_column, refuse
from clusterdb.flavours.postgresql.types import JSONB, NUMERIC, REAL, WHOLE_OR_DOUBLE, promoted
from clusterdb.flavours.types import BYTES, DOUBLE, INTERVAL, Kind, kind_of, set_kind

__all__ = ["bits", "calculated", "divided", "interval", "joined", "minus", "negative", "plus", "remainder", "times"]

_MOMENTS = frozenset({"date", "datetime"})
_NUMERIC = NUMERIC | {"unknown", "null", "literal"}


def interval(node: exp.Interval, context: Context) -> exp.Expression:
    """An interval as its text."""
    unit = node.args.get("unit")
    text = f"{node.this.name} {unit.name if unit is not None else ''}".strip()
    return converted(set_kind(literal(text), Kind("literal")), INTERVAL, context)


# --- numbers ----------------------------------------------------------------------------------------------------------
def _plain(node: exp.Expression) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string


def calculated(node: exp.Expression, word: str, context: Context) -> exp.Expression:
    """Plus, minus and times of numbers: whole ones within their size, exact ones exactly."""
    parts = [node.this, node.expression]
    if context.in_definition:
        result = kind_of(node)
        if result == REAL:
            raise refuse(f"{node.key.upper()} in the definition of a table", *parts)
        if result.name == "decimal" and result.scale is not None:
            return exp.Anonymous(this="round", expressions=[node.copy(), literal(result.scale)])
        return node
    kind = promoted([kind_of(part) for part in parts])
    if {kind_of(part).name for part in parts} - _NUMERIC:
        raise refuse(f"{node.key.upper()}", *parts)
    left, right = (converted(part, kind, context) for part in parts)
    if kind == REAL:
        return call(f"pg_real_{word}", left, right)
    result = kind_of(node)
    if kind.name == "integer":
        return call(f"pg_{word}", left, right, kind.size or 64)
    if kind == WHOLE_OR_DOUBLE:
        return call(f"pg_{word}", left, right)
    if kind.name in ("decimal", "number"):
        if result.scale is None:
            return call(f"pg_exact_{word}", left, right)
        return call(f"pg_decimal_{word}", left, right, result.scale)
    if kind.name == "double":
        return call(f"pg_{word}", left, right)
    if any(is_column(part) for part in parts):
        return call(f"pg_{word}", left, right)
    raise Unsupported("arithmetic of parameters without types")


def times(node: exp.Mul, context: Context) -> exp.Expression:
    """``*``: of numbers, and of an interval and a number."""
    for one, other in ((node.this, node.expression), (node.expression, node.this)):
        if kind_of(one).name == "interval":
            return call(
                "pg_span_times", one, converted(other, DOUBLE, context) if kind_of(other).name == "literal" else other
            )
    return calculated(node, "times", context)


def divided(node: exp.Div, context: Context) -> exp.Expression:
    """``/``: whole numbers give a whole number."""
    parts = [node.this, node.expression]
    if kind_of(node.this).name == "interval":
        return call("pg_span_over", *parts)
    kind = promoted([kind_of(part) for part in parts])
    if {kind_of(part).name for part in parts} - _NUMERIC or (kind == REAL and context.in_definition):
        raise refuse("a quotient", *parts)
    if context.in_definition and kind.name == "integer":
        return node
    left, right = (converted(part, kind, context) for part in parts)
    if kind == REAL:
        return call("pg_real_over", left, right)
    if kind.name in ("decimal", "number") and kind != WHOLE_OR_DOUBLE:
        return call("pg_exact_over", left, right)
    return call("pg_divide" if kind.name == "double" else "pg_div_op", left, right)


def remainder(node: exp.Expression, parts: list[exp.Expression], context: Context) -> exp.Expression:
    """``%`` and mod()."""
    kind = promoted([kind_of(part) for part in parts])
    if {kind_of(part).name for part in parts} - _NUMERIC or kind.name in ("double", "number"):
        raise refuse("a remainder", *parts)
    left, right = (converted(part, kind, context) for part in parts)
    return call("pg_mod" if kind.name == "integer" else "pg_exact_mod", left, right)


def negative(node: exp.Neg, context: Context) -> exp.Expression:
    """A minus in front."""
    kind = kind_of(node.this)
    if _plain(node.this) or context.in_definition:
        return node
    if kind.name == "interval":
        return call("pg_span_times", node.this, -1)
    if kind.name not in _NUMERIC or kind.name == "literal":
        raise refuse("a minus in front", node.this)
    return call("pg_negative", node.this)


def bits(name: str) -> Rule:
    """An operation on bits, within the size of a whole number."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression:
        parts = [node.this, *([node.expression] if node.args.get("expression") is not None else [])]
        kind = promoted([kind_of(part) for part in parts])
        if {kind_of(part).name for part in parts} - {"integer", "literal", "unknown", "null"} or not kind.size:
            raise refuse("an operation on bits", *parts)
        size = kind_of(node.this).size if name.startswith("shift") else kind.size
        return call(f"pg_{name}", *(converted(part, kind, context) for part in parts), size or 64)

    return rule


# --- dates, intervals, JSON -------------------------------------------------------------------------------------------
def plus(node: exp.Add, context: Context) -> exp.Expression:
    """``+``."""
    return _shifted(node, 1, context)


def minus(node: exp.Sub, context: Context) -> exp.Expression:
    """``-``."""
    return _shifted(node, -1, context)


def _resolved(
    left: exp.Expression, right: exp.Expression, sign: int, context: Context
) -> tuple[exp.Expression, exp.Expression]:
    """The sides, a literal between them with the type that it has beside the other."""
    first, second = kind_of(left), kind_of(right)
    if first.name == "literal" and second.name in (*_MOMENTS, "time", "interval"):
        left = converted(left, second if sign < 0 or second.name == "interval" else INTERVAL, context)
    if second.name == "literal" and first.name in (*_MOMENTS, "time", "interval"):
        if sign > 0 and first.name in ("date", "time"):
            raise Unsupported(f"a {first.name} and a literal without a type")
        right = converted(right, first if sign < 0 or first.name == "interval" else INTERVAL, context)
    return left, right


def _shifted(node: exp.Expression, sign: int, context: Context) -> exp.Expression:
    left, right = _resolved(node.this, node.expression, sign, context)
    names = kind_of(left).name, kind_of(right).name
    if set(names) <= _NUMERIC:
        return calculated(node, "plus" if sign > 0 else "minus", context)
    if context.in_definition and "interval" not in names:
        return node
    if sign > 0 and names[0] in ("interval", "integer") and names[1] in (*_MOMENTS, "time"):
        left, right, names = right, left, (names[1], names[0])
    if names == ("interval", "interval"):
        return call("pg_span_plus", left, right, sign)
    if names[0] in _MOMENTS and names[1] == "interval":
        return call("pg_shift", left, right, sign)
    if names == ("time", "interval"):
        return call("pg_clock_shift", left, right, sign)
    if names == ("date", "integer") or (names == ("date", "unknown") and not is_column(right) and sign > 0):
        days = right if names[1] == "integer" else converted(right, Kind("integer", size=32), context)
        return call("pg_add_days", left, days if sign > 0 else exp.Neg(this=exp.paren(days.copy())))
    if sign > 0 and set(names) == {"date", "time"}:
        return call("pg_date_and_time", *((left, right) if names[0] == "date" else (right, left)))
    if sign < 0 and names == ("date", "date"):
        return call("pg_days_between", left, right)
    if sign < 0 and set(names) <= _MOMENTS:
        return call("pg_time_between", left, right)
    if sign < 0 and names == ("time", "time"):
        return call("pg_clock_between", left, right)
    if sign < 0 and names[0] == "jsonb" and names[1] in ("literal", "text", "integer"):
        return call("pg_json_remove", left, right)
    raise refuse("a sum" if sign > 0 else "a difference", left, right)


def joined(node: exp.DPipe, context: Context) -> exp.Expression:
    """``||``: texts, bytes, JSON."""
    parts = [node.this, node.expression]
    if any(isinstance(expression, exp.Array) for expression in parts):
        raise Unsupported("arrays")
    names = {kind_of(expression).name for expression in parts}
    if context.in_definition and names <= {"text", "unknown", "literal", "null"}:
        return node
    if "jsonb" in names:
        if names - {"jsonb", "literal", "unknown", "null"}:
            raise refuse("||", *parts)
        return call("pg_json_merge", *(converted(expression, JSONB, context) for expression in parts))
    if "bytes" in names:
        if names - {"bytes", "literal", "unknown", "null"}:
            raise refuse("||", *parts)
        return call("pg_join", *(converted(expression, BYTES, context) for expression in parts))
    if not names & {"text", "char", "literal", "unknown"} and "null" not in names:
        raise refuse("||", *parts)
    return call("pg_join", *(as_text(part, context) for part in parts))
