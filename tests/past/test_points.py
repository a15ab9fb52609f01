"""Points in time: versions, times, and connections to the past."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import apsw
import pytest

import clusterdb
from clusterdb.rules.points import parse
from tests.past.numbers import KEEPS, fill, numbers, numbers_of
from tests.support.stores import assert_clean
from vfs.format.layout import SLOT_BYTES


def test_every_kept_version_can_be_cloned(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Any version that is kept can be cloned, and is what it was; the clone outlives the cluster."""
    states = fill(prod)
    clones = {version: prod.clone(f"at-{version}", at=version) for version in states}
    prod.delete()
    assert {version: numbers_of(clone) for version, clone in clones.items()} == states


def test_clone_at_a_time_has_the_newest_version_of_then(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A time stands for the version that was the newest then."""
    fill(prod, 3)
    time.sleep(0.002)
    between = datetime.now(timezone.utc)
    time.sleep(0.5)  # time may pass between the end of the test's own reckoning of a time span and clone()'s
    connection = prod.connect()
    connection.execute("DELETE FROM t")
    connection.close()
    assert numbers_of(prod.clone("then", at=between)) == [1, 2, 3]
    assert numbers_of(prod.clone("now", at=datetime.now().astimezone())) == []
    ago = datetime.now(timezone.utc) - between
    assert numbers_of(prod.clone("ago", at=ago)) == [1, 2, 3]
    earliest, latest = prod.restorable()
    assert earliest < between < latest


def test_versions_and_times_out_of_reach_are_refused(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Versions and times outside of what is kept are refused, and the error says what there is."""
    fill(prod, 3)
    plain = store.create_cluster("plain", backup_retention_days=0)
    for at in (0, 10**9):
        with pytest.raises(clusterdb.InvalidRestoreTimeError, match="it has the versions 1 to 5"):
            prod.clone("new", at=at)
    for then in (datetime(2000, 1, 1, tzinfo=timezone.utc), timedelta(days=30)):
        with pytest.raises(clusterdb.InvalidRestoreTimeError, match="the restorable range is"):
            prod.clone("new", at=then)
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="in the future"):
        prod.clone("new", at=timedelta(seconds=-60))
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="retains no past"):
        plain.clone("new", at=timedelta(seconds=60))
    with pytest.raises(clusterdb.SnapshotNotFoundError, match="no snapshot 'nightly'"):
        prod.clone("new", at="nightly")
    with pytest.raises(clusterdb.InvalidArgumentError, match="invalid point in time"):
        prod.clone("new", at=1.5)  # type: ignore[arg-type]
    with pytest.raises(clusterdb.BacktrackDisabledError, match="no backtrack window"):
        plain.backtrack(2)
    assert [cluster.name for cluster in store.clusters()] == ["plain", "prod"]


def test_connection_to_the_past_shows_a_version_read_only(store: clusterdb.Store) -> None:
    """It shows a version, whatever becomes of the cluster, cannot write, and leaves nothing behind."""
    prod = store.create_cluster("prod", **KEEPS)
    connection = prod.connect()
    connection.execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    version = prod.stats().version
    past = prod.connect(at=version)
    connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    assert numbers(past) == [1]
    with pytest.raises(apsw.ReadOnlyError):
        past.execute("DELETE FROM t")
    prod.modify(backup_retention_days=0, backtrack_window_s=0)
    prod.delete()
    assert numbers(past) == [1]
    past.close()
    past.close()
    store.reclaim()
    assert store.stats().used_bytes <= SLOT_BYTES
    assert_clean(store)
    with pytest.raises(clusterdb.ClusterNotFoundError):
        prod.connect(at=version)


def test_connection_to_the_past_takes_no_endpoint(store: clusterdb.Store) -> None:
    """Instances show the present; a connection that is left open is closed with the store."""
    prod = store.create_cluster("prod", **KEEPS)
    with pytest.raises(clusterdb.InvalidArgumentError, match="instances show the present"):
        prod.connect("reader", at=1)
    with pytest.raises(clusterdb.InvalidRestoreTimeError):
        prod.connect(at=timedelta(days=3))
    prod.connect(at=timedelta())
    store.close()


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("1234", 1234),
        ("5 minutes ago", timedelta(minutes=5)),
        ("1.5 hours ago", timedelta(minutes=90)),
        ("2 days ago", timedelta(days=2)),
        ("90s ago", timedelta(seconds=90)),
        ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12)),
        ("nightly", "nightly"),
    ],
)
def test_texts_are_parsed_as_versions_times_or_snapshots(text: str, point: object) -> None:
    """Versions, times and snapshots are told apart."""
    assert parse(text) == point


@pytest.mark.parametrize("text", ["5 parsecs ago", "2026-13-01", "12:00 yesterday"])
def test_malformed_point_in_time_is_refused(text: str) -> None:
    """A text that begins like a time, but is not one, is refused."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="invalid point in time"):
        parse(text)
