"""Stopped processes: who is suspended in mid-work (SIGSTOP, a debugger, a laptop lid) keeps nobody else from working.

A :class:`Stopper` is another process that stops itself at a named point (vfs/failpoints.py) and has told the test so
before.  While it is stopped the test works in other clusters of the same store, in the stopped one's own cluster, and
in the store as a whole; then the process goes on, must end well, and everybody's data is looked at.  A wait without end
is the failure, and its message says where it waits.

However a test went, in the end the store is clean, and with its last cluster goes the last slot.
"""

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
import clusterdb.catalog
import vfs
import vfs.sweep
from tests.support.points import COMMIT_POINTS, PAST_POINTS, named_points
from tests.support.stores import assert_clean, rows
from vfs import failpoints

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


# --- the store ------------------------------------------------------------------------------------------------------
@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[clusterdb.Store]:
    """The store as this process has it open: 'own' with its clone 'own-dev', 'other' with 'other-dev', and 'spare'.

    This process does not wait long for the catalog, nor for a commit when it sweeps.
    """
    monkeypatch.setattr(clusterdb.catalog, "_BUSY_TIMEOUT_MS", BUSY_TIMEOUT_MS)
    monkeypatch.setattr(vfs.sweep, "_LABELLING_LOOKS", 2)
    with clusterdb.open(path) as store:
        for name, letter in (("own", "a"), ("other", "n"), ("spare", "s")):
            fill(store, name, letter)
        store.cluster("own").clone("own-dev")
        store.cluster("other").clone("other-dev")
        yield store
        assert_clean(store)
        for cluster in store.clusters():
            cluster.delete()
        assert store.stats().used_bytes == 4096


@pytest.fixture
def start(path: Path, store: clusterdb.Store) -> Iterator[Starter]:
    """A function that starts a process which is about to stop; those left at the end are killed."""
    started: list[Stopper] = []

    def start_one(work: str, point: str = "", synchronous: str = "FULL") -> Stopper:
        started.append(Stopper(path, work, point, synchronous))
        return started[-1]

    yield start_one
    for stopper in started:
        stopper.kill()
    while _waiting:
        _waiting.pop().join(PATIENCE_S)


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
    connection = store.create_cluster(name).connect()
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

SYNCED_IN_NORMAL = ("commit: synced", "NORMAL")
"""Such a commit makes no sync."""


STOPS = [(*case, mode) for case in WRITERS for mode in ("FULL", "NORMAL") if (case[1], mode) != SYNCED_IN_NORMAL]


@pytest.mark.parametrize(
    ("work", "point", "seen", "synchronous"),
    STOPS,
    ids=[f"{mode} - {point or 'transaction open'}" for _, point, _, mode in STOPS],
)
def test_a_stopped_writer_keeps_only_its_cluster(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str, seen: str, synchronous: str
) -> None:
    """Everything works in other clusters and in the store; its own can be read and cloned, writing it says BUSY."""
    with while_stopped(start(work, point, synchronous)):
        letter = in_time(lambda: use_own(store, is_written=True))
        assert letter in seen
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert letter_of(store, "own") == "b"
    assert letter_of(store, "own-new") == letter
    assert ("own-dev" in names(store)) == (work != COMMIT_WITH_CHORES)
    assert_others(store)


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_the_cluster_of_a_stopped_commit_can_be_deleted(store: clusterdb.Store, start: Starter, point: str) -> None:
    """Nobody waits for the writer, its commit ends well or not, clones stay whole, and its space comes back."""
    with while_stopped(start(COMMIT, point)):
        in_time(store.cluster("own").delete)
        in_time(lambda: rewrite(store, "own-dev", "d"))
        in_time(lambda: fill(store, "filler", "f", 300))
    assert names(store) == {"own-dev", "other", "other-dev", "spare", "filler"}
    assert letter_of(store, "own-dev") == "d"


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


