"""Where PostgreSQL compares or chooses: what values become beside each other, so that SQLite does the same with them.

What PostgreSQL has no operator for is refused, as the server does.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported, call, literal
from clusterdb.flavours.postgresql import array_rules, labels
from clusterdb.flavours.postgresql.casts import chosen_of, common_of, converted, is_column
from clusterdb.flavours.postgresql.types import cast_kind
from clusterdb.flavours.rules import quantified
from clusterdb.flavours.types import BOOLEAN, INTEGER, TEXT, Kind, kind_of, set_kind

__all__ = [
    "among",
    "array_of",
    "between",
    "cases",
    "chosen",
    "comparison",
    "distinct_from",
    "grouped",
    "nullif",
    "ordered",
    "quantifier_of",
    "sorted_by",
    "truth",
    "united",
]

_EQUALITIES = (exp.EQ, exp.NEQ, exp.Is, exp.In)
_UNORDERED = frozenset({"json", "mixed"})


# --- pairs ------------------------------------------------------------------------------------------------------------
def _keyed(node: exp.Expression, kind: Kind, context: Context, *, equal: bool) -> exp.Expression:
    """A converted value as what SQLite compares."""
    if kind.name == "interval":
        return set_kind(call("pg_span_ticks", node), INTEGER)
    if kind.name == "enum" and not equal:
        return labels.place(node, kind, context)
    if kind.name == "char" and not equal:
        return set_kind(call("rtrim", node, " "), TEXT)
    return node


def _sides(nodes: list[exp.Expression], kind_of_test: type[exp.Expression], context: Context) -> list[exp.Expression]:
    """Values that are compared with each other, as SQLite compares them.  Raises Unsupported."""
    kind = common_of("a comparison", nodes)
    if kind.name in _UNORDERED or (context.in_definition and kind.name in ("interval", "jsonb")):
        raise Unsupported(f"a comparison of {kind.name} values")
    equal = kind_of_test in _EQUALITIES
    return [_keyed(converted(node, kind, context), kind, context, equal=equal) for node in nodes]


def _tested(
    kind_of_test: type[exp.Expression], left: exp.Expression, right: exp.Expression, context: Context
) -> exp.Expression:
    """One comparison; of rows each with each."""
    if {type(left), type(right)} == {exp.Tuple, exp.Subquery}:
        raise Unsupported("a row compared with a query for one")
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple) and len(left.expressions) == len(right.expressions):
        pairs = [
            _sides([a, b], kind_of_test, context) for a, b in zip(left.expressions, right.expressions, strict=True)
        ]
        if any(_is_jsonb(a, b) for a, b in zip(left.expressions, right.expressions, strict=True)):
            raise Unsupported("a comparison of rows with jsonb")
        rows = [exp.Tuple(expressions=[node[at].copy() for node in pairs]) for at in (0, 1)]
        return kind_of_test(this=rows[0], expression=rows[1])
    if kind_of(left).name == "array" or kind_of(right).name == "array":
        kind = kind_of(left) if kind_of(left).name == "array" else kind_of(right)
        first, second = (converted(side, kind, context) for side in (left, right))
        if "array" not in (kind_of(first).name, kind_of(second).name):
            raise Unsupported("a comparison of an array with another value")
        return kind_of_test(this=call("pg_array_compare", first, second, kind.members), expression=literal(0))
    if _is_jsonb(left, right):
        first, second = _sides([left, right], kind_of_test, context)
        return kind_of_test(this=call("pg_jsonb_compare", first, second), expression=literal(0))
    both_unknown = kind_of(left).name == kind_of(right).name == "unknown"
    if both_unknown and not (is_column(left) or is_column(right) or context.in_definition):
        return kind_of_test(this=call("pg_compare", left, right), expression=literal(0))
    first, second = _sides([left, right], kind_of_test, context)
    return kind_of_test(this=first.copy(), expression=second.copy())


def _is_jsonb(*nodes: exp.Expression) -> bool:
    return any(kind_of(node).name == "jsonb" for node in nodes)


# --- rules ------------------------------------------------------------------------------------------------------------
def comparison(node: exp.Expression, context: Context) -> exp.Expression:
    """A comparison; also with ANY and ALL."""
    left, right = node.this, node.expression
    if isinstance(node.parent, exp.Update | exp.OnConflict) and node.arg_key == "expressions":
        return node
    if _is_quantifier(right):
        return _with_quantifier(node, right, context)
    return _tested(type(node), left, right, context)


def distinct_from(node: exp.Expression, context: Context) -> exp.Expression:
    """IS [NOT] DISTINCT FROM."""
    if _is_jsonb(node.this, node.expression):
        raise Unsupported("IS DISTINCT FROM of jsonb")
    first, second = _sides([node.this, node.expression], exp.Is, context)
    result = exp.Is(this=first.copy(), expression=second.copy())
    return exp.Not(this=exp.paren(result)) if isinstance(node, exp.NullSafeNEQ) else result


def among(node: exp.In, context: Context) -> exp.Expression:
    """IN: all values of one type; with a query, of its column's."""
    query = node.args.get("query")
    if query is not None:
        return _among_rows(node, query, context)
    if isinstance(node.this, exp.Tuple):
        return exp.paren(exp.or_(*(_tested(exp.EQ, node.this, expression, context) for expression in node.expressions)))
    if _is_jsonb(node.this, *node.expressions):
        return exp.paren(exp.or_(*(_tested(exp.EQ, node.this, expression, context) for expression in node.expressions)))
    if not node.expressions:
        return node
    head, *others = _sides([node.this, *node.expressions], exp.In, context)
    return exp.In(this=head.copy(), expressions=[expression.copy() for expression in others])


