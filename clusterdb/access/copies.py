"""Import and export of plain database files, with SQLite's backup API.

The copy is one consistent snapshot of the source, in any journal mode (https://sqlite.org/backup.html).  A file to
import is only read: a file that needs recovery is refused, and so is a damaged one.  A file to export is written under
another name in the same directory, and renamed when it is complete and on the device.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from clusterdb.access.sqlite import BUSY_TIMEOUT_MS, Connection
from clusterdb.access.translate import reason
from clusterdb.errors import (
    DatabaseDamagedError,
    ExportTargetError,
    ImportSourceError,
    NotADatabaseError,
    StoreFullError,
)
from vfs.interrupts import deliver
from vfs.sqlite.own_files import is_of_store
from vfs.store import sync_directory

__all__ = ["Progress", "copy", "copy_in", "copy_out", "write_out"]

Progress = Callable[[int, int], None]
"""Called with (pages copied, pages in all)."""

_STEP_PAGES = 2048
_PROBLEMS_MAX = 100
_STUBS_MAX = 1000
_UNKNOWN = re.compile(r"(?:no such|unknown) function: (\w+)")
_ABOUT_VALUES = re.compile(r"(?:NULL|NUMERIC|TEXT|non-\w+) value in |CHECK constraint|row not in PRIMARY KEY order")
"""Matches findings about values that a constraint forbids, or about the order of a collation that is not available
here: such files are not damaged."""


def copy(source: apsw.Connection, target: apsw.Connection, progress: Progress | None) -> None:
    """Copy the database of a connection to the database of another."""
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(_STEP_PAGES)
            deliver()
            if progress is not None:
                progress(backup.page_count - backup.remaining, backup.page_count)


# --- in ---------------------------------------------------------------------------------------------------------------
def copy_in(path: Path, target: Connection, progress: Progress | None, *, check: bool) -> None:
    """Copy a database file into an empty cluster; ``check`` its pages first.

    Raises NotADatabaseError, DatabaseDamagedError, ImportSourceError, StoreFullError.
    """
    if not path.is_file():
        problem = "it is not a regular file" if path.exists() else "it does not exist"
        raise NotADatabaseError(f"'{path}' cannot be imported: {problem}")
    with _reading(path), closing(apsw.Connection(str(path.absolute()), flags=apsw.SQLITE_OPEN_READONLY)) as source:
        source.set_busy_timeout(BUSY_TIMEOUT_MS)
        page_count, page_size = source.pragma("page_count"), source.pragma("page_size")
        present = path.stat().st_size
        if not _has_wal(path) and page_count * page_size > present:
            raise DatabaseDamagedError(
                f"'{path}' cannot be imported: it is truncated ({present} bytes of the "
                f"{page_count * page_size} in its header)"
            )
        if check:
            _require_sound(source, path)
        copy(source, target, progress)
        target.execute("SELECT count(*) FROM sqlite_schema").fetchall()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Translate SQLite's errors about a file to import; errors about the cluster are raised unchanged."""
    try:
        yield
    except apsw.Error as error:
        if error.__cause__ is not None:
            raise
        where = f"'{path}' cannot be imported"
        if isinstance(error, apsw.NotADBError):
            raise NotADatabaseError(f"{where}: it is not a SQLite database") from error
        if isinstance(error, apsw.CorruptError):
            raise DatabaseDamagedError(f"{where}: it is damaged ({reason(error)})") from error
        if isinstance(error, apsw.CantOpenError):
            raise NotADatabaseError(f"{where}: it cannot be opened ({reason(error)})") from error
        if isinstance(error, apsw.FullError):
            raise StoreFullError(f"{where}: {reason(error)}") from error
        if isinstance(error, apsw.ReadOnlyError):
            raise ImportSourceError(
                f"{where}: its program was interrupted and left a journal, which must be rolled back or replayed "
                "first: open it once with that program, or with sqlite3"
            ) from error
        if isinstance(error, apsw.BusyError | apsw.LockedError):
            raise ImportSourceError(f"{where}: it is locked by another process; try again later") from error
        raise ImportSourceError(f"{where}: {reason(error)}") from error


