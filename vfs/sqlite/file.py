"""The main database file of a connection: implements SQLite's calls on it with a volume.

Lock states of an open volume, with SQLite's names, and what the file owns in each:

    NONE ---xLock(SHARED)---> SHARED ---xLock(RESERVED)---> RESERVED ---xLock(EXCLUSIVE)---> EXCLUSIVE
                              a pinned version              a WriteTransaction                (the same: readers have
                                                            (the volume's writer lock)         their own version)

A commit is published at SQLITE_FCNTL_COMMIT_PHASETWO, which SQLite calls for every commit, after the last xWrite and
xTruncate, and never for a rollback.  An error there must be SQLITE_IOERR or SQLITE_FULL, so that the pager discards its
cache.

A *gate* (:class:`vfs.abc.Gate`) may decide which version a transaction sees, and whether it may read and commit.  In
the child of a fork the volume is replaced by one that refuses everything.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol
from weakref import WeakSet

import apsw

from vfs.abc import Durability, Gate, Handle, Target, Transaction
from vfs.errors import PoolFullError, StorageError
from vfs.interrupts import uninterrupted
from vfs.sqlite.orphan import Orphan
from vfs.sqlite.results import failed_commit, translated

__all__ = ["VolumeFile"]

_NONE, _SHARED, _RESERVED = 0, apsw.SQLITE_LOCK_SHARED, apsw.SQLITE_LOCK_RESERVED
_FCNTL_PRAGMA = apsw.SQLITE_FCNTL_PRAGMA
_FCNTL_COMMIT_PHASETWO = apsw.SQLITE_FCNTL_COMMIT_PHASETWO
_CHARACTERISTICS = apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE | apsw.SQLITE_IOCAP_SAFE_APPEND | apsw.SQLITE_IOCAP_SEQUENTIAL
_SYNCHRONOUS = {"0": 0, "OFF": 0, "NO": 0, "FALSE": 0, "1": 1, "NORMAL": 1, "2": 2, "FULL": 2, "3": 2, "EXTRA": 2}
_BYPASSING_JOURNAL_MODES = ("WAL", "OFF")
_JOURNAL_MODES = ("DELETE", "TRUNCATE", "PERSIST", "MEMORY")


class _Source(Protocol):
    """The object that a file reads from."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, amount: int, offset: int) -> bytes | memoryview: ...


