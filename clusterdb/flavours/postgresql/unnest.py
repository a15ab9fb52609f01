"""unnest(): the elements of arrays as rows, of the virtual table ``pg_items``.

A tree is rewritten before its kinds are known, with calls that our rules replace: ``clusterdb_items(array)`` in FROM,
``clusterdb_element(array, value)`` for a value of its rows, which has the kind of the array's elements, and
``clusterdb_place(place)`` for its number.
"""

from __future__ import annotations

import itertools

from sqlglot import exp

from clusterdb.flavours.flavour import Unsupported

__all__ = ["ELEMENT", "ITEMS", "PLACE", "with_items"]

ITEMS, ELEMENT, PLACE = "clusterdb_items", "clusterdb_element", "clusterdb_place"


def with_items(tree: exp.Expression) -> None:
    """Rewrite each unnest() of a statement.  Raises Unsupported."""
    numbers = itertools.count()
    for node in list(tree.find_all(exp.Unnest)):
        _in_from(node, next(numbers))
    for select in list(tree.find_all(exp.Select)):
        calls = [node for item in select.expressions for node in item.find_all(exp.Anonymous) if _is_unnest(node)]
        calls = [node for node in calls if node.find_ancestor(exp.Select) is select]
        if len(calls) > 1:
            raise Unsupported("several unnest() in one SELECT")
        for node in calls:
            _in_select(select, node, f"clusterdb_items_{next(numbers)}")


def _is_unnest(node: exp.Anonymous) -> bool:
    return node.name.lower() == "unnest" and len(node.expressions) == 1


def _element(array: exp.Expr, source: str) -> exp.Anonymous:
    value = exp.column("clusterdb_value", table=source)
    return exp.Anonymous(this=ELEMENT, expressions=[array.copy(), value])


def _place(source: str) -> exp.Expression:
    return exp.Anonymous(this=PLACE, expressions=[exp.column("clusterdb_number", table=source)])


def _items(array: exp.Expr, source: str) -> exp.Table:
    return exp.Table(
        this=exp.Anonymous(this=ITEMS, expressions=[array.copy()]),
        alias=exp.TableAlias(this=exp.to_identifier(source)),
    )


def _in_select(select: exp.Select, node: exp.Anonymous, source: str) -> None:
    """A call among the columns of a query: its rows are joined."""
    if any(select.args.get(part) for part in ("group", "distinct", "having")):
        raise Unsupported("unnest() in SELECT with GROUP BY or DISTINCT")
    array = node.expressions[0]
    parent = node.parent
    element = _element(array, source)
    if isinstance(parent, exp.Select):
        node.replace(exp.alias_(element, "unnest", quoted=True))
    else:
        node.replace(element)
    if select.args.get("from_") is None:
        select.set("from_", exp.From(this=_items(array, source)))
    else:
        select.append("joins", exp.Join(this=_items(array, source), kind="CROSS"))


def _in_from(node: exp.Unnest, number: int) -> None:
    lateral = node.parent if isinstance(node.parent, exp.Lateral) else None
    place = lateral or node
    if len(node.expressions) != 1:
        raise Unsupported("unnest() of several arrays")
    alias = place.args.get("alias") or node.args.get("alias")
    name = alias.name if alias is not None and alias.this is not None else "unnest"
    names = [column.name for column in alias.columns] if alias is not None else []
    offset = node.args.get("offset")
    ordinality = offset.name if isinstance(offset, exp.Identifier) else "ordinality" if offset else ""
    if ordinality and len(names) > 1:
        ordinality = names.pop()
    column = names[0] if names else name
    array = node.expressions[0]
    if array.find(exp.Column) is None:
        columns = [exp.alias_(_element(array, ITEMS), column, quoted=True)]
        if ordinality:
            columns.append(exp.alias_(_place(ITEMS), ordinality, quoted=True))
        place.replace(exp.select(*columns).from_(_items(array, ITEMS)).subquery(name))
        return
    select = place.find_ancestor(exp.Select)
    if select is None:
        raise Unsupported("unnest() of a column outside of SELECT")
    source = f"{ITEMS}_{number}"
    place.replace(_items(array, source))
    for reference in list(select.find_all(exp.Column)):
        if reference.find_ancestor(exp.Anonymous) is not None and reference.table == source:
            continue
        if isinstance(reference.this, exp.Star) and reference.table.lower() == name.lower():
            raise Unsupported("* of unnest()")
        if reference.table.lower() not in ("", name.lower()) or reference.find_ancestor(exp.Table):
            continue
        if reference.name.lower() == column.lower() or (not reference.table and reference.name.lower() == name.lower()):
            _put(reference, _element(array, source), column)
        elif ordinality and reference.name.lower() == ordinality.lower():
            _put(reference, _place(source), ordinality)
    if any(isinstance(item, exp.Star) for item in select.expressions):
        raise Unsupported("* of unnest() of a column")


def _put(reference: exp.Column, value: exp.Expression, name: str) -> None:
    is_column = isinstance(reference.parent, exp.Select) and reference.arg_key == "expressions"
    reference.replace(exp.alias_(value, name, quoted=True) if is_column else value)
