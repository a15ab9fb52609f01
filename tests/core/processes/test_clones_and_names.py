"""Clones, names and new stores that several processes create."""

from __future__ import annotations

import itertools
import random
import threading
from pathlib import Path
from typing import Any

import pytest

import clusterdb
import vfs.store
from tests.core.processes.agents import Agent, RemoteError, Starter, sum_of
from tests.support.stores import assert_clean, rows


# --- clones ---------------------------------------------------------------------------------------------------------
def test_clone_made_during_a_transaction_has_the_last_commit(shared: clusterdb.Store, start: Starter) -> None:
    """A clone made while another connection writes, in any thread or process, has the last commit."""
    writer = shared.cluster("prod").connect()
    writer.execute("BEGIN IMMEDIATE; UPDATE t SET n = 1")
    shared.cluster("prod").clone("by-connection")
    thread = threading.Thread(target=lambda: shared.cluster("prod").clone("by-thread"))
    thread.start()
    thread.join()
    start().do("store.cluster('prod').clone('by-process')")
    writer.execute("COMMIT")
    for name in ("by-connection", "by-thread", "by-process"):
        assert sum_of(shared, name) == 0
    assert sum_of(shared) == 400
    shared.cluster("prod").clone("after")
    assert sum_of(shared, "after") == 400
    writer.close()


def test_new_cluster_is_visible_to_other_processes_at_once(shared: clusterdb.Store, start: Starter) -> None:
    """Clusters of one process are there for the others at once."""
    agent = start()
    shared.cluster("prod").clone("dev")
    agent.connect("dev")
    agent.sql("UPDATE t SET n = 5 WHERE id = 1")
    assert sum_of(shared, "dev") == 5
    agent.do("store.cluster('dev').clone('dev-2')")
    assert [cluster.name for cluster in shared.clusters()] == ["dev", "dev-2", "prod"]
    assert sum_of(shared, "dev-2") == 5


@pytest.mark.parametrize("seed", [1, 2])
def test_deep_clones_can_be_dropped_in_any_order(store: clusterdb.Store, seed: int) -> None:
    """A clone of a clone of a clone, 200 deep, reads what its line wrote; dropping all gives every slot back."""
    cluster = store.create_cluster("c0")
    connection = cluster.connect()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, depth INTEGER)")
    connection.close()
    clusters = [cluster]
    for depth in range(1, 201):
        clusters.append(clusters[-1].clone(f"c{depth}"))
        if depth % 4 == 0:
            connection = clusters[-1].connect()
            connection.execute("INSERT INTO t (depth) VALUES (?)", (depth,))
            connection.close()
    random.Random(seed).shuffle(clusters)
    while clusters:
        survivor = clusters[-1]
        connection = survivor.connect()
        depth = int(survivor.name[1:])
        assert rows(connection, "SELECT depth FROM t") == [(level,) for level in range(4, depth + 1, 4)]
        connection.close()
        for dropped in clusters[-20:]:
            dropped.delete()
        del clusters[-20:]
        assert_clean(store)
    assert store.stats().used_bytes == 4096


# --- names ----------------------------------------------------------------------------------------------------------
def test_one_of_two_concurrent_creators_succeeds(shared: clusterdb.Store, start: Starter) -> None:
    """Of two processes that create a name at the same time one succeeds; the other gets an error."""
    agents = [start(), start()]
    for number in range(5):
        for agent in agents:
            agent.start("do", f"store.cluster('prod').clone('same-{number}')")
        outcomes = []
        for agent in agents:
            try:
                agent.answer()
                outcomes.append("created")
            except RemoteError as error:
                outcomes.append(error.kind)
        assert sorted(outcomes) == ["ClusterExistsError", "created"]
        assert sum_of(shared, f"same-{number}") == 0
    assert_clean(shared)


def test_rename_does_not_disturb_open_connections(shared: clusterdb.Store, start: Starter) -> None:
    """A connected process goes on reading and writing under the new name; the old one is free."""
    agent = start()
    agent.connect("prod")
    agent.sql("BEGIN IMMEDIATE; UPDATE t SET n = 1 WHERE id = 1")
    shared.cluster("prod").rename("main")
    agent.sql("COMMIT; UPDATE t SET n = 1 WHERE id = 2")
    assert sum_of(shared, "main") == 2
    with pytest.raises(RemoteError, match=r"ClusterNotFoundError.*'prod'"):
        agent.connect("prod")
    shared.create_cluster("prod", backup_retention_days=0)
    assert agent.sql("SELECT sum(n) FROM t") == [[2]]


def test_two_processes_can_create_a_store_at_the_same_time(tmp_path: Path) -> None:
    """Two processes that open a store which does not exist yet get the same one."""
    for number in range(3):
        path = tmp_path / f"store-{number}"
        agents = [Agent(path, opens=False) for _ in range(2)]
        try:
            for agent in agents:
                agent.ask("1")  # both are up
            for at, agent in enumerate(agents):
                agent.start("do", f"store = clusterdb.open(path); store.create_cluster('of-{at}')")
            for agent in agents:
                agent.answer()
            for agent in agents:
                assert agent.ask("[cluster.name for cluster in store.clusters()]") == ["of-0", "of-1"]
        finally:
            for agent in agents:
                agent.close()
        with clusterdb.open(path) as store:
            assert_clean(store)


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, at_call: int, path: Path) -> None:
    """Let somebody else open the store just before the ``at_call``-th call of a function."""
    original = getattr(owner, name)
    calls = itertools.count(1)

    def interrupted(*args: Any, **options: Any) -> Any:
        if next(calls) == at_call:
            with clusterdb.open(path) as other:
                other.create_cluster("of-other")
        return original(*args, **options)

    monkeypatch.setattr(owner, name, interrupted)


def test_directory_that_another_process_creates_first_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that appears while the store is being opened is not an error."""
    interrupt(monkeypatch, Path, "mkdir", 1, path)
    with clusterdb.open(path) as store:
        assert [cluster.name for cluster in store.clusters()] == ["of-other"]


@pytest.mark.parametrize("at_call", [1, 2, 3, 4])
def test_store_that_another_process_is_creating_can_be_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch, at_call: int
) -> None:
    """A directory with some of a store's files is a store that another process is creating."""
    interrupt(monkeypatch, vfs.store, "_open_file", at_call, path)
    with clusterdb.open(path) as store:
        assert [cluster.name for cluster in store.clusters()] == ["of-other"]