def test_a_stopped_reader_keeps_nobody(store: clusterdb.Store, path: Path, start: Starter) -> None:
    """With a SELECT half-way everything works, writing its cluster too; it reads on in the version it began with."""
    with while_stopped(start(READ_OWN)):
        assert in_time(lambda: use_own(store, is_written=False)) == "a"
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: [rewrite(store, "own", letter) for letter in "defgh"])
        in_time(lambda: change_the_store(store))
    assert letter_of(store, "own") == "h"
    assert letter_of(store, "own-new") == letter_of(store, "own-dev") == "a"
    assert_others(store)


def test_what_a_stopped_reader_reads_can_be_rewritten(store: clusterdb.Store, start: Starter) -> None:
    """A version that nothing but the stopped reader holds stays whole, however often others commit."""
    for letter in "za":
        rewrite(store, "own", letter)
    with while_stopped(start(READ_OWN)):
        in_time(lambda: [rewrite(store, "own", letter) for letter in "defgh"])
        in_time(lambda: fill(store, "filler", "f", 300))  # it would take what is free too early
    assert letter_of(store, "own") == "h"


@pytest.mark.parametrize("dropped", [["own"], ["own-dev"], ["own", "own-dev"], ["own-dev", "own"]], ids=" then ".join)
def test_what_a_stopped_reader_reads_can_be_deleted(
    store: clusterdb.Store, path: Path, start: Starter, dropped: list[str]
) -> None:
    """Clones with readers can be dropped, and so can their sources; the reader sees all of it nevertheless."""
    in_time(lambda: rewrite(store, "own", "z"))
    with while_stopped(start(READ_DEV)):
        for name in dropped:
            in_time(store.cluster(name).delete)
        in_time(lambda: fill(store, "filler", "f", 300))  # it would take what is free too early
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert not names(store) & set(dropped)
    assert_others(store)


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
    (CREATE, "catalog: before commit"),
    (RENAME, "catalog: before commit"),
    (DROP, "drop: closed to readers"),
    (DROP, "reclaim: slots kept"),
    (DROP, "catalog: before commit"),
    (COMMIT_WITH_CHORES, "catalog: before commit"),
    (RECLAIM, "catalog: before commit"),
]
"""Who stops in the middle of a catalog transaction."""


def ids_of(cases: list[tuple[str, str]]) -> list[str]:
    """Readable names for pairs of work and point."""
    works = {COMMIT_WITH_CHORES: "commit with chores"}
    return [f"{works.get(work, work.removeprefix('arm(); '))} - {point}" for work, point in cases]


@pytest.mark.parametrize(("work", "point"), FREE_VERBS, ids=ids_of(FREE_VERBS))
def test_a_stopped_verb_keeps_nobody(store: clusterdb.Store, path: Path, start: Starter, work: str, point: str) -> None:
    """Stopped outside of a catalog transaction, a verb lets everything work, also on the cluster it is about."""
    with while_stopped(start(work, point)):
        in_time(lambda: use_own(store, is_written=False))
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert (letter_of(store, "own"), letter_of(store, "own-new")) == ("y", "a")
    if work == CLONE:
        assert letter_of(store, "new") == "a"
    assert_others(store)


def test_a_stopped_import_keeps_nobody(store: clusterdb.Store, path: Path, start: Starter, sample: Path) -> None:
    """A cluster that is being filled from a file is in nobody's way, and is whole in the end."""
    work = f"store.create_cluster('new', from_file={str(sample)!r}, progress=lambda *_: stop())"
    with while_stopped(start(work)):
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
        assert "new" not in names(store)
    connection = store.cluster("new").connect()
    assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
    connection.close()
    assert_others(store)


@pytest.mark.parametrize(("work", "point"), DROPS, ids=ids_of(DROPS))
def test_a_stopped_drop_keeps_no_stranger(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str
) -> None:
    """The dropped one is gone for everybody, its relatives can be read and cloned, others know nothing of it."""
    left = "own" if work == DROP else "own-dev"
    with while_stopped(start(work, point)):
        assert names(store) & {"own", "own-dev"} == {left}
        assert in_time(lambda: letter_of(store, left)) == "a"
        in_time(lambda: store.cluster(left).clone("own-new"))
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert letter_of(store, left) == letter_of(store, "own-new") == "a"
    assert_others(store)


