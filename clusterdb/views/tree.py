"""The clusters of a store as a tree of clones, with bars of their own and shared bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from clusterdb.views.grid import PLAIN, Cell, grid
from clusterdb.views.text import bytes_text

if TYPE_CHECKING:
    from clusterdb.clusters.figures import ListedCluster, StoreStats

__all__ = ["ASCII_MARKS", "UNICODE_MARKS", "Marks", "tree"]

BAR_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters of a tree: its lines, and bars."""

    middle: str
    last: str
    through: str
    own: str
    shared: str


class _Deleted(NamedTuple):
    """A cluster that was deleted, and whose clones exist."""

    id: int
    name: str


UNICODE_MARKS = Marks("├── ", "└── ", "│   ", "█", "░")
ASCII_MARKS = Marks("|-- ", "`-- ", "|   ", "#", ".")


def tree(
    listed: Sequence[ListedCluster], store: StoreStats, *, width: int | None = None, marks: Marks = UNICODE_MARKS
) -> str:
    """The tree, and the totals of the store below it.

    The clones of a deleted cluster stand below its name, which is marked.  A clone whose source is not listed is shown
    without it.
    """
    listed_ids = {cluster.id for cluster in listed}
    children: dict[int, list[ListedCluster]] = {}
    roots: list[tuple[str, ListedCluster | _Deleted]] = []
    for cluster in listed:
        source, source_id = cluster.stats.source, cluster.source_id
        if source is None or source_id is None or (cluster.has_source and source_id not in listed_ids):
            roots.append((cluster.stats.name, cluster))
            continue
        if not cluster.has_source and source_id not in children:
            roots.append((source, _Deleted(source_id, source)))
        children.setdefault(source_id, []).append(cluster)
    largest = max((cluster.stats.own_bytes + cluster.stats.shared_bytes for cluster in listed), default=0)
    rows = [
        [Cell(cell, "blob" if index == 1 else "text") for index, cell in enumerate(row)]  # a bar is never cut
        for _, root in sorted(roots, key=itemgetter(0))
        for row in _rows(root, children, largest, marks)
    ]
    has_notes = any(row[-1].text for row in rows)
    headers = ["cluster", "own and shared", "own", "shared", "test"]
    columns = len(headers) if has_notes else len(headers) - 1
    lines = grid(headers[:columns], [row[:columns] for row in rows], PLAIN, width=width).lines if rows else []
    count = f"{store.cluster_count:,} cluster{'' if store.cluster_count == 1 else 's'}"
    total = f"{bytes_text(store.used_bytes)} in use, {bytes_text(store.pool_bytes)} on disk"
    return "\n".join([*lines, *([""] if lines else []), f"{count}, {total}"])


def _rows(
    root: ListedCluster | _Deleted, children: Mapping[int, Sequence[ListedCluster]], largest: int, marks: Marks
) -> Iterator[tuple[str, ...]]:
    """The rows of a cluster, or the name of a deleted one, and of all its clones, at any depth."""
    waiting: list[tuple[ListedCluster | _Deleted, str, str]] = [(root, "", "")]
    while waiting:
        node, lead, below = waiting.pop()
        if isinstance(node, _Deleted):
            yield f"{lead}{node.name} (deleted)", "", "", "", ""
        else:
            stats = node.stats
            own, shared = _bar(stats.own_bytes, stats.shared_bytes, largest)
            sizes = (bytes_text(stats.own_bytes), bytes_text(stats.shared_bytes))
            yield f"{lead}{stats.name}", marks.own * own + marks.shared * shared, *sizes, node.test or ""
        clones = children.get(node.id, ())
        for clone in reversed(clones):
            is_last = clone is clones[-1]
            inner = below + (" " * len(marks.through) if is_last else marks.through)
            waiting.append((clone, below + (marks.last if is_last else marks.middle), inner))


def _bar(own_bytes: int, shared_bytes: int, largest: int) -> tuple[int, int]:
    """The lengths of both parts of a bar; what is not zero has a length of 1 at least."""
    own, shared = (max(round(BAR_WIDTH * size / largest), 1) if size else 0 for size in (own_bytes, shared_bytes))
    if own + shared > BAR_WIDTH:
        own, shared = (own, BAR_WIDTH - own) if shared > own else (BAR_WIDTH - shared, shared)
    return own, shared
