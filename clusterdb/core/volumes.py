"""Volumes of a store: new ones, clones of versions, versions lent under no name, dropping.

A version can be cloned while something keeps it: a reader's pin until the clone's durable pin is announced
(:func:`durably_pinned`), or a durable pin that the catalog has.
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
    "Found",
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
class Found:
    """A version of a volume, and what errors call it; ``version`` None is the head, ``record`` what a pin keeps."""

    volume: VolumeRow
    version: int | None
    text: str
    record: Version | None = None


def nothing(row: VolumeRow) -> None:
    """Add nothing to the transaction."""


# --- pinning ----------------------------------------------------------------------------------------------------------
@contextmanager
def pinned_volume(context: Context, volume: VolumeRow, version: int | None, text: str) -> Iterator[Volume]:
    """A volume's head, or a version that it retains, pinned; ``text`` is what errors call it.

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
def durably_pinned(context: Context, found: Found) -> Iterator[Version]:
    """A version, pinned until a durable pin on it, which the body adds, is announced."""
    pages = context.pages
    with pinned_volume(context, found.volume, found.version, found.text) as handle:
        if pages.is_durable and handle.shared.durable < handle.version.version:
            pages.sync()  # what a durable pin stands on must be as durable
        try:
            yield handle.version._replace(volume=found.volume.volume)
        finally:  # also when interrupted: the pin may be committed
            pages.queue.announce_pins(handle.session, handle.row.table_index)


def require_kept(context: Context, source: Version, text: str, *, is_pinned: bool) -> None:
    """A version that is about to be pinned is one that the caller holds in a volume in use, or a pin keeps it.

    In the catalog transaction that adds the pin: else the version's slots could be free already (R1).  Raises
    ClusterNotFoundError.
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
    """An empty volume; ``add`` adds what belongs to it, in the same catalog transaction."""
    with context.errors(), creating(context.pages, NewVolume(state), require=lambda: None, add=add) as row:
        yield row


@contextmanager
def clone_volume(
    context: Context, found: Found, state: VolumeState, add: Callable[[VolumeRow], None] = nothing
) -> Iterator[VolumeRow]:
    """A new volume that begins with a version of another; ``add`` is part of the catalog transaction.

    Raises ClusterNotFoundError, InvalidRestoreTimeError.
    """
    pages = context.pages
    if found.record is not None:  # a snapshot's pin keeps it
        require = partial(require_kept, context, found.record, found.text, is_pinned=False)
        with context.errors(), creating(pages, NewVolume(state, found.record), require=require, add=add) as row:
            with pages.session() as session:
                pages.queue.announce_pins(session, found.volume.table_index)
            yield row
        return
    with durably_pinned(context, found) as source:
        require = partial(require_kept, context, source, found.text, is_pinned=True)
        with creating(pages, NewVolume(state, source), require=require, add=add) as row:
            yield row


def drop_volume(
    context: Context, row: VolumeRow, change: Callable[[], None] = lambda: None, *, waits: bool = True
) -> None:
    """Drop a volume; ``change`` changes the catalog in the same transaction, before.

    Raises ClusterNotFoundError if another process was first, StoreBusyError (at once, not to wait).
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
    """A VFS that has only this volume, which has no name."""
    name = f"{context.vfs.name}-building-{row.volume}"
    return context.plane.vfs(name, context.pages, lambda _: Target(row, lambda: None), Durability.FULL)


@contextmanager
def building(context: Context, row: VolumeRow, *, read_only: bool = False) -> Iterator[sqlite.Connection]:
    """A connection to a volume that has no name yet."""
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
def lent(context: Context, found: Found, *, read_only: bool = False) -> Iterator[tuple[VolumeRow, sqlite.Connection]]:
    """A version as a volume without a name, for the length of the body, and a connection to it."""
    context.require_writable()
    with clone_volume(context, found, VolumeState.BUILDING) as row:
        try:
            with building(context, row, read_only=read_only) as connection:
                yield row, connection
        finally:
            drop_volume(context, row)
