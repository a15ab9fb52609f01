"""The SQLite boundary: an ``apsw.VFS`` whose main database files are volumes.

Names.  A name without a slash or a dot is resolved to a volume; every other name is a plain file and goes to the
default VFS of the moment when ours was made (never to one of ours, which may be the default too), so ``ATTACH
'./other.db'`` and ``VACUUM INTO 'copy.db'`` do what they say; the files of a store are refused, by whatever path they
are named (own_files.py).  Nameless files (temporary databases, sorter runs, statement journals) go there too.  The full
path of a volume's name lies in the store's directory, though no such file exists: SQLite names super-journals after it,
and those must be real files, since the rollback journals of attached plain files refer to them
(https://sqlite.org/atomiccommit.html, section 5).

Lock states of an open volume, named as SQLite names them, and what each owns:

    NONE ---xLock(SHARED)---> SHARED ---xLock(RESERVED)---> RESERVED ---xLock(EXCLUSIVE)---> EXCLUSIVE
                              a pinned version              a WriteTransaction                (the same: readers have
                                                            (the volume's writer lock)         their own version)

A commit is published at SQLITE_FCNTL_COMMIT_PHASETWO: it comes on every commit, after the last xWrite and xTruncate,
and never on a rollback.  An error there must be SQLITE_IOERR or SQLITE_FULL: then the pager discards its cache.

Rollback journals are needed for ROLLBACK TO and for rolling back what SQLite already wrote, never for recovery.  Our
connections keep them in memory (``journal_mode=MEMORY``); for connections opened by others and for attached volumes
:class:`_MemoryFile` stands in for the journal file.  WAL would bypass the pool: asked for it, we answer the mode in
force, as SQLite does when a mode cannot be set.

The change counter of page 1 (bytes 24-27 and 92-95, https://sqlite.org/fileformat2.html#file_change_counter) is kept
equal to the volume's version in what is stored, so that whatever version a connection sees next, its cache can tell.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

import apsw

from vfs.errors import (
    CorruptionError,
    FencedError,
    InstanceRestartedError,
    PoolFullError,
    ReadOnlyError,
    RegistryBusyError,
    SnapshotMovedError,
    StorageError,
    VolumeDroppedError,
    WriterBusyError,
)
from vfs.instances import InstanceView
from vfs.interrupts import uninterrupted
from vfs.layout import V_EPOCH
from vfs.own_files import is_of_store
from vfs.registry import Target, VolumeRow
from vfs.store import PageStore
from vfs.volume import Durability, Volume, WriteTransaction

__all__ = ["ClusterVFS", "Resolver", "continue_from"]

Resolver = Callable[[str], Target]
"""Name -> volume.  Raises LookupError with a text for the user when there is none."""

_NONE, _SHARED, _RESERVED = 0, apsw.SQLITE_LOCK_SHARED, apsw.SQLITE_LOCK_RESERVED
_FCNTL_PRAGMA = apsw.SQLITE_FCNTL_PRAGMA
_FCNTL_COMMIT_PHASETWO = apsw.SQLITE_FCNTL_COMMIT_PHASETWO
_FCNTL_HAS_MOVED = apsw.SQLITE_FCNTL_HAS_MOVED
_CHARACTERISTICS = apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE | apsw.SQLITE_IOCAP_SAFE_APPEND | apsw.SQLITE_IOCAP_SEQUENTIAL
_VOLUME_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_SUPER_JOURNAL = re.compile(r"-mj[0-9A-F]{6}9[0-9A-F]{2}\Z")
_SYNCHRONOUS = {"0": 0, "OFF": 0, "NO": 0, "FALSE": 0, "1": 1, "NORMAL": 1, "2": 2, "FULL": 2, "3": 2, "EXTRA": 2}
_TEND_COMMITS = 256
_BYPASSING_JOURNAL_MODES = ("WAL", "OFF")
_JOURNAL_MODES = ("DELETE", "TRUNCATE", "PERSIST", "MEMORY")


_RESULTS: tuple[tuple[type[Exception], type[apsw.Error], int], ...] = (
    (WriterBusyError, apsw.BusyError, apsw.SQLITE_BUSY),
    (SnapshotMovedError, apsw.BusyError, apsw.SQLITE_BUSY_SNAPSHOT),
    (FencedError, apsw.ReadOnlyError, apsw.SQLITE_READONLY_DBMOVED),
    (InstanceRestartedError, apsw.ReadOnlyError, apsw.SQLITE_READONLY_DBMOVED),
    (RegistryBusyError, apsw.BusyError, apsw.SQLITE_BUSY),
    (PoolFullError, apsw.FullError, apsw.SQLITE_FULL),
    (CorruptionError, apsw.CorruptError, apsw.SQLITE_CORRUPT),
    (ReadOnlyError, apsw.ReadOnlyError, apsw.SQLITE_READONLY),
    (VolumeDroppedError, apsw.IOError, apsw.SQLITE_IOERR_DELETE_NOENT),
    (MemoryError, apsw.NoMemError, apsw.SQLITE_NOMEM),
    (Exception, apsw.IOError, apsw.SQLITE_IOERR),
)
"""Storage error -> the apsw exception and the SQLite result code for it; the first that fits."""


def _translate(error: Exception, name: str) -> Exception:
    """The apsw exception that carries the SQLite result code for a storage error."""
    kind, code = next((kind, code) for known, kind, code in _RESULTS if isinstance(error, known))
    translated: Any = kind(f"cluster '{name}': {error}")
    translated.extendedresult = code
    return translated  # type: ignore[no-any-return]


class _InterruptedCommit(apsw.IOError, KeyboardInterrupt):
    """Ctrl-C in a commit: SQLITE_IOERR for the pager, KeyboardInterrupt for the program."""


def _folder_of(store: PageStore, name: str) -> Path:
    if store.directory is not None:
        return store.directory.absolute()
    return Path(tempfile.gettempdir()) / f"{name}-{os.getpid()}"  # made when a super-journal needs it


class ClusterVFS(apsw.VFS):
    """A VFS over one store, registered under ``name`` until :meth:`close`."""

    _names: ClassVar[set[str]] = set()

    def __init__(self, name: str, store: PageStore, resolve: Resolver, default_durability: Durability) -> None:
        self.name = name
        self._folder = _folder_of(store, name)
        self._store = store
        self._resolve = resolve
        self._default_durability = default_durability
        self.files: WeakSet[_VolumeFile] = WeakSet()  # a signal handler may raise before xClose has begun
        self._volume_name = lru_cache(maxsize=1024)(self._find_volume_name)
        self._plain = self.plain_name()
        self._names.add(name)
        super().__init__(name, base=self._plain, maxpathname=4096)

    @classmethod
    def plain_name(cls) -> str:
        """The VFS for plain files: the default one, or the next if that is one of ours."""
        return next(name for name in apsw.vfs_names() if name not in cls._names)

    # --- VFS methods ------------------------------------------------------------------------------------------------
    def xFullPathname(self, name: str) -> str:
        if _VOLUME_NAME.match(name):
            return str(self._folder / name)
        return str(Path(name).absolute())

    def _find_volume_name(self, path: str) -> str | None:
        """The name in the path of a volume, or of a journal of one; None for a plain file."""
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
            raise apsw.CantOpenError(f"'{volume_name}': a cluster has no write-ahead log")
        flags[1] = flags[0]
        if not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _MemoryFile()
        if self._store.read_only:
            flags[1] = apsw.SQLITE_OPEN_READONLY | flags[0] & ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        file = self._open_volume(volume_name, read_only=bool(flags[1] & apsw.SQLITE_OPEN_READONLY))
        if isinstance(name, apsw.URIFilename) and any(name.uri_boolean(key, False) for key in ("nolock", "immutable")):
            file.xLock(_SHARED)  # SQLite will call no xLock: what is read is the version of this moment
        return file

    def _require_foreign(self, path: str) -> None:
        """Raises CantOpenError for a file of a store."""
        if is_of_store(Path(path), self._store.directory, self._store.open_files()):
            raise apsw.CantOpenError(f"'{path}' is a file of a store: connections open clusters by their names only")

    def _open_volume(self, name: str, *, read_only: bool) -> _VolumeFile:
        try:
            with uninterrupted:
                target = self._resolve(name)
                read_only = read_only or target.read_only
                volume = self._store.open_volume(target.row, read_only=read_only, follow=target.follow)
        except LookupError as error:
            raise apsw.CantOpenError(str(error.args[0])) from error
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, name) from error
        kind = _VolumeFile if target.instance is None else _InstanceFile
        file = kind(name, volume, self._default_durability, self.files, target)
        self.files.add(file)
        return file

    def xSleep(self, microseconds: int) -> int:
        """SQLite waits for a lock; apsw's own would keep all other threads of the interpreter waiting too."""
        time.sleep(microseconds / 1e6)
        return microseconds

    def close(self) -> None:
        """Unregister; no file may be open."""
        self.unregister()
        self._names.discard(self.name)
        if self._store.directory is None and self._folder.exists():
            self._folder.rmdir()

    def forget_files(self) -> None:
        """In the child of a fork: make every open file refuse to work (the parent owns its locks and pins)."""
        for file in list(self.files):
            file.__class__ = _ForkedFile


