"""Forked children."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.core.processes.agents import sum_of, write_all
from tests.support.stores import assert_clean, rows


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


def test_inherited_connections_refuse_to_work_in_a_forked_child(path: Path, shared: clusterdb.Store) -> None:
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


def test_forked_child_can_open_the_store_anew(path: Path, shared: clusterdb.Store) -> None:
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
