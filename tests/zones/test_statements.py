"""Aurora's statements on the storage nodes of a cluster with zones: what they count, fail and delay."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import clusterdb
from clusterdb import dbapi2
from clusterdb.zones.faults import Fault, Faults, fault_of

FOR = "FOR INTERVAL 1 HOUR"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[clusterdb.Store]:
    monkeypatch.setenv("CLUSTERDB_QUORUM_PATIENCE_S", "0.3")
    with clusterdb.open(tmp_path / "store", create=True) as store:
        yield store


def execute(cluster: clusterdb.Cluster, sql: str) -> list[tuple[object, ...]]:
    with dbapi2.connect(cluster) as connection:
        return connection.execute(sql).fetchall()


def lost(cluster: clusterdb.Cluster) -> list[int]:
    """The nodes that do not answer."""
    return [node.number for node in cluster.nodes() if node.status == "lost"]


@pytest.mark.parametrize(("zones", "count"), [(3, 6), ((), 0)])
def test_volume_status_counts_storage_nodes(store: clusterdb.Store, zones: object, count: int) -> None:
    mysql = store.create_cluster("m", engine="aurora-mysql", zones=zones)
    postgresql = store.create_cluster("p", engine="aurora-postgresql", zones=zones)
    assert execute(mysql, "SHOW VOLUME STATUS") == [("Disks", str(count)), ("Nodes", str(count))]
    assert execute(mysql, "show volume  status;") == [("Disks", str(count)), ("Nodes", str(count))]
    assert execute(postgresql, "SELECT * FROM aurora_show_volume_status()") == [(count, count)]
    assert execute(postgresql, "SELECT v.nodes FROM aurora_show_volume_status() AS v WHERE disks >= 0") == [(count,)]


@pytest.mark.parametrize("engine", ["sqlite", "aurora-mysql", "aurora-postgresql"])
@pytest.mark.parametrize("has_instance", [False, True])
def test_disk_failures_lose_storage_nodes(store: clusterdb.Store, engine: str, has_instance: bool) -> None:
    prod = store.create_cluster("prod", engine=engine, zones=3)
    execute(prod, "CREATE TABLE t (id INT)")
    if has_instance:
        prod.add_instance("w")
    for node in (1, 2):
        execute(prod, f"ALTER SYSTEM SIMULATE 100 PERCENT DISK FAILURE IN NODE {node} {FOR}")
    execute(prod, "INSERT INTO t VALUES (1)")
    execute(prod, "SELECT aurora_inject_disk_failure(100, 5, true, 60)")
    assert lost(prod) == [1, 2, 5]
    with pytest.raises(clusterdb.QuorumError, match="fewer than 4 of 6 storage nodes"):
        execute(prod, "INSERT INTO t VALUES (2)")
    outcome = execute(prod, "SELECT id FROM t")
    execute(prod, f"ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE {FOR}")
    execute(prod, "INSERT INTO t VALUES (3)")
    assert (lost(prod), execute(prod, "SELECT id FROM t")) == ([], [*outcome, (3,)])


def test_disk_failures_of_all_nodes(store: clusterdb.Store) -> None:
    prod = store.create_cluster("prod", zones=3)
    execute(prod, f"ALTER SYSTEM SIMULATE 100 PERCENT DISK FAILURE {FOR}")
    assert lost(prod) == [1, 2, 3, 4, 5, 6]
    assert store.events("prod")[-1].message == "every storage node is lost"


def test_congestion_delays_storage_nodes(store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    prod = store.create_cluster("prod", zones=3)
    execute(prod, f"ALTER SYSTEM SIMULATE 100 PERCENT DISK CONGESTION BETWEEN 5 AND 9 MILLISECONDS IN NODE 3 {FOR}")
    slept: list[float] = []
    monkeypatch.setattr("clusterdb.zones.faults.time.sleep", slept.append)
    assert lost(prod) == []
    assert slept
    assert all(0.005 <= seconds <= 0.009 for seconds in slept)


@pytest.mark.parametrize("index", ["7", "-1", "'x'", "1.5"])
def test_nodes_beyond_the_last_are_refused(store: clusterdb.Store, index: str) -> None:
    prod = store.create_cluster("prod", zones=3)
    with pytest.raises(clusterdb.InvalidArgumentError, match="use a node from 1 to 6, or 0 for all"):
        execute(prod, f"SELECT aurora_inject_disk_failure(50, {index}, 0, 60)")
    assert lost(prod) == []


def test_clusters_without_zones_fail_their_instance(store: clusterdb.Store) -> None:
    prod = store.create_cluster("prod", engine="aurora-mysql")
    execute(prod, "CREATE TABLE t (id INT)")
    prod.add_instance("w")
    execute(prod, f"ALTER SYSTEM SIMULATE 100 PERCENT DISK FAILURE IN NODE 77 {FOR}")
    with pytest.raises(clusterdb.OperationalError, match="instance 'w' simulates a disk failure"):
        execute(prod, "INSERT INTO t VALUES (1)")


def test_crashes_need_no_instance(store: clusterdb.Store) -> None:
    prod = store.create_cluster("prod", zones=3)
    with dbapi2.connect(prod) as connection:
        connection.execute("CREATE TABLE t (id INT)")
        connection.execute("INSERT INTO t VALUES (1)")
        execute(prod, "ALTER SYSTEM CRASH")
        with pytest.raises(clusterdb.OperationalError):
            connection.commit()
        connection.rollback()
    assert execute(prod, "SELECT id FROM t") == []


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(is_lost=True, rate=0.25), "fails 25% of its requests"),
        (Fault(delay_s=0.01, delay_max_s=0.02), "answers 0.01 to 0.02 s later"),
        (Fault(delay_s=0.01, rate=0.5), "answers 50% of its requests 0.01 s later"),
    ],
)
def test_faults_have_a_text(fault: Fault, text: str) -> None:
    assert fault.text == text


def test_part_of_the_requests_fails() -> None:
    def fails() -> bool:
        try:
            Fault(is_lost=True, rate=0.5).happen()
        except clusterdb.RemoteUnavailableError:
            return True
        return False

    outcomes = [fails() for _ in range(200)]
    assert {True, False} == set(outcomes)


def test_faults_that_two_processes_set_at_once_are_both_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults, others = Faults(tmp_path), Faults(tmp_path)
    fault = fault_of(is_lost=True)
    with ThreadPoolExecutor(1) as pool:
        later: list[Future[None]] = []
        refresh = faults._refresh

        def refresh_early() -> None:
            refresh()
            if not later:
                later.append(pool.submit(others.set, ["b"], fault))
                folder = os.open(tmp_path, os.O_RDONLY)
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody sets faults: the other one can
                    fcntl.flock(folder, fcntl.LOCK_UN)
                    later[0].result()
                except BlockingIOError:
                    pass  # the other one waits
                finally:
                    os.close(folder)

        monkeypatch.setattr(faults, "_refresh", refresh_early)
        faults.set(["a"], fault)
        later[0].result()
    assert [Faults(tmp_path).of(url) for url in "ab"] == [fault, fault]
