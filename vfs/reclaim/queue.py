"""Decides when a slot may be reused.  An error here loses data; read the invariants first.

A slot born in version b of a volume and superseded in its version d is *held* by every pin p with b <= p < d.  A volume
that retains its past from version r on holds it too, if r < d.

Invariants
    R1  A slot is freed only if no durable pin and no reader's pin holds it, as read at the moment of freeing.
    R2  Readers' pins are read before durable pins.  A session that adds a durable pin holds a reader's pin on the
        version until the durable pin is announced, so one of the two reads finds it (with S1-S3 of sessions.py).
    R3  A slot superseded in d is freed only when d is durable, unless it was born after the newest durable version, the
        volume runs with synchronous=OFF, or it is dropped.  (Recovery falls back to the newest durable version or to a
        newer record; it accepts a newer record only if every slot born since the durable version matches its checksum.)
        The word ``durable`` of the volume table defines "durable": it moves under the volume lock, after a sync that
        began when the version was published.  A session that frees the slots which a head does not reach, such as a
        sweep, makes that head durable first: the process that published it may have died before any sync.
    R4  Everything that frees slots of a volume runs under that volume lock.
    R5  Every superseded slot has exactly one party to free it: the process that superseded it, while no durable pin
        holds it; otherwise the removal of the last durable pin that does.  The map distinguishes the two: reserved by a
        keeper, or live.  A volume frees no slot born at or before its base: such a slot belongs to its source.
    R6  The catalog removes a pin or a head before the slots they held are freed.  A process that dies in between leaks
        slots (found by the next sweep or map rebuild); it never frees twice.
    R7  The removal of a pin or volume is durable in the catalog before any slot it held is reused.  Recovery seals the
        catalog first: its last commit may be in the page cache only, and its process dead.
    R8  A superseded slot is reserved by the store session ("keeper") of the process that will free it, from before
        the last pin on it is removed until it is freed: so a sweep leaves it alone, and the death of that process
        is noticed.
        A session that closes leaves no slot reserved: its row will belong to another session.
    R9  The pin mark of a volume changes, to a random value, whenever a durable pin may have been added (announced, or
        the session that added it died) or removed; cached pins are used only while the mark does not change.  Marks
        that are set at the same time differ, so a process that has read the pins after the first one reads them again.

Releasing pin p frees the slots reachable from p, born after the pin before p, and not reachable from the next pin, or
from the head if there is no next pin.  Releasing a head: the same, without a successor.

Worked example.  Volume P is at version 5 and is cloned as C (pin 5 on P).  P updates page 9 in version 6: its old slot
was born in 3, and 3 <= 5 < 6, so it is left to the pin.  P updates page 9 again in 7: the slot born in 6 is not held by
any pin and free once 7 is durable.  C is dropped: its own slots were born after 5; the pin is released; page 9's slot
of version 5 is reachable from 5, not from P's head, born after 0: free.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from dataclasses import dataclass, field

from vfs.abc import FOREVER, Superseded
from vfs.errors import RegistryBusyError
from vfs.failpoints import reach
from vfs.format import locks
from vfs.format.shared import FLAGS, RESERVED, VOLUME_ROWS
from vfs.registry import IN_USE, VolumeRow
from vfs.storage.fences import fence
from vfs.storage.heads import durable_version, make_durable
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session

__all__ = ["ReclaimQueue", "holder_of"]

UNSYNCED_SLOTS_MAX = 4096
"""Superseded slots (16 MiB) that may wait for a sync under synchronous=NORMAL before they cause one."""

_DRAIN_SLOTS = 48
"""Superseded slots that accumulate before a writer reads the pins to free them."""


@dataclass(slots=True)
class _Waiting:
    """The slots that one process has to free in one volume (guarded by the volume lock)."""

    row: VolumeRow
    ready: list[Superseded] = field(default_factory=list)
    unsynced: list[Superseded] = field(default_factory=list)
    held: dict[int, list[Superseded]] = field(default_factory=dict)  # by the reader's pin that holds them
    synced_to: int = 0  # deaths in ``unsynced`` are later than this version

    def add(self, items: list[Superseded], durable: int) -> None:
        """Queue slots; those of a version that recovery may fall back to wait until their death is durable (R3)."""
        for item in items:
            _, birth, death = item
            if death <= durable or birth > durable:
                self.ready.append(item)
            else:
                self.unsynced.append(item)

    def take_ready(self, durable: int) -> list[Superseded]:
        """Remove and return the slots that do not wait for a sync any more."""
        ready, self.ready = self.ready, []
        if durable > self.synced_to:
            ready += [item for item in self.unsynced if item[2] <= durable]
            self.unsynced = [item for item in self.unsynced if item[2] > durable]
            self.synced_to = durable
        return ready

    def is_worth_draining(self) -> bool:
        """Whether enough slots have accumulated to read the pins for them."""
        return len(self.ready) > _DRAIN_SLOTS or len(self.unsynced) > UNSYNCED_SLOTS_MAX or bool(self.held)

    def count(self) -> int:
        return len(self.ready) + len(self.unsynced) + sum(map(len, list(self.held.values())))


class ReclaimQueue:
    """The slots that one process has superseded, until they are free."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._waiting: dict[int, _Waiting] = {}
        self._pins: dict[int, tuple[int, list[int]]] = {}
        self._guard = threading.Lock()

    # --- called by writers ------------------------------------------------------------------------------------------
    def keep_superseded(self, row: VolumeRow, death: int, slots: list[tuple[int, int]]) -> list[Superseded]:
        """Keep the (slot, birth) pairs that version ``death``, about to be published, no longer reaches.

        Keeps those that this process is to free.  Called before the head moves, so that no sweep finds a slot that
        neither a head reaches nor a session keeps (R8).  The caller is the writer, and enqueues them after the head has
        moved.  A volume with a retained past retains all of them (history.py).
        """
        if self.pool.volume(row).retained:
            return []
        base = row.base.version
        items = [(slot, birth, death) for slot, birth in slots if birth > base]
        self.keep([slot for slot, _, _ in items])
        return items

    def keep(self, slots: list[int]) -> None:
        """Reserve slots that this process will free (R8)."""
        if slots:
            self.pool.slot_map.hand_over(slots, self.pool.keeper().row)

    def enqueue(self, row: VolumeRow, items: list[Superseded], durable: int) -> None:
        """Queue kept slots (the caller holds the volume lock).

        ``durable`` is the newest durable version, FOREVER if no slot has to wait for a sync (R3).
        """
        if not items:
            return
        with self._guard:
            waiting = self._waiting.get(row.volume)
            if waiting is None:
                waiting = self._waiting[row.volume] = _Waiting(row)
        waiting.add(items, durable)

    def _waiting_of(self, row: VolumeRow) -> _Waiting | None:
        """What this process has to free in a volume, in either data plane (the caller holds the volume lock)."""
        if self.pool.companion is not None:
            items = self.pool.companion.take_waiting(row)
            if items:
                self.enqueue(row, items, self._synced_to(row))
        return self._waiting.get(row.volume)

    def _hand_back(self, waiting: _Waiting) -> None:
        """Let the other data plane, whose handles drain the volume, free what still waits (under the volume lock)."""
        if self.pool.companion is not None:
            items = [*waiting.ready, *waiting.unsynced, *(item for held in waiting.held.values() for item in held)]
            self.pool.companion.add_waiting(waiting.row, items, self._synced_to(waiting.row))
            waiting.ready, waiting.unsynced, waiting.held = [], [], {}

    def _synced_to(self, row: VolumeRow) -> int:
        """The version up to which no slot of a volume waits for a sync (R3)."""
        return durable_version(self.pool, row) if self.pool.is_durable else FOREVER

    def is_worth_draining(self, row: VolumeRow) -> bool:
        """Whether this process has enough slots of the volume to free, or has slots that readers held before."""
        waiting = self._waiting.get(row.volume)
        return waiting is not None and waiting.is_worth_draining()

    def has_waiting(self, row: VolumeRow) -> bool:
        """Whether this process has slots of the volume to free."""
        companion = self.pool.companion
        return row.volume in self._waiting or (companion is not None and row.volume in companion.waiting_volumes())

    # --- pins -------------------------------------------------------------------------------------------------------
    def announce_pins(self, index: int) -> None:
        """Announce that the durable pins of the volume have changed, so that its writers read them again (R9).

        A caller that has added a pin still holds the reader's pin under which it was added (R2).
        """
        self.pool.tables.volume(index).pins = int.from_bytes(os.urandom(8), "little")
        fence()  # before the reader's pin is cleared

    def _durable_pins(self, row: VolumeRow) -> list[int]:
        mark = self.pool.volume(row).pins
        cached = self._pins.get(row.volume)
        if cached is None or cached[0] != mark:
            cached = self._pins[row.volume] = (mark, self.pool.registry.pinned_versions(row.volume))
        return cached[1]

    def reader_pins(self, session: Session, row: VolumeRow) -> list[int]:
        """The versions that readers of a volume pin, ascending; buries dead readers if possible."""
        pins = set()
        for session_row, pin in self.pool.tables.pins_of(row.table_index):
            if not session.is_dead(session_row) or not self.bury(session, session_row):
                pins.add(pin)
        return sorted(pins)

    # --- draining ---------------------------------------------------------------------------------------------------
    def drain(self, session: Session, row: VolumeRow, *, sync: bool = False) -> None:
        """Free every waiting slot of the volume that no pin holds (the caller holds its volume lock: R4)."""
        waiting = self._waiting_of(row)
        if waiting is None:
            return
        is_gone, is_recycled = self._is_gone(row)
        if is_gone:
            self._leave_to_heir(session, waiting)
        ready = waiting.take_ready(FOREVER if is_gone else self._durable_version(row, waiting, sync=sync))
        if ready or waiting.held:
            try:
                reach("drain: before pins are read")
                readers = [] if is_recycled else self.reader_pins(session, row)  # R2: readers first
                reach("drain: readers read")
                durable_pins = self.pool.registry.pinned_versions(row.volume) if is_gone else self._durable_pins(row)
            except BaseException:
                waiting.ready += ready
                raise
            for pin in [pin for pin in waiting.held if pin not in readers]:
                ready += waiting.held.pop(pin)
            self._settle(session, waiting, ready, readers, durable_pins)
        if not is_gone:
            self._hand_back(waiting)
        if not waiting.count():
            with self._guard:
                self._waiting.pop(row.volume, None)
            if is_gone:
                self._pins.pop(row.volume, None)

    def free_removed(self, row: VolumeRow, slots: list[int]) -> None:
        """Free kept slots of a volume, and those that wait: it is removed, durably, and has neither pins nor readers.

        The caller holds its volume lock since it counted these.
        """
        reach("drain: before pins are read")
        reach("drain: readers read")
        self._pins.pop(row.volume, None)
        waiting = self._waiting_of(row)
        if waiting is not None:
            with self._guard:
                self._waiting.pop(row.volume, None)
            items = waiting.take_ready(FOREVER)
            items += [item for held in waiting.held.values() for item in held]
            slots = slots + [slot for slot, _, _ in items]
        self._free_kept(slots)

    def _leave_to_heir(self, session: Session, waiting: _Waiting) -> None:
        """Leave the slots of an absorbed volume that the heir's pin held to the next sweep (A7 of absorb.py)."""
        version = self.pool.registry.absorbed_at(waiting.row.volume)
        if version is None:
            return
        items = waiting.take_ready(FOREVER) + [item for held in waiting.held.values() for item in held]
        waiting.held.clear()
        waiting.ready = [item for item in items if not item[1] <= version < item[2]]
        self.leak(session, [slot for slot, birth, death in items if birth <= version < death])

    def _is_gone(self, row: VolumeRow) -> tuple[bool, bool]:
        """Whether the drop of the volume is committed, and whether its table row belongs to another volume already."""
        word = self.pool.volume(row).id
        if word == row.volume:
            return False, False
        current = self.pool.registry.volume_row(row.volume)  # a drop in progress may still fail
        return current is None or current.state not in IN_USE, word & ~FLAGS != row.volume

    def _durable_version(self, row: VolumeRow, waiting: _Waiting, *, sync: bool) -> int:
        if len(waiting.unsynced) > (0 if sync else UNSYNCED_SLOTS_MAX):
            make_durable(self.pool, [row])
        return durable_version(self.pool, row)

    def _settle(
        self,
        session: Session,
        waiting: _Waiting,
        ready: list[Superseded],
        readers: list[int],
        durable_pins: list[int],
    ) -> None:
        """Free the slots that no pin holds, keep those that readers hold, leave the others to their durable pins."""
        free: list[int] = []
        pinned: list[int] = []
        if not readers and not durable_pins:
            free = [item[0] for item in ready]
            ready = []
        for item in ready:
            slot, birth, death = item
            if holder_of(durable_pins, birth, death) is not None:
                pinned.append(slot)  # R5: the removal of that pin will find it
                continue
            reader = holder_of(readers, birth, death)
            if reader is None:
                free.append(slot)
            else:
                waiting.held.setdefault(reader, []).append(item)
        if pinned:
            with session.labelling():
                self.pool.slot_map.label_live(pinned)
        self._free_kept(free)

    def _free_kept(self, slots: list[int]) -> None:
        """Free slots that this process keeps; those that a sweep has labelled live are the next sweep's (W2, R5)."""
        states, own_state = self.pool.slot_map.states, RESERVED + self.pool.keeper().row
        own_slots = [slot for slot in slots if states[slot] == own_state]
        self.pool.slot_map.free(own_slots)
        if len(own_slots) < len(slots):
            self.pool.slot_map.note_leaks()

    def drain_all(self, session: Session, *, sync: bool = False) -> None:
        """Drain every volume that this process has slots to free in and whose volume lock is free."""
        rows = {volume: waiting.row for volume, waiting in list(self._waiting.items())}
        if self.pool.companion is not None:
            volumes = self.pool.companion.waiting_volumes()
            rows |= {volume: row for volume, row in list(self.pool.written.items()) if volume in volumes}
        for row in rows.values():
            hold = session.try_volume(row.table_index)
            if hold is not None:
                with hold:
                    self.drain(session, row, sync=sync)

    def waiting_count(self) -> int:
        """The number of superseded slots of this process that wait for readers or for a sync."""
        count = sum(waiting.count() for waiting in list(self._waiting.values()))
        return count + (self.pool.companion.waiting_count() if self.pool.companion is not None else 0)

    # --- the dead and the leaked ------------------------------------------------------------------------------------
    def bury(self, session: Session, row: int) -> bool:
        """Clear the row of a dead session; its reserved slots are freed, or leaked if they may still be read.

        The catalog is sealed first: a commit that died with the session must not take effect later (S3).  Returns
        False, and leaves the session, if that cannot be done now.
        """
        generation = self.pool.tables.session(row).generation
        if not session.is_dead(row):
            return False
        try:
            self.pool.registry.seal()
        except RegistryBusyError:
            return False
        self._bury(session, row, generation)
        return True

    def _bury(self, session: Session, row: int, generation: int) -> None:
        """Bury the owner that a row had before the catalog was sealed."""
        slot_map = self.pool.slot_map
        with session.pool_locked():
            hold = session.locks.try_lock(locks.session(row))
            if hold is None:
                return  # it was buried meanwhile, and another session has the row
            with hold:
                record = self.pool.tables.session(row)
                if record.generation != generation:
                    return  # it was buried meanwhile, and the next owner has died since
                reserved = slot_map.slots_in_state(RESERVED + row)
                if record.publishing == 0:
                    slot_map.free(reserved)
                else:
                    self._label_leaked(reserved)
                if 0 < record.volume <= VOLUME_ROWS:
                    self.announce_pins(record.volume - 1)  # before the pin is cleared (S3, R9)
                record.pin = record.volume = record.publishing = record.heads = 0
                record.owner = 0

    def bury_all(self, session: Session) -> int:
        """Bury every dead session, and return their number.  Raises RegistryBusyError."""
        dead = [(row, record.generation) for row, record in self.pool.tables.sessions() if session.is_dead(row)]
        if dead:
            self.pool.registry.seal()
        for row, generation in dead:
            self._bury(session, row, generation)
        return len(dead)

    def abandon(self, keeper: Session) -> None:
        """Leak the slots that this process still keeps as it closes the store, until a sweep finds them."""
        with self._guard:
            self._waiting = {}
        if self.pool.companion is not None:
            self.pool.companion.forget_waiting()
        kept_slots = self.pool.slot_map.slots_in_state(RESERVED + keeper.row)
        if kept_slots:
            self.leak(keeper, kept_slots)

    def leak(self, session: Session, slots: list[int]) -> None:
        """Leave slots to a sweep: label them live, and note the leak."""
        with session.pool_locked():
            self._label_leaked(slots)

    def _label_leaked(self, slots: list[int]) -> None:
        """Label leaked slots live (the caller holds the pool lock, so that the epoch stays: a pin may reach them)."""
        self.pool.slot_map.label_live(slots)
        self.pool.slot_map.note_leaks()


def holder_of(pins: list[int], birth: int, death: int) -> int | None:
    """The lowest pin in [birth, death), given ascending pins."""
    at = bisect_left(pins, birth)
    return pins[at] if at < len(pins) and pins[at] < death else None
