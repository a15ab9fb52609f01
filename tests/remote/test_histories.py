"""Random histories of two writers over storage that fails: nothing acknowledged is lost, and every state is whole."""

from __future__ import annotations

import itertools
import random
from contextlib import closing, suppress
from datetime import timedelta

import pytest

import clusterdb
from clusterdb.errors import RemoteConflictError, RemoteNotFoundError, RemoteUnavailableError
from clusterdb.remote.fetching import clone_remote
from clusterdb.remote.handle import Remote
from clusterdb.remote.pushing import push
from clusterdb.remote.repository import Repository
from tests.remote.engines import Faulty, Memory, Stopped, objects_on
from tests.support.stores import assert_clean

STEPS = 14
NAMES = ("x", "y")


class Writer:
    """A store with a cluster of numbers, which only grow."""

    def __init__(self, numbers: list[int]) -> None:
        self.store = clusterdb.open(":memory:")
        self.cluster = self.store.create_cluster("own", backtrack_window_s=3600)
        self.numbers = numbers
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
    """What each database may contain: the number acknowledged last, or one of a push without an answer since."""

    def __init__(self) -> None:
        self.possible: dict[str, set[int | None]] = {name: {None} for name in NAMES}

    def acknowledged(self, name: str, number: int) -> None:
        self.possible[name] = {number}

    def unknown(self, name: str, number: int) -> None:
        self.possible[name].add(number)


def number_in(repository: Repository, name: str, store: clusterdb.Store) -> int | None:
    """The newest number in a database, which is copied whole; None if there is none."""
    newest = repository.newest()
    if newest is None or name not in newest.refs:
        return None
    row = clone_remote(store.context, repository, newest, name, "look", {}, None)
    look = store.cluster(row.name)
    with closing(look.connect()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        number = int(str(connection.execute("SELECT max(n) FROM t").fetchall()[0][0]))
    look.delete()
    return number


class History:
    """Two writers, whose every action may be interrupted by one of the other's."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.names = itertools.count()
        self.engine, self.numbers, self.model = Memory(), [0], Model()
        self.writers = [Writer(self.numbers), Writer(self.numbers)]
        self.looking = clusterdb.open(":memory:")
        self.clean = Repository(objects_on(self.engine))

    def run(self) -> None:
        """All steps; the repository is looked at after each."""
        for _ in range(STEPS):
            self.engine.age()
            late = self.act(self.rng.randrange(2), depth=0)
            for name in NAMES:
                number = number_in(self.clean, name, self.looking)
                assert number in self.model.possible[name], (name, number, self.model.possible[name])
            for engine in late:
                engine.deliver(1)
        assert_whole(self.clean)
        for store in (*(writer.store for writer in self.writers), self.looking):
            assert_clean(store)
            store.close()

    def act(self, who: int, depth: int) -> list[Faulty]:
        """An action of a writer, in the middle of which the other may act; the engines with late requests."""
        rng, writer, name = self.rng, self.writers[who], self.rng.choice(NAMES)
        stops_at = rng.randrange(1, 14) if rng.random() < 0.2 else None
        faulty = Faulty(self.engine, rng, rng.choice((0, 0.05, 0.3)), stops_at)
        engines = [faulty]
        if not depth:
            for at in rng.sample(range(1, 16), rng.randrange(3)):
                faulty.meanwhile[at] = lambda: engines.extend(self.act(1 - who, depth=1))
        action = rng.choice(("push", "push", "push", "force", "collect", "repack", "pull"))
        if action in ("push", "force"):
            self.push(writer, Repository(objects_on(faulty)), name, force=action == "force")
        else:
            with suppress(RemoteUnavailableError, Stopped, RemoteNotFoundError):
                if action == "collect":
                    remote_on(Repository(objects_on(faulty))).collect(rng.choice((timedelta(0), timedelta(days=1))))
                elif action == "repack":
                    remote_on(Repository(objects_on(faulty))).repack()
                else:
                    self.pull(writer, Repository(objects_on(faulty)), name)
        return engines

    def push(self, writer: Writer, repository: Repository, name: str, *, force: bool) -> None:
        number = writer.change(self.rng)
        before = {name: set(possible) for name, possible in self.model.possible.items()}
        try:
            push(writer.store.context, writer.cluster, repository, name, force=force, dry_run=False)
        except RemoteConflictError:
            return
        except (RemoteUnavailableError, Stopped):
            self.model.unknown(name, number)
            return
        meanwhile = self.model.possible[name] - before[name]
        self.model.acknowledged(name, number)
        if meanwhile:  # the other's push may have come after this one
            self.model.possible[name] |= meanwhile

    def pull(self, writer: Writer, repository: Repository, name: str) -> None:
        newest = repository.require_newest()
        if name in newest.refs:
            row = clone_remote(writer.store.context, repository, newest, name, f"c{next(self.names)}", {}, None)
            writer.cluster = writer.store.cluster(row.name)


def remote_on(repository: Repository) -> Remote:
    remote = Remote("memory://tests")
    remote.repository = repository
    return remote


def assert_whole(repository: Repository) -> None:
    """The newest state can be read, and every state before it until the first that expired."""
    state = repository.newest()
    while state is not None:
        assert remote_on(repository).check() == []
        for segment in repository.all_segments(state):
            assert repository.objects.get(f"segment/{segment.name}") is not None, segment
        state = repository.state(state.number - 1) if state.number > 1 else None


@pytest.mark.parametrize("seed", range(12))
def test_nothing_acknowledged_is_lost(seed: int) -> None:
    History(seed).run()


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 600, 50))
def test_nothing_acknowledged_is_lost_in_many_histories(start: int) -> None:
    for seed in range(10_000 + start, 10_000 + start + 50):
        History(seed).run()
