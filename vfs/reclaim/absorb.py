"""A clone takes the place of a dead source that only it stands on.

While a source lives, or others stand on it too, what a clone overwrites of it is theirs.  When the clone is the last,
nobody else reaches what it has overwritten.  So the clone moves its base down to that of its source: what was born in
the source is the clone's own from then on, reclaimed as it supersedes it, and what it superseded already is free now.

Invariants (beside R1-R9 of queue.py)
    A1  A source is absorbed when it is dead and the base of the heir is the only pin on it; both are looked at again in
        the catalog transaction that forgets it.
    A2  The heir's volume lock is held, and that of the source: its head stands still, and nobody frees in either.
    A3  The head of the heir has a record of its own before its base names another version (V1), and a version behind
        the base is durable before the catalog says so: recovery cannot fall back to the former base any more.
    A4  What the heir has lost of its former base is kept (R8) before the catalog forgets the source, and the catalog
        forgets it durably before any of that is free (R6, R7).
    A5  A handle that has read the former base looks it up again before it writes: V_BASE names no version from before
        the catalog changes until it has changed.  With the former base it would leak slots, but free none.
    A6  The new base counts as durable what the former base was: recovery never goes back behind that (its floor).
    A7  What another process has superseded in the source, but not settled yet, may be the heir's now, if the heir's pin
        held it: the catalog says where that was, and the process leaves it to a sweep (ReclaimQueue.drain).
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
    """Let a volume, whose volume lock the caller holds, absorb the dead sources that only it stands on.

    Returns its row as it is then; the caller drains.  Raises CorruptionError, RegistryBusyError, StoreFailedError,
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
            absorbed = _absorb(queue, session, source, heir)
        if absorbed is None:
            break
        heir = absorbed
    return heir


def _only_pin(registry: Registry, source: VolumeRow, heir: VolumeRow) -> PinRow | None:
    """The pin of the heir's base, if the source is dead and nothing else holds it (A1)."""
    if source.state != VolumeState.DEAD:
        return None
    pins = registry.first_pins(source.volume, 2)
    return pins[0] if len(pins) == 1 and pins[0].holder_volume == heir.volume and not pins[0].released else None


def _absorb(queue: ReclaimQueue, session: Session, source: VolumeRow, heir: VolumeRow) -> VolumeRow | None:
    """One step down; the heir's new row, or None if there was nothing to absorb."""
    pool = queue.pool
    registry, states = pool.registry, pool.slot_map.states
    pin = _only_pin(registry, source, heir)
    head = head_of(pool, heir) if heir.state in IN_USE else None
    oldest = first_behind(pool, heir, registry.pinned_versions(heir.volume), 0)
    if pin is None or oldest is None:
        return None
    lost = [
        (at.entry.slot, at.entry.birth, oldest.version)
        for at in only_in(pool.read_slot, pin.version, [oldest], source.base.version)
        if states[at.entry.slot] in LIVE
    ]
    own_count = count_born_after(pool.read_slot, head, source.base.version) - head.own_count if head else 0
    base = source.base._replace(volume=heir.volume, durable=heir.base.durable, own_count=own_count)
    if head is not None:
        _make_head_durable(pool, heir, head)
    reach("absorb: head recorded")
    queue.keep([slot for slot, _, _ in lost])
    reach("absorb: slots kept")
    shared = pool.volume(heir)
    shared.base = 0
    try:
        with registry.transaction(waits=False):
            if _only_pin(registry, source, heir) is not None and registry.volume_row(heir.volume) == heir:
                registry.absorb(source, heir, base)
    finally:  # also when interrupted behind the commit
        absorbed = registry.volume_row(source.volume) is None  # nobody else could (A2)
        current = registry.volume_row(heir.volume)
        if absorbed and current is not None:
            reach("absorb: catalog has forgotten")
            _finish(queue, session, source, current, lost)
        else:
            with session.labelling():
                pool.slot_map.label_live([slot for slot, _, _ in lost])
        if current is not None:
            shared.base = current.base.version
    return current if absorbed else None


def _make_head_durable(pool: Pool, heir: VolumeRow, head: Version) -> None:
    """See that a record in the head slot is on the device, where as yet the base may be all that is (A3)."""
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


def _finish(queue: ReclaimQueue, session: Session, source: VolumeRow, heir: VolumeRow, lost: list[Superseded]) -> None:
    """The catalog has forgotten the source: what the heir has lost of it waits for readers only."""
    pool = queue.pool
    queue.enqueue(heir, lost, durable_version(pool, heir) if heir.state in IN_USE else FOREVER)
    with session.pool_locked():
        pool.tables.remove_volume(source.table_index, source.volume)
    pool.history.remove(source.volume)
