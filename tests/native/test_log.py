"""The VFS under the catalog: writes to its log are combined, and all commits are in the files."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from vfs.plane import native

PLANE: Any = native().planes.get("c")
pytestmark = pytest.mark.skipif(PLANE is None, reason="needs the plane in C")
Rows = list[tuple[Any, ...]]


def connected(path: Path, synchronous: str = "FULL") -> apsw.Connection:
    """A database with a log, as the catalog is one, and with little memory."""
    connection: apsw.Connection = PLANE.connect_plain(str(path))
    settings = {"page_size": 1024, "journal_mode": "wal", "synchronous": synchronous, "cache_size": 10}
    for name, value in settings.items():
        connection.pragma(name, value)
    return connection


def rows_of(connection: apsw.Connection) -> Rows:
    return connection.execute("SELECT id, length(b) FROM t ORDER BY id").fetchall()


def rows_of_copy(path: Path, copy: Path) -> Rows:
    """The rows that recovery finds in copies of the files, made now, by SQLite alone."""
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    with closing(apsw.Connection(str(copy), vfs="unix")) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return rows_of(connection)


def write_calls() -> int:
    """The calls of the system by which this process has written so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("syscw")).split()[1])


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """No file can be written behind that place: a write that crosses it writes a part."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def change_at_random(connection: apsw.Connection, rng: random.Random) -> None:
    """A transaction: small or large, with savepoints, and sometimes for nothing."""
    connection.execute("BEGIN IMMEDIATE")
    for _ in range(rng.choice([1, 3, 40])):
        values = (rng.randrange(300), rng.randrange(2500))
        connection.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(?))", values)
        if rng.random() < 0.1:
            connection.execute("SAVEPOINT s; UPDATE t SET b = randomblob(900) WHERE id % 7 = 1; ROLLBACK TO s")
        if rng.random() < 0.1:
            connection.execute("UPDATE t SET b = randomblob(length(b)) WHERE id % 5 = 2")
    connection.execute(rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]))


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL", "FULL", "EXTRA"])
@pytest.mark.parametrize("seed", range(3))
def test_every_commit_is_in_the_files_when_it_returns(tmp_path: Path, synchronous: str, seed: int) -> None:
    """Two connections write in turns, roll back, and begin the log anew; nothing of a rollback comes later."""
    path, rng = tmp_path / "a.db", random.Random(seed)
    with closing(connected(path, synchronous)) as first, closing(connected(path, synchronous)) as second:
        first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)")
        for number in range(60):
            writer, other = rng.sample([first, second], 2)
            change_at_random(writer, rng)
            copied = rows_of_copy(path, tmp_path / f"{number}.db")  # first, since a read may write what is kept back
            assert rows_of(other) == copied == rows_of(writer)
            if rng.random() < 0.1:
                other.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


@pytest.mark.parametrize("count", range(2, 40, 3))
def test_nothing_of_a_rollback_is_written_over_later_commits(tmp_path: Path, count: int) -> None:
    """It has more pages than the memory of the connection, which spills none of them (F1)."""
    path = tmp_path / "a.db"
    with closing(connected(path)) as first, closing(connected(path)) as second:
        first.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)")
        first.execute("BEGIN IMMEDIATE")
        first.executemany("INSERT INTO t VALUES (?, randomblob(700))", [(number,) for number in range(count)])
        first.execute("ROLLBACK")
        second.executemany("INSERT INTO t VALUES (?, randomblob(900))", [(number,) for number in range(10)])
        assert rows_of(first) == [(number, 900) for number in range(10)]
        first.execute("INSERT INTO t VALUES (10, 'a')")
        assert rows_of_copy(path, tmp_path / "copy.db") == rows_of(second)
        assert len(rows_of(second)) == 11


def test_frames_of_a_commit_are_written_at_once(tmp_path: Path) -> None:
    """SQLite would write two times for each of them."""
    with closing(connected(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES (1, 'a')")
        for values in ((2, bytes(100)), (3, bytes(9000))):
            before = write_calls()
            connection.execute("INSERT INTO t VALUES (?, ?)", values)
            assert write_calls() == before + 1


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
@pytest.mark.parametrize("room", [0, 10, 1000, 5000, 20_000])
def test_failed_write_fails_the_commit(tmp_path: Path, synchronous: str, room: int) -> None:
    """It is as if the transaction had not been; the next one goes as usual."""
    path = tmp_path / "a.db"
    with closing(connected(path, synchronous)) as connection, closing(connected(path, synchronous)) as other:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES (1, 'a')")
        size_bytes = path.with_name("a.db-wal").stat().st_size
        with files_end_at(size_bytes + room), pytest.raises((apsw.FullError, apsw.IOError)):
            connection.execute("INSERT INTO t VALUES (2, ?)", (bytes(30_000),))
        assert rows_of_copy(path, tmp_path / "first.db") == rows_of(other) == [(1, 1)]
        other.execute("INSERT INTO t VALUES (3, 'ccc')")
        connection.execute("INSERT INTO t VALUES (4, 'dddd')")
        assert rows_of_copy(path, tmp_path / "second.db") == rows_of(connection) == [(1, 1), (3, 3), (4, 4)]


def test_vfs_is_registered_while_a_database_is_opened_only(tmp_path: Path) -> None:
    """SQLite would make it the default one when that is unregistered."""
    before = apsw.vfs_names()
    with closing(connected(tmp_path / "a.db")) as connection:
        assert connection.open_vfs == "clusterdb-log"
        assert apsw.vfs_names() == before
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(apsw.CantOpenError):
        PLANE.connect_plain(str(tmp_path / "nowhere" / "a.db"))
    assert apsw.vfs_names() == before


def test_default_vfs_of_a_program_is_used_as_it_is(tmp_path: Path) -> None:
    """It may be gone while the database is still open: SQLite's own never is."""
    vfs = apsw.VFS("own", base="unix", makedefault=True)
    try:
        with closing(connected(tmp_path / "a.db")) as connection:
            assert connection.open_vfs == "own"
    finally:
        vfs.unregister()
