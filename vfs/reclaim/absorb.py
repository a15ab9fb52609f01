"""Absorbing: a clone takes over the slots of a dead source that only it depends on.

While a source lives, or other clones depend on it, they still reach the slots of the source that a clone has
superseded.  When the source is dead and only one clone (the *heir*) depends on it, nothing else reaches these slots.
Therefore the heir moves its base down to the base of its source: the slots born in the source are the heir's own from
then on and are reclaimed as it supersedes them, and those that it has superseded already are free.

Invariants (in addition to R1-R9 of queue.py)
    A1  A source is absorbed when it is dead and the base of the heir is the only pin on it; both are checked again in
        the catalog transaction that removes it.
    A2  The volume locks of heir and source are held: the head cannot move, and nobody frees slots of either.  The row
        of the source is read under its lock: while it was free, the source may have absorbed a source of its own.
    A3  The head of the heir has a record of its own before its base names another version (V1), and its history that
        of its former base, on the device, if that is retained.  A version newer than the base is durable before the
        catalog changes: recovery cannot fall back to the former base any more.
    A4  The slots of its former base that the heir has superseded are kept (R8) before the catalog removes the source,
        and the removal is durable before any of them is free (R6, R7).
    A5  A handle that has read the former base looks it up again before it writes: the word ``base`` of the volume table
        is 0 from before the catalog changes until it has changed.  With the former base it would leak slots, but free
        none.
    A6  The new base counts the same version as durable as the former base: recovery never falls back to an older one
        (its floor).
    A7  Slots that another process has superseded in the source, but not settled yet, may be the heir's now, if the
        heir's pin held them: the catalog records the version of that pin, and the process leaves them to a sweep
        (ReclaimQueue.drain).
"""

from __future__ import annotations

from vfs.abc import FOREVER, Superseded
from vfs.failpoints import reach
from vfs.format.layout import Version
from vfs.format.shared import LIVE
from vfs.reclaim.queue import ReclaimQueue
from vfs.reclaim.unreachable import first_behind
from vfs.registry import IN_USE, PinRow, Registry, VolumeRow, VolumeState
from vfs.storage.heads import durable_version, head_of, write_record
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session
from vfs.storage.walk import count_born_after, only_in

__all__ = ["absorb"]


def absorb(queue: ReclaimQueue, session: Session, heir: VolumeRow) -> VolumeRow:
    """Absorb the dead sources that only this volume depends on (the caller holds its volume lock).

    Returns its new row; the caller drains.  Raises CorruptionError, RegistryBusyError, PoolFullError, StoreFailedError,
    OSError.
    """
    registry = queue.pool.registry
    while heir.parent is not None and heir.state != VolumeState.DROPPED:
        source = registry.volume_row(heir.parent)
        if source is None or _only_pin(registry, source, heir) is None:
            break
        hold = session.try_volume(source.table_index)
        if hold is None:
            break
        with hold:
            locked = registry.volume_row(source.volume)  # it may have absorbed its own source before it was locked
            absorbed = _absorb(queue, session, locked, heir) if locked is not None else None
        if absorbed is None:
            break
        heir = absorbed
    return heir


def _only_pin(registry: Registry, source: VolumeRow, heir: VolumeRow) -> PinRow | None:
    """The pin of the heir's base, if the source is dead and there is no other pin on it (A1)."""
    if source.state != VolumeState.DEAD:
        return None
    pins = registry.first_pins(source.volume, 2)
    return pins[0] if len(pins) == 1 and pins[0].holder_volume == heir.volume and not pins[0].released else None


def _absorb(queue: ReclaimQueue, session: Session, source: VolumeRow, heir: VolumeRow) -> VolumeRow | None:
    """Absorb one source; return the heir's new row, or None if there was nothing to absorb."""
    pool = queue.pool
    registry, states = pool.registry, pool.slot_map.states
    pin = _only_pin(registry, source, heir)
    head = head_of(pool, heir) if heir.state in IN_USE else None
    oldest = first_behind(pool, heir, registry.pinned_versions(heir.volume), 0)
    if pin is None or oldest is None:
        return None
    superseded = [
        (at.entry.slot, at.entry.birth, oldest.version)
        for at in only_in(pool.read_slot, pin.version, [oldest], source.base.version)
        if states[at.entry.slot] in LIVE
    ]
    own_count = count_born_after(pool.read_slot, head, source.base.version) - head.own_count if head else 0
    base = source.base._replace(volume=heir.volume, durable=heir.base.durable, own_count=own_count)
    if head is not None:
        _make_head_durable(pool, heir, head)
    pool.history.secure_base(heir)
    reach("absorb: head recorded")
    queue.keep([slot for slot, _, _ in superseded])
    reach("absorb: slots kept")
    shared = pool.volume(heir)
    shared.base = 0
    try:
        with registry.transaction(waits=False):
            if _only_pin(registry, source, heir) is not None and registry.volume_row(heir.volume) == heir:
                registry.absorb(source, heir, base)
    finally:  # also when interrupted after the commit
        absorbed = registry.volume_row(source.volume) is None  # no other process could remove it (A2)
        current = registry.volume_row(heir.volume)
        if absorbed and current is not None:
            reach("absorb: catalog has forgotten")
            _finish(queue, session, source, current, superseded)
        else:
            with session.labelling():
                pool.slot_map.label_live([slot for slot, _, _ in superseded])
        if current is not None:
            shared.base = current.base.version
    return current if absorbed else None


def _make_head_durable(pool: Pool, heir: VolumeRow, head: Version) -> None:
    """Sync a record to the head slot, if only the base is on the device yet (A3)."""
    if durable_version(pool, heir) > heir.base.version:
        return
    try:
        if head.version == heir.base.version:
            write_record(pool, heir, 0, head._replace(volume=heir.volume, durable=head.version))
        pool.sync()
    except BaseException:
        pool.fail(f"writing a version record of volume {heir.volume} failed")
        raise
    pool.volume(heir).durable = head.version


def _finish(queue: ReclaimQueue, session: Session, source: VolumeRow, heir: VolumeRow, items: list[Superseded]) -> None:
    """Queue the superseded slots, which now wait for readers only, and remove the source (after the catalog)."""
    pool = queue.pool
    queue.enqueue(heir, items, durable_version(pool, heir) if heir.state in IN_USE else FOREVER)
    with session.pool_locked():
        pool.tables.remove_volume(source.table_index, source.volume)
    pool.history.remove(source.volume)
