"""Volumes of a store: creating, cloning and dropping them, and lending versions as volumes without a name.

A version can be cloned while a pin keeps it: a reader's pin until the clone's durable pin is announced
(:func:`durably_pinned`), or a durable pin in the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from clusterdb.access import sqlite
from clusterdb.access.translate import UNNAMED
from clusterdb.core.context import Context
from clusterdb.errors import InvalidRestoreTimeError
from vfs import errors as storage_errors
from vfs.abc import Durability, StoreVFS, Target
from vfs.format.layout import Version
from vfs.holds import Holds
from vfs.interrupts import uninterrupted
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.storage.sessions import Session
from vfs.storage.volume import Volume
from vfs.storage.volumes import NewVolume, create, pin_head, pinned

__all__ = [
    "VersionRef",
    "begun",
    "building",
    "clone_volume",
    "create_clone",
    "drop_volume",
    "durably_pinned",
    "lent",
    "new_volume",
    "pinned_volume",
    "require_kept",
    "vfs_of",
    "writers_held_off",
]


class VersionRef(NamedTuple):
    """A version of a volume; ``text`` names it in errors, ``version`` None is the head, ``record`` that of its pin."""

    volume: VolumeRow
    version: int | None
    text: str
    record: Version | None = None


def begun(stack: ExitStack, handle: Any) -> Any:
    """A transaction of a handle; both end with the stack."""
    stack.callback(handle.close)
    handle.pin()
    transaction = handle.begin_write()
    stack.callback(transaction.end)
    return transaction


def nothing(row: VolumeRow) -> None:
    """Add nothing to the transaction."""


# --- pinning ----------------------------------------------------------------------------------------------------------
@contextmanager
def pinned_volume(context: Context, volume: VolumeRow, version: int | None, text: str) -> Iterator[Volume]:
    """Pin a volume's head, or a version that it retains; ``text`` names it in errors.

    Raises ClusterNotFoundError, InvalidRestoreTimeError.
    """
    with context.errors():
        try:
            with pinned(context.pages, volume, version) as handle:
                yield handle
        except storage_errors.VolumeDroppedError:
            raise context.deleted(text) from None
        except storage_errors.PastVersionGoneError as error:
            raise InvalidRestoreTimeError(f"{text} in store '{context.path}': {error}") from None


@contextmanager
def durably_pinned(context: Context, ref: VersionRef) -> Iterator[Version]:
    """Pin a version until a durable pin on it, which the body adds, is announced; signal handlers are deferred."""
    pages = context.pages
    with pinned_volume(context, ref.volume, ref.version, ref.text) as handle:
        if pages.is_durable and handle.shared.durable < handle.version.version:
            pages.sync()  # the version of a durable pin must be durable too
        with uninterrupted:
            try:
                yield handle.version._replace(volume=ref.volume.volume)
            finally:  # also after an error: the pin may be committed
                pages.queue.announce_pins(handle.row.table_index)


def require_kept(context: Context, source: Version, text: str, *, is_pinned: bool) -> None:
    """Check that a version may be pinned: the caller pins it in a volume in use, or it has a durable pin.

    Called in the catalog transaction that adds the pin: otherwise the version's slots could be free already (R1).
    Raises ClusterNotFoundError.
    """
    volumes = context.catalog.volumes
    row = volumes.volume_row(source.volume)
    if is_pinned and row is not None and row.state in IN_USE:
        return
    if row is None or not volumes.is_pinned(source.volume, source.version):
        raise context.deleted(text)


# --- new volumes ------------------------------------------------------------------------------------------------------
@contextmanager
def new_volume(
    context: Context, state: VolumeState, add: Callable[[VolumeRow], None] = nothing, *, keeps_past: bool = False
) -> Iterator[VolumeRow]:
    """Create an empty volume; ``add`` adds the rows that belong to it, in the same catalog transaction.

    A volume in state BUILDING is marked as such by a lock until the body ends.
    """
    new = NewVolume(state, keeps_past=keeps_past)
    with context.errors(), context.pages.session() as session, Holds() as holds:
        with uninterrupted:
            row = create(context.pages, session, new, holds, require=lambda: None, add=add)
        yield row


@contextmanager
def clone_volume(
    context: Context, ref: VersionRef, state: VolumeState, add: Callable[[VolumeRow], None] = nothing
) -> Iterator[VolumeRow]:
    """Create a volume that begins with a version of another, as :func:`create_clone` does, for the body.

    A volume in state BUILDING is marked as such by a lock until the body ends.
    """
    with context.errors():
        session = context.pages.borrow()
    try:
        with Holds() as holds:
            with uninterrupted, context.errors():
                row = _create_clone(context, session, ref, state, add, holds, keeps_past=False)
            yield row
    finally:
        with context.errors():
            context.pages.give_back(session)


def create_clone(
    context: Context, ref: VersionRef, add: Callable[[VolumeRow], None], *, keeps_past: bool = False
) -> VolumeRow:
    """Create a volume in use that begins with a version of another; ``add`` is part of the catalog transaction.

    ``keeps_past``: it retains its versions from the first one on.

    Raises ClusterNotFoundError, InvalidRestoreTimeError.
    """
    with uninterrupted, context.errors(), context.pages.session() as session:
        return _create_clone(context, session, ref, VolumeState.LIVE, add, None, keeps_past=keeps_past)


def _create_clone(
    context: Context,
    session: Session,
    ref: VersionRef,
    state: VolumeState,
    add: Callable[[VolumeRow], None],
    holds: Holds | None,
    *,
    keeps_past: bool,
) -> VolumeRow:
    """Create a clone with a session that is not pinning anything; the caller defers signal handlers."""
    pages, volume = context.pages, ref.volume
    source = ref.record  # if there is one, a snapshot's pin keeps it
    if source is None:
        source = _pin(context, session, ref)
        if source.volume != volume.volume:
            source = source._replace(volume=volume.volume)
        if pages.is_durable and pages.volume(volume).durable < source.version:
            pages.sync()  # the version of a durable pin must be durable too
    require = partial(require_kept, context, source, ref.text, is_pinned=ref.record is None)
    try:
        return create(pages, session, NewVolume(state, source, keeps_past), holds, require=require, add=add)
    finally:  # also after an error: the pin may be committed
        pages.queue.announce_pins(volume.table_index)
        session.detach()


def _pin(context: Context, session: Session, ref: VersionRef) -> Version:
    """Pin a version by a session.  Raises ClusterNotFoundError, InvalidRestoreTimeError."""
    try:
        if ref.version is None:
            return pin_head(context.pages, session, ref.volume)
        handle = Volume(context.pages, ref.volume, session, read_only=True)
        handle.pin_past(ref.version)
        return handle.version
    except storage_errors.VolumeDroppedError:
        raise context.deleted(ref.text) from None
    except storage_errors.PastVersionGoneError as error:
        raise InvalidRestoreTimeError(f"{ref.text} in store '{context.path}': {error}") from None


def drop_volume(
    context: Context, row: VolumeRow, change: Callable[[], None] = lambda: None, *, waits: bool = True
) -> None:
    """Drop a volume; ``change`` changes the catalog before, in the same transaction.

    Raises ClusterNotFoundError if another process dropped it first, StoreBusyError (at once unless it ``waits``).
    """

    def change_in_use() -> None:
        change()
        context.require_in_use(row.volume)

    pages = context.pages
    with uninterrupted, context.errors(), pages.session() as session:
        pages.cleanup.drop(session, row, change_in_use, context.catalog.transaction(waits=waits))


@contextmanager
def writers_held_off(context: Context, row: VolumeRow) -> Iterator[None]:
    """Let nobody commit to a volume while the body runs, which may switch its cluster to another one, or drop it.

    Raises StoreBusyError, and the errors of the body.
    """
    pages = context.pages
    with context.errors(), pages.session() as session, session.volume_locked(row.table_index):
        yield
    with context.errors(), pages.session() as session:
        pages.cleanup.tidy(session, [row])  # what could not be reclaimed while its lock was held


# --- volumes without a name -------------------------------------------------------------------------------------------
def vfs_of(context: Context, row: VolumeRow) -> StoreVFS:
    """Register a VFS that serves only this volume, which has no name."""
    name = f"{context.vfs.name}-building-{row.volume}"
    return context.plane.vfs(name, context.pages, lambda _: Target(row, lambda: None), Durability.FULL)


@contextmanager
def building(context: Context, row: VolumeRow, *, read_only: bool = False) -> Iterator[sqlite.Connection]:
    """Connect to a volume that has no name yet, while the body runs."""
    vfs = vfs_of(context, row)
    try:
        with context.errors():
            connection = sqlite.connect(UNNAMED, vfs, read_only=read_only)
            try:
                yield connection
            finally:
                connection.close()
    finally:
        vfs.close()


@contextmanager
def lent(
    context: Context, ref: VersionRef, *, read_only: bool = False
) -> Iterator[tuple[VolumeRow, sqlite.Connection]]:
    """Lend a version as a volume without a name, with a connection to it, while the body runs."""
    context.require_writable()
    with clone_volume(context, ref, VolumeState.BUILDING) as row:
        try:
            with building(context, row, read_only=read_only) as connection:
                yield row, connection
        finally:
            drop_volume(context, row)
