"""Completion of the command line: what names can stand at a place, and a script for bash that knows ``prod@``.

Bash takes ``@``, ``:`` and ``=`` for ends of words.  The script that click generates passes these pieces on as words;
ours passes the line, and removes what stands before the last piece from the answers.  Readline replaces the piece, with
an ``@`` before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

from clusterdb.errors import Error
from clusterdb.views.points import PointText, points

if TYPE_CHECKING:
    from clusterdb.past.snapshots import Snapshot
    from clusterdb.store import Cluster, Store

__all__ = ["candidates", "engines", "modes", "register"]

VERSIONS_SHOWN = 5


def candidates(kind: str, store: Store, given: str, incomplete: str) -> list[PointText]:
    """The names of a kind that begin with a text, with descriptions.

    ``given`` is the cluster on the command line, also with a point in time; empty if there is none yet.  A
    cluster that the store does not have has no names.
    """
    try:
        return [item for item in _KINDS[kind](store, given, incomplete) if item.text.startswith(incomplete)]
    except Error:
        return []  # the command itself will report the error


def engines() -> list[PointText]:
    """The engines of a cluster."""
    from clusterdb.rules.settings import ENGINES

    return [PointText(engine, "") for engine in ENGINES]


def modes() -> list[PointText]:
    """The output modes of the shell."""
    from clusterdb.shell import ClusterShell

    names = [name.removeprefix("output_") for name in dir(ClusterShell) if name.startswith("output_")]
    return [PointText(name, "") for name in [*names, "tabs"]]


def _clusters(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    for cluster in store.clusters():
        source = cluster.source
        yield PointText(cluster.name, f"clone of {source}" if source else "")


def _points(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    name, at, _ = incomplete.partition("@")
    if not at:
        return _clusters(store, given, incomplete)
    return (PointText(f"{name}@{text}", what) for text, what in _moments_of(store, name, store.snapshots()))


def _moments(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    return _moments_of(store, _cluster(store, given).name, [])


def _moments_of(store: Store, name: str, snapshots: Sequence[Snapshot]) -> Iterable[PointText]:
    cluster = store.cluster(name)
    now = datetime.now(timezone.utc)
    return points(name, snapshots, cluster.versions(VERSIONS_SHOWN), cluster.restorable()[0], now)


def _snapshots(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    return (PointText(snapshot.name, f"of {snapshot.cluster}") for snapshot in store.snapshots())


def _endpoints(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    endpoints = _cluster(store, given).endpoints()
    return (
        PointText(endpoint.name, f"leads to {', '.join(endpoint.members) or 'the writer'}") for endpoint in endpoints
    )


def _custom_endpoints(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    endpoints = _cluster(store, given).endpoints()
    return (PointText(endpoint.name, "") for endpoint in endpoints if endpoint.kind == "CUSTOM")


def _instances(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    return (PointText(instance.name, instance.role) for instance in _cluster(store, given).instances())


def _readers(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    return (item for item in _instances(store, given, incomplete) if item.what == "reader")


def _sources(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    yield from _clusters(store, given, incomplete)
    yield from _snapshots(store, given, incomplete)


def _zones_and_nodes(store: Store, given: str, incomplete: str) -> Iterable[PointText]:
    zones = _cluster(store, given).settings.zones
    yield from (PointText(name, "both storage nodes of the zone") for name, *_ in zones)
    urls = [url for _, *urls in zones for url in urls]
    yield from (PointText(str(number), url) for number, url in enumerate(urls, 1))


def _cluster(store: Store, given: str) -> Cluster:
    """The cluster that is named on the command line; else the only one.  Raises ClusterNotFoundError."""
    name = given.partition("@")[0]
    if not name and len(clusters := store.clusters()) == 1:
        return clusters[0]
    return store.cluster(name)


_KINDS: dict[str, Callable[[Store, str, str], Iterable[PointText]]] = {
    "cluster": _clusters,
    "cluster[@point]": _points,
    "custom endpoint": _custom_endpoints,
    "endpoint": _endpoints,
    "instance": _instances,
    "point": _moments,
    "reader": _readers,
    "snapshot": _snapshots,
    "source": _sources,
    "zone or node": _zones_and_nodes,
}


class _Bash(BashComplete):
    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' before="${COMP_LINE:0:COMP_POINT}" kept="" breaks="${COMP_WORDBREAKS//[^@:=]/}" response type value
    if [[ -n $breaks ]]; then
        kept="${before##*[[:space:]]}"
        kept="${kept%%"${kept##*[$breaks]}"}"
        kept="${kept%%@}"
    fi
    response=$(env COMP_LINE="$before" %(complete_var)s=bash_complete $1)
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("${value#"$kept"}")
        fi
    done
    return 0
}

%(complete_func)s_setup() {
    complete -o nosort -F %(complete_func)s %(prog_name)s
}

%(complete_func)s_setup;
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE")
        if line is None:  # a script of click's own, from before
            return super().get_completion_args()
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], incomplete


def register() -> None:
    """Use our script for bash in place of click's."""
    add_completion_class(_Bash, "bash")
