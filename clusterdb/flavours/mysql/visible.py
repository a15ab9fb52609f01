"""Invisible columns: a star does not stand for them, and an INSERT without names gives them nothing."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported
from clusterdb.flavours.schema import Column

__all__ = ["with_visible_columns"]


def with_visible_columns(tree: exp.Expression, context: Context) -> exp.Expression:
    """A statement that names the columns which can be seen, where a table has others.  Raises Unsupported."""
    tables = context.schema.tables
    hiding = {name: _visible(columns) for name, columns in tables.items() if len(_visible(columns)) < len(columns)}
    if not hiding:
        return tree
    tree = tree.copy()
    if isinstance(tree, exp.Insert) and isinstance(tree.this, exp.Table) and tree.this.name.lower() in hiding:
        names = [exp.to_identifier(name, quoted=True) for name in hiding[tree.this.name.lower()]]
        tree.set("this", exp.Schema(this=tree.this.copy(), expressions=names))
    for select in tree.find_all(exp.Select):
        if any(node.is_star for node in select.expressions):
            _expand(select, hiding)
    return tree


def _visible(columns: Mapping[str, Column]) -> list[str]:
    return [name for name, column in columns.items() if not _is_invisible(column)]


def _is_invisible(column: Column) -> bool:
    return "invisible" in column.declared.partition("(")[0].split()


def _expand(select: exp.Select, hiding: dict[str, list[str]]) -> None:
    source = select.args.get("from_")
    joins = select.args.get("joins") or []
    sources = [*([source.this] if source is not None else []), *(join.this for join in joins)]
    if not any(isinstance(node, exp.Table) and node.name.lower() in hiding for node in sources):
        return
    if any(join.args.get("using") or join.args.get("method") for join in joins):
        raise Unsupported("a star over invisible columns in a NATURAL JOIN or one with USING")
    columns: list[exp.Expression] = []
    for node in select.expressions:
        if not node.is_star or isinstance(node, exp.Count | exp.Anonymous):
            columns.append(node)
            continue
        for one in sources:
            if not isinstance(node, exp.Column) or node.table.lower() == one.alias_or_name.lower():
                columns += _columns(one, hiding)
    select.set("expressions", columns)


def _columns(source: exp.Expression, hiding: dict[str, list[str]]) -> list[exp.Expression]:
    table = exp.to_identifier(source.alias_or_name, quoted=True)
    names = hiding.get(source.name.lower()) if isinstance(source, exp.Table) else None
    if names is None:
        return [exp.Column(this=exp.Star(), table=table)]
    return [exp.column(exp.to_identifier(name, quoted=True), table=table.copy()) for name in names]
