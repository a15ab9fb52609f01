"""The SQLite boundary: an ``apsw.VFS`` whose main database files are volumes.

Names.  A name without a slash or a dot is resolved to a volume; every other name is a plain file and is passed to the
VFS that was the default when this one was registered (never to another :class:`ClusterVFS`, which may be the default
too), so ``ATTACH './other.db'`` and ``VACUUM INTO 'copy.db'`` work as usual; the files of a store are refused, by any
path (own_files.py).  Nameless files (temporary databases, sorter runs, statement journals) are passed there too.  The
full path of a volume's name is in the store's directory, although no such file exists: SQLite names super-journals
after it, and those must be real files, since the rollback journals of attached plain files refer to them
(https://sqlite.org/atomiccommit.html, section 5).

Rollback journals are needed for ROLLBACK TO and for rolling back pages that SQLite has already written, never for
recovery.  Connections of clusterdb keep them in memory (``journal_mode=MEMORY``); for other connections and for
attached volumes :class:`~vfs.sqlite.memory_file.MemoryFile` replaces the journal file.  WAL would bypass the pool: a
request for it returns the present mode, as SQLite does when a mode cannot be set.
"""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import apsw

from vfs.abc import Durability, Resolver
from vfs.errors import StorageError
from vfs.interrupts import uninterrupted
from vfs.sqlite.file import VolumeFile
from vfs.sqlite.memory_file import MemoryFile
from vfs.sqlite.own_files import is_of_store
from vfs.sqlite.results import translated
from vfs.storage.pool import Pool
from vfs.storage.volumes import open_volume

__all__ = ["ClusterVFS", "PlainConnection"]

_VOLUME_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_SUPER_JOURNAL = re.compile(r"-mj[0-9A-F]{6}9[0-9A-F]{2}\Z")


PlainConnection = apsw.Connection
"""A connection to a plain database."""


class ClusterVFS(apsw.VFS):
    """A VFS over a store, registered under ``name`` until :meth:`close`."""

    mmap_bytes = 0
    _names: ClassVar[set[str]] = set()

    def __init__(self, name: str, store: Pool, resolve: Resolver, default_durability: Durability) -> None:
        self.name = name
        self._folder = self.folder_of(store, name)
        self._store = store
        self._resolve = resolve
        self._default_durability = default_durability
        self.files: WeakSet[VolumeFile] = WeakSet()  # a signal handler may raise before xClose has begun
        self._volume_name = lru_cache(maxsize=1024)(self._find_volume_name)
        self._plain = self.plain_name()
        self.add_name(name)
        super().__init__(name, base=self._plain, maxpathname=4096)

    @staticmethod
    def folder_of(store: Pool, name: str) -> Path:
        """The directory of the full paths of volumes in the VFS with this name."""
        if store.directory is not None:
            return store.directory.absolute()
        import tempfile

        return Path(tempfile.gettempdir()) / f"{name}-{os.getpid()}"  # created when a super-journal needs it

    @classmethod
    def add_name(cls, name: str) -> None:
        """Note that a VFS is one of a store, so that plain files are never passed to it."""
        cls._names.add(name)

    @classmethod
    def remove_name(cls, name: str) -> None:
        """Note that the VFS of a store is unregistered."""
        cls._names.discard(name)

    @classmethod
    def plain_name(cls) -> str:
        """The VFS for plain files: the default one, or the next if that is one of a store, which refuses its files."""
        return next(name for name in apsw.vfs_names() if name not in cls._names)

    @classmethod
    def connect_plain(cls, path: str) -> apsw.Connection:
        """Open a plain database by the VFS for plain files.  Raises apsw.Error."""
        return apsw.Connection(path, vfs=cls.plain_name())

    # --- VFS methods ------------------------------------------------------------------------------------------------
    def xFullPathname(self, name: str) -> str:
        if _VOLUME_NAME.match(name):
            return str(self._folder / name)
        return str(Path(name).absolute())

    def _find_volume_name(self, path: str) -> str | None:
        """The name in the path of a volume or of its journal; None for a plain file."""
        folder, _, name = path.rpartition("/")
        return name if folder in ("", str(self._folder)) and _VOLUME_NAME.match(name) else None

    def xAccess(self, pathname: str, flags: int) -> bool:
        if self._volume_name(pathname) is None or _SUPER_JOURNAL.search(pathname):
            return super().xAccess(pathname, flags)
        return False

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self._volume_name(filename) is None or _SUPER_JOURNAL.search(filename):
            super().xDelete(filename, syncdir)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name if name is None or isinstance(name, str) else name.filename()
        volume_name = None if path is None else self._volume_name(path)
        if volume_name is None:
            if path is not None:
                self._require_foreign(path)
            return apsw.VFSFile(self._plain, name, flags)
        if flags[0] & apsw.SQLITE_OPEN_SUPER_JOURNAL:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return apsw.VFSFile(self._plain, name, flags)
        if flags[0] & apsw.SQLITE_OPEN_WAL:
            raise apsw.CantOpenError(f"cluster '{volume_name}' has no write-ahead log")
        flags[1] = flags[0]
        if not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return MemoryFile()
        if self._store.read_only:
            flags[1] = apsw.SQLITE_OPEN_READONLY | flags[0] & ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        return self.open_volume_file(volume_name, name, flags)

    def open_volume_file(self, volume_name: str, name: Any, flags: list[int]) -> Any:
        """Open a volume for SQLite, which passes ``name``; ``flags[1]`` are the flags that it receives."""
        file = self._open_volume(volume_name, read_only=bool(flags[1] & apsw.SQLITE_OPEN_READONLY))
        if isinstance(name, apsw.URIFilename) and any(name.uri_boolean(key, False) for key in ("nolock", "immutable")):
            file.xLock(apsw.SQLITE_LOCK_SHARED)  # SQLite will not call xLock: pin the present version
        return file

    def _require_foreign(self, path: str) -> None:
        """Raise CantOpenError for a file of a store."""
        if is_of_store(Path(path), self._store.directory, self._store.open_files()):
            raise apsw.CantOpenError(f"'{path}' is a file of a store: open a cluster by its name instead")

    def _open_volume(self, name: str, *, read_only: bool) -> VolumeFile:
        try:
            with uninterrupted:
                target = self._resolve(name)
                read_only = read_only or target.read_only
                volume = open_volume(self._store, target.row, read_only=read_only, follow=target.follow)
        except LookupError as error:
            raise apsw.CantOpenError(str(error.args[0])) from error
        except (StorageError, OSError, MemoryError) as error:
            raise translated(error, name) from error
        file = VolumeFile(name, volume, self._default_durability, self.files, target)
        self.files.add(file)
        return file

    def xSleep(self, microseconds: int) -> int:
        """Sleep while SQLite waits for a lock; the method of apsw would block all threads of the interpreter."""
        time.sleep(microseconds / 1e6)
        return microseconds

    def close(self) -> None:
        """Unregister the VFS; no file may be open."""
        self.unregister()
        self.remove_name(self.name)
        if self._store.directory is None and self._folder.exists():
            self._folder.rmdir()

    def open_names(self) -> list[str]:
        """The names of the volumes that connections have open through this VFS."""
        return sorted({file.name for file in self.files})

    def open_count(self) -> int:
        """The number of open files."""
        return len(self.files)

    def orphan_files(self) -> None:
        """Disable every open file in the child of a fork, since the parent owns its locks and pins."""
        for file in list(self.files):
            file.orphan()
