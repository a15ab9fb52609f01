"""A family of clusters to damage, and a visit that uses every verb of a store."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
from hypothesis import HealthCheck, Phase, settings

import clusterdb
from tests.support.inside import pinned_head
from tests.support.stores import assert_clean, rows
from vfs.format.layout import Version
from vfs.storage import device

NAMED = (clusterdb.Error, apsw.Error)
ROW_COUNT = 100
WRITTEN = {"one": 1, "two": 2, "three": 2, "heir": 4, "joint-heir": 4}
"""The clusters of :func:`make_family`, and what all rows of each have in column n."""

CPU_SECONDS = 1
FILE_BYTES_MAX = 1 << 28


# --- a family of clusters -------------------------------------------------------------------------------------------
def fill(cluster: clusterdb.Cluster, n: int) -> None:
    """Every row has that n, and a body that goes with it."""
    connection = cluster.connect()
    connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, n, body)")
    with connection:
        values = [(number, n, f"{number}-{n}-" * 40) for number in range(ROW_COUNT)]
        connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", values)
    connection.close()


def make_family(path: Path) -> None:
    """one (volume 1), its clone two (2), a clone of that, three (3), and two heirs (5, 6) whose source (4) is gone."""
    with clusterdb.open(path) as store:
        fill(store.create_cluster("one"), 1)
        fill(store.cluster("one").clone("two"), 2)
        store.cluster("two").clone("three")
        connection = store.cluster("two").connect()
        connection.execute("CREATE TABLE later (x); INSERT INTO later VALUES (randomblob(9000))")
        connection.close()
        fill(store.create_cluster("gone"), 4)
        store.cluster("gone").clone("heir")
        store.cluster("gone").clone("joint-heir")
        store.cluster("gone").delete()


@contextlib.contextmanager
def copy_of(family: Path, *, same_boot: bool = True) -> Iterator[Path]:
    """A copy of the store, closed; without ``same_boot`` the next to open it must rebuild what is derived."""
    copy = family.with_name("copy")
    shutil.copytree(family, copy, ignore=shutil.ignore_patterns("map", "readers"))
    try:
        if same_boot:
            clusterdb.open(copy).close()
        yield copy
    finally:
        shutil.rmtree(copy)


def in_child(action: Callable[[], object]) -> None:
    """Do it in a child process: what it raises is an AssertionError here, and so is a hang or a crash."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)  # processor time: a busy machine makes no difference
        signal.alarm(120)
        trouble = ""
        try:
            action()
        except BaseException:
            trouble = traceback.format_exc()
        with open(writer, "w", encoding="utf-8", errors="replace") as pipe:
            pipe.write(trouble)
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        trouble = pipe.read()
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"ended by {signal.Signals(os.WTERMSIG(status)).name} (SIGVTALRM: a hang)"
    if trouble:
        raise AssertionError(trouble)
    assert status == 0, f"ended with status {os.waitstatus_to_exitcode(status)}"


