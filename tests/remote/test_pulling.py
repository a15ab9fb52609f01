"""Pulling: a clone moves to the newest state of its origin, and what has not changed stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.remote import Remote
from tests.support.dbhash import dbhash, hash_of

ROWS = 20_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/repository"


@pytest.fixture
def prod(url: str) -> Iterator[clusterdb.Cluster]:
    """A cluster in a store of its own, which was pushed."""
    with clusterdb.open(":memory:") as store:
        prod = store.create_cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
            connection.execute(
                f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS}) "
                "INSERT INTO t SELECT x, hex(randomblob(100)) FROM n"
            )
        prod.push(url)
        yield prod


def run(cluster: clusterdb.Cluster, sql: str) -> list[tuple[object, ...]]:
    with closing(cluster.connect()) as connection:
        return connection.execute(sql).fetchall()


CHANGES = {
    "rows": "UPDATE t SET body = hex(randomblob(9)) WHERE id % 4000 = 7",
    "growth": "INSERT INTO t SELECT (SELECT max(id) FROM t) + id, body FROM t WHERE id < 9000",
    "shrinkage": "DELETE FROM t WHERE id > 50; VACUUM",
    "schema": "ALTER TABLE t ADD COLUMN more; CREATE INDEX i ON t (body); UPDATE t SET more = 1 WHERE id < 5",
    "nothing": "SELECT 1",
}


@pytest.mark.parametrize("copy_type", ["copy-on-write", "full-copy"])
@pytest.mark.parametrize("change", CHANGES)
def test_pull_moves_to_the_newest_state(
    url: str, prod: clusterdb.Cluster, store: clusterdb.Store, change: str, copy_type: str
) -> None:
    """Twice, with connections that stay open; a push then sends nothing."""
    dev = store.clone(f"{url}/prod", "dev", copy_type=copy_type)
    with closing(dev.connect()) as connection:
        for turn in range(2):
            connection.execute("SELECT count(*), max(body) FROM t").fetchall()
            run(prod, CHANGES[change].replace("more", "more" * (turn + 1)).replace("INDEX i", f"INDEX i{turn}"))
            prod.push(url)
            before = dev.stats().logical_bytes
            pulled = dev.pull()
            assert (pulled.version > pulled.former_version) == (change != "nothing")
            if change == "rows":
                assert 0 < pulled.page_count < 40 < before // 4096
            assert dbhash(connection) == hash_of(prod) == hash_of(dev)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert dev.pull().page_count == 0
    assert dev.push(url, name="prod").slot_count == 0
    assert store.check().problems == []


def test_pull_keeps_what_is_cached(url: str, prod: clusterdb.Cluster, store: clusterdb.Store, tmp_path: Path) -> None:
    """Without a network, the pages that did not change are still here."""
    dev = store.clone(f"{url}/prod", "dev")
    dev.fetch()
    run(prod, "UPDATE t SET body = 'new' WHERE id = 7")
    prod.push(url)
    pulled = dev.pull()
    assert pulled.requests.received_bytes < 200_000
    assert dev.fetch() <= 3
    (tmp_path / "repository").rename(tmp_path / "away")
    assert hash_of(dev) == hash_of(prod)


def test_reader_keeps_its_version(url: str, prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    dev = store.clone(f"{url}/prod", "dev")
    run(prod, "UPDATE t SET body = 'new'")
    prod.push(url)
    with closing(dev.connect()) as connection:
        connection.execute("BEGIN; SELECT 1 FROM t LIMIT 1")
        dev.pull()
        assert connection.execute("SELECT count(*) FROM t WHERE body = 'new'").fetchall() == [(0,)]
        connection.execute("COMMIT")
        assert connection.execute("SELECT count(*) FROM t WHERE body = 'new'").fetchall() == [(ROWS,)]
        connection.execute("BEGIN IMMEDIATE")
        run(prod, "DELETE FROM t WHERE id = 1")
        prod.push(url)
        with pytest.raises(clusterdb.StoreBusyError):
            dev.pull()
        connection.execute("COMMIT")
        dev.pull()
        assert hash_of(dev) == hash_of(prod)


@pytest.mark.parametrize("copy_type", ["copy-on-write", "full-copy"])
@pytest.mark.parametrize("remote", ["same", "newer"])
def test_own_changes_are_kept_unless_they_are_discarded(
    url: str, prod: clusterdb.Cluster, store: clusterdb.Store, copy_type: str, remote: str
) -> None:
    dev = store.clone(f"{url}/prod", "dev", copy_type=copy_type, backtrack_window_s=3600)
    run(dev, "UPDATE t SET body = 'mine' WHERE id < 600; CREATE TABLE own (a); INSERT INTO t VALUES (900000, 'mine')")
    if remote == "newer":
        run(prod, "UPDATE t SET body = 'new' WHERE id BETWEEN 500 AND 900")
        prod.push(url)
    with closing(dev.connect()) as connection:
        connection.execute("SELECT * FROM own").fetchall()
        with pytest.raises(clusterdb.RemoteConflictError, match="has changes of its own since version"):
            dev.pull()
        assert connection.execute("SELECT count(*) FROM t WHERE body = 'mine'").fetchall() == [(600,)]
        pulled = dev.pull(force=True)
        assert dbhash(connection) == hash_of(prod)
        with pytest.raises(apsw.SQLError, match="no such table"):
            connection.execute("SELECT * FROM own").fetchall()
        assert dev.pull().version == pulled.version
        dev.backtrack(pulled.former_version)
        assert connection.execute("SELECT count(*) FROM t WHERE body = 'mine'").fetchall() == [(600,)]
        with pytest.raises(clusterdb.RemoteConflictError):
            dev.pull()
        dev.pull(force=True)
        assert dbhash(connection) == hash_of(prod)


def test_two_clones_take_turns(url: str, prod: clusterdb.Cluster, store: clusterdb.Store, tmp_path: Path) -> None:
    """Everybody pulls, changes and pushes; pushes send the changes only, and the loser of a race pulls first."""
    with clusterdb.open(tmp_path / "other") as away:
        clones = [store.clone(f"{url}/prod", "dev"), away.clone(f"{url}/prod", "dev")]
        for turn in range(6):
            one, other = clones[turn % 2], clones[1 - turn % 2]
            one.pull()
            run(one, f"UPDATE t SET body = 'turn {turn}' WHERE id = {turn * 1000 + 5}")
            pushed = one.push(url, name="prod")
            assert pushed.slot_count < 10
            assert pushed.requests.received_bytes < 300_000
            run(other, f"INSERT INTO t VALUES ({500_000 + turn}, '')")
            with pytest.raises(clusterdb.RemoteConflictError, match="has gone on"):
                other.push(url, name="prod")
            other.pull(force=True)
            assert hash_of(other) == hash_of(one)
        assert Remote(url).check() == []
        assert run(clones[0], "SELECT count(*) FROM t WHERE body LIKE 'turn%'") == [(6,)]


def test_clone_of_something_else_has_nothing_to_pull(store: clusterdb.Store) -> None:
    with pytest.raises(clusterdb.NoSourceError, match="was not cloned from object storage"):
        store.create_cluster("own").pull()


def test_database_that_was_removed_or_replaced(url: str, prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    """A database of another lineage takes its place; open connections see it with its own schema."""
    dev = store.clone(f"{url}/prod", "dev")
    remote = Remote(url)
    remote.remove("prod")
    with pytest.raises(clusterdb.RemoteNotFoundError, match="has no database 'prod'"):
        dev.pull()
    with clusterdb.open(":memory:") as other, closing(dev.connect()) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(ROWS,)]
        another = other.create_cluster("prod", page_size=1024)
        run(another, "CREATE TABLE u (a, b); CREATE TABLE t (z); INSERT INTO t VALUES (5)")
        another.push(url)
        remote.collect(timedelta(0))
        dev.pull()
        assert connection.execute("SELECT z FROM t").fetchall() == [(5,)]
        assert dbhash(connection) == hash_of(another)


@pytest.mark.parametrize("copy_type", ["copy-on-write", "full-copy"])
def test_pull_after_the_origins_state_expired(
    url: str, prod: clusterdb.Cluster, store: clusterdb.Store, copy_type: str
) -> None:
    dev = store.clone(f"{url}/prod", "dev", copy_type=copy_type)
    run(prod, "UPDATE t SET body = 'new' WHERE id % 50 = 0")
    prod.push(url)
    Remote(url).collect(timedelta(0))
    dev.pull()
    assert hash_of(dev) == hash_of(prod)


def test_push_of_a_lazy_clone_sends_its_own_pages(url: str, prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    """Under its origin's name, another name, and by force; its local clones too.  Nothing is fetched for that."""
    dev = store.clone(f"{url}/prod", "dev")
    clone = dev.clone("clone")
    step = ROWS // 10
    run(dev, f"UPDATE t SET body = 'mine' WHERE id % {step} = 7")
    run(clone, f"UPDATE t SET body = 'clone' WHERE id % {step} = 8")
    for cluster, name in ((dev, "dev"), (dev, "prod"), (clone, "clone"), (dev, "again")):
        pushed = cluster.push(url, name=name)
        assert pushed.requests.puts <= 4
        assert pushed.requests.sent_bytes < 150_000
        assert pushed.requests.received_bytes < 300_000
        assert hash_of(store.clone(f"{url}/{name}", f"{name}-copy")) == hash_of(cluster)
        store.cluster(f"{name}-copy").delete()
    run(prod, "UPDATE t SET body = 'new' WHERE id = 3")
    with pytest.raises(clusterdb.RemoteConflictError, match="has gone on"):
        prod.push(url)
    run(clone, "DELETE FROM t WHERE id = 9")
    pushed = clone.push(url, name="prod", force=True)
    assert pushed.requests.sent_bytes < 150_000
    assert Remote(url).check() == []
    assert hash_of(store.clone(f"{url}/prod", "copy")) == hash_of(clone)


def test_push_of_a_local_clone_sends_its_difference(url: str, prod: clusterdb.Cluster) -> None:
    """Under a name that the repository does not have yet."""
    dev = prod.clone("dev")
    run(dev, "UPDATE t SET body = 'mine' WHERE id = 7")
    assert dev.push(url).slot_count < 10
    assert Remote(url).check() == []
