"""Retains the past of clusters as their settings and their readers' lags require, and expires it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from clusterdb.catalog.rows import ClusterRow, InstanceRow
from clusterdb.core.context import Context
from clusterdb.core.volumes import drop_volume
from clusterdb.errors import StoreBusyError
from clusterdb.past.find import retained_range, volumes_of
from vfs.reclaim import retention
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.heads import newest_at

__all__ = ["agree_with_settings", "expire_past", "retained_ns"]


def retained_ns(context: Context, row: ClusterRow) -> int:
    """The time for which past versions of a cluster are retained, in nanoseconds."""
    return max(row.settings.keeps_past_ns, _lag_retained_ns(context.catalog.instances.of(row.cluster)))


def _lag_retained_ns(rows: Sequence[InstanceRow]) -> int:
    """The length of the past that the readers of a cluster need, in nanoseconds."""
    lag_ns = max((row.lag_ns + row.jitter_ns for row in rows), default=0)
    return 2 * lag_ns + 1_000_000_000 if lag_ns else 0


def agree_with_settings(context: Context, cluster: int) -> None:
    """Begin or stop retaining past versions of a cluster, as its settings and readers require.

    Raises StoreBusyError, StoreFullError.
    """
    catalog, pages = context.catalog, context.pages
    row = catalog.clusters.get(cluster)
    volume = catalog.volumes.volume_row(row.volume) if row is not None else None
    if row is None or volume is None or bool(volume.retained) == bool(retained_ns(context, row)):
        return
    with context.errors(), pages.session() as session, session.volume_locked(volume.table_index):
        current, row = catalog.volumes.volume_row(volume.volume), catalog.clusters.get(cluster)  # read again
        if current is not None and current.state == VolumeState.LIVE and row is not None:
            if retained_ns(context, row):
                retention.keep_past(pages, current)
            else:
                retention.give_up_past(pages.queue, session, current, None)


def expire_past(context: Context, cluster: int) -> None:
    """Expire the past of a cluster that its settings do not retain any more, without waiting for other processes."""
    catalog, pages = context.catalog, context.pages
    row = catalog.clusters.get(cluster)
    if row is None:
        return
    cutoff_ns = pages.clock.now_ns() - retained_ns(context, row)
    with suppress(StoreBusyError), context.errors(), pages.session() as session:
        for volume, until_ns in volumes_of(context, row):
            if volume.volume != row.volume and until_ns <= cutoff_ns:
                _drop_past(context, volume)
            elif volume.retained and (hold := session.try_volume(volume.table_index)) is not None:
                with hold:
                    current = catalog.volumes.volume_row(volume.volume)
                    if current is not None and current.state in (VolumeState.LIVE, VolumeState.PAST):
                        oldest, head = retained_range(context, current)
                        record = newest_at(pages, current, cutoff_ns, oldest, head)
                        if record is not None:
                            retention.give_up_past(pages.queue, session, current, record.version)


def _drop_past(context: Context, volume: VolumeRow) -> None:
    drop_volume(context, volume, lambda: context.catalog.clusters.remove_past(volume.volume), waits=False)
