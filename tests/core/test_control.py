"""The life of clusters: settings, status, expiry, events, bills, metrics."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.metrics import prometheus
from tests.support.clocks import set_clocks
from tests.support.stores import rows

KB = 1024


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with 200 KB in it."""
    prod = store.create_cluster("prod", backup_retention_days=0)
    connection = prod.connect()
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body); INSERT INTO t VALUES (1, randomblob(200000))")
    connection.close()
    return prod


# --- settings -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"engine": "oracle"}, clusterdb.UnknownEngineError),
        ({"backup_retention_days": 36}, clusterdb.InvalidArgumentError),
        ({"backup_retention_days": -1}, clusterdb.InvalidArgumentError),
        ({"backtrack_window_s": 259_201}, clusterdb.InvalidArgumentError),
        ({"backtrack_window_s": "60"}, clusterdb.InvalidArgumentError),
        ({"deletion_protection": 1}, clusterdb.InvalidArgumentError),
        ({"ttl_s": 0}, clusterdb.InvalidArgumentError),
        ({"idle_s": float("nan")}, clusterdb.InvalidArgumentError),
        ({"tags": {"": "x"}}, clusterdb.InvalidArgumentError),
        ({"tags": {"a": 1}}, clusterdb.InvalidArgumentError),
        ({"tags": {str(number): "" for number in range(51)}}, clusterdb.InvalidArgumentError),
        ({"colour": "red"}, clusterdb.InvalidArgumentError),
    ],
)
def test_bad_settings_change_nothing(
    store: clusterdb.Store, prod: clusterdb.Cluster, settings: dict[str, Any], error: type[Exception]
) -> None:
    """A setting out of its range is refused, with what to use, wherever it is given."""
    before = prod.settings
    for attempt in (
        lambda: store.create_cluster("new", **settings),
        lambda: prod.clone("new", **settings),
        lambda: prod.modify(**settings),
    ):
        with pytest.raises(error, match="use "):
            attempt()
    assert prod.settings == before
    assert [cluster.name for cluster in store.clusters()] == ["prod"]


def test_clone_inherits_engine_and_backup_retention_only(store: clusterdb.Store) -> None:
    """The engine and the backup retention; the rest is each cluster's own.  The group is the same."""
    prod = store.create_cluster(
        "prod", engine="aurora-mysql", backup_retention_days=2, deletion_protection=True, tags={"team": "a"}
    )
    dev = prod.clone("dev")
    assert dev.settings == clusterdb.ClusterSettings(engine="aurora-mysql", backup_retention_days=2)
    assert prod.clone("tagged", tags={"for": "test"}).settings.tags == {"for": "test"}
    assert dev.clone("devs").clone_group_id == prod.clone_group_id != store.create_cluster("own").clone_group_id
    prod.modify(deletion_protection=False)
    assert prod.settings.tags == {"team": "a"}


def test_engine_of_a_cluster_cannot_be_changed(prod: clusterdb.Cluster) -> None:
    """A cluster cannot get another engine."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="engine of a cluster cannot be changed"):
        prod.modify(engine="aurora-mysql")


# --- life -----------------------------------------------------------------------------------------------------------
def test_protected_cluster_cannot_be_deleted(prod: clusterdb.Cluster) -> None:
    """Deletion protection must be taken off first."""
    prod.modify(deletion_protection=True)
    with pytest.raises(clusterdb.DeletionProtectedError, match="set deletion_protection=False first"):
        prod.delete()
    prod.modify(deletion_protection=False)
    prod.delete()


def test_stopped_cluster_takes_no_connections_until_it_is_started(
    store: clusterdb.Store, prod: clusterdb.Cluster
) -> None:
    """A stopped cluster takes no connections, and writers are thrown out; it can be cloned and started again."""
    connection = prod.connect()
    prod.stop()
    assert prod.status == "stopped"
    with pytest.raises(Exception, match="open a new connection"):
        connection.execute("DELETE FROM t")
    connection.close()
    for refused in (prod.connect, prod.stop, prod.failover, lambda: prod.add_instance("w1"), prod.reset):
        with pytest.raises(clusterdb.ClusterStateError, match=r"is stopped: start it before "):
            refused()
    assert rows(prod.clone("dev").connect(), "SELECT count(*) FROM t") == [(1,)]
    prod.start()
    assert rows(prod.connect(), "SELECT count(*) FROM t") == [(1,)]
    with pytest.raises(clusterdb.ClusterStateError, match="is available"):
        prod.start()


def test_unused_clusters_expire_unless_protected_or_connected(
    store: clusterdb.Store, prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time to live, or idle time, a cluster goes; not one that is protected, or has a connection open."""
    prod.clone("short", ttl_s=100)
    prod.clone("idle", idle_s=50)
    prod.clone("protected", ttl_s=100, deletion_protection=True)
    connected = prod.clone("connected", ttl_s=100).connect()
    assert store.expire() == []
    now = time.time_ns()
    monkeypatch.setattr("clusterdb.past.find.time.time_ns", lambda: now + 60_000_000_000)
    assert store.expire() == ["idle"]
    monkeypatch.setattr("clusterdb.past.find.time.time_ns", lambda: now + 160_000_000_000)
    assert store.expire() == ["short"]
    connected.close()
    assert store.expire() == ["connected"]
    assert [cluster.name for cluster in store.clusters()] == ["prod", "protected"]


