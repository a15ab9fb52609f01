"""Readers and writers in several processes and threads."""

from __future__ import annotations

import functools
import operator
import queue
import random
import threading
import time
from collections.abc import Callable

import pytest

import clusterdb
from tests.core.processes.agents import RemoteError, Starter, sum_of
from tests.support.inside import vfs_of
from tests.support.stores import rows
from vfs.sqlite.vfs import ClusterVFS


def test_readers_and_a_writer_do_not_block_each_other(shared: clusterdb.Store, start: Starter) -> None:
    """Readers go on under an open write transaction, a commit goes through under open readers."""
    writer, first, second = start(), start(), start()
    for agent in (writer, first, second):
        agent.connect("prod")
    first.sql("BEGIN; SELECT sum(n) FROM t")
    writer.sql("BEGIN IMMEDIATE; UPDATE t SET n = 1")
    assert second.sql("SELECT sum(n) FROM t") == [[0]]
    second.sql("BEGIN; SELECT sum(n) FROM t")
    writer.sql("COMMIT")
    assert first.sql("SELECT sum(n) FROM t") == [[0]] == second.sql("SELECT sum(n) FROM t")
    first.sql("COMMIT")
    assert first.sql("SELECT sum(n) FROM t") == [[400]]
    assert second.sql("SELECT sum(n) FROM t") == [[0]]
    assert writer.sql("SELECT sum(n) FROM t") == [[400]]


def test_second_writer_is_busy_until_the_first_ends(shared: clusterdb.Store, start: Starter) -> None:
    """A second writer is told that the cluster is busy, and may write when the first has ended."""
    first, second = start(), start()
    first.connect("prod")
    second.connect("prod")
    first.sql("BEGIN IMMEDIATE; UPDATE t SET n = 1 WHERE id = 1")
    with pytest.raises(RemoteError, match="BusyError"):
        second.sql("BEGIN IMMEDIATE")
    with pytest.raises(RemoteError, match="BusyError"):
        second.sql("UPDATE t SET n = 2 WHERE id = 2")
    first.sql("COMMIT")
    second.sql("BEGIN IMMEDIATE; UPDATE t SET n = n + 2 WHERE id = 1; COMMIT")
    assert first.sql("SELECT n FROM t WHERE id = 1") == [[3]]


def test_second_writer_waits_for_its_busy_timeout(shared: clusterdb.Store, start: Starter) -> None:
    """With a busy timeout the second writer waits for the first instead of failing."""
    first, second = start(), start()
    first.connect("prod")
    second.connect("prod", busy_timeout_ms=60_000)
    first.sql("BEGIN IMMEDIATE; UPDATE t SET n = n + 1 WHERE id = 1")
    second.start("ask", "rows(c, 'BEGIN IMMEDIATE; UPDATE t SET n = n + 1 WHERE id = 1; COMMIT')")
    first.sql("COMMIT")
    second.answer()
    assert sum_of(shared) == 2


def test_write_on_a_stale_snapshot_is_refused(shared: clusterdb.Store, start: Starter) -> None:
    """A transaction that read before another commit must begin anew; no update is lost."""
    first, second = start(), start()
    first.connect("prod")
    second.connect("prod")
    second.sql("BEGIN; SELECT n FROM t WHERE id = 1")
    first.sql("UPDATE t SET n = n + 1 WHERE id = 1")
    with pytest.raises(RemoteError, match="BusyError"):
        second.sql("UPDATE t SET n = 10 WHERE id = 1")
    second.sql("ROLLBACK; BEGIN; UPDATE t SET n = n + 1 WHERE id = 1; COMMIT")
    assert sum_of(shared) == 2


def test_writers_of_different_clusters_run_side_by_side(shared: clusterdb.Store, start: Starter) -> None:
    """Two clusters, two open write transactions, also of source and clone."""
    shared.cluster("prod").clone("dev")
    first, second = start(), start()
    first.connect("prod")
    second.connect("dev")
    first.sql("BEGIN IMMEDIATE; UPDATE t SET n = 1")
    second.sql("BEGIN IMMEDIATE; UPDATE t SET n = 2")
    second.sql("COMMIT")
    first.sql("COMMIT")
    assert (sum_of(shared, "prod"), sum_of(shared, "dev")) == (400, 800)


def test_readers_never_see_a_partial_transfer_of_other_threads(store: clusterdb.Store) -> None:
    """Threads with connections of their own move money; readers never see a sum in between."""
    connection = store.create_cluster("bank", backup_retention_days=0).connect()
    connection.execute(
        "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER);"
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 50) "
        "INSERT INTO account SELECT x, 100 FROM c"
    )
    failures: list[BaseException] = []
    commits: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def transfer(seed: int) -> None:
        pick = random.Random(seed)
        own = store.cluster("bank").connect()
        own.set_busy_handler(lambda _: time.sleep(0.001) is None)  # SQLite's own one waits longer and longer
        for _ in range(15):
            amount, source, target = pick.randint(1, 20), pick.randint(1, 50), pick.randint(1, 50)
            own.execute("BEGIN IMMEDIATE")
            own.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (amount, source))
            own.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (amount, target))
            own.execute("COMMIT")
            commits.put(True)
        own.close()

    def watch(_: int) -> None:
        own = store.cluster("bank").connect()
        while commits.get():
            assert rows(own, "SELECT sum(balance), count(*) FROM account") == [(5000, 50)]
        own.close()

    def caught(work: Callable[[int], None], seed: int) -> None:
        try:
            work(seed)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=caught, args=(transfer, seed)) for seed in range(6)]
    watchers = [threading.Thread(target=caught, args=(watch, 0)) for _ in range(2)]
    for thread in writers + watchers:
        thread.start()
    for thread in writers:
        thread.join()
    for _ in watchers:
        commits.put(False)
    for thread in watchers:
        thread.join()
    assert failures == []
    assert rows(connection, "SELECT sum(balance) FROM account") == [(5000,)]
    connection.close()


def test_waiting_for_a_lock_lets_other_threads_run(store: clusterdb.Store) -> None:
    """SQLite's busy handler sleeps through the VFS: meanwhile this process goes on."""
    if not isinstance(store.context.vfs, ClusterVFS):
        pytest.skip("SQLite's own VFS sleeps, without the interpreter")
    order: list[object] = []
    is_waiting = threading.Lock()
    is_waiting.acquire()
    steps = [is_waiting.release, functools.partial(vfs_of(store).xSleep, 200_000)]
    # In C from the release to the append: another thread comes in between only if the sleep lets it.
    thread = threading.Thread(target=lambda: order.extend(map(operator.call, steps)))  # type: ignore[arg-type]
    thread.start()
    with is_waiting:
        order.append("others run")
    thread.join()
    assert order.index("others run") < 2
