"""One store, many processes and threads: what each may do while others work, stop, or die.

An :class:`Agent` is another process that runs what a test tells it, one command at a time, so that tests decide who
does what when; nothing here waits for a clock.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import operator
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
import vfs.store
from tests.support.stores import assert_clean, rows

_AGENT = """
import json, os, sys
import apsw, clusterdb, vfs.volume

def rows(connection, sql):
    return connection.execute(sql).fetchall()

def say(value):
    print(json.dumps({"value": value}), flush=True)

def wait():
    sys.stdin.readline()

path = sys.argv[1]
for line in sys.stdin:
    kind, source = json.loads(line)
    try:
        if kind == "do":
            exec(source, globals())
            say(None)
        else:
            say(eval(source, globals()))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
"""


class RemoteError(Exception):
    """What a command raised in an agent: the exception's class by name, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Agent:
    """Another process, with the store's ``path`` at hand, and ``store`` once it has opened it."""

    def __init__(self, path: Path, *, opens: bool = True) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AGENT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if opens:
            self.do("store = clusterdb.open(path)")

    def start(self, kind: str, source: str) -> None:
        """Send a command and do not wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, source]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The next answer.  Raises RemoteError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the agent died"
        answer = json.loads(line)
        if "error" in answer:
            raise RemoteError(answer["error"], answer["text"])
        return answer["value"]

    def do(self, source: str) -> None:
        """Run statements."""
        self.start("do", source)
        self.answer()

    def ask(self, source: str) -> Any:
        """Evaluate an expression."""
        self.start("ask", source)
        return self.answer()

    def connect(self, name: str, busy_timeout_ms: int = 0) -> None:
        """Open connection ``c`` to a cluster; it does not wait for locks unless told to."""
        self.do(f"c = store.cluster({name!r}).connect(); c.set_busy_timeout({busy_timeout_ms})")

    def sql(self, sql: str) -> list[list[Any]]:
        """Run SQL on connection ``c``."""
        result: list[list[Any]] = self.ask(f"rows(c, {sql!r})")
        return result

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Let the process end as a script does, without closing anything by hand."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


Starter = Callable[..., Agent]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.fixture
def start(path: Path) -> Iterator[Starter]:
    """A function that starts an agent; those left at the end are killed."""
    agents: list[Agent] = []

    def start_one(*, opens: bool = True) -> Agent:
        agents.append(Agent(path, opens=opens))
        return agents[-1]

    yield start_one
    for agent in agents:
        agent.kill()


@pytest.fixture
def shared(path: Path) -> Iterator[clusterdb.Store]:
    """The store as this process has it open, with cluster 'prod' of 400 rows; clean when all agents are gone."""
    with clusterdb.open(path) as store:
        connection = store.create_cluster("prod").connect()
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT);"
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 400) "
            "INSERT INTO t SELECT x, 0, printf('%0400d', x) FROM c"
        )
        connection.close()
        yield store
        assert store.check().problems == []


def sum_of(store: clusterdb.Store, name: str = "prod") -> int:
    """The sum of column n, by a new connection."""
    connection = store.cluster(name).connect()
    try:
        ((total,),) = rows(connection, "SELECT sum(n) FROM t")
    finally:
        connection.close()
    assert isinstance(total, int)
    return total


def write_all(store: clusterdb.Store, times: int = 1, name: str = "prod") -> None:
    """Add one to n in every row, so that every page of the table is written."""
    connection = store.cluster(name).connect()
    for _ in range(times):
        connection.execute("UPDATE t SET n = n + 1")
    connection.close()


# --- readers and writers --------------------------------------------------------------------------------------------
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


def test_one_writer_at_a_time(shared: clusterdb.Store, start: Starter) -> None:
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


def test_a_waiting_writer_gets_its_turn(shared: clusterdb.Store, start: Starter) -> None:
    """With a busy timeout the second writer waits for the first instead of failing."""
    first, second = start(), start()
    first.connect("prod")
    second.connect("prod", busy_timeout_ms=60_000)
    first.sql("BEGIN IMMEDIATE; UPDATE t SET n = n + 1 WHERE id = 1")
    second.start("ask", "rows(c, 'BEGIN IMMEDIATE; UPDATE t SET n = n + 1 WHERE id = 1; COMMIT')")
    first.sql("COMMIT")
    second.answer()
    assert sum_of(shared) == 2


def test_writing_on_a_stale_snapshot_is_refused(shared: clusterdb.Store, start: Starter) -> None:
    """Who has read before somebody else committed must begin anew; no update gets lost."""
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


def test_a_sum_stays_constant_under_many_threads(store: clusterdb.Store) -> None:
    """Threads with connections of their own move money; readers never see a sum in between."""
    connection = store.create_cluster("bank").connect()
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
    order: list[object] = []
    is_waiting = threading.Lock()
    is_waiting.acquire()
    steps = [is_waiting.release, functools.partial(store._vfs.xSleep, 200_000)]
    # In C from the release to the append: another thread comes in between only if the sleep lets it.
    thread = threading.Thread(target=lambda: order.extend(map(operator.call, steps)))
    thread.start()
    with is_waiting:
        order.append("others run")
    thread.join()
    assert order.index("others run") < 2


# --- clones ---------------------------------------------------------------------------------------------------------
def test_a_clone_in_mid_transaction_has_what_was_committed(shared: clusterdb.Store, start: Starter) -> None:
    """Who clones while somebody writes, in the same thread, another one or another process, gets the last commit."""
    writer = shared.cluster("prod").connect()
    writer.execute("BEGIN IMMEDIATE; UPDATE t SET n = 1")
    shared.cluster("prod").clone("by-connection")
    thread = threading.Thread(target=lambda: shared.cluster("prod").clone("by-thread"))
    thread.start()
    thread.join()
    start().do("store.cluster('prod').clone('by-process')")
    writer.execute("COMMIT")
    for name in ("by-connection", "by-thread", "by-process"):
        assert sum_of(shared, name) == 0
    assert sum_of(shared) == 400
    shared.cluster("prod").clone("after")
    assert sum_of(shared, "after") == 400
    writer.close()


def test_a_process_sees_clusters_that_others_make(shared: clusterdb.Store, start: Starter) -> None:
    """Clusters of one process are there for the others at once."""
    agent = start()
    shared.cluster("prod").clone("dev")
    agent.connect("dev")
    agent.sql("UPDATE t SET n = 5 WHERE id = 1")
    assert sum_of(shared, "dev") == 5
    agent.do("store.cluster('dev').clone('dev-2')")
    assert [cluster.name for cluster in shared.clusters()] == ["dev", "dev-2", "prod"]
    assert sum_of(shared, "dev-2") == 5


@pytest.mark.parametrize("seed", [1, 2])
def test_deep_clones_can_be_dropped_in_any_order(store: clusterdb.Store, seed: int) -> None:
    """A clone of a clone of a clone, 200 deep, reads what its line wrote; dropping all gives every slot back."""
    cluster = store.create_cluster("c0")
    connection = cluster.connect()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, depth INTEGER)")
    connection.close()
    clusters = [cluster]
    for depth in range(1, 201):
        clusters.append(clusters[-1].clone(f"c{depth}"))
        if depth % 4 == 0:
            connection = clusters[-1].connect()
            connection.execute("INSERT INTO t (depth) VALUES (?)", (depth,))
            connection.close()
    random.Random(seed).shuffle(clusters)
    while clusters:
        survivor = clusters[-1]
        connection = survivor.connect()
        depth = int(survivor.name[1:])
        assert rows(connection, "SELECT depth FROM t") == [(each,) for each in range(4, depth + 1, 4)]
        connection.close()
        for dropped in clusters[-20:]:
            dropped.delete()
        del clusters[-20:]
        assert_clean(store)
    assert store.stats().used_bytes == 4096


# --- names ----------------------------------------------------------------------------------------------------------
def test_one_of_two_creators_wins(shared: clusterdb.Store, start: Starter) -> None:
    """Two processes that want the same name at once: one has it, the other is told that it is taken."""
    agents = [start(), start()]
    for number in range(5):
        for agent in agents:
            agent.start("do", f"store.cluster('prod').clone('same-{number}')")
        outcomes = []
        for agent in agents:
            try:
                agent.answer()
                outcomes.append("created")
            except RemoteError as error:
                outcomes.append(error.kind)
        assert sorted(outcomes) == ["ClusterExistsError", "created"]
        assert sum_of(shared, f"same-{number}") == 0
    assert_clean(shared)


def test_a_rename_does_not_disturb_connections(shared: clusterdb.Store, start: Starter) -> None:
    """A connected process goes on reading and writing under the new name; the old one is free."""
    agent = start()
    agent.connect("prod")
    agent.sql("BEGIN IMMEDIATE; UPDATE t SET n = 1 WHERE id = 1")
    shared.cluster("prod").rename("main")
    agent.sql("COMMIT; UPDATE t SET n = 1 WHERE id = 2")
    assert sum_of(shared, "main") == 2
    with pytest.raises(RemoteError, match=r"ClusterNotFoundError.*'prod'"):
        agent.connect("prod")
    shared.create_cluster("prod")
    assert agent.sql("SELECT sum(n) FROM t") == [[2]]


def test_a_new_store_can_be_opened_by_two_at_once(tmp_path: Path) -> None:
    """Two processes that open a store which is not there yet both get the same one."""
    for number in range(3):
        path = tmp_path / f"store-{number}"
        agents = [Agent(path, opens=False) for _ in range(2)]
        try:
            for agent in agents:
                agent.ask("1")  # both are up
            for at, agent in enumerate(agents):
                agent.start("do", f"store = clusterdb.open(path); store.create_cluster('of-{at}')")
            for agent in agents:
                agent.answer()
            for agent in agents:
                assert agent.ask("[cluster.name for cluster in store.clusters()]") == ["of-0", "of-1"]
        finally:
            for agent in agents:
                agent.close()
        with clusterdb.open(path) as store:
            assert_clean(store)


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, at_call: int, path: Path) -> None:
    """Let somebody else open the store just before the ``at_call``-th call of a function."""
    original = getattr(owner, name)
    calls = itertools.count(1)

    def interrupted(*args: Any, **options: Any) -> Any:
        if next(calls) == at_call:
            with clusterdb.open(path) as other:
                other.create_cluster("of-other")
        return original(*args, **options)

    monkeypatch.setattr(owner, name, interrupted)


def test_somebody_else_makes_the_directory_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that appears while the store is being opened is no error."""
    interrupt(monkeypatch, Path, "mkdir", 1, path)
    with clusterdb.open(path) as store:
        assert [cluster.name for cluster in store.clusters()] == ["of-other"]