def test_every_change_of_the_control_plane_is_an_event(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Every change of the control plane is told, in order."""
    dev = prod.clone("dev")
    dev.rename("test")
    prod.snapshot("nightly")
    prod.stop()
    dev.delete()
    assert [(event.kind, event.source, event.category) for event in store.events()] == [
        ("cluster", "prod", "creation"),
        ("cluster", "dev", "creation"),
        ("cluster", "test", "configuration change"),
        ("snapshot", "nightly", "creation"),
        ("cluster", "prod", "notification"),
        ("cluster", "test", "deletion"),
    ]
    assert [event.message for event in store.events("nightly")] == ["snapshot 'nightly' of cluster 'prod' taken"]


def test_full_copy_shares_no_page(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A full copy shares nothing; past the limit of copy-on-write clones every clone is one."""
    copy = prod.clone("copy", copy_type="full-copy")
    assert copy.stats().shared_bytes == 0
    assert copy.stats().source == "prod"
    assert rows(copy.connect(), "SELECT n, length(body) FROM t") == [(1, 200_000)]
    copy.delete()
    prod.modify(clone_limit=2)
    shared = [prod.clone(f"c{number}").stats().shared_bytes > 0 for number in range(4)]
    assert shared == [True, True, False, False]
    with pytest.raises(clusterdb.InvalidArgumentError, match="use 'copy-on-write' or 'full-copy'"):
        prod.clone("new", copy_type="half-copy")


def test_restore_takes_the_parameters_of_aurora(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Either a time or the latest one; a clone, in Aurora's sense, is of the latest."""
    prod.modify(backup_retention_days=1)
    then = datetime.now(timezone.utc)
    prod.connect().execute("DELETE FROM t")
    clone = store.restore_to_point_in_time("prod", "a", restore_type="copy-on-write", use_latest_restorable_time=True)
    assert clone.stats().shared_bytes > 0
    assert rows(clone.connect(), "SELECT n FROM t") == []
    copy = store.restore_to_point_in_time("prod", "b", restore_to_time=then, tags={"for": "audit"})
    assert copy.stats().shared_bytes == 0
    assert copy.settings.tags == {"for": "audit"}
    assert rows(copy.connect(), "SELECT n FROM t") == [(1,)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "use either restore_to_time or use_latest"),
        ({"restore_to_time": datetime.now(), "use_latest_restorable_time": True}, "use either"),
        ({"restore_to_time": datetime.now(), "restore_type": "copy-on-write"}, "cannot be specified with"),
        ({"use_latest_restorable_time": True, "restore_type": "clone"}, "use 'copy-on-write' or 'full-copy'"),
    ],
)
def test_parameters_that_aurora_does_not_combine_are_refused(
    store: clusterdb.Store, prod: clusterdb.Cluster, options: dict[str, Any], text: str
) -> None:
    """Each is refused, and nothing is made."""
    with pytest.raises(clusterdb.InvalidArgumentError, match=text):
        store.restore_to_point_in_time("prod", "new", **options)
    assert [cluster.name for cluster in store.clusters()] == ["prod"]