# --- all that can be done with a store ------------------------------------------------------------------------------
class Visit:
    """Somebody uses every verb of a damaged store.  ``refusals`` are the named errors that came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refusals: list[str] = []
        self.problems: list[str] = []

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """In the body a named error may be raised, of one line."""
        try:
            yield
        except NAMED as error:
            text = str(error)
            assert text and "\n" not in text, f"{what}: not one line: {error!r}"
            self.refusals.append(f"{what}: {text}")

    def run(self) -> Visit:
        """Check, read, write, clone, delete, reclaim, shrink, and read once more."""
        forbid_absurd_files()
        with self.attempt("open"), clusterdb.open(self.path) as store:
            self.check(store)
            for cluster in self.clusters(store):
                self.use(store, cluster)
            for cluster in self.clusters(store):
                if cluster.name.endswith("-copy"):
                    with self.attempt(f"delete {cluster.name}"):
                        cluster.delete()
            for verb in (store.stats, store.reclaim, store.shrink, store.dump):
                with self.attempt(verb.__name__):
                    verb()
            self.check(store)
            for cluster in self.clusters(store):
                self.read(cluster)
        return self

    def check(self, store: clusterdb.Store) -> None:
        """Note what check reports, or that it is refused."""
        before = len(self.refusals)
        with self.attempt("check"):
            self.problems += store.check().problems
        self.problems += self.refusals[before:]

    def clusters(self, store: clusterdb.Store) -> list[clusterdb.Cluster]:
        """The clusters there are."""
        with self.attempt("clusters"):
            return store.clusters()
        return []

    def use(self, store: clusterdb.Store, cluster: clusterdb.Cluster) -> None:
        """Every verb of a cluster."""
        self.read(cluster)
        for verb in (cluster.stats, lambda: write(cluster), lambda: cluster.clone(f"{cluster.name}-copy")):
            with self.attempt(f"use {cluster.name}"):
                verb()
        with self.attempt(f"dump {cluster.name}"):
            assert store.dump(cluster=cluster.name)

    def read(self, cluster: clusterdb.Cluster) -> None:
        """A cluster has its own rows, or cannot be read, or check has found something."""
        with self.attempt(f"read {cluster.name}"):
            connection = cluster.connect(read_only=True)
            try:
                answer = rows(connection, "SELECT count(*), min(n), max(n) FROM t")
            finally:
                connection.close()
            n = WRITTEN.get(cluster.name)
            right = n is None or answer == [(ROW_COUNT, n, n)]
            assert right or self.problems, f"{cluster.name} has {answer}, and check finds nothing"


def write(cluster: clusterdb.Cluster) -> None:
    """Change a page, add some, take some away."""
    connection = cluster.connect()
    try:
        connection.execute("UPDATE t SET body = body || '.' WHERE id < 3; CREATE TABLE IF NOT EXISTS u (x)")
        connection.execute("INSERT INTO u VALUES (randomblob(20000)); DELETE FROM u; VACUUM")
    finally:
        connection.close()


def forbid_absurd_files() -> None:
    """From now on this process makes no huge files (for children only)."""
    ftruncate, allocate = device.CALLS.ftruncate, device.CALLS.allocate

    def modest_ftruncate(fd: int, size: int) -> None:
        assert size <= FILE_BYTES_MAX, f"a file of {size} bytes was asked for"
        ftruncate(fd, size)

    def modest_allocate(fd: int, offset: int, size: int) -> None:
        assert offset + size <= FILE_BYTES_MAX, f"a file of {size} bytes was asked for"
        allocate(fd, offset, size)

    device.CALLS.ftruncate, device.CALLS.allocate = modest_ftruncate, modest_allocate


def survives(path: Path) -> None:
    """Use the store in every way; what it answers is right data or a named error."""
    in_child(Visit(path).run)


quick = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


# --- version records and nodes in the pool --------------------------------------------------------------------------
def version_of(path: Path, name: str) -> tuple[Version, int]:
    """The head of a cluster, and its head slot."""
    with clusterdb.open(path) as store, pinned_head(store, name) as volume:
        return volume.version, volume.row.head_slot


def put_word(path: Path, file: str, at: int, word: int) -> None:
    """Overwrite a 64-bit word of a derived file."""
    with open(path / file, "r+b") as opened:
        opened.seek(8 * at)
        opened.write(word.to_bytes(8, "little"))


def assert_is_the_family(path: Path, **others: int) -> None:
    """The store is clean, and every cluster has its rows."""
    with clusterdb.open(path) as store:
        assert_clean(store)
        assert {cluster.name for cluster in store.clusters()} == {*WRITTEN, *others}
        for name, n in WRITTEN.items():
            assert rows(store.cluster(name).connect(), "SELECT count(*), min(n), max(n) FROM t") == [(ROW_COUNT, n, n)]
