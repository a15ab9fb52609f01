"""The locks of a volume: words of shared memory for sessions in C, bytes for those in Python (vfs/format/locks.py)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Container, Generator, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

import clusterdb
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import at, run_until_killed, word
from vfs.format import locks
from vfs.format.shared import SESSION_ROWS, VolumeRecord
from vfs.plane import available
from vfs.storage.sessions import Session

pytestmark = pytest.mark.skipif("c" not in available(), reason="this build has no data plane in C")

ADD = "UPDATE t SET n = n + 1"


def opened(path: Path, monkeypatch: pytest.MonkeyPatch, plane: str) -> clusterdb.Store:
    """The store, opened with a data plane."""
    monkeypatch.setenv("CLUSTERDB_IMPL", plane)
    return clusterdb.open(path)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose cluster ``prod`` counts in a row; processes that open it use the plane in C."""
    path = tmp_path / "store"
    with opened(path, monkeypatch, "c") as store, closing(store.create_cluster("prod").connect()) as connection:
        connection.execute("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)")
    return path


@pytest.fixture
def in_c(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[clusterdb.Store]:
    with opened(path, monkeypatch, "c") as store:
        yield store


@pytest.fixture
def in_python(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[clusterdb.Store]:
    with opened(path, monkeypatch, "python") as store:
        yield store


@pytest.fixture
def session(in_c: clusterdb.Store) -> Iterator[Session]:
    """A session in Python, as the verbs of a store use them."""
    with pages_of(in_c).session() as session:
        yield session


def index_of(store: clusterdb.Store) -> int:
    row = catalog_of(store).volumes.volume_of_cluster("prod")
    assert row is not None
    return row.table_index


def record_of(session: Session, store: clusterdb.Store) -> VolumeRecord:
    return session.tables.volume(index_of(store))


def connected(store: clusterdb.Store) -> apsw.Connection:
    """A connection that does not wait for other writers."""
    connection = store.cluster("prod").connect()
    connection.set_busy_timeout(0)
    return connection


def count_of(store: clusterdb.Store) -> int:
    with closing(store.cluster("prod").connect()) as connection:
        return int(connection.execute("SELECT n FROM t").get)


# --- the words of one plane -------------------------------------------------------------------------------------------
def test_commit_gives_back_its_words(in_c: clusterdb.Store) -> None:
    with closing(connected(in_c)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert word(in_c, "prod", "writer") != 0
        with at("commit: published", lambda: seen.append(word(in_c, "prod", "lock"))):
            seen: list[int] = []
            connection.execute(f"{ADD}; COMMIT")
        assert seen != [0]
        assert [word(in_c, "prod", name) for name in ("lock", "writer", "plain", "plain_writer")] == [0, 0, 0, 0]
        connection.execute(f"BEGIN; {ADD}; ROLLBACK")
        assert word(in_c, "prod", "writer") == 0


@pytest.mark.parametrize("plane", ["c", "python"])
@pytest.mark.parametrize("point", ["commit: pages written", "commit: record written", "commit: published"])
def test_words_of_a_killed_writer_are_taken_over(
    path: Path, monkeypatch: pytest.MonkeyPatch, plane: str, point: str
) -> None:
    with opened(path, monkeypatch, "c") as keeper:  # so that the shared tables stay
        run_until_killed(path, point, f"c = store.cluster('prod').connect(); kill(); c.execute('{ADD}')")
        assert word(keeper, "prod", "lock") != 0
        assert word(keeper, "prod", "writer") != 0
        with opened(path, monkeypatch, plane) as store, closing(connected(store)) as connection:
            before = count_of(store)
            connection.execute(ADD)
            assert count_of(store) == before + 1
            assert store.check().problems == []


def test_row_of_a_dead_owner_may_have_another_session(in_c: clusterdb.Store, session: Session) -> None:
    record, row, generation = record_of(session, in_c), session.row, session.record.generation
    with closing(connected(in_c)) as connection:
        for name in ("writer", "lock"):
            setattr(record, name, locks.token(row, generation))
            with pytest.raises(apsw.BusyError):
                connection.execute("BEGIN IMMEDIATE")
            setattr(record, name, locks.token(row, generation - 1))
            connection.execute(ADD)
        assert (record.lock, record.writer) == (0, 0)


def test_damaged_word_excludes_nobody(in_c: clusterdb.Store, session: Session) -> None:
    record = record_of(session, in_c)
    with closing(connected(in_c)) as connection:
        for damaged in (locks.token(SESSION_ROWS, 1), 1 << locks.token(0, 0).bit_length() + 12, 2**38 - 1):
            record.writer = record.lock = damaged
            hold = session.try_volume(index_of(in_c))
            assert hold is not None
            hold.close()
            connection.execute(ADD)
    assert count_of(in_c) == 3


def test_writer_of_an_earlier_epoch_excludes_nobody(in_c: clusterdb.Store, session: Session) -> None:
    record = record_of(session, in_c)
    fenced = locks.token(session.row, session.record.generation, record.epoch - 1)
    with closing(connected(in_c)) as connection:
        record.writer = fenced
        connection.execute(ADD)
        assert record.writer == 0


def test_fenced_writer_takes_no_word_from_its_successor(in_c: clusterdb.Store, session: Session) -> None:
    record = record_of(session, in_c)
    with closing(connected(in_c)) as old, closing(connected(in_c)) as new:
        old.execute("SELECT n FROM t").fetchall()
        record.epoch += 1
        record.writer = locks.token(session.row, session.record.generation, record.epoch)
        with pytest.raises((apsw.ReadOnlyError, clusterdb.Error)):
            old.execute("BEGIN IMMEDIATE")
        assert locks.row_of(record.writer) == session.row
        record.writer = 0
        record.epoch -= 1
        new.execute(ADD)


def test_tokens_differ_by_row_generation_and_epoch() -> None:
    words = {locks.token(row, generation, epoch) for row in (0, 8191) for generation in (1, 2) for epoch in (0, 1)}
    assert len(words) == 8
    assert all(0 < one < 1 << 64 and locks.row_of(one) in (0, 8191) and locks.epoch_of(one) in (0, 1) for one in words)
    assert locks.token(3, 2**24 + 5, 2**26 + 7) == locks.token(3, 5, 7)


# --- between the planes -----------------------------------------------------------------------------------------------
def test_writers_of_both_planes_exclude_each_other(in_c: clusterdb.Store, in_python: clusterdb.Store) -> None:
    stores = [in_c, in_python]
    for first, second in (stores, stores[::-1], stores):
        with closing(connected(first)) as one, closing(connected(second)) as other:
            one.execute(f"BEGIN IMMEDIATE; {ADD}")
            with pytest.raises(apsw.BusyError):
                other.execute("BEGIN IMMEDIATE")
            one.execute("COMMIT")
            other.execute(f"BEGIN IMMEDIATE; {ADD}; COMMIT")
    assert count_of(in_c) == count_of(in_python) == 6


def test_writers_in_c_exclude_each_other_beside_a_plane_in_python(
    in_c: clusterdb.Store, in_python: clusterdb.Store
) -> None:
    """Once Python has written, writers in C lock the byte, and look at the word of those who began before that."""
    with (
        closing(connected(in_c)) as early,
        closing(connected(in_c)) as late,
        closing(connected(in_python)) as python,
    ):
        early.execute("BEGIN IMMEDIATE")
        with pytest.raises(apsw.BusyError):
            python.execute("BEGIN IMMEDIATE")
        with pytest.raises(apsw.BusyError):
            late.execute("BEGIN IMMEDIATE")
        early.execute(f"{ADD}; COMMIT")
        late.execute("BEGIN IMMEDIATE")
        with pytest.raises(apsw.BusyError):
            early.execute("BEGIN IMMEDIATE")
        late.execute(f"{ADD}; COMMIT")
    assert count_of(in_c) == 2


def test_session_in_python_does_not_get_the_lock_of_a_commit_in_c(in_c: clusterdb.Store, session: Session) -> None:
    index, answers = index_of(in_c), []

    def ask() -> None:
        answers.extend([session.try_volume(index), session.is_volume_locked_by_other(index)])

    with closing(connected(in_c)) as connection, at("commit: pages written", ask):
        connection.execute(ADD)
    assert answers == [None, True]
    hold = session.try_volume(index)
    assert hold is not None
    hold.close()
    assert not session.is_volume_locked_by_other(index)


def test_writer_in_c_waits_for_a_session_in_python(in_c: clusterdb.Store, session: Session) -> None:
    index = index_of(in_c)
    with closing(connected(in_c)) as connection:
        with session.volume_locked(index), pytest.raises(apsw.BusyError):
            connection.execute("BEGIN IMMEDIATE")
        assert record_of(session, in_c).plain == 1
        connection.execute(ADD)  # the first to find the byte free clears that
        assert record_of(session, in_c).plain == 0
    assert count_of(in_c) == 1


@pytest.mark.parametrize("plane", ["c", "python"])
def test_transaction_that_has_read_waits_for_who_frees_slots(
    path: Path, monkeypatch: pytest.MonkeyPatch, plane: str
) -> None:
    """SQLite does not call the busy handler then: the caller would get an error for what passes in a moment."""
    with opened(path, monkeypatch, plane) as store, closing(connected(store)) as connection:
        with pages_of(store).session() as session:
            hold = session.volume_locked(index_of(store))
            connection.execute("BEGIN; SELECT count(*) FROM t").fetchall()
            letting_go = threading.Timer(0.1, hold.close)
            letting_go.start()
            connection.execute(f"{ADD}; COMMIT")
            letting_go.join()
        assert count_of(store) == 1


WORKER = """
import sys, clusterdb
path, count = sys.argv[1], int(sys.argv[2])
with clusterdb.open(path) as store:
    connection = store.cluster("prod").connect()
    connection.set_busy_timeout(60_000)
    connection.execute("PRAGMA synchronous = OFF").fetchall()
    for number in range(count):
        connection.execute("BEGIN IMMEDIATE; UPDATE t SET n = n + 1; COMMIT")
        print("+", flush=True)
    connection.close()
"""


def test_no_commit_is_lost_between_processes_of_both_planes(path: Path, in_c: clusterdb.Store) -> None:
    """One of them is killed; meanwhile, verbs in Python take the lock of the volume."""
    count = 60
    workers = []
    for plane in ("c", "python", "c", "python", "c"):
        environment = os.environ | {"CLUSTERDB_IMPL": plane}
        arguments = [sys.executable, "-c", WORKER, str(path), str(count)]
        workers.append(subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True))
    victim = workers.pop()
    assert victim.stdout is not None
    victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    while any(worker.poll() is None for worker in workers):
        in_c.reclaim()
    assert [worker.wait() for worker in workers] == [0] * 4
    lines = [len(worker.communicate()[0].splitlines()) for worker in workers]
    assert lines == [count] * 4
    acknowledged = 4 * count + 1 + len(victim.communicate()[0].splitlines())
    assert acknowledged <= count_of(in_c) <= acknowledged + 1
    assert in_c.check().problems == []


# --- words that sessions in Python take -------------------------------------------------------------------------------
@pytest.fixture(params=["words", "bytes"])
def kind(request: pytest.FixtureRequest, in_c: clusterdb.Store) -> str:
    """Whether sessions in Python take the word of a volume lock, or its byte."""
    if request.param == "bytes":
        pages_of(in_c).tables.swap = None
    return str(request.param)


def is_free(store: clusterdb.Store) -> bool:
    with pages_of(store).session() as other:
        hold = other.try_volume(index_of(store))
        if hold is not None:
            hold.close()
        return hold is not None


def test_drops_take_words_and_leave_none(in_c: clusterdb.Store) -> None:
    seen: list[int] = []
    clone = in_c.cluster("prod").clone("dev")
    with at("drop: committed", lambda: seen.append(word(in_c, "prod", "lock"))):
        clone.delete()
    assert len(seen) == 1 and seen[0] != 0
    assert [word(in_c, "prod", name) for name in ("lock", "plain")] == [0, 0]


def test_session_has_a_lock_until_it_closes_the_hold(in_c: clusterdb.Store, session: Session, kind: str) -> None:
    hold = session.try_volume(index_of(in_c))
    assert hold is not None
    assert bool(word(in_c, "prod", "lock")) == (kind == "words")
    assert session.try_volume(index_of(in_c)) is None
    assert not is_free(in_c)
    hold.close()
    assert is_free(in_c)
    hold.close()
    assert is_free(in_c)


@pytest.mark.parametrize("ends", ["exit", "collection"])
def test_child_of_a_fork_releases_no_lock_of_its_parent(
    in_c: clusterdb.Store, session: Session, kind: str, ends: str
) -> None:
    """Neither the lock nor the mark of a session that publishes."""

    def locked() -> Generator[None, None, None]:
        with session.try_volume(index_of(in_c)) or pytest.fail("the lock is taken"), session.labelling():
            yield

    body = locked()
    next(body)
    child = os.fork()
    if not child:
        try:
            if ends == "exit":
                body.throw(SystemExit)
            del body
            gc.collect()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    assert not is_free(in_c)
    assert session.record.publishing != 0
    body.close()
    assert is_free(in_c)
    assert session.record.publishing == 0


def test_of_two_that_try_at_the_same_time_one_has_the_lock(in_c: clusterdb.Store, session: Session) -> None:
    tables, index = session.tables, index_of(in_c)
    swap = tables.swap
    assert swap is not None
    first = []
    with pages_of(in_c).session() as other:

        def late(words: memoryview, at: int, expected: int, value: int) -> bool:
            tables.swap = swap
            first.append(other.try_volume(index))
            return swap(words, at, expected, value)

        tables.swap = late
        assert session.try_volume(index) is None
        assert first[0] is not None
        assert word(in_c, "prod", "plain") == 0
        first[0].close()
        assert is_free(in_c)


def interrupting(names: Container[str], step: int) -> Callable[[FrameType, str, object], Any]:
    """A trace function that raises KeyboardInterrupt before that line, counted over the functions of these names."""
    lines = iter(range(step + 1))

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_name in names and event == "line" and next(lines, 0) == step:
            raise KeyboardInterrupt
        return trace

    return trace


def test_interrupted_attempt_that_a_traceback_keeps_releases_no_later_lock(
    in_c: clusterdb.Store, session: Session, kind: str
) -> None:
    """The program keeps the KeyboardInterrupt, and with it the frames and what they hold."""
    names = ("_try_word", "try_lock")
    for step in range(1, 20):
        kept: BaseException | None = None
        sys.settrace(interrupting(names, step))
        try:
            hold = session.try_volume(index_of(in_c))
        except KeyboardInterrupt as error:
            kept = error
        finally:
            sys.settrace(None)
        if kept is None:
            assert hold is not None
            hold.close()
            assert step > 3
            return
        with session.try_volume(index_of(in_c)) or pytest.fail("the lock is taken"):
            kept = None
            gc.collect()
            assert not is_free(in_c)
    pytest.fail("the attempt has no end")
