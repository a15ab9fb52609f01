"""Exceptions out of signal handlers: no lock, pin or mark is left behind, wherever they arise.

CPython calls handlers behind the instructions that call something, begin a function, or jump back.  These tests let an
exception arise behind every single one of these in the code that runs, one after the other.
"""

from __future__ import annotations

import dis
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import pytest

import clusterdb
from tests.support.inside import open_file_count, pages_of
from tests.support.mishaps import filled, letters_of, rewrite
from tests.support.stores import assert_clean
from vfs import failpoints, interrupts
from vfs.errors import RegistryBusyError
from vfs.format import locks
from vfs.format.shared import KEEPS_SUPERSEDED, LABELS
from vfs.holds import Hold, Holds, is_busy
from vfs.interrupts import deliver, uninterrupted
from vfs.storage.device import LockFile, PlainLock
from vfs.storage.sessions import Session

VFS = str(Path(interrupts.__file__).parent)
COUNT_MAX = 20_000
CHECKED = frozenset({"RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD"})
"""The instructions behind which CPython 3.11 to 3.13 looks whether a signal came."""


class Alarm(Exception):
    """What a handler raises."""


def interrupted_at(count: int, action: Callable[[], object]) -> bool:
    """Do an action with an exception at that place in the storage layer; whether it came so far."""
    left = count
    executed: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if event == "call":
            if not frame.f_code.co_filename.startswith(VFS):
                return None
            frame.f_trace_opcodes = True
            return trace
        if event == "opcode":
            before = executed.get(frame)
            executed[frame] = frame.f_code.co_code[frame.f_lasti]
            if before is not None and dis.opname[before] in CHECKED:
                left -= 1
                if left == 0:
                    sys.settrace(None)
                    raise Alarm
        elif event == "return":
            executed.pop(frame, None)
        return trace

    measuring = sys.gettrace()  # that of a coverage run
    sys.settrace(trace)
    try:
        action()
    except Alarm:
        return True
    finally:
        sys.settrace(measuring)
        executed.clear()
    return left == 0


def at_every_instruction(action: Callable[[], object], step: int = 1) -> Iterator[int]:
    """Do an action again and again, with an exception at a later instruction every time, until it is done first."""
    for count in range(1, COUNT_MAX, step):
        if not interrupted_at(count, action):
            assert count > 1, "nothing of the storage layer ran"
            return
        yield count
    raise AssertionError("the action does not end")


def held_offsets(path: Path, *offsets: int) -> list[int]:
    """Those of the locks that somebody holds."""
    probe = LockFile(os.open(path / "locks", os.O_RDWR | os.O_CLOEXEC))
    try:
        return [offset for offset in offsets if probe.is_held_by_other(offset)]
    finally:
        probe.close()


# --- holds ------------------------------------------------------------------------------------------------------------
def test_hold_undoes_once_and_in_order() -> None:
    """At the end of a with, by close(), or with the last reference; never twice."""
    done: list[str] = []
    with Hold(lambda: done.append("a"), lambda: done.append("b")):
        assert done == []
    assert done == ["a", "b"]
    hold = Hold(lambda: done.append("c"))
    hold.close()
    hold.close()
    del hold
    assert done == ["a", "b", "c"]
    Hold(lambda: done.append("d"))
    assert done == ["a", "b", "c", "d"]


def test_hold_lets_exceptions_pass() -> None:
    """The return value of an undo does not suppress an exception."""
    with pytest.raises(Alarm), Hold(lambda: True):
        raise Alarm


def test_holds_are_closed_together() -> None:
    """All that were added, in their order."""
    done: list[int] = []
    with Holds() as holds:
        for number in range(3):
            holds.add(Hold(lambda number=number: done.append(number)))  # type: ignore[misc]
        assert done == []
    assert done == [0, 1, 2]


# --- locks ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["lock", "try"])
def test_exception_at_any_instruction_leaves_no_lock(tmp_path: Path, kind: str) -> None:
    """An exception at any instruction of taking and leaving a lock leaves it free."""
    (tmp_path / "locks").touch()
    locks = LockFile(os.open(tmp_path / "locks", os.O_RDWR | os.O_CLOEXEC))

    def take() -> None:
        hold = locks.lock(7) if kind == "lock" else locks.try_lock(7)
        assert hold is not None
        with hold:
            assert held_offsets(tmp_path, 7) == [7]

    counts = []
    for count in at_every_instruction(take):
        assert held_offsets(tmp_path, 7) == []
        counts.append(count)
    assert len(counts) > 5
    locks.close()


