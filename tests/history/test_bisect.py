"""The version of a cluster since which a query has another answer."""

from __future__ import annotations

import math
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clusterdb
from tests.past.numbers import KEEPS

COUNT = "SELECT count(*) FROM t"


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    cluster = store.create_cluster("prod", **KEEPS)
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body)")
        for number in range(30):
            connection.execute("INSERT INTO t VALUES (?, 'x')", (number,))
    return cluster


def test_version_that_deleted_a_row_is_found(prod: clusterdb.Cluster) -> None:
    with closing(prod.connect()) as connection:
        for number in range(10):
            connection.execute("UPDATE t SET body = ? WHERE n = 1", (number,))
        connection.execute("DELETE FROM t WHERE n = 7")
        deleted = prod.stats().version
        for number in range(10):
            connection.execute("UPDATE t SET body = ? WHERE n = 1", (number,))
    version_count = len(prod.log())
    result = prod.bisect("SELECT body FROM t WHERE n = 7")
    assert result.before is not None
    assert result.after is not None
    assert (result.before.version, result.before.rows) == (deleted - 1, (("x",),))
    assert (result.after.version, result.after.rows) == (deleted, ())
    assert result.tested_count <= math.ceil(math.log2(version_count)) + 2
    assert (result.oldest.version, result.oldest.error) == (1, "no such table: t")
    assert result.newest.version == prod.stats().version


def test_same_answer_everywhere(prod: clusterdb.Cluster) -> None:
    result = prod.bisect("SELECT 1")
    assert (result.before, result.after, result.tested_count) == (None, None, 2)
    assert result.oldest.rows == result.newest.rows == ((1,),)


def test_cluster_with_one_version(store: clusterdb.Store) -> None:
    result = store.create_cluster("plain").bisect("SELECT 1")
    assert (result.before, result.tested_count) == (None, 1)


def test_numbers_of_another_type_are_another_answer(store: clusterdb.Store) -> None:
    cluster = store.create_cluster("c", **KEEPS)
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("UPDATE t SET a = 1.0")
    result = cluster.bisect("SELECT a FROM t")
    assert result.after is not None
    assert result.after.version == cluster.stats().version


def test_versions_that_were_left_are_not_asked(prod: clusterdb.Cluster) -> None:
    kept = prod.stats().version
    with closing(prod.connect()) as connection:
        connection.execute("DELETE FROM t")
    prod.backtrack(kept)
    result = prod.bisect(COUNT)
    assert result.after is not None
    assert result.after.version == kept
    assert result.newest.rows == ((30,),)


def test_query_that_fails_now_is_refused(prod: clusterdb.Cluster) -> None:
    with pytest.raises(clusterdb.InvalidArgumentError, match="cannot answer the query: no such table: users"):
        prod.bisect("SELECT * FROM users")


def test_query_cannot_write(prod: clusterdb.Cluster) -> None:
    before = prod.stats().version
    with pytest.raises(clusterdb.InvalidArgumentError, match="readonly"):
        prod.bisect("DELETE FROM t")
    assert prod.stats().version == before


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_query_in_the_language_of_the_engine(store: clusterdb.Store, engine: str) -> None:
    cluster = store.create_cluster("c", engine=engine, **KEEPS)
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE t (a INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("INSERT INTO t VALUES (2)")
    result = cluster.bisect("SELECT concat('n', count(*)) FROM t WHERE a > 1")
    assert result.after is not None
    assert (result.after.version, result.after.rows) == (cluster.stats().version, (("n1",),))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=24))
def test_answer_differs_between_the_two_versions_found(flags: list[bool]) -> None:
    """Whatever the answers are: the first found version answers as the newest does, the one before it does not."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("c", **KEEPS)
        with closing(cluster.connect()) as connection:
            connection.execute("CREATE TABLE t (n, flag); INSERT INTO t VALUES (0, 0)")
            for number, flag in enumerate(flags):
                connection.execute("UPDATE t SET n = ?, flag = ?", (number, flag))
        result = cluster.bisect("SELECT flag FROM t")
        assert result.newest.rows == ((int(flags[-1]),),)
        if result.before is not None and result.after is not None:
            assert result.after.version == result.before.version + 1
            assert result.after.rows == result.newest.rows != result.before.rows
            for answer in (result.before, result.after):
                with closing(cluster.connect(at=answer.version)) as connection:
                    if answer.error is None:
                        assert tuple(connection.execute("SELECT flag FROM t")) == answer.rows
