"""Reclaim work that no commit leads to: released pins, and the heads of dropped volumes.

What is released is in the catalog; the flag V_CHORES of a volume says that somebody should look.  Whoever holds the
volume lock may do it: the one who dropped, the next writer, the last reader as it closes.

Invariants (beside R1-R9 of reclaim.py)
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
from typing import TYPE_CHECKING

from vfs.absorb import absorb
from vfs.errors import CorruptionError, RegistryBusyError
from vfs.failpoints import reach
from vfs.holds import Holds
from vfs.layout import DROPPED, FLAGS, LIVE_EVEN, LIVE_ODD, V_CHORES, V_ID
from vfs.loose import of_dropped_head, of_dropped_past, of_pin
from vfs.reclaim import FOREVER, Superseded
from vfs.registry import IN_USE, PinRow, VolumeRow, VolumeState
from vfs.sessions import Session

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["Chores"]

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


class Chores:
    """Released pins and dropped heads, as one process does them."""

    def __init__(self, store: PageStore) -> None:
        self._store = store

    # --- entrances --------------------------------------------------------------------------------------------------
    def request(self, row: VolumeRow) -> None:
        """Leave work to whoever becomes the volume's writer next."""
        self._store.tables.words[self._store.tables.volume_at(row.table_index) + V_CHORES] = 1

    def as_writer(self, session: Session, row: VolumeRow) -> None:
        """The caller has just become the volume's writer."""
        left = self._do(session, [row])
        self._store.reclaim.drain(session, row)
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
                    self._store.reclaim.drain(session, row)
            self._look_for_heirs(session, left.heirs)
            queue = left.sources

    def tidy_all(self, session: Session, *, sync: bool = False) -> None:
        """Do everything that is left anywhere, whoever left it."""
        registry = self._store.registry
        self._store.reclaim.drain_all(session, sync=sync)
        self.tidy(session, registry.volumes_in(VolumeState.DROPPED, VolumeState.DEAD))
        released = [registry.volume_row(volume) for volume in registry.volumes_with_released_pins()]
        self.tidy(session, [row for row in released if row is not None and row.state in IN_USE])

    @contextmanager
    def dropping(self, session: Session, row: VolumeRow) -> Iterator[Callable[[list[VolumeRow]], None]]:
        """Drop a volume: the body, in which the catalog transaction runs, calls what this yields once in it.

        The call takes the volumes that the drop concerns, the dropped one first, as the catalog now has them.  What
        can be reclaimed is: in the same transaction if it is little, else behind it.
        """
        tables = self._store.tables
        id_at = tables.volume_at(row.table_index) + V_ID
        former = tables.words[id_at]
        rows: list[VolumeRow] = []
        locked: list[VolumeRow] = []
        work = _Work()

        def plan(concerned: list[VolumeRow]) -> None:
            nonlocal work
            rows.extend(concerned)
            tables.words[id_at] = row.volume | DROPPED  # before readers are counted; Volume._refuse undoes it if we die
            reach("drop: closed to readers")
            locked.extend(_try_all(session, concerned, holds))
            if not self._is_large(concerned[0]):
                work = self._collect(session, locked)
                work.apply()

        with Holds() as holds:
            try:
                yield plan
            except BaseException:
                current = self._store.registry.volume_row(row.volume)
                if current is not None and current.state in IN_USE:  # not committed
                    tables.words[id_at] = former
                    self._give_up(session, work)
                    raise
                self._finish(session, work)
                raise
            reach("drop: committed")
            self._finish(session, work)
            for each in rows:
                if each not in locked:
                    self.request(each)  # only now can whoever looks find it
            left = self._do(session, locked)
            for each in locked:
                self._store.reclaim.drain(session, each)
        busy = [each for each in rows if each not in locked]
        self.tidy(session, [*left.sources, *busy])  # a writer may have gone meanwhile
        self._look_for_heirs(session, work.heirs | left.heirs)

    def _look_for_heirs(self, session: Session, heirs: set[int]) -> None:
        """Let those volumes absorb the dead sources that only they stand on (absorb.py), or their next writers."""
        for volume in heirs:
            row = self._store.registry.volume_row(volume)
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
            self._store.reclaim.drain(session, absorb(self._store, session, row))
        except RegistryBusyError:
            self.request(row)
        except CorruptionError:
            self._store.slot_map.note_leaks()  # as it is: what a damaged page table holds cannot be told

    def _is_large(self, row: VolumeRow) -> bool:
        try:
            return self._store.head_of(row).own_count > _LARGE_SLOTS
        except CorruptionError:
            return False

    # --- the work ---------------------------------------------------------------------------------------------------
    def _do(self, session: Session, rows: Iterable[VolumeRow]) -> _Left:
        """Release what the catalog says is released (the caller holds the volume locks: R4, and drains).

        Nobody waits for this: while another process is in a catalog transaction it is left to the next writer.
        """
        registry, tables = self._store.registry, self._store.tables
        volumes: list[VolumeRow] = []
        for row in rows:
            if tables.words[tables.volume_at(row.table_index) + V_ID] & ~FLAGS == row.volume:
                tables.words[tables.volume_at(row.table_index) + V_CHORES] = 0  # before we look: later requests stay
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
        registry = self._store.registry
        work = _Work()
        for row in volumes:
            gone = row.state in (VolumeState.DROPPED, VolumeState.DEAD)
            if gone:
                self._close(row)
            if gone and self._store.reclaim.reader_pins(session, row):
                self.request(row)  # its last reader will come by here when it closes
                continue
            standing = self._collect_pins(row, work)
            if row.state == VolumeState.DROPPED:
                work.freed.append((row, self._loose(of_dropped_past, row, standing)))
                work.freed.append((row, self._loose(of_dropped_head, row, standing)))
                if standing:
                    work.forget.append(partial(registry.set_dead, row.volume))
            if gone and not standing:
                work.removed.append(row)
                work.forget.append(partial(registry.remove_volume, row.volume))
            elif gone:
                work.heirs |= {row.volume, *self._first_holder(row, work)}
        self._store.reclaim.keep(work.slots())
        reach("reclaim: slots kept")
        return work

    def _collect_pins(self, row: VolumeRow, work: _Work) -> list[int]:
        """Collect what only released pins of a volume hold; the versions that pins still hold behind that."""
        registry = self._store.registry
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
            work.freed.append((row, self._loose(of_pin, row, pin, others)))
            work.changed.append(row)
            work.released.append(pin)
            work.forget.append(partial(registry.remove_pin, row.volume, pin.version.version, pin.holder))
        return sorted({*firm, *(pin.version.version for pin in standing)})

    def _first_holder(self, row: VolumeRow, work: _Work) -> list[int]:
        """The volume that stands on the first pin of a volume: if it is the only one, it may take its place."""
        pins = self._store.registry.first_pins(row.volume, len(work.released) + 1)
        first = next((pin for pin in pins if pin not in work.released), None)
        return [first.holder_volume] if first is not None and first.holder_volume is not None else []

    def _close(self, row: VolumeRow) -> None:
        """Nobody begins to read the volume any more, whoever dropped it."""
        id_at = self._store.tables.volume_at(row.table_index) + V_ID
        if self._store.tables.words[id_at] & ~FLAGS == row.volume:
            self._store.tables.words[id_at] = row.volume | DROPPED

    def _is_removed(self, volume: int, work: _Work) -> bool:
        return any(row.volume == volume for row in work.removed) or self._store.registry.volume_row(volume) is None

    def _loose(self, find: Callable[..., list[Superseded]], *arguments: object) -> list[Superseded]:
        """The slots that are found and that nobody keeps yet (C2); where a page table is damaged they are leaked."""
        try:
            states = self._store.slot_map.states
            return [item for item in find(self._store, *arguments) if states[item[0]] in (LIVE_EVEN, LIVE_ODD)]
        except CorruptionError:
            self._store.slot_map.note_leaks()
            return []

    def _finish(self, session: Session, work: _Work) -> None:
        """The catalog has forgotten what held these slots: they are free as soon as readers allow."""
        reach("reclaim: catalog has forgotten")
        tables = self._store.tables
        for row, items in work.freed:
            durable = self._store.durable_version(row)
            self._store.reclaim.enqueue(row, items, FOREVER if row.state not in IN_USE else durable)
        for row in work.changed:
            self._store.reclaim.announce_pins(session, row.table_index)
        if work.removed:
            with session.pool_locked():
                for row in work.removed:
                    tables.remove_volume(row.table_index, row.volume)
            for row in work.removed:
                self._store.history.remove(row.volume)
                self._store.written.pop(row.volume, None)
        reach("reclaim: rows removed")

    def _give_up(self, session: Session, work: _Work) -> None:
        """The catalog has forgotten nothing: what was kept is live as before."""
        with session.labelling():
            self._store.slot_map.label_live(work.slots())


def _try_all(session: Session, rows: Iterable[VolumeRow], holds: Holds) -> list[VolumeRow]:
    """Those of the volumes whose locks can be had; the locks go to ``holds``."""
    locked = []
    for row in rows:
        hold = session.try_volume(row.table_index)
        if hold is not None:
            holds.add(hold)
            locked.append(row)
    return locked
