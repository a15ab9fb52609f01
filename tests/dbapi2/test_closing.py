"""Closed connections, cursors and stores."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import count


def test_closed_connection_and_its_cursors_are_refused(connection: dbapi2.Connection) -> None:
    """Nothing works any more but closing; of its cursors neither."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.fetchone()
    connection.close()
    uses: list[Callable[[], Any]] = [connection.cursor, connection.commit, connection.rollback, cursor.fetchone]
    uses += [cursor.fetchall, cursor.fetchmany, lambda: next(cursor), lambda: cursor.execute("SELECT 1"), cursor.close]
    uses += [lambda: connection.cluster, lambda: connection.in_transaction, lambda: next(iter(cursor))]
    for use in uses:
        with pytest.raises(dbapi2.ProgrammingError, match="closed database"):
            use()
    connection.close()


def test_extension_that_cannot_be_loaded_is_an_operational_error(connection: dbapi2.Connection) -> None:
    """With SQLite's own words, as in ``sqlite3``: also while loading is not allowed."""
    with pytest.raises(dbapi2.OperationalError, match=r"\Anot authorized\Z"):
        connection.load_extension("/nowhere/none")
    connection.enable_load_extension(True)
    with pytest.raises(dbapi2.OperationalError, match=r"\A/nowhere/none\.so: cannot open shared object file"):
        connection.load_extension("/nowhere/none")


def test_close_rolls_back_the_open_transaction(connection: dbapi2.Connection) -> None:
    """As PEP 249 asks."""
    cluster = connection.cluster
    assert cluster is not None
    connection.execute("DELETE FROM t")
    connection.close()
    with closing(dbapi2.connect(cluster)) as later:
        assert count(later) == 5


def test_closed_cursor_is_refused_and_ends_its_query(connection: dbapi2.Connection) -> None:
    """It is closed, the connection is not; what it was reading is over."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.close()
    cursor.close()
    for use in (cursor.fetchone, cursor.fetchall, lambda: next(cursor), lambda: cursor.execute("SELECT 1")):
        with pytest.raises(dbapi2.ProgrammingError, match="closed cursor"):
            use()
    connection.execute("DROP TABLE t")


def test_closed_cursor_keeps_its_connection_attribute(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3``."""
    cursor = connection.cursor()
    cursor.close()
    assert cursor.connection is connection


def test_description_survives_the_close_of_the_connection(connection: dbapi2.Connection) -> None:
    """It stays, as in ``sqlite3``; at any rate no error of apsw's comes out."""
    cursor = connection.execute("SELECT 1 AS one")
    connection.close()
    assert cursor.description is not None
    assert cursor.description[0][0] == "one"


def test_iteration_after_close_raises_the_error_of_fetchone(connection: dbapi2.Connection) -> None:
    """Iterating over a cursor of a closed connection raises what fetchone raises."""
    rows = iter(connection.execute("SELECT * FROM t"))
    next(rows)
    connection.close()
    with pytest.raises(dbapi2.ProgrammingError, match="closed database"):
        next(rows)


def test_closed_store_closes_its_connections(tmp_path: Path) -> None:
    """Later use of such a connection is a PEP 249 error."""
    store = clusterdb.open(tmp_path / "s")
    store.create_cluster("prod")
    connection = dbapi2.connect("prod", store=store)
    cursor = connection.execute("SELECT 1 UNION SELECT 2")
    store.close()
    with pytest.raises(dbapi2.ProgrammingError):
        cursor.fetchall()
    connection.close()
    with pytest.raises(clusterdb.ClosedError):
        dbapi2.connect("prod", store=store)


@pytest.mark.parametrize("use", ["execute", "cursor", "commit", "in_transaction", "total_changes"])
def test_every_use_of_a_connection_of_a_closed_store_is_a_programming_error(tmp_path: Path, use: str) -> None:
    """Every use of it is a ProgrammingError, as after its own close()."""
    store = clusterdb.open(tmp_path / "s")
    store.create_cluster("prod")
    with closing(dbapi2.connect("prod", store=store)) as connection:
        store.close()
        with pytest.raises(dbapi2.ProgrammingError):
            used = getattr(connection, use)
            used(*["SELECT 1"] if use == "execute" else [])
