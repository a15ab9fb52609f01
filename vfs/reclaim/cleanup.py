"""Reclaim work that does not result from a commit: released pins, and the heads of dropped volumes.

The catalog records what is released; the word ``cleanup`` of a volume is set when there may be such work.  Any session
that holds the volume lock may do it: the one that dropped the volume, the next writer, the last reader as it closes.

Invariants (in addition to R1-R9 of :mod:`vfs.reclaim.queue`)
    C1  A pin that a volume held on its source is removed only with or after that volume itself: until then readers
        of the dropped volume still read its source's slots.
    C2  Slots of a keeper (their state in the map is not live) are not collected again (R5).
    C3  A table row is freed only when nobody reads the volume and the catalog has removed it.
    C4  Outside of a transaction, the pins of a volume that are not released are read before the released ones: another
        process may release a pin between the two reads, and it must be met by one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from vfs.abc import FOREVER, Superseded
from vfs.errors import CorruptionError, PoolFullError, RegistryBusyError
from vfs.failpoints import reach
from vfs.format.layout import Version
from vfs.format.shared import DROPPED, FLAGS, HALTED, LIVE, VolumeRecord
from vfs.holds import Holds
from vfs.reclaim.absorb import absorb
from vfs.reclaim.queue import ReclaimQueue
from vfs.reclaim.unreachable import of_dropped_head, of_dropped_past, of_pin, of_removed
from vfs.registry import IN_USE, PinRow, VolumeRow, VolumeState
from vfs.storage.heads import durable_version, head_of
from vfs.storage.sessions import Session
from vfs.storage.volumes import Marked

__all__ = ["SHORT_PAST", "Cleanup"]

_LARGE_SLOTS = 16_384
"""A dropped volume with more own slots than this (64 MiB) is walked outside of the catalog's write lock."""
SHORT_PAST = 64
"""The versions of a past that is removed with its volume, in one catalog transaction."""


@dataclass(slots=True)
class _Work:
    """Planned work: catalog changes to apply, and slots to free after them."""

    forget: list[Callable[[], None]] = field(default_factory=list)
    freed: list[tuple[VolumeRow, list[Superseded]]] = field(default_factory=list)
    changed: list[VolumeRow] = field(default_factory=list)
    released: list[PinRow] = field(default_factory=list)
    removed: list[VolumeRow] = field(default_factory=list)
    heirs: set[int] = field(default_factory=set)  # volumes that may be the only clone of a dead source
    bare: set[int] = field(default_factory=set)  # removed volumes that never had a past

    def apply(self) -> None:
        """Apply the catalog changes (in the running transaction)."""
        for change in self.forget:
            change()

    def slots(self) -> list[int]:
        return [slot for _, items in self.freed for slot, _, _ in items]


_NO_WORK = _Work()


@dataclass(slots=True)
class _Left:
    """Work that follows from finished work: in the sources of removed volumes, and for heirs."""

    sources: list[VolumeRow]
    heirs: set[int]


@dataclass(slots=True)
class _Lone:
    """A volume that is dropped and that nothing depends on, and its source, which is in use.

    ``head`` is None if the volume's head slot is damaged.
    """

    row: VolumeRow
    source: VolumeRow | None
    head: Version | None


_NOTHING_LEFT = _Left([], set())


