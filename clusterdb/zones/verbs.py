"""What callers do with copies in zones: creating, recovering, looking at nodes, and losing them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from weakref import WeakKeyDictionary

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.metrics import Metric
from clusterdb.core.context import ClusterRef, Context
from clusterdb.errors import InvalidArgumentError, RemoteNotFoundError
from clusterdb.zones.copies import StoreCopies, nodes_of, send_as_writer
from clusterdb.zones.faults import Fault, fault_of
from clusterdb.zones.quorum import Quorum
from clusterdb.zones.recovering import Progress, kept_clusters, recover
from clusterdb.zones.status import NodeStatus, metrics_of, statuses

__all__ = ["begin", "copies_of", "node_metrics", "node_statuses", "recover_clusters", "repair", "set_fault", "simulate"]

_SHOWN_S = 0.1
"""How often progress is shown."""
_stores: WeakKeyDictionary[Context, StoreCopies] = WeakKeyDictionary()


def copies_of(context: Context) -> StoreCopies:
    """The copies of a store's clusters in this process."""
    copies = _stores.get(context)
    if copies is None:
        copies = _stores.setdefault(context, StoreCopies(context))
        context.ends.callback(copies.close)
    return copies


def begin(context: Context, row: ClusterRow) -> None:
    """Give the nodes what a new cluster has.  Raises QuorumError, RemoteError."""
    send_as_writer(context, copies_of(context).of(row))


def require_zones(row: ClusterRow) -> None:
    """Check that a cluster has zones.  Raises InvalidArgumentError."""
    if not row.settings.zones:
        raise InvalidArgumentError(
            f"cluster '{row.name}' has no zones: create one with them (clusterdb create NAME --zones 3)"
        )


def node_statuses(context: Context, cluster: ClusterRef) -> list[NodeStatus]:
    """The storage nodes of a cluster: implements :meth:`clusterdb.Cluster.nodes`."""
    row = context.row_of(cluster)
    require_zones(row)
    return statuses(context, copies_of(context), row)


def node_metrics(context: Context) -> list[Metric]:
    """The metrics of the storage nodes of all clusters that have zones, which are asked: part of
    :meth:`clusterdb.Store.metrics`."""
    copies = copies_of(context)
    rows = [row for row in context.catalog.clusters.all() if row.settings.zones]
    return [metric for row in rows for metric in metrics_of(row.name, statuses(context, copies, row))]


def set_fault(context: Context, cluster: ClusterRef, node_or_zone: int | str | None, fault: Fault | None) -> None:
    """Lose or slow down nodes, or bring them back: implements :meth:`clusterdb.Cluster.lose_zone` and others.

    ``node_or_zone``: None for all nodes.
    """
    context.require_writable()
    row = context.row_of(cluster)
    require_zones(row)
    urls = [url for zone, number, url in nodes_of(row.settings.zones) if node_or_zone in (zone, number, None)]
    if not urls:
        zones = ", ".join(zone for zone, *_ in row.settings.zones)
        raise InvalidArgumentError(
            f"cluster '{row.name}' has no zone or node {node_or_zone!r}: it has {zones}, and nodes 1 to 6"
        )
    copies_of(context).faults.set(urls, fault)
    what = f"zone {node_or_zone}" if isinstance(node_or_zone, str) else f"storage node {node_or_zone}"
    if node_or_zone is None:
        what = "every storage node"
    text = "is back" if fault is None else fault.text
    with context.catalog.transaction():
        context.catalog.events.add(
            "cluster", row.name, "failure" if fault is not None else "recovery", f"{what} {text}"
        )


def simulate(
    context: Context,
    cluster: ClusterRef,
    node: int | None,
    percent: int,
    seconds: float,
    delays_ms: tuple[int, int] | None,
) -> None:
    """Fail or delay a part of the requests to a node: implements Aurora's ``SIMULATE ... DISK FAILURE`` and others.

    ``node``: None for all.  ``delays_ms``: the least and the greatest delay; None: the requests fail.  Raises
    InvalidArgumentError.
    """
    fault = None
    if percent and seconds:
        least, most = delays_ms or (0, 0)
        fault = fault_of(
            is_lost=delays_ms is None,
            delay_s=least / 1000,
            for_s=seconds,
            rate=percent / 100,
            delay_max_s=most / 1000,
        )
    set_fault(context, cluster, node, fault)


def repair(context: Context, cluster: ClusterRef, progress: Progress | None = None) -> int:
    """Give every node that can be reached what it lacks: implements :meth:`clusterdb.Cluster.repair_nodes`."""
    context.require_writable()
    row = context.row_of(cluster)
    require_zones(row)
    copies = copies_of(context).of(row)
    send_as_writer(context, copies)
    _settle(copies.quorum, progress)
    if copies.quorum.wants_epoch:
        copies.quorum.end_epoch()
        send_as_writer(context, copies)
        _settle(copies.quorum, progress)
    if any(member.is_in and not member.is_ready for member in copies.quorum.members):
        send_as_writer(context, copies, confirms=True)
        _settle(copies.quorum, progress)
    return copies.quorum.count(copies.quorum.sequence)


def _settle(quorum: Quorum, progress: Progress | None) -> None:
    """Wait until every node that can be reached has everything."""
    if progress is None:
        return quorum.settle()
    with ThreadPoolExecutor(1) as thread:
        settling = thread.submit(quorum.settle)
        while wait([settling], _SHOWN_S).not_done:
            progress(sum(member.sequence for member in quorum.members), len(quorum.members) * quorum.sequence)
        return settling.result()


def recover_clusters(
    context: Context,
    urls: Sequence[str],
    log: str | None,
    name: str | None,
    progress: Progress | None,
    settings: dict[str, Any],
) -> list[ClusterRow]:
    """Recover clusters from nodes: implements :meth:`clusterdb.Store.recover`."""
    copies = copies_of(context)
    kept = kept_clusters(copies, urls)
    if log is not None:
        kept = [one for one in kept if log in (one.name, one.log)]
        if len(kept) != 1:
            raise RemoteNotFoundError(f"{len(kept)} clusters named '{log}' have copies on {', '.join(urls)}")
    if name is not None and len(kept) != 1:
        raise InvalidArgumentError(f"a new name is for one cluster, and {len(kept)} have copies there: name the one")
    return [recover(context, copies, one, name or one.name, progress, settings) for one in kept]
