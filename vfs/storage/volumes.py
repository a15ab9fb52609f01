"""Volumes as a whole: opening, creating, moving and fencing them.

Creating: the head slot is written, durable and live before the catalog names it; the row of the volume table is filled
before the catalog commits, so that whoever finds the volume there finds its row too.  Dropping is reclaim's
(:meth:`vfs.reclaim.cleanup.Cleanup.dropping`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vfs.failpoints import reach
from vfs.format import locks
from vfs.format.layout import HOLE, SLOT_SHIFT, ZERO_SLOT, Version
from vfs.format.shared import MOVED
from vfs.holds import Holds
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.device import write_at
from vfs.storage.pool import Pool
from vfs.storage.reader import Follow
from vfs.storage.sessions import Session
from vfs.storage.volume import Volume

__all__ = ["NewVolume", "continue_epoch", "creating", "fence_writers", "fencing", "moving", "open_volume", "pinned"]


# --- handles ----------------------------------------------------------------------------------------------------------
def open_volume(pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None) -> Volume:
    """A handle on a volume, with a session of its own.  Raises TooManySessionsError, CorruptionError."""
    session = pool.open_session()
    try:
        return Volume(pool, row, session, read_only=read_only, follow=follow)
    except BaseException:
        session.close()
        raise


@contextmanager
def pinned(pool: Pool, row: VolumeRow, version: int | None = None) -> Iterator[Volume]:
    """A volume's head, or a past version, pinned for one piece of work.

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
    """Handles that live processes have open on a volume, to read or write."""
    with pool.session() as session:
        return sum(
            record.volume == row.table_index + 1
            for at, record in pool.tables.sessions()
            if at != session.row and session.locks.is_held_by_other(locks.session(at))
        )


# --- creating ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class NewVolume:
    """How a volume begins: its state, and the version that it is a clone of, or None for an empty volume."""

    state: VolumeState
    source: Version | None = None

    def row(self, head_slot: int) -> VolumeRow:
        """The catalog row, whose id and table row are still open."""
        if self.source is None:
            return VolumeRow(0, -1, head_slot, self.state, None, Version(0, 1, 1, 0, 0, 0, time.time_ns(), HOLE))
        base = self.source._replace(volume=0, durable=self.source.version, own_count=0)
        return VolumeRow(0, -1, head_slot, self.state, self.source.volume, base)


@contextmanager
def creating(
    pool: Pool,
    new: NewVolume,
    *,
    require: Callable[[], None],
    add: Callable[[VolumeRow], None],
) -> Iterator[VolumeRow]:
    """Add a volume to the catalog and the volume table; the body uses it.

    In the catalog transaction ``require`` sees first that the source is kept (else the version's slots could be free
    already: R1), and ``add`` adds what belongs to the volume.  The lock that marks a volume in state BUILDING is held
    until the body ends.  Raises PoolFullError, TooManyVolumesError, RegistryBusyError, OSError.
    """
    with pool.session() as session, Holds() as holds, _new_head_slot(pool, session) as head_slot:
        row = new.row(head_slot)
        try:
            with pool.registry.transaction():
                if new.source is not None:
                    require()
                row = pool.registry.add_volume(row._replace(table_index=pool.tables.free_volume_row()))
                base = row.base.version
                with session.pool_locked():
                    pool.tables.set_volume(row.table_index, row.volume, base, base, base)
                if new.source is not None:
                    pool.registry.pin_base(row, new.source)
                add(row)
                if new.state == VolumeState.BUILDING:
                    holds.add(session.locks.lock(locks.builder(row.table_index)))
        except BaseException:
            if not row.volume:
                pool.slot_map.free([head_slot])
            elif not pool.registry.may_have_volume(row.volume):
                with session.pool_locked():
                    pool.tables.remove_volume(row.table_index, row.volume)
                pool.slot_map.free([head_slot])
            raise
        yield row


@contextmanager
def _new_head_slot(pool: Pool, session: Session) -> Iterator[int]:
    """A slot for the head of a new volume; the body commits the catalog row that names it, or frees the slot.

    It is written once, with zeros: a commit reads it through the mapping, where a hole of the pool would be a SIGBUS on
    a full tmpfs (M5).
    """
    (slot,) = session.take_slots(1)
    try:
        write_at(pool.pool_fd, [ZERO_SLOT], slot << SLOT_SHIFT)
    except BaseException:
        session.give_back([slot])
        raise
    if pool.is_durable and slot >= pool.slot_map.header.synced:
        pool.sync()  # the catalog must not name a slot that a power loss takes with the pool's new length
    with session.labelling():
        pool.slot_map.label_live([slot])  # before the catalog names it
        reach("volume: head slot taken")
        yield slot


# --- moving and fencing -----------------------------------------------------------------------------------------------
def continue_epoch(pool: Pool, row: VolumeRow, former: VolumeRow) -> None:
    """Let a volume that nobody has open yet continue in the epoch of the volume that it will replace."""
    pool.volume(row).epoch = pool.volume(former).epoch


@contextmanager
def moving(pool: Pool, row: VolumeRow) -> Iterator[None]:
    """The body commits that a volume's cluster switches to another volume; handles are told to follow.

    Whoever is publishing is waited for; acknowledged commits are in the volume's past.  Raises RegistryBusyError.
    """
    record = pool.volume(row)
    with pool.session() as session, session.volume_locked(row.table_index):
        record.id = row.volume | MOVED  # before the catalog says so; a reader that meets it undoes it if we die
        reach("move: handles told")
        try:
            yield
        except BaseException:
            current = pool.registry.volume_row(row.volume)
            if current is not None and current.state == VolumeState.LIVE:
                record.id = row.volume
            raise
        reach("move: committed")


@contextmanager
def fencing(pool: Pool, row: VolumeRow) -> Iterator[Callable[[], None]]:
    """The body commits that others write to a volume from now on; it calls what this yields just before.

    That begins a new epoch: handles that could write until then publish nothing any more (V5); their locks block
    nobody, their next use is a FencedError.  The end begins another one, for handles that were opened in between.
    """
    record = pool.volume(row)

    def begin_epoch() -> None:
        record.epoch += 1

    with pool.session() as session, session.volume_locked(row.table_index):
        yield begin_epoch
        begin_epoch()


def fence_writers(pool: Pool, row: VolumeRow) -> None:
    """Begin a new epoch of a volume: handles that could write to it until now cannot any more."""
    with fencing(pool, row):
        pass


def remove_unowned_histories(pool: Pool) -> None:
    """Remove the histories that killed processes, or a power failure, left of volumes that are gone (H5)."""
    files = pool.history.volumes()  # before the catalog is asked: a volume is in it before it gets a file
    if files:
        volumes = {row.volume for row in pool.registry.volume_rows()}
        for volume in files:
            if volume not in volumes:
                pool.history.remove(volume)
