"""Statistics and events of a store and its clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import pinned_volume
from clusterdb.errors import ClusterNotFoundError
from clusterdb.past.find import Moment, restorable, utc
from clusterdb.rules.settings import ClusterSettings
from vfs.format.layout import SLOT_BYTES
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.walk import reached

__all__ = [
    "ClusterDetails",
    "ClusterStats",
    "Event",
    "ListedCluster",
    "StoreStats",
    "cluster_details",
    "cluster_stats",
    "events",
    "newest_shared",
    "listing",
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
    """A cluster's statistics, settings and status, and the range of times that it can be restored to.

    ``has_source`` is whether the source of the statistics still exists; its name there is the present one.
    """

    stats: ClusterStats
    settings: ClusterSettings
    status: str
    clone_group_id: str
    earliest_restorable_time: datetime
    latest_restorable_time: datetime
    has_source: bool


@dataclass(frozen=True, slots=True)
class ListedCluster:
    """A cluster in a list: its statistics, with the present name of its source, its settings and status.

    ``id`` and ``source_id`` are numbers in the catalog; ``has_source`` is whether the source still exists.
    """

    stats: ClusterStats
    settings: ClusterSettings
    status: str
    id: int
    source_id: int | None
    has_source: bool

    @property
    def test(self) -> str | None:
        """The test whose clone this is, if the pytest plugin has kept it: its node id."""
        return self.settings.tags.get("test")


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the cluster, instance or snapshot (``kind``) named ``source``; times are UTC."""

    time: datetime
    kind: str
    source: str
    category: str
    message: str


class _Ref(NamedTuple):
    """A :class:`ClusterRef`."""

    id: int
    name: str


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
        shared = newest_shared(context, volume.row)
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
    source = context.catalog.clusters.get(row.source_cluster) if row.source_cluster is not None else None
    stats = replace(cluster_stats(context, cluster), source=source.name if source is not None else row.source)
    has_source = source is not None
    return ClusterDetails(stats, row.settings, row.status, row.clone_group, earliest, latest, has_source)


def listing(context: Context, is_wanted: Callable[[str, Mapping[str, object]], bool]) -> list[ListedCluster]:
    """The clusters whose name and fields (source, status, engine, tags) are wanted, by name.

    A cluster that is deleted meanwhile is left out.
    """
    context.require_open()
    rows = context.catalog.clusters.all()
    names = {row.cluster: row.name for row in rows}
    listed = []
    for row in rows:
        source_name = names.get(row.source_cluster or 0)
        source = source_name or row.source
        fields = {"source": source, "status": row.status, "engine": row.settings.engine}
        if is_wanted(row.name, {**row.settings.tags, **fields}):
            with suppress(ClusterNotFoundError):
                stats = replace(cluster_stats(context, _Ref(row.cluster, row.name)), source=source)
                source_id = row.source_cluster
                listed.append(
                    ListedCluster(stats, row.settings, row.status, row.cluster, source_id, source_name is not None)
                )
    return listed


def origin(context: Context, cluster: ClusterRef) -> Moment | None:
    """The version that the pages of a clone began with; None after a backtrack.  Raises ClusterNotFoundError."""
    row = context.row_of(cluster)
    volume = context.volume_of(cluster)
    pasts = [past for past, _ in context.catalog.clusters.pasts(row.cluster)]
    if volume.parent is None or volume.parent in pasts:
        return None
    return Moment(volume.base.version, utc(volume.base.time_ns))


def newest_shared(context: Context, row: VolumeRow) -> int:
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
