"""Operations on whole volumes: opening, creating, moving and fencing.

Creating: the head slot is written, durable and live before the catalog names it; the row of the volume table is filled
before the catalog commits, so that a process that finds the volume in the catalog finds its row too.  Dropping belongs
to reclaim (:meth:`vfs.reclaim.cleanup.Cleanup.drop`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple

from vfs.errors import RegistryBusyError
from vfs.failpoints import reach
from vfs.format import locks
from vfs.format.layout import HOLE, Version
from vfs.format.shared import DAMAGED, DROPPED, FLAGS, HALTED, MOVED, VolumeRecord
from vfs.holds import Hold, Holds
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.fences import fence
from vfs.storage.heads import find_record
from vfs.storage.pool import Pool
from vfs.storage.reader import Follow
from vfs.storage.sessions import Session
from vfs.storage.volume import Volume

__all__ = [
    "NewVolume",
    "continue_epoch",
    "create",
    "fence_writers",
    "fencing",
    "halted",
    "Marked",
    "moving",
    "open_volume",
    "pin_head",
    "pinned",
]


# --- handles ----------------------------------------------------------------------------------------------------------
def open_volume(pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None) -> Volume:
    """Open a handle on a volume, with a session of its own.  Raises TooManySessionsError, CorruptionError."""
    session = pool.borrow_for_handle()
    try:
        return Volume(pool, row, session, read_only=read_only, follow=follow)
    except BaseException:
        pool.give_back_of_handle(session)
        raise


def pin_head(pool: Pool, session: Session, row: VolumeRow) -> Version:
    """Pin a volume's head by this session, and return it.  Raises VolumeDroppedError, CorruptionError."""
    shared = pool.volume(row)
    session.attach(row.table_index)
    version = shared.version
    session.pin(version)
    if shared.version == version and shared.id == row.volume and row.head_slot < pool.slot_map.slot_count:  # S1, S4
        record = find_record(pool, row, version)
        if record is not None:
            return record
    volume = Volume(pool, row, session, read_only=True)  # repeats this, or raises the reason for a refusal
    volume.pin()
    return volume.version


@contextmanager
def pinned(pool: Pool, row: VolumeRow, version: int | None = None) -> Iterator[Volume]:
    """Pin a volume's head, or a past version, while the body runs.

    Raises VolumeDroppedError, CorruptionError, PastVersionGoneError.
    """
    with pool.session() as session:
        volume = Volume(pool, row, session, read_only=True)
        if version is None:
            volume.pin()
        else:
            volume.pin_past(version)
        yield volume


def reader_count(pool: Pool, row: VolumeRow) -> int:
    """The number of handles that live processes have open on a volume, to read or write."""
    with pool.session() as session:
        return sum(
            record.volume == row.table_index + 1
            for at, record in pool.tables.sessions()
            if at != session.row and session.locks.is_held_by_other(locks.session(at))
        )


# --- creating ---------------------------------------------------------------------------------------------------------
class NewVolume(NamedTuple):
    """The initial state of a volume, and the version that it is a clone of, or None for an empty volume.

    ``keeps_past``: retain every version, from the first one on.
    """

    state: VolumeState
    source: Version | None = None
    keeps_past: bool = False

    def row(self, head_slot: int) -> VolumeRow:
        """The catalog row, whose id and table row are not assigned yet."""
        if self.source is None:
            base = Version(0, 1, 1, 0, 0, 0, time.time_ns(), HOLE)
            return VolumeRow(0, -1, head_slot, self.state, None, base, int(self.keeps_past))
        volume, version, _, size_bytes, slot_count, _, time_ns, root = self.source
        return VolumeRow(
            0,
            -1,
            head_slot,
            self.state,
            volume,
            Version(0, version, version, size_bytes, slot_count, 0, time_ns, root),
            version if self.keeps_past else 0,
        )