class _VolumeFile:
    """One connection's open volume.  See the module docstring for its states."""

    def __init__(
        self, name: str, volume: Volume, durability: Durability, open_files: WeakSet[_VolumeFile], target: Target
    ) -> None:
        self.name = name
        self._target = target
        self._commit_count = self._read_count = 0
        self._open_files = open_files
        self._volume = volume
        self._transaction: WriteTransaction | None = None
        self._level = _NONE
        self._source: Volume | WriteTransaction | _Elsewhere | _AtOpening = _AtOpening(self)  # whom to read from
        self._durability = durability
        self._journal_mode = "delete"

    @property
    def volume(self) -> Volume:
        """The handle it reads and writes through."""
        return self._volume

    @property
    def is_locked(self) -> bool:
        """Whether a version is pinned by a lock of SQLite's."""
        return self._level != _NONE

    # --- locks ------------------------------------------------------------------------------------------------------
    def xLock(self, level: int) -> None:
        try:
            if level == _SHARED:
                if self._level != _NONE:  # a signal handler raised as SQLite called xUnlock, which it does not repeat
                    self.xUnlock(_NONE)
                if self._level == _NONE:
                    moves = self._volume.move_count
                    self._pin()
                    if self._volume.move_count != moves:
                        self._source = _Elsewhere(self)
            elif level == _RESERVED:
                if self._transaction is None:
                    self._source = self._transaction = self._volume.begin_write()
            elif self._transaction is None and level > _SHARED:
                # EXCLUSIVE straight from SHARED: a hot journal; we report none
                raise apsw.BusyError(f"BUG: cluster '{self.name}': lock level {level} asked without RESERVED")
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, self.name) from error
        self._level = level

    def _pin(self) -> None:
        self._volume.pin()

    def _unpin(self) -> None:
        self._volume.unpin()

    def is_here(self) -> None:
        """SQLite has noticed that it reads another volume now."""
        self._source = self._transaction or self._volume

    def read_unlocked(self, amount: int, offset: int) -> bytes:
        """Bytes of the version of this moment."""
        self._pin()
        try:
            return bytes(self._volume.read(amount, offset))
        finally:
            self._unpin()

    def xUnlock(self, level: int) -> None:
        try:
            if level <= _SHARED and self._transaction is not None:
                transaction, self._transaction = self._transaction, None
                self._source = self._volume
                transaction.end()
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, self.name) from error
        finally:
            if level == _NONE:
                self._unpin()
                self._volume.count_read(self._read_count)
                self._read_count = 0
                if self._commit_count > _TEND_COMMITS:
                    self._commit_count = 0
                    self._target.tend()
            self._level = level

    def xCheckReservedLock(self) -> bool:
        return self._transaction is not None or self._volume.is_being_written()

    # --- reading and writing ----------------------------------------------------------------------------------------
    def xRead(self, amount: int, offset: int) -> bytes | memoryview:
        self._read_count += 1
        try:
            return self._source.read(amount, offset)
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, self.name) from error

    def xFileSize(self) -> int:
        return self._source.size_bytes

    def _writer(self) -> WriteTransaction:
        if self._transaction is None:
            raise apsw.IOError(f"cluster '{self.name}' is written to without a lock: was it opened with nolock=1?")
        return self._transaction

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._writer().write(data, offset)
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, self.name) from error

    def xTruncate(self, newsize: int) -> None:
        try:
            self._writer().truncate(newsize)
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, self.name) from error

    def xSync(self, flags: int) -> None:
        """Nothing: the one sync of a commit is made when it is published."""

    # --- controls ---------------------------------------------------------------------------------------------------
    def xFileControl(self, op: int, ptr: int) -> bool:
        if op == _FCNTL_COMMIT_PHASETWO:
            if self._transaction is not None:
                self._publish(self._transaction)
            return True
        if op == _FCNTL_PRAGMA:
            return self._pragma(apsw.VFSFcntlPragma(ptr))
        return False

    def _publish(self, transaction: WriteTransaction) -> None:
        try:
            if not transaction.is_unchanged():
                _stamp(transaction)
                transaction.publish(self._durability)
                if self._volume.keeps_past:
                    self._commit_count += 1
        except PoolFullError as error:
            raise _translate(error, self.name) from error
        except BaseException as error:
            # Whatever it was: only for IOERR and FULL does the pager drop the pages that were not published.
            kind = _InterruptedCommit if isinstance(error, KeyboardInterrupt) else apsw.IOError
            failure: Any = kind(f"cluster '{self.name}': {error or 'interrupted'}")
            failure.extendedresult = apsw.SQLITE_IOERR_WRITE
            raise failure from error

    def _pragma(self, pragma: apsw.VFSFcntlPragma) -> bool:
        name, value = pragma.name.lower(), pragma.value
        if name == "synchronous" and value is not None:
            number = _SYNCHRONOUS.get(value.strip().upper())
            if number is not None and self._level == _NONE:  # SQLite refuses it inside a transaction
                self._durability = Durability(number)
        elif name == "journal_mode" and value is not None:
            mode = value.strip().upper()
            if mode in _BYPASSING_JOURNAL_MODES:
                pragma.result = self._journal_mode
                return True
            if mode in _JOURNAL_MODES and self._transaction is None:
                self._journal_mode = mode.lower()
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return _CHARACTERISTICS

    def xClose(self) -> None:
        self._open_files.discard(self)
        try:
            if self._transaction is not None:
                transaction, self._transaction = self._transaction, None
                transaction.end()
        finally:
            self._close_volume()

    def _close_volume(self) -> None:
        try:
            with uninterrupted:
                self._volume.close()
        except (StorageError, OSError, MemoryError) as error:
            raise _translate(error, self.name) from error