def _columns_of(query: exp.Expression) -> list[exp.Expression]:
    while isinstance(query, exp.Subquery | exp.SetOperation):
        query = query.this
    return [node.unalias() for node in query.expressions] if isinstance(query, exp.Select) else []


def _among_rows(node: exp.In, query: exp.Expression, context: Context) -> exp.Expression:
    columns = _columns_of(query)
    heads = node.this.expressions if isinstance(node.this, exp.Tuple) else [node.this]
    if len(columns) != len(heads):
        return node
    result = []
    for head, column in zip(heads, columns, strict=True):
        if isinstance(column, exp.Star):
            return node
        kind = common_of("IN", [head, column])
        _require_plain("IN (SELECT ...)", column, kind, context)
        result.append(converted(head, kind, context))
    head = (
        exp.Tuple(expressions=[expression.copy() for expression in result])
        if isinstance(node.this, exp.Tuple)
        else result[0]
    )
    return exp.In(this=head.copy(), query=query)


def _require_plain(what: str, column: exp.Expression, kind: Kind, context: Context) -> None:
    """Raises Unsupported if SQLite would have to compare a query's column as something else."""
    same = kind_of(column).name == "literal" and kind.name == "text"
    if kind.name in ("interval", "jsonb", "json", "mixed") or not (same or converted(column, kind, context) is column):
        raise Unsupported(f"{what} of {kind_of(column).name} values as {kind.name}")


def between(node: exp.Between, context: Context) -> exp.Expression:
    """BETWEEN, also SYMMETRIC."""
    parts = [node.this, node.args["low"], node.args["high"]]
    if _is_jsonb(*parts):
        raise Unsupported("BETWEEN of jsonb")
    value, low, high = (part.copy() for part in _sides(parts, exp.Between, context))
    if node.args.get("symmetric"):
        bounds = [low, high]
        low, high = (
            exp.Anonymous(this=name, expressions=[expression.copy() for expression in bounds])
            for name in ("min", "max")
        )
    return exp.Between(this=value, low=low, high=high)


def cases(node: exp.Case, context: Context) -> exp.Expression:
    """CASE: all results of one type, and all values that are compared."""
    branches = [(expression, "true") for expression in node.args["ifs"]]
    if node.args.get("default") is not None:
        branches.append((node, "default"))
    _same_type("CASE", branches, context)
    base = node.this
    if base is None:
        for expression in node.args["ifs"]:
            truth(expression, context)
        return node
    if _is_jsonb(base, *(expression.this for expression in node.args["ifs"])):
        raise Unsupported("CASE of jsonb")
    head, *tests = _sides([base, *(expression.this for expression in node.args["ifs"])], exp.EQ, context)
    node.set("this", head.copy())
    for expression, test in zip(node.args["ifs"], tests, strict=True):
        expression.set("this", test.copy())
    return node


