"""Processes that stop at a named point, and the work that others do meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

import clusterdb
from tests.support.points import COMMIT_POINTS
from tests.support.stores import rows

T = TypeVar("T")

PATIENCE_S = 60
"""Whoever takes longer waits for the stopped process."""

COMMITS = 200
"""How often somebody else commits meanwhile."""

BUSY_TIMEOUT_MS = 20
"""How long this process waits for the catalog here."""

_STOPPER = """
import os, signal, sys
import clusterdb
from vfs import failpoints

path, synchronous, point, work = sys.argv[1:]

def stop():
    failpoints.armed.clear()
    print("stopped", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

def arm():
    failpoints.armed[point] = stop

def rewrite(connection, letter):
    connection.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?)", (letter,))

with clusterdb.open(path, synchronous=synchronous) as store:
    own = store.cluster("own")
    print("ready", flush=True)
    sys.stdin.readline()
    exec(work)
print("done", flush=True)
"""


_waiting: list[threading.Thread] = []
"""Those that hang until the stopped process goes on or dies."""


def in_time(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, done in a thread of its own; it must not wait for the stopped process."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    if thread.is_alive():
        _waiting.append(thread)
        frame = sys._current_frames()[thread.ident or 0]
        pytest.fail("it waits here:\n" + "".join(traceback.format_stack(frame)))
    if errors:
        raise errors[0]
    return results[0]


class Stopper:
    """Another process with the store open, that waits for :meth:`go` and stops itself in the middle of its work."""

    def __init__(self, path: Path, work: str, point: str = "", synchronous: str = "FULL") -> None:
        command = [sys.executable, "-c", _STOPPER, str(path), synchronous, point, work]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._point = point
        self._hear("ready")

    def _hear(self, expected: str) -> None:
        assert self.process.stdout is not None
        line = in_time(self.process.stdout.readline)
        assert line == f"{expected}\n", f"it said {line!r} instead of {expected!r} (to stop at '{self._point}')"

    def go(self) -> Stopper:
        """Let it work; returns when it is stopped."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._hear("stopped")
        _, status = in_time(lambda: os.waitpid(self.process.pid, os.WUNTRACED))
        assert os.WIFSTOPPED(status)
        return self

    def finish(self) -> None:
        """Let it go on; it must end well."""
        self.process.send_signal(signal.SIGCONT)
        self._hear("done")
        assert in_time(self.process.wait) == 0

    def kill(self) -> None:
        """End it, in whatever state it is."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


Starter = Callable[..., Stopper]


@contextlib.contextmanager
def while_stopped(stopper: Stopper) -> Iterator[None]:
    """In the body the process is stopped; then it goes on and must end well, whatever the body has met."""
    stopper.go()
    try:
        yield
    finally:
        stopper.finish()


# --- data -----------------------------------------------------------------------------------------------------------
def fill(store: clusterdb.Store, name: str, letter: str, count: int = 60) -> None:
    """A new cluster of rows whose ``v`` is a thousand times that letter."""
    connection = store.create_cluster(name, backup_retention_days=0).connect()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, letter * 1000) for number in range(count)])
    connection.close()


def rewrite(store: clusterdb.Store, name: str, letter: str) -> None:
    """Give every row another letter, without waiting for another writer."""
    connection = store.cluster(name).connect()
    try:
        connection.set_busy_timeout(0)
        connection.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?)", (letter,))
    finally:
        connection.close()


def letter_of(store: clusterdb.Store, name: str) -> str:
    """The letter that all of a cluster's 60 rows have, by a new connection."""
    connection = store.cluster(name).connect()
    try:
        assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
        assert rows(connection, "SELECT count(*) FROM t WHERE length(v) = 1000") == [(60,)]
        ((letter,),) = rows(connection, "SELECT DISTINCT rtrim(v, substr(v, 1, 1)) || substr(v, 1, 1) FROM t")
    finally:
        connection.close()
    assert isinstance(letter, str)
    return letter


def names(store: clusterdb.Store) -> set[str]:
    """The clusters there are."""
    return {cluster.name for cluster in store.clusters()}


# --- what others do meanwhile ---------------------------------------------------------------------------------------
def work_in_others(store: clusterdb.Store, path: Path) -> None:
    """What needs no catalog transaction: read and write other clusters, look at the store, open it anew, close it."""
    assert letter_of(store, "other-dev") == "n"
    write_often(store)
    store.shrink()
    with clusterdb.open(path) as anew:
        rewrite(anew, "other", "p")
        assert letter_of(anew, "other") == "p"


def write_often(store: clusterdb.Store) -> None:
    """Small transactions in a cluster that has a clone."""
    connection = store.cluster("other").connect()
    for number in range(COMMITS):
        connection.execute("UPDATE t SET v = ? WHERE id = ?", (chr(97 + number % 26) * 1000, number % 60))
    connection.close()
    rewrite(store, "other", "o")


def change_the_store(store: clusterdb.Store) -> None:
    """The verbs that write to the catalog, or look at everything."""
    fill(store, "made", "m")
    store.cluster("other").clone("other-new")
    store.cluster("other-dev").delete()
    store.cluster("spare").rename("spared")
    store.reclaim()  # it may be put off, but returns
    assert store.check().problems == []


def assert_others(store: clusterdb.Store) -> None:
    """What :func:`work_in_others` and :func:`change_the_store` have left."""
    assert letter_of(store, "other") == letter_of(store, "other-new") == "p"
    assert letter_of(store, "spared") == "s"
    assert letter_of(store, "made") == "m"
    assert store.reclaim().put_off == ""