@pytest.mark.parametrize(("work", "point"), HOLDERS, ids=ids_of(HOLDERS))
def test_who_is_stopped_with_the_catalog_keeps_verbs_only(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str
) -> None:
    """Reading, writing and opening go on; what changes the catalog gives up with an error, and changes nothing."""
    with while_stopped(start(work, point)):
        before = names(store)
        in_time(lambda: work_in_others(store, path))
        assert in_time(lambda: letter_of(store, "own")) in "ac"
        for verb in CATALOG_VERBS:
            with pytest.raises(clusterdb.StoreBusyError, match="if one that uses the store is stopped"):
                in_time(lambda: verb(store))  # noqa: B023
        assert names(store) == before
        with contextlib.suppress(clusterdb.StoreBusyError):
            assert in_time(store.reclaim).put_off != ""
    change_the_store(store)
    assert_others(store)


CATALOG_VERBS: list[Callable[[clusterdb.Store], object]] = [
    lambda store: store.create_cluster("made"),
    lambda store: store.cluster("other").clone("made"),
    lambda store: store.cluster("other-dev").delete(),
    lambda store: store.cluster("other").rename("made"),
]
"""What has to write to the catalog."""


WATCHED = [case for case in HOLDERS if case[0] != DROP]


@pytest.mark.parametrize(("work", "point"), WATCHED, ids=ids_of(WATCHED))
def test_the_store_can_be_checked_beside_a_stopped_verb(
    store: clusterdb.Store, start: Starter, work: str, point: str
) -> None:
    """Who only looks needs nothing that the stopped process has."""
    with while_stopped(start(work, point)):
        assert in_time(store.check).problems == []
        assert "cluster other" in in_time(store.dump)


def test_every_named_point_has_its_stop() -> None:
    """No step of anything that changes a store is left out above."""
    assert named_points() - set(PAST_POINTS) == {
        point for _, point, *_ in [*WRITERS, *FREE_VERBS, *DROPS, *HOLDERS]
    } - {""}


# --- what is not so yet ---------------------------------------------------------------------------------------------
RENAMING = (RENAME, "catalog: before commit")
"""Somebody who has nothing to do with 'other' and is stopped with the catalog in hand."""

STILL_LOCKED = [case for case in HOLDERS if case[0] == DROP and case[1] != "drop: closed to readers"] + DROPS


@pytest.mark.parametrize(("work", "point"), STILL_LOCKED, ids=ids_of(STILL_LOCKED))
def test_a_stopped_drop_keeps_its_relatives_from_being_written(
    store: clusterdb.Store, start: Starter, work: str, point: str
) -> None:
    """Who drops a clone is the writer of its source meanwhile, and the other way round: others are told BUSY."""
    relative = "own" if work == DROP else "own-dev"
    with while_stopped(start(work, point)), pytest.raises(apsw.BusyError):
        in_time(lambda: rewrite(store, relative, "w"))
    rewrite(store, relative, "w")


@contextlib.contextmanager
def dropped_clone_left(store: clusterdb.Store, _: Starter) -> Iterator[None]:
    """A clone of 'other' was dropped while 'other' published: what it held is left to the next writer."""

    def drop() -> None:
        del failpoints.armed["commit: pages written"]
        store.cluster("other-dev").delete()

    with contextlib.closing(store.cluster("other").connect()) as connection:
        failpoints.armed["commit: pages written"] = drop
        connection.execute("CREATE TABLE extra (x)")
        assert "commit: pages written" not in failpoints.armed
        yield


@contextlib.contextmanager
def dead_reader_left(_: clusterdb.Store, start: Starter) -> Iterator[None]:
    """A process was killed in the middle of reading 'other'."""
    start(READ_OWN.replace("own.", "store.cluster('other').")).go().kill()
    yield


def write_on(store: clusterdb.Store, _: Path) -> None:
    """Write 'other' until what was superseded is looked at."""
    with contextlib.closing(store.cluster("other").connect()) as connection:
        for letter in "abcdefgh":
            connection.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?)", (letter,))


def read_and_close(store: clusterdb.Store, _: Path) -> None:
    """Open a connection to 'other' for reading only, and close it."""
    with contextlib.closing(store.cluster("other").connect(read_only=True)) as connection:
        assert rows(connection, "SELECT count(*) FROM t") == [(60,)]


