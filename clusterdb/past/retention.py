"""Retains the past of clusters as their settings and their readers' lags require, and expires it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from clusterdb.catalog.rows import ClusterRow, InstanceRow
from clusterdb.core.context import Context
from clusterdb.core.volumes import drop_volume
from clusterdb.errors import ClusterNotFoundError, StoreBusyError
from clusterdb.past.find import retained_range, volumes_of
from vfs.format.layout import SLOT_BYTES
from vfs.reclaim import retention
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.heads import find_record, newest_at
from vfs.storage.pool import Pool

__all__ = ["agree_with_settings", "expire_past", "past_bytes", "retained_ns"]

_ATTEMPTS = 100
"""How often settings are compared with the past, while others change them."""


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
    for _ in range(_ATTEMPTS):  # others may change the settings, before or while the past is kept or given up
        row = catalog.clusters.get(cluster)
        volume = catalog.volumes.volume_row(row.volume) if row is not None else None
        if row is None or volume is None or bool(volume.retained) == bool(retained_ns(context, row)):
            return
        with context.errors(), pages.session() as session, session.volume_locked(volume.table_index):
            current, row = catalog.volumes.volume_row(volume.volume), catalog.clusters.get(cluster)  # read again
            if current is None or current.state != VolumeState.LIVE or row is None:
                return
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
    left = _Budget(_limit_slots(context, row), now_ns - _promised_ns(context, row))
    with suppress(StoreBusyError, ClusterNotFoundError), context.errors(), pages.session() as session:
        for volume, until_ns in reversed(volumes_of(context, row)):  # newest first
            is_past = volume.volume != row.volume
            if is_past and (until_ns <= cutoff_ns or (until_ns <= left.before_ns and left.is_exceeded(pages, volume))):
                _drop_past(context, volume)
            elif volume.retained and (hold := session.try_volume(volume.table_index)) is not None:
                with hold:
                    current = catalog.volumes.volume_row(volume.volume)
                    if current is not None and current.state in (VolumeState.LIVE, VolumeState.PAST):
                        oldest = _oldest_kept(context, current, cutoff_ns, left)
                        if oldest is not None:
                            retention.give_up_past(pages.queue, session, current, oldest)
                        left.spend(pages, current)


def _limit_slots(context: Context, row: ClusterRow) -> int | None:
    """The slots that the past may take: at least those of the database, so one change of all of it can be undone."""
    limit, pages = row.settings.backup_retention_bytes, context.pages
    volume = context.catalog.volumes.volume_row(row.volume)
    if limit is None or volume is None:
        return None
    head = find_record(pages, volume, pages.volume(volume).version)
    return max(limit // SLOT_BYTES, head.slot_count) if head is not None else None


@dataclass(slots=True)
class _Budget:
    """The slots that the past of a cluster may still take (None: any number), before a time only."""

    slot_count: int | None
    before_ns: int

    def is_exceeded(self, pool: Pool, former: VolumeRow) -> bool:
        """Whether the newest version of a former volume takes more."""
        return self.slot_count is not None and _own_slots(pool, former) > self.slot_count

    def spend(self, pool: Pool, volume: VolumeRow) -> None:
        """Subtract the past of a volume, to which the newest version of a former volume belongs too."""
        if self.slot_count is not None:
            self.slot_count = max(0, self.slot_count - _past_slots(pool, volume))


def past_bytes(context: Context, row: ClusterRow) -> int:
    """The bytes that the retained past of a cluster takes beside its newest version.

    An upper bound, whose cost does not grow with the size of the past.
    """
    return sum(_past_slots(context.pages, volume) for volume, _ in volumes_of(context, row)) * SLOT_BYTES


def _past_slots(pool: Pool, volume: VolumeRow) -> int:
    """The slots of the past of a volume, to which the newest version of a former volume belongs too."""
    oldest = pool.volume(volume).retained
    count = retention.past_slots(pool, volume, oldest) if oldest else 0
    return count + (_own_slots(pool, volume) if volume.state == VolumeState.PAST else 0)


def _own_slots(pool: Pool, volume: VolumeRow) -> int:
    """The slots of a volume's newest version that were born in it."""
    head = find_record(pool, volume, pool.volume(volume).version)
    return head.own_count if head is not None else 0


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