class _InstanceFile(_VolumeFile):
    """A volume file of a connection that was made through an instance."""

    _is_frozen = False

    @property
    def _instance(self) -> InstanceView:
        assert self._target.instance is not None
        return self._target.instance

    def _pin(self) -> None:
        self._instance.require_up()
        if self._is_frozen and self._instance.replica_fails():
            return  # what was pinned still is
        if self._target.read_only and self._instance.lags:
            self._volume.pin_as_of(self._instance.visible_ns())
        else:
            self._volume.pin()

    def _unpin(self) -> None:
        """A reader that is cut off from its writer keeps what it has."""
        self._is_frozen = self._target.read_only and self._instance.is_cut_off()
        if not self._is_frozen:
            super()._unpin()

    def xRead(self, amount: int, offset: int) -> bytes | memoryview:
        try:
            self._instance.touch_disk()
        except StorageError as error:
            raise _translate(error, self.name) from error
        return super().xRead(amount, offset)

    def _publish(self, transaction: WriteTransaction) -> None:
        try:
            self._instance.require_up()
            self._instance.touch_disk()
        except StorageError as error:
            failure: Any = apsw.IOError(f"cluster '{self.name}': {error}")
            failure.extendedresult = apsw.SQLITE_IOERR_WRITE
            raise failure from error
        super()._publish(transaction)


