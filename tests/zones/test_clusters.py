"""Clusters with six copies: commits, lost zones, repair, recovery from three nodes, and who may write."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb import dbapi2
from clusterdb.zones.entry import Batch
from clusterdb.zones.quorum import Quorum
from tests.support.inside import catalog_of
from tests.support.stores import assert_clean
from tests.zones.damage import entries_of, flip_bit
from tests.zones.places import nodes, recovered, series, take_away
from tests.zones.sql import execute
from vfs.format.layout import SLOT_BYTES

PARTS = ("a1", "a2", "b1", "b2", "c1", "c2")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function: from then on, commits that cannot be kept fail soon."""
    return lambda: monkeypatch.setenv("CLUSTERDB_QUORUM_PATIENCE_S", "0.3")


# --- commits ----------------------------------------------------------------------------------------------------------
def test_commits_are_on_six_nodes(prod: clusterdb.Cluster) -> None:
    assert prod.repair_nodes() == 6
    assert {(node.status, node.batches_behind) for node in prod.nodes()} == {("available", 0)}
    assert [(node.zone, node.number) for node in prod.nodes()] == list(zip("aabbcc", range(1, 7), strict=True))


@pytest.mark.parametrize("names", [("a1", "a2", "b1"), ("a1", "b2", "c1"), ("b1", "c1", "c2")])
def test_three_nodes_have_every_commit(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for number in range(2, 30):
        execute(prod, f"INSERT INTO t VALUES ({number}, 'x')")
    execute(prod, "DELETE FROM t WHERE id > 20", "VACUUM")
    store.close()
    assert recovered(tmp_path / "new", nodes(tmp_path, *names)) == list(range(1, 21))


def test_large_transactions_are_sent_in_parts(store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path) -> None:
    execute(
        prod,
        series(10, 9000, 1000),
        "DELETE FROM t WHERE id > 8000",
    )
    expected = execute(prod, "SELECT count(*), sum(length(text)) FROM t")
    assert max(node.batch for node in prod.nodes()) > 5
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (cluster,) = new.recover(nodes(tmp_path, "a1", "b1", "c1"))
        assert execute(cluster, "SELECT count(*), sum(length(text)) FROM t") == expected


def test_commits_that_do_not_wait_are_sent_when_the_store_closes(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    before = max(node.batch for node in prod.nodes())
    execute(prod, "PRAGMA synchronous = NORMAL", "INSERT INTO t VALUES (2, 'two')")
    assert max(node.batch for node in prod.nodes()) == before
    store.close()
    assert recovered(tmp_path / "new", nodes(tmp_path, "a1", "b1", "c1")) == [1, 2]


def test_pool_is_synced_before_anything_is_sent(
    store: clusterdb.Store, prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    append, sync = Quorum.append, store.context.pages.sync
    monkeypatch.setattr(Quorum, "append", lambda *arguments: (calls.append("send"), append(*arguments))[1])
    monkeypatch.setattr(store.context.pages, "sync", lambda: (calls.append("sync"), sync())[1])
    execute(prod, "PRAGMA synchronous = OFF", "INSERT INTO t VALUES (2, 'two')")
    prod.clone("dev")
    prod.repair_nodes()
    assert calls.index("sync") < calls.index("send")
    assert "send" not in calls[: calls.index("sync")] and calls.count("sync") >= 2


def test_imports_have_copies(store: clusterdb.Store, tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "plain.db"))
    connection.execute("PRAGMA page_size = 1024; CREATE TABLE t(id); INSERT INTO t VALUES (7)")
    connection.close()
    store.create_cluster("prod", from_file=tmp_path / "plain.db", zones=3)
    store.close()
    assert recovered(tmp_path / "new", nodes(tmp_path, "a2", "b2", "c2")) == [7]


def test_backtracked_clusters_have_copies_of_what_they_went_back_to(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    prod.modify(backtrack_window_s=3600)
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    moment = prod.versions()[0]
    execute(prod, "INSERT INTO t VALUES (3, 'three')")
    prod.backtrack(moment.version)
    execute(prod, "INSERT INTO t VALUES (4, 'four')")
    store.close()
    assert recovered(tmp_path / "new", nodes(tmp_path, "a2", "b2", "c2")) == [1, 2, 4]


# --- losses -----------------------------------------------------------------------------------------------------------
def test_commits_continue_without_a_zone(store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path) -> None:
    prod.lose_zone("b")
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    assert [node.status for node in prod.nodes()] == ["available"] * 2 + ["lost"] * 2 + ["available"] * 2
    store.return_zone("b")
    assert [node.status for node in prod.nodes()] == ["available"] * 2 + ["behind"] * 2 + ["available"] * 2
    assert prod.repair_nodes() == 6
    store.close()
    assert recovered(tmp_path / "new", nodes(tmp_path, "b1", "b2", "c1")) == [1, 2]


def test_commits_fail_without_a_zone_and_a_node_and_reads_continue(
    prod: clusterdb.Cluster, impatient: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    prod.lose_zone("a")
    prod.lose_node(3)
    impatient()
    with pytest.raises(apsw.IOError, match="fewer than 4 of 6 storage nodes can be had") as caught:
        execute(prod, "INSERT INTO t VALUES (2, 'two')")
    assert isinstance(caught.value.__cause__, clusterdb.QuorumError)
    outcome = execute(prod, "SELECT id FROM t")
    with pytest.raises(apsw.IOError, match="nothing was changed"):
        execute(prod, "INSERT INTO t VALUES (3, 'three')")
    assert execute(prod, "SELECT id FROM t") == outcome
    prod.return_node(3)
    monkeypatch.undo()
    execute(prod, "INSERT INTO t VALUES (4, 'four')")
    assert execute(prod, "SELECT id FROM t") == [*outcome, (4,)]


def test_db_api_names_the_error(prod: clusterdb.Cluster, impatient: Callable[[], None]) -> None:
    impatient()
    prod.lose_zone("a")
    prod.lose_zone("c")
    with dbapi2.connect(prod) as connection, pytest.raises(clusterdb.QuorumError) as caught:
        connection.execute("INSERT INTO t VALUES (2, 'two')")
        connection.commit()
    assert caught.value.sqlite_errorname.startswith("SQLITE_IOERR")


def test_nodes_that_have_lost_everything_are_filled_again(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    for name in ("a1", "b2"):
        shutil.rmtree(tmp_path / "store-zones" / name)
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    prod.repair_nodes()
    execute(prod, "INSERT INTO t VALUES (3, 'three')")
    assert prod.repair_nodes() == 6
    store.close()
    for name in ("a2", "b1", "c1"):
        shutil.rmtree(tmp_path / "store-zones" / name)
    assert recovered(tmp_path / "new", nodes(tmp_path, "a1", "b2")) == [1, 2, 3]


def test_empty_nodes_do_not_count(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, impatient: Callable[[], None]
) -> None:
    prod.repair_nodes()
    store.close()
    for name in PARTS[:3]:
        shutil.rmtree(tmp_path / "store-zones" / name)
    with clusterdb.open(tmp_path / "store") as again:
        execute(again.cluster("prod"), "INSERT INTO t VALUES (2, 'two')")
        assert again.cluster("prod").repair_nodes() == 6
    impatient()
    for name in PARTS[:4]:
        shutil.rmtree(tmp_path / "store-zones" / name)
    with (
        clusterdb.open(tmp_path / "store") as again,
        pytest.raises(apsw.IOError, match=r"nothing was changed.*it was empty"),
    ):
        execute(again.cluster("prod"), "INSERT INTO t VALUES (3, 'three')")
    with (
        clusterdb.open(tmp_path / "new", create=True) as new,
        pytest.raises(clusterdb.QuorumError, match="only 2 of 6 storage nodes can be read, and 3 are needed"),
    ):
        new.recover(nodes(tmp_path, *PARTS))


def test_damaged_batches_are_read_from_another_node(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    prod.repair_nodes()
    store.close()
    for at, name in enumerate(PARTS[:3]):
        batches = [entry for entry in entries_of(tmp_path / "store-zones" / name) if entry[2] > SLOT_BYTES]
        file, offset, length = batches[at]
        flip_bit(file, offset + length - SLOT_BYTES)
    assert recovered(tmp_path / "new", nodes(tmp_path, *PARTS[:3])) == [1, 2]


# --- clones -----------------------------------------------------------------------------------------------------------
def test_clones_share_the_copies_of_their_source(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    execute(prod, series(2, 2000, 500))
    dev = prod.clone("dev")
    assert dev.settings.zones == prod.settings.zones
    execute(dev, "DELETE FROM t WHERE id > 10", "INSERT INTO t VALUES (99, 'dev')")
    execute(prod, "DELETE FROM t WHERE id > 2")
    other = dev.clone("other")
    execute(other, "DELETE FROM t WHERE id > 3")
    prod.delete()
    node = tmp_path / "store-zones" / "c1"
    sizes = [sum(length for _, _, length in entries_of(node, f"*-{cluster}-*")) for cluster in (1, 2, 3)]
    assert sizes[2] < sizes[1] < sizes[0] / 2
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        clusters = {cluster.name: cluster for cluster in new.recover(nodes(tmp_path, "a1", "b1", "c1"))}
        assert [value for (value,) in execute(clusters["dev"], "SELECT id FROM t")] == [*range(1, 11), 99]
        assert [value for (value,) in execute(clusters["other"], "SELECT id FROM t")] == [1, 2, 3]
        assert execute(clusters["other"], "PRAGMA integrity_check") == [("ok",)]


def test_copies_of_deleted_clusters_are_deleted_when_no_clone_needs_them(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    def logs() -> set[str]:
        files = (tmp_path / "store-zones").glob("*/copies/*/*/*")
        return {file.parts[-3].split("-")[1] for file in files}

    dev = prod.clone("dev")
    execute(dev, "INSERT INTO t VALUES (2, 'two')")
    last = dev.clone("last")
    assert logs() == {"1", "2", "3"}
    prod.delete()
    dev.delete()
    assert logs() == {"1", "2", "3"}
    prod = store.create_cluster("prod", zones=3)
    prod.lose_zone("c")
    last.delete()
    assert logs() == {"1", "2", "3", "4"}  # of which zone c still has some
    prod.return_node("c")
    prod.delete()
    assert logs() == set()


def test_copies_that_a_clone_needs_stay_while_another_process_deletes(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last clone continues the log of 'dev', and that the one of 'prod': both are deleted at the same moment."""
    execute(prod, series(2, 300, 500))
    dev = prod.clone("dev")
    execute(dev, "INSERT INTO t VALUES (999, 'dev')")
    dev.clone("last")
    catalog, deletions = catalog_of(store), list[Future[None]]()
    read_all = catalog.documents.all
    with clusterdb.open(tmp_path / "store") as other, ThreadPoolExecutor(1) as pool:

        def read_beside(*arguments: Any) -> Any:
            rows = read_all(*arguments)
            if not deletions:
                deletions.append(pool.submit(other.cluster("dev").delete))
                if not catalog.database.is_in_transaction:  # else it waits for the end of that
                    deletions[0].result()
            return rows

        monkeypatch.setattr(catalog.documents, "all", read_beside)
        prod.delete()
        deletions[0].result()
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (copy,) = new.recover(nodes(tmp_path, "a1", "b2", "c1"), "last")
        assert execute(copy, "SELECT count(*), max(id) FROM t") == [(301, 999)]


def test_clones_without_enough_nodes_are_not_left_behind(
    store: clusterdb.Store, prod: clusterdb.Cluster, impatient: Callable[[], None]
) -> None:
    impatient()
    prod.lose_zone("a")
    prod.lose_node(5)
    with pytest.raises(clusterdb.QuorumError):
        prod.clone("dev")
    assert [cluster.name for cluster in store.clusters()] == ["prod"]
    assert_clean(store)


def log_bytes(tmp_path: Path, cluster: int) -> int:
    """The bytes that node c1 has of the log of a cluster."""
    files = (tmp_path / "store-zones" / "c1" / "copies").glob(f"*-{cluster}-*/*/*")
    return sum(file.stat().st_size for file in files)


def test_logs_begin_anew_when_they_are_long(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusterdb.zones.copies._LOG_BYTES", 300_000)
    monkeypatch.setattr("clusterdb.zones.segment._BYTES_MAX", 100_000)
    for number in range(2, 80):
        execute(prod, f"INSERT INTO t VALUES ({number}, hex(randomblob(100)))")
    prod.repair_nodes()
    assert max(node.batch for node in prod.nodes()) > 79
    assert log_bytes(tmp_path, 1) < 1_000_000
    store.close()
    with clusterdb.open(tmp_path / "store") as again:
        execute(again.cluster("prod"), "INSERT INTO t VALUES (80, 'x')")
    shutil.rmtree(tmp_path / "store-zones" / "a1")
    with clusterdb.open(tmp_path / "store") as again:
        execute(again.cluster("prod"), "INSERT INTO t VALUES (81, 'x')")
        assert again.cluster("prod").repair_nodes() == 6
    for name in ("b1", "b2", "c1"):
        shutil.rmtree(tmp_path / "store-zones" / name)
    assert recovered(tmp_path / "new", nodes(tmp_path, "a1", "a2", "c2")) == list(range(1, 82))


def test_logs_keep_what_clones_continue(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(prod, series(2, 300, 500))
    prod.clone("dev")
    monkeypatch.setattr("clusterdb.zones.copies._LOG_BYTES", 0)
    for number in range(500, 520):
        execute(prod, "DELETE FROM t WHERE id > 1", f"INSERT INTO t VALUES ({number}, 'x')", "VACUUM")
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (copy,) = new.recover(nodes(tmp_path, "a1", "b2", "c1"), "dev")
        assert execute(copy, "SELECT count(*), max(id) FROM t") == [(300, 300)]
        assert execute(copy, "PRAGMA integrity_check") == [("ok",)]


# --- who writes -------------------------------------------------------------------------------------------------------
def test_former_writers_are_fenced(store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path) -> None:
    writer = prod.connect()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (taken,) = new.recover(nodes(tmp_path, "a1", "b1", "c1"), "prod")
        for number in (2, 20):
            with pytest.raises(apsw.IOError, match="was opened elsewhere") as caught:
                writer.execute(f"INSERT INTO t VALUES ({number}, 'old')")
            assert isinstance(caught.value.__cause__, clusterdb.WriterFencedError)
        execute(taken, "INSERT INTO t VALUES (3, 'new')")
        assert execute(taken, "SELECT id FROM t") == [(1,), (3,)]
        writer.close()
    assert recovered(tmp_path / "third", nodes(tmp_path, "a2", "b2", "c2")) == [1, 3]


def test_recovering_twice_refuses_the_first(store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path) -> None:
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new, clusterdb.open(tmp_path / "next", create=True) as later:
        (first,) = new.recover(nodes(tmp_path, *PARTS))
        (second,) = later.recover(nodes(tmp_path, *PARTS))
        execute(second, "INSERT INTO t VALUES (2, 'second')")
        with pytest.raises(apsw.IOError, match="was opened elsewhere"):
            execute(first, "INSERT INTO t VALUES (3, 'first')")


def test_closing_the_former_log_is_repeated_when_its_outcome_was_unknown(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch that closes the log may have arrived: the next commit finds it there, and takes it for its own."""
    writer = prod.connect()
    append, lost = Quorum.append, ["the answer"]

    def append_unseen(self: Quorum, parts: Iterable[Batch], patience_s: float) -> None:
        batches = list(parts)
        append(self, batches, patience_s)
        if lost and batches[0].base == batches[0].version:
            lost.pop()
            raise clusterdb.QuorumError("cut off")

    monkeypatch.setattr(Quorum, "append", append_unseen)
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (taken,) = new.recover(nodes(tmp_path, "a1", "b1", "c1"), "prod")
        assert not lost
        execute(taken, "INSERT INTO t VALUES (3, 'new')")
        with pytest.raises(apsw.IOError, match="was opened elsewhere"):
            writer.execute("INSERT INTO t VALUES (4, 'old')")
        writer.close()
    assert recovered(tmp_path / "third", nodes(tmp_path, "a2", "b2", "c2")) == [1, 3]


def test_recovering_from_three_nodes_can_be_repeated(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, impatient: Callable[[], None]
) -> None:
    store.close()
    impatient()
    take_away(tmp_path, "a1", "b1", "c2")
    for name in ("new", "again"):
        assert recovered(tmp_path / name, nodes(tmp_path, "a2", "b2", "c1")) == [1]


def test_deleting_a_fenced_cluster_keeps_the_copies_elsewhere(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (taken,) = new.recover(nodes(tmp_path, *PARTS))
        prod.delete()
        execute(taken, "INSERT INTO t VALUES (2, 'two')")
    assert recovered(tmp_path / "third", nodes(tmp_path, "a2", "b2", "c2")) == [1, 2]


def test_clusters_created_after_a_restored_backup_have_logs_of_their_own(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    store.close()
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    with clusterdb.open(tmp_path / "store") as again:
        lost = again.create_cluster("lost", zones=3)
        execute(lost, "CREATE TABLE t(id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (7)")
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "backup").rename(tmp_path / "store")
    with clusterdb.open(tmp_path / "store") as old:
        execute(old.create_cluster("other", zones=3), "CREATE TABLE t(id INTEGER PRIMARY KEY)")
        (copy,) = old.recover(nodes(tmp_path, *PARTS), "lost")
        assert execute(copy, "SELECT id FROM t") == [(7,)]


def test_damage_in_the_head_of_an_entry_costs_one_node(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    prod.repair_nodes()
    store.close()
    file, offset, _ = entries_of(tmp_path / "store-zones" / "b1")[-1]
    flip_bit(file, file.read_bytes().index(b'"sequence"', offset) + 12)
    with clusterdb.open(tmp_path / "store") as again:
        execute(again.cluster("prod"), "INSERT INTO t VALUES (2, 'two')")
        assert [node.status for node in again.cluster("prod").nodes()].count("lost") == 1
    assert recovered(tmp_path / "new", nodes(tmp_path, "a1", "b2", "c1")) == [1, 2]


def test_backtracks_reach_the_nodes_when_the_store_is_closed(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    prod.modify(backtrack_window_s=3600)
    moment = prod.versions()[0]
    execute(prod, "INSERT INTO t VALUES (2, 'two')")
    prod.backtrack(moment.version)
    store.close()
    assert recovered(tmp_path / "new", nodes(tmp_path, "a2", "b2", "c2")) == [1]


def test_logs_keep_what_clones_of_deleted_clones_continue(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(prod, series(2, 300, 500))
    dev = prod.clone("dev")
    dev.clone("last")
    dev.delete()
    monkeypatch.setattr("clusterdb.zones.copies._LOG_BYTES", 0)
    for number in range(500, 510):
        execute(prod, "DELETE FROM t WHERE id > 1", f"INSERT INTO t VALUES ({number}, 'x')", "VACUUM")
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (copy,) = new.recover(nodes(tmp_path, "a1", "b2", "c1"), "last")
        assert execute(copy, "SELECT count(*), max(id) FROM t") == [(300, 300)]


def test_recovered_clusters_wait_for_four_nodes_to_write(
    store: clusterdb.Store,
    prod: clusterdb.Cluster,
    tmp_path: Path,
    impatient: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.close()
    impatient()
    take_away(tmp_path, "a1", "b1", "c2")
    with clusterdb.open(tmp_path / "new", create=True) as new:
        (cluster,) = new.recover(nodes(tmp_path, "a2", "b2", "c1"))
        assert execute(cluster, "SELECT id FROM t") == [(1,)]
        with pytest.raises(apsw.IOError, match="nothing was changed"):
            execute(cluster, "INSERT INTO t VALUES (2, 'two')")
        (tmp_path / "store-zones" / "b1").unlink()
        monkeypatch.undo()
        execute(cluster, "INSERT INTO t VALUES (2, 'two')")
        assert execute(cluster, "SELECT id FROM t") == [(1,), (2,)]


def test_stores_restored_from_a_backup_are_older_than_their_copies(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    store.close()
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    with clusterdb.open(tmp_path / "store") as again:
        execute(again.cluster("prod"), "INSERT INTO t VALUES (2, 'two')")
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "backup").rename(tmp_path / "store")
    with (
        clusterdb.open(tmp_path / "store") as old,
        pytest.raises(apsw.IOError, match="older than its copies"),
    ):
        execute(old.cluster("prod"), "INSERT INTO t VALUES (3, 'three')")


# --- input ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("zones", "message"),
    [
        (2, "use 3"),
        (True, "use 3"),
        ({"a": "/x", "b": "/y"}, "name three zones"),
        ({"a": "/x", "b": "/x", "c": "/z"}, "is the place of two storage nodes"),
        ({"a": ["/1", "/2", "/3"], "b": "/y", "c": "/z"}, "has 3 places"),
        ({"a b": "/x", "b": "/y", "c": "/z"}, "letters, digits and hyphens"),
        ({"a": "s3://b/p?secret_access_key=x", "b": "/y", "c": "/z"}, "is a secret"),
        ("x", "name three zones"),
    ],
)
def test_zones_that_are_none_are_refused(store: clusterdb.Store, zones: object, message: str) -> None:
    with pytest.raises(clusterdb.InvalidArgumentError, match=message):
        store.create_cluster("prod", zones=zones)
    assert store.clusters() == []


def test_clusters_without_zones_have_no_nodes(store: clusterdb.Store) -> None:
    plain = store.create_cluster("plain")
    with pytest.raises(clusterdb.InvalidArgumentError, match="has no zones"):
        plain.nodes()
    with pytest.raises(clusterdb.InvalidArgumentError, match=r"no cluster of store .* has a zone 'a'"):
        store.lose_zone("a")


def test_zones_of_a_cluster_cannot_be_changed(prod: clusterdb.Cluster) -> None:
    with pytest.raises(clusterdb.InvalidArgumentError, match="cannot be changed"):
        prod.modify(zones=())


# --- instances --------------------------------------------------------------------------------------------------------
def test_readers_and_failovers_continue_without_a_zone(prod: clusterdb.Cluster) -> None:
    prod.add_instance("first")
    prod.add_instance("second")
    prod.lose_zone("a")
    with closing(prod.connect("reader")) as reader:
        assert reader.execute("SELECT id FROM t").fetchall() == [(1,)]
        execute(prod, "INSERT INTO t VALUES (2, 'two')")
        prod.failover()
        execute(prod, "INSERT INTO t VALUES (3, 'three')")
    assert execute(prod, "SELECT id FROM t") == [(1,), (2,), (3,)]
    prod.return_node("a")
    assert prod.repair_nodes() == 6


# --- other ways to create clusters ------------------------------------------------------------------------------------
def test_snapshots_and_dumps_become_clusters_with_copies(
    store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path
) -> None:
    prod.snapshot("nightly")
    store.restore_snapshot("nightly", "restored", zones=3)
    store.restore_to_point_in_time("prod", "again", use_latest_restorable_time=True, zones=3)
    (tmp_path / "dump.sql").write_text("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (5);")
    store.import_dump("dumped", tmp_path / "dump.sql", engine="aurora-mysql", zones=3)
    assert {len(cluster.nodes()) for cluster in store.clusters()} == {6}
    store.close()
    with clusterdb.open(tmp_path / "new", create=True) as new:
        clusters = {cluster.name: cluster for cluster in new.recover(nodes(tmp_path, "a1", "b1", "c1"))}
        assert {name: execute(cluster, "SELECT id FROM t") for name, cluster in clusters.items()} == {
            "prod": [(1,)],
            "restored": [(1,)],
            "again": [(1,)],
            "dumped": [(5,)],
        }


def test_protected_clusters_without_enough_nodes_are_not_left_behind(
    store: clusterdb.Store, tmp_path: Path, impatient: Callable[[], None]
) -> None:
    impatient()
    (tmp_path / "file").touch()
    places = {zone: tmp_path / "file" / zone for zone in "abc"}
    with pytest.raises(clusterdb.QuorumError, match="nothing was changed"):
        store.create_cluster("prod", zones=places, deletion_protection=True)
    assert store.clusters() == []


def test_clones_can_be_without_copies(prod: clusterdb.Cluster) -> None:
    assert not prod.clone("dev", zones=()).settings.zones
