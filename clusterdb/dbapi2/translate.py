"""SQLite's errors as PEP 249 has them, by the table that CPython's ``sqlite3`` uses for its result codes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

import apsw

from clusterdb import errors

__all__ = ["translated", "translating", "undecodable"]

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
_KINDS: dict[int, type[Exception]] = {
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
"""The code of a class of apsw's: what Python code raises (a VFS, a function) has no code of its own."""
_OURS: dict[type[Exception], tuple[type[errors.Error], str]] = {
    apsw.ConnectionClosedError: (errors.ProgrammingError, "Cannot operate on a closed database."),
    apsw.CursorClosedError: (errors.ProgrammingError, "Cannot operate on a closed cursor."),
    apsw.ThreadingViolationError: (errors.ProgrammingError, "Recursive use of cursors not allowed."),
    apsw.ForkingViolationError: (errors.ProgrammingError, "The connection was made before a fork: connect again."),
}


def translated(error: Exception) -> Exception:
    """What to raise instead of an error of apsw's; any other error stays as it is."""
    if isinstance(error, UnicodeDecodeError):
        return undecodable(error, "?")
    if isinstance(error, OverflowError) and error.args == ("int too big to convert",):
        return OverflowError("Python int too large to convert to SQLite INTEGER")
    if not isinstance(error, apsw.Error):
        return error
    if type(error) in _OURS:
        kind, text = _OURS[type(error)]
        return kind(text)
    if isinstance(error, apsw.ExtensionLoadingError):
        return errors.OperationalError(str(error).removeprefix("ExtensionLoadingError: "))
    code = getattr(error, "extendedresult", None) or _CODES.get(type(error))
    if not code:
        return errors.ProgrammingError(str(error))
    made = _KINDS.get(code & 0xFF, errors.DatabaseError)(str(error))
    if isinstance(made, errors.Error):
        made.sqlite_errorcode = code
        made.sqlite_errorname = _name_of(code)
    return made


def undecodable(error: UnicodeDecodeError, column: str) -> errors.OperationalError:
    """A text that is no valid UTF-8."""
    text = error.object.decode(errors="replace")
    return errors.OperationalError(f"Could not decode to UTF-8 column '{column}' with text '{text}'")


def _name_of(code: int) -> str:
    names = apsw.mapping_extended_result_codes if code > 0xFF else apsw.mapping_result_codes
    return str(names.get(code, "unknown"))


class _Translating:
    """A class, as the frames of a generator would hold the error that holds them, and with it the connection."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error):
            raise translated(error) from error.__cause__


_translating = _Translating()


def translating() -> AbstractContextManager[None]:
    """Errors of apsw's leave as errors of PEP 249."""
    return _translating
