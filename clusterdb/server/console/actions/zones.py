"""Storage nodes of clusters with zones: lose, return, repair."""

from __future__ import annotations

from collections.abc import Callable

from clusterdb.server.console.actions.clusters import path_of
from clusterdb.server.console.actions.record import Action, Done
from clusterdb.server.console.code import NO_CALL, Code, cluster_text, python_call
from clusterdb.server.console.fields import Fields
from clusterdb.store import Store
from clusterdb.views import messages

__all__ = ["ACTIONS"]


def _place(fields: Fields) -> int | str:
    """The number of a node, or the name of a zone, which the form has in a field of its own."""
    zone = fields.text("zone")
    return zone or fields.whole("node", "Node", 1)


def _page(fields: Fields) -> str:
    return f"{path_of(fields.required('cluster'))}#nodes"


def _lose(store: Store, fields: Fields) -> Done:
    cluster, place = store.cluster(fields.required("cluster")), _place(fields)
    if isinstance(place, str):
        cluster.lose_zone(place)
    else:
        cluster.lose_node(place)
    return Done(messages.node_changed(cluster.name, place, "lost"), _page(fields))


def _lose_code(fields: Fields) -> Code:
    place = _place(fields)
    verb = "lose_zone" if isinstance(place, str) else "lose_node"
    return _code(fields, ("--lose", str(place)), python_call(f"{_cluster(fields)}.{verb}", place))


def _return(store: Store, fields: Fields) -> Done:
    cluster, place = store.cluster(fields.required("cluster")), _place(fields)
    cluster.return_node(place)
    return Done(messages.node_changed(cluster.name, place, "back"), _page(fields))


def _return_code(fields: Fields) -> Code:
    place = _place(fields)
    return _code(fields, ("--return", str(place)), python_call(f"{_cluster(fields)}.return_node", place))


def _repair(store: Store, fields: Fields) -> Done:
    cluster = store.cluster(fields.required("cluster"))
    return Done(messages.repaired(cluster.name, cluster.repair_nodes()), _page(fields))


def _repair_code(fields: Fields) -> Code:
    return _code(fields, ("--repair",), python_call(f"{_cluster(fields)}.repair_nodes"))


def _cluster(fields: Fields) -> str:
    return cluster_text(fields.text("cluster"))


def _code(fields: Fields, options: tuple[str, ...], python: str) -> Code:
    return Code(("zones", fields.text("cluster"), *options), NO_CALL, python)


_ALL: tuple[tuple[str, Callable[[Store, Fields], Done], Callable[[Fields], Code]], ...] = (
    ("lose-node", _lose, _lose_code),
    ("return-node", _return, _return_code),
    ("repair-nodes", _repair, _repair_code),
)
ACTIONS = tuple(Action(*action) for action in _ALL)
