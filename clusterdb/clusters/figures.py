"""Statistics and events of a store and its clusters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import pinned_volume
from clusterdb.past.find import Moment, restorable, utc
from clusterdb.rules.settings import ClusterSettings
from vfs.format.layout import SLOT_BYTES
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.walk import reached

__all__ = [
    "ClusterDetails",
    "ClusterStats",
    "Event",
    "StoreStats",
    "cluster_details",
    "cluster_stats",
    "events",
    "origin",
    "store_stats",
]


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The size of a store.

    ``pool_bytes`` is the space that the pool file occupies on the device, ``used_bytes`` the part of it that clusters,
    pins and open transactions use.
    """

    path: str
    cluster_count: int
    pool_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class ClusterStats:
    """The size of a cluster.

    ``logical_bytes`` is the size of its database.  ``own_bytes`` are the slots of the pool (pages, page-table nodes and
    the head) that no other cluster can reach, ``shared_bytes`` those that others reach too; slots that several clusters
    share from a deleted source count as shared.  ``version`` counts committed transactions along the lineage.
    """

    name: str
    version: int
    logical_bytes: int
    own_bytes: int
    shared_bytes: int
    created_at: datetime
    source: str | None


@dataclass(frozen=True, slots=True)
class ClusterDetails:
    """A cluster's statistics, settings and status, and the range of times that it can be restored to."""

    stats: ClusterStats
    settings: ClusterSettings
    status: str
    clone_group_id: str
    earliest_restorable_time: datetime
    latest_restorable_time: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the cluster, instance or snapshot (``kind``) named ``source``; times are UTC."""

    time: datetime
    kind: str
    source: str
    category: str
    message: str


def store_stats(context: Context) -> StoreStats:
    """The size of the store."""
    context.require_open()
    return StoreStats(
        path=context.path,
        cluster_count=context.catalog.clusters.count(),
        pool_bytes=context.pages.allocated_bytes(),
        used_bytes=(context.pages.slot_map.used_count() - context.pages.head_slot_count()) * SLOT_BYTES,
    )


def cluster_stats(context: Context, cluster: ClusterRef) -> ClusterStats:
    """The size of a cluster, from a walk over the slots that it does not share.  Raises ClusterNotFoundError."""
    row = context.row_of(cluster)
    text = f"cluster '{row.name}'"
    with pinned_volume(context, context.require_in_use(row.volume, text), None, text) as volume:
        version = volume.version
        shared = _newest_shared(context, volume.row)
        own_count = sum(1 for _ in reached(context.pages.read_slot, version, shared))
    return ClusterStats(
        name=row.name,
        version=version.version,
        logical_bytes=version.size_bytes,
        own_bytes=(own_count + 1) * SLOT_BYTES,
        shared_bytes=(version.slot_count - own_count) * SLOT_BYTES,
        created_at=utc(row.created_ns),
        source=row.source,
    )


def cluster_details(context: Context, cluster: ClusterRef) -> ClusterDetails:
    """The details of a cluster now.  Raises ClusterNotFoundError."""
    row = context.row_of(cluster)
    earliest, latest = restorable(context, row)
    return ClusterDetails(cluster_stats(context, cluster), row.settings, row.status, row.clone_group, earliest, latest)


def origin(context: Context, cluster: ClusterRef) -> Moment | None:
    """The version that the pages of a clone began with; None after a backtrack.  Raises ClusterNotFoundError."""
    row = context.row_of(cluster)
    volume = context.volume_of(cluster)
    pasts = [past for past, _ in context.catalog.clusters.pasts(row.cluster)]
    if volume.parent is None or volume.parent in pasts:
        return None
    return Moment(volume.base.version, utc(volume.base.time_ns))


def _newest_shared(context: Context, row: VolumeRow) -> int:
    """The newest version of a volume whose slots other clusters and snapshots can reach."""
    volumes = context.catalog.volumes
    newest = volumes.newest_pinned(row.volume)
    if newest:
        return newest
    while row.parent is not None:
        parent = volumes.volume_row(row.parent)
        if parent is None or parent.state == VolumeState.LIVE or volumes.is_shared(row.parent):
            return row.base.version
        row = parent  # a dropped source that only this lineage still depends on
    return 0


def events(context: Context, source: str | None) -> list[Event]:
    """All events, or those of a source, oldest first."""
    context.require_open()
    return [
        Event(utc(row.time_ns), row.kind, row.source, row.category, row.message)
        for row in context.catalog.events.all()
        if source is None or row.source == source
    ]