@pytest.mark.parametrize("at_call", [1, 2, 3, 4])
def test_somebody_else_opens_a_store_in_the_making(path: Path, monkeypatch: pytest.MonkeyPatch, at_call: int) -> None:
    """A directory with some of a store's files in it is a store that another process is creating."""
    interrupt(monkeypatch, vfs.store, "_open_file", at_call, path)
    with clusterdb.open(path) as store:
        assert [cluster.name for cluster in store.clusters()] == ["of-other"]


# --- dropping what others use ---------------------------------------------------------------------------------------
def test_dropping_what_another_process_reads(shared: clusterdb.Store, start: Starter) -> None:
    """The statement in flight finishes, the next one fails clearly, and the space comes back behind the reader."""
    shared.cluster("prod").clone("dev")
    shared.cluster("prod").delete()
    write_all(shared, name="dev")
    reader = start()
    reader.connect("dev")
    reader.do("c.execute('PRAGMA cache_size = 1'); cursor = c.execute('SELECT id, n FROM t'); first = next(cursor)")
    shared.cluster("dev").delete()
    filler = shared.create_cluster("filler").connect()  # what reuses the dropped slots, if they are free too early
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
def test_a_clone_dropped_under_its_reader_keeps_the_source_pages(path: Path, drops_source: bool) -> None:
    """What a reader of a dropped clone has from the source stays until the reader has gone."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
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
        filler = store.create_cluster("filler").connect()
        filler.execute("CREATE TABLE f (body); INSERT INTO f SELECT randomblob(900000)")
        filler.close()
        assert rows(reader, "SELECT body FROM t") == before
        reader.close()
        for cluster in store.clusters():
            cluster.delete()
        assert_clean(store)
        assert store.stats().used_bytes == 4096


def test_dropping_what_another_process_writes(shared: clusterdb.Store, start: Starter) -> None:
    """The writer's commit fails, nothing else does, and its space comes back."""
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
def test_a_killed_writer_leaves_no_lock(shared: clusterdb.Store, start: Starter) -> None:
    """The next writer proceeds at once on what was last committed, and the dead one's slots come back."""
    write_all(shared)
    used_bytes = shared.stats().used_bytes
    writer = start()
    writer.connect("prod")
    writer.do("vfs.volume.STAGED_PAGES_MAX = 4")  # so that it has written slots ahead
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


