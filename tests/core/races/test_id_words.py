"""The id words of the volume table: nobody clears or overwrites what another process has written there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import catalog_of
from tests.support.stores import assert_clean
from vfs.reclaim.cleanup import Cleanup
from vfs.registry import VolumeRow
from vfs.sqlite.header import continue_from
from vfs.storage import volumes
from vfs.store import PageStore

FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
    "INSERT INTO t SELECT randomblob(3000) FROM n"
)
WINDOW_S = 3600


def _values(cluster: clusterdb.Cluster) -> list[object]:
    with closing(cluster.connect()) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return [value for (value,) in connection.execute("SELECT a FROM t")]


@pytest.fixture
def versions(store: clusterdb.Store) -> list[int]:
    """The versions of 'prod', newest first: two rows, one row, no row."""
    cluster = store.create_cluster("prod", backtrack_window_s=WINDOW_S)
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (2)")
    return [moment.version for moment in cluster.versions(3)]


def _before_the_next_transaction(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]
) -> None:
    """Another process acts when the drop has begun, before it has the catalog."""
    database, drop = catalog_of(store).database, Cleanup.drop
    begin = database._begin

    def begin_late(mode: str, timeout_ms: int) -> None:
        database._begin = begin  # type: ignore[method-assign]
        act()
        begin(mode, timeout_ms)

    def drop_late(self: Cleanup, *arguments: Any) -> None:
        monkeypatch.setattr(Cleanup, "drop", drop)
        database._begin = begin_late  # type: ignore[method-assign]
        drop(self, *arguments)

    monkeypatch.setattr(Cleanup, "drop", drop_late)


def test_failed_delete_leaves_the_mark_of_a_backtrack(
    open_store: Opener, store: clusterdb.Store, versions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who deletes is refused, since the cluster was backtracked meanwhile: connections still follow the cluster."""
    other = open_store()
    connection = open_store().cluster("prod").connect()
    assert connection.execute("SELECT count(*) FROM t").get == 2
    _before_the_next_transaction(store, monkeypatch, lambda: other.cluster("prod").backtrack(versions[1]))
    with pytest.raises(clusterdb.StoreBusyError, match="reset by another process"):
        store.cluster("prod").delete()
    connection.execute("INSERT INTO t VALUES (3)")
    assert _values(other.cluster("prod")) == [1, 3]


def test_failed_backtrack_leaves_the_volume_that_has_the_row_now(
    open_store: Opener, store: clusterdb.Store, versions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes the cluster, and creates one, which gets its row of the volume table."""
    other = open_store()

    def move_late(*arguments: Any) -> Any:
        other.cluster("prod").delete()
        with closing(other.create_cluster("new").connect()) as connection:
            connection.execute("CREATE TABLE t (a)")
            connection.execute("INSERT INTO t VALUES (1)")
        return volumes.moving(*arguments)

    monkeypatch.setattr("clusterdb.past.switching.moving", move_late)
    with pytest.raises(clusterdb.StoreBusyError, match="deleted by another process"):
        store.cluster("prod").backtrack(versions[1])
    other.reclaim()
    with closing(other.create_cluster("filler").connect()) as connection:
        connection.execute("CREATE TABLE t (a); " + FILL.format(50))
    assert _values(open_store().cluster("new")) == [1]
    assert_clean(other)


@pytest.mark.parametrize("verb", ["expire", "delete"])
def test_death_in_the_drop_of_a_past_leaves_its_versions(
    open_store: Opener, store: clusterdb.Store, path: Path, verb: str
) -> None:
    """A sweep does not take the past, whose drop was not committed, for dropped; the next process drops it once."""
    cluster = store.create_cluster("prod", backtrack_window_s=WINDOW_S)
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        for _ in range(3):
            connection.execute(FILL.format(100))
    versions = [moment.version for moment in cluster.versions(9)]
    cluster.backtrack(versions[-1])
    program = (
        "import os, sys, time, clusterdb; from vfs.failpoints import armed; store = clusterdb.open(sys.argv[1]); "
        "cluster = store.cluster('prod'); left = [1] * (sys.argv[2] == 'delete'); "
        "armed['drop: closed to readers'] = lambda: left.pop() if left else os._exit(9)\n"
        "if sys.argv[2] == 'delete': cluster.delete()\n"
        "cluster.modify(backtrack_window_s=1, backup_retention_days=0)\n"
        "while True: time.sleep(0.1); store.expire()"
    )
    assert subprocess.run([sys.executable, "-c", program, path, verb], check=False).returncode == 9
    if verb == "expire":
        cluster.modify(backtrack_window_s=WINDOW_S)
    store.reclaim()
    with closing(store.create_cluster("new").connect()) as connection:
        connection.execute("CREATE TABLE t (a); " + FILL.format(400))
    if verb == "expire":
        assert len(_values(cluster.clone("old", at=versions[0]))) == 300
    last = open_store()
    assert len(_values(last.cluster("new"))) == 400
    with closing(last.create_cluster("filler").connect()) as connection:
        connection.execute("CREATE TABLE t (a); " + FILL.format(400))
    assert len(_values(last.cluster("new"))) == 400
    assert_clean(last)


@pytest.mark.parametrize("keeps", [True, False])
def test_switch_misses_no_commit(
    open_store: Opener, store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    """What another process commits meanwhile has a number and a schema of its own, or comes after the switch."""
    settings: dict[str, Any] = {"backtrack_window_s": WINDOW_S} if keeps else {"backup_retention_days": 0}
    cluster = store.create_cluster("prod", **settings)
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE a (x); CREATE TABLE b (y); INSERT INTO b VALUES ('kept')")
        cluster.snapshot("good")
        connection.execute("DROP TABLE b")
    other = open_store().cluster("prod").connect()
    other.execute("SELECT * FROM a").fetchall()

    def change_schema() -> None:
        other.execute("CREATE TABLE u (z)")
        other.execute("INSERT INTO u VALUES (1)")

    with ThreadPoolExecutor(1) as pool:
        changes: list[Future[None]] = []

        def continue_late(pages: PageStore, new: VolumeRow, old: VolumeRow) -> None:
            continue_from(pages, new, old)
            changes.append(pool.submit(change_schema))
            with pages.session() as session:
                if not session.is_volume_locked_by_other(old.table_index):  # else it has to wait
                    changes[0].result()

        monkeypatch.setattr("clusterdb.past.switching.continue_from", continue_late)
        cluster.reset("good")
        changes[0].result()
    with suppress(apsw.SQLError):  # there is no table 'u' if it was created before the switch
        other.execute("INSERT INTO u VALUES (777)")
    with closing(cluster.connect()) as connection:
        assert connection.execute("SELECT y FROM b").fetchall() == [("kept",)]
    assert_clean(store)


def test_fencing_of_a_deleted_cluster_leaves_writers_of_the_next_one(store: clusterdb.Store) -> None:
    """A row of the volume table is another cluster's as soon as its cluster was deleted."""
    context = store.context
    deleted = context.volume_of(store.create_cluster("deleted"))
    store.cluster("deleted").delete()
    following = store.create_cluster("following")
    assert context.volume_of(following).table_index == deleted.table_index
    with closing(following.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        volumes.fence_writers(context.pages, deleted)
        connection.execute("INSERT INTO t VALUES (1)")
    assert _values(following) == [1]
