"""Gates: what stands between SQLite and the volume of an open file, whichever data plane serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import apsw
import pytest

import clusterdb
from clusterdb.access import sqlite
from tests.support.inside import pages_of
from tests.support.stores import extended_result, rows
from vfs.abc import Durability, Gate, Handle, Target
from vfs.errors import DisconnectedError, InjectedFaultError
from vfs.plane import chosen


class Recorder:
    """A gate that lets everything pass, notes it, and raises what a test asks for."""

    passive = None

    def __init__(self) -> None:
        self.events: list[str] = []
        self.errors: dict[str, Exception] = {}

    def _pass(self, event: str) -> None:
        self.events.append(event)
        if event in self.errors:
            raise self.errors[event]

    def pin(self, volume: Handle) -> None:
        self._pass("pin")
        volume.pin()

    def unpin(self, volume: Handle) -> None:
        self.events.append("unpin")
        volume.unpin()

    def before_read(self) -> None:
        self._pass("read")

    def before_commit(self) -> None:
        self._pass("commit")


@pytest.fixture
def gate() -> Recorder:
    return Recorder()


@contextmanager
def through(store: clusterdb.Store, gate: Callable[[], Gate]) -> Iterator[sqlite.Connection]:
    """A connection to the cluster ``prod`` through a gate."""
    row = store.context.volume_of(store.cluster("prod"))
    vfs = chosen().vfs("gated", pages_of(store), lambda name: Target(row, lambda: None, gate=gate), Durability.OFF)
    try:
        with closing(sqlite.connect("prod", vfs)) as connection:
            yield connection
    finally:
        vfs.close()


@pytest.fixture
def gated(store: clusterdb.Store, gate: Recorder) -> Iterator[sqlite.Connection]:
    """A connection to a cluster with one row, through the gate."""
    with closing(store.create_cluster("prod").connect()) as connection:
        connection.execute("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    with through(store, lambda: gate) as connection:
        rows(connection, "SELECT * FROM t")
        gate.events.clear()
        yield connection


def test_transactions_pass_the_gate_in_order(gated: sqlite.Connection, gate: Recorder) -> None:
    gated.execute("UPDATE t SET v = 2")
    assert gate.events[0] == "pin"
    assert gate.events[-2:] == ["commit", "unpin"]
    assert "read" in gate.events


def test_refused_pin_is_the_result_of_the_statement(gated: sqlite.Connection, gate: Recorder) -> None:
    gate.errors["pin"] = DisconnectedError("restarted")
    with pytest.raises(apsw.ReadOnlyError, match="cluster 'prod': restarted") as caught:
        gated.execute("SELECT * FROM t")
    assert extended_result(caught.value) == apsw.SQLITE_READONLY_DBMOVED
    gate.errors.clear()
    assert rows(gated, "SELECT v FROM t") == [(1,)]


def test_failed_read_is_an_io_error(gated: sqlite.Connection, gate: Recorder) -> None:
    gated.pragma("cache_size", 0)
    gate.errors["read"] = InjectedFaultError("the disk fails")
    with pytest.raises(apsw.IOError, match="the disk fails"):
        gated.execute("SELECT * FROM t").fetchall()


def test_refused_commit_publishes_nothing(store: clusterdb.Store, gated: sqlite.Connection, gate: Recorder) -> None:
    gate.errors["commit"] = InjectedFaultError("not now")
    with pytest.raises(apsw.IOError, match="not now"):
        gated.execute("UPDATE t SET v = 3")
    gate.errors.clear()
    with closing(store.cluster("prod").connect()) as connection:
        assert rows(connection, "SELECT v FROM t") == [(1,)]
    gated.execute("UPDATE t SET v = 4")
    assert rows(gated, "SELECT v FROM t") == [(4,)]


def test_each_open_file_has_a_gate_of_its_own(store: clusterdb.Store) -> None:
    store.create_cluster("prod")
    gates: list[Recorder] = []

    def new_gate() -> Recorder:
        gates.append(Recorder())
        return gates[-1]

    with through(store, new_gate) as connection:
        connection.execute("ATTACH 'prod' AS again")
    assert len(gates) == 2