def use_own(store: clusterdb.Store, *, is_written: bool) -> str:
    """Read and clone the stopped one's cluster, and try to write to it; the letter it has."""
    letter = letter_of(store, "own")
    store.cluster("own").clone("own-new")
    assert letter_of(store, "own-new") == letter
    if is_written:
        with pytest.raises(apsw.BusyError):
            rewrite(store, "own", "x")
    else:
        rewrite(store, "own", "y")
    assert store.check().problems == []
    return letter


# --- writers --------------------------------------------------------------------------------------------------------
COMMIT = "c = own.connect(); arm(); rewrite(c, 'b'); c.close()"
MANY_COMMITS = """
c = own.connect()
arm()
for letter in "cdefghijb":
    rewrite(c, letter)
c.close()
"""
COMMIT_WITH_CHORES = """
c = own.connect()
def drop():  # a commit is being published: what the clone held is left to the next writer
    del failpoints.armed["commit: pages written"]
    store.cluster("own-dev").delete()
failpoints.armed["commit: pages written"] = drop
rewrite(c, "c")
arm()
rewrite(c, "b")
c.close()
"""
OPEN_TRANSACTION = """
c = own.connect()
c.execute("BEGIN IMMEDIATE")
rewrite(c, "b")
stop()
c.execute("COMMIT")
c.close()
"""

WRITERS: list[tuple[str, str, str]] = [
    *((COMMIT, point, letter) for point, letter in COMMIT_POINTS.items()),
    (MANY_COMMITS, "drain: before pins are read", "cdefghij"),
    (MANY_COMMITS, "drain: readers read", "cdefghij"),
    (COMMIT_WITH_CHORES, "reclaim: slots kept", "c"),
    (COMMIT_WITH_CHORES, "catalog: committed", "c"),
    (COMMIT_WITH_CHORES, "reclaim: catalog has forgotten", "c"),
    (COMMIT_WITH_CHORES, "reclaim: rows removed", "c"),
    (OPEN_TRANSACTION, "", "a"),
]
"""What a writer does, where it stops, holding nothing but its cluster's writer lock, and the letters 'own' may have."""


# --- readers --------------------------------------------------------------------------------------------------------
READ_OWN = """
c = own.connect()
c.execute("PRAGMA cache_size = 1; BEGIN")
cursor = c.execute("SELECT v FROM t ORDER BY id")
first = next(cursor)
stop()
assert [first, *cursor] == [("a" * 1000,)] * 60
assert c.execute("SELECT DISTINCT v FROM t").fetchall() == [("a" * 1000,)]
c.execute("COMMIT")
c.close()
"""
READ_DEV = READ_OWN.replace("own.", "store.cluster('own-dev').")


# --- verbs ----------------------------------------------------------------------------------------------------------
CLONE = "arm(); own.clone('new')"
CREATE = "arm(); store.create_cluster('new')"
DROP = "arm(); store.cluster('own-dev').delete()"
DROP_SOURCE = "arm(); own.delete()"
RENAME = "arm(); store.cluster('own-dev').rename('new')"
RECLAIM = "arm(); store.reclaim()"
SHRINK = "arm(); store.shrink()"

FREE_VERBS: list[tuple[str, str]] = [
    (CLONE, "volume: head slot taken"),
    (CLONE, "catalog: committed"),
    (CREATE, "volume: head slot taken"),
    (CREATE, "catalog: committed"),
    (RENAME, "catalog: committed"),
    (RECLAIM, "sweep: epoch moved"),
    (RECLAIM, "catalog: committed"),
    (RECLAIM, "sweep: marked"),
    (RECLAIM, "sweep: heads synced"),
    (RECLAIM, "sweep: freed"),
    (SHRINK, "shrink: tail cut"),
]
"""Verbs, and where they stop, that hold neither the catalog nor a cluster."""

DROPS: list[tuple[str, str]] = [
    (DROP, "catalog: committed"),
    (DROP, "drop: committed"),
    (DROP, "reclaim: catalog has forgotten"),
    (DROP, "reclaim: rows removed"),
    (DROP, "drain: before pins are read"),
    (DROP, "drain: readers read"),
    (DROP_SOURCE, "absorb: head recorded"),
    (DROP_SOURCE, "absorb: slots kept"),
    (DROP_SOURCE, "absorb: catalog has forgotten"),
]
"""Drops that stop when the catalog is free again; they still hold the writer lock of the clone's source, or of the
clone that is left alone with what was its source's."""

HOLDERS: list[tuple[str, str]] = [
    (CLONE, "catalog: before commit"),
    (CLONE, "catalog: number moved"),
    (CREATE, "catalog: before commit"),
    (RENAME, "catalog: before commit"),
    (DROP, "drop: closed to readers"),
    (DROP, "reclaim: slots kept"),
    (DROP, "catalog: before commit"),
    (DROP, "catalog: number moved"),
    (COMMIT_WITH_CHORES, "catalog: before commit"),
    (RECLAIM, "catalog: before commit"),
]
"""Who stops in the middle of a catalog transaction."""


def ids_of(cases: list[tuple[str, str]]) -> list[str]:
    """Readable names for pairs of work and point."""
    works = {COMMIT_WITH_CHORES: "commit with chores"}
    return [f"{works.get(work, work.removeprefix('arm(); '))} - {point}" for work, point in cases]
