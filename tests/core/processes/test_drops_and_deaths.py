"""Clusters that are dropped while others use them, and processes that are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import clusterdb
from tests.core.processes.agents import RemoteError, Starter, sum_of, write_all
from tests.support.stores import assert_clean, rows


# --- dropping what others use ---------------------------------------------------------------------------------------
def test_drop_under_a_reader_fails_its_next_statement(shared: clusterdb.Store, start: Starter) -> None:
    """The running statement finishes, the next one fails, and the space comes back after the reader."""
    shared.cluster("prod").clone("dev")
    shared.cluster("prod").delete()
    write_all(shared, name="dev")
    reader = start()
    reader.connect("dev")
    reader.do("c.execute('PRAGMA cache_size = 1'); cursor = c.execute('SELECT id, n FROM t'); first = next(cursor)")
    shared.cluster("dev").delete()
    filler = shared.create_cluster(
        "filler", backup_retention_days=0
    ).connect()  # what reuses the dropped slots, if they are free too early
    filler.execute("CREATE TABLE f (body); INSERT INTO f SELECT randomblob(3000000)")
    assert reader.ask("[first, *cursor]") == [[row, 1] for row in range(1, 401)]
    with pytest.raises(RemoteError, match=r"IOError: cluster 'dev'.*dropped"):
        reader.sql("SELECT count(*) FROM t")
    with pytest.raises(RemoteError, match="ClusterNotFoundError"):
        reader.connect("dev")
    filler.close()
    shared.cluster("filler").delete()
    reader.do("c.close()")
    assert shared.stats().used_bytes == 4096
    assert_clean(shared)


@pytest.mark.parametrize("drops_source", [False, True])
def test_drop_of_a_clone_keeps_source_pages_for_its_reader(path: Path, drops_source: bool) -> None:
    """Pages of the source that a reader of a dropped clone sees remain until the reader ends."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backup_retention_days=0)
        connection = prod.connect()
        connection.execute("CREATE TABLE t (body); INSERT INTO t SELECT randomblob(400000)")
        reader = prod.clone("dev").connect()
        before = rows(reader, "PRAGMA cache_size = 1; BEGIN; SELECT body FROM t")
        connection.execute("DELETE FROM t; VACUUM")
        connection.close()
        if drops_source:
            prod.delete()
        store.cluster("dev").delete()
        assert store.check().problems == []
        filler = store.create_cluster("filler", backup_retention_days=0).connect()
        filler.execute("CREATE TABLE f (body); INSERT INTO f SELECT randomblob(900000)")
        filler.close()
        assert rows(reader, "SELECT body FROM t") == before
        reader.close()
        for cluster in store.clusters():
            cluster.delete()
        assert_clean(store)
        assert store.stats().used_bytes == 4096


def test_drop_under_a_writer_fails_its_commit(shared: clusterdb.Store, start: Starter) -> None:
    """The commit of the writer fails, nothing else does, and its space comes back."""
    writer = start()
    shared.cluster("prod").clone("dev")
    writer.connect("dev")
    writer.sql("BEGIN IMMEDIATE; UPDATE t SET n = 1")
    shared.cluster("dev").delete()
    with pytest.raises(RemoteError, match="dropped"):
        writer.sql("COMMIT")
    writer.do("c.close()")
    assert sum_of(shared) == 0
    shared.cluster("prod").delete()
    assert shared.stats().used_bytes == 4096


# --- sudden deaths --------------------------------------------------------------------------------------------------
def test_killed_writer_leaves_no_lock(shared: clusterdb.Store, start: Starter) -> None:
    """The next writer proceeds at once on what was last committed, and the dead one's slots come back."""
    write_all(shared)
    used_bytes = shared.stats().used_bytes
    writer = start()
    writer.connect("prod")
    writer.do("vfs.storage.writer.STAGED_PAGES_MAX = 4")  # so that it has written slots ahead
    writer.sql("PRAGMA cache_size = 5; BEGIN IMMEDIATE; UPDATE t SET n = 7")
    writer.kill()
    connection = shared.cluster("prod").connect()
    connection.set_busy_timeout(0)
    assert rows(connection, "SELECT sum(n) FROM t") == [(400,)]
    connection.execute("BEGIN IMMEDIATE; UPDATE t SET n = 2; COMMIT")
    connection.close()
    start().do("store.close()")  # whoever opens the store buries the dead
    assert sum_of(shared) == 800
    assert shared.stats().used_bytes == used_bytes
    assert_clean(shared)


