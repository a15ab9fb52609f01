"""The boundary to apsw for the layers above the VFS: connections, and how they are opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import apsw

from vfs.abc import StoreVFS
from vfs.interrupts import uninterrupted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Connection", "ReadOnlyError", "SQLError", "connect", "plain", "results"]

SQLError = apsw.Error
ReadOnlyError = apsw.ReadOnlyError
BUSY_TIMEOUT_MS = 5000
_STEPS_BETWEEN_SIGNALS = 100_000


class _TwoAuthorizers:
    """An authorizer that calls two: the first raises an error for a forbidden action, the second decides the rest."""

    def __init__(self, first: Callable[..., None]) -> None:
        self._first = first
        self.second: apsw.Authorizer | None = None

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        self._first(action, first, second, database, trigger)
        return apsw.SQLITE_OK if self.second is None else self.second(action, first, second, database, trigger)


class Connection(apsw.Connection):
    """A connection to a cluster: an ``apsw.Connection`` (https://rogerbinns.github.io/apsw/connection.html)."""

    when_closed: Callable[[], None] | None = None
    when_collected: Callable[[], None] | None = None
    """Called instead if it is collected unclosed; must only record this: the collector runs while locks are held."""
    storage_node_count: int = 0
    """The storage nodes of the cluster; 0 without zones.  The flavours show it."""
    _authorizers: _TwoAuthorizers | None = None

    def require_authorized(self, allow: Callable[..., None]) -> None:
        """Call ``allow``, which raises an error for a forbidden action, before any authorizer that is set later."""
        self._authorizers = _TwoAuthorizers(allow)
        super().set_authorizer(self._authorizers)

    def set_authorizer(self, callable: apsw.Authorizer | None) -> None:
        """Set the authorizer, in addition to that of :meth:`require_authorized`."""
        if self._authorizers is not None:
            self._authorizers.second, callable = callable, self._authorizers
        super().set_authorizer(callable)  # SQLite prepares cached statements again, so they are authorized again

    @property
    def authorizer(self) -> apsw.Authorizer | None:
        """The authorizer that was set with :meth:`set_authorizer`."""
        return super().authorizer if self._authorizers is None else self._authorizers.second

    @authorizer.setter
    def authorizer(self, callable: apsw.Authorizer | None) -> None:
        self.set_authorizer(callable)

    @uninterrupted
    def close(self, force: bool = False) -> None:
        """Close the connection; closing twice is allowed."""
        try:
            super().close(force)
        finally:
            when_closed, self.when_closed = self.when_closed, None
            self.when_collected = None
            if when_closed is not None:
                when_closed()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Commit or roll back; an error of the store has its own message, which apsw replaces by SQLite's here."""
        try:
            return super().__exit__(kind, error, trace)
        except apsw.Error as raised:
            if isinstance(raised.__context__, apsw.Error) and raised.__context__.__cause__ is not None:
                raise raised.__context__ from raised.__context__.__cause__
            raise

    def __del__(self) -> None:
        if self.when_collected is not None:
            self.when_collected()


class InstanceConnection(Connection):
    """A connection through an instance: checks before each statement that it is running, and accepts ALTER SYSTEM.

    One to a cluster with zones too, which may have no instance: then ``instance_name`` is empty.
    """

    instance_name: str = ""
    before_statement: Callable[[str], str] = staticmethod(str)
    executing: Callable[[], AbstractContextManager[None]] = staticmethod(nullcontext)


class InstanceCursor(apsw.Cursor):
    """A cursor of a connection, which may be an InstanceConnection."""

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


def register_table(
    connection: apsw.Connection,
    name: str,
    row: type[DataclassInstance],
    rows: Callable[[], Sequence[DataclassInstance]],
) -> None:
    """Register a table-valued function for a function that returns instances of the dataclass ``row``."""
    import apsw.ext

    columns = tuple(field.name for field in dataclasses.fields(row))

    def table() -> Iterator[dict[str, object]]:
        return (dataclasses.asdict(instance) for instance in rows())

    source: Any = table
    source.columns = columns
    source.column_access = apsw.ext.VTColumnAccess.By_Name
    apsw.ext.make_virtual_module(connection, name, source)


def connect(
    name: str,
    vfs: StoreVFS,
    *,
    read_only: bool = False,
    kind: Callable[..., Connection] = Connection,
    cached_statements: int = 100,
) -> Connection:
    """Open a volume by name through the VFS of its store."""
    # CREATE is for databases that are attached later: opening never creates a cluster
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = kind(
        name, flags=flags | apsw.SQLITE_OPEN_URI, vfs=vfs.name, statementcachesize=max(0, cached_statements)
    )
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if isinstance(connection, InstanceConnection):
            connection.cursor_factory = InstanceCursor
        mapping = f"; PRAGMA mmap_size = {vfs.mmap_bytes}" if vfs.mmap_bytes else ""
        connection.execute(f"PRAGMA journal_mode = MEMORY{mapping}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def plain(path: Path) -> apsw.Connection:
    """Open a new or existing plain database file."""
    return apsw.Connection(str(path))


def results(connection: apsw.Connection, sql: str) -> Iterator[tuple[list[str], list[tuple[apsw.SQLiteValue, ...]]]]:
    """Run statements one after the other; yields column names (empty if it returns none) and rows for each."""
    results_so_far: list[tuple[list[str], list[tuple[apsw.SQLiteValue, ...]]]] = []

    def begin(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
        results_so_far.append(([column[0] for column in cursor.get_description()], []))
        return True

    cursor = connection.cursor()
    cursor.exec_trace = begin
    connection.set_progress_handler(lambda: False, _STEPS_BETWEEN_SIGNALS)  # Python handles Ctrl-C in the call
    try:
        for row in cursor.execute(sql):
            yield from results_so_far[:-1]
            del results_so_far[:-1]
            results_so_far[-1][1].append(row)
    except apsw.Error:
        yield from results_so_far  # the statements before the failing one were executed
        raise
    yield from results_so_far
