"""When a slot may be used again.  This is where such systems lose data; read the invariants first.

A slot born in version b of a volume and superseded in its version d is *held* by every pin p with b <= p < d.  A volume
that keeps its past from version r on holds it too, if r < d.

Invariants
    R1  A slot is freed only if no durable pin and no reader's pin holds it, as read at the moment of freeing.
    R2  Readers' pins are read before durable pins.  Who makes a durable pin holds a reader's pin on the version until
        the pin is announced, so one of the two reads finds it (with S1-S3 of sessions.py).
    R3  A slot superseded in d is freed only when d is durable, unless it was born after the newest durable version, the
        volume runs with synchronous=OFF, or it is dropped.  (Recovery falls back to the newest durable version or to
        a record behind it; of the latter it believes only one behind which every slot born since checks out.)
        "Durable" is what V_DURABLE says: it moves under the volume lock, after a sync that began when the version was
        published.  Who frees by what a head reaches, as a sweep does, makes that head durable first: the process that
        published it may have died before any sync.
    R4  Everything that frees slots of a volume runs under that volume lock.
    R5  Every superseded slot has exactly one party to free it: the process that superseded it, while no durable pin
        holds it; else the removal of the last durable pin that does.  The map says which: reserved by a keeper, or
        live.  A volume frees no slot born at or before its base: that one belongs to its source.
    R6  The catalog forgets a pin or a head before the slots they held are freed.  A process that dies in between leaks
        slots (found by the next sweep or map rebuild); it never frees twice.
    R7  That a pin or volume is no longer needed is durable in the catalog before any slot it held is reused.  Recovery
        seals the catalog first: its last commit may be in the page cache only, and its process dead.
    R8  A superseded slot is reserved by the store session ("keeper") of the process that will free it, from before
        the last pin on it is forgotten until it is freed: so a sweep leaves it alone, and the death of that process
        is noticed.
        A session that closes leaves no slot reserved: its row will be another's.
    R9  The pin counter of a volume moves whenever a durable pin may have come (announced, or its maker died) or gone;
        cached pins are used only while it stands still.

Releasing pin p: the slots reachable from p, born after the pin before p, and not reachable from what comes after p (the
next pin, or the head).  Releasing a head: the same with nothing behind it.

Worked example.  Volume P is at version 5; clone C is taken (pin 5 on P).  P updates page 9 in version 6: its old slot
was born in 3, and 3 <= 5 < 6, so it is left to the pin.  P updates page 9 again in 7: the slot born in 6 is held by
nobody and free once 7 is durable.  C is dropped: its own slots were born after 5; the pin is released; page 9's slot of
version 5 is reachable from 5, not from P's head, born after 0: free.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field

from vfs.abc import FOREVER, Superseded
from vfs.errors import RegistryBusyError
from vfs.failpoints import reach
from vfs.format import locks
from vfs.format.shared import DROPPED, RESERVED, VOLUME_ROWS
from vfs.registry import IN_USE, VolumeRow
from vfs.storage.heads import durable_version, make_durable
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session

__all__ = ["ReclaimQueue", "holder_of"]

UNSYNCED_SLOTS_MAX = 4096
"""Superseded slots (16 MiB) that may wait for a sync under synchronous=NORMAL before one is made for them."""

_DRAIN_SLOTS = 48
"""Superseded slots that come together before a writer reads the pins to free them."""


@dataclass(slots=True)
class _Waiting:
    """What one process has to free in one volume (guarded by the volume lock)."""

    row: VolumeRow
    ready: list[Superseded] = field(default_factory=list)
    unsynced: list[Superseded] = field(default_factory=list)
    held: dict[int, list[Superseded]] = field(default_factory=dict)  # by the reader's pin that holds them
    synced_to: int = 0  # deaths in ``unsynced`` lie behind this version

    def add(self, items: list[Superseded], durable: int) -> None:
        """Queue slots; those that recovery may still fall back to wait until their death is durable (R3)."""
        for item in items:
            _, birth, death = item
            if death <= durable or birth > durable:
                self.ready.append(item)
            else:
                self.unsynced.append(item)

    def take_ready(self, durable: int) -> list[Superseded]:
        """Take out what need not wait for a sync any more."""
        taken, self.ready = self.ready, []
        if durable > self.synced_to:
            taken += [item for item in self.unsynced if item[2] <= durable]
            self.unsynced = [item for item in self.unsynced if item[2] > durable]
            self.synced_to = durable
        return taken

    def is_worth_draining(self) -> bool:
        """Whether enough has come together to read the pins for it."""
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
        """Version ``death``, about to be published, no longer reaches these (slot, birth): keep what is ours to free.

        Before the head moves, so that no sweep finds a slot that neither a head reaches nor anybody keeps (R8).  The
        caller is the writer, and enqueues them behind it.  A volume that keeps its past keeps them all (history.py).
        """
        if self.pool.volume(row).retained:
            return []
        base = row.base.version
        items = [(slot, birth, death) for slot, birth in slots if birth > base]
        self.keep([slot for slot, _, _ in items])
        return items

    def keep(self, slots: list[int]) -> None:
        """This process is the one to free these slots (R8)."""
        if slots:
            self.pool.slot_map.hand_over(slots, self.pool.keeper().row)

    def enqueue(self, row: VolumeRow, items: list[Superseded], durable: int) -> None:
        """Queue slots that are kept (the caller holds the volume lock).

        ``durable`` is the newest durable version, FOREVER if nothing has to wait for a sync (R3).
        """
        if not items:
            return
        with self._guard:
            waiting = self._waiting.get(row.volume)
            if waiting is None:
                waiting = self._waiting[row.volume] = _Waiting(row)
        waiting.add(items, durable)

    def is_worth_draining(self, row: VolumeRow) -> bool:
        """Whether this process has enough to free in the volume, or had to leave some to readers."""
        waiting = self._waiting.get(row.volume)
        return waiting is not None and waiting.is_worth_draining()

    def has_waiting(self, row: VolumeRow) -> bool:
        """Whether this process has anything to free in the volume."""
        return row.volume in self._waiting

    # --- pins -------------------------------------------------------------------------------------------------------
    def announce_pins(self, session: Session, index: int) -> None:
        """The durable pins of the volume have changed: its writers must read them again (R9).

        Who has added one still holds the reader's pin it was made under (R2).
        """
        with session.pool_locked():  # two announcements at once must not count as one
            self._count_pins_change(index)

    def _count_pins_change(self, index: int) -> None:
        self.pool.tables.volume(index).pins += 1

    def _durable_pins(self, row: VolumeRow) -> list[int]:
        counter = self.pool.volume(row).pins
        known = self._pins.get(row.volume)
        if known is None or known[0] != counter:
            known = self._pins[row.volume] = (counter, self.pool.registry.pinned_versions(row.volume))
        return known[1]

    def reader_pins(self, session: Session, row: VolumeRow) -> list[int]:
        """The versions that readers of a volume pin, ascending; dead readers are buried on the way if that can be."""
        pins = set()
        for session_row, pin in self.pool.tables.pins_of(row.table_index):
            if not session.is_dead(session_row) or not self.bury(session, session_row):
                pins.add(pin)
        return sorted(pins)

    # --- draining ---------------------------------------------------------------------------------------------------
    def drain(self, session: Session, row: VolumeRow, *, sync: bool = False) -> None:
        """Free every waiting slot of the volume that nothing holds (the caller holds its volume lock: R4)."""
        waiting = self._waiting.get(row.volume)
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
        if not waiting.count():
            with self._guard:
                self._waiting.pop(row.volume, None)
            if is_gone:
                self._pins.pop(row.volume, None)

    def _leave_to_heir(self, session: Session, waiting: _Waiting) -> None:
        """Of a volume that was absorbed, leave what the heir's pin held to the next sweep (A7 of absorb.py)."""
        version = self.pool.registry.absorbed_at(waiting.row.volume)
        if version is None:
            return
        items = waiting.take_ready(FOREVER) + [item for held in waiting.held.values() for item in held]
        waiting.held.clear()
        waiting.ready = [item for item in items if not item[1] <= version < item[2]]
        self.leak(session, [slot for slot, birth, death in items if birth <= version < death])

    def _is_gone(self, row: VolumeRow) -> tuple[bool, bool]:
        """Whether the volume is dropped for good, and whether its table row is another's already."""
        word = self.pool.volume(row).id
        if word == row.volume:
            return False, False
        current = self.pool.registry.volume_row(row.volume)  # who is about to drop it may yet fail
        return current is None or current.state not in IN_USE, word != row.volume | DROPPED

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
        """Free what is held by nobody, keep what readers hold, leave to durable pins what they hold."""
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
        """Free what this process keeps; what a sweep has taken for live meanwhile is the next sweep's (W2, R5)."""
        states, kept = self.pool.slot_map.states, RESERVED + self.pool.keeper().row
        ours = [slot for slot in slots if states[slot] == kept]
        self.pool.slot_map.free(ours)
        if len(ours) < len(slots):
            self.pool.slot_map.note_leaks()

    def drain_all(self, session: Session, *, sync: bool = False) -> None:
        """Drain every volume that this process has something to free in and whose volume lock can be had."""
        for waiting in list(self._waiting.values()):
            hold = session.try_volume(waiting.row.table_index)
            if hold is not None:
                with hold:
                    self.drain(session, waiting.row, sync=sync)

    def waiting_count(self) -> int:
        """Superseded slots of this process that wait for readers or for a sync."""
        return sum(waiting.count() for waiting in list(self._waiting.values()))

    # --- the dead and the leaked ------------------------------------------------------------------------------------
    def bury(self, session: Session, row: int) -> bool:
        """Clear the row of a dead session.  What it had reserved is free, or leaked where somebody may still see it.

        The catalog is sealed first: a commit that died with it must not come to life later (S3).  If that cannot be
        done now (False), the session stays.
        """
        try:
            self.pool.registry.seal()
        except RegistryBusyError:
            return False
        self._bury(session, row)
        return True

    def _bury(self, session: Session, row: int) -> None:
        slot_map = self.pool.slot_map
        with session.pool_locked():
            hold = session.locks.try_lock(locks.session(row))
            if hold is None:
                return  # it was buried meanwhile, and the row is taken again
            with hold:
                record = self.pool.tables.session(row)
                left = slot_map.slots_in_state(RESERVED + row)
                if record.publishing == 0:
                    slot_map.free(left)
                else:
                    self._label_leaked(left)
                if 0 < record.volume <= VOLUME_ROWS:
                    self._count_pins_change(record.volume - 1)  # before the pin goes (S3, R9)
                record.pin = record.volume = record.publishing = 0
                record.owner = 0

    def bury_all(self, session: Session) -> int:
        """Bury every dead session; how many there were.  Raises RegistryBusyError."""
        dead = [row for row, _ in self.pool.tables.sessions() if session.is_dead(row)]
        if dead:
            self.pool.registry.seal()
        for row in dead:
            self._bury(session, row)
        return len(dead)

    def abandon(self, keeper: Session) -> None:
        """The process closes the store: what it still keeps is leaked, until a sweep finds it."""
        with self._guard:
            self._waiting = {}
        left = self.pool.slot_map.slots_in_state(RESERVED + keeper.row)
        if left:
            self.leak(keeper, left)

    def leak(self, session: Session, slots: list[int]) -> None:
        """Nobody will free these slots but a sweep."""
        with session.pool_locked():
            self._label_leaked(slots)

    def _label_leaked(self, slots: list[int]) -> None:
        """(The caller holds the pool lock, so that the sweep epoch stands still: a pin may reach the slots.)"""
        self.pool.slot_map.label_live(slots)
        self.pool.slot_map.note_leaks()


def holder_of(pins: list[int], birth: int, death: int) -> int | None:
    """The lowest pin in [birth, death), given ascending pins."""
    at = bisect_left(pins, birth)
    return pins[at] if at < len(pins) and pins[at] < death else None
