"""Lag: how far behind a reader reads, and that what it shows never goes back."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from tests.ha.fleet import FAR_MS, MS_NS, Clock, add, cluster_with, commit, run, seen, seen_by
from tests.support.stores import rows
from vfs.storage import reader
from vfs.storage.heads import newest_at


def test_lagging_reader_does_not_show_recent_commits(trio: clusterdb.Cluster) -> None:
    """A reader that lags by seconds shows nothing of what is committed now; the others show it at once."""
    commit(trio, 1)
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 2)
    old = seen_by(trio, "b")
    assert 2 not in old
    open_one = trio.connect("b")
    for n in range(3, 8):
        commit(trio, n)
        assert seen(open_one) == seen_by(trio, "b") == old
        assert seen_by(trio, "c") == seen_by(trio, "a") == list(range(1, n + 1))


def test_change_of_lag_applies_to_open_connections(trio: clusterdb.Cluster) -> None:
    """Without lag an open connection shows the newest version at once, and with lag again it does not go back."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    connection = trio.connect("b")
    commit(trio, 1)
    assert seen(connection) == []
    trio.modify_instance("b", replica_lag_ms=0)
    assert seen(connection) == [1]
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 2)
    assert seen(connection) == [1]


def test_reader_shows_commits_older_than_its_lag(trio: clusterdb.Cluster, clock: Clock) -> None:
    """Commits older than the lag are shown, later ones are not."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    connection, moments = trio.connect("b"), []
    for n in (1, 2, 3):
        moments.append(time.time_ns())
        commit(trio, n)
    moments.append(time.time_ns())
    for count, moment in enumerate(moments):
        clock.frozen_ns = moment + FAR_MS * MS_NS
        assert seen(connection) == seen_by(trio, "b") == [1, 2, 3][:count]
    clock.frozen_ns = moments[0] + FAR_MS * MS_NS
    assert (seen(connection), seen_by(trio, "b")) == ([1, 2, 3], [1, 2, 3])  # it does not go back


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(
            "before",
        ),
        "after",
    ],
)
def test_reader_follows_a_busy_writer_within_its_lag(trio: clusterdb.Cluster, clock: Clock, opened: str) -> None:
    """It shows what is old enough, though newer versions are not, also if it was opened before it lagged."""
    connection = trio.connect("b")
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    if opened == "after":
        connection = trio.connect("b")
    commit(trio, 1)
    clock.frozen_ns = time.time_ns() + FAR_MS * MS_NS
    commit(trio, 2)
    assert seen(connection) == [1]


@pytest.mark.parametrize("seed", range(3))
def test_reader_with_jitter_never_goes_back(trio: clusterdb.Cluster, seed: int) -> None:
    """A connection's next transaction never sees less than the one before, whatever the jitter."""
    random.seed(seed)
    run(trio, "CREATE TABLE counter (n)")
    run(trio, "INSERT INTO counter VALUES (0)")
    trio.modify_instance("b", replica_lag_ms=1, lag_jitter_ms=30)
    writer, reader = trio.connect(), trio.connect("b")
    versions: list[int] = []
    for _ in range(200):
        writer.execute("UPDATE counter SET n = n + 1")
        versions += [n for (n,) in rows(reader, "SELECT n FROM counter")]  # type: ignore[misc]
    assert versions == sorted(versions), f"seed {seed}"
    trio.modify_instance("b", replica_lag_ms=0, lag_jitter_ms=0)
    assert rows(reader, "SELECT n FROM counter") == [(200,)]


def test_read_transaction_keeps_its_version_when_the_lag_changes(trio: clusterdb.Cluster) -> None:
    """Neither commits nor changes of the lag change the version of an open transaction."""
    trio.modify_instance("b", lag_jitter_ms=5)
    commit(trio, 1)
    connection = trio.connect("b")
    connection.execute("BEGIN")
    before = seen(connection)
    for n in range(2, 6):
        commit(trio, n)
        trio.modify_instance("b", lag_jitter_ms=0)
        assert seen(connection) == before
    connection.execute("COMMIT")
    assert seen(connection) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("way", ["backtrack", "reset"])
def test_lagging_reader_follows_backtrack_and_reset(store: clusterdb.Store, way: str) -> None:
    """After a backtrack or a reset an open connection shows a state the cluster was in, and goes on from there."""
    cluster = cluster_with(store)
    commit(cluster, 1)
    cluster.modify(backtrack_window_s=3600)
    add(cluster, "a", "b", replica_lag_ms=FAR_MS)
    cluster.snapshot("one")
    version = cluster.stats().version
    commit(cluster, 2, 3)
    connection = cluster.connect("b")
    before = seen(connection)
    assert 2 not in before
    if way == "backtrack":
        cluster.backtrack(version)
    else:
        cluster.reset("one")
    assert seen(connection) in (before, [1])
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    commit(cluster, 4)
    assert seen(connection) in (before, [1])
    cluster.modify_instance("b", replica_lag_ms=0)
    assert seen(connection) == seen_by(cluster) == seen_by(cluster, "b") == [1, 4]


def test_lagging_reader_follows_a_backtrack_during_its_pin(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that is about to pin a version when the cluster goes back follows it."""
    cluster = cluster_with(store)
    cluster.modify(backtrack_window_s=3600)
    add(cluster, "a", "b", replica_lag_ms=FAR_MS)
    version = cluster.stats().version
    commit(cluster, 1)
    connection = cluster.connect("b")
    assert seen(connection) == []
    original = newest_at

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(reader, "newest_at", original)
        pinned = original(*arguments)
        cluster.backtrack(version)
        return pinned

    monkeypatch.setattr(reader, "newest_at", late)
    assert seen(connection) == []


def test_writer_and_export_do_not_lag(prod: clusterdb.Cluster, tmp_path: Path) -> None:
    """The lag of an instance means nothing while it is the writer, nor does it to an export."""
    add(prod, "a", replica_lag_ms=FAR_MS)
    commit(prod, 1)
    assert seen_by(prod) == [1]
    connection = prod.connect(read_only=True)
    assert seen(connection) == [1]
    prod.export(tmp_path / "copy.db")
    plain = apsw.Connection(str(tmp_path / "copy.db"))
    assert seen(plain) == [1]
    plain.close()


def test_replica_status_table_matches_the_method(trio: clusterdb.Cluster) -> None:
    """The table-valued function has a row for every instance, and says what Cluster.replica_status() does."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 1, 2)

    def status() -> list[dict[str, object]]:
        return [
            {key: getattr(status, key) for key in status.__slots__ if key != "last_update_timestamp"}
            for status in trio.replica_status()
        ]

    for endpoint in ("writer", "b", "c"):
        cursor = trio.connect(endpoint).execute("SELECT * FROM aurora_replica_status()")
        columns = [column[0] for column in cursor.get_description()]
        statuses = [dict(zip(columns, row, strict=True)) for row in cursor]
        assert all(row.pop("last_update_timestamp") for row in statuses)
        assert statuses == status()
    writer, lagging, newest = status()
    assert [row["server_id"] for row in (writer, lagging, newest)] == ["a", "b", "c"]
    assert (writer["session_id"], writer["replica_lag_in_msec"]) == ("MASTER_SESSION_ID", None)
    assert (lagging["replica_lag_in_msec"], newest["replica_lag_in_msec"]) == (FAR_MS, 0)
    head = trio.stats().version
    assert newest["current_read_lsn"] == newest["highest_lsn_rcvd"] == head
    assert lagging["highest_lsn_rcvd"] == head
    assert isinstance(lagging["current_read_lsn"], int)
    assert lagging["current_read_lsn"] < head
