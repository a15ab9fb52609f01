"""The door to apsw for what lies above the VFS: connections, and copies in and out by SQLite's backup API.

https://sqlite.org/backup.html : the copy is one consistent snapshot of the source, whatever its journal mode.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import apsw

from clusterdb.errors import DatabaseDamagedError, ExportTargetError, NotADatabaseError, StoreFullError
from vfs.interrupts import deliver, uninterrupted

__all__ = ["Connection", "Progress", "SQLError", "connect", "copy_in", "copy_out", "plain", "results"]

Progress = Callable[[int, int], None]
"""Called with (pages done, pages in all)."""

SQLError = apsw.Error
BUSY_TIMEOUT_MS = 5000
_STEP_PAGES = 2048
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
            if told is not None:
                told()


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


def copy_in(path: Path, target: Connection, progress: Progress | None) -> None:
    """Copy a database file into an empty cluster.

    Raises NotADatabaseError, DatabaseDamagedError, StoreFullError.
    """
    if not path.is_file():
        raise NotADatabaseError(f"'{path}' cannot be imported: there is no such file")
    source: apsw.Connection | None = None
    try:
        source = apsw.Connection(str(path.absolute()), flags=apsw.SQLITE_OPEN_READONLY)
        source.set_busy_timeout(BUSY_TIMEOUT_MS)
        page_count, page_size = source.pragma("page_count"), source.pragma("page_size")
        present = path.stat().st_size
        if not _has_wal(path) and page_count * page_size > present:
            raise DatabaseDamagedError(
                f"'{path}' cannot be imported: it is truncated ({present} bytes, its header says "
                f"{page_count * page_size})"
            )
        copy(source, target, progress)
        target.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.NotADBError as error:
        raise NotADatabaseError(f"'{path}' cannot be imported: it is not a SQLite database") from error
    except apsw.CorruptError as error:
        raise DatabaseDamagedError(f"'{path}' cannot be imported: it is damaged ({error})") from error
    except apsw.CantOpenError as error:
        raise NotADatabaseError(f"'{path}' cannot be imported: it cannot be opened ({error})") from error
    except apsw.FullError as error:
        raise StoreFullError(f"'{path}' cannot be imported: {error}") from error
    finally:
        if source is not None:
            source.close()


def _has_wal(path: Path) -> bool:
    wal = Path(f"{path}-wal")
    return wal.exists() and wal.stat().st_size > 0


def copy_out(source: Connection, path: Path, *, overwrite: bool, progress: Progress | None) -> tuple[str, ...]:
    """Write a cluster's database as a plain file, whole or not at all.

    Returns the collations that the file needs and SQLite does not have.  Raises ExportTargetError.
    """
    if path.exists() and not overwrite:
        raise ExportTargetError(f"'{path}' exists already: choose another name, or allow overwriting")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        target = apsw.Connection(str(partial.absolute()))
        try:
            copy(source, target, progress)
        finally:
            target.close()
        _sync_file(partial)
        partial.replace(path)
    except (OSError, apsw.CantOpenError, apsw.FullError, apsw.IOError) as error:
        raise ExportTargetError(f"'{path}' cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return _foreign_collations(source)


_COLLATE = re.compile(r"\bCOLLATE\s+[\"`\[]?(\w+)", re.IGNORECASE)


def _foreign_collations(connection: apsw.Connection) -> tuple[str, ...]:
    """The collations that the definitions in a database name, without SQLite's own."""
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql LIKE '%COLLATE%'").fetchall()
    names = {name for (sql,) in rows for name in _COLLATE.findall(str(sql))}
    return tuple(sorted(name for name in names if name.upper() not in ("BINARY", "NOCASE", "RTRIM")))


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy(source: apsw.Connection, target: apsw.Connection, progress: Progress | None) -> None:
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(_STEP_PAGES)
            deliver()
            if progress is not None:
                progress(backup.page_count - backup.remaining, backup.page_count)