def test_a_killed_writer_with_a_forked_child_leaves_no_lock(shared: clusterdb.Store, start: Starter) -> None:
    """A child process that lives on does not keep the locks of its dead parent."""
    writer = start()
    writer.connect("prod")
    writer.sql("BEGIN IMMEDIATE; UPDATE t SET n = 7")
    child = writer.ask("os.fork() or [os.close(0), os.close(1), __import__('signal').pause()]")
    try:
        writer._process.kill()
        writer._process.wait()
        connection = shared.cluster("prod").connect()
        connection.set_busy_timeout(10_000)  # the child may just be about to let go
        connection.execute("BEGIN IMMEDIATE; UPDATE t SET n = 2; COMMIT")
        connection.close()
    finally:
        os.kill(child, signal.SIGKILL)
    assert sum_of(shared) == 800


def test_a_killed_reader_gives_its_version_back(shared: clusterdb.Store, start: Starter) -> None:
    """What only a dead reader had pinned is free after the next commits."""
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


def test_space_comes_back_when_the_writer_left_before_the_reader(
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


def test_a_reader_outlives_writers_that_come_and_go(shared: clusterdb.Store, start: Starter) -> None:
    """What a reader has pinned stays as it is, whatever becomes of the processes that superseded it."""
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
    filler = shared.create_cluster("filler").connect()
    filler.execute("CREATE TABLE f (body); INSERT INTO f SELECT randomblob(3000000)")
    filler.close()
    assert reader.sql("SELECT sum(n), sum(id), sum(body) FROM t") == [[0, 80200, 80200]]


def test_a_killed_import_leaves_no_cluster(path: Path, shared: clusterdb.Store, start: Starter, sample: Path) -> None:
    """An importer that dies half-way leaves nothing that a person would see, and its space comes back."""
    used_bytes = shared.stats().used_bytes
    importer = start()
    importer.do("vfs.volume.STAGED_PAGES_MAX = 8")
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


def test_an_import_goes_on_while_others_open_the_store(
    path: Path, shared: clusterdb.Store, start: Starter, sample: Path
) -> None:
    """Opening the store does not take an import for an abandoned one."""
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


# --- forks ----------------------------------------------------------------------------------------------------------
def in_child(work: Callable[[], object]) -> str:
    """What a forked child gets from ``work``: the class of its exception, or its result."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            outcome = str(work())
        except BaseException as error:
            outcome = type(error).__name__
        os.write(write_fd, outcome.encode())
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        outcome = pipe.read()
    os.waitpid(pid, 0)
    return outcome


def test_a_forked_child_is_refused(path: Path, shared: clusterdb.Store) -> None:
    """In a child, inherited connections and stores refuse to work; the parent goes on, also in a transaction."""
    cluster = shared.cluster("prod")
    connection = cluster.connect()
    connection.execute("BEGIN IMMEDIATE; UPDATE t SET n = 1 WHERE id = 1")
    idle = cluster.connect()
    assert in_child(lambda: rows(connection, "SELECT sum(n) FROM t WHERE id > 300")) == "MisuseError"
    assert in_child(lambda: connection.execute("COMMIT")) in ("MisuseError", "IOError")
    assert in_child(lambda: idle.execute("UPDATE t SET n = 5")) == "MisuseError"
    assert in_child(lambda: rows(idle, "SELECT sum(n) FROM t")) == "MisuseError"
    assert in_child(lambda: shared.clusters()) == "ForkedStoreError"
    assert in_child(lambda: cluster.connect()) == "ForkedStoreError"
    assert in_child(lambda: cluster.clone("dev")) == "ForkedStoreError"
    assert in_child(lambda: cluster.delete()) == "ForkedStoreError"
    assert in_child(lambda: shared.check()) == "ForkedStoreError"
    assert in_child(lambda: [idle.close(), connection.close(), shared.close()]) == "[None, None, None]"
    with pytest.raises(apsw.BusyError):
        idle.set_busy_timeout(0)
        idle.execute("BEGIN IMMEDIATE")  # the children have not given up the parent's lock
    connection.execute("COMMIT")
    assert rows(idle, "SELECT sum(n) FROM t") == [(1,)]
    idle.close()
    connection.close()
    assert_clean(shared)


def test_a_forked_child_may_open_the_store_itself(path: Path, shared: clusterdb.Store) -> None:
    """A child that opens the store anew works like any other process."""
    connection = shared.cluster("prod").connect()
    connection.execute("BEGIN; SELECT sum(n) FROM t")

    def work() -> int:
        with clusterdb.open(path) as store:
            write_all(store)
            return sum_of(store)

    assert in_child(work) == "400"
    assert rows(connection, "SELECT sum(n) FROM t") == [(0,)]
    connection.execute("COMMIT")
    assert rows(connection, "SELECT sum(n) FROM t") == [(400,)]
    connection.close()
