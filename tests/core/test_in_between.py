"""What happens when another process does something between two steps of a verb, or the verb is interrupted there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import clusterdb
from clusterdb import metrics
from clusterdb.clusters import changing
from clusterdb.core.volumes import drop_volume
from clusterdb.ha import failover
from clusterdb.past import switching
from clusterdb.rules.points import parse
from tests.support.clocks import set_clocks
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import assert_clean, rows

Pair = tuple[clusterdb.Store, clusterdb.Store]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pair]:
    """Two stores on one directory, as two processes have them; 'prod' has some rows."""
    with clusterdb.open(tmp_path / "store") as one, clusterdb.open(tmp_path / "store") as other:
        connection = one.create_cluster("prod", backup_retention_days=0).connect()
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x)")
        connection.execute(
            "WITH c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 500) INSERT INTO t SELECT n, n FROM c"
        )
        connection.close()
        yield one, other
        assert_clean(one)


def before(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, action: Callable[[], object]) -> None:
    """Just before the next call of a method, and then no more, something else happens."""
    original = getattr(owner, name)

    def intercepted(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        action()
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, intercepted)


def overwrite(cluster: clusterdb.Cluster) -> None:
    """Use slots again that nobody keeps."""
    connection = cluster.connect()
    for _ in range(3):
        connection.execute("UPDATE t SET x = randomblob(500)")
    connection.close()


# --- snapshots --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["restore", "clone", "take", "reset"])
def test_snapshot_deleted_while_it_is_used_is_refused(two: Pair, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """It is refused; nothing is made of slots that are free."""
    one, other = two
    prod = one.cluster("prod")
    prod.snapshot("s")
    overwrite(prod)

    def delete() -> None:
        other.delete_snapshot("s")
        overwrite(other.cluster("prod"))

    before(monkeypatch, catalog_of(one) if verb == "take" else catalog_of(one).volumes, "transaction", delete)
    verbs: dict[str, Callable[[], object]] = {
        "restore": lambda: one.restore_snapshot("s", "new"),
        "clone": lambda: prod.clone("new", at="s"),
        "take": lambda: prod.snapshot("s2", at="s"),
        "reset": lambda: prod.reset("s"),
    }
    with pytest.raises((clusterdb.ClusterNotFoundError, clusterdb.SnapshotNotFoundError)):
        verbs[verb]()
    assert [cluster.name for cluster in one.clusters()] == ["prod"]
    assert one.snapshots() == []
    assert one.check().ok


def test_snapshot_of_a_deleted_cluster_can_be_copied(two: Pair) -> None:
    """Its pin is enough, also while somebody still reads the cluster."""
    one, _ = two
    prod = one.cluster("prod")
    other = one.create_cluster("other", backup_retention_days=0)
    prod.snapshot("s1")
    reader = prod.connect()
    reader.execute("BEGIN")
    rows(reader, "SELECT count(*) FROM t")
    prod.delete()
    assert other.snapshot("s2", at="s1").cluster == "prod"
    reader.close()
    assert rows(one.restore_snapshot("s2", "back").connect(), "SELECT count(*) FROM t") == [(500,)]


def test_clone_of_another_clusters_snapshot_has_no_source(two: Pair) -> None:
    """It has no source, and a clone group of its own."""
    one, _ = two
    one.cluster("prod").snapshot("s")
    other = one.create_cluster("other", backup_retention_days=0)
    clone = other.clone("new", at="s")
    assert clone.stats().source is None
    assert clone.clone_group_id not in (other.clone_group_id, one.cluster("prod").clone_group_id)


# --- deleting, expiring -----------------------------------------------------------------------------------------------
def test_cluster_protected_during_its_deletion_stays(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protection that is set before the deletion commits prevents it."""
    one, other = two
    before(monkeypatch, pages_of(one).cleanup, "drop", lambda: other.cluster("prod").modify(deletion_protection=True))
    with pytest.raises(clusterdb.DeletionProtectedError):
        one.cluster("prod").delete()
    assert rows(one.cluster("prod").connect(), "SELECT count(*) FROM t") == [(500,)]