class _Elsewhere:
    """The volume of a connection whose cluster has gone over to it, until SQLite looks whether its cache is still good.

    It compares 16 bytes at offset 24 of the first page (the change counter and what follows; pager.c,
    sqlite3PagerSharedLock), which another volume may have in common with the former one.
    """

    def __init__(self, file: _VolumeFile) -> None:
        self._file = file
        self._volume = file.volume

    @property
    def size_bytes(self) -> int:
        return self._volume.size_bytes

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        self._file.is_here()
        if (amount, offset) == (16, 24):
            return b"\xff" * 16  # no database has this there
        return self._volume.read(amount, offset)


class _AtOpening(_Elsewhere):
    """The volume of a connection that is being opened: SQLite reads the page size from the header, under no lock."""

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        if not self._file.is_locked:
            return self._file.read_unlocked(amount, offset)
        self._file.is_here()
        return self._volume.read(amount, offset)


def _stamp(transaction: WriteTransaction) -> None:
    """Make page 1 say what we promise of it: the change counter, and a rollback-journal file format."""
    header = bytes(transaction.read(100, 0))
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return
    counter = (transaction.new_version & 0xFFFFFFFF).to_bytes(4, "big")
    if header[24:28] != counter or header[92:96] != counter:
        transaction.write(counter + header[28:92] + counter, 24)
    if header[18:20] != b"\1\1":  # copied from a database in WAL mode
        transaction.write(b"\1\1", 18)


