"""The clusters of a store as a tree of clones: rows in the order of a table, with their depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from clusterdb.clusters.figures import ListedCluster

__all__ = ["TreeRow", "tree_rows"]


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A cluster, or the name of a deleted one whose clones exist (``cluster`` is None)."""

    name: str
    depth: int
    cluster: ListedCluster | None
    clone_count: int


def tree_rows(listed: Sequence[ListedCluster]) -> list[TreeRow]:
    """The clones below their sources, roots by name; a clone whose source is not listed is shown without it."""
    listed_ids = {cluster.id for cluster in listed}
    children: dict[int, list[ListedCluster]] = {}
    roots: dict[int, tuple[str, int, ListedCluster | None]] = {}
    for cluster in listed:
        source, source_id = cluster.stats.source, cluster.source_id
        if source is None or source_id is None or (cluster.has_source and source_id not in listed_ids):
            roots[cluster.id] = (cluster.stats.name, cluster.id, cluster)
            continue
        if not cluster.has_source:
            roots.setdefault(source_id, (source, source_id, None))
        children.setdefault(source_id, []).append(cluster)
    rows: list[TreeRow] = []
    for name, number, root in sorted(roots.values(), key=itemgetter(0, 1)):
        waiting: list[tuple[str, int, int, ListedCluster | None]] = [(name, number, 0, root)]
        while waiting:
            label, node, depth, shown = waiting.pop()
            clones = children.get(node, [])
            rows.append(TreeRow(label, depth, shown, len(clones)))
            waiting += [(clone.stats.name, clone.id, depth + 1, clone) for clone in reversed(clones)]
    return rows
