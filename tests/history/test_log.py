"""The log of a cluster: its versions, what they changed, and what refers to them."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clusterdb
from tests.past.numbers import KEEPS

TABLES = ("users", "orders", "items")


def written(cluster: clusterdb.Cluster, *statements: str) -> int:
    """Run statements, one transaction each, and return the version behind them."""
    with closing(cluster.connect()) as connection:
        for statement in statements:
            connection.execute(statement)
    return cluster.stats().version


def create_tables(cluster: clusterdb.Cluster) -> int:
    return written(cluster, *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, body)" for name in TABLES))


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    return store.create_cluster("prod", **KEEPS)


def test_entries_name_the_tables_and_the_definitions_that_versions_changed(prod: clusterdb.Cluster) -> None:
    create_tables(prod)
    written(prod, "INSERT INTO users (body) VALUES (zeroblob(9000))", "INSERT INTO items (body) VALUES (1)")
    written(prod, "BEGIN; DELETE FROM users; UPDATE items SET body = 2; COMMIT", "CREATE INDEX by_id ON orders (id)")
    entries = prod.log(limit=4)
    assert [(entry.tables, entry.definitions) for entry in entries] == [
        ((), ("by_id",)),
        (("items", "users"), ()),
        (("items",), ()),
        (("users",), ()),
    ]
    assert [entry.version for entry in entries] == [prod.stats().version - number for number in range(4)]
    pages = [entry.page_count for entry in entries]
    assert pages[2] == 1
    assert pages[3] is not None
    assert pages[3] >= 3  # a leaf and two overflow pages at least
    times = [entry.time for entry in entries]
    assert times == sorted(times, reverse=True)


def test_oldest_version_has_no_change(prod: clusterdb.Cluster) -> None:
    create_tables(prod)
    first = prod.log()[-1]
    assert (first.page_count, first.tables, first.definitions) == (None, None, None)


def test_cluster_without_a_past_has_one_version(store: clusterdb.Store) -> None:
    plain = store.create_cluster("plain", backup_retention_days=0)
    version = create_tables(plain)
    assert [entry.version for entry in plain.log()] == [version]


def test_notes_name_snapshots_and_clones(prod: clusterdb.Cluster) -> None:
    create_tables(prod)
    prod.snapshot("before")
    prod.clone("dev")
    written(prod, "INSERT INTO users VALUES (1, 1)")
    gone = prod.clone("gone")
    gone.delete()
    newest, then = prod.log(limit=2)
    assert newest.notes == ()
    assert sorted(then.notes) == ["clone 'dev'", "snapshot 'before'"]


def test_clone_names_its_source(prod: clusterdb.Cluster) -> None:
    create_tables(prod)
    dev = prod.clone("dev", **KEEPS)
    written(dev, "INSERT INTO users VALUES (1, 1)")
    newest, begin = dev.log()
    assert newest.tables == ("users",)
    assert begin.notes == ("cloned from 'prod'",)
    assert begin.tables is None


def test_versions_that_a_backtrack_has_left_are_marked(prod: clusterdb.Cluster) -> None:
    kept = create_tables(prod)
    left = [written(prod, f"INSERT INTO users VALUES ({number}, 1)") for number in range(3)]
    prod.backtrack(kept)
    after = written(prod, "INSERT INTO orders VALUES (1, 1)")
    entries = {entry.version: entry for entry in prod.log()}
    assert {version for version, entry in entries.items() if entry.is_left} == set(left)
    assert entries[after].tables == ("orders",)
    (switch,) = [entry for entry in entries.values() if entry.notes == (f"back to version {kept}",)]
    assert (switch.version, switch.tables, switch.definitions) == (after - 1, (), ())


def test_backtrack_forward_again_leaves_what_was_between(prod: clusterdb.Cluster) -> None:
    first = create_tables(prod)
    second = written(prod, "INSERT INTO users VALUES (1, 1)")
    prod.backtrack(first)
    between = written(prod, "INSERT INTO orders VALUES (1, 1)")
    prod.backtrack(second)
    left = {entry.version for entry in prod.log() if entry.is_left}
    assert left == {between - 1, between}


def test_reset_is_noted(prod: clusterdb.Cluster) -> None:
    create_tables(prod)
    dev = prod.clone("dev", **KEEPS)
    written(dev, "DROP TABLE users")
    version = written(prod, "INSERT INTO users VALUES (1, 1)")
    dev.reset()
    newest = dev.log()[0]
    assert newest.notes == (f"reset to 'prod' at version {version}",)
    assert [entry.is_left for entry in dev.log()] == [False, True, True]


def test_since_and_limit(prod: clusterdb.Cluster) -> None:
    version = create_tables(prod)
    prod.snapshot("then")
    written(prod, "INSERT INTO users VALUES (1, 1)", "INSERT INTO users VALUES (2, 1)")
    wanted = [version + 2, version + 1, version]
    moment = prod.log()[2].time
    for since in (version, "then", moment):
        assert [entry.version for entry in prod.log(since=since)] == wanted
    assert [entry.version for entry in prod.log(since=version, limit=2)] == wanted[:2]
    assert len(prod.log(since=timedelta(days=300))) == len(prod.log())
    assert prod.log(since=timedelta(0)) == []


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "3"])
def test_limit_must_be_a_positive_number(prod: clusterdb.Cluster, limit: object) -> None:
    with pytest.raises(clusterdb.InvalidArgumentError, match="use a positive number, or None"):
        prod.log(limit=limit)  # type: ignore[arg-type]


def test_since_an_unknown_point(prod: clusterdb.Cluster) -> None:
    with pytest.raises(clusterdb.SnapshotNotFoundError, match="no snapshot 'never'"):
        prod.log(since="never")
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="it has the versions"):
        written(prod, "CREATE TABLE t (a)")
        prod.log(since=99)


def test_store_opened_read_only_has_a_log_without_changes(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        written(store.create_cluster("prod", **KEEPS), "CREATE TABLE t (a)")
    with clusterdb.open(path, read_only=True) as store:
        entries = store.cluster("prod").log()
    assert [(entry.version, entry.tables) for entry in entries] == [(2, None), (1, None)]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sets(st.sampled_from(TABLES), min_size=1), min_size=1, max_size=6), st.data())
def test_every_changed_table_is_named(changes: list[set[str]], data: st.DataObject) -> None:
    """A table whose rows changed is never left out, whatever else the transaction did."""
    with clusterdb.open(":memory:") as store:
        prod = store.create_cluster("prod", **KEEPS)
        create_tables(prod)
        with closing(prod.connect()) as connection:
            for number, names in enumerate(changes):
                size = data.draw(st.sampled_from([1, 500, 9000]))
                with connection:
                    for name in names:
                        connection.execute(f"INSERT INTO {name} VALUES (?, zeroblob(?))", (number, size))
        named = [set(entry.tables or TABLES) for entry in prod.log(limit=len(changes))]
        assert named[::-1] == changes


# --- what a clone changed ---------------------------------------------------------------------------------------------
def test_diff_of_one_cluster_begins_where_it_was_cloned(prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    create_tables(prod)
    dev = prod.clone("dev")
    written(dev, "INSERT INTO users VALUES (1, 'mine')")
    written(prod, "INSERT INTO orders VALUES (1, 'theirs')")
    difference = store.diff("dev")
    assert (difference.before, difference.after) == ("dev@base", "dev")
    assert [(table.name, table.count("insert")) for table in difference.tables] == [("users", 1)]
    prod.clone("other")  # of two clones, none takes over the pages of a deleted source
    prod.delete()
    dev.rename("mine")
    assert store.diff(store.cluster("mine")).tables == difference.tables


def test_base_is_where_a_clone_began_also_after_a_backtrack(prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    create_tables(prod)
    dev = prod.clone("dev", **KEEPS)
    kept = written(dev, "INSERT INTO users VALUES (1, 'mine')")
    written(dev, "INSERT INTO users VALUES (2, 'mine')")
    dev.backtrack(kept)
    assert [table.count("insert") for table in store.diff("dev").tables] == [1]
    clone = dev.clone("begin", at="base")
    with closing(clone.connect()) as connection:
        assert connection.execute("SELECT count(*) FROM users").get == 0
    dev.reset()
    assert not store.diff("dev")


def test_cluster_that_is_no_clone_has_no_base(prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="cluster 'prod' is not a clone: it has no base"):
        store.diff(prod)


def test_base_that_was_given_up(store: clusterdb.Store) -> None:
    source = store.create_cluster("source")
    create_tables(source)
    clone = source.clone("clone")
    written(clone, "DROP TABLE users")
    source.delete()
    store.reclaim()
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="cluster 'clone' has no base any more: the version"):
        store.diff(clone)


def test_no_snapshot_can_be_called_base(prod: clusterdb.Cluster, store: clusterdb.Store) -> None:
    prod.snapshot("other")
    with pytest.raises(clusterdb.InvalidNameError, match="a snapshot cannot be called 'base'"):
        prod.snapshot("base")
    with pytest.raises(clusterdb.InvalidNameError, match="a snapshot cannot be called 'base'"):
        store.copy_snapshot("other", "base")


def test_time_of_a_version_selects_that_version(prod: clusterdb.Cluster) -> None:
    written(prod, "CREATE TABLE t (n)", *(f"INSERT INTO t VALUES ({number})" for number in range(5)))
    for entry in prod.log(limit=6):
        with closing(prod.connect(at=entry.time)) as then, closing(prod.connect(at=entry.version)) as same:
            assert list(then.execute("SELECT n FROM t")) == list(same.execute("SELECT n FROM t"))
