"""Random histories of two writers and a store of lazy clones over storage that fails.

Writers push, remove, copy, clone lazily, collect and repack; in the middle of every action another one may act, or days
may pass.  Requests are lost, late, repeated, or carried out without an answer; processes die.  The clocks of writers
and of the storage are hours apart.  After each step nothing acknowledged may be lost, and every state must be whole;
every lazy clone must have the pages that it had when it was cloned.

``python -m tests.remote.histories --first 100000 --count 1000 --processes 2`` runs as many as one likes.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import clusterdb
from clusterdb.catalog.rows import ClusterRow
from clusterdb.errors import RemoteConflictError, RemoteNotFoundError, RemoteUnavailableError
from clusterdb.remote.fetching import clone_remote
from clusterdb.remote.handle import Remote
from clusterdb.remote.objects import Objects
from clusterdb.remote.pushing import push
from clusterdb.remote.repository import Repository
from tests.remote.engines import Faulty, Memory, Stopped, objects_on
from tests.support.stores import assert_clean

__all__ = ["History", "run"]

STEPS = 14
NAMES = ("x", "y")
ACTIONS = (
    *("push", "push", "push", "push", "force", "remove", "collect", "collect", "repack"),
    *("copy", "lazy_clone", "lazy_clone"),
)
SKEWS_H = (-30, -5, -1, 0, 0, 1, 5, 30)
_time_ns = time.time_ns
_boot_time = time.clock_gettime


class Writer:
    """A store with a cluster of numbers, which only grow."""

    def __init__(self, numbers: list[int], skew_h: int) -> None:
        self.store = clusterdb.open(":memory:")
        self.cluster = self.store.create_cluster("own", backtrack_window_s=3600)
        self.numbers = numbers
        self.skew_ns = skew_h * 3600 * 10**9
        with closing(self.cluster.connect()) as connection:
            connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body)")
            connection.execute(
                "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 60) "
                "INSERT INTO t SELECT -i, randomblob(900) FROM s"
            )

    def change(self, rng: random.Random) -> int:
        """Commit the next number, and change some rows."""
        self.numbers.append(len(self.numbers))
        with closing(self.cluster.connect()) as connection, connection:
            connection.execute("INSERT INTO t VALUES (?, randomblob(900))", (self.numbers[-1],))
            connection.execute("UPDATE t SET body = randomblob(900) WHERE n = ?", (-rng.randrange(1, 60),))
        return self.numbers[-1]


class Model:
    """What each database may contain: what was acknowledged last, and what has no answer since."""

    def __init__(self) -> None:
        self.possible: dict[str, set[int | None]] = {name: {None} for name in NAMES}
        self.stamps: Counter[str] = Counter()
        """How often something happened to a database."""

    def acknowledged(self, name: str, number: int | None, stamp: int) -> None:
        """Something was done; if other things have happened since ``stamp``, they may have come after it."""
        is_alone = self.stamps[name] == stamp
        self.possible[name] = {number} if is_alone else {number} | self.possible[name]
        self.stamps[name] += 1

    def unknown(self, name: str, number: int | None) -> None:
        """Something was done, or will be, or not."""
        self.possible[name].add(number)
        self.stamps[name] += 1


def number_of(cluster: clusterdb.Cluster) -> int:
    """The newest number in a cluster, which is whole."""
    with closing(cluster.connect()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(str(connection.execute("SELECT max(n) FROM t").fetchall()[0][0]))


class History:
    """Two writers, whose every action may be interrupted by one of the other's."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.names = itertools.count()
        self.engine, self.numbers, self.model = Memory(), [0], Model()
        self.engine.age(timedelta(hours=self.rng.choice(SKEWS_H)))
        self.began = self.engine.passed
        self.stack = ExitStack()
        self.writers = [Writer(self.numbers, self.rng.choice(SKEWS_H)) for _ in range(2)]
        self.looking = clusterdb.open(":memory:")
        self.clean = Repository(objects_on(self.engine))
        self.late: list[Faulty] = []
        self.pushed: dict[tuple[str, int, int], int] = {}
        """The number in every version that was pushed."""
        self.lazy: clusterdb.Store | None = None
        """A store on a disk, whose clones are lazy."""
        self.clones: dict[str, int] = {}
        if seed % 4 == 0:
            self.lazy = clusterdb.open(self.stack.enter_context(tempfile.TemporaryDirectory()) + "/store")
        self.acting = 0
        self.happened = Counter[str]()

    @contextmanager
    def clocks(self) -> Iterator[None]:
        """The clocks of the body: the acting writer's, and one that goes on since the boot."""

        def time_ns() -> int:
            passed_ns = int((self.engine.passed - self.began).total_seconds() * 1e9)
            return _time_ns() + passed_ns + self.writers[self.acting].skew_ns

        def clock_gettime(clock: int) -> float:
            return _boot_time(clock) + (self.engine.passed - self.began).total_seconds()

        def opened(url: str) -> Objects:
            return objects_on(self.engine)

        with ExitStack() as stack:
            for name, replacement in (
                ("time.time_ns", time_ns),
                ("clusterdb.remote.places.time_ns", time_ns),
                ("clusterdb.remote.places.open_objects", opened),
                ("time.clock_gettime", clock_gettime),
                ("clusterdb.remote.pushing.SEGMENT_SLOTS", 8),  # several segments in a push
                ("clusterdb.remote.fetching._THREADS", 1),  # one thing after another
                ("clusterdb.remote.repository._READ_THREADS", 1),
                ("clusterdb.remote.absent.AbsentPages.read_by", lambda self, place, slots: None),  # which may fail
            ):
                stack.enter_context(mock.patch(name, replacement))
            yield

    def run(self) -> Counter[str]:
        """All steps; the repository is looked at after each.  What happened, by kind."""
        with self.stack, self.clocks():
            for _ in range(STEPS):
                self.engine.age(timedelta(hours=self.rng.choice((0, 1, 25))))
                self.act(self.rng.randrange(2), depth=0)
                self.look()
                for engine in self.late:
                    engine.deliver(0.3)
            assert_whole(self.clean)
            for name, number in self.clones.items():
                assert self.lazy is not None
                assert number_of(self.lazy.cluster(name)) == number
            stores = [*(writer.store for writer in self.writers), self.looking]
            for store in [*stores, self.lazy] if self.lazy is not None else stores:
                assert_clean(store)
                store.close()
        return self.happened

    def look(self) -> None:
        """Copy every database whole."""
        newest = self.clean.newest()
        for name in NAMES:
            number = None
            if newest is not None and name in newest.refs:
                row = clone_remote(self.looking.context, self.clean, newest, name, "look", {}, None)
                number = number_of(self.looking.cluster(row.name))
                self.looking.cluster(row.name).delete()
            assert number in self.model.possible[name], (name, number, self.model.possible[name])

    # --- actions ------------------------------------------------------------------------------------------------------
    def act(self, who: int, depth: int) -> None:
        """An action of a writer, in the middle of which the other may act."""
        rng, before = self.rng, self.acting
        stops_at = rng.randrange(1, 30) if rng.random() < 0.2 else None
        faulty = Faulty(self.engine, rng, rng.choice((0, 0, 0.05, 0.3)), stops_at)
        self.late.append(faulty)
        if not depth:
            for at in rng.sample(range(1, 30), rng.randrange(3)):
                faulty.meanwhile[at] = lambda: self.interrupt(1 - who)
        action = rng.choice(ACTIONS)
        self.acting = who
        try:
            outcome = getattr(self, action)(self.writers[who], Repository(objects_on(faulty)), rng.choice(NAMES))
        except (RemoteUnavailableError, Stopped, RemoteNotFoundError) as error:
            outcome = type(error).__name__
        finally:
            self.acting = before
        self.happened[f"{action}: {outcome or 'done'}"] += 1

    def interrupt(self, who: int) -> None:
        """What happens in the middle of an action: the other writer acts, perhaps days later."""
        self.engine.age(timedelta(hours=self.rng.choice((0, 0, 0, 13, 25, 60))))
        for _ in range(self.rng.choice((1, 1, 2))):
            self.act(who, depth=1)

    def push(self, writer: Writer, repository: Repository, name: str, *, force: bool = False) -> str:
        number, stamp = writer.change(self.rng), self.model.stamps[name]
        context = writer.store.context
        volume, version = context.volume_of(writer.cluster).volume, writer.cluster.versions(1)[0].version
        self.pushed[context.catalog.store_id.hex(), volume, version] = number
        try:
            push(context, writer.cluster, repository, name, force=force, dry_run=False)
        except RemoteConflictError as error:
            return type(error).__name__
        except (RemoteUnavailableError, Stopped):
            self.model.unknown(name, number)
            raise
        self.model.acknowledged(name, number, stamp)
        return ""

    def force(self, writer: Writer, repository: Repository, name: str) -> str:
        return self.push(writer, repository, name, force=True)

    def remove(self, writer: Writer, repository: Repository, name: str) -> None:
        stamp = self.model.stamps[name]
        try:
            remote_on(repository).remove(name)
        except (RemoteUnavailableError, Stopped):
            self.model.unknown(name, None)
            raise
        self.model.acknowledged(name, None, stamp)

    def collect(self, writer: Writer, repository: Repository, name: str) -> None:
        remote_on(repository).collect(self.rng.choice((timedelta(0), timedelta(0), timedelta(days=1))))

    def repack(self, writer: Writer, repository: Repository, name: str) -> None:
        remote_on(repository).repack()

    def copy(self, writer: Writer, repository: Repository, name: str) -> None:
        newest = repository.require_newest()
        if name in newest.refs:
            row = self._clone(writer.store, repository, newest, name)
            writer.cluster = writer.store.cluster(row.name)

    def lazy_clone(self, writer: Writer, repository: Repository, name: str) -> str:
        """Clone lazily; what is read at once is a matter of chance."""
        newest = repository.require_newest()
        if self.lazy is None or name not in newest.refs:
            return "nothing"
        row = self._clone(self.lazy, repository, newest, name)
        ref = newest.refs[name]
        self.clones[row.name] = self.pushed[ref.store, ref.record.volume, ref.record.version]
        if self.rng.random() < 0.2:
            assert number_of(self.lazy.cluster(row.name)) == self.clones[row.name]
        return ""

    def _clone(self, store: clusterdb.Store, repository: Repository, newest: Any, name: str) -> ClusterRow:
        return clone_remote(store.context, repository, newest, name, f"c{next(self.names)}", {}, None, "copy-on-write")