def _same_type(what: str, places: list[tuple[exp.Expression, str]], context: Context) -> None:
    values = [place.args[part] for place, part in places]
    kind = chosen_of(what, values)
    for (place, part), value in zip(places, values, strict=True):
        result = converted(value, kind, context)
        if result is not value:
            place.set(part, result.copy())


def chosen(node: exp.Expression, name: str, context: Context) -> exp.Expression:
    """COALESCE, GREATEST, LEAST."""
    arguments = node.expressions
    kind = chosen_of(name.upper(), arguments)
    if name != "coalesce" and kind.name in ("interval", "json", "jsonb", "char", "enum", "mixed", "unknown"):
        raise Unsupported(f"{name.upper()} of {kind.name} values")
    result = [converted(argument, kind, context) for argument in arguments]
    if name == "coalesce":
        return set_kind(exp.Anonymous(this=name, expressions=result), kind) if len(result) > 1 else result[0]
    return set_kind(call(f"pg_{name}", *result), kind)


def nullif(node: exp.Expression, context: Context) -> exp.Expression:
    """NULLIF."""
    left, right = node.expressions
    kind = common_of("NULLIF", [left, right])
    if kind.name in ("interval", "json", "jsonb", "char", "mixed"):
        raise Unsupported(f"NULLIF of {kind.name} values")
    return exp.Anonymous(this="nullif", expressions=[converted(left, kind, context), converted(right, kind, context)])


# --- arrays, as ANY and ALL take them ---------------------------------------------------------------------------------
def _is_quantifier(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.All | exp.Any) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in ("all", "any", "some")
    )


def quantifier_of(node: exp.Expression) -> exp.Expr | None:
    """The ANY or ALL that an array stands in."""
    parent = node.parent
    while isinstance(parent, exp.Paren | exp.Cast):
        parent = parent.parent
    return parent if _is_quantifier(parent) else None


def array_of(node: exp.Expression, context: Context) -> exp.Expression:
    """The members of an array: ARRAY[...] or '{...}', with a cast perhaps."""
    if isinstance(node, exp.Cast):
        members = array_of(node.this, context)
        inner = node.to.expressions[0] if node.to.expressions else None
        kind = cast_kind(inner) if isinstance(inner, exp.DataType) else Kind("unknown")
        if kind.name == "unknown":
            raise Unsupported("arrays")
        return exp.Tuple(
            expressions=[converted(expression, kind, context).copy() for expression in members.expressions]
        )
    if isinstance(node, exp.Paren):
        return array_of(node.this, context)
    if isinstance(node, exp.Tuple):
        return node
    if isinstance(node, exp.Literal) and node.is_string and node.name[:1] == "{" and '"' not in node.name:
        names = [expression.strip() for expression in node.name.strip("{}").split(",") if expression]
        return exp.Tuple(expressions=[set_kind(literal(name), Kind("literal")) for name in names])
    raise Unsupported("arrays")


def _with_quantifier(node: exp.Expression, right: exp.Expression, context: Context) -> exp.Expression:
    inner = right.expressions[0] if isinstance(right, exp.Anonymous) else right.this
    if isinstance(right, exp.Anonymous):
        right = (exp.All if right.name.lower() == "all" else exp.Any)(this=inner)
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Tuple | exp.Literal):
        members = array_of(inner, context).expressions
        if isinstance(right, exp.Any) and isinstance(node, exp.EQ):
            return among(exp.In(this=node.this, expressions=members), context)
        if isinstance(right, exp.All) and isinstance(node, exp.NEQ):
            return exp.Not(this=among(exp.In(this=node.this, expressions=members), context))
        kinds = common_of("ANY or ALL", [node.this, *members])
        inner = array_rules.built(
            exp.Array(expressions=[converted(item, kinds, context).copy() for item in members]), context
        )
    if kind_of(inner).name == "array" or (kind_of(inner).name == "unknown" and not is_column(inner)):
        operator = _OPERATORS[type(node)]
        return array_rules.tested(operator, isinstance(right, exp.All), node.this, inner, context)
    columns = _columns_of(inner)
    if len(columns) == 1 and not isinstance(columns[0], exp.Star):
        kind = common_of("ANY or ALL", [node.this, columns[0]])
        _require_plain("ANY or ALL", columns[0], kind, context)
        node = type(node)(this=converted(node.this, kind, context).copy(), expression=right)
    return quantified(node, right)


