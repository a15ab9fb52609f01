"""Python functions that SQLite calls, with the errors that CPython's ``sqlite3`` makes of theirs.

What a function raises does not reach the caller of the statement: that gets an OperationalError that says which kind of
function failed.  ``enable_callback_tracebacks(True)`` shows the exception itself, through ``sys.unraisablehook``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any

import apsw

from clusterdb import errors
from clusterdb.access.translate import translated
from clusterdb.dbapi2.adapt import bytes_of

__all__ = ["aggregate", "authorizer", "collation", "creating", "enable_callback_tracebacks", "function", "window"]

LIMITS = frozenset(value for value in apsw.mapping_limits.values() if isinstance(value, int))
CONFIGURATIONS = frozenset(value for value in apsw.mapping_db_config.values() if isinstance(value, int))
_shows = False


def enable_callback_tracebacks(enable: bool, /) -> None:
    """Show, or hide, what callbacks raise."""
    global _shows
    _shows = bool(enable)


def _shown(error: BaseException, what: object) -> None:
    """Give an exception that nobody can catch to ``sys.unraisablehook``, if that is wished."""
    if _shows:
        sys.unraisablehook(
            SimpleNamespace(
                exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=None, object=what
            )
        )


def _failure(error: BaseException, what: object, text: str) -> BaseException:
    """What the caller of the statement gets."""
    _shown(error, what)
    if isinstance(error, MemoryError):
        return MemoryError()
    if isinstance(error, OverflowError):
        return errors.DataError("string or blob too big")
    made = errors.OperationalError(text)
    made.sqlite_errorcode, made.sqlite_errorname = apsw.SQLITE_ERROR, "SQLITE_ERROR"
    return made


class creating:
    """A function is made: what SQLite says of its name or number of arguments."""

    def __init__(self, kind: type[errors.Error] = errors.OperationalError) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, apsw.Error | ValueError):
            return
        code = getattr(error, "extendedresult", 0)
        if isinstance(error, apsw.Error) and code not in (apsw.SQLITE_MISUSE, apsw.SQLITE_ERROR, apsw.SQLITE_BUSY):
            raise translated(error) from None
        raise self._kind(f"Error creating function: {error}") from None


def _checked(value: Any) -> Any:
    """A result that SQLite takes.  Raises TypeError, OverflowError."""
    if isinstance(value, str) and not value.isascii():
        value.encode()
    if value is None or isinstance(value, str | float | bytes):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return value
    return bytes_of(value)


def function(func: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A scalar function."""
    if func is None:
        return None

    def called(*arguments: Any) -> Any:
        try:
            return _checked(func(*arguments))
        except Exception as error:
            raise _failure(error, func, "user-defined function raised exception") from None

    return called


# --- aggregates -------------------------------------------------------------------------------------------------------
class _Group:
    """One group of an aggregate: an instance of the user's class, made when there is a first row."""

    def __init__(self, made: type[Any]) -> None:
        self._made = made
        self._instance: Any = None
        self._has_failed = False

    def step(self, *arguments: Any) -> None:
        if self._instance is None:
            try:
                self._instance = self._made()
            except Exception as error:
                raise self._failed(error, "'__init__' method raised error") from None
        self._call("step", *arguments)

    def final(self) -> Any:
        return None if self._instance is None or self._has_failed else self._call("finalize")

    def value(self) -> Any:
        return self._call("value")

    def inverse(self, *arguments: Any) -> None:
        self._call("inverse", *arguments)

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            method = getattr(self._instance, name)
        except AttributeError as error:
            raise self._failed(error, f"'{name}' method not defined") from None
        try:
            result = method(*arguments)
            return _checked(result) if name in ("finalize", "value") else None
        except Exception as error:
            raise self._failed(error, f"'{name}' method raised error") from None

    def _failed(self, error: Exception, text: str) -> BaseException:
        self._has_failed = True
        return _failure(error, self._made, f"user-defined aggregate's {text}")


class _Window(_Group):
    """The same for a window function, whose last call SQLite lets fail without a word."""

    def final(self) -> Any:
        try:
            return super().final()
        except errors.OperationalError:  # shown already
            return None


def aggregate(made: type[Any] | None) -> Callable[[], Any] | None:
    """An aggregate function of a class."""
    return None if made is None else lambda: _Group(made)


def window(made: type[Any] | None) -> Callable[[], Any] | None:
    """A window function of a class."""
    return None if made is None else lambda: _Window(made)


# --- the others -------------------------------------------------------------------------------------------------------
def collation(func: Callable[[str, str], int] | None) -> Callable[[str, str], int] | None:
    """A collation; one that fails, or answers no number, finds everything equal."""
    if func is None:
        return None

    def compared(first: str, second: str) -> int:
        try:
            result = func(first, second)
            return (result > 0) - (result < 0) if isinstance(result, int) else 0
        except Exception as error:
            _shown(error, func)
            return 0

    return compared


def authorizer(func: Callable[..., int] | None) -> Callable[..., int] | None:
    """An authorizer; one that fails forbids."""
    if func is None:
        return None

    def asked(*arguments: Any) -> int:
        try:
            answer = func(*arguments)
        except Exception as error:
            _shown(error, func)
            return apsw.SQLITE_DENY
        if not isinstance(answer, int) or not -(2**31) <= answer < 2**31:
            return apsw.SQLITE_DENY
        return answer

    return asked


def progress(func: Callable[[], object] | None) -> Callable[[], bool] | None:
    """A progress handler; one that fails interrupts."""
    if func is None:
        return None

    def called() -> bool:
        try:
            return bool(func())
        except Exception as error:
            _shown(error, func)
            return True

    return called


def set_trace(db: apsw.Connection, func: Callable[[str], object] | None) -> None:
    """Let a function have every statement that runs."""
    if func is None:
        db.exec_trace = None
        db.trace_v2(0, None, id="clusterdb")
        return

    def told(text: str) -> None:
        try:
            func(text)
        except Exception as error:
            _shown(error, func)

    def executed(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        try:
            text = cursor.expanded_sql
        except (apsw.Error, MemoryError):
            text = None
            _shown(errors.DataError("Expanded SQL string exceeds the maximum string length"), func)
        told(text or sql)
        return True

    def nested(event: dict[str, Any]) -> None:
        if event["trigger"]:
            told(f"-- {event['sql']}")

    db.exec_trace = executed
    db.trace_v2(apsw.SQLITE_TRACE_STMT, nested, id="clusterdb")


def step(backup: apsw.Backup, pages: int) -> int:
    """Copy some pages: SQLITE_OK, SQLITE_DONE, or SQLITE_BUSY or SQLITE_LOCKED to try again."""
    try:
        return apsw.SQLITE_DONE if backup.step(pages) else apsw.SQLITE_OK
    except (apsw.BusyError, apsw.LockedError) as error:
        return apsw.SQLITE_BUSY if isinstance(error, apsw.BusyError) else apsw.SQLITE_LOCKED