def test_expire_drops_the_past_beyond_the_window(
    store: clusterdb.Store, prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A past that the settings keep no longer is dropped without waiting for the next writer."""
    prod.modify(backtrack_window_s=3600)
    before = prod.stats().version
    for n in range(3):
        prod.connect().execute("UPDATE t SET n = ?", (n,))
    prod.clone("early", at=before)
    later = time.time_ns() + 7200 * 10**9
    set_clocks(monkeypatch, lambda: later)
    store.expire()
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="has no version"):
        prod.clone("late", at=before)


# --- bills ----------------------------------------------------------------------------------------------------------
def bills(store: clusterdb.Store) -> dict[str, float]:
    """KB by name, rounded."""
    return {bill.name: round(float(bill.bytes) / KB, -1) for bill in store.bills()}


def test_shared_pages_are_billed_to_owner_then_sharers_then_snapshots(
    store: clusterdb.Store, prod: clusterdb.Cluster
) -> None:
    """A clone pays what it changes; when the owner goes, the sharers pay in equal parts; then the snapshots."""
    one, two = prod.clone("one"), prod.clone("two")
    assert bills(store) == {"prod": 210, "one": 0, "two": 0}
    connection = one.connect()
    connection.execute("INSERT INTO t VALUES (2, randomblob(100000))")
    connection.close()
    assert bills(store) == {"prod": 210, "one": 120, "two": 0}
    prod.snapshot("kept")
    prod.delete()
    assert bills(store) == {"one": 220, "two": 110, "kept": 0}
    one.delete()
    two.delete()
    assert bills(store) == {"kept": 200}


def test_metrics_have_sizes_writes_connections_and_lags(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Sizes, writes, connections and lags of every cluster, also as a Prometheus page."""
    prod.add_instance("w1")
    prod.add_instance("r1", replica_lag_ms=20)
    connection = prod.connect()
    values = {(metric.name, metric.instance): metric.value for metric in store.metrics()}
    assert values["VolumeBytesUsed", ""] == prod.stats().own_bytes
    assert values["VolumeWriteIOPs", ""] >= 200_000 / 4096
    assert values["VolumeReadIOPs", ""] > 0
    assert values["CommitCount", ""] == prod.stats().version
    assert values["DatabaseConnections", ""] == 1
    assert values["AuroraReplicaLag", "r1"] == 20
    page = prometheus(store.metrics())
    assert 'clusterdb_aurora_replica_lag{cluster="prod",instance="r1"} 20' in page.splitlines()
    assert page.count("# TYPE ") == page.count("# HELP ") == 13
    connection.close()


def test_metrics_have_the_past_and_snapshots(store: clusterdb.Store) -> None:
    """Snapshots within the retention period are free, as in Aurora; so are as many bytes as the cluster uses."""
    kept = store.create_cluster("kept", backup_retention_days=1, backtrack_window_s=3600)
    plain = store.create_cluster("plain", backup_retention_days=0)
    for cluster in (kept, plain):
        connection = cluster.connect()
        connection.execute("CREATE TABLE t (v)")
        for _ in range(3):
            connection.execute("DELETE FROM t")
            connection.execute("INSERT INTO t VALUES (randomblob(100000))")
        connection.close()
        cluster.snapshot(f"of-{cluster.name}")
    values = {(metric.name, metric.cluster): metric.value for metric in store.metrics()}
    past = values["BackupRetentionPeriodStorageUsed", "kept"]
    assert 200_000 < past < 600_000
    assert values["SnapshotStorageUsed", "kept"] == values["BackupRetentionPeriodStorageUsed", "plain"] == 0
    assert 100_000 < values["SnapshotStorageUsed", "plain"] < 200_000
    assert values["TotalBackupStorageBilled", "kept"] == past - values["VolumeBytesUsed", "kept"]
    assert values["TotalBackupStorageBilled", "plain"] == max(
        0, values["SnapshotStorageUsed", "plain"] - values["VolumeBytesUsed", "plain"]
    )
    assert values["BacktrackChangeRecordsStored", "kept"] == kept.stats().version - 1
    assert ("BacktrackChangeRecordsStored", "plain") not in values
    kept.backtrack(2)
    store.delete_snapshot("of-plain")
    values = {(metric.name, metric.cluster): metric.value for metric in store.metrics()}
    assert values["BackupRetentionPeriodStorageUsed", "kept"] >= past
    assert values["SnapshotStorageUsed", "plain"] == 0


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_close_releases_files_and_mappings_at_once(tmp_path: Path, where: str) -> None:
    """Descriptors and mappings go with close(), not when the collector comes by."""
    script = """
import gc, os, sys
import clusterdb
path = sys.argv[1]
gc.disable()
def used():
    fds = os.listdir("/proc/self/fd")
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds if os.path.lexists(f"/proc/self/fd/{fd}")]
    with open("/proc/self/maps") as maps:
        return [text for text in [*links, *maps] if "/store" in text or "memfd" in text]
for number in range(3):
    with clusterdb.open(path) as store:
        connection = store.create_cluster(f"c{number}", backup_retention_days=0, backtrack_window_s=60).connect()
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        connection.close()
        store.cluster(f"c{number}").clone(f"d{number}")
        assert used()
    print(len(used()))
"""
    path = ":memory:" if where == "memory" else str(tmp_path / "store")
    answer = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert (answer.stdout.split(), answer.stderr) == (["0", "0", "0"], "")