def test_killed_writer_with_a_forked_child_leaves_no_lock(shared: clusterdb.Store, start: Starter) -> None:
    """A child process that lives on does not keep the locks of its dead parent."""
    writer = start()
    writer.connect("prod")
    writer.sql("BEGIN IMMEDIATE; UPDATE t SET n = 7")
    child = writer.ask("os.fork() or [os.close(0), os.close(1), __import__('signal').pause()]")
    try:
        writer.kill()
        connection = shared.cluster("prod").connect()
        connection.set_busy_timeout(10_000)  # the child may just be about to let go
        connection.execute("BEGIN IMMEDIATE; UPDATE t SET n = 2; COMMIT")
        connection.close()
    finally:
        os.kill(child, signal.SIGKILL)
    assert sum_of(shared) == 800


def test_version_of_a_killed_reader_is_freed(shared: clusterdb.Store, start: Starter) -> None:
    """A version that only a killed reader had pinned is freed by the next commits."""
    write_all(shared, 2)
    used_bytes = shared.stats().used_bytes
    reader = start()
    reader.connect("prod")
    reader.sql("BEGIN; SELECT sum(n) FROM t")
    write_all(shared, 3)
    assert reader.sql("SELECT sum(n) FROM t") == [[800]]
    assert shared.stats().used_bytes > used_bytes
    reader.kill()
    write_all(shared)
    assert shared.stats().used_bytes == used_bytes


def test_space_comes_back_when_the_writer_closes_before_the_reader(
    path: Path, shared: clusterdb.Store, start: Starter
) -> None:
    """A writer that closes its store under a reader takes nothing with it."""
    write_all(shared, 2)
    used_bytes = shared.stats().used_bytes
    reader, writer = start(), start()
    reader.connect("prod")
    reader.sql("BEGIN; SELECT sum(n) FROM t")
    writer.connect("prod")
    writer.sql("UPDATE t SET n = 9")
    writer.do("store.close()")
    reader.do("c.close(); store.close()")
    write_all(shared)
    with clusterdb.open(path):
        pass
    assert_clean(shared)
    assert shared.stats().used_bytes == used_bytes


def test_pinned_version_survives_the_writers_that_superseded_it(shared: clusterdb.Store, start: Starter) -> None:
    """A pinned version stays as it is when the processes that superseded its pages end."""
    reader, writer = start(), start()
    reader.connect("prod")
    reader.do("c.execute('PRAGMA cache_size = 1; BEGIN')")
    assert reader.sql("SELECT sum(n), sum(id) FROM t") == [[0, 80200]]
    writer.connect("prod")
    writer.sql("UPDATE t SET n = 9")
    writer.do("store.close()")
    for _ in range(3):  # they get the dead writer's rows, and die themselves
        agents = [start(), start()]
        for agent in agents:
            agent.connect("prod")
            agent.sql("SELECT sum(n) FROM t")
        for agent in agents:
            agent.kill()
        start().do("store.close()")
    assert shared.check().problems == []
    write_all(shared, 5)
    filler = shared.create_cluster("filler", backup_retention_days=0).connect()
    filler.execute("CREATE TABLE f (body); INSERT INTO f SELECT randomblob(3000000)")
    filler.close()
    assert reader.sql("SELECT sum(n), sum(id), sum(body) FROM t") == [[0, 80200, 80200]]


def test_killed_import_leaves_no_cluster(path: Path, shared: clusterdb.Store, start: Starter, sample: Path) -> None:
    """A killed import leaves nothing visible, and its space comes back."""
    used_bytes = shared.stats().used_bytes
    importer = start()
    importer.do("vfs.storage.writer.STAGED_PAGES_MAX = 8")
    importer.start(
        "do",
        f"store.create_cluster('big', from_file={str(sample)!r}, progress=lambda *_: [say('half-way'), wait()])",
    )
    assert importer.answer() == "half-way"
    assert [cluster.name for cluster in shared.clusters()] == ["prod"]
    assert shared.stats().used_bytes > used_bytes
    with clusterdb.open(path) as other:  # while it lives, nobody takes away what it is building
        assert_clean(other)
    importer.kill()
    with clusterdb.open(path) as other:
        assert [cluster.name for cluster in other.clusters()] == ["prod"]
        assert other.stats().used_bytes == used_bytes
        assert_clean(other)
        other.create_cluster("big", from_file=sample).delete()


def test_open_does_not_disturb_a_running_import(
    path: Path, shared: clusterdb.Store, start: Starter, sample: Path
) -> None:
    """Opening the store does not take a running import for an abandoned one."""
    importer = start()
    importer.start(
        "do",
        f"store.create_cluster('big', from_file={str(sample)!r}, progress=lambda *_: [say('half-way'), wait()])",
    )
    assert importer.answer() == "half-way"
    with clusterdb.open(path):
        pass
    importer.start("do", "")  # any line lets it go on
    importer.answer()
    connection = shared.cluster("big").connect()
    assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
    connection.close()
