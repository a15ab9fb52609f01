"""Values of enumerated types: their labels, the check of a column, and their order."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported, literal
from clusterdb.flavours.schema import Labels
from clusterdb.flavours.tables import quoted, text
from clusterdb.flavours.types import INTEGER, Kind, set_kind

__all__ = ["check", "labels_of", "number_of", "place", "resolve", "text_of_labels"]


def number_of(name: str, context: Context) -> int | None:
    """The number of a type; None if there is none of that name."""
    return next((number for number, label in context.schema.labels.items() if label.name == name), None)


def check(name: str, labels: Iterable[str]) -> str:
    """The condition that a column of such a type has."""
    return f"{quoted(name)} IS NULL OR {quoted(name)} IN ({', '.join(map(text, labels))})"


def resolve(tree: exp.Expression, context: Context) -> exp.Expression:
    """Types by their names, as those that they are: with their number in brackets."""
    for node in tree.find_all(exp.DataType):
        if node.this != exp.DataType.Type.USERDEFINED:
            continue
        named = node.args.get("kind")
        token = named.expression if isinstance(named, exp.Dot) else named
        if not isinstance(token, exp.Identifier):
            continue
        number = number_of(token.name if token.args.get("quoted") else token.name.lower(), context)
        if number is not None:
            node.set("kind", token.copy())
            node.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(number))])
    return tree


def labels_of(kind: Kind, context: Context) -> Labels:
    """The type that a value is of.  Raises Unsupported if it is not known here."""
    result = context.schema.labels.get(kind.size)
    if result is None:
        raise Unsupported("a value of an enumerated type")
    return result


def text_of_labels(kind: Kind, context: Context) -> list[str]:
    """The arguments of ``as_label`` for a type: its labels, and its name."""
    result = labels_of(kind, context)
    return [json.dumps(result.labels), result.name]


def place(node: exp.Expression, kind: Kind, context: Context) -> exp.Expression:
    """What a value is ordered by: its place among the labels."""
    tests = [
        exp.If(this=literal(label), true=literal(at)) for at, label in enumerate(labels_of(kind, context).labels, 1)
    ]
    return set_kind(exp.paren(exp.Case(this=node.copy(), ifs=tests)), INTEGER)
