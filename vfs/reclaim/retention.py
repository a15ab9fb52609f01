"""Retention of past versions: starting it for a volume, and expiring versions.

The invariants are in :mod:`vfs.storage.history`.
"""

from __future__ import annotations

from vfs.failpoints import reach
from vfs.format.shared import LIVE
from vfs.reclaim.queue import ReclaimQueue
from vfs.reclaim.unreachable import of_past
from vfs.registry import IN_USE, VolumeRow
from vfs.storage.fences import fence
from vfs.storage.heads import durable_version, find_record, head_of, make_durable
from vfs.storage.pool import Pool
from vfs.storage.seals import version_before_series
from vfs.storage.sessions import Session

__all__ = ["agree_on_past", "give_up_past", "keep_past", "oldest_within", "past_slots"]


def keep_past(pool: Pool, row: VolumeRow) -> None:
    """Retain every version from the present one on; does nothing if the volume retains its past already.

    The caller holds the volume lock.  Raises RegistryBusyError, StoreFailedError, PoolFullError, OSError.
    """
    if row.retained:
        return
    head = head_of(pool, row)
    _require_durable(pool, row, head.version)
    pool.history.erase_after(row.volume, 0)
    shared = pool.volume(row)
    pool.history.append(row, head._replace(volume=row.volume), shared.written)
    shared.retained = head.version  # H6
    reach("past: word set")
    try:
        with pool.registry.transaction():
            pool.registry.set_retained(row.volume, head.version)
    finally:  # also when interrupted after the commit
        current = pool.registry.volume_row(row.volume)
        shared.retained = current.retained if current is not None else 0


def agree_on_past(pool: Pool, session: Session) -> None:
    """Copy the oldest retained versions from the catalog to the volume table, where a process died in between (H6).

    Skips the volumes that another session has locked.  Raises OSError, StorageError.
    """
    for row in pool.registry.volumes_in(*IN_USE):
        shared = pool.volume(row)
        if shared.retained == row.retained:
            continue
        hold = session.try_volume(row.table_index)
        if hold is None:
            continue
        with hold:
            current = pool.registry.volume_row(row.volume)
            if current is not None and current.state in IN_USE:
                shared.retained = current.retained
                pool.slot_map.note_leaks()  # only a sweep can free the slots that were superseded meanwhile


def past_slots(pool: Pool, row: VolumeRow, oldest: int) -> int:
    """The slots, pages and nodes, that the versions from ``oldest`` on hold beside those of the head.

    An upper bound, from numbers in the version records (H7): slots that pins hold as well count, too.  0 if no record
    states a number.
    """
    head = find_record(pool, row, pool.volume(row).version)
    first = find_record(pool, row, oldest)
    before = pool.history.written(row.volume, oldest, head.version) if head is not None else None
    if head is None or first is None or before is None:
        return 0
    return max(0, pool.volume(row).written - before + first.slot_count - head.slot_count)


def oldest_within(pool: Pool, row: VolumeRow, slot_count: int, first: int, last: int) -> int:
    """The oldest of the versions ``first`` to ``last`` whose past is at most so large; ``last`` if there is none."""
    while first < last:
        middle = (first + last) // 2
        if past_slots(pool, row, middle) <= slot_count:
            last = middle
        else:
            first = middle + 1
    return first


def give_up_past(queue: ReclaimQueue, session: Session, row: VolumeRow, before: int | None) -> None:
    """Stop retaining versions older than ``before``; None: retain no past at all.  The caller holds the volume lock.

    Raises RegistryBusyError if another process is in a catalog transaction, CorruptionError, StoreFailedError.
    """
    pool = queue.pool
    head = head_of(pool, row)
    oldest = head.version if before is None else min(before, head.version)
    if not row.retained or (before is not None and oldest <= row.retained):
        return
    last = find_record(pool, row, oldest)
    if last is None:
        return  # its record was lost in a power failure: the next expiry removes these versions
    _require_durable(pool, row, oldest)
    states = pool.slot_map.states
    pinned = pool.registry.pinned_versions(row.volume)
    unreachable = [item for item in of_past(pool, row, pinned, last) if states[item[0]] in LIVE]
    queue.keep([slot for slot, _, _ in unreachable])
    reach("past: slots kept")
    retained = 0 if before is None else oldest
    try:
        with pool.registry.transaction(waits=False):
            pool.registry.set_retained(row.volume, retained)
    finally:  # also when interrupted after the commit
        current = pool.registry.volume_row(row.volume)
        if current is not None and current.retained == retained:
            reach("past: catalog has forgotten")
            pool.volume(row).retained = retained
            fence()  # before readers' pins are read (H2, H3)
            queue.enqueue(row, unreachable, durable_version(pool, row))
        else:
            with session.labelling():
                pool.slot_map.label_live([slot for slot, _, _ in unreachable])
    pool.history.forget_before(row.volume, oldest)
    queue.drain(session, row)


def _require_durable(pool: Pool, row: VolumeRow, version: int) -> None:
    """Sync a version that the catalog is about to retain, unless recovery does not fall back to an older one anyway.

    It does not if a later version is durable, or was when a series of commits under OFF began and is sealed (K3).
    """
    if not pool.is_durable or durable_version(pool, row) >= version:
        return
    if version_before_series(pool, row) < version:
        make_durable(pool, [row])
