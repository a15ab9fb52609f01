"""Translates errors of lower layers to the exceptions of clusterdb.

Errors of SQLite are translated by result code, as CPython's ``sqlite3`` does; errors of the storage layer by the table
:data:`STORAGE`.  Any other error is raised unchanged.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

import apsw

from clusterdb import errors
from vfs import errors as storage

__all__ = ["UNNAMED", "of_store", "reason", "translated", "translating", "undecodable"]

UNNAMED = "building"
"""The name of a volume without a cluster: :func:`of_store` removes it from messages."""

STORAGE: dict[type[storage.StorageError], tuple[type[errors.Error], str]] = {
    storage.CorruptionError: (errors.CorruptStoreError, "store '{where}': {error}"),
    storage.FencedError: (errors.InstanceRestartedError, "store '{where}': {error}"),
    storage.ForkedError: (errors.ForkedStoreError, "store '{where}': {error}"),
    storage.FormatError: (
        errors.StoreFormatError,
        "'{where}' cannot be opened: {error}; use the release that wrote it",
    ),
    storage.DisconnectedError: (errors.InstanceRestartedError, "{error}"),
    storage.NotAPoolError: (errors.NotAStoreError, "'{where}' is not a clusterdb store: {error}"),
    storage.PastVersionGoneError: (errors.InvalidRestoreTimeError, "store '{where}': {error}"),
    storage.PoolFullError: (errors.StoreFullError, "store '{where}': {error}"),
    storage.ReadOnlyError: (errors.StoreReadOnlyError, "store '{where}': {error}"),
    storage.RegistryBusyError: (errors.StoreBusyError, "store '{where}': {error}"),
    storage.InjectedFaultError: (errors.OperationalError, "{error}"),
    storage.SnapshotMovedError: (errors.StoreBusyError, "store '{where}': {error}"),
    storage.StoreFailedError: (errors.StoreFailedError, "store '{where}': {error}"),
    storage.StoreInUseError: (errors.StoreInUseError, "store '{where}': {error}"),
    storage.TooManySessionsError: (errors.TooManyConnectionsError, "store '{where}': {error}; close some first"),
    storage.TooManyVolumesError: (errors.TooManyClustersError, "store '{where}': {error}"),
    storage.UnknownDataPlaneError: (errors.InvalidArgumentError, "{error}"),
    storage.UnsupportedFileSystemError: (errors.UnsupportedFileSystemError, "store '{where}': {error}"),
    storage.VolumeDroppedError: (errors.ClusterNotFoundError, "store '{where}': {error}"),
    storage.WriterBusyError: (errors.StoreBusyError, "store '{where}': {error}"),
}
"""Error of the storage layer -> its public class, and the message."""

_OPERATIONAL = [
    "ERROR",
    "PERM",
    "ABORT",
    "BUSY",
    "LOCKED",
    "READONLY",
    "INTERRUPT",
    "IOERR",
    "FULL",
    "CANTOPEN",
    "PROTOCOL",
    "EMPTY",
    "SCHEMA",
    "NOLFS",
    "AUTH",
]
_CLASSES: dict[int, type[Exception]] = {
    **{getattr(apsw, f"SQLITE_{name}"): errors.OperationalError for name in _OPERATIONAL},
    apsw.SQLITE_INTERNAL: errors.InternalError,
    apsw.SQLITE_NOTFOUND: errors.InternalError,
    apsw.SQLITE_NOMEM: MemoryError,
    apsw.SQLITE_TOOBIG: errors.DataError,
    apsw.SQLITE_CONSTRAINT: errors.IntegrityError,
    apsw.SQLITE_MISMATCH: errors.IntegrityError,
    apsw.SQLITE_MISUSE: errors.InterfaceError,
    apsw.SQLITE_RANGE: errors.InterfaceError,
    apsw.SQLITE_AUTH: errors.DatabaseError,
}
_CODES: dict[type[Exception], int] = {
    type(apsw.exception_for(code)): code
    for code in apsw.mapping_result_codes
    if isinstance(code, int) and apsw.SQLITE_OK < code <= apsw.SQLITE_NOTADB
}
"""Class of apsw -> its code, for errors that Python code raises (a VFS, a function), which have no code themselves."""
_OF_APSW: dict[type[Exception], tuple[type[errors.Error], str]] = {
    apsw.ConnectionClosedError: (errors.ProgrammingError, "Cannot operate on a closed database."),
    apsw.CursorClosedError: (errors.ProgrammingError, "Cannot operate on a closed cursor."),
    apsw.ThreadingViolationError: (errors.ProgrammingError, "Recursive use of cursors not allowed."),
    apsw.ForkingViolationError: (errors.ProgrammingError, "The connection was opened before a fork: open a new one."),
}


def translated(error: Exception) -> Exception:
    """The public error for an error of apsw; any other error unchanged, and an interrupted commit too."""
    if isinstance(error, UnicodeDecodeError):
        return undecodable(error, "?")
    if isinstance(error, OverflowError) and error.args == ("int too big to convert",):
        return OverflowError("Python int too large to convert to SQLite INTEGER")
    if not isinstance(error, apsw.Error) or isinstance(error, KeyboardInterrupt):
        return error
    if type(error) in _OF_APSW:
        kind, text = _OF_APSW[type(error)]
        return kind(text)
    if isinstance(error, apsw.ExtensionLoadingError):
        return errors.OperationalError(str(error).removeprefix("ExtensionLoadingError: "))
    code = getattr(error, "extendedresult", None) or _CODES.get(type(error))
    if not code:
        return errors.ProgrammingError(str(error))
    cause = error.__cause__
    if isinstance(cause, errors.Error):  # raised below SQLite, where there is a class for it
        public: Exception = type(cause)(str(error))
    else:
        public = _CLASSES.get(code & 0xFF, errors.DatabaseError)(str(error))
    if isinstance(public, errors.Error):
        public.sqlite_errorcode = code
        public.sqlite_errorname = _name_of(code)
    return public


def undecodable(error: UnicodeDecodeError, column: str) -> errors.OperationalError:
    """The error for a text that is not valid UTF-8."""
    text = error.object.decode(errors="replace")
    return errors.OperationalError(f"Could not decode to UTF-8 column '{column}' with text '{text}'")


def _name_of(code: int) -> str:
    names = apsw.mapping_extended_result_codes if code > 0xFF else apsw.mapping_result_codes
    return str(names.get(code, "unknown"))


def reason(error: Exception) -> str:
    """The message of an error; the meaning of its class if it has none ("not an error", as after a failed backup)."""
    text = str(error)
    if isinstance(error, apsw.Error) and text in ("", "not an error"):
        return _MEANINGS.get(type(error), type(error).__name__)
    return text


_MEANINGS: dict[type[Exception], str] = {
    apsw.BusyError: "the database is locked",
    apsw.CantOpenError: "unable to open the database file",
    apsw.FullError: "the disk is full",
    apsw.IOError: "reading or writing the disk failed",
    apsw.LockedError: "a table is locked",
    apsw.ReadOnlyError: "the database is read-only",
}


class _OfStore:
    """Implements :func:`of_store`; has no state of a body, so one object can serve many of them, nested ones too."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, errors.Error | KeyboardInterrupt):
            return  # also an InterruptedCommit, which is an error of SQLite and a KeyboardInterrupt
        if isinstance(error, storage.StorageError | OSError | apsw.Error):
            public = _of_store(error, self._where)
            if public is not error:
                raise public from error


