"""Transactions: isolation levels and ``autocommit``."""

from __future__ import annotations

from contextlib import closing

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import count, fill


def test_legacy_mode_begins_a_transaction_for_dml_only(connection: dbapi2.Connection) -> None:
    """A writing statement begins one, DDL and SELECT do not, and commit() twice does no harm."""
    connection.execute("CREATE TABLE u (a)")
    connection.execute("SELECT * FROM u")
    assert not connection.in_transaction
    connection.execute("INSERT INTO u VALUES (1)")
    assert connection.in_transaction
    connection.commit()
    connection.commit()
    connection.execute("INSERT INTO u VALUES (2)")
    connection.executescript("SELECT 1")
    assert not connection.in_transaction  # a script commits first
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM u").fetchone() == (2,)


@pytest.mark.parametrize("level", ["IMMEDIATE", "exclusive"])
def test_isolation_level_immediate_locks_at_once(connection: dbapi2.Connection, level: str) -> None:
    """With IMMEDIATE a writing statement that changes nothing keeps others from writing."""
    connection.isolation_level = level
    connection.execute("DELETE FROM t WHERE 0")
    assert connection.in_transaction
    with closing(dbapi2.connect(connection.cluster, timeout=0)) as other:  # type: ignore[arg-type]
        assert count(other) == 5
        with pytest.raises(dbapi2.OperationalError, match="locked"):
            other.execute("DELETE FROM t")


def test_autocommit_true_begins_nothing(store: clusterdb.Store) -> None:
    """``autocommit=True``: nothing is begun; commit() and rollback() do nothing, not even to an explicit BEGIN."""
    with closing(dbapi2.connect(store.create_cluster("prod"), autocommit=True)) as connection:
        fill(connection)
        connection.execute("DELETE FROM t WHERE id = 1")
        assert not connection.in_transaction
        connection.execute("BEGIN")
        connection.execute("DELETE FROM t")
        connection.commit()
        assert connection.in_transaction
        connection.rollback()
        assert connection.in_transaction
        connection.execute("ROLLBACK")
        with connection:
            connection.execute("DELETE FROM t WHERE id = 2")
        assert count(connection) == 3


def test_autocommit_false_is_always_in_a_transaction(store: clusterdb.Store) -> None:
    """``autocommit=False``: always in a transaction, DDL too; scripts do not commit; close() undoes."""
    cluster = store.create_cluster("prod")
    connection = dbapi2.connect(cluster, autocommit=False)
    assert connection.in_transaction
    connection.execute("CREATE TABLE t (a)")
    connection.executescript("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);")
    connection.rollback()
    assert connection.in_transaction
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    assert connection.in_transaction
    with connection:
        connection.execute("INSERT INTO t VALUES (3)")
    with pytest.raises(ZeroDivisionError), connection:
        connection.execute("INSERT INTO t VALUES (4)")
        raise ZeroDivisionError
    connection.execute("INSERT INTO t VALUES (5)")
    connection.close()
    with closing(dbapi2.connect(cluster)) as later:
        assert later.execute("SELECT a FROM t").fetchall() == [(3,)]


def test_change_of_autocommit_commits_begins_or_keeps_the_transaction(connection: dbapi2.Connection) -> None:
    """To True commits what is open, to False begins, to LEGACY leaves it as it is."""
    connection.execute("DELETE FROM t WHERE id = 1")
    connection.autocommit = True
    assert not connection.in_transaction
    connection.autocommit = False
    assert connection.in_transaction
    connection.execute("DELETE FROM t WHERE id = 2")
    connection.autocommit = dbapi2.LEGACY_TRANSACTION_CONTROL
    assert connection.in_transaction
    connection.rollback()
    assert not connection.in_transaction
    assert count(connection) == 4


def test_isolation_level_none_has_no_effect_with_autocommit_false(store: clusterdb.Store) -> None:
    """``isolation_level`` has no effect unless ``autocommit`` is LEGACY: one is always in a transaction."""
    with closing(dbapi2.connect(store.create_cluster("prod"), autocommit=False)) as connection:
        connection.isolation_level = None
        assert connection.in_transaction


def test_isolation_level_none_has_no_effect_with_autocommit_true(store: clusterdb.Store) -> None:
    """An explicit BEGIN is left open."""
    with closing(dbapi2.connect(store.create_cluster("prod"), autocommit=True)) as connection:
        connection.execute("BEGIN")
        connection.isolation_level = None
        assert connection.in_transaction
