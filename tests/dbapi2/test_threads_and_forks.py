"""Connections in other threads and in forked processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import count, fill, in_threads


def test_use_in_another_thread_is_refused(connection: dbapi2.Connection) -> None:
    """It is turned away, also for statements and rows that are at hand already."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.fetchone()
    uses: list[Callable[[], Any]] = [cursor.fetchone, cursor.fetchall, cursor.fetchmany, lambda: next(cursor)]
    uses += [lambda: cursor.execute("SELECT * FROM t"), lambda: next(iter(cursor)), connection.close, connection.commit]
    uses += [lambda: connection.cluster, connection.cursor, lambda: connection.execute("SELECT * FROM t")]
    messages: list[str] = []

    def work() -> None:
        for use in uses:
            try:
                use()
            except dbapi2.ProgrammingError as error:
                messages.append(str(error))

    in_threads([work])
    assert len(messages) == len(uses)
    assert all("created in a thread" in text for text in messages)
    assert len(cursor.fetchall()) == 4


def test_iteration_in_another_thread_is_refused(connection: dbapi2.Connection) -> None:
    """It is turned away too."""
    rows, got = iter(connection.execute("SELECT * FROM t")), []
    next(rows)

    def work() -> None:
        with suppress(dbapi2.ProgrammingError):
            got.append(next(rows))

    in_threads([work])
    assert got == []


def test_threads_may_use_a_connection_one_at_a_time(connection: dbapi2.Connection) -> None:
    """``threadsafety`` is 1; with ``check_same_thread=False`` a lock around every use is enough."""
    assert dbapi2.threadsafety == 1
    lock = threading.Lock()
    with closing(dbapi2.connect(connection.cluster, check_same_thread=False)) as shared:  # type: ignore[arg-type]

        def work() -> None:
            for _ in range(50):
                with lock:
                    shared.execute("INSERT INTO t (b) VALUES (?)", ("x",)).fetchall()

        in_threads([work] * 4)
        shared.commit()
    assert count(connection) == 205


def test_interrupt_from_another_thread_stops_a_statement(connection: dbapi2.Connection) -> None:
    """A running statement fails with SQLITE_INTERRUPT."""
    began = threading.Event()
    connection.create_function("began", 0, lambda: began.set() or 1)

    def stop() -> None:
        began.wait()
        connection.interrupt()

    thread = threading.Thread(target=stop)
    thread.start()
    endless = "WITH RECURSIVE n(x) AS (VALUES (began()) UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(dbapi2.OperationalError) as caught:
        connection.execute(endless).fetchall()
    thread.join()
    assert caught.value.sqlite_errorname == "SQLITE_INTERRUPT"


def test_forked_child_cannot_use_an_inherited_connection(disk_store: clusterdb.Store) -> None:
    """The child is refused the connection and may open its own; the parent's goes on, its transaction unharmed."""
    disk_store.create_cluster("prod")
    connection = dbapi2.connect("prod", store=disk_store)
    fill(connection)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, _in_child(connection, disk_store.path).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        report = pipe.read().decode()
    os.waitpid(child, 0)
    assert report == "refused, 5 rows, 1 anonymous table"
    assert count(connection) == 5
    connection.close()


def test_forked_child_cannot_commit_an_inherited_transaction(disk_store: clusterdb.Store) -> None:
    """Statements of the child cannot be committed; the transaction of the parent is unharmed."""
    connection = dbapi2.connect(disk_store.create_cluster("prod"))
    fill(connection)
    connection.execute("DELETE FROM t WHERE id = 1")
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(dbapi2.Error):
            connection.execute("DELETE FROM t")
            connection.commit()
            os.write(theirs, b"committed")
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        assert pipe.read() == b""
    os.waitpid(child, 0)
    connection.commit()
    assert count(connection) == 4
    connection.close()


def _in_child(connection: dbapi2.Connection, path: str) -> str:
    try:
        try:
            connection.execute("SELECT count(*) FROM t").fetchall()
            report = "allowed"
        except dbapi2.Error:
            report = "refused"
        connection.close()
        with closing(dbapi2.connect("prod", store=path)) as own:
            report += f", {count(own)} rows"
        with closing(dbapi2.connect(":memory:")) as memory:
            fill(memory)
            report += f", {memory.execute('SELECT count(*) FROM sqlite_schema').fetchone()[0]} anonymous table"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return report


def test_shared_memory_is_separate_after_a_fork() -> None:
    """Parent and child have a cluster each, and closing in one does not harm the other."""
    uri = "file:shared-fork?mode=memory&cache=shared"
    with closing(dbapi2.connect(uri, uri=True)) as connection:
        fill(connection)
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                connection.close()
                with closing(dbapi2.connect(uri, uri=True)) as own:
                    fill(own)
                    os.write(theirs, b"made")
            finally:
                os._exit(0)
        os.close(theirs)
        with open(ours, "rb") as pipe:
            assert pipe.read() == b"made"
        os.waitpid(child, 0)
        assert count(connection) == 5
