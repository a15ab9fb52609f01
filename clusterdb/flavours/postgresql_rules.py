"""PostgreSQL's expressions in SQLite's words: a rule for each kind of node."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from sqlglot import exp

from clusterdb.flavours import functions as f
from clusterdb.flavours.flavour import (
    NotSaid,
    among_dates,
    arithmetic,
    between_dates,
    call,
    compared_with_date,
    is_default,
    literal,
)
from clusterdb.flavours.rules import quantified

__all__: list[str] = []


def now(form: str = "%Y-%m-%d %H:%M:%f") -> exp.Expression:
    """The time at which the transaction began (or the statement, outside of one)."""
    now = exp.Anonymous(this="strftime", expressions=[literal("%Y-%m-%d %H:%M:%f"), literal("now")])
    at = exp.Anonymous(this="pg_now", expressions=[now])
    return at if form.endswith("%f") else exp.Anonymous(this="strftime", expressions=[literal(form), at])


def is_boolean(node: Any) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "pg_to_boolean"


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


def interval(node: exp.Interval) -> exp.Expression:
    """An interval that stands by itself is its text; beside a date it is added to that."""
    if isinstance(node.parent, exp.Add | exp.Sub | exp.Mul | exp.Paren):
        return node
    text, _ = _interval_of(node, 1)
    return text


def shifted(node: Any, sign: int) -> exp.Expression:
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


def times(node: exp.Mul) -> Any:
    """An interval so many times is added to a date as such."""
    return node if _kind_of(node) == "interval" else arithmetic("pg_times")(node)


_NUMERIC = ("pg_to_numeric", "pg_trunc", "pg_extract", "pg_date_part", "pg_round", "pg_to_float", "pg_power")


_CALCULATED = ("pg_plus", "pg_minus", "pg_times", "pg_negative", "pg_div_op", "pg_divide", "pg_mod", "abs", "count")


def divided(node: exp.Div) -> exp.Expression:
    """Whole numbers give a whole number, unless one of them is of the type numeric."""
    for each in (node.this, node.expression):
        inner = each.this if isinstance(each, exp.Paren) else each
        if isinstance(inner, exp.Anonymous) and inner.name.lower() in _NUMERIC:
            return call("pg_divide", node.this, node.expression)
    return call("pg_div_op", node.this, node.expression)


def among(node: exp.In) -> Any:
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


def joined(node: exp.DPipe) -> exp.Expression:
    """``||``: texts, bytes, JSON."""
    for each in (node.this, node.expression):
        if isinstance(each, exp.Literal) and each.is_string and each.name[:1] in ("{", "["):
            return call("pg_json_merge", node.this, node.expression)
        if isinstance(each, exp.Array):
            raise NotSaid("arrays")
    return call("pg_join", node.this, node.expression)


def like(name: str) -> Callable[[Any], exp.Expression]:
    def rule(node: Any) -> exp.Expression:
        if isinstance(node.expression, exp.Any | exp.All):
            raise NotSaid("LIKE ANY")
        return call(name, node.this, node.expression)

    return rule


def escape(node: exp.Escape) -> exp.Expression:
    made = node.this
    if isinstance(made, exp.Not):
        inner = made.this.this if isinstance(made.this, exp.Paren) else made.this
        return exp.Not(this=exp.paren(escape(exp.Escape(this=inner, expression=node.expression))))
    if isinstance(made, exp.Anonymous):
        return call(made.name, *made.expressions, node.expression)
    return node


def trim(node: exp.Trim) -> exp.Expression:
    where = str(node.args.get("position") or "both").lower()
    return call("pg_trim", node.this, node.expression or " ", where)


def substring(node: exp.Substring) -> exp.Expression:
    start = node.args.get("start") or literal(1)
    if isinstance(start, exp.Literal) and start.is_string:
        return call("pg_regexp_substr", node.this, start)
    arguments = [node.this, start]
    if node.args.get("length") is not None:
        arguments.append(node.args["length"])
    return call("pg_substring", *arguments)


def overlay(node: Any) -> exp.Expression:
    size = node.args.get("for_") or node.args.get("for") or call("pg_length", node.expression)
    start = node.args.get("from_") or node.args.get("from")
    return call("pg_overlay", node.this, node.expression, start, size)


def string_agg(node: exp.GroupConcat) -> exp.Expression:
    arguments = [node.this]
    if node.args.get("separator") is not None:
        arguments.append(node.args["separator"])
    return string_agg_of(arguments)


def string_agg_of(arguments: list[Any]) -> exp.Expression:
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


def ordered(node: exp.Ordered) -> exp.Expression:
    """NULL is larger than everything; of an index that makes no difference."""
    if not isinstance(node.parent, exp.Order):
        node.set("nulls_first", bool(not node.args.get("desc")))
        return node
    if node.args.get("nulls_first") is None or not _says_nulls(node):
        node.set("nulls_first", bool(node.args.get("desc")))
    return node


def _says_nulls(node: exp.Ordered) -> bool:
    return node.args.get("nulls_first") is not None


def dot(node: exp.Dot) -> exp.Expression:
    if node.this.name.lower() != "pg_catalog":
        raise NotSaid(f"{node.this.name}. ...")
    return node.expression


def column(node: exp.Column) -> exp.Expression:
    if node.db.lower() == "public":
        node.set("db", None)
    return node


def cte(node: exp.CTE) -> exp.Expression:
    if isinstance(node.this, exp.Insert | exp.Update | exp.Delete):
        raise NotSaid("a CTE that changes data")
    return node


def conflict(node: exp.OnConflict) -> exp.Expression:
    if node.args.get("constraint") is not None:
        raise NotSaid("ON CONFLICT ON CONSTRAINT")
    return node


def collate(node: exp.Collate) -> exp.Expression:
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


def table(node: exp.Table) -> exp.Expression:
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


def set_operation(node: exp.SetOperation) -> exp.Expression:
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


def between(node: exp.Between) -> exp.Expression:
    if node.args.get("symmetric"):
        low, high = node.args["low"], node.args["high"]
        return exp.Between(
            this=node.this,
            low=exp.Anonymous(this="min", expressions=[low.copy(), high.copy()]),
            high=exp.Anonymous(this="max", expressions=[low.copy(), high.copy()]),
        )
    return between_dates(node)


def json_at(node: Any, name: str) -> exp.Expression:
    path = node.expression
    if isinstance(path, exp.JSONPath):
        steps = [each.this for each in path.expressions if not isinstance(each, exp.JSONPathRoot)]
        return call(name, node.this, *steps)
    return call(name, node.this, path)


def overlaps(node: Any) -> exp.Expression:
    if not isinstance(node.this, exp.Tuple) or not isinstance(node.expression, exp.Tuple):
        raise NotSaid("OVERLAPS")
    return call("pg_overlaps", *node.this.expressions, *node.expression.expressions)


def array_of(node: Any) -> exp.Expression:
    """The members of an array: ARRAY[...] or '{...}'::text[]."""
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Paren) and isinstance(node.this.this, exp.Tuple):
        return node.this.this
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        members = [literal(each.strip('" ')) for each in node.this.name.strip("{}").split(",") if each]
        return exp.Tuple(expressions=members)
    raise NotSaid("arrays")


def quantifier_of(node: Any) -> Any:
    """The ANY or ALL that an array stands in."""
    parent = node.parent
    while isinstance(parent, exp.Paren | exp.Cast):
        parent = parent.parent
    return parent if _is_quantifier(parent) else None


def _is_quantifier(node: Any) -> bool:
    return isinstance(node, exp.All | exp.Any) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in ("all", "any", "some")
    )


def of_quantifier(node: exp.Array) -> exp.Expression:
    if quantifier_of(node) is None:
        raise NotSaid("arrays")
    return exp.Tuple(expressions=node.expressions)


def comparison(node: Any) -> exp.Expression:
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


def utc(node: exp.Literal) -> exp.Expression:
    """Times are stored in UTC without saying so."""
    if not node.is_string or not _ZONED.match(node.name):
        return node
    at = datetime.fromisoformat(node.name)
    return literal(f.shown(at.astimezone(timezone.utc).replace(tzinfo=None)))


def values(node: exp.Values) -> exp.Expression:
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


def made_interval(arguments: list[Any]) -> list[Any]:
    parts: list[Any] = ["interval "]
    for each in arguments:
        if not isinstance(each, exp.Kwarg | exp.PropertyEQ):
            raise NotSaid("make_interval() without names")
        parts += [each.expression, f" {each.this.name} "]
    return parts
