"""Reclaim work that no commit leads to: released pins, and the heads of dropped volumes.

What is released is in the catalog; the word ``cleanup`` of a volume says that somebody should look.  Any session that
holds the volume lock may do it: the one that dropped the volume, the next writer, the last reader as it closes.

Invariants (beside R1-R9 of :mod:`vfs.reclaim.queue`)
    C1  A pin that a volume held on its source is given back only with or after that volume itself: until then readers
        of the dropped volume still read its source's slots.
    C2  What a keeper has (a state in the map that is not live) is not collected again (R5).
    C3  A table row is given back only when nobody reads the volume and the catalog has forgotten it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from vfs.abc import FOREVER, Superseded
from vfs.errors import CorruptionError, RegistryBusyError
from vfs.failpoints import reach
from vfs.format.shared import DROPPED, FLAGS, LIVE
from vfs.holds import Holds
from vfs.reclaim.absorb import absorb
from vfs.reclaim.queue import ReclaimQueue
from vfs.reclaim.unreachable import of_dropped_head, of_dropped_past, of_pin
from vfs.registry import IN_USE, PinRow, VolumeRow, VolumeState
from vfs.storage.heads import durable_version, head_of
from vfs.storage.sessions import Session

__all__ = ["Cleanup"]

_LARGE_SLOTS = 16_384
"""A dropped volume with more own slots than this (64 MiB) is walked outside of the catalog's write lock."""


@dataclass(slots=True)
class _Work:
    """Between planning and end: catalog changes to make, slots to free behind them."""

    forget: list[Callable[[], None]] = field(default_factory=list)
    freed: list[tuple[VolumeRow, list[Superseded]]] = field(default_factory=list)
    changed: list[VolumeRow] = field(default_factory=list)
    released: list[PinRow] = field(default_factory=list)
    removed: list[VolumeRow] = field(default_factory=list)
    heirs: set[int] = field(default_factory=set)  # volumes that perhaps are the last on a dead source

    def apply(self) -> None:
        """Make the catalog forget (in the running transaction)."""
        for change in self.forget:
            change()

    def slots(self) -> list[int]:
        return [slot for _, items in self.freed for slot, _, _ in items]


@dataclass(slots=True)
class _Left:
    """What there is to do behind a piece of work: in the sources of volumes that are gone, and for heirs."""

    sources: list[VolumeRow]
    heirs: set[int]


