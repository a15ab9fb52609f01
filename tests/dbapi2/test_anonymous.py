"""Anonymous clusters: ``:memory:`` and shared memory."""

from __future__ import annotations

from contextlib import closing

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import anonymous, count, fill, in_threads


def test_each_memory_database_is_a_separate_cluster() -> None:
    """Every ``:memory:`` is another cluster; each can be cloned."""
    with closing(dbapi2.connect(":memory:")) as first, closing(dbapi2.connect(":memory:")) as second:
        fill(first)
        assert second.execute("SELECT * FROM sqlite_schema").fetchall() == []
        assert first.cluster is not None
        clone = first.cluster.clone("of-memory")
        with closing(dbapi2.connect(clone)) as third:
            assert count(third) == 5
        clone.delete()


@pytest.mark.parametrize("database", [":memory:", "file::memory:", "clusterdb:x?mode=memory"])
def test_anonymous_cluster_is_dropped_with_its_connection(database: str) -> None:
    """Closing drops the cluster."""
    with closing(dbapi2.connect(":memory:")) as keeper:
        before = anonymous(keeper)
        with closing(dbapi2.connect(database, uri=True)):
            assert len(anonymous(keeper)) == len(before) + 1
        assert anonymous(keeper) == before


def test_mode_memory_argument_makes_an_anonymous_cluster(store: clusterdb.Store) -> None:
    """``mode="memory"`` is anonymous, whatever the name."""
    with closing(dbapi2.connect("prod", mode="memory", store=store)) as connection:
        fill(connection)
        assert store.clusters() == []


def test_shared_memory_is_dropped_after_its_last_connection() -> None:
    """``file:x?mode=memory&cache=shared``: several connections, one cluster, gone after the last."""
    uri = "file:shared-life?mode=memory&cache=shared"
    with closing(dbapi2.connect(":memory:")) as keeper:
        before = anonymous(keeper)
        first = dbapi2.connect(uri, uri=True)
        fill(first)
        second = dbapi2.connect(uri, uri=True)
        first.close()
        third = dbapi2.connect(uri, uri=True)
        second.close()
        assert count(third) == 5
        third.close()
        assert anonymous(keeper) == before
        with closing(dbapi2.connect(uri, uri=True)) as later:
            assert later.execute("SELECT * FROM sqlite_schema").fetchall() == []


def test_shared_memory_databases_of_different_names_are_separate() -> None:
    """Names do not meet; ``:memory:`` can be a shared name too."""
    uris = [f"file:{name}?mode=memory&cache=shared" for name in ("shared-a", "shared-b")]
    connections = [dbapi2.connect(uri, uri=True) for uri in [*uris, "file::memory:?cache=shared"]]
    for at, connection in enumerate(connections):
        connection.execute(f"CREATE TABLE t{at} (a)")
    for at, uri in enumerate([*uris, "file::memory:?cache=shared"]):
        with closing(dbapi2.connect(uri, uri=True)) as again:
            assert again.execute("SELECT name FROM sqlite_schema").fetchall() == [(f"t{at}",)]
    for connection in connections:
        connection.close()


def test_threads_share_one_shared_memory_cluster() -> None:
    """Threads that come and go find one cluster, and leave none behind."""
    uri, problems = "file:shared-threads?mode=memory&cache=shared", []

    def work() -> None:
        try:
            for _ in range(10):
                with closing(dbapi2.connect(uri, uri=True)) as connection:
                    connection.execute("INSERT INTO n VALUES (1)")
                    connection.commit()
        except Exception as error:
            problems.append(error)

    with closing(dbapi2.connect(":memory:")) as keeper:
        before = anonymous(keeper)
        with closing(dbapi2.connect(uri, uri=True)) as first:
            first.execute("CREATE TABLE n (a)")
            in_threads([work] * 4)
            assert problems == []
            assert first.execute("SELECT count(*) FROM n").fetchone() == (40,)
        assert anonymous(keeper) == before