def of_store(where: str) -> AbstractContextManager[None]:
    """Translate errors of storage, of SQLite and of the system in the body to errors of the store at a path."""
    return _OfStore(where)


def _of_store(error: Exception, where: str) -> Exception:
    """The public error for an error of a lower layer; the same error if it is in no table."""
    if isinstance(error, OSError):
        file = f": {error.filename}" if error.filename else ""
        return errors.StoreUnreadableError(f"store '{where}': {error.strerror or error}{file}")
    cause: BaseException | None = error
    while isinstance(cause, apsw.Error):  # the VFS raises an error of SQLite from its own, see vfs/sqlite/vfs.py
        cause = cause.__cause__
    if isinstance(cause, errors.Error):
        return cause
    if isinstance(cause, storage.StorageError):
        for kind in type(cause).__mro__:
            if kind in STORAGE:
                public, text = STORAGE[kind]
                return public(text.format(where=where, error=str(error).removeprefix(f"cluster '{UNNAMED}': ")))
    if isinstance(cause, OSError):
        return _of_store(cause, where)
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return errors.CorruptStoreError(f"store '{where}': {reason(error)}")
    if isinstance(error, apsw.FullError):
        return errors.StoreFullError(f"store '{where}': {reason(error)}")
    return translated(error)


class _Translating:
    """Implements :func:`translating`: not a generator, whose frame and the error would keep the connection alive."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error):
            raise translated(error) from error.__cause__


_translating = _Translating()


def translating() -> AbstractContextManager[None]:
    """A context manager that translates errors of apsw to errors of PEP 249."""
    return _translating
