"""The assembly of a store: opens its files, rebuilds derived files, connects storage and reclaim, and closes the store.

Opening, in order: directory and files; then, under the open lock, the catalog (by the layer above) and, if the derived
files do not belong to this boot, this pool and its present content (K1 of seals.py), their rebuild (recovery.py).
Every open store holds the store lock shared, so that a rebuild, which needs it exclusively, never replaces the tables
while another process uses them.  Closing, in order: reclaim, sessions; the catalog (by the layer above); the stamp,
files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from vfs.errors import CorruptionError, NotAPoolError, StoreInUseError, UnsupportedFileSystemError
from vfs.failpoints import reach
from vfs.format import locks
from vfs.format.layout import (
    FORMAT,
    SECTOR_BYTES,
    SLOT_BYTES,
    SLOT_SHIFT,
    PoolHeader,
    pack_header_sector,
    pack_pool_header,
    unpack_pool_header,
)
from vfs.format.shared import (
    LIVE_EVEN,
    MAP_HEADER_BYTES,
    MAP_MAGIC,
    READERS_BYTES,
    READERS_HEADER_BYTES,
    READERS_MAGIC,
    MapHeader,
    ReadersHeader,
)
from vfs.holds import Hold
from vfs.reclaim.cleanup import Cleanup
from vfs.reclaim.queue import ReclaimQueue
from vfs.registry import Registry
from vfs.storage.device import CALLS, REMOTE_FILE_SYSTEMS, LockFile, boot_id, file_system_of, open_again, sync, write_at
from vfs.storage.pool import Pool
from vfs.storage.seals import content_stamp, seal_written
from vfs.tools.recovery import damage_of, rebuild

__all__ = ["POOL_FILES", "PageStore", "sync_directory"]

POOL_FILES = ("locks", "pool", "map", "readers")
_FIRST_SLOTS = 64


class PageStore(Pool):
    """A pool with its reclaim, opened and closed: see the module docstring for the order."""

    queue: ReclaimQueue
    cleanup: Cleanup

    def __init__(
        self, directory: Path | None, *, create: bool, verify_reads: bool = False, read_only: bool = False
    ) -> None:
        """Open the files.  Raises UnsupportedFileSystemError, NotAPoolError, StoreInUseError, OSError.

        ``verify_reads``: check every page against its crc whenever it is read.  ``read_only``: no other process may
        write meanwhile.
        """
        if directory is not None and not read_only:
            _require_locks_hold(directory)
        super().__init__(directory, verify_reads=verify_reads, read_only=read_only)
        self.before_rebuild: Callable[[PageStore], None] = lambda pages: None
        self.after_rebuild: Callable[[PageStore], None] = lambda pages: None
        """What the layer above does before and after derived files are rebuilt: no other process has the store open."""
        self.upgraded_from: int | None = None
        """The format that the store had before, if opening it has upgraded it."""
        self._is_alone = False
        self._found_stamp = 0
        self._is_attached = False
        self._locks: LockFile | None = None
        try:
            for name in POOL_FILES:
                if read_only:
                    self._files[name] = _open_read_only(directory, name)
                else:
                    self._files[name] = _open_file(directory, name, create=create or name != "pool")
            self.pool_fd = self._files["pool"]
            self._locks = LockFile(open_again(self._files["locks"]))
        except BaseException:
            self.close()
            raise

    # --- opening ----------------------------------------------------------------------------------------------------
    def opening(self) -> Hold:
        """Take the open lock: no other process creates, opens or rebuilds the store meanwhile."""
        assert self._locks is not None
        return self._locks.lock(locks.OPEN)

    def look_at_content(self) -> None:
        """Check whether another process has the store open, and stamp its files (the caller holds the open lock).

        Called before the catalog is opened, which may change its files.
        """
        assert self._locks is not None
        self._is_alone = self._locks.keep(locks.STORE)  # exclusively, until start() shares it
        if self._is_alone and self.directory is not None and not self.read_only:
            self._found_stamp = content_stamp(self.directory)

    def start(self, registry: Registry, store_id: bytes, *, rebuilds: bool = False) -> None:
        """Prepare the store for use, rebuilding derived files if necessary (the caller holds the open lock).

        ``rebuilds``: rebuild them in any case.

        Raises FormatError, CorruptionError, StoreInUseError, OSError.
        """
        assert self._locks is not None
        self.registry = registry
        if self.size_bytes() <= SLOT_BYTES and not registry.volume_rows() and not self.read_only:
            self._create_pool(store_id)  # the store is new, or its creation was interrupted
        if self.size_bytes() == 0:
            raise CorruptionError("the page pool is empty, but the catalog has volumes: restore both from one backup")
        header = unpack_pool_header(self.header())
        if header.store_id != store_id:
            raise CorruptionError("catalog.db and pool belong to different stores: restore both from one backup")
        if not self.read_only and (header.format < FORMAT or not header.is_whole):
            self._upgrade(header)
        if rebuilds or not self._derived_files_are_valid():
            if not self._is_alone:
                raise StoreInUseError(
                    "its files 'map' and 'readers' must be rebuilt, but other processes have it open: close those first"
                )
            self._create_derived_files()
            self._assemble()
            self.before_rebuild(self)
            rebuild(self)
            self.after_rebuild(self)
            self._mark_derived_files_valid()
        else:
            self._assemble()
        self.slot_map.header.closed = 0  # K1: a reader may have the store open, and have left the stamp in place
        self._locks.keep(locks.STORE, shared=True)

    def _create_pool(self, store_id: bytes) -> None:
        write_at(self.pool_fd, [pack_pool_header(store_id)], 0)
        if self.is_durable:
            sync(self.pool_fd)
            sync_directory(self.directory or Path())

    def _upgrade(self, header: PoolHeader) -> None:
        """Upgrade the store to the present format, which its header alone states: pages of format 1 remain valid.

        The copy in the second sector is written first: if a power failure tears one sector, the other is whole.  Raises
        StoreInUseError if processes of a release that does not know this format may have the store open, OSError.
        """
        if not self._is_alone:
            raise StoreInUseError(
                f"it has format {header.format}, and cannot be upgraded to format {FORMAT} while other processes have "
                "it open: close those first"
            )
        sector = pack_header_sector(header.store_id)
        for at in (SECTOR_BYTES, 0):
            write_at(self.pool_fd, [sector], at)
            sync(self.pool_fd)
            reach("upgrade: sector written")
        self.upgraded_from = header.format if header.format < FORMAT else None

    def _identity(self) -> list[int]:
        boot = boot_id()
        stat = os.fstat(self.pool_fd)
        return [
            MAP_MAGIC,
            int.from_bytes(boot[:8], "little"),
            int.from_bytes(boot[8:], "little"),
            stat.st_dev,
            stat.st_ino,
        ]

    def _derived_files_are_valid(self) -> bool:
        assert self._locks is not None
        with self._locks.lock(locks.POOL):  # otherwise the pool might grow or shrink meanwhile
            return self._derived_files_look_valid()

    def _derived_files_look_valid(self) -> bool:
        map_header = os.pread(self._files["map"], MAP_HEADER_BYTES, 0)
        readers_header = os.pread(self._files["readers"], READERS_HEADER_BYTES, 0)
        if len(map_header) < MAP_HEADER_BYTES or len(readers_header) < READERS_HEADER_BYTES:
            return False
        header = MapHeader.from_buffer_copy(map_header)
        is_of_content = not self._is_alone or header.closed == self._found_stamp
        return (
            is_of_content
            and header.identity() == self._identity()
            and ReadersHeader.from_buffer_copy(readers_header).magic == READERS_MAGIC
            and os.fstat(self._files["readers"]).st_size == READERS_BYTES
            and os.fstat(self._files["map"]).st_size >= MAP_HEADER_BYTES + 2 * header.slot_count
            and os.fstat(self.pool_fd).st_size >= header.slot_count << SLOT_SHIFT
        )

    def _create_derived_files(self) -> None:
        """Create empty tables, sized for the present pool and not marked valid yet."""
        slot_count = max(_FIRST_SLOTS, self.size_bytes() >> SLOT_SHIFT)
        if not self.read_only:
            CALLS.ftruncate(self.pool_fd, slot_count << SLOT_SHIFT)
        for name, size in (
            ("map", MAP_HEADER_BYTES + 2 * slot_count),
            ("readers", READERS_BYTES),
        ):
            CALLS.ftruncate(self._files[name], 0)
            CALLS.ftruncate(self._files[name], size)
            if self.is_durable:  # report a full disk here, not as SIGBUS when the mapping is written to
                CALLS.allocate(self._files[name], 0, size)
        os.pwrite(self._files["map"], slot_count.to_bytes(8, "little"), 8 * MapHeader.word("slot_count"))
        os.pwrite(self._files["map"], LIVE_EVEN.to_bytes(2, "little"), MAP_HEADER_BYTES)

    def _mark_derived_files_valid(self) -> None:
        self.tables.header.magic = READERS_MAGIC
        header = self.slot_map.header
        magic, header.boot_low, header.boot_high, header.device, header.inode = self._identity()
        header.magic = magic  # last

    def _assemble(self) -> None:
        """Map the files, and connect storage with the rooms above it."""
        self._attach()
        self._is_attached = True
        self.queue = ReclaimQueue(self)
        self.reclaimer = self.cleanup = Cleanup(self.queue)
        self.damage_of = partial(damage_of, self)

    def forget_locks(self) -> None:
        """Close the descriptions whose locks belong to the parent, in the child of a fork, and share no words with it.

        Otherwise an object of the parent that ends here would release a lock, a pin or a mark that the parent has.
        """
        for session in list(self.sessions):
            session.locks.close()
        if self.companion is not None:
            self.companion.forget_locks()
        if self._locks is not None:
            self._locks.close()
        if self._is_attached:
            self.tables.make_private()
            self.slot_map.make_private()

    # --- closing ----------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Reclaim as far as possible, seal written volumes, and end all sessions; to be followed by :meth:`close`."""
        try:
            if self._keeper is not None:
                if not self.has_failed and self.queue.waiting_count():
                    with self.session() as session:
                        self.cleanup.tidy_all(session, sync=True)
                self.queue.abandon(self._keeper)
            if self.written and not self.has_failed and not self.read_only:
                with self.session() as session:
                    seal_written(self, session)
        finally:
            if self.companion is not None:
                self.companion.close_sessions()
            for session in list(self.sessions):
                session.close()

    def close(self) -> None:
        """Stamp the derived files if no other process has the store open (K1), and close the files."""
        try:
            self._stamp()
        finally:
            for session in list(self.sessions):
                session.close()
            if self._locks is not None:
                self._locks.close()
            if self.companion is not None:
                self.companion.close()
                self.companion = None
            if self.residence is not None:
                self.residence.close()
                self.residence = None
            for fd in self._files.values():
                os.close(fd)
            self._files = {}
            self.history.close()
            self._detach()

    def _stamp(self) -> None:
        """Stamp the derived files with the state of the content, if they match it."""
        if self._locks is None or not self._is_attached or self.directory is None or self.read_only or self.has_failed:
            return
        hold = self._locks.try_lock(locks.OPEN)
        if hold is None:
            return  # another process is opening the store, and will close it
        with hold:
            if self._locks.keep(locks.STORE):
                self.slot_map.header.closed = content_stamp(self.directory)

    def _detach(self) -> None:
        """Unmap the files now, rather than at the next garbage collection."""
        if self._is_attached:
            self._is_attached = False
            for view in (self.pool_words, self.pool_bytes):
                with suppress(BufferError):  # a view of a page is still in use
                    view.release()
            self._pool_mapping.close()
            self.slot_map.close()
            self.tables.close()


