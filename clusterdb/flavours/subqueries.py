"""Scalar subqueries return at most one row; SQLite would silently use the first of several.

Before the rules run, :func:`mark_single` marks the subqueries that cannot return several rows.  After them,
:func:`require_single` has SQLite count the rows of the others:
``(SELECT * FROM (...) GROUP BY NULL HAVING count(*) < 2 OR several(count(*)))``.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from clusterdb.flavours.schema import Schema
from clusterdb.flavours.types import NUMBERS, Names, kind_of

__all__ = ["aggregates_of", "conjuncts", "is_aggregate", "is_alike", "mark_single", "require_single", "sides"]

_AGGREGATES = frozenset(
    [
        *("count", "sum", "avg", "min", "max", "std", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop"),
        *("var_samp", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "every", "any_value", "group_concat"),
        *("string_agg", "array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"),
        *("json_arrayagg", "json_objectagg"),
    ]
)


# --- parts of queries -------------------------------------------------------------------------------------------------
def is_aggregate(node: exp.Expression) -> bool:
    """Whether a node is an aggregate function, and not a window function."""
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    if not isinstance(node, exp.AggFunc) and name not in _AGGREGATES:
        return False
    above = node.parent
    while isinstance(above, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        above = above.parent
    return not isinstance(above, exp.Window) or node.arg_key != "this"


def aggregates_of(tree: exp.Expression) -> bool:
    """Whether an expression contains aggregates outside of its subqueries."""
    if is_aggregate(tree):
        return True
    return not isinstance(tree, exp.Query) and any(aggregates_of(inner) for inner in tree.iter_expressions())


def conjuncts(tree: exp.Expression | None) -> Iterator[exp.Expression]:
    """The operands of a condition's ANDs."""
    while isinstance(tree, exp.Paren | exp.Where):
        tree = tree.this
    if isinstance(tree, exp.And):
        yield from conjuncts(tree.this)
        yield from conjuncts(tree.expression)
    elif tree is not None:
        yield tree


def sides(condition: exp.Expression) -> list[tuple[exp.Expression, exp.Expression]]:
    """The columns that an equation equates with a value: pairs of column and value."""
    if not isinstance(condition, exp.EQ):
        return []
    pairs = ((condition.this, condition.expression), (condition.expression, condition.this))
    return [(left.unnest(), right.unnest()) for left, right in pairs if isinstance(left.unnest(), exp.Column)]


def is_alike(column: exp.Expression, value: exp.Expression) -> bool:
    """Whether at most one value of a column equals a value; several texts can equal one number."""
    left, right = kind_of(column), kind_of(value)
    if value.find(exp.Query, exp.Collate) is not None:
        return False
    if left.name == right.name or {left.name, right.name} <= NUMBERS:
        return left.collation == right.collation or "text" not in (left.name, right.name)
    return right.name in ("literal", "unknown", "text") and left.name not in ("enum", "json", "jsonb")


# --- at most one row --------------------------------------------------------------------------------------------------
def _scalars(tree: exp.Expression) -> Iterator[exp.Subquery]:
    """The scalar and row subqueries."""
    for node in tree.find_all(exp.Subquery):
        if not isinstance(node.this, exp.Select | exp.SetOperation):
            continue
        inner: exp.Expression = node
        while isinstance(inner.parent, exp.Subquery | exp.Paren):
            inner = inner.parent
        above = inner.parent
        if above is None or isinstance(above, _OF_ROWS):
            continue
        if isinstance(above, exp.In) and inner.arg_key == "query":
            continue
        yield node


_OF_ROWS = (
    *(exp.From, exp.Join, exp.SetOperation, exp.Exists, exp.Any, exp.All, exp.CTE, exp.Insert, exp.Create, exp.Table),
    *(exp.Update, exp.Delete, exp.Array, exp.Lateral),
)


def mark_single(tree: exp.Expression, names: Names, schema: Schema) -> None:
    """Mark the scalar subqueries that return at most one row whatever the tables contain."""
    for node in _scalars(tree):
        if isinstance(node.this, exp.Select) and _has_one_row(node.this, names, schema):
            node.meta["single"] = True


def _has_one_row(select: exp.Select, names: Names, schema: Schema) -> bool:
    limit = select.args.get("limit")
    count = limit.args.get("count") or limit.expression if limit is not None else None
    if isinstance(count, exp.Literal) and count.name in ("0", "1"):
        return True
    if select.args.get("from_") is None:
        return True
    if select.args.get("group") is None and any(map(aggregates_of, select.expressions)):
        return True
    query = names.queries.get(id(select))
    if query is None or len(query.sources) != 1 or select.args.get("joins"):
        return False
    ((source, _),) = query.sources.items()
    table, equated = query.tables.get(source), set()
    for condition in conjuncts(select.args.get("where")):
        for column, value in sides(condition):
            others = value.find_all(exp.Column)
            is_outer = all(names.columns.get(id(other), (query.number,))[0] != query.number for other in others)
            if names.columns.get(id(column)) == (query.number, source) and is_outer and is_alike(column, value):
                equated.add(column.name.lower())
    keys = [schema.primary.get(table, frozenset()), *schema.unique.get(table, ())] if table is not None else []
    return any(key and key <= equated for key in keys)


def require_single(tree: exp.Expression, several: str) -> None:
    """Have SQLite count the rows of unmarked subqueries; the SQL function ``several`` raises the engine's error."""
    for node in list(_scalars(tree)):
        if node.meta.get("single"):
            continue
        counted = exp.Count(this=exp.Star())
        failing = exp.Anonymous(this=several, expressions=[counted.copy()])
        query = node.this.copy()
        counting = exp.select(*_columns_of(query)).from_(exp.Subquery(this=query)).group_by(exp.null())
        is_single = exp.LT(this=counted, expression=exp.Literal.number(2))
        counting.having(exp.Or(this=is_single, expression=failing), copy=False)
        node.this.replace(counting)
        node.meta["single"] = True


def _columns_of(query: exp.Expression) -> list[exp.Expression]:
    """The columns of a query by name: SQLite checks the width of a row value before it expands ``*``."""
    first = query
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    if not isinstance(first, exp.Select) or first.is_star or len(first.expressions) < 2:
        return [exp.Star()]
    names: list[str] = []
    for at, column in enumerate(list(first.expressions)):
        name = column.alias_or_name if isinstance(column, exp.Alias | exp.Column) else ""
        if not name or name.lower() in names:
            name = f"clusterdb_{at}"
            column.replace(exp.Alias(this=column.unalias().copy(), alias=exp.to_identifier(name, quoted=True)))
        names.append(name.lower())
    return [exp.column(name, quoted=True) for name in names]
