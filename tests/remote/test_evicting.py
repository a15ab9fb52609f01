"""Eviction: pages that a repository has are given up, and nobody reads the zeros that they leave."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

import clusterdb
from tests.support.dbhash import hash_of
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import at, run_until_killed
from tests.support.points import HALT_POINT
from tests.support.stores import pool_bytes
from vfs.format.shared import HALTED

ROWS = 5_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A repository with the database ``prod``, whose rows tell their number."""
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(":memory:") as store:
        prod = store.create_cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
            connection.execute(
                f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS}) "
                "INSERT INTO t SELECT x, printf('%d-%.*c', x, 200, 'x') FROM n"
            )
        prod.push(url)
    return url


def test_evicted_pages_are_fetched_again(url: str, path: Path, store: clusterdb.Store) -> None:
    """The pool shrinks by what eviction reports; own pages stay."""
    dev = store.clone(f"{url}/prod", "dev")
    with closing(dev.connect()) as connection:
        connection.execute("UPDATE t SET body = 'mine' WHERE id = 77")
    dev.fetch()
    expected, full = hash_of(dev), pool_bytes(path)
    freed = dev.evict()
    assert freed > ROWS * 200
    assert full - pool_bytes(path) == freed
    assert dev.evict() == 0
    assert hash_of(dev) == expected
    assert dev.fetch() == 0
    assert pool_bytes(path) == full


def test_cluster_without_an_origin_has_nothing_to_evict(store: clusterdb.Store, url: str) -> None:
    own = store.create_cluster("own")
    own.connect().execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    assert own.evict() == 0
    store.clone(f"{url}/prod", "dev")
    assert own.evict() == 0


def test_reused_slots_are_not_evicted(url: str, store: clusterdb.Store) -> None:
    """What others wrote to slots that had absent pages stays, without a network."""
    store.clone(f"{url}/prod", "gone").delete()
    own = store.create_cluster("own", backup_retention_days=0)
    with closing(own.connect()) as connection:
        connection.execute("CREATE TABLE t (body); INSERT INTO t VALUES (randomblob(3000000))")
    expected = hash_of(own)
    assert own.evict() == 0
    assert hash_of(own) == expected


def test_eviction_is_refused_while_a_clone_is_read(url: str, store: clusterdb.Store) -> None:
    """A reader may have a page in place; a connection without a transaction may not."""
    dev = store.clone(f"{url}/prod", "dev")
    clone = dev.clone("clone")
    dev.fetch()
    with closing(clone.connect()) as reader, closing(dev.connect()) as idle:
        idle.execute("SELECT count(body) FROM t").fetchall()
        reader.execute("BEGIN; SELECT body FROM t WHERE id = 3")
        with pytest.raises(clusterdb.StoreBusyError, match="is being read or written"):
            dev.evict()
        assert dev.fetch() == 0
        reader.execute("COMMIT")
        assert dev.evict() > 0
        assert idle.execute("SELECT count(body) FROM t").fetchall() == [(ROWS,)]


def test_eviction_needs_the_origin(url: str, store: clusterdb.Store, tmp_path: Path) -> None:
    dev = store.clone(f"{url}/prod", "dev")
    dev.fetch()
    (tmp_path / "repository").rename(tmp_path / "away")
    with pytest.raises(clusterdb.RemoteNotFoundError, match="has expired there"):
        dev.evict()
    assert dev.fetch() == 0
    assert hash_of(dev)
    (tmp_path / "away").rename(tmp_path / "repository")
    assert dev.evict() > 0


def test_reader_that_begins_in_the_middle_waits(url: str, store: clusterdb.Store, path: Path) -> None:
    """A transaction that begins after the pins were read waits until the slots are cleared."""
    dev = store.clone(f"{url}/prod", "dev")
    dev.fetch()
    with clusterdb.open(path) as other, closing(other.cluster("dev").connect()) as connection:
        answers: list[object] = []
        reading = threading.Thread(
            target=lambda: answers.extend(connection.execute("SELECT count(body) FROM t").fetchall())
        )

        def meanwhile() -> None:
            reading.start()
            reading.join(0.2)
            assert reading.is_alive()

        with at(HALT_POINT, meanwhile):
            assert dev.evict() > 0
        reading.join()
        assert answers == [(ROWS,)]


def test_flag_of_a_process_that_died_is_cleared(url: str, store: clusterdb.Store) -> None:
    """Readers of the head and of past versions, writers, and clones proceed."""
    dev = store.clone(f"{url}/prod", "dev", backtrack_window_s=3600)
    with closing(dev.connect()) as connection:
        connection.execute("UPDATE t SET body = 'mine' WHERE id = 77")
        row = catalog_of(store).volumes.volume_of_cluster("dev")
        assert row is not None
        record = pages_of(store).volume(row)
        version = record.version
        for action in (
            lambda: connection.execute("SELECT count(*) FROM t").fetchall(),
            lambda: connection.execute("DELETE FROM t WHERE id = 1"),
            lambda: dev.clone("one").delete(),
            lambda: dev.clone("two", at=version - 1).delete(),
            lambda: dev.backtrack(version),
        ):
            record.id |= HALTED
            action()
    assert hash_of(dev)


def test_clusters_of_a_process_that_was_killed_can_be_read(url: str, store: clusterdb.Store, path: Path) -> None:
    """It died while it kept readers out."""
    dev = store.clone(f"{url}/prod", "dev")
    dev.fetch()
    expected = hash_of(dev)
    run_until_killed(path, HALT_POINT, "kill(); store.cluster('dev').evict()")
    assert hash_of(dev) == expected
    assert dev.evict() > 0
    assert hash_of(dev) == expected


PROGRAM = """
import random, sys, clusterdb
with clusterdb.open(sys.argv[1]) as store:
    connection = store.cluster(sys.argv[2]).connect()
    connection.set_busy_timeout(30_000)
    connection.execute(f"PRAGMA mmap_size = {1 << 30}; PRAGMA cache_size = 10")
    rng = random.Random(int(sys.argv[3]))
    print("ready", flush=True)
    for _ in range(int(sys.argv[4])):
        first = rng.randrange(1, 4900)
        rows = connection.execute("SELECT id, body FROM t WHERE id >= ? LIMIT 60", (first,)).fetchall()
        assert all(body.startswith(f"{id}-") and len(body) == len(f"{id}-") + 200 for id, body in rows), rows
        assert len(rows) == 60
        if rng.random() < 0.1:
            connection.execute("UPDATE t SET body = body WHERE id = ?", (first,))
"""


@pytest.mark.parametrize("rounds", [1500, pytest.param(8000, marks=pytest.mark.slow)])
def test_readers_in_other_processes_never_see_a_wrong_page(
    url: str, store: clusterdb.Store, path: Path, rounds: int
) -> None:
    """Processes that read and write a clone and its clone, while pages are evicted again and again."""
    dev = store.clone(f"{url}/prod", "dev")
    dev.clone("clone")
    program = [sys.executable, "-c", PROGRAM, str(path)]
    readers = [
        subprocess.Popen([*program, name, str(seed), str(rounds)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for seed, name in enumerate(("dev", "clone"))
    ]
    evicted = 0
    while any(reader.poll() is None for reader in readers):
        with suppress(clusterdb.StoreBusyError):
            evicted += dev.evict() > 0
        time.sleep(0.01)
    for reader in readers:
        _, errors = reader.communicate()
        assert reader.returncode == 0, errors.decode()
    assert evicted
    with closing(dev.connect()) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert store.check().problems == []
