"""The VFS under the catalog: writes to its log are combined, and all commits are in the files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from vfs.plane import native

PLANE: Any = native().planes.get("c")
pytestmark = pytest.mark.skipif(PLANE is None, reason="needs the plane in C")
FRAME_BYTES = 1024 + 24


class Calls(apsw.VFS):
    """The default VFS while it is registered: notes what is asked of the files of logs, and fails on demand."""

    def __init__(self) -> None:
        super().__init__("noting", base="unix", makedefault=True)
        self.notes: list[tuple[str, int, int]] = []
        self.fails = False

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        if flags[0] & apsw.SQLITE_OPEN_WAL:
            return LogFile(self, name, flags)
        return apsw.VFSFile("unix", name, flags)


class LogFile(apsw.VFSFile):
    """A log whose writes and syncs are noted."""

    def __init__(self, calls: Calls, name: Any, flags: list[int]) -> None:
        self._calls = calls
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._calls.fails:
            raise apsw.FullError("no space")
        super().xWrite(data, offset)
        self._calls.notes.append(("write", offset, len(data)))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._calls.notes.append(("sync", 0, 0))


@pytest.fixture
def calls() -> Iterator[Calls]:
    """A VFS below the one for logs."""
    calls = Calls()
    try:
        yield calls
    finally:
        calls.unregister()


def connected(path: Path, synchronous: str = "FULL", cache_pages: int = 2000) -> apsw.Connection:
    """A database with a log, as the catalog is one."""
    connection: apsw.Connection = PLANE.connect_plain(str(path))
    settings = {
        "page_size": 1024,
        "journal_mode": "wal",
        "synchronous": synchronous,
        "cache_size": cache_pages,
        "cache_spill": cache_pages,
    }
    for name, value in settings.items():
        connection.pragma(name, value)
    return connection


def content_of_copy(path: Path, copies: Path, number: int) -> list[tuple[Any, ...]]:
    """The rows that recovery finds in copies of the files, made now, by SQLite alone."""
    copy = copies / f"{number}.db"
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())
    with closing(apsw.Connection(str(copy), vfs="unix")) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return connection.execute("SELECT id, length(b) FROM t ORDER BY id").fetchall()


def test_clone_writes_to_the_log_once(tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames of its transaction, then a sync."""
    monkeypatch.setenv("CLUSTERDB_IMPL", "c")
    with clusterdb.open(tmp_path / "store") as store:
        prod = store.create_cluster("prod")
        prod.clone("first")
        calls.notes.clear()
        prod.clone("second").delete()
    writes = [bytes for kind, _, bytes in calls.notes if kind == "write"][:2]
    assert [kind for kind, _, _ in calls.notes][:4] == ["write", "sync", "write", "sync"]
    assert all(bytes % FRAME_BYTES == 0 and bytes > 3 * FRAME_BYTES for bytes in writes)


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL", "FULL", "EXTRA"])
@pytest.mark.parametrize("seed", range(3))
def test_every_commit_is_in_the_files_when_it_returns(tmp_path: Path, synchronous: str, seed: int) -> None:
    """Also of transactions that spill pages, change them again, roll back to savepoints, or begin the log anew."""
    path, rng = tmp_path / "a.db", random.Random(seed)
    with closing(connected(path, synchronous, cache_pages=10)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)")
        reader = connected(path, synchronous)
        for number in range(60):
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(rng.choice([1, 3, 40])):
                values = (rng.randrange(300), rng.randrange(2500))
                connection.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(?))", values)
                if rng.random() < 0.1:
                    connection.execute("SAVEPOINT s; UPDATE t SET b = randomblob(900) WHERE id % 7 = 1; ROLLBACK TO s")
                if rng.random() < 0.1:
                    connection.execute("UPDATE t SET b = randomblob(length(b)) WHERE id % 5 = 2")
            connection.execute(rng.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
            copied = content_of_copy(path, tmp_path, number)  # first, since a read of the log ends what is kept back
            read = reader.execute("SELECT id, length(b) FROM t ORDER BY id").fetchall()
            assert connection.execute("SELECT id, length(b) FROM t ORDER BY id").fetchall() == copied == read
            if rng.random() < 0.1:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        reader.close()


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_failed_write_fails_the_commit(tmp_path: Path, calls: Calls, synchronous: str) -> None:
    """It is as if the transaction had not been; the next one goes as usual."""
    path = tmp_path / "a.db"
    with closing(connected(path, synchronous)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB); INSERT INTO t VALUES (1, 'a')")
        calls.fails = True
        with pytest.raises(apsw.FullError):
            connection.execute("INSERT INTO t VALUES (2, 'bb')")
        calls.fails = False
        assert content_of_copy(path, tmp_path, 1) == [(1, 1)]
        connection.execute("INSERT INTO t VALUES (3, 'ccc')")
        assert content_of_copy(path, tmp_path, 2) == [(1, 1), (3, 3)]


def test_vfs_is_registered_while_a_database_is_opened_only(tmp_path: Path) -> None:
    """SQLite would make it the default one when that is unregistered."""
    before = apsw.vfs_names()
    with closing(connected(tmp_path / "a.db")) as connection:
        assert apsw.vfs_names() == before
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(apsw.CantOpenError):
        PLANE.connect_plain(str(tmp_path / "nowhere" / "a.db"))
    assert apsw.vfs_names() == before