def test_cluster_used_during_its_expiry_stays(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a cluster expires is decided in the transaction that deletes it."""
    one, other = two
    one.cluster("prod").modify(ttl_s=0.000_001)
    before(monkeypatch, pages_of(one).cleanup, "drop", lambda: other.cluster("prod").modify(ttl_s=None))
    assert one.expire() == []
    assert rows(one.cluster("prod").connect(), "SELECT count(*) FROM t") == [(500,)]


def test_deletion_during_a_backtrack_is_refused_and_leaves_no_volume(
    two: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to try again, and no volume is left over."""
    one, other = two
    prod = one.cluster("prod")
    prod.modify(backtrack_window_s=3600)
    version = prod.stats().version
    overwrite(prod)
    before(monkeypatch, pages_of(one).cleanup, "drop", lambda: other.cluster("prod").backtrack(version))
    with pytest.raises(clusterdb.StoreBusyError, match="try again"):
        prod.delete()
    prod.delete()
    assert one.stats().used_bytes == 4096


def test_past_of_a_half_deleted_cluster_is_dropped_by_the_next_open(
    two: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process died between the cluster's volume and its past: whoever opens the store next drops that."""
    one, _ = two
    prod = one.cluster("prod")
    prod.modify(backtrack_window_s=3600)
    version = prod.stats().version
    overwrite(prod)
    prod.backtrack(version)
    original, count = drop_volume, 0

    def interrupted(*arguments: Any, **named: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        original(*arguments, **named)

    monkeypatch.setattr(changing, "drop_volume", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prod.delete()
    with clusterdb.open(tmp_path / "store") as third:
        assert third.stats().used_bytes == 4096


def test_connecting_committing_and_closing_reset_the_idle_time(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting it, connecting, committing and closing count as use."""
    now = time.time_ns()

    def later(seconds: float) -> None:
        nonlocal now
        now += int(seconds * 1e9)

    set_clocks(monkeypatch, lambda: now)
    cluster = store.create_cluster("used", backup_retention_days=0)
    later(100)
    cluster.modify(idle_s=10)
    assert store.expire() == []
    later(9)
    connection = cluster.connect()
    later(100)
    assert store.expire() == [], "it is connected"
    connection.execute("CREATE TABLE t (n)")
    connection.close()
    assert store.expire() == []
    later(9)
    assert store.expire() == []
    later(2)
    assert store.expire() == ["used"]


@pytest.mark.parametrize("seconds", [10**400, float("inf"), 1e300, 4e9])
def test_times_to_live_beyond_the_calendar_are_refused(store: clusterdb.Store, seconds: float) -> None:
    """They are refused; a store that had one could not be opened."""
    for name in ("ttl_s", "idle_s"):
        options: dict[str, Any] = {name: seconds}
        with pytest.raises(clusterdb.InvalidArgumentError, match=name):
            store.create_cluster("big", **options)
    assert store.clusters() == []


# --- the past ---------------------------------------------------------------------------------------------------------
def test_interrupted_settings_are_applied_later(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted between the settings and the past that they ask for."""
    one, _ = two
    prod = one.cluster("prod")

    def interrupt() -> None:
        raise KeyboardInterrupt

    before(monkeypatch, changing, "agree_with_settings", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prod.modify(backup_retention_days=7)
    assert one.context.volume_of(prod).retained == 0
    one.expire()
    version = prod.stats().version
    overwrite(prod)
    assert rows(prod.clone("then", at=version).connect(), "SELECT typeof(x) FROM t LIMIT 1") == [("integer",)]


def test_settings_changed_during_their_application_apply_last(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ones hold."""
    one, other = two
    prod = one.cluster("prod")
    prod.modify(backup_retention_days=1)
    before(monkeypatch, pages_of(one), "session", lambda: other.cluster("prod").modify(backup_retention_days=7))
    prod.modify(backup_retention_days=0)
    one.expire()
    assert bool(one.context.volume_of(prod).retained) == bool(prod.settings.backup_retention_days)


def test_past_is_dropped_when_no_window_keeps_it(store: clusterdb.Store) -> None:
    """The volume a cluster left by a backtrack is dropped when the settings keep no past any more."""
    cluster = store.create_cluster("c", backup_retention_days=0, backtrack_window_s=1000)
    connection = cluster.connect()
    connection.execute("CREATE TABLE t (n, x)")
    version = cluster.stats().version
    connection.execute("INSERT INTO t VALUES (1, randomblob(1000000))")
    cluster.backtrack(version)
    connection.close()
    cluster.modify(backtrack_window_s=0)
    store.expire()
    assert store.stats().used_bytes < 500_000
    cluster.delete()
    assert store.stats().used_bytes == 4096


def test_backtrack_window_is_independent_of_backup_retention(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backups that reach further back are for clones only."""
    now = time.time_ns()
    set_clocks(monkeypatch, lambda: now)
    cluster = store.create_cluster("c", backtrack_window_s=60, backup_retention_days=5)
    connection = cluster.connect()
    connection.execute("CREATE TABLE t (n)")
    version = cluster.stats().version
    now += 100 * 10**9
    connection.execute("INSERT INTO t VALUES (1)")
    now += 100 * 10**9
    connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    for point in (version, timedelta(seconds=150)):
        with pytest.raises(clusterdb.InvalidRestoreTimeError, match="before the backtrack window"):
            cluster.backtrack(point)
    with pytest.raises(clusterdb.InvalidArgumentError):
        cluster.backtrack(None)  # type: ignore[arg-type]
    assert rows(cluster.clone("then", at=version).connect(), "SELECT * FROM t") == []
    cluster.backtrack(timedelta(seconds=30))
    assert rows(cluster.connect(), "SELECT n FROM t") == [(1,)]


def test_restorable_during_a_write_is_a_range_that_was_true(two: Pair) -> None:
    """It answers something that was so."""
    one, other = two
    done = threading.Event()

    def write() -> None:
        connection = other.cluster("prod").connect()
        while not done.is_set():
            connection.execute("UPDATE t SET x = x || 'x' WHERE n = 1")
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            earliest, latest = one.cluster("prod").restorable()
            assert earliest <= latest
            assert sum(bill.bytes for bill in one.bills()) > 0
    finally:
        done.set()
        thread.join()


# --- stopping, instances ----------------------------------------------------------------------------------------------
def test_stopped_cluster_cannot_be_attached(store: clusterdb.Store) -> None:
    """ATTACH of a stopped cluster is refused, for reading and for writing."""
    stopped, other = store.create_cluster("stopped", backup_retention_days=0), store.create_cluster("other")
    stopped.stop()
    connection = clusterdb.connect(other)
    with pytest.raises(clusterdb.OperationalError, match="is stopped"):
        connection.execute("ATTACH 'stopped' AS s")
    connection.close()


def test_connection_during_a_stop_is_refused(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is being opened when the cluster is stopped is refused."""
    one, other = two
    before(monkeypatch, clusterdb.access.sqlite, "connect", lambda: other.cluster("prod").stop())
    with pytest.raises(clusterdb.ClusterStateError, match="is stopped"):
        one.cluster("prod").connect()


def test_cluster_stopped_during_a_backtrack_stays_unchanged(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays as it was."""
    one, other = two
    prod = one.cluster("prod")
    prod.modify(backtrack_window_s=3600)
    version = prod.stats().version
    overwrite(prod)
    before(monkeypatch, switching, "clone_volume", lambda: other.cluster("prod").stop())
    with pytest.raises(clusterdb.ClusterStateError):
        prod.backtrack(version)
    prod.start()
    assert rows(prod.connect(), "SELECT typeof(x) FROM t LIMIT 1") == [("blob",)]


def test_crash_of_a_stopped_cluster_is_refused_without_an_event(store: clusterdb.Store) -> None:
    """It is refused, and no event tells of a crash."""
    cluster = store.create_cluster("c", backup_retention_days=0)
    cluster.add_instance("w1")
    cluster.stop()
    with pytest.raises(clusterdb.ClusterStateError):
        cluster.crash_instance()
    assert not [event for event in store.events() if event.category == "failure"]


def test_cluster_keeps_a_writer_when_the_deleted_instance_becomes_one(
    two: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster keeps a writer."""
    one, other = two
    prod = one.cluster("prod")
    prod.add_instance("w1")
    prod.add_instance("r1")
    before(monkeypatch, catalog_of(one), "transaction", lambda: other.cluster("prod").failover("r1"))
    prod.delete_instance("r1")
    assert [(instance.name, instance.role) for instance in prod.instances()] == [("w1", "writer")]


def test_crash_noticed_twice_changes_the_writer_once(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer that has taken over stays the writer."""
    one, other = two
    prod = one.cluster("prod")
    for name in ("i1", "i2"):
        prod.add_instance(name)
    before(monkeypatch, failover, "fencing", lambda: other.cluster("prod").crash_instance("i1"))
    prod.crash_instance("i1")
    assert [instance.name for instance in prod.instances() if instance.role == "writer"] == ["i2"]


def test_instance_with_jitter_never_goes_back(store: clusterdb.Store) -> None:
    """However its lag jitters, no connection shows less than another one has shown."""
    cluster = store.create_cluster("c", backup_retention_days=0)
    cluster.add_instance("w")
    cluster.add_instance("r", replica_lag_ms=1, lag_jitter_ms=20)
    writer = cluster.connect()
    writer.execute("CREATE TABLE t (n); INSERT INTO t VALUES (0)")
    readers = [cluster.connect("r") for _ in range(2)]
    time.sleep(0.05)
    for n in range(1, 200):
        writer.execute("UPDATE t SET n = ?", (n,))
        first, second = (reader.execute("SELECT n FROM t").get for reader in readers)
        assert first <= second
    for connection in (writer, *readers):
        connection.close()


# --- arguments --------------------------------------------------------------------------------------------------------
def test_tags_of_settings_cannot_be_changed_in_place(store: clusterdb.Store) -> None:
    """Tags cannot be changed in place; any mapping will do."""
    first = store.create_cluster("first", tags=MappingProxyType({"a": "b"}))
    second = store.create_cluster("second", tags={"a": "b"})
    with pytest.raises(TypeError):
        first.settings.tags["x"] = "y"  # type: ignore[index]
    assert second.settings.tags == {"a": "b"}
    second.modify(ttl_s=100)
    assert second.settings.tags == {"a": "b"}


@pytest.mark.parametrize("at", [datetime.max, timedelta(days=-999_999_999), timedelta(days=999_999_999)])
def test_times_outside_the_calendar_are_refused(store: clusterdb.Store, at: datetime | timedelta) -> None:
    """They are refused as what they are."""
    with pytest.raises((clusterdb.InvalidArgumentError, clusterdb.InvalidRestoreTimeError)):
        store.create_cluster("c", backup_retention_days=0).clone("new", at=at)


@pytest.mark.parametrize("text", ["9999999999999 days ago", "9" * 5000])
def test_texts_of_times_outside_the_calendar_are_refused(text: str) -> None:
    """No traceback."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="invalid point in time"):
        parse(text)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.connect(None),
        lambda c: c.connect(5),
        lambda c: c.failover(5),
        lambda c: c.delete_instance(None),
        lambda c: c.modify_instance(5, promotion_tier=1),
        lambda c: c.crash_instance(5),
        lambda c: c.delete_endpoint(None),
        lambda c: c.add_endpoint("e", members=[5]),
        lambda c: c.add_endpoint("e", members=None),
        lambda c: c.add_instance("i", availability_zone="\ud800"),
        lambda c: c.store.restore_to_point_in_time("c", "d", restore_to_time=5),
        lambda c: c.store.restore_to_point_in_time("c", "d", use_latest_restorable_time="no"),
    ],
)
def test_arguments_of_the_wrong_type_are_errors_of_clusterdb(
    store: clusterdb.Store, call: Callable[[clusterdb.Cluster], object]
) -> None:
    """Each is an error of clusterdb's."""
    cluster = store.create_cluster("c", backup_retention_days=0)
    with pytest.raises(clusterdb.Error):
        call(cluster)


def test_verbs_that_change_nothing_write_no_event(store: clusterdb.Store) -> None:
    """Changing nothing, renaming to the same; a stale handle tells the name that it was."""
    cluster = store.create_cluster("e", backup_retention_days=0)
    stale = store.cluster("e")
    cluster.modify()
    cluster.rename("e")
    cluster.rename("f")
    stale.rename("g")
    assert [event.message for event in store.events()][1:] == ["renamed from 'e'", "renamed from 'f'"]


def test_metrics_count_every_operation() -> None:
    """A counter moves with every count."""
    page = metrics.prometheus([metrics.Metric("VolumeBytesUsed", "c", "", 1_630_208.0)])
    assert "1630208" in page.splitlines()[-1] or "1630208" in page
