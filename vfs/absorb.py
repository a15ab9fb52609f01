"""A clone takes the place of a dead source that only it stands on.

While a source lives, or others stand on it too, what a clone overwrites of it is theirs.  When the clone is the last,
nobody else reaches what it has overwritten.  So the clone moves its base down to that of its source: what was born in
the source is the clone's own from then on, reclaimed as it supersedes it, and what it superseded already is free now.

Invariants (beside R1-R9 of reclaim.py)
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
        held it: the catalog says where that was, and the process leaves it to a sweep (Reclaim.drain).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vfs.failpoints import reach
from vfs.layout import LIVE_EVEN, LIVE_ODD, SLOT_SHIFT, V_BASE, V_DURABLE, Version, pack_version
from vfs.loose import first_behind
from vfs.osio import write_at
from vfs.reclaim import FOREVER, Superseded
from vfs.registry import IN_USE, PinRow, VolumeRow, VolumeState
from vfs.sessions import Session
from vfs.table import count_born_after, only_in

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["absorb"]


def absorb(store: PageStore, session: Session, heir: VolumeRow) -> VolumeRow:
    """Let a volume, whose volume lock the caller holds, absorb the dead sources that only it stands on.

    The row as it is then.  The caller drains.  Raises CorruptionError, RegistryBusyError, StoreFailedError, OSError.
    """
    while heir.parent is not None and heir.state != VolumeState.DROPPED:
        source = store.registry.volume_row(heir.parent)
        if source is None or _only_pin(store, source, heir) is None:
            break
        hold = session.try_volume(source.table_index)
        if hold is None:
            break
        with hold:
            absorbed = _absorb(store, session, source, heir)
        if absorbed is None:
            break
        heir = absorbed
    return heir


def _only_pin(store: PageStore, source: VolumeRow, heir: VolumeRow) -> PinRow | None:
    """The pin of the heir's base, if the source is dead and nothing else holds it (A1)."""
    if source.state != VolumeState.DEAD:
        return None
    pins = store.registry.first_pins(source.volume, 2)
    return pins[0] if len(pins) == 1 and pins[0].holder_volume == heir.volume and not pins[0].released else None


def _absorb(store: PageStore, session: Session, source: VolumeRow, heir: VolumeRow) -> VolumeRow | None:
    """One step down; the heir's new row, or None if there was nothing to absorb."""
    registry, words = store.registry, store.tables.words
    pin = _only_pin(store, source, heir)
    head = store.head_of(heir) if heir.state in IN_USE else None
    oldest = first_behind(store, heir, registry.pinned_versions(heir.volume), 0)
    if pin is None or oldest is None:
        return None
    lost = [
        (at.entry.slot, at.entry.birth, oldest.version)
        for at in only_in(store.read_slot, pin.version, [oldest], source.base.version)
        if store.slot_map.states[at.entry.slot] in (LIVE_EVEN, LIVE_ODD)
    ]
    own_count = count_born_after(store.read_slot, head, source.base.version) - head.own_count if head else 0
    base = source.base._replace(volume=heir.volume, durable=heir.base.durable, own_count=own_count)
    if head is not None:
        _make_head_durable(store, heir, head)
    reach("absorb: head recorded")
    store.reclaim.keep([slot for slot, _, _ in lost])
    reach("absorb: slots kept")
    base_at = store.tables.volume_at(heir.table_index) + V_BASE
    words[base_at] = 0
    try:
        with registry.transaction(waits=False):
            if _only_pin(store, source, heir) is not None and registry.volume_row(heir.volume) == heir:
                registry.absorb(source, heir, base)
    finally:  # also when interrupted behind the commit
        absorbed = registry.volume_row(source.volume) is None  # nobody else could (A2)
        current = registry.volume_row(heir.volume)
        if absorbed and current is not None:
            reach("absorb: catalog has forgotten")
            _finish(store, session, source, current, lost)
        else:
            with session.labelling():
                store.slot_map.label_live([slot for slot, _, _ in lost])
        if current is not None:
            words[base_at] = current.base.version
    return current if absorbed else None


def _make_head_durable(store: PageStore, heir: VolumeRow, head: Version) -> None:
    """See that a record in the head slot is on the device, where as yet the base may be all that is (A3)."""
    if store.durable_version(heir) > heir.base.version:
        return
    try:
        if head.version == heir.base.version:
            record = head._replace(volume=heir.volume, durable=head.version)
            write_at(store.pool_fd, [pack_version(record)], heir.head_slot << SLOT_SHIFT)
        store.sync()
    except BaseException:
        store.fail(f"writing a version record of volume {heir.volume} failed")
        raise
    store.tables.words[store.tables.volume_at(heir.table_index) + V_DURABLE] = head.version


def _finish(store: PageStore, session: Session, source: VolumeRow, heir: VolumeRow, lost: list[Superseded]) -> None:
    """The catalog has forgotten the source: what the heir has lost of it waits for readers only."""
    store.reclaim.enqueue(heir, lost, store.durable_version(heir) if heir.state in IN_USE else FOREVER)
    with session.pool_locked():
        store.tables.remove_volume(source.table_index, source.volume)
    store.history.remove(source.volume)