def create(
    pool: Pool,
    session: Session,
    new: NewVolume,
    holds: Holds | None,
    *,
    require: Callable[[], None],
    add: Callable[[VolumeRow], None],
) -> VolumeRow:
    """Add a volume to the catalog and the volume table, and return its row.

    In the catalog transaction ``require`` first checks that the source is still kept (otherwise the version's slots
    could be free already: R1), and ``add`` adds the rows that belong to the volume.  The lock that marks a volume in
    state BUILDING is added to ``holds``.  The caller defers signal handlers.  Raises PoolFullError, OSError,
    TooManyVolumesError, RegistryBusyError.
    """
    slot_map, tables, registry = pool.slot_map, pool.tables, pool.registry
    head_slot = pool.take_head_slot(session)
    with session.labelling():
        row = new.row(head_slot)
        try:
            slot_map.label_live([head_slot])  # before the catalog names it
            reach("volume: head slot taken")
            with registry.transaction():
                if new.source is not None:
                    require()
                is_building = new.state == VolumeState.BUILDING
                row = registry.add_volume(row, _take_row(pool, session, holds if is_building else None))
                base = row.base.version
                tables.set_volume(row.table_index, row.volume, base, base, base, row.retained)
                if new.source is not None:
                    registry.pin_base(row, new.source)
                add(row)
        except BaseException:
            if not registry.may_have_volume(row):
                if row.volume:
                    with suppress(RegistryBusyError):  # then the row stays until dead sessions are buried
                        _forget_row(pool, session, row)
                slot_map.free([head_slot])
            raise
    return row


def _forget_row(pool: Pool, session: Session, row: VolumeRow) -> None:
    """Free the row of the volume table that a failed transaction has filled (S5).

    The catalog has given the number of the volume back, so another process may have created a volume with this number
    meanwhile, and in this row, if a third one has freed it.  In a transaction it is known.  Raises RegistryBusyError.
    """
    with pool.registry.transaction():
        present = pool.registry.volume_row(row.volume)
        if present is None or present.table_index != row.table_index:
            with session.pool_locked():
                pool.tables.remove_volume(row.table_index, row.volume)


def _take_row(pool: Pool, session: Session, holds: Holds | None) -> int:
    """The index of a free row of the volume table; with ``holds``, the lock that marks who builds a volume is added.

    The lock may still be held by the thread that has dropped the row's last volume, and waits for the catalog now: then
    another row is taken.  Raises TooManyVolumesError.
    """
    locked: set[int] = set()
    while True:
        index = pool.tables.free_volume_row(locked)
        if holds is None:
            return index
        hold = session.locks.try_lock(locks.builder(index))
        if hold is not None:
            holds.add(hold)
            return index
        locked.add(index)


class Marked:
    """Sets the id word of a volume for the body, in the catalog transaction that makes the change which it announces.

    If the body fails, the word is as before when the transaction ends: later, another process may have changed it.  If
    the commit fails, or the process dies, a reader clears the mark (:func:`vfs.storage.reader.successor`).  Signal
    handlers are deferred.
    """

    __slots__ = ("_former", "_record", "_word")

    def __init__(self, record: VolumeRecord, word: int) -> None:
        self._record, self._word = record, word

    def __enter__(self) -> None:
        self._former = self._record.id
        self._record.id = self._word

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self._record.id = self._former


# --- moving and fencing -----------------------------------------------------------------------------------------------
def continue_epoch(pool: Pool, row: VolumeRow, former: VolumeRow) -> None:
    """Set the epoch of a volume that nobody has open yet to that of the volume that it will replace."""
    pool.volume(row).epoch = pool.volume(former).epoch


@contextmanager
def moving(pool: Pool, row: VolumeRow) -> Iterator[None]:
    """Mark a volume as moved, in a catalog transaction in which the body switches its cluster to another volume.

    The caller holds the volume lock, so acknowledged commits are in the volume's past.  The body has to refuse a volume
    that is not live any more.  Handles follow the cluster when they meet the mark, and wait for the catalog before:
    therefore it is set inside of the transaction, or they would take it for that of a dead process, and clear it.
    Raises RegistryBusyError.
    """
    record = pool.volume(row)
    with pool.registry.transaction():
        present = pool.registry.volume_row(row.volume)
        is_live = present is not None and present.state == VolumeState.LIVE  # else the record is another volume's
        with Marked(record, row.volume | MOVED) if is_live else nullcontext():
            reach("move: handles told")
            yield
    reach("move: committed")


