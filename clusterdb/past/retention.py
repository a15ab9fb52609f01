"""Retains the past of clusters as their settings and their readers' lags require, and expires it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from clusterdb.catalog.rows import ClusterRow, InstanceRow
from clusterdb.core.context import Context
from clusterdb.core.volumes import drop_volume
from clusterdb.errors import StoreBusyError
from clusterdb.past.find import retained_range, volumes_of
from vfs.format.layout import SLOT_BYTES
from vfs.reclaim import retention
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.heads import find_record, newest_at
from vfs.storage.pool import Pool

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
    now_ns = pages.clock.now_ns()
    cutoff_ns = now_ns - retained_ns(context, row)
    limit = row.settings.backup_retention_bytes
    left = _Budget(None if limit is None else limit // SLOT_BYTES, now_ns - _promised_ns(context, row))
    with suppress(StoreBusyError), context.errors(), pages.session() as session:
        for volume, until_ns in reversed(volumes_of(context, row)):  # newest first
            is_past = volume.volume != row.volume
            if is_past and (until_ns <= cutoff_ns or (left.is_spent and until_ns <= left.before_ns)):
                _drop_past(context, volume)
            elif volume.retained and (hold := session.try_volume(volume.table_index)) is not None:
                with hold:
                    current = catalog.volumes.volume_row(volume.volume)
                    if current is not None and current.state in (VolumeState.LIVE, VolumeState.PAST):
                        oldest = _oldest_kept(context, current, cutoff_ns, left)
                        if oldest is not None:
                            retention.give_up_past(pages.queue, session, current, oldest)
                        left.spend(pages, current)


@dataclass(slots=True)
class _Budget:
    """The slots that the past of a cluster may still take (None: any number), before a time only."""

    slot_count: int | None
    before_ns: int

    @property
    def is_spent(self) -> bool:
        return self.slot_count == 0

    def spend(self, pool: Pool, volume: VolumeRow) -> None:
        """Subtract the past of a volume; that of a former volume is its own part of its head, too."""
        if self.slot_count is None:
            return
        oldest, head = volume.retained, find_record(pool, volume, pool.volume(volume).version)
        spent = retention.past_slots(pool, volume, oldest) if oldest else 0
        if volume.state == VolumeState.PAST and head is not None:
            spent += head.own_count
        self.slot_count = max(0, self.slot_count - spent)


def _oldest_kept(context: Context, volume: VolumeRow, cutoff_ns: int, left: _Budget) -> int | None:
    """The oldest version of a volume that stays: the newest one at the cutoff, or later if the past is too large."""
    pages = context.pages
    oldest, head = retained_range(context, volume)
    record = newest_at(pages, volume, cutoff_ns, oldest, head)
    kept = record.version if record is not None else None
    if left.slot_count is None:
        return kept
    promised = newest_at(pages, volume, left.before_ns, oldest, head)
    if promised is None or promised.version <= (kept or oldest):
        return kept
    return retention.oldest_within(pages, volume, left.slot_count, kept or oldest, promised.version)


def _promised_ns(context: Context, row: ClusterRow) -> int:
    """The part of the past that is kept whatever its size: for backtracking, and for readers that lag."""
    lag_ns = _lag_retained_ns(context.catalog.instances.of(row.cluster))
    return max(row.settings.backtrack_window_s * 1_000_000_000, lag_ns)


def _drop_past(context: Context, volume: VolumeRow) -> None:
    drop_volume(context, volume, lambda: context.catalog.clusters.remove_past(volume.volume), waits=False)
