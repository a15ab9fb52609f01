"""Volumes of a store: creating, cloning and dropping them, and lending versions as volumes without a name.

A version can be cloned while a pin keeps it: a reader's pin until the clone's durable pin is announced
(:func:`durably_pinned`), or a durable pin in the catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from clusterdb.access import sqlite
from clusterdb.access.translate import UNNAMED
from clusterdb.core.context import Context
from clusterdb.errors import InvalidRestoreTimeError
from vfs import errors as storage_errors
from vfs.abc import Durability, StoreVFS, Target
from vfs.format.layout import Version
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.storage.volume import Volume
from vfs.storage.volumes import NewVolume, creating, pinned

__all__ = [
    "VersionRef",
    "building",
    "clone_volume",
    "drop_volume",
    "durably_pinned",
    "lent",
    "new_volume",
    "pinned_volume",
    "require_kept",
    "vfs_of",
]


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A version of a volume; ``text`` names it in errors, ``version`` None is the head, ``record`` that of its pin."""

    volume: VolumeRow
    version: int | None
    text: str
    record: Version | None = None


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
    """Pin a version until a durable pin on it, which the body adds, is announced."""
    pages = context.pages
    with pinned_volume(context, ref.volume, ref.version, ref.text) as handle:
        if pages.is_durable and handle.shared.durable < handle.version.version:
            pages.sync()  # the version of a durable pin must be durable too
        try:
            yield handle.version._replace(volume=ref.volume.volume)
        finally:  # also when interrupted: the pin may be committed
            pages.queue.announce_pins(handle.session, handle.row.table_index)


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
def new_volume(context: Context, state: VolumeState, add: Callable[[VolumeRow], None] = nothing) -> Iterator[VolumeRow]:
    """Create an empty volume; ``add`` adds the rows that belong to it, in the same catalog transaction."""
    with context.errors(), creating(context.pages, NewVolume(state), require=lambda: None, add=add) as row:
        yield row


@contextmanager
def clone_volume(
    context: Context, ref: VersionRef, state: VolumeState, add: Callable[[VolumeRow], None] = nothing
) -> Iterator[VolumeRow]:
    """Create a volume that begins with a version of another; ``add`` is part of the catalog transaction.

    Raises ClusterNotFoundError, InvalidRestoreTimeError.
    """
    pages = context.pages
    if ref.record is not None:  # a snapshot's pin keeps it
        require = partial(require_kept, context, ref.record, ref.text, is_pinned=False)
        with context.errors(), creating(pages, NewVolume(state, ref.record), require=require, add=add) as row:
            with pages.session() as session:
                pages.queue.announce_pins(session, ref.volume.table_index)
            yield row
        return
    with durably_pinned(context, ref) as source:
        require = partial(require_kept, context, source, ref.text, is_pinned=True)
        with creating(pages, NewVolume(state, source), require=require, add=add) as row:
            yield row


def drop_volume(
    context: Context, row: VolumeRow, change: Callable[[], None] = lambda: None, *, waits: bool = True
) -> None:
    """Drop a volume; ``change`` changes the catalog before, in the same transaction.

    Raises ClusterNotFoundError if another process dropped it first, StoreBusyError (at once unless it ``waits``).
    """
    pages, volumes = context.pages, context.catalog.volumes
    with (
        context.errors(),
        pages.session() as session,
        pages.cleanup.dropping(session, row) as plan,
        context.catalog.transaction(waits=waits),
    ):
        change()
        context.require_in_use(row.volume)
        ancestors = volumes.drop_volume(row.volume)
        plan([context.require_volume(row.volume), *ancestors])


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
            connection = sqlite.connect(UNNAMED, vfs.name, read_only=read_only)
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