class VolumeFile:
    """The open volume of a connection.  See the module docstring for its states."""

    def __init__(
        self, name: str, volume: Handle, durability: Durability, open_files: WeakSet[VolumeFile], target: Target
    ) -> None:
        self.name = name
        self._target = target
        self._read_count = 0
        self._open_files = open_files
        self._transaction: Transaction | None = None
        self._level = _NONE
        self._durability = durability
        self._journal_mode = "delete"
        self._use(volume, target.gate() if target.gate is not None else None)
        self._source: _Source = _AtOpening(self, volume)

    def _use(self, volume: Handle, gate: Gate | None) -> None:
        """Pin and read through this volume and gate."""
        self._volume = volume
        self._gate = gate
        self._pin = volume.pin if gate is None else partial(gate.pin, volume)
        self._unpin = volume.unpin if gate is None else partial(gate.unpin, volume)

    def orphan(self) -> None:
        """Refuse everything except closing in the child of a fork, since the parent owns the locks and pins."""
        orphan = Orphan(self._volume, self._transaction)
        self._source = orphan
        self._transaction = orphan if self._transaction is not None else None
        self._use(orphan, None)

    @property
    def is_locked(self) -> bool:
        """Whether SQLite holds a lock, which pins a version."""
        return self._level != _NONE

    # --- locks ------------------------------------------------------------------------------------------------------
    def xLock(self, level: int) -> None:
        try:
            if level == _SHARED:
                if self._level != _NONE:  # a signal handler raised in xUnlock, which SQLite does not repeat
                    self.xUnlock(_NONE)
                if self._level == _NONE:
                    moves = self._volume.move_count
                    self._pin()
                    if self._volume.move_count != moves:
                        self._source = _Elsewhere(self, self._volume)
            elif level == _RESERVED:
                if self._transaction is None:
                    self._source = self._transaction = self._volume.begin_write()
            elif self._transaction is None and level > _SHARED:
                # EXCLUSIVE directly from SHARED: only for a hot journal, which xAccess never reports
                raise apsw.BusyError(f"BUG: cluster '{self.name}': lock level {level} requested without RESERVED")
        except (StorageError, OSError, MemoryError) as error:
            raise translated(error, self.name) from error
        self._level = level

    def is_here(self) -> None:
        """Read from the volume directly, after SQLite has noticed that it is another one."""
        self._source = self._transaction or self._volume

    def read_unlocked(self, amount: int, offset: int) -> bytes:
        """Read bytes of the present version, without a lock."""
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
            raise translated(error, self.name) from error
        finally:
            if level == _NONE:
                self._unpin()
                self._volume.count_read(self._read_count)
                self._read_count = 0
                if self._volume.take_tend_due():
                    self._target.tend()
            self._level = level

    def xCheckReservedLock(self) -> bool:
        return self._transaction is not None or self._volume.is_being_written()

    # --- reading and writing ----------------------------------------------------------------------------------------
    def xRead(self, amount: int, offset: int) -> bytes | memoryview:
        self._read_count += 1
        try:
            if self._gate is not None:
                self._gate.before_read()
            return self._source.read(amount, offset)
        except (StorageError, OSError, MemoryError) as error:
            raise translated(error, self.name) from error

    def xFileSize(self) -> int:
        return self._source.size_bytes

    def _writer(self) -> Transaction:
        if self._transaction is None:
            raise apsw.IOError(f"cluster '{self.name}' is written to without a lock: open it without nolock=1")
        return self._transaction

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._writer().write(data, offset)
        except (StorageError, OSError, MemoryError) as error:
            raise translated(error, self.name) from error

    def xTruncate(self, newsize: int) -> None:
        try:
            self._writer().truncate(newsize)
        except (StorageError, OSError, MemoryError) as error:
            raise translated(error, self.name) from error

    def xSync(self, flags: int) -> None:
        """Do nothing: a commit is synced once, when it is published."""

    # --- controls ---------------------------------------------------------------------------------------------------
    def xFileControl(self, op: int, ptr: int) -> bool:
        if op == _FCNTL_COMMIT_PHASETWO:
            if self._transaction is not None:
                self._publish(self._transaction)
            return True
        if op == _FCNTL_PRAGMA:
            return self._pragma(apsw.VFSFcntlPragma(ptr))
        return False

    def _publish(self, transaction: Transaction) -> None:
        try:
            if self._gate is not None:
                self._gate.before_commit()
            if not transaction.is_unchanged():
                copies = self._target.copies
                if copies is not None:
                    copies.before_commit(self._durability)
                transaction.publish(self._durability)
                if copies is not None:
                    copies.committed(self._durability)
        except PoolFullError as error:
            raise translated(error, self.name) from error
        except BaseException as error:
            raise failed_commit(error, self.name) from error

    def _pragma(self, pragma: apsw.VFSFcntlPragma) -> bool:
        name, value = pragma.name.lower(), pragma.value
        if name == "synchronous" and value is not None:
            number = _SYNCHRONOUS.get(value.strip().upper())
            if number is not None and self._level == _NONE:  # SQLite refuses the change inside a transaction
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
            raise translated(error, self.name) from error


class _Elsewhere:
    """The volume that the cluster of a connection has switched to, until SQLite checks whether its cache is valid.

    SQLite compares 16 bytes at offset 24 of the first page (the change counter and the following fields; pager.c,
    sqlite3PagerSharedLock), which another volume may have in common with the former one.
    """

    def __init__(self, file: VolumeFile, volume: Handle) -> None:
        self._file = file
        self._volume = volume

    @property
    def size_bytes(self) -> int:
        return self._volume.size_bytes

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        self._file.is_here()
        if (amount, offset) == (16, 24):
            return b"\xff" * 16  # no database has these bytes there
        return self._volume.read(amount, offset)


class _AtOpening(_Elsewhere):
    """The volume of a connection that is being opened: SQLite reads the page size from the header without a lock."""

    def read(self, amount: int, offset: int) -> bytes | memoryview:
        if not self._file.is_locked:
            return self._file.read_unlocked(amount, offset)
        self._file.is_here()
        return self._volume.read(amount, offset)