_OPERATORS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


# --- whole queries ----------------------------------------------------------------------------------------------------
def _require_truth(node: exp.Expression) -> None:
    name = kind_of(node).name
    if name not in ("boolean", "unknown", "null", "literal"):
        raise Unsupported(f"a {name} value as a condition")


def truth(node: exp.Expression, context: Context) -> exp.Expression:
    """What is a condition is a boolean."""
    for part in ("this", "expression"):
        inner = node.args.get(part)
        if isinstance(inner, exp.Expression):
            _require_truth(inner)
            result = converted(inner, BOOLEAN, context)
            if result is not inner:
                node.set(part, result.copy())
    return node


def is_truth(node: exp.Is, context: Context) -> exp.Expression:
    """IS TRUE and IS FALSE: of booleans."""
    if isinstance(node.expression, exp.Boolean):
        _require_truth(node.this)
    return node


def sorted_by(node: exp.Expression, what: str, context: Context) -> exp.Expression:
    """What a value is ordered by.  Raises Unsupported."""
    kind = kind_of(node)
    if kind.name in ("json", "jsonb", "mixed", "array"):
        raise Unsupported(f"{what} of {kind.name} values")
    return _keyed(node, kind, context, equal=False) if not context.in_definition else node


def ordered(node: exp.Ordered, context: Context) -> exp.Expression:
    """ORDER BY: NULL is larger than everything; of an index that makes no difference."""
    if not isinstance(node.parent, exp.Order):
        node.set("nulls_first", bool(not node.args.get("desc")))
        return node
    if node.args.get("nulls_first") is None:
        node.set("nulls_first", bool(node.args.get("desc")))
    select = node.find_ancestor(exp.Select)
    if isinstance(node.this, exp.Literal) and isinstance(select, exp.Select) and not node.this.is_string:
        at = int(node.this.name) - 1
        if at < len(select.expressions):
            value = select.expressions[at].unalias()
            if sorted_by(value, "the order", context) is not value:
                raise Unsupported(f"the order of {kind_of(value).name} values, by their number,")
        return node
    result = sorted_by(node.this, "the order", context)
    if result is not node.this:
        node.set("this", result.copy())
    return node


def grouped(what: str) -> Callable[[exp.Expression], None]:
    """A check that values are equal in SQLite where they are in PostgreSQL.  Raises Unsupported."""

    def check(node: exp.Expression) -> None:
        name = kind_of(node).name
        if name in ("interval", "json", "jsonb", "mixed"):
            raise Unsupported(f"{what} of {name} values")

    return check


def united(union: exp.Expression, context: Context) -> None:
    """The columns of a UNION, of one type."""
    parts = [_leaves(union)] if not isinstance(union, exp.SetOperation) else _leaves(union)
    selects = [part for part in parts if isinstance(part, exp.Select) and not part.is_star]
    if len({len(select.expressions) for select in selects}) != 1 or len(selects) < 2:
        return
    check = grouped(union.key.upper())
    for columns in zip(*(select.expressions for select in selects), strict=True):
        values = [column.unalias() for column in columns]
        kind = chosen_of(union.key.upper(), values)
        for value in values:
            if union.args.get("distinct") is not False:
                check(value)
            result = converted(value, kind, context)
            if result is not value:
                value.replace(result.copy())


def _leaves(union: exp.Expression) -> list[exp.Expression]:
    if isinstance(union, exp.SetOperation):
        return [*_leaves(union.this), *_leaves(union.expression)]
    return _leaves(union.this) if isinstance(union, exp.Subquery) and union.this is not None else [union]