_COOKIE_AT = 40
"""Of the schema cookie in page 1 (https://sqlite.org/fileformat2.html, section 1.3.9)."""


def continue_from(store: PageStore, row: VolumeRow, former: VolumeRow) -> None:
    """Let a volume that nobody has open yet continue where another is now: epoch, versions and schema cookie go on.

    Connections follow a cluster from one volume to another; by the cookie SQLite knows that it must read the schema
    anew and prepare its statements again.  An empty volume has none.
    """
    words, at = store.tables.words, store.tables.volume_at
    words[at(row.table_index) + V_EPOCH] = words[at(former.table_index) + V_EPOCH]
    with store.pinned(former) as volume:
        above, head = int.from_bytes(bytes(volume.read(4, _COOKIE_AT)), "big"), volume.version.version
    with store.session() as session:
        volume = Volume(store, row, session, read_only=False)
        volume.pin()
        if not volume.size_bytes:
            return
        transaction = volume.begin_write(head + 1)
        try:
            own = int.from_bytes(bytes(transaction.read(4, _COOKIE_AT)), "big")
            cookie = (max(own, above) + 1) & 0xFFFFFFFF
            transaction.write(cookie.to_bytes(4, "big"), _COOKIE_AT)
            _stamp(transaction)
            transaction.publish(Durability.FULL)
        finally:
            transaction.end()


class _ForkedFile(_VolumeFile):
    """A volume file in a process that did not open it: everything but closing fails."""

    def _refusal(self) -> Exception:
        return apsw.MisuseError(
            f"cluster '{self.name}': this connection was opened before a fork; open a new one in the child process"
        )

    def xLock(self, level: int) -> None:
        raise self._refusal()

    def xRead(self, amount: int, offset: int) -> bytes:
        raise self._refusal()

    def xFileSize(self) -> int:
        raise self._refusal()

    def _writer(self) -> WriteTransaction:
        raise self._refusal()

    def xUnlock(self, level: int) -> None:
        """The parent owns the locks."""

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xClose(self) -> None:
        self._open_files.discard(self)
        self._volume.session.locks.close()


class _MemoryFile:
    """A rollback or super-journal that never outlives its transaction, so it needs no disk."""

    def __init__(self) -> None:
        self._data = bytearray()

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if offset > len(self._data):
            self._data += bytes(offset - len(self._data))
        self._data[offset : offset + len(data)] = data

    def xTruncate(self, newsize: int) -> None:
        del self._data[newsize:]

    def xFileSize(self) -> int:
        return len(self._data)

    def xSync(self, flags: int) -> None: ...

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None:
        self._data = bytearray()
