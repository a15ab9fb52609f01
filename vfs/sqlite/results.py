"""Storage errors as SQLite result codes: the table, and the exception that carries a code through apsw."""

from __future__ import annotations

from typing import Any

import apsw

from vfs.errors import (
    CorruptionError,
    DisconnectedError,
    FencedError,
    ForkedError,
    PoolFullError,
    ReadOnlyError,
    RegistryBusyError,
    SnapshotMovedError,
    VolumeDroppedError,
    WriterBusyError,
)

__all__ = ["RESULTS", "InterruptedCommit", "failed_commit", "translated"]

RESULTS: tuple[tuple[type[Exception], type[apsw.Error], int], ...] = (
    (WriterBusyError, apsw.BusyError, apsw.SQLITE_BUSY),
    (SnapshotMovedError, apsw.BusyError, apsw.SQLITE_BUSY_SNAPSHOT),
    (FencedError, apsw.ReadOnlyError, apsw.SQLITE_READONLY_DBMOVED),
    (DisconnectedError, apsw.ReadOnlyError, apsw.SQLITE_READONLY_DBMOVED),
    (ForkedError, apsw.MisuseError, apsw.SQLITE_MISUSE),
    (RegistryBusyError, apsw.BusyError, apsw.SQLITE_BUSY),
    (PoolFullError, apsw.FullError, apsw.SQLITE_FULL),
    (CorruptionError, apsw.CorruptError, apsw.SQLITE_CORRUPT),
    (ReadOnlyError, apsw.ReadOnlyError, apsw.SQLITE_READONLY),
    (VolumeDroppedError, apsw.IOError, apsw.SQLITE_IOERR_DELETE_NOENT),
    (MemoryError, apsw.NoMemError, apsw.SQLITE_NOMEM),
    (Exception, apsw.IOError, apsw.SQLITE_IOERR),
)
"""Storage error -> the apsw exception and the SQLite result code for it; the first match counts."""


def translated(error: Exception, name: str) -> Exception:
    """The apsw exception that carries the SQLite result code for a storage error."""
    kind, code = next((kind, code) for cause, kind, code in RESULTS if isinstance(error, cause))
    carrier: Any = kind(f"cluster '{name}': {error}")
    carrier.extendedresult = code
    return carrier  # type: ignore[no-any-return]


class InterruptedCommit(apsw.IOError, KeyboardInterrupt):
    """Ctrl-C in a commit: SQLITE_IOERR for the pager, KeyboardInterrupt for the program."""


def failed_commit(error: BaseException, name: str) -> Exception:
    """The exception for a commit that failed: the pager drops unpublished pages only for IOERR and FULL."""
    kind = InterruptedCommit if isinstance(error, KeyboardInterrupt) else apsw.IOError
    carrier: Any = kind(f"cluster '{name}': {str(error) or 'interrupted'}")
    carrier.extendedresult = apsw.SQLITE_IOERR_WRITE
    return carrier  # type: ignore[no-any-return]
