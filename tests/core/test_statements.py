"""The number of statements on the catalog that cloning and dropping take: a few, whatever else the store holds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from tests.support.mishaps import assert_accounted
from tests.support.statements import counted
from tests.support.stores import assert_clean
from vfs.reclaim.cleanup import SHORT_PAST

CLONE = ["BEGIN IMMEDIATE", "INSERT INTO volumes", "INSERT INTO pins", "INSERT INTO events", "INSERT INTO clusters"]
DROP = ["BEGIN IMMEDIATE", "DELETE FROM clusters", "INSERT INTO events", "DELETE FROM pins", "DELETE FROM volumes"]
READS_MAX = 8
"""The rows that clone and drop read when another process has changed the catalog meanwhile."""


def with_siblings(store: clusterdb.Store, count: int) -> clusterdb.Cluster:
    """A written cluster with that many clones."""
    prod = store.create_cluster("prod", backup_retention_days=0)
    with prod.connect() as connection:
        connection.execute("CREATE TABLE t (v)")
    connection.close()
    for number in range(count):
        prod.clone(f"sibling-{number}")
    return prod


def beginnings(statements: list[str], wanted: list[str]) -> list[str]:
    """The statements, those that begin as wanted cut there, without the occasional one that expires events."""
    cut = [next((text for text in [*wanted, "COMMIT"] if sql.startswith(text)), sql) for sql in statements]
    return [sql for sql in cut if not sql.startswith("DELETE FROM events")]


@pytest.mark.parametrize("sibling_count", [4, 60])
def test_clone_and_drop_read_nothing_that_the_process_knows(store: clusterdb.Store, sibling_count: int) -> None:
    """Beside few siblings as beside many; also if the clone was written to."""
    prod = with_siblings(store, sibling_count)
    for writes in (False, True):
        with counted(store) as statements:
            clone = prod.clone("dev")
        assert beginnings(statements, CLONE) == [*CLONE, "COMMIT"]
        if writes:
            with clone.connect() as connection:
                connection.execute("INSERT INTO t VALUES (1)")
            connection.close()
        with counted(store) as statements:
            clone.delete()
        assert beginnings(statements, DROP) == [*DROP, "COMMIT"]
    assert_clean(store)


def test_drop_of_a_clone_of_an_earlier_version_asks_for_that_version_only(store: clusterdb.Store) -> None:
    """As many statements beside 60 siblings as beside 4, if the source has been written to since."""
    counts = []
    for sibling_count in (4, 60):
        prod = with_siblings(store, sibling_count)
        clone = prod.clone("dev")
        with prod.connect() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
        connection.close()
        with counted(store) as statements:
            clone.delete()
        counts.append(len(beginnings(statements, DROP)))
        for cluster in store.clusters():
            cluster.delete()
    assert counts == [len(DROP) + 2] * 2


@pytest.mark.parametrize("sibling_count", [4, 60])
def test_clone_and_drop_read_a_few_rows_after_changes_by_others(tmp_path: Path, sibling_count: int) -> None:
    """Another process has changed the catalog before every verb."""
    with clusterdb.open(tmp_path / "store") as store, clusterdb.open(tmp_path / "store") as other:
        clone_and_drop_beside(store, other, sibling_count)


def clone_and_drop_beside(store: clusterdb.Store, other: clusterdb.Store, sibling_count: int) -> None:
    """Clone and drop while another process changes the catalog."""
    prod = with_siblings(store, sibling_count)
    other.create_cluster("other", backup_retention_days=0).rename("another")
    with counted(store) as statements:
        clone = prod.clone("dev")
    assert len(statements) <= len(CLONE) + 1 + READS_MAX
    other.cluster("another").rename("other")
    with counted(store) as statements:
        clone.delete()
    assert len(statements) <= len(DROP) + 1 + READS_MAX + 4
    assert_clean(store)


@pytest.mark.parametrize("commits", [3, SHORT_PAST + 10])
def test_clone_that_keeps_its_past_is_dropped_whole(tmp_path: Path, commits: int) -> None:
    """A short past goes in the same transaction; a long one later, and all slots of both are free then."""
    with clusterdb.open(tmp_path / "store") as store:
        prod = with_siblings(store, 1)
        before = store.stats().used_bytes
        clone = prod.clone("dev", backup_retention_days=1)
        with closing(clone.connect()) as connection:
            connection.execute("PRAGMA synchronous = OFF").fetchall()
            for number in range(commits):
                connection.execute("INSERT INTO t VALUES (?)", (number,))
        assert len(clone.log()) == commits + 1
        with counted(store) as statements:
            clone.delete()
        is_marked = any(sql.startswith("UPDATE volumes SET state") for sql in statements)
        assert is_marked == (commits > SHORT_PAST)
        assert store.stats().used_bytes == before
    assert list((tmp_path / "store" / "history").iterdir()) == []
    assert_accounted(tmp_path / "store")