def open_and_close(_: clusterdb.Store, path: Path) -> None:
    """Open the store once more."""
    clusterdb.open(path).close()


Left = Callable[[clusterdb.Store, Starter], contextlib.AbstractContextManager[None]]
Deed = Callable[[clusterdb.Store, Path], None]


@pytest.mark.parametrize(
    ("left", "deed"),
    [
        (dropped_clone_left, write_on),
        (dropped_clone_left, read_and_close),
        (dropped_clone_left, open_and_close),
        (dead_reader_left, write_on),
        (dead_reader_left, open_and_close),
    ],
)
def test_reclaim_work_is_put_off_while_the_catalog_is_taken(
    store: clusterdb.Store, path: Path, start: Starter, left: Left, deed: Deed
) -> None:
    """Where somebody left work, others write, read and open nevertheless; it is done another time."""
    stopper = start(*RENAMING)
    with left(store, start), while_stopped(stopper):
        in_time(lambda: deed(store, path))
    store.reclaim()


def test_the_store_can_be_opened_after_a_sweep_that_met_a_stopped_process(
    store: clusterdb.Store, path: Path, start: Starter
) -> None:
    """A reclaim that could not have the catalog keeps nobody from opening the store."""
    with while_stopped(start(*RENAMING)):
        with contextlib.suppress(clusterdb.StoreBusyError):
            in_time(store.reclaim)
        in_time(lambda: open_and_close(store, path))


def test_work_that_could_not_be_done_is_done_by_the_next_writer(store: clusterdb.Store, start: Starter) -> None:
    """A writer that met a stopped process on its first try brings the space of a dropped clone back on its next."""
    stopper = start(*RENAMING)
    with dropped_clone_left(store, start), contextlib.closing(store.cluster("other").connect()) as connection:
        with while_stopped(stopper), contextlib.suppress(clusterdb.StoreBusyError):
            in_time(lambda: connection.execute("UPDATE t SET v = upper(v)"))
        connection.execute("UPDATE t SET v = lower(v)")
        assert [pin for pin in store._catalog.all_pin_rows() if pin.released] == []


DROPPING = [case for case in HOLDERS if case[0] == DROP]


@pytest.mark.parametrize(("work", "point"), DROPPING, ids=ids_of(DROPPING))
def test_the_store_can_be_checked_beside_a_stopped_drop(
    store: clusterdb.Store, start: Starter, work: str, point: str
) -> None:
    """Who only looks at the store leaves out what is being dropped."""
    with while_stopped(start(work, point)):
        assert in_time(store.check).problems == []


GROW_THE_POOL = """
from vfs import osio
c = own.connect()
ftruncate = osio.CALLS.ftruncate
def stop_in_it(fd, size):
    osio.CALLS.ftruncate = ftruncate
    ftruncate(fd, size)
    stop()
osio.CALLS.ftruncate = stop_in_it
c.execute("CREATE TABLE u AS SELECT randomblob(3000000) AS v")
c.close()
"""
OPEN_AGAIN = """
from clusterdb.catalog import Catalog
check_format = Catalog._check_format
def stop_in_it(self):
    Catalog._check_format = check_format
    stop()
    check_format(self)
Catalog._check_format = stop_in_it
clusterdb.open(path).close()
"""


@pytest.mark.parametrize(
    ("work", "deed"),
    [(GROW_THE_POOL, write_on), (GROW_THE_POOL, read_and_close), (OPEN_AGAIN, open_and_close)],
    ids=["growing the pool - write", "growing the pool - connect", "opening - open"],
)
def test_nobody_waits_without_end(
    store: clusterdb.Store, path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch, work: str, deed: Deed
) -> None:
    """Whoever meets a stopped process that holds a lock of the whole store is told so in the end."""
    stopper = start(work)
    monkeypatch.setattr("vfs.osio.LOCK_PATIENCE_S", 0.5)
    with while_stopped(stopper), pytest.raises((clusterdb.StoreBusyError, apsw.BusyError), match="a lock of the store"):
        in_time(lambda: deed(store, path))
