"""Random histories with a past against a model, and bills that add up."""

from __future__ import annotations

import contextlib
import random
import time
from datetime import datetime, timezone

import pytest

import clusterdb
from clusterdb.past import retention
from tests.past.numbers import KEEPS, give_up, numbers_of
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import assert_clean
from vfs.format.shared import LIVE_EVEN, LIVE_ODD


def assert_bills_add_up(store: clusterdb.Store) -> None:
    """The bills of all clusters and snapshots are the live bytes of the pool (but its header)."""
    states = pages_of(store).slot_map.states[: pages_of(store).slot_map.slot_count].tolist()
    live_count = sum(state in (LIVE_EVEN, LIVE_ODD) for state in states) - 1
    assert sum(bill.bytes for bill in store.bills()) == live_count * 4096


# --- random histories -------------------------------------------------------------------------------------------------
class World:
    """Clusters, snapshots and their contents by the model."""

    def __init__(self, store: clusterdb.Store, seed: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.serial = 0
        self.now: dict[str, frozenset[int]] = {}
        self.past: dict[str, dict[datetime, frozenset[int]]] = {}
        self.snapshots: dict[str, frozenset[int]] = {}

    def fresh(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"

    def name(self) -> str:
        return self.rng.choice(sorted(self.now))

    def note(self, name: str, content: frozenset[int]) -> None:
        time.sleep(0.00001)
        self.now[name] = content
        self.past.setdefault(name, {})[datetime.now(timezone.utc)] = content
        time.sleep(0.00001)

    def step(self) -> None:
        verbs = ["commit"] * 6 + ["clone", "clone_past", "backtrack", "backtrack", "reset", "snapshot", "restore"]
        verbs += ["delete", "delete_snapshot", "give_up", "reclaim"]
        getattr(self, self.rng.choice(verbs) if len(self.now) > 1 else "create")()

    def create(self) -> None:
        name = self.fresh("c")
        connection = self.store.create_cluster(name, **KEEPS).connect()
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body)")
        connection.close()
        self.note(name, frozenset())

    def commit(self) -> None:
        name = self.name()
        n = self.rng.randrange(1000)
        connection = self.store.cluster(name).connect()
        connection.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(?))", (n, self.rng.randrange(6000)))
        connection.close()
        self.note(name, self.now[name] | {n})

    def clone(self) -> None:
        source, name = self.name(), self.fresh("c")
        self.store.cluster(source).clone(name, **KEEPS)
        self.note(name, self.now[source])

    def clone_past(self) -> None:
        source, name = self.name(), self.fresh("c")
        at = self.rng.choice(sorted(self.past[source]))
        self.store.cluster(source).clone(name, at=at, **KEEPS)
        self.note(name, self.past[source][at])

    def backtrack(self) -> None:
        name = self.name()
        at = self.rng.choice(sorted(self.past[name]))
        self.store.cluster(name).backtrack(at)
        self.note(name, self.past[name][at])

    def reset(self) -> None:
        name = self.name()
        with contextlib.suppress(clusterdb.NoSourceError):
            self.store.cluster(name).reset()
            source = catalog_of(self.store).clusters.named(name).source  # type: ignore[union-attr]
            self.note(name, self.now[str(source)])

    def snapshot(self) -> None:
        source, name = self.name(), self.fresh("s")
        self.store.cluster(source).snapshot(name)
        self.snapshots[name] = self.now[source]

    def restore(self) -> None:
        if self.snapshots:
            snapshot, name = self.rng.choice(sorted(self.snapshots)), self.fresh("c")
            self.store.restore_snapshot(snapshot, name, **KEEPS)
            self.note(name, self.snapshots[snapshot])

    def delete(self) -> None:
        name = self.name()
        self.store.cluster(name).delete()
        del self.now[name], self.past[name]

    def delete_snapshot(self) -> None:
        if self.snapshots:
            name = self.rng.choice(sorted(self.snapshots))
            self.store.delete_snapshot(name)
            del self.snapshots[name]

    def give_up(self) -> None:
        """All of the past that is in the cluster's present volume, and its former volumes."""
        name = self.name()
        cluster = self.store.cluster(name)
        give_up(self.store, cluster, cluster.stats().version)
        for volume, _ in catalog_of(self.store).clusters.pasts(cluster.id):
            retention._drop_past(self.store.context, self.store.context.require_in_use(volume))
        self.past[name] = {}
        self.commit_to(name)

    def commit_to(self, name: str) -> None:
        connection = self.store.cluster(name).connect()
        connection.execute("INSERT OR REPLACE INTO t VALUES (5000, NULL)")
        connection.close()
        self.note(name, self.now[name] | {5000})

    def reclaim(self) -> None:
        assert self.store.reclaim().put_off == ""

    def verify(self) -> None:
        assert_clean(self.store)
        assert_bills_add_up(self.store)
        for name, content in self.now.items():
            assert frozenset(numbers_of(self.store.cluster(name))) == content, name


def play(store: clusterdb.Store, seed: int, steps: int) -> None:
    """Random steps, verified; then everything goes, and all space is back."""
    world = World(store, seed)
    for _ in range(steps):
        world.step()
        if world.rng.random() < 0.2:
            world.verify()
    world.verify()
    for name in world.snapshots:
        store.delete_snapshot(name)
    for name in world.now:
        store.cluster(name).delete()
    assert store.stats().used_bytes == 4096


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_with_a_past_match_a_model(store: clusterdb.Store, seed: int) -> None:
    """Random histories with a past against a model."""
    play(store, seed, 60)


def test_bills_add_up_after_every_random_step() -> None:
    """Accounting is exact after each of many random operations."""
    with clusterdb.open(":memory:") as store:
        world = World(store, 7)
        for _ in range(150):
            world.step()
            assert_bills_add_up(store)


@pytest.mark.slow
def test_bills_add_up_after_each_of_thousands_of_steps() -> None:
    """Clusters and snapshots beyond a dozen are deleted, so that the test ends."""
    with clusterdb.open(":memory:") as store:
        world = World(store, 8)
        for _ in range(4_000):
            world.step()
            while len(world.now) > 12:
                world.delete()
            while len(world.snapshots) > 6:
                world.delete_snapshot()
            assert_bills_add_up(store)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_random_histories_with_a_past_match_a_model_at_length(store: clusterdb.Store, seed: int) -> None:
    """More and longer histories."""
    play(store, seed, 200)
