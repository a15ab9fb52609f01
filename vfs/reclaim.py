"""When a slot may be used again.  This is where such systems lose data; read the invariants first.

A slot born in version b of a volume and superseded in its version d is *held* by every pin p with b <= p < d.

Invariants
    R1  A slot is freed only if no durable pin and no reader's pin holds it, as read at the moment of freeing.
    R2  Readers' pins are read before durable pins.  Who makes a durable pin holds a reader's pin on the version until
        the pin is announced, so one of the two reads finds it (with S1-S3 of sessions.py).
    R3  A slot superseded in d is freed only when d is durable, unless it was born after the newest durable version, the
        volume runs with synchronous=OFF, or it is dropped.  (Recovery falls back to the newest durable version or to
        a record behind it; of the latter it believes only one behind which every slot born since checks out.)
    R4  Everything that frees slots of a volume runs under that volume's writer lock.
    R5  Every superseded slot has exactly one party to free it: the process that superseded it, while no durable pin
        holds it; else the removal of the last durable pin that does.  A volume frees no slot born at or before its
        base: that one belongs to its source.
    R6  The catalog forgets a pin or a head before the slots they held are freed.  A process that dies in between leaks
        slots (found by the next sweep or map rebuild); it never frees twice.
    R7  That a pin or volume is no longer needed is durable in the catalog before any slot it held is reused.
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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from vfs.failpoints import reach
from vfs.layout import (
    DROPPED,
    LOCK_POOL,
    LOCK_SESSION,
    LOCK_WRITER,
    MAP_LEAKS_AT,
    RESERVED,
    S_OWNER,
    S_PIN,
    S_PUBLISHING,
    S_VOLUME,
    V_CHORES,
    V_DURABLE,
    V_ID,
    V_PINS,
    V_VERSION,
)
from vfs.registry import PinRow, VolumeRow, VolumeState
from vfs.sessions import Session
from vfs.table import only_in, reached

if TYPE_CHECKING:
    from vfs.store import PageStore
    from vfs.volume import Volume

__all__ = ["Reclaim"]

UNSYNCED_SLOTS_MAX = 4096
"""Superseded slots (16 MiB) that may wait for a sync under synchronous=NORMAL before one is made for them."""

_DRAIN_SLOTS = 48
"""Superseded slots that come together before a writer reads the pins to free them."""

_LARGE_SLOTS = 16_384
"""A dropped volume with more own slots than this (64 MiB) is walked outside of the catalog's write lock."""

_FOREVER = 1 << 62
"""The death of slots that nothing comes after."""

_Item = tuple[int, int, int]
"""A superseded slot: (slot, birth, death)."""


@dataclass(slots=True)
class _Waiting:
    """What one process has superseded in one volume and not freed yet."""

    ready: list[_Item] = field(default_factory=list)
    unsynced: list[_Item] = field(default_factory=list)  # deaths ascend, but for those of released pins
    held: dict[int, list[_Item]] = field(default_factory=dict)  # by the reader's pin that holds them

    def is_worth_draining(self) -> bool:
        """Whether enough has come together to read the pins for it."""
        return len(self.ready) > _DRAIN_SLOTS or len(self.unsynced) > UNSYNCED_SLOTS_MAX or bool(self.held)

    def take_ready(self, durable: int) -> list[_Item]:
        """Take out what need not wait for a sync any more."""
        taken, self.ready = self.ready, []
        if self.unsynced and self.unsynced[0][2] <= durable:
            if self.unsynced[-1][2] <= durable:
                taken, self.unsynced = taken + self.unsynced, []
            taken += [item for item in self.unsynced if item[2] <= durable]
            self.unsynced = [item for item in self.unsynced if item[2] > durable]
        return taken


@dataclass(slots=True)
class _Work:
    """Reclaim work between its planning and its end: catalog changes to make, slots to free behind them."""

    forget: list[Callable[[], None]] = field(default_factory=list)
    freed: list[tuple[VolumeRow, list[_Item], bool]] = field(default_factory=list)
    changed: list[VolumeRow] = field(default_factory=list)
    removed: list[VolumeRow] = field(default_factory=list)

    def apply(self) -> None:
        """Make the catalog forget (in the running transaction)."""
        for change in self.forget:
            change()