def _has_wal(path: Path) -> bool:
    wal = Path(f"{path}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _require_sound(source: apsw.Connection, path: Path) -> None:
    """Check the file.  Raises DatabaseDamagedError; ImportSourceError if it cannot be checked."""
    source.execute("PRAGMA ignore_check_constraints = ON").fetchall()
    source.collation_needed(lambda db, name: db.create_collation(name, _compare))
    try:
        try:
            problems = _problems(source, str(_PROBLEMS_MAX))
        except apsw.SQLError:  # a virtual table that only the file's program can read: check the other tables
            problems = []
            for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0"):
                problems += _problems(source, '"' + str(name).replace('"', '""') + '"')
    except apsw.CorruptError as error:
        problems = [reason(error)]
    except apsw.SQLError as error:
        raise ImportSourceError(
            f"'{path}' cannot be checked ({error}): import it unchecked (check=False) if it is not damaged"
        ) from error
    if problems:
        raise DatabaseDamagedError(
            f"'{path}' cannot be imported: it is damaged ({problems[0]}); recover it with sqlite3's .recover, or "
            "import it as it is (check=False)"
        )


def _problems(source: apsw.Connection, argument: str) -> list[str]:
    """The findings of SQLite's quick check, with stubs for functions that only the file's program has."""
    for _ in range(_STUBS_MAX):
        try:
            rows = source.execute(f"PRAGMA quick_check({argument})").fetchall()
        except apsw.SQLError as error:
            unknown = _UNKNOWN.search(str(error))
            if unknown is None:
                raise
            source.create_scalar_function(unknown[1], lambda *_: None, deterministic=True)
            continue
        lines = [line for (text,) in rows for line in str(text).splitlines() if not line.startswith("***")]
        return [line for line in lines if line != "ok" and not _ABOUT_VALUES.match(line)]
    raise apsw.SQLError("too many unknown functions")


def _compare(first: str, second: str) -> int:
    return (first > second) - (first < second)


# --- out --------------------------------------------------------------------------------------------------------------
def copy_out(source: Connection, path: Path, *, overwrite: bool, progress: Progress | None) -> tuple[str, ...]:
    """Write a cluster's database as a plain file, whole or not at all.

    A new file has the mode that the umask leaves, a replaced file keeps its mode.  Returns the collations that the file
    needs and SQLite does not have.  Raises ExportTargetError.
    """

    def write(partial: Path) -> None:
        with closing(apsw.Connection(str(partial), flags=apsw.SQLITE_OPEN_READWRITE)) as target:
            target.execute(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF"
            ).fetchall()  # the complete file is synced
            copy(source, target, progress)

    _put(path, write, overwrite=overwrite)
    return _foreign_collations(source)


def write_out(path: Path, content: bytes) -> None:
    """Write or replace a file, whole or not at all.  Raises ExportTargetError."""

    def write(partial: Path) -> None:
        partial.write_bytes(content)

    _put(path, write, overwrite=True)


def _put(path: Path, write: Callable[[Path], None], *, overwrite: bool) -> None:
    """Call ``write`` for another name in the same directory, and rename the file."""
    path = Path(os.path.realpath(path))  # a link stays, its target is replaced
    partial = path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}.partial")
    try:
        _require_writable_target(path, overwrite=overwrite)
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            if path.exists():
                os.fchmod(fd, stat.S_IMODE(path.stat().st_mode))
            write(partial)
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise ExportTargetError(f"'{path}' cannot be written: {error.strerror or error}") from error
    except (apsw.CantOpenError, apsw.FullError, apsw.IOError, apsw.ReadOnlyError) as error:
        if error.__cause__ is not None:  # the cluster cannot be read
            raise
        raise ExportTargetError(f"'{path}' cannot be written: {reason(error)}") from error
    finally:
        partial.unlink(missing_ok=True)


def _require_writable_target(path: Path, *, overwrite: bool) -> None:
    """Raise ExportTargetError if a file cannot, or must not, be written there."""
    if is_of_store(path):
        raise ExportTargetError(f"'{path}' is in the directory of a store: choose another directory")
    if path.is_dir():
        raise ExportTargetError(f"'{path}' is a directory: use the name of a file in it")
    if path.exists() and not path.is_file():
        raise ExportTargetError(f"'{path}' is not a regular file: choose another name")
    if path.exists() and not overwrite:
        raise ExportTargetError(f"'{path}' exists: choose another name, or allow overwriting (overwrite=True)")


_COLLATE = re.compile(r"\bCOLLATE\s+[\"`\[]?(\w+)", re.IGNORECASE)


def _foreign_collations(connection: apsw.Connection) -> tuple[str, ...]:
    """The collations that the definitions in a database use, except SQLite's own."""
    rows = connection.execute("SELECT sql FROM sqlite_schema WHERE sql LIKE '%COLLATE%'").fetchall()
    names = {name for (sql,) in rows for name in _COLLATE.findall(str(sql))}
    return tuple(sorted(name for name in names if name.upper() not in ("BINARY", "NOCASE", "RTRIM")))
