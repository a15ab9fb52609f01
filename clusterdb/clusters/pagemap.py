"""Which pages of a cluster are its own, and when they were written: from the page table, without reading a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clusterdb.clusters.figures import newest_shared
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import pinned_volume
from vfs.format.layout import SLOT_BYTES
from vfs.storage.walk import reached

__all__ = ["PageMap", "page_map"]


@dataclass(frozen=True, slots=True)
class PageMap:
    """The stored pages of a cluster's present version.

    ``page_count``: the pages of 4096 bytes that the database has; ``births``: for each stored page, counted from 0,
    the version that wrote it.  Pages born up to ``shared_until`` can be reached by other clusters or snapshots too.
    """

    version: int
    page_count: int
    shared_until: int
    births: Mapping[int, int]


def page_map(context: Context, cluster: ClusterRef) -> PageMap:
    """The page map of a cluster; the time depends on the number of its pages.  Raises ClusterNotFoundError."""
    row = context.row_of(cluster)
    text = f"cluster '{row.name}'"
    with context.errors(), pinned_volume(context, context.require_in_use(row.volume, text), None, text) as volume:
        version = volume.version
        shared = newest_shared(context, volume.row)
        births = {slot.number: slot.entry.birth for slot in reached(context.pages.read_slot, version) if slot.level < 0}
    return PageMap(version.version, -(-version.size_bytes // SLOT_BYTES), shared, births)
