"""Bills beside clones, drops and commits: nothing that goes on meanwhile is taken for damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.clusters import billing
from tests.support.inside import catalog_of, pages_of, pinned_head
from tests.support.stores import assert_clean

ROWS = 2000


@pytest.fixture
def others(disk_store: clusterdb.Store) -> Iterator[clusterdb.Store]:
    """The same store as another process has it open: with a source, and a clone that has its own rows."""
    source = disk_store.create_cluster("prod")
    write(source, 1, "CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
    write(source.clone("clone"), 2)
    with clusterdb.open(disk_store.path) as store:
        yield store


def write(cluster: clusterdb.Cluster, n: int, before: str = "DELETE FROM t") -> None:
    connection = cluster.connect()
    connection.execute(before)
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?)", ((id, f"{n} {id}".ljust(200)) for id in range(ROWS)))
    connection.close()


def replace_the_clone(store: clusterdb.Store) -> None:
    """The clone's slots are freed, and used again by the one that comes instead."""
    store.cluster("clone").delete()
    write(store.cluster("prod").clone("clone"), 3)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something done whenever the walk of a party is about to begin, after what it walks was looked up."""

    def arm(action: Callable[[], object]) -> None:
        for name in ("reached", "_reach"):
            walk: Any = getattr(billing, name)

            def walked(*arguments: Any, walk: Any = walk, **named: Any) -> Any:
                action()
                return walk(*arguments, **named)

            monkeypatch.setattr(billing, name, walked)

    return arm


def live_bytes(store: clusterdb.Store) -> int:
    pages = pages_of(store)
    return (pages.slot_map.used_count() - pages.head_slot_count() - 1) * 4096  # but the pool's header


def test_drop_during_the_walk_is_not_reported_as_damage(
    disk_store: clusterdb.Store, others: clusterdb.Store, between: Callable[[Callable[[], object]], None]
) -> None:
    """The walk begins anew, and its parts add up."""
    todo = [lambda: replace_the_clone(others)] * 2
    between(lambda: todo.pop()() if todo else None)
    assert sum(bill.bytes for bill in disk_store.bills()) == live_bytes(disk_store)
    assert not todo


def test_endless_drops_do_not_keep_a_walk_from_ending(
    disk_store: clusterdb.Store, others: clusterdb.Store, between: Callable[[Callable[[], object]], None]
) -> None:
    """After some attempts no cluster is dropped until the walk ends; commits continue and free what they supersede."""
    counts = {"drops": 0, "commits": 0}

    def interfere() -> None:
        if not catalog_of(disk_store).database.is_in_transaction:
            counts["drops"] += 1
            replace_the_clone(others)
        counts["commits"] += 1
        for name in ("prod", "clone"):
            write(others.cluster(name), 4)

    between(interfere)
    bills = {bill.name: bill for bill in disk_store.bills()}
    assert set(bills) == {"prod", "clone"}
    assert all(bill.bytes > ROWS * 200 for bill in bills.values())
    assert counts["drops"] >= billing._TRIES
    assert counts["commits"] > counts["drops"]


def test_damage_is_reported_without_another_attempt(tmp_path: Path) -> None:
    """Damage is reported at once: repeating the walk would not change it."""
    with clusterdb.open(tmp_path / "store") as store:
        write(store.create_cluster("prod"), 1, "CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
        with pinned_head(store, "prod") as volume:
            slot = volume.version.root.slot
        with Path(store.path, "pool").open("r+b") as file:
            file.seek(slot * 4096)
            content = file.read(4096)
            file.seek(slot * 4096)
            file.write(bytes(4096))
        with pytest.raises(clusterdb.CorruptStoreError, match=rf"slot {slot}\b"):
            store.bills()
        with Path(store.path, "pool").open("r+b") as file:
            file.seek(slot * 4096)
            file.write(content)
        assert_clean(store)