class Cleanup:
    """Reclaims released pins and dropped heads, in one process.  Implements :class:`vfs.storage.pool.Reclaimer`."""

    def __init__(self, queue: ReclaimQueue) -> None:
        self.queue = queue
        self._pool = queue.pool
        self.is_worth_draining = queue.is_worth_draining
        self.keep_superseded = queue.keep_superseded
        self.enqueue = queue.enqueue
        self.leak = queue.leak
        self.bury = queue.bury

    # --- entry points -----------------------------------------------------------------------------------------------
    def request(self, row: VolumeRow) -> None:
        """Leave work to the volume's next writer."""
        self._pool.volume(row).cleanup = 1

    def before_write(self, session: Session, row: VolumeRow) -> None:
        """Free the slots that can be freed (the caller is the writer, and holds the volume lock)."""
        if self.queue.is_worth_draining(row):
            self.queue.drain(session, row)
        if self._pool.volume(row).cleanup:
            self.as_writer(session, row)

    def on_close(self, session: Session, row: VolumeRow) -> None:
        """Free the slots that a closing handle leaves, if the volume lock is free."""
        if self.queue.has_waiting(row) or self._pool.volume(row).cleanup:
            self.tidy(session, [row])

    def as_writer(self, session: Session, row: VolumeRow) -> None:
        """Do the requested work of a volume whose writer the caller has just become."""
        remaining = self._do(session, [row])
        self.queue.drain(session, row)
        self.tidy(session, remaining.sources)
        self._absorb(session, row)

    def tidy(self, session: Session, rows: Iterable[VolumeRow]) -> None:
        """Do the pending work of those volumes that are not being written to, and the work that follows from it."""
        queue = list(rows)
        while queue:
            with Holds() as holds:
                locked = _try_all(session, queue, holds)
                remaining = self._do(session, locked)
                for row in locked:
                    self.queue.drain(session, row)
            self._look_for_heirs(session, remaining.heirs)
            queue = remaining.sources

    def tidy_all(self, session: Session, *, sync: bool = False) -> None:
        """Do all pending work of the store, including the work that other processes left."""
        registry = self._pool.registry
        self.queue.drain_all(session, sync=sync)
        self.tidy(session, registry.volumes_in(VolumeState.DROPPED, VolumeState.DEAD))
        released = [registry.volume_row(volume) for volume in registry.volumes_with_released_pins()]
        self.tidy(session, [row for row in released if row is not None and row.state in IN_USE])

    def drop(
        self,
        session: Session,
        row: VolumeRow,
        change: Callable[[], None],
        transaction: AbstractContextManager[None],
    ) -> None:
        """Drop a volume in a catalog transaction.

        In it ``change`` first makes the changes that belong to the drop, and checks that the volume is still in use.
        Slots are reclaimed in the same transaction if they are few, otherwise after it.  The caller defers signal
        handlers.  Raises RegistryBusyError and the errors of ``change``.
        """
        shared, registry = self._pool.volume(row), self._pool.registry
        rows: list[VolumeRow] = []
        locked: list[VolumeRow] = []
        lone: _Lone | None = None
        work = _NO_WORK
        with Holds() as holds:
            try:
                with transaction:
                    change()
                    with Marked(shared, _closed(shared)):  # before readers are counted
                        reach("drop: closed to readers")
                        lone = self._lone(session, row, holds)
                        if lone is not None:
                            work = self._collect_lone(lone)
                        else:
                            work = _Work()
                            rows = self._concerned(row)
                            locked = _try_all(session, rows, holds)
                            if not self._is_large(rows[0]):
                                work = self._collect(session, locked)
                        work.apply()
            except BaseException:
                current = registry.volume_row(row.volume)
                if current is not None and current.state in IN_USE:  # not committed; a reader clears the flag
                    self._give_up(session, work)
                    raise
                self._finish(session, work)
                raise
            reach("drop: committed")
            if lone is not None:
                remaining = self._finish_lone(session, lone, work)
            else:
                self._finish(session, work)
                for concerned_row in rows:
                    if concerned_row not in locked:
                        self.request(concerned_row)  # after the commit, so that others find the work
                remaining = self._do(session, locked)
                for locked_row in locked:
                    self.queue.drain(session, locked_row)
        if remaining is not _NOTHING_LEFT:
            busy = [concerned_row for concerned_row in rows if concerned_row not in locked]
            self.tidy(session, [*remaining.sources, *busy])  # a writer may have ended meanwhile
            self._look_for_heirs(session, work.heirs | remaining.heirs)

    def _concerned(self, row: VolumeRow) -> list[VolumeRow]:
        """Mark a volume as dropped in the catalog; its row, and those of the volumes on which pins were released."""
        registry = self._pool.registry
        released = registry.drop_volume(row.volume)
        current = registry.volume_row(row.volume)
        assert current is not None, f"BUG: volume {row.volume} is gone in the transaction that drops it"
        return [current, *released]

    # --- the common case: nothing depends on the volume -------------------------------------------------------------
    def _lone(self, session: Session, row: VolumeRow, holds: Holds) -> _Lone | None:
        """The volume and its source, if all that belongs to the volume can be removed at once; otherwise None.

        Then it has no pin, no reader, a short past and few slots of its own, its source is in use, and both are locked.
        """
        registry = self._pool.registry
        current = registry.volume_row(row.volume)
        if current is None or self._has_long_past(current):
            return None
        source = None
        if current.parent is not None:
            source = registry.volume_row(current.parent)
            if source is None or source.state not in IN_USE:
                return None
        hold = session.try_volume(current.table_index)
        if hold is None:
            return None
        with Holds() as own:
            own.add(hold)
            if source is not None:
                hold = session.try_volume(source.table_index)
                if hold is None:
                    return None
                own.add(hold)
            if registry.has_pins(row.volume):
                return None
            head = self._readable_head(current)
            if (head is not None and head.own_count > _LARGE_SLOTS) or self.queue.reader_pins(session, current):
                return None
            own.pass_to(holds)
        return _Lone(current, source, head)

    def _collect_lone(self, lone: _Lone) -> _Work:
        """As :meth:`_collect`, for a volume and the pin of its base: the cost does not depend on other pins (C1)."""
        registry, row, source = self._pool.registry, lone.row, lone.source
        own: list[Superseded] = []
        if lone.head is not None:
            own = self._unreachable(of_removed, row, lone.head)
        else:
            self._pool.slot_map.note_leaks()
        work = _Work(removed=[row], freed=[(row, own)])
        work.forget.append(partial(registry.remove_volume, row.volume))
        if registry.is_bare(row.volume) and not row.retained:
            work.bare.add(row.volume)
        if source is not None:
            registry.unpin_base(row)
            work.changed.append(source)
            version = row.base.version
            if self._pool.volume(source).version != version and not registry.is_pinned_at(source.volume, version):
                pin = PinRow(source.volume, "", row.volume, True, row.base)
                pins = registry.pinned_versions(source.volume)
                work.freed.append((source, self._unreachable(of_pin, source, pin, pins)))
        self.queue.keep(work.slots())
        reach("reclaim: slots kept")
        return work

    def _finish_lone(self, session: Session, lone: _Lone, work: _Work) -> _Left:
        """As :meth:`_finish`, and free the slots, after the catalog change; also do the work requested meanwhile."""
        pool, row, source = self._pool, lone.row, lone.source
        reach("reclaim: catalog has forgotten")
        self._remove_rows(session, work)
        self.queue.free_removed(row, [slot for slot, _, _ in work.freed[0][1]])
        if source is None:
            return _NOTHING_LEFT
        for _, items in work.freed[1:]:
            self.queue.enqueue(source, items, durable_version(pool, source))
        remaining = self._do(session, [source]) if pool.volume(source).cleanup else _NOTHING_LEFT
        self.queue.drain(session, source)
        return remaining

    def _look_for_heirs(self, session: Session, heirs: set[int]) -> None:
        """Absorb the dead sources that only these volumes depend on (:mod:`vfs.reclaim.absorb`), now or by request."""
        for volume in heirs:
            row = self._pool.registry.volume_row(volume)
            if row is None:
                continue
            hold = session.try_volume(row.table_index)
            if hold is None:
                self.request(row)
                continue
            with hold:
                current = self._pool.registry.volume_row(volume)  # its row of the volume table may be another's by now
                if current is not None:
                    self._absorb(session, current)

    def _absorb(self, session: Session, row: VolumeRow) -> None:
        try:
            self.queue.drain(session, absorb(self.queue, session, row))
        except RegistryBusyError:
            self.request(row)
        except PoolFullError:
            if self._pool.has_failed:
                raise
            self.request(row)  # there is no room for the record of its base (A3)
        except CorruptionError:
            self._pool.slot_map.note_leaks()  # not absorbed: the slots of a damaged page table cannot be determined

    def _has_long_past(self, row: VolumeRow) -> bool:
        shared = self._pool.volume(row)
        return bool(row.retained) and (shared.version - row.retained > SHORT_PAST or shared.written > _LARGE_SLOTS)

    def _readable_head(self, row: VolumeRow) -> Version | None:
        try:
            return head_of(self._pool, row)
        except CorruptionError:
            return None

    def _is_large(self, row: VolumeRow) -> bool:
        head = self._readable_head(row)
        return head is not None and head.own_count > _LARGE_SLOTS

    # --- the work ---------------------------------------------------------------------------------------------------
    def _do(self, session: Session, rows: Iterable[VolumeRow]) -> _Left:
        """Reclaim what the catalog records as released (the caller holds the volume locks: R4, and drains).

        Does not wait: while another process is in a catalog transaction, the work is left to the next writer.
        """
        registry = self._pool.registry
        volumes: list[VolumeRow] = []
        heirs: set[int] = set()
        for row in rows:
            shared, is_requested = self._pool.volume(row), False
            if shared.id & ~FLAGS == row.volume:
                is_requested = bool(shared.cleanup)
                shared.cleanup = 0  # before the catalog is read: later requests stay
            current = registry.volume_row(row.volume)
            if current is not None:
                volumes.append(current)
                if is_requested and current.parent is not None and current.state in IN_USE:
                    heirs.add(current.volume)  # the request may have been to absorb its source
        work = self._collect(session, volumes)
        if work.forget:
            try:
                with registry.reclaiming():
                    work.apply()
            except BaseException as reason:
                self._give_up(session, work)
                for row in volumes:
                    self.request(row)
                if isinstance(reason, RegistryBusyError):
                    return _Left([], set())
                raise
            self._finish(session, work)
        sources = [registry.volume_row(row.parent) for row in work.removed if row.parent is not None]
        return _Left([row for row in sources if row is not None], work.heirs | heirs)

    def _collect(self, session: Session, volumes: list[VolumeRow]) -> _Work:
        """Find and keep (R8) the slots that will be free once the catalog has removed the released rows of volumes.

        The caller holds their volume locks, then applies the work in a catalog transaction (R6), then finishes it.
        Clones come before their sources (C1).  The cost does not depend on the number of other pins.
        """
        registry = self._pool.registry
        work = _Work()
        for row in volumes:
            is_dropped = row.state in (VolumeState.DROPPED, VolumeState.DEAD)
            shared = self._pool.volume(row)
            if is_dropped and shared.id & ~FLAGS == row.volume:
                shared.id = _closed(shared)  # if another process dropped it, and died
            if is_dropped and self.queue.reader_pins(session, row):
                self.request(row)  # its last reader does the work when it closes
                continue
            standing = self._collect_pins(row, work)
            if row.state == VolumeState.DROPPED:
                work.freed.append((row, self._unreachable(of_dropped_past, row, standing)))
                work.freed.append((row, self._unreachable(of_dropped_head, row, standing)))
                if standing:
                    work.forget.append(partial(registry.set_dead, row.volume))
            if is_dropped and not standing:
                work.removed.append(row)
                work.forget.append(partial(registry.remove_volume, row.volume))
            elif is_dropped:
                work.heirs |= {row.volume, *self._first_holder(row, work)}
        self.queue.keep(work.slots())
        reach("reclaim: slots kept")
        return work

    def _collect_pins(self, row: VolumeRow, work: _Work) -> list[int]:
        """Collect the slots that only released pins of a volume hold; return the versions that remain pinned."""
        registry = self._pool.registry
        firm = registry.pinned_versions(row.volume, released=False)  # C4: first
        released = registry.released_pins(row.volume)
        if not released:
            return firm
        standing = list(released)
        for pin in released:
            if pin.holder_volume is not None and not self._is_removed(pin.holder_volume, work):
                continue
            standing.remove(pin)
            remaining = sorted({*firm, *(standing_pin.version.version for standing_pin in standing)})
            work.freed.append((row, self._unreachable(of_pin, row, pin, remaining)))
            work.changed.append(row)
            work.released.append(pin)
            work.forget.append(partial(registry.remove_pin, row.volume, pin.version.version, pin.holder))
        return sorted({*firm, *(pin.version.version for pin in standing)})

    def _first_holder(self, row: VolumeRow, work: _Work) -> list[int]:
        """The clone that holds the first pin on a volume: if it is the only one, it may absorb the volume."""
        pins = self._pool.registry.first_pins(row.volume, len(work.released) + 1)
        first = next((pin for pin in pins if pin not in work.released), None)
        return [first.holder_volume] if first is not None and first.holder_volume is not None else []

    def _is_removed(self, volume: int, work: _Work) -> bool:
        return any(row.volume == volume for row in work.removed) or self._pool.registry.volume_row(volume) is None

    def _unreachable(self, find: Callable[..., list[Superseded]], *arguments: object) -> list[Superseded]:
        """The slots found by ``find`` that no session keeps yet (C2); none, but a leak, if a page table is damaged."""
        try:
            states = self._pool.slot_map.states
            return [item for item in find(self._pool, *arguments) if states[item[0]] in LIVE]
        except CorruptionError:
            self._pool.slot_map.note_leaks()
            return []

    def _finish(self, session: Session, work: _Work) -> None:
        """Queue the slots of the work, after the catalog change: they are free as soon as readers allow."""
        reach("reclaim: catalog has forgotten")
        for row, items in work.freed:
            durable = durable_version(self._pool, row)
            self.queue.enqueue(row, items, FOREVER if row.state not in IN_USE else durable)
        self._remove_rows(session, work)

    def _remove_rows(self, session: Session, work: _Work) -> None:
        """Announce the pins that have changed, and remove the rows and the past of the removed volumes."""
        for row in work.changed:
            self.queue.announce_pins(row.table_index)
        if work.removed:
            with session.pool_locked():
                for row in work.removed:
                    self._pool.tables.remove_volume(row.table_index, row.volume)
        for row in work.removed:
            if row.volume not in work.bare:
                self._pool.history.remove(row.volume)
            self._pool.written.pop(row.volume, None)
        reach("reclaim: rows removed")

    def _give_up(self, session: Session, work: _Work) -> None:
        """Label the kept slots live again, since the catalog has not changed."""
        with session.labelling():
            self._pool.slot_map.label_live(work.slots())


def _closed(shared: VolumeRecord) -> int:
    """The id word of a volume that is closed to new readers."""
    return shared.id & ~HALTED | DROPPED


def _try_all(session: Session, rows: Iterable[VolumeRow], holds: Holds) -> list[VolumeRow]:
    """Lock the volumes whose locks are free, and return these; the locks are added to ``holds``."""
    locked = []
    for row in rows:
        hold = session.try_volume(row.table_index)
        if hold is not None:
            holds.add(hold)
            locked.append(row)
    return locked
