"""The door to apsw for what lies above the VFS: connections, and how they begin."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import apsw

from vfs.interrupts import uninterrupted

__all__ = ["Connection", "SQLError", "connect", "plain", "results"]

SQLError = apsw.Error
BUSY_TIMEOUT_MS = 5000
_STEPS_BETWEEN_SIGNALS = 100_000


class _Asked:
    """Two authorizers: SQLite asks the second about what the first, which raises or does not, allows."""

    def __init__(self, first: Callable[..., None]) -> None:
        self._first = first
        self.second: Callable[..., int] | None = None

    def __call__(self, *question: Any) -> int:
        self._first(*question)
        return apsw.SQLITE_OK if self.second is None else self.second(*question)


class Connection(apsw.Connection):
    """A connection to a cluster: an ``apsw.Connection`` (https://rogerbinns.github.io/apsw/connection.html)."""

    when_closed: Callable[[], None] | None = None
    when_collected: Callable[[], None] | None = None
    """Called instead if nobody closes it.  The collector runs anywhere, also where locks are held: so it only notes."""
    _asked: _Asked | None = None

    def require_authorized(self, allow: Callable[..., None]) -> None:
        """Let ``allow`` raise an error for what is not allowed, whatever authorizer is set later."""
        self._asked = _Asked(allow)
        super().set_authorizer(self._asked)

    def set_authorizer(self, callable: Any) -> None:
        """Set the authorizer; what is not allowed without it stays so."""
        if self._asked is not None:
            self._asked.second, callable = callable, self._asked
        super().set_authorizer(callable)  # also has SQLite ask again about what is prepared already

    @property
    def authorizer(self) -> Any:
        """The authorizer that was set."""
        return super().authorizer if self._asked is None else self._asked.second

    @authorizer.setter
    def authorizer(self, callable: Any) -> None:
        self.set_authorizer(callable)

    @uninterrupted
    def close(self, force: bool = False) -> None:
        """Close it; closing twice does no harm."""
        try:
            super().close(force)
        finally:
            told, self.when_closed = self.when_closed, None
            self.when_collected = None
            if told is not None:
                told()

    def __del__(self) -> None:
        if self.when_collected is not None:
            self.when_collected()


class InstanceConnection(Connection):
    """A connection through an instance: every statement first looks whether that is up; ALTER SYSTEM works."""

    instance_name: str = ""
    before_statement: Callable[[str], str] = staticmethod(str)
    executing: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)


class InstanceCursor(apsw.Cursor):
    """A cursor of a connection that may have been made through an instance."""

    def execute(self, statements: str, *arguments: Any, **named: Any) -> apsw.Cursor:
        with self._executing():
            return super().execute(self._checked(statements), *arguments, **named)

    def executemany(self, statements: str, *arguments: Any, **named: Any) -> apsw.Cursor:
        with self._executing():
            return super().executemany(self._checked(statements), *arguments, **named)

    def _executing(self) -> AbstractContextManager[None]:
        connection = self.connection
        return connection.executing() if isinstance(connection, InstanceConnection) else nullcontext()

    def _checked(self, statements: str) -> str:
        connection = self.connection
        return connection.before_statement(statements) if isinstance(connection, InstanceConnection) else statements


def register_table(connection: apsw.Connection, name: str, row: type[Any], rows: Callable[[], Sequence[Any]]) -> None:
    """Make a table-valued function of a function that gives dataclass instances."""
    import apsw.ext

    columns = tuple(field.name for field in dataclasses.fields(row))

    def table() -> Iterator[dict[str, Any]]:
        return (dataclasses.asdict(each) for each in rows())

    source: Any = table
    source.columns = columns
    source.column_access = apsw.ext.VTColumnAccess.By_Name
    apsw.ext.make_virtual_module(connection, name, source)


def connect(
    name: str,
    vfs: str,
    *,
    read_only: bool = False,
    kind: Callable[..., Connection] = Connection,
    cached_statements: int = 100,
) -> Connection:
    """Open a volume by name through a registered VFS."""
    # CREATE is for what is attached later: a cluster is never created by opening it
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = kind(name, flags=flags | apsw.SQLITE_OPEN_URI, vfs=vfs, statementcachesize=max(0, cached_statements))
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if isinstance(connection, InstanceConnection):
            connection.cursor_factory = InstanceCursor
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def plain(path: Path) -> apsw.Connection:
    """A new or existing plain database file."""
    return apsw.Connection(str(path))


def results(connection: apsw.Connection, sql: str) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    """Run statements one after the other; for each its column names (none if it answers nothing) and its rows."""
    answers: list[tuple[list[str], list[tuple[Any, ...]]]] = []

    def begin(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
        answers.append(([column[0] for column in cursor.get_description()], []))
        return True

    cursor = connection.cursor()
    cursor.exec_trace = begin
    connection.set_progress_handler(lambda: False, _STEPS_BETWEEN_SIGNALS)  # Python hears of Ctrl-C when it is called
    try:
        for row in cursor.execute(sql):
            yield from answers[:-1]
            del answers[:-1]
            answers[-1][1].append(row)
    except apsw.Error:
        yield from answers  # what came before the failing statement was done
        raise
    yield from answers