def remote_on(repository: Repository) -> Remote:
    """A handle on a repository."""
    remote = Remote("memory://tests")
    remote.repository = repository
    return remote


def assert_whole(repository: Repository) -> None:
    """The newest state can be read, and every state before it that has not expired."""
    newest = state = repository.newest()
    while state is not None and newest is not None and state.number >= newest.oldest:
        assert remote_on(repository).check() == []
        for segment in repository.all_segments(state):
            assert repository.objects.get(f"segment/{segment.name}") is not None, segment
        state = repository.state(state.number - 1) if state.number > 1 else None


# --- many -------------------------------------------------------------------------------------------------------------
def run(seeds: range) -> Counter[str]:
    """The histories of some seeds; what happened in them."""
    happened = Counter[str]()
    for seed in seeds:
        try:
            happened += History(seed).run()
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    return happened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.count)
    parts = [seeds[start : start + 50] for start in range(0, len(seeds), 50)]
    happened, done = Counter[str](), 0
    with multiprocessing.get_context("spawn").Pool(arguments.processes, maxtasksperchild=20) as pool:
        for counted in pool.imap_unordered(run, parts):
            happened += counted
            done += 50
            print(f"{done:,} histories of {len(seeds):,}", flush=True)
    print("\n".join(f"{count:>9,} {what}" for what, count in sorted(happened.items())))
    print("nothing acknowledged was lost")


if __name__ == "__main__":
    main()
