"""The state of the storage nodes of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.metrics import Metric
from clusterdb.core.context import Context
from clusterdb.zones.copies import StoreCopies, log_name, nodes_of
from clusterdb.zones.node import Tail

__all__ = ["NodeStatus", "metrics_of", "statuses"]

_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A storage node of a cluster.

    :ivar zone: its availability zone
    :ivar number: from 1 to 6
    :ivar url: where it is
    :ivar status: "available", "behind" (repaired with the next commits) or "lost"
    :ivar batch: the number of the last batch that it has
    :ivar batches_behind: how many fewer than the node that has most
    :ivar problem: why it is lost
    """

    zone: str
    number: int
    url: str
    status: str
    batch: int
    batches_behind: int
    problem: str


def statuses(context: Context, copies: StoreCopies, row: ClusterRow) -> list[NodeStatus]:
    """Ask every node of a cluster, all at once, for the end of its log; one that hangs is lost."""
    name = log_name(context, row.cluster)
    nodes = nodes_of(row.settings.zones)
    asked = [copies.asked(url, name) for *_, url in nodes]
    wait(asked, _ANSWER_S)
    answers = [_answer(future) for future in asked]
    tails = [(*node, answer) for node, answer in zip(nodes, answers, strict=True)]
    last = max((tail.sequence for *_, tail in tails if isinstance(tail, Tail)), default=0)
    return [
        NodeStatus(zone, number, url, "lost", 0, last, tail)
        if isinstance(tail, str)
        else NodeStatus(
            zone,
            number,
            url,
            "available" if tail.sequence == last and tail.is_ready else "behind",
            tail.sequence,
            last - tail.sequence,
            "",
        )
        for zone, number, url, tail in tails
    ]


def _answer(asked: Future[Tail]) -> Tail | str:
    """How a log ends, or why that is not known."""
    if not asked.done():
        return f"it has not answered for {_ANSWER_S:g} s"
    try:
        return asked.result()
    except Exception as error:  # whatever is wrong with it
        return str(error)


def metrics_of(name: str, nodes: Sequence[NodeStatus]) -> list[Metric]:
    """The metrics of the nodes of a cluster."""
    present = [node for node in nodes if node.status != "lost"]
    behind = max((node.batches_behind for node in present), default=0)
    return [
        Metric("StorageNodesAvailable", name, "", len(present)),
        Metric("StorageBatchesBehind", name, "", behind),
    ]