class Cleanup:
    """Released pins and dropped heads, as one process does them.  Implements :class:`vfs.storage.pool.Reclaimer`."""

    def __init__(self, queue: ReclaimQueue) -> None:
        self.queue = queue
        self._pool = queue.pool
        self.is_worth_draining = queue.is_worth_draining
        self.keep_superseded = queue.keep_superseded
        self.enqueue = queue.enqueue
        self.leak = queue.leak

    # --- entrances --------------------------------------------------------------------------------------------------
    def request(self, row: VolumeRow) -> None:
        """Leave work to whoever becomes the volume's writer next."""
        self._pool.volume(row).cleanup = 1

    def before_write(self, session: Session, row: VolumeRow) -> None:
        """Free what can be freed (the caller is the writer, and has the volume lock)."""
        if self.queue.is_worth_draining(row):
            self.queue.drain(session, row)
        if self._pool.volume(row).cleanup:
            self.as_writer(session, row)

    def on_close(self, session: Session, row: VolumeRow) -> None:
        """A handle closes: free what it leaves, if the volume lock can be had."""
        if self.queue.has_waiting(row) or self._pool.volume(row).cleanup:
            self.tidy(session, [row])

    def as_writer(self, session: Session, row: VolumeRow) -> None:
        """The caller has just become the volume's writer."""
        left = self._do(session, [row])
        self.queue.drain(session, row)
        self.tidy(session, left.sources)
        self._absorb(session, row)

    def tidy(self, session: Session, rows: Iterable[VolumeRow]) -> None:
        """Do what is to be done in those volumes that nobody is writing to, and in what hangs on them."""
        queue = list(rows)
        while queue:
            with Holds() as holds:
                locked = _try_all(session, queue, holds)
                left = self._do(session, locked)
                for row in locked:
                    self.queue.drain(session, row)
            self._look_for_heirs(session, left.heirs)
            queue = left.sources

    def tidy_all(self, session: Session, *, sync: bool = False) -> None:
        """Do everything that is left anywhere, whoever left it."""
        registry = self._pool.registry
        self.queue.drain_all(session, sync=sync)
        self.tidy(session, registry.volumes_in(VolumeState.DROPPED, VolumeState.DEAD))
        released = [registry.volume_row(volume) for volume in registry.volumes_with_released_pins()]
        self.tidy(session, [row for row in released if row is not None and row.state in IN_USE])

    @contextmanager
    def dropping(self, session: Session, row: VolumeRow) -> Iterator[Callable[[list[VolumeRow]], None]]:
        """Drop a volume: the body, in which the catalog transaction runs, calls what this yields once in it.

        The call takes the volumes that the drop concerns, the dropped one first, as the catalog now has them.  What
        can be reclaimed is: in the same transaction if it is little, else behind it.
        """
        shared = self._pool.volume(row)
        former = shared.id
        rows: list[VolumeRow] = []
        locked: list[VolumeRow] = []
        work = _Work()

        def plan(concerned: list[VolumeRow]) -> None:
            nonlocal work
            rows.extend(concerned)
            shared.id = row.volume | DROPPED  # before readers are counted; a reader that meets it undoes it if we die
            reach("drop: closed to readers")
            locked.extend(_try_all(session, concerned, holds))
            if not self._is_large(concerned[0]):
                work = self._collect(session, locked)
                work.apply()

        with Holds() as holds:
            try:
                yield plan
            except BaseException:
                current = self._pool.registry.volume_row(row.volume)
                if current is not None and current.state in IN_USE:  # not committed
                    shared.id = former
                    self._give_up(session, work)
                    raise
                self._finish(session, work)
                raise
            reach("drop: committed")
            self._finish(session, work)
            for concerned_row in rows:
                if concerned_row not in locked:
                    self.request(concerned_row)  # only now can others find the work
            left = self._do(session, locked)
            for locked_row in locked:
                self.queue.drain(session, locked_row)
        busy = [concerned_row for concerned_row in rows if concerned_row not in locked]
        self.tidy(session, [*left.sources, *busy])  # a writer may have gone meanwhile
        self._look_for_heirs(session, work.heirs | left.heirs)

    def _look_for_heirs(self, session: Session, heirs: set[int]) -> None:
        """Let those volumes absorb the dead sources that only they stand on (:mod:`vfs.reclaim.absorb`), or their next
        writers."""
        for volume in heirs:
            row = self._pool.registry.volume_row(volume)
            if row is None:
                continue
            hold = session.try_volume(row.table_index)
            if hold is None:
                self.request(row)
                continue
            with hold:
                self._absorb(session, row)

    def _absorb(self, session: Session, row: VolumeRow) -> None:
        try:
            self.queue.drain(session, absorb(self.queue, session, row))
        except RegistryBusyError:
            self.request(row)
        except CorruptionError:
            self._pool.slot_map.note_leaks()  # as it is: what a damaged page table holds cannot be told

    def _is_large(self, row: VolumeRow) -> bool:
        try:
            return head_of(self._pool, row).own_count > _LARGE_SLOTS
        except CorruptionError:
            return False

    # --- the work ---------------------------------------------------------------------------------------------------
    def _do(self, session: Session, rows: Iterable[VolumeRow]) -> _Left:
        """Release what the catalog says is released (the caller holds the volume locks: R4, and drains).

        Nobody waits for this: while another process is in a catalog transaction it is left to the next writer.
        """
        registry = self._pool.registry
        volumes: list[VolumeRow] = []
        for row in rows:
            shared = self._pool.volume(row)
            if shared.id & ~FLAGS == row.volume:
                shared.cleanup = 0  # before we look: later requests stay
            current = registry.volume_row(row.volume)
            if current is not None:
                volumes.append(current)
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
        return _Left([row for row in sources if row is not None], work.heirs)

    def _collect(self, session: Session, volumes: list[VolumeRow]) -> _Work:
        """Find and keep (R8) what will be free once the catalog has forgotten what is released in these volumes.

        The caller holds their volume locks, then applies the work in a catalog transaction (R6), then finishes it.
        Clones come before their sources (C1).  The cost does not depend on how many other pins there are.
        """
        registry = self._pool.registry
        work = _Work()
        for row in volumes:
            gone = row.state in (VolumeState.DROPPED, VolumeState.DEAD)
            if gone:
                self._close(row)
            if gone and self.queue.reader_pins(session, row):
                self.request(row)  # its last reader will come by here when it closes
                continue
            standing = self._collect_pins(row, work)
            if row.state == VolumeState.DROPPED:
                work.freed.append((row, self._unreachable(of_dropped_past, row, standing)))
                work.freed.append((row, self._unreachable(of_dropped_head, row, standing)))
                if standing:
                    work.forget.append(partial(registry.set_dead, row.volume))
            if gone and not standing:
                work.removed.append(row)
                work.forget.append(partial(registry.remove_volume, row.volume))
            elif gone:
                work.heirs |= {row.volume, *self._first_holder(row, work)}
        self.queue.keep(work.slots())
        reach("reclaim: slots kept")
        return work

    def _collect_pins(self, row: VolumeRow, work: _Work) -> list[int]:
        """Collect what only released pins of a volume hold; the versions that pins still hold behind that."""
        registry = self._pool.registry
        released = registry.released_pins(row.volume)
        firm = registry.pinned_versions(row.volume, released=False)
        if not released:
            return firm
        standing = list(released)
        for pin in released:
            if pin.holder_volume is not None and not self._is_removed(pin.holder_volume, work):
                continue
            standing.remove(pin)
            others = sorted({*firm, *(other.version.version for other in standing)})
            work.freed.append((row, self._unreachable(of_pin, row, pin, others)))
            work.changed.append(row)
            work.released.append(pin)
            work.forget.append(partial(registry.remove_pin, row.volume, pin.version.version, pin.holder))
        return sorted({*firm, *(pin.version.version for pin in standing)})

    def _first_holder(self, row: VolumeRow, work: _Work) -> list[int]:
        """The volume that stands on the first pin of a volume: if it is the only one, it may take its place."""
        pins = self._pool.registry.first_pins(row.volume, len(work.released) + 1)
        first = next((pin for pin in pins if pin not in work.released), None)
        return [first.holder_volume] if first is not None and first.holder_volume is not None else []

    def _close(self, row: VolumeRow) -> None:
        """Nobody begins to read the volume any more, whoever dropped it."""
        shared = self._pool.volume(row)
        if shared.id & ~FLAGS == row.volume:
            shared.id = row.volume | DROPPED

    def _is_removed(self, volume: int, work: _Work) -> bool:
        return any(row.volume == volume for row in work.removed) or self._pool.registry.volume_row(volume) is None

    def _unreachable(self, find: Callable[..., list[Superseded]], *arguments: object) -> list[Superseded]:
        """The slots that are found and that nobody keeps yet (C2); where a page table is damaged they are leaked."""
        try:
            states = self._pool.slot_map.states
            return [item for item in find(self._pool, *arguments) if states[item[0]] in LIVE]
        except CorruptionError:
            self._pool.slot_map.note_leaks()
            return []

    def _finish(self, session: Session, work: _Work) -> None:
        """The catalog has forgotten what held these slots: they are free as soon as readers allow."""
        reach("reclaim: catalog has forgotten")
        tables = self._pool.tables
        for row, items in work.freed:
            durable = durable_version(self._pool, row)
            self.queue.enqueue(row, items, FOREVER if row.state not in IN_USE else durable)
        for row in work.changed:
            self.queue.announce_pins(session, row.table_index)
        if work.removed:
            with session.pool_locked():
                for row in work.removed:
                    tables.remove_volume(row.table_index, row.volume)
            for row in work.removed:
                self._pool.history.remove(row.volume)
                self._pool.written.pop(row.volume, None)
        reach("reclaim: rows removed")

    def _give_up(self, session: Session, work: _Work) -> None:
        """The catalog has forgotten nothing: what was kept is live as before."""
        with session.labelling():
            self._pool.slot_map.label_live(work.slots())


def _try_all(session: Session, rows: Iterable[VolumeRow], holds: Holds) -> list[VolumeRow]:
    """Those of the volumes whose locks can be had; the locks go to ``holds``."""
    locked = []
    for row in rows:
        hold = session.try_volume(row.table_index)
        if hold is not None:
            holds.add(hold)
            locked.append(row)
    return locked