def test_plain_lock_excludes_waits_and_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock that is used while signal handlers are deferred; after errors, the thread is not taken for busy."""
    (tmp_path / "locks").touch()
    one, two = (LockFile(os.open(tmp_path / "locks", os.O_RDWR | os.O_CLOEXEC)) for _ in range(2))
    lock = PlainLock(one, 7)
    with lock:
        assert is_busy() and held_offsets(tmp_path, 7) == [7]
    with pytest.raises(Alarm), lock:
        raise Alarm
    with two.lock(7):
        monkeypatch.setattr("vfs.storage.device.LOCK_PATIENCE_S", 0.01)
        with pytest.raises(RegistryBusyError, match="held a lock of the store"), lock:
            raise AssertionError("two owners")
    assert not is_busy() and held_offsets(tmp_path, 7) == []
    monkeypatch.undo()
    hold = two.lock(7)
    monkeypatch.setattr("vfs.storage.device.time.sleep", lambda seconds: hold.close())
    with lock:
        assert held_offsets(tmp_path, 7) == [7]
    one.close()
    two.close()
    with pytest.raises(ValueError, match="closed file"), lock:
        raise AssertionError("locked")
    assert not is_busy()


@pytest.mark.parametrize("deferred", [False, True])
def test_sessions_use_plain_locks_while_handlers_are_deferred(tmp_path: Path, deferred: bool) -> None:
    with clusterdb.open(tmp_path / "store") as store, pages_of(store).session() as session:
        with uninterrupted if deferred else nullcontext():
            pool_locked, labelling = session.pool_locked(), session.labelling()
            assert [isinstance(body, Hold) for body in (pool_locked, labelling)] == [not deferred, not deferred]
            with pool_locked, labelling:
                assert session.record.publishing == LABELS and held_offsets(Path(store.path), locks.POOL)
        assert_nothing_left(store)


def _pass(hold: AbstractContextManager[object] | None) -> None:
    assert hold is not None
    with hold:
        pass


VERBS: dict[str, Callable[[Session], object]] = {
    "pool lock": lambda session: _pass(session.pool_locked()),
    "volume lock": lambda session: _pass(session.volume_locked(0)),
    "tried volume lock": lambda session: _pass(session.try_volume(0)),
    "writer lock": lambda session: _pass(session.try_writer(0, 0)),
    "labelling": lambda session: _pass(session.labelling()),
    "publishing": lambda session: _pass(session.publishing(0, 5)),
    "slots": lambda session: session.give_back(session.take_slots(40)),
}


def assert_nothing_left(store: clusterdb.Store) -> None:
    """No lock is held, and no session pins or labels anything."""
    offsets = (locks.POOL, locks.SWEEP, locks.volume(0), locks.writer(0, 0))
    assert held_offsets(Path(store.path), *offsets) == []
    for row, record in pages_of(store).tables.sessions():
        assert not record.pin, f"session {row} pins"
        assert record.publishing in (0, KEEPS_SUPERSEDED), f"session {row} is labelling"


@pytest.mark.parametrize("verb", list(VERBS))
def test_exception_at_any_instruction_of_a_session_leaves_nothing(tmp_path: Path, verb: str) -> None:
    """No lock, mark or pin is left in the shared tables."""
    with clusterdb.open(tmp_path / "store") as store:
        filled(store, "prod", 5, "a").close()
        with pages_of(store).session() as session:
            for _ in at_every_instruction(lambda: VERBS[verb](session)):
                assert_nothing_left(store)
        store.reclaim()
        assert_clean(store)


def test_exception_at_any_instruction_of_opening_a_session_leaves_nothing(tmp_path: Path) -> None:
    """A session that nobody got holds no lock; its row is that of a dead one, which the next sweep buries."""
    with clusterdb.open(tmp_path / "store") as store:
        filled(store, "prod", 5, "a").close()
        for _ in at_every_instruction(lambda: pages_of(store).open_session().close()):
            assert_nothing_left(store)
            with pages_of(store).session() as session:
                pages_of(store).queue.bury_all(session)
        assert_clean(store)


def test_exception_at_any_instruction_of_a_commit_leaves_it_whole_or_undone(tmp_path: Path) -> None:
    """After an exception anywhere in a commit, the cluster is as before or after, and others can write to it."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        filled(store, "prod", 5, "a").close()
        letters = "ab"
        done = False
        count = 1
        while not done:
            connection = store.cluster("prod").connect()
            connection.execute("PRAGMA synchronous = NORMAL").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE t SET v = replace(v, ?, ?)", (letters[0], letters[1]))
            try:
                done = not interrupted_at(count, lambda: connection.execute("COMMIT"))  # noqa: B023
            except Exception as error:
                assert isinstance(error.__cause__, Alarm) or isinstance(error.__context__, Alarm), repr(error)
            connection.close()
            assert held_offsets(path, locks.POOL) == []
            if pages_of(store).has_failed:  # what reached the device is unknown, as documented
                store.close()
                store = clusterdb.open(path)
            (letter,) = letters_of(store, "prod")
            if letter != letters[0]:
                letters = letters[::-1]
            other = store.cluster("prod").connect()
            other.set_busy_timeout(0)
            rewrite(other, letters[0])
            other.close()
            count += 7
        assert count > 10  # of the data plane in Python: more than 100
        store.reclaim()
        assert_clean(store)
        store.close()


