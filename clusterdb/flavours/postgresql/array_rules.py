"""Rules for arrays: what expressions with arrays become, see :mod:`clusterdb.flavours.postgresql.arrays`."""

from __future__ import annotations

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Rule, Unsupported, call, literal
from clusterdb.flavours.postgresql.arrays import array_kind, element_of, written
from clusterdb.flavours.postgresql.casts import as_output, common_of, converted
from clusterdb.flavours.postgresql.types import EXACT, WHOLE_OR_DOUBLE, cast_kind
from clusterdb.flavours.registry import Call
from clusterdb.flavours.types import INTEGER, TEXT, Kind, kind_of, set_kind

__all__ = [
    "appended",
    "built",
    "cast",
    "contained",
    "element",
    "gathered",
    "is_array",
    "items",
    "joined",
    "of_query",
    "place",
    "position",
    "removed",
    "subscript",
    "tested",
]

_UNTESTED = frozenset({"interval", "json", "jsonb", "char", "bytes"})


def is_array(*nodes: exp.Expr | None) -> bool:
    """Whether one of several values is an array."""
    return any(kind_of(node).name == "array" for node in nodes)


# --- making -----------------------------------------------------------------------------------------------------------
def built(node: exp.Array, context: Context) -> exp.Expression:
    """ARRAY[...].  Raises Unsupported."""
    return _built(node, list(node.expressions), context)


def _built(node: exp.Expression, values: list[exp.Expression], context: Context) -> exp.Expression:
    if is_array(*values):
        kind = next(kind_of(value) for value in values if is_array(value))
        arrays = [value if is_array(value) else converted(value, kind, context) for value in values]
        texts = [value.name for value in arrays if isinstance(value, exp.Literal)]
        if len(texts) == len(arrays):
            return set_kind(literal("{" + ",".join(texts) + "}"), kind)
        return set_kind(call("pg_array_build_nested", *arrays), kind)
    kind = common_of("ARRAY", values) if values else TEXT
    if kind.name == "number":
        kind = INTEGER if kind == WHOLE_OR_DOUBLE else EXACT
    if kind.name == "unknown":
        if not isinstance(node.parent, exp.Cast):
            raise Unsupported("an ARRAY of parameters without a type")
        return set_kind(call("pg_array_build", *(call("pg_array_text", value) for value in values)), array_kind(TEXT))
    items = [_as_item(value, kind, context) for value in values]
    if all(isinstance(item, exp.Null) or (isinstance(item, exp.Literal) and item.is_string) for item in items):
        parts = [None if isinstance(item, exp.Null) else item.name for item in items]
        return set_kind(literal(written(parts)), array_kind(kind))
    return set_kind(call("pg_array_build", *items), array_kind(kind))


def _as_item(value: exp.Expression, kind: Kind, context: Context) -> exp.Expression:
    """A value as the text of an element of a kind."""
    if kind.name != "decimal" or kind_of(value).name in ("literal", "unknown"):
        value = converted(value, kind, context)
        if kind.name == "double" and kind_of(value).name in ("integer", "decimal"):
            value = set_kind(call("pg_as_double", value), kind)
    if isinstance(value, exp.Literal) and not value.is_string and kind_of(value).name == "integer":
        return literal(value.name)
    if isinstance(value, exp.Boolean):
        return literal("t" if value.this else "f")
    return as_output(value, context)


def of_query(arguments: list[exp.Expression], context: Context) -> exp.Expression:
    """ARRAY(SELECT ...): the rows of the query, an empty array without any.  Raises Unsupported."""
    query = arguments[0]
    if not isinstance(query, exp.Select) or len(query.expressions) != 1 or query.is_star:
        raise Unsupported("ARRAY(...) of something else than a query of one column")
    inner = query.copy()
    value = query.expressions[0].unalias()
    inner.set("expressions", [exp.alias_(as_output(value.copy(), context), "clusterdb_value")])
    gathering = call("coalesce", exp.Anonymous(this="pg_array_agg", expressions=[exp.column("clusterdb_value")]), "{}")
    result = exp.select(gathering).from_(inner.subquery("clusterdb_values")).subquery()
    return set_kind(result, array_kind(kind_of(value)))


def gathered(of: Call, context: Context) -> exp.Expression:
    """array_agg(), perhaps in an order, or of different values."""
    (value,) = of.arguments
    order = value if isinstance(value, exp.Order) else None
    inner = value.this if order is not None else value
    distinct = inner if isinstance(inner, exp.Distinct) else None
    if distinct is not None:
        (inner,) = distinct.expressions
    kind = kind_of(inner)
    item: exp.Expression = inner.copy() if kind.name == "array" else as_output(inner, context).copy()
    if distinct is not None:
        item = exp.Distinct(expressions=[item])
    if order is not None:
        item = exp.Order(this=item, expressions=order.expressions)
    name = "pg_array_agg_arrays" if kind.name == "array" else "pg_array_agg"
    result_kind = kind if kind.name == "array" else array_kind(kind)
    return set_kind(exp.Anonymous(this=name, expressions=[item]), result_kind)


def cast(node: exp.Cast, context: Context) -> exp.Expression | None:
    """A cast to or between arrays; None for other casts.  Raises Unsupported."""
    to, value = cast_kind(node.to), node.this
    if to.name != "array":
        return None
    own = kind_of(value)
    if own.name == "null":
        return set_kind(value.copy(), to)
    if own.name == "array" and element_of(own) == element_of(to):
        return value
    if own.name == "array" and not isinstance(value, exp.Literal):
        return set_kind(call("pg_array_read", value, to.members), to)
    if own.name not in ("literal", "unknown", "text", "array"):
        raise Unsupported(f"a {own.name} value as an array")
    if isinstance(value, exp.Literal):
        return converted(set_kind(literal(value.name), Kind("literal")), to, context)
    return set_kind(call("pg_array_read", value, to.members), to)