def _open_file(directory: Path | None, name: str, *, create: bool) -> int:
    if directory is None:
        return os.memfd_create(f"clusterdb-{name}", os.MFD_CLOEXEC)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    try:
        return os.open(directory / name, flags, 0o600)
    except FileNotFoundError:
        raise NotAPoolError(f"{directory} is not a store: it has no file '{name}'") from None


def _open_read_only(directory: Path | None, name: str) -> int:
    """Open the pool read-only, or anonymous memory for derived files.  Raises NotAPoolError, StoreInUseError."""
    assert directory is not None, "BUG: a store in memory cannot be read-only"
    if name == "pool":
        try:
            return os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotAPoolError(f"{directory} is not a store: it has no file 'pool'") from None
    if name == "locks" and (directory / name).exists():
        lock_file = LockFile(os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        try:
            if lock_file.is_held_by_other(locks.STORE):
                raise StoreInUseError("other processes have it open for writing: open it for writing too")
        finally:
            lock_file.close()
    return os.memfd_create(f"clusterdb-{name}", os.MFD_CLOEXEC)


def _require_locks_hold(directory: Path) -> None:
    file_system = file_system_of(directory)
    if file_system in REMOTE_FILE_SYSTEMS:
        raise UnsupportedFileSystemError(
            f"it is on a {file_system} file system, where locks and shared memory do not work between machines: "
            "use a local file system"
        )


def sync_directory(directory: Path) -> None:
    """Sync the names in a directory to the device."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