# --- signals that wait ------------------------------------------------------------------------------------------------
@pytest.fixture
def handled() -> Iterator[list[int]]:
    """A Python handler of SIGUSR1, which raises, and the signals it was called with."""
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        raise Alarm

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_handlers_run_when_the_outermost_body_ends(handled: list[int]) -> None:
    """An exception of a handler is raised after the body, which runs to its end."""
    steps = []
    with pytest.raises(Alarm), uninterrupted:
        with uninterrupted:
            signal.raise_signal(signal.SIGUSR1)
            steps.append("inner")
        steps.append("outer")
    assert (steps, handled) == (["inner", "outer"], [signal.SIGUSR1])
    with pytest.raises(Alarm):
        signal.raise_signal(signal.SIGUSR1)


def test_handlers_run_where_a_long_body_can_be_left(handled: list[int]) -> None:
    """deliver() calls them in the body."""
    steps = []
    with pytest.raises(Alarm), uninterrupted:
        signal.raise_signal(signal.SIGUSR1)
        steps.append("before")
        deliver()
        steps.append("never")
    assert steps == ["before"]


def test_handler_that_the_body_sets_stays(handled: list[int]) -> None:
    """A body may set a handler of its own."""
    with uninterrupted:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN


def test_body_in_another_thread_changes_nothing(handled: list[int]) -> None:
    """In another thread a body changes nothing: handlers run in the main thread only."""
    inside, go = threading.Event(), threading.Event()

    def body() -> None:
        with uninterrupted:
            inside.set()
            go.wait(60)

    thread = threading.Thread(target=body)
    thread.start()
    inside.wait(60)
    with pytest.raises(Alarm):
        signal.raise_signal(signal.SIGUSR1)
    go.set()
    thread.join()


def test_interrupted_clone_is_done_or_not_begun(tmp_path: Path) -> None:
    """KeyboardInterrupt in a verb comes behind it; the verb is whole."""
    with clusterdb.open(tmp_path / "store") as store:
        filled(store, "prod", 5, "a").close()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            from vfs.failpoints import armed

            armed["volume: head slot taken"] = lambda: signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                store.cluster("prod").clone("dev")
        finally:
            armed.clear()
            signal.signal(signal.SIGINT, before)
        assert letters_of(store, "dev") == {"a": 5}
        assert_clean(store)


# --- the collector ----------------------------------------------------------------------------------------------------
class Cycle:
    """Holds a connection that only the collector closes."""

    def __init__(self, connection: object) -> None:
        self.connection, self.itself = connection, self


@pytest.mark.parametrize("point", ["volume: head slot taken", "catalog: before commit", "commit: record written"])
def test_collector_in_the_middle_of_something_waits_for_its_end(point: str) -> None:
    """An anonymous cluster whose connection is collected within a lock or a catalog transaction is deleted later."""
    from clusterdb.dbapi2.opening import shared_store

    Cycle(clusterdb.connect(":memory:"))
    store = shared_store(":memory:", create=True)
    seen: list[bool] = []

    def collect() -> None:
        failpoints.armed.pop(point, None)
        with pages_of(store).session() as session, session.pool_locked():
            gc.collect()
        gc.collect()
        seen.append(True)

    connection = clusterdb.connect(":memory:")
    failpoints.armed[point] = collect
    try:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        other = clusterdb.connect(":memory:")
    finally:
        failpoints.armed.clear()
    assert seen
    other.execute("CREATE TABLE t (x)")
    other.close()
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    connection.close()
    gc.collect()
    clusterdb.connect(":memory:").close()
    assert [cluster.name for cluster in store.clusters() if cluster.name.startswith("anonymous")] == []
    assert_clean(store)


def test_raw_connection_that_is_collected_under_the_pool_lock_is_closed(tmp_path: Path) -> None:
    """The collector closes an apsw connection without waiting for a lock of its own thread."""
    with clusterdb.open(tmp_path / "store") as store:
        writer = filled(store, "prod", 5, "a")
        reader = apsw.Connection("prod", vfs=store.vfs)
        reader.execute("BEGIN; SELECT count(*) FROM t").fetchall()
        rewrite(writer, "b")
        store.cluster("prod").delete()
        writer.close()
        Cycle(reader)
        del reader
        with pages_of(store).session() as session, session.pool_locked():
            gc.collect()
        assert not open_file_count(store)
        store.reclaim()
        assert_clean(store)
