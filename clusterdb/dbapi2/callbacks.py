"""Python functions that SQLite calls, with the errors of CPython's ``sqlite3`` for their exceptions.

The exception of a function does not reach the caller of the statement, who gets an OperationalError that names the kind
of function that failed.  ``enable_callback_tracebacks(True)`` shows the exception through ``sys.unraisablehook``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any

import apsw

from clusterdb import errors
from clusterdb.access.translate import translated
from clusterdb.dbapi2.adapt import bytes_of, require_storable

__all__ = ["aggregate", "authorizer", "collation", "creating", "enable_callback_tracebacks", "function", "window"]

LIMITS = frozenset(value for value in apsw.mapping_limits.values() if isinstance(value, int))
CONFIGURATIONS = frozenset(value for value in apsw.mapping_db_config.values() if isinstance(value, int))
_shows = False


def enable_callback_tracebacks(enable: bool, /) -> None:
    """Show, or hide, the exceptions of callbacks."""
    global _shows
    _shows = bool(enable)


def _show(error: BaseException, callback: object) -> None:
    """Pass an exception that cannot be raised to ``sys.unraisablehook``, if that is enabled."""
    if _shows:
        sys.unraisablehook(
            SimpleNamespace(
                exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=None, object=callback
            )
        )


def _failure(error: BaseException, callback: object, text: str) -> BaseException:
    """The exception for the caller of the statement."""
    _show(error, callback)
    if isinstance(error, MemoryError):
        return MemoryError()
    if isinstance(error, OverflowError):
        return errors.DataError("string or blob too big")
    failure = errors.OperationalError(text)
    failure.sqlite_errorcode, failure.sqlite_errorname = apsw.SQLITE_ERROR, "SQLITE_ERROR"
    return failure


class creating:
    """A context manager for creating a function: it translates SQLite's errors on its name or number of arguments."""

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


def _checked(value: object) -> apsw.SQLiteValue:
    """A result that SQLite accepts.  Raises TypeError, OverflowError."""
    require_storable(value)
    return value if value is None or isinstance(value, int | float | str | bytes) else bytes_of(value)


def function(func: Callable[..., object] | None) -> Callable[..., apsw.SQLiteValue] | None:
    """A scalar function for apsw."""
    if func is None:
        return None

    def call(*arguments: apsw.SQLiteValue) -> apsw.SQLiteValue:
        try:
            return _checked(func(*arguments))
        except Exception as error:
            raise _failure(error, func, "user-defined function raised exception") from None

    return call


# --- aggregates -------------------------------------------------------------------------------------------------------
class _Group:
    """One group of an aggregate: an instance of the user's class, created for the first row."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory
        self._instance: Any = None
        self._has_failed = False

    def step(self, *arguments: apsw.SQLiteValue) -> None:
        if self._instance is None:
            try:
                self._instance = self._factory()
            except Exception as error:
                raise self._failed(error, "'__init__' method raised error") from None
        self._call("step", *arguments)

    def final(self) -> apsw.SQLiteValue:
        return None if self._instance is None or self._has_failed else self._call("finalize")

    def value(self) -> apsw.SQLiteValue:
        return self._call("value")

    def inverse(self, *arguments: apsw.SQLiteValue) -> None:
        self._call("inverse", *arguments)

    def _call(self, name: str, *arguments: apsw.SQLiteValue) -> apsw.SQLiteValue:
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
        return _failure(error, self._factory, f"user-defined aggregate's {text}")


class _Window(_Group):
    """One group of a window function, whose last call fails silently in SQLite."""

    def final(self) -> apsw.SQLiteValue:
        try:
            return super().final()
        except errors.OperationalError:  # already shown
            return None


def aggregate(factory: type | None) -> Callable[[], apsw.AggregateClass] | None:
    """An aggregate function for apsw, from a class."""
    return None if factory is None else lambda: _Group(factory)


def window(factory: type | None) -> Callable[[], apsw.WindowClass] | None:
    """A window function for apsw, from a class."""
    return None if factory is None else lambda: _Window(factory)


# --- collations, authorizers, progress handlers, traces ---------------------------------------------------------------
def collation(func: Callable[[str, str], int] | None) -> Callable[[str, str], int] | None:
    """A collation for apsw; one that fails, or does not return an int, compares as equal."""
    if func is None:
        return None

    def compare(first: str, second: str) -> int:
        try:
            result = func(first, second)
            return (result > 0) - (result < 0) if isinstance(result, int) else 0
        except Exception as error:
            _show(error, func)
            return 0

    return compare


def authorizer(func: Callable[..., int] | None) -> apsw.Authorizer | None:
    """An authorizer for apsw; one that fails denies."""
    if func is None:
        return None

    def authorize(*arguments: int | str | None) -> int:
        try:
            answer = func(*arguments)
        except Exception as error:
            _show(error, func)
            return apsw.SQLITE_DENY
        if not isinstance(answer, int) or not -(2**31) <= answer < 2**31:
            return apsw.SQLITE_DENY
        return answer

    return authorize


def progress(func: Callable[[], object] | None) -> Callable[[], bool] | None:
    """A progress handler for apsw; one that fails interrupts."""
    if func is None:
        return None

    def should_interrupt() -> bool:
        try:
            return bool(func())
        except Exception as error:
            _show(error, func)
            return True

    return should_interrupt


def set_trace(db: apsw.Connection, func: Callable[[str], object] | None) -> None:
    """Call a function with every statement that runs; None: call none."""
    if func is None:
        db.exec_trace = None
        db.trace_v2(0, None, id="clusterdb")
        return

    def show(text: str) -> None:
        try:
            func(text)
        except Exception as error:
            _show(error, func)

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        try:
            text = cursor.expanded_sql
        except (apsw.Error, MemoryError):
            text = None
            _show(errors.DataError("Expanded SQL string exceeds the maximum string length"), func)
        show(text or sql)
        return True

    def trace_trigger(event: dict[str, Any]) -> None:
        if event["trigger"]:
            show(f"-- {event['sql']}")

    db.exec_trace = trace
    db.trace_v2(apsw.SQLITE_TRACE_STMT, trace_trigger, id="clusterdb")


def step(backup: apsw.Backup, pages: int) -> int:
    """Copy some pages; SQLITE_OK, SQLITE_DONE, or SQLITE_BUSY or SQLITE_LOCKED if it has to be tried again."""
    try:
        return apsw.SQLITE_DONE if backup.step(pages) else apsw.SQLITE_OK
    except (apsw.BusyError, apsw.LockedError) as error:
        return apsw.SQLITE_BUSY if isinstance(error, apsw.BusyError) else apsw.SQLITE_LOCKED
