"""Processes that die with forked children."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import clusterdb
from tests.support.inside import pages_of
from tests.support.mishaps import (
    filled,
    letters_of,
    rewrite,
    run_until_killed,
)


def test_reserved_slots_beyond_the_old_end_of_the_pool_come_back(path: Path, store: clusterdb.Store) -> None:
    """Space comes back too that a process took after the pool had grown out of our sight (M1)."""
    filled(store, "prod", 1, "a").close()
    used_bytes, slot_count = store.stats().used_bytes, pages_of(store).slot_map.slot_count
    work = """
vfs.storage.writer.STAGED_PAGES_MAX = 16
# Of the dead sessions, let the one with the slots be the first to be seen.
store.context.pages._idle_sessions.pop().close()
c = store.cluster('prod').connect()
c.execute("PRAGMA cache_size = 10; BEGIN")
c.executemany("INSERT INTO t VALUES (?, randomblob(3500))", [(number,) for number in range(10, 1000)])
"""
    run_until_killed(path, "", work)
    assert pages_of(store).slot_map.slot_count > slot_count + 500
    store.reclaim()
    assert store.stats().used_bytes == used_bytes


class Speaker:
    """Another process that runs a script and says 'ready'; it or its children read standard input until we hang up."""

    def __init__(self, script: str, *arguments: str) -> None:
        """Start it and wait until it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.read()  # to its end: no child of the process lives any more
        self._process.stdout.close()

    def wait(self) -> int:
        """Until the process itself has died; its children may live on."""
        return self._process.wait()


CHILD_OPENS_THE_STORE = """
import os, signal, sys
import clusterdb
store = clusterdb.open(sys.argv[1])
store.clusters()
read_fd, write_fd = os.pipe()
if os.fork() == 0:
    mine = clusterdb.open(sys.argv[1])
    mine.clusters()
    os.write(write_fd, b"x")
    sys.stdin.read()
    os._exit(0)
os.read(read_fd, 1)
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

PARENT_DIES_WRITING = """
import os, signal, sys
import clusterdb
store = clusterdb.open(sys.argv[1])
c = store.cluster("prod").connect()
c.execute("BEGIN IMMEDIATE; UPDATE t SET v = 'x'")
if os.fork() == 0:
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_locked_by_a_reader(database: Path) -> bool:
    """Whether some process holds SQLite's SHARED lock on a file (https://sqlite.org/src/file?name=src/os.h)."""
    first, count = 0x40000000 + 2, 510
    with open(database, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, first)
        except (BlockingIOError, PermissionError):
            return True
    return False


def test_forked_child_that_opens_the_store_holds_its_own_catalog_lock(path: Path) -> None:
    """A child that opens the store anew has locks of its own on the catalog, when its parent has gone too.

    POSIX locks are not inherited: with a connection carried across the fork the child would believe it had them.
    """
    clusterdb.open(path).close()
    assert not is_locked_by_a_reader(path / "catalog.db")
    with Speaker(CHILD_OPENS_THE_STORE, str(path)) as parent:
        assert parent.wait() == -signal.SIGKILL
        assert is_locked_by_a_reader(path / "catalog.db")
    assert not is_locked_by_a_reader(path / "catalog.db")


def test_idle_forked_child_keeps_no_lock_of_its_dead_parent(path: Path, store: clusterdb.Store) -> None:
    """A killed writer leaves no lock, though a child that it forked in the middle lives on."""
    filled(store, "prod", 20, "a").close()
    with Speaker(PARENT_DIES_WRITING, str(path)) as parent:
        assert parent.wait() == -signal.SIGKILL
        writer = store.cluster("prod").connect()
        writer.set_busy_timeout(0)
        rewrite(writer, "b")
        writer.close()
    assert letters_of(store, "prod") == {"b": 20}
    store.reclaim()