# --- parts ------------------------------------------------------------------------------------------------------------
def subscript(node: exp.Bracket, context: Context) -> exp.Expression:
    """``a[1]``, ``a[1][2]``, ``a[1:2]``.  Raises Unsupported."""
    if isinstance(node.parent, exp.Bracket) and node.arg_key == "this":
        return node  # the outermost one has all places
    places: list[exp.Expression] = []
    base: exp.Expression = node
    while isinstance(base, exp.Bracket):
        places = [*base.expressions, *places]
        base = base.this
    while isinstance(base, exp.Paren):
        base = base.this
    kind = kind_of(base)
    if isinstance(node.find_ancestor(exp.EQ), exp.EQ) and isinstance(node.parent, exp.EQ):
        change = node.parent
        if isinstance(change.parent, exp.Update) and change.arg_key == "expressions" and node.arg_key == "this":
            raise Unsupported("an assignment to an element of an array")
    if kind.name != "array":
        raise Unsupported(f"a subscript of a {kind.name} value")
    if any(isinstance(place, exp.Slice) for place in places):
        if len(places) > 1:
            raise Unsupported("a slice of an array of several dimensions")
        low, high = places[0].this, places[0].expression
        return set_kind(call("pg_array_slice", base, low or exp.null(), high or exp.null()), kind)
    return set_kind(call("pg_array_item", base, kind.members, *places), element_of(kind))


def items(node: exp.Anonymous) -> exp.Table:
    """The rows of unnest()."""
    (array,) = node.expressions
    kind = kind_of(array)
    if kind.name not in ("array", "null"):
        raise Unsupported(f"unnest() of a {kind.name} value")
    return exp.Table(this=call("pg_items", array, kind.members))


def element(node: exp.Anonymous) -> exp.Expression:
    """A value of the rows of unnest()."""
    array, value = node.expressions
    return set_kind(value.copy(), element_of(kind_of(array)))


def place(node: exp.Anonymous) -> exp.Expression:
    """The number of a row of unnest()."""
    return set_kind(node.expressions[0].copy(), INTEGER)


# --- operators --------------------------------------------------------------------------------------------------------
def joined(node: exp.DPipe, context: Context) -> exp.Expression:
    """``||`` of arrays, or of an array and an element."""
    left, right = node.this, node.expression
    kind = kind_of(left) if is_array(left) else kind_of(right)
    element_kind = element_of(kind)
    if all(is_array(side) or kind_of(side).name == "literal" for side in (left, right)):
        first, second = (side if is_array(side) else converted(side, kind, context) for side in (left, right))
        return set_kind(call("pg_array_join", first, second), kind)
    if is_array(left):
        return set_kind(call("pg_array_append", left, _as_item(right, element_kind, context)), kind)
    return set_kind(call("pg_array_prepend", _as_item(left, element_kind, context), right), kind)


def contained(name: str, *, swapped: bool = False) -> Rule:
    """``@>``, ``<@`` and ``&&`` of arrays."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression:
        left, right = (node.expression, node.this) if swapped else (node.this, node.expression)
        kind = kind_of(left) if is_array(left) else kind_of(right)
        if kind.name != "array":
            raise Unsupported("an operator of arrays of other values")
        return call(name, converted(left, kind, context), converted(right, kind, context), kind.members)

    return rule


def tested(
    operator: str, is_all: bool, left: exp.Expression, array: exp.Expression, context: Context
) -> exp.Expression:
    """A comparison with ANY or ALL elements of an array.  Raises Unsupported."""
    if kind_of(array).name == "unknown":
        array = converted(array, array_kind(kind_of(left)), context)
    kind = element_of(kind_of(array))
    common = common_of("ANY or ALL", [left, set_kind(exp.null(), kind)])
    if common.name in _UNTESTED:
        raise Unsupported(f"ANY or ALL of an array of {common.name} values")
    value = converted(left, common, context)
    return call("pg_array_test", operator, int(is_all), value, array, array_kind(common).members)


# --- functions --------------------------------------------------------------------------------------------------------
def _with_element(of: Call, context: Context, array_at: int) -> exp.Expression:
    """A function of an array and elements, which are written as texts."""
    array = of.arguments[array_at]
    kind = kind_of(array)
    if kind.name != "array":
        raise Unsupported(f"{of.name}() of a {kind.name} value")
    arguments = [
        argument
        if at == array_at or (of.name == "array_position" and at == 2)
        else _as_item(argument, element_of(kind), context)
        for at, argument in enumerate(of.arguments)
    ]
    return call(f"pg_{of.name}", *arguments)


def appended(of: Call, context: Context) -> exp.Expression:
    """array_append() and array_prepend()."""
    at = 0 if of.name == "array_append" else 1
    return set_kind(_with_element(of, context, at), kind_of(of.arguments[at]))


def removed(of: Call, context: Context) -> exp.Expression:
    """array_remove() and array_replace()."""
    return set_kind(_with_element(of, context, 0), kind_of(of.arguments[0]))


def position(of: Call, context: Context) -> exp.Expression:
    """array_position() and array_positions()."""
    several = of.name == "array_positions"
    return set_kind(_with_element(of, context, 0), array_kind(Kind("integer", size=32)) if several else INTEGER)
