"""What the columns of a query are called that have no name of their own.

A column and a function give their name, a cast that of its type if what is cast has none, the rest is ``?column?``.
Source: FigureColname in parse_target.c of PostgreSQL 15.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

__all__ = ["column_name", "keep_names", "with_names"]

_TYPES = {
    "INT": "int4",
    "BIGINT": "int8",
    "SMALLINT": "int2",
    "DOUBLE": "float8",
    "FLOAT": "float4",
    "BOOLEAN": "bool",
    "DECIMAL": "numeric",
    "CHAR": "bpchar",
    "VARBINARY": "bytea",
    "TIMESTAMPNTZ": "timestamp",
}
_NAMED: dict[type[exp.Expression], str] = {
    exp.Extract: "extract",
    exp.GroupConcat: "string_agg",
    exp.StrPosition: "position",
    exp.JSONArrayAgg: "json_agg",
    exp.Overlaps: "overlaps",
    exp.AtTimeZone: "timezone",
    exp.Exists: "exists",
    exp.Array: "array",
    exp.Tuple: "row",
    exp.Localtime: "localtime",
    exp.CurrentCatalog: "current_catalog",
}
_OPERATORS = (
    exp.Connector,
    exp.Binary,
    exp.Unary,
    exp.Between,
    exp.In,
    exp.RegexpLike,
    exp.RegexpILike,
    exp.Concat,
    exp.JSONExtract,
    exp.JSONExtractScalar,
    exp.JSONBExtract,
    exp.JSONBExtractScalar,
    exp.JSONBContains,
    exp.ArrayContainsAll,
    exp.Pow,
    exp.HexString,
    exp.BitString,
)
_TRIMS = {"LEADING": "ltrim", "TRAILING": "rtrim"}


def column_name(tree: exp.Expression) -> str:
    """The name of a column of a query."""
    return _figured(tree)[0] or "?column?"


def _figured(tree: exp.Expression) -> tuple[str, bool]:
    """A name, and whether it is better than that of a type around it."""
    rule = next((_RULES[kind] for kind in type(tree).__mro__ if kind in _RULES), None)
    if rule is not None:
        return rule(tree)
    name = next((_NAMED[kind] for kind in type(tree).__mro__ if kind in _NAMED), "")
    if name:
        return name, True
    if isinstance(tree, exp.Func) and not isinstance(tree, _OPERATORS):
        return _function(tree), True
    return "", False


def _function(tree: exp.Func) -> str:
    if not isinstance(tree, exp.Anonymous):
        return str(tree.sql_name()).lower()
    is_quoted = isinstance(tree.this, exp.Identifier) and tree.this.args.get("quoted")
    return str(tree.name) if is_quoted else str(tree.name).lower()


def _cast(tree: exp.Cast) -> tuple[str, bool]:
    name, is_better = _figured(tree.this)
    return (name, True) if is_better else (_type(tree.to), False)


def _type(to: exp.Expression) -> str:
    if isinstance(to.this, exp.Interval):
        return "interval"
    kind = to.this.value if isinstance(to.this, exp.DataType.Type) else str(to.this)
    if kind == "ARRAY" and to.expressions:
        return _type(to.expressions[0])
    if kind == "USER-DEFINED":
        return str(to.args["kind"]).rpartition(".")[2].strip('"')
    return _TYPES.get(kind, kind.lower())


def _case(tree: exp.Case) -> tuple[str, bool]:
    default = tree.args.get("default")
    name, is_better = _figured(default) if default is not None else ("", False)
    return (name, True) if is_better else ("case", False)


def _subquery(tree: exp.Expression) -> tuple[str, bool]:
    query = tree
    while isinstance(query, exp.Subquery | exp.SetOperation):
        query = query.this
    if not isinstance(query, exp.Select) or not query.expressions:
        return "", False
    first = query.expressions[0]
    return (first.alias or column_name(first)), True


_RULES: dict[type[exp.Expression], Callable[[Any], tuple[str, bool]]] = {
    exp.Column: lambda tree: (tree.name, True),
    exp.Alias: lambda tree: (tree.alias, True),
    exp.Cast: _cast,
    exp.Case: _case,
    exp.Subquery: _subquery,
    exp.Interval: lambda tree: ("interval", False),
    exp.Trim: lambda tree: (_TRIMS.get(str(tree.args.get("position") or "").upper(), "btrim"), True),
    exp.Dot: lambda tree: _figured(tree.expression),
    **dict.fromkeys(
        (
            exp.Bracket,
            exp.Paren,
            exp.Collate,
            exp.Window,
            exp.Filter,
            exp.WithinGroup,
            exp.IgnoreNulls,
            exp.RespectNulls,
        ),
        lambda tree: _figured(tree.this),
    ),
}


def with_names(tree: exp.Expression) -> None:
    """Name the columns of the queries that others read from, and of RETURNING."""
    for node in tree.find_all(exp.Subquery, exp.CTE, exp.Returning):
        if isinstance(node, exp.Subquery) and not isinstance(node.parent, exp.From | exp.Join):
            continue
        query: Any = node if isinstance(node, exp.Returning) else node.this
        while isinstance(query, exp.Subquery | exp.SetOperation):
            query = query.this
        if isinstance(query, exp.Select | exp.Returning):
            query.set("expressions", [_named(expression) for expression in query.expressions])


def keep_names(query: exp.Expression) -> None:
    """Say the names of a view's columns, which keep them when those of its tables get others."""
    while isinstance(query, exp.Subquery | exp.SetOperation):
        query = query.this
    if isinstance(query, exp.Select):
        for node in list(query.expressions):
            if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
                node.replace(exp.Alias(this=node.copy(), alias=exp.to_identifier(node.name, quoted=True)))


def _named(tree: exp.Expression) -> exp.Expression:
    if isinstance(tree, exp.Alias | exp.Column | exp.Star):
        return tree
    return exp.Alias(this=tree, alias=exp.to_identifier(column_name(tree), quoted=True))