@contextmanager
def halted(pool: Pool, session: Session, rows: Sequence[VolumeRow], patience_s: float) -> Iterator[None]:
    """Keep all sessions but this one from reading volumes while the body runs: it may change slots that they reach.

    The caller holds the catalog's write lock, and ``rows`` are all volumes that reach these slots.  A session that
    stores its pin after the pins were read here meets the flag, which was stored before (as in S1 and S2): it gives its
    pin up, and waits for the catalog before it compares again.  One that stored its pin before is seen here, and waited
    for; sessions of the dead read nothing.  If this process dies, the next handle clears the flag.

    Raises RegistryBusyError if others still read after ``patience_s``; then the body does not run.
    """
    deadline = time.monotonic() + patience_s
    flagged: list[VolumeRow] = []
    try:
        for row in rows:
            record = pool.volume(row)
            if record.id & ~FLAGS != row.volume or record.id & (DROPPED | DAMAGED):
                continue  # nobody can begin to read it
            with _locked_until(session, row, deadline):
                record.id |= HALTED
            flagged.append(row)
        fence()  # S2
        reach("halt: handles told")
        while owners := _owners_of_pins(pool, session, rows):
            if time.monotonic() > deadline:
                processes = ", ".join(sorted(str(owner) for owner in owners))
                raise RegistryBusyError(f"it, or a clone of it, is being read or written (by process {processes})")
            time.sleep(0.001)
        yield
    finally:
        for row in flagged:
            with suppress(RegistryBusyError), _locked_until(session, row, time.monotonic() + patience_s):
                record = pool.volume(row)
                if record.id & ~FLAGS == row.volume:
                    record.id &= ~HALTED


def _locked_until(session: Session, row: VolumeRow, deadline: float) -> Hold:
    """The lock of a volume, without which nobody sets another flag; only tried, since the caller holds the catalog."""
    while (hold := session.try_volume(row.table_index)) is None:
        if time.monotonic() > deadline:
            raise RegistryBusyError("another process is changing it")
        time.sleep(0.001)
    return hold


def _owners_of_pins(pool: Pool, session: Session, rows: Sequence[VolumeRow]) -> set[int]:
    """The processes of other sessions, which live, that pin a version of the volumes."""
    owners = set()
    for row in rows:
        if pool.volume(row).id & ~FLAGS == row.volume:
            for at, _ in pool.tables.pins_of(row.table_index):
                if at != session.row and session.locks.is_held_by_other(locks.session(at)):
                    owners.add(pool.tables.session(at).owner)
    return owners


@contextmanager
def fencing(pool: Pool, row: VolumeRow) -> Iterator[Callable[[], None]]:
    """Fence the writers of a volume: the body commits that others write to it, and calls the yielded function before.

    That function begins a new epoch: older handles cannot publish any more (V5), their locks block nobody, and their
    next use raises FencedError.  The end of the body begins another epoch, for handles that were opened in between.
    """
    record = pool.volume(row)

    def begin_epoch() -> None:
        if record.id & ~FLAGS == row.volume:  # else it was dropped, and the row may be another volume's
            record.epoch += 1

    with pool.session() as session, session.volume_locked(row.table_index):
        yield begin_epoch
        begin_epoch()


def fence_writers(pool: Pool, row: VolumeRow) -> None:
    """Begin a new epoch of a volume, so that the handles that are open now cannot write to it any more."""
    with fencing(pool, row):
        pass


def remove_unowned_histories(pool: Pool) -> None:
    """Remove the history files of removed volumes, which a killed process or a power failure left behind (H5)."""
    if not _unowned_histories(pool):
        return
    with suppress(RegistryBusyError), pool.registry.reclaiming():  # nobody is adding a volume
        for volume in _unowned_histories(pool):
            pool.history.remove(volume, may_keep=False)


def _unowned_histories(pool: Pool) -> set[int]:
    """The numbers of the history files that belong to no volume of the catalog (yet)."""
    files = pool.history.volumes()
    return set(files) - {row.volume for row in pool.registry.volume_rows()} if files else set()