class Reclaim:
    """The reclaim side of one process's store."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._waiting: dict[int, _Waiting] = {}
        self._pins: dict[int, tuple[int, list[int]]] = {}
        self._guard = threading.Lock()

    # --- called by writers ------------------------------------------------------------------------------------------
    def superseded(self, row: VolumeRow, death: int, slots: list[tuple[int, int]], durable: int | None) -> None:
        """Version ``death`` no longer reaches these (slot, birth) of its predecessor (the caller is the writer).

        ``durable`` is the newest durable version, None if nothing has to wait for a sync (R3).
        """
        base = row.base.version
        items = [(slot, birth, death) for slot, birth in slots if birth > base]
        if items:
            self._label_kept(items)
            waiting = self._of(row)
            if durable is None or death <= durable:
                waiting.ready += items
            else:
                waiting.ready += [item for item in items if item[1] > durable]
                waiting.unsynced += [item for item in items if item[1] <= durable]

    def _label_kept(self, items: list[_Item]) -> None:
        self._store.slot_map.hand_over([item[0] for item in items], self._store.keeper().row)  # R8

    def _of(self, row: VolumeRow) -> _Waiting:
        with self._guard:
            waiting = self._waiting.get(row.volume)
            if waiting is None:
                waiting = self._waiting[row.volume] = _Waiting()
            return waiting

    def before_write(self, volume: Volume) -> None:
        """Free what can be freed (the caller has just become the writer)."""
        waiting = self._waiting.get(volume.row.volume)
        if waiting is not None and waiting.is_worth_draining():
            self._drain(volume.session, volume.row)
        if volume.has_chores:
            self._do_chores(volume.session, [volume.row.volume])
            self._drain(volume.session, volume.row)

    def on_close(self, volume: Volume) -> None:
        """A handle closes: free what it leaves, if the writer lock can be had."""
        if volume.row.volume in self._waiting or volume.has_chores:
            self.tidy(volume.session, [volume.row])

    def tidy(self, session: Session, rows: Iterable[VolumeRow]) -> None:
        """Drain and do the chores of those of the volumes that nobody is writing to."""
        locked = [row for row in rows if session.locks.try_lock(LOCK_WRITER + row.table_index)]
        try:
            self._do_chores(session, [row.volume for row in locked])
            for row in locked:
                self._drain(session, row)
        finally:
            for row in locked:
                session.locks.unlock(LOCK_WRITER + row.table_index)

    # --- pins -------------------------------------------------------------------------------------------------------
    def announce_pins(self, session: Session, index: int) -> None:
        """The durable pins of the volume have changed: its writers must read them again (R9).

        Who has added one still holds the reader's pin it was made under (R2).
        """
        session.locks.lock(LOCK_POOL)  # two announcements at once must not count as one
        try:
            self._count_pins_change(index)
        finally:
            session.locks.unlock(LOCK_POOL)

    def _count_pins_change(self, index: int) -> None:
        self._store.tables.words[self._store.tables.volume_at(index) + V_PINS] += 1

    def request_chores(self, index: int) -> None:
        """Leave released pins or a dropped head to whoever becomes the volume's writer next."""
        self._store.tables.words[self._store.tables.volume_at(index) + V_CHORES] = 1

    def _durable_pins(self, row: VolumeRow) -> list[int]:
        counter = self._store.tables.words[self._store.tables.volume_at(row.table_index) + V_PINS]
        known = self._pins.get(row.volume)
        if known is None or known[0] != counter:
            known = self._pins[row.volume] = (counter, self._store.registry.pinned_versions(row.volume))
        return known[1]

    # --- draining ---------------------------------------------------------------------------------------------------
    def _drain(self, session: Session, row: VolumeRow, *, sync: bool = False) -> None:
        """Free every waiting slot of the volume that nothing holds (the caller holds its writer lock: R4)."""
        waiting = self._waiting.get(row.volume)
        if waiting is None:
            return
        words = self._store.tables.words
        at = self._store.tables.volume_at(row.table_index)
        if words[at + V_ID] != row.volume:
            durable = _FOREVER  # dropped: nothing will fall back to it (R3)
            self._pins.pop(row.volume, None)
        else:
            durable = words[at + V_DURABLE]
            if len(waiting.unsynced) > (0 if sync else UNSYNCED_SLOTS_MAX) and waiting.unsynced[-1][2] > durable:
                self._store.sync()
                durable = words[at + V_DURABLE] = words[at + V_VERSION]
        ready = waiting.take_ready(durable)
        if not ready and not waiting.held:
            return
        try:
            reach("drain: before pins are read")
            readers = self._reader_pins(session, row.table_index)  # R2: readers first
            reach("drain: readers read")
            durable_pins = self._durable_pins(row)
        except BaseException:
            waiting.ready += ready
            raise
        for pin in [pin for pin in waiting.held if pin not in readers]:
            ready += waiting.held.pop(pin)
        free = [item[0] for item in ready] if not (readers or durable_pins) else []
        pinned = []
        for item in ready if readers or durable_pins else ():
            slot, birth, death = item
            if _holder(durable_pins, birth, death) is not None:
                pinned.append(slot)  # R5: the removal of that pin will find it
                continue
            reader = _holder(readers, birth, death)
            if reader is None:
                free.append(slot)
            else:
                waiting.held.setdefault(reader, []).append(item)
        if pinned:
            with session.labelling():
                self._store.slot_map.label_live(pinned)
        session.give_back(free)
        if not (waiting.ready or waiting.unsynced or waiting.held):
            with self._guard:
                self._waiting.pop(row.volume, None)

    def _reader_pins(self, session: Session, index: int) -> list[int]:
        """The versions that live readers of a volume pin, ascending; dead ones are buried on the way."""
        pins = set()
        for row, pin in self._store.tables.pins_of(index):
            if session.is_dead(row):
                self.bury(session, row)
            else:
                pins.add(pin)
        return sorted(pins)

    def bury(self, session: Session, row: int) -> None:
        """Clear the row of a dead session.  What it had reserved is free, or leaked where readers may still see it."""
        words, slot_map = self._store.tables.words, self._store.slot_map
        session.locks.lock(LOCK_POOL)
        try:
            if not session.locks.try_lock(LOCK_SESSION + row):
                return  # it was buried meanwhile, and the row is taken again
            try:
                at = self._store.tables.session_at(row)
                left = slot_map.slots_in_state(RESERVED + row)
                if words[at + S_PUBLISHING] == 0:
                    slot_map.free(left)
                else:
                    self._label_leaked(left)
                if words[at + S_VOLUME]:
                    self._count_pins_change(words[at + S_VOLUME] - 1)  # before the pin goes (S3, R9)
                words[at + S_PIN] = words[at + S_VOLUME] = words[at + S_PUBLISHING] = 0
                words[at + S_OWNER] = 0
            finally:
                session.locks.unlock(LOCK_SESSION + row)
        finally:
            session.locks.unlock(LOCK_POOL)

    def bury_all(self, session: Session) -> int:
        """Bury every dead session; how many there were."""
        dead = [row for row, _ in self._store.tables.session_rows() if session.is_dead(row)]
        for row in dead:
            self.bury(session, row)
        return len(dead)

    # --- chores -----------------------------------------------------------------------------------------------------
    def _do_chores(self, session: Session, volumes: list[int]) -> None:
        """Release what the catalog says is released (the caller holds the volumes' writer locks: R4, and drains)."""
        registry = self._store.registry
        rows = [row for row in map(registry.volume_row, volumes) if row is not None]
        work = self.collect(session, [(row, registry.pin_rows(row.volume)) for row in rows])
        if work.forget:
            with registry.reclaiming():
                work.apply()
            self.finish(session, work)

    def collect(self, session: Session, volumes: list[tuple[VolumeRow, list[PinRow]]]) -> _Work:
        """Find and keep (R8) what will be free once the catalog has forgotten what is released in these volumes.

        The caller holds their writer locks, then applies the work in a catalog transaction (R6), then finishes it.
        """
        registry, tables = self._store.registry, self._store.tables
        work = _Work()
        for row, pins in volumes:
            volume = row.volume
            tables.words[tables.volume_at(row.table_index) + V_CHORES] = (
                0  # first: a request that comes now is seen later
            )
            gone = row.state in (VolumeState.DROPPED, VolumeState.DEAD)
            if gone and self._reader_pins(session, row.table_index):
                self.request_chores(row.table_index)  # its last reader will come by here when it closes
                continue
            pins = list(pins)
            for pin in [pin for pin in pins if pin.released]:
                work.freed.append((row, self._only_of_pin(row, pin, pins), True))
                pins.remove(pin)
                work.changed.append(row)
                work.forget.append(partial(registry.remove_pin, volume, pin.version.version, pin.holder))
            if row.state == VolumeState.DROPPED:
                work.freed.append((row, self._only_of_head(row, pins), False))
                if pins:
                    work.forget.append(partial(registry.set_dead, volume))
            if gone and not pins:
                work.removed.append(row)
                work.forget.append(partial(registry.remove_volume, volume))
        for _, items, _ in work.freed:
            self._label_kept(items)
        reach("reclaim: slots kept")
        return work

    def finish(self, session: Session, work: _Work) -> None:
        """The catalog has forgotten what held these slots: free them as readers allow."""
        reach("reclaim: catalog has forgotten")
        tables = self._store.tables
        for row, items, sync_first in work.freed:
            waiting = self._of(row)
            if sync_first:
                waiting.unsynced += items
            else:
                waiting.ready += items
        for row in work.changed:
            self.announce_pins(session, row.table_index)
        for row in work.removed:
            tables.remove_volume(row.table_index)
            self._pins.pop(row.volume, None)
        reach("reclaim: rows removed")

    def _only_of_pin(self, row: VolumeRow, pin: PinRow, pins: list[PinRow]) -> list[_Item]:
        """What only this pin (of the volume's ``pins``) still holds."""
        version = pin.version.version
        if sum(other.version.version == version for other in pins) > 1:
            return []
        before = max((p.version.version for p in pins if p.version.version < version), default=row.base.version)
        after = next((p.version for p in pins if p.version.version > version), None)
        if after is None and row.state != VolumeState.DEAD:
            after = self._store.head_of(row)
        death = after.version if after else _FOREVER
        lost = only_in(self._store.read_slot, pin.version, [after] if after else [], max(before, row.base.version))
        return [(at.entry.slot, at.entry.birth, death) for at in lost]

    def _only_of_head(self, row: VolumeRow, pins: list[PinRow]) -> list[_Item]:
        """What only the head of a dropped volume still holds, and the head slot."""
        newest = max((pin.version.version for pin in pins), default=row.base.version)
        lost = reached(self._store.read_slot, self._store.head_of(row), max(newest, row.base.version))
        return [*((at.entry.slot, at.entry.birth, _FOREVER) for at in lost), (row.head_slot, _FOREVER - 1, _FOREVER)]

    @contextmanager
    def dropping(self, session: Session, row: VolumeRow) -> Iterator[Callable[[list[VolumeRow]], None]]:
        """Drop a volume: the body, in which the catalog transaction runs, calls what this yields once in it.

        The call takes the volumes that the drop concerns, the dropped one first, as the catalog now has them.  What
        can be reclaimed is: in the same transaction if it is little, else behind it.
        """
        words, id_at = self._store.tables.words, self._store.tables.volume_at(row.table_index) + V_ID
        locked: list[VolumeRow] = []
        work = _Work()

        def plan(concerned: list[VolumeRow]) -> None:
            nonlocal work
            for each in concerned:
                self.request_chores(each.table_index)
            words[id_at] = row.volume | DROPPED  # before readers are counted; Volume._refuse undoes it if we die
            reach("drop: closed to readers")
            locked.extend(each for each in concerned if session.locks.try_lock(LOCK_WRITER + each.table_index))
            if row in locked and self._store.head_of(row).own_count > _LARGE_SLOTS:
                return
            pins_of = self._store.registry.pin_rows
            work = self.collect(session, [(each, pins_of(each.volume)) for each in locked])
            work.apply()

        try:
            try:
                yield plan
            except BaseException:
                if words[id_at] == row.volume | DROPPED:
                    words[id_at] = row.volume
                raise
            reach("drop: committed")
            self.finish(session, work)
            self._do_chores(session, [each.volume for each in locked if self._has_chores(each)])
            for each in locked:
                self._drain(session, each)
        finally:
            for each in locked:
                session.locks.unlock(LOCK_WRITER + each.table_index)

    def _has_chores(self, row: VolumeRow) -> bool:
        at = self._store.tables.volume_at(row.table_index)
        words = self._store.tables.words
        return words[at + V_ID] & ~DROPPED == row.volume and bool(words[at + V_CHORES])

    def tidy_all(self, session: Session, *, sync: bool = False) -> None:
        """Do everything that waits, in every volume whose writer lock can be had."""
        store = self._store
        for row in store.registry.volume_rows():
            if row.volume in self._waiting and session.locks.try_lock(LOCK_WRITER + row.table_index):
                try:
                    self._drain(session, row, sync=sync)
                finally:
                    session.locks.unlock(LOCK_WRITER + row.table_index)
        self.tidy(
            session,
            [row for row in store.registry.volume_rows() if self._has_chores(row)],
        )

    def abandon(self, keeper: Session) -> None:
        """The process closes the store: what it still keeps is leaked, until a sweep finds it."""
        with self._guard:
            self._waiting = {}
        self.leak(keeper, self._store.slot_map.slots_in_state(RESERVED + keeper.row))

    def leak(self, session: Session, slots: list[int]) -> None:
        """Nobody will free these slots but a sweep."""
        if slots:
            session.locks.lock(LOCK_POOL)
            try:
                self._label_leaked(slots)
            finally:
                session.locks.unlock(LOCK_POOL)

    def _label_leaked(self, slots: list[int]) -> None:
        """(The caller holds the pool lock, so that the sweep epoch stands still: a pin may reach the slots.)"""
        self._store.slot_map.label_live(slots)
        self._store.slot_map.header[MAP_LEAKS_AT] = 1

    def waiting_count(self) -> int:
        """Superseded slots of this process that wait for readers or for a sync."""
        with self._guard:
            return sum(len(w.ready) + len(w.unsynced) + sum(map(len, w.held.values())) for w in self._waiting.values())


def _holder(pins: list[int], birth: int, death: int) -> int | None:
    """The lowest pin in [birth, death), given ascending pins."""
    at = bisect_left(pins, birth)
    return pins[at] if at < len(pins) and pins[at] < death else None
