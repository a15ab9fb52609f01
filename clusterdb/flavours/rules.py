"""Rules that the flavours share."""

from __future__ import annotations

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Rule, Unsupported, is_default

__all__ = ["columns_first", "group", "key_of", "of_comparison", "quantified", "unsupported", "set_operation", "values"]


def unsupported(what: str) -> Rule:
    """A rule for what SQLite cannot say."""

    def refuse(_: exp.Expression, context: Context) -> exp.Expression:
        raise Unsupported(what)

    return refuse


def set_operation(node: exp.SetOperation, context: Context) -> exp.Expression:
    """SQLite knows no brackets around the parts of a UNION."""
    for part in ("this", "expression"):
        piece = node.args[part]
        if isinstance(piece, exp.Subquery):
            inner = piece.this
            plain = isinstance(inner, exp.Select) and not inner.args.get("order") and not inner.args.get("limit")
            node.set(part, inner if plain else exp.select("*").from_(piece.copy()))
    return node


def of_comparison(node: exp.Expression, context: Context) -> exp.Expression:
    """ANY and ALL stand behind a comparison only."""
    if not isinstance(node.parent, exp.EQ | exp.NEQ | exp.LT | exp.LTE | exp.GT | exp.GTE):
        raise Unsupported(f"{node.key.upper()} (...)")
    return node


def group(node: exp.Group, context: Context) -> exp.Expression:
    """GROUP BY with nothing but expressions."""
    if any(node.args.get(part) for part in ("rollup", "cube", "grouping_sets", "totals")):
        raise Unsupported("GROUP BY with ROLLUP, CUBE or GROUPING SETS")
    return node


def values(node: exp.Values, context: Context) -> exp.Expression:
    """Rows of VALUES, without DEFAULT."""
    for row in node.expressions:
        for expression in row.expressions:
            if is_default(expression):
                raise Unsupported("DEFAULT in VALUES")
    return node


def quantified(node: exp.Expression, right: exp.Expression) -> exp.Expression:
    """A comparison with ANY or ALL of a query."""
    query = right.this
    query = query.this if isinstance(query, exp.Subquery | exp.Paren) else query
    if not isinstance(query, exp.Select):
        raise Unsupported("ANY or ALL of something that is no query")
    if isinstance(right, exp.Any) and isinstance(node, exp.EQ):
        return exp.In(this=node.this, query=query.subquery())
    if isinstance(right, exp.All) and isinstance(node, exp.NEQ):
        return exp.Not(this=exp.In(this=node.this, query=query.subquery()))
    if len(query.expressions) != 1:
        raise Unsupported("ANY or ALL of several columns")
    inner = query.copy()
    inner.set("expressions", [exp.alias_(inner.expressions[0], "clusterdb_value", copy=False)])
    test = type(node)(this=node.this.copy(), expression=exp.column("clusterdb_value", table="clusterdb_all"))
    result = exp.select("1").from_(inner.subquery("clusterdb_all"))
    if isinstance(right, exp.Any):
        return exp.Exists(this=result.where(test))
    untrue = exp.Is(this=exp.paren(test), expression=exp.Not(this=exp.true()))
    return exp.Not(this=exp.Exists(this=result.where(untrue)))


def key_of(schema: exp.Schema) -> list[str]:
    """The columns of the primary key, wherever it is declared."""
    for node in schema.expressions:
        if isinstance(node, exp.Constraint):
            node = next((inner for inner in node.expressions if isinstance(inner, exp.PrimaryKey)), node)
        if isinstance(node, exp.PrimaryKey):
            return [part.this.name if isinstance(part, exp.Ordered) else part.name for part in node.expressions]
        if isinstance(node, exp.ColumnDef) and any(
            isinstance(constraint.kind, exp.PrimaryKeyColumnConstraint) for constraint in node.constraints
        ):
            return [node.name]
    return []


def columns_first(parts: list[exp.Expression]) -> list[exp.Expression]:
    """The parts of a table as SQLite wants them: constraints behind the columns."""
    return sorted(parts, key=lambda part: not isinstance(part, exp.ColumnDef))
