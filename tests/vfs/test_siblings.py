"""What one clone costs does not depend on how many others stand on the same version of their source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import clusterdb
from clusterdb.catalog.database import Database
from tests.support.inside import catalog_of
from tests.support.stores import assert_clean, rows


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many rows of the catalog are read in the body, query by query."""
    counts: list[int] = []
    query = Database.query

    def counting(self: Database, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        answer = query(self, sql, values)
        counts.append(len(answer))
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Database, "query", counting)
        yield counts


def prepared(path: Path, clone_count: int) -> clusterdb.Store:
    """A store with a cluster and so many clones of it."""
    store = clusterdb.open(path)
    prod = store.create_cluster("prod")
    connection = prod.connect()
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    connection.close()
    for number in range(clone_count):
        prod.clone(f"c{number}")
    return store


def verbs(store: clusterdb.Store) -> dict[str, Callable[[], object]]:
    """What must not depend on siblings."""
    return {
        "connect": lambda: store.cluster("c1").connect().close(),
        "stats of a clone": lambda: store.cluster("c1").stats(),
        "stats of the source": lambda: store.cluster("prod").stats(),
        "stats of the store": lambda: store.stats(),
        "drop": lambda: store.cluster("c2").delete(),
        "clone": lambda: store.cluster("prod").clone("new"),
        "open": lambda: clusterdb.open(store.path).close(),
    }


@pytest.mark.parametrize("verb", list(verbs(None)))  # type: ignore[arg-type]
def test_catalog_rows_read_do_not_depend_on_the_number_of_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Beside 4 clones and beside 60, a verb reads the same rows of the catalog."""
    read = []
    for clone_count in (4, 60):
        with prepared(tmp_path / f"store-{clone_count}", clone_count) as store:
            action = verbs(store)[verb]
            with counted(monkeypatch) as counts:
                action()
            read.append(counts)
            assert_clean(store)
    assert read[0] == read[1]


def test_older_store_gets_additions_to_its_catalog(tmp_path: Path) -> None:
    """A store whose catalog lacks an index and a table gets them when it is opened for writing, and works."""
    with prepared(tmp_path / "store", 3):
        pass
    with clusterdb.open(tmp_path / "store") as store:
        catalog_of(store).database._db.execute("DROP INDEX released_pins; DROP TABLE sealed")
    with clusterdb.open(tmp_path / "store", read_only=True) as store:
        assert rows(store.cluster("c0").connect(), "SELECT x FROM t") == [(1,)]
    with clusterdb.open(tmp_path / "store") as store:
        store.cluster("c0").delete()
        assert_clean(store)


def test_pinned_versions_are_listed_once_each(tmp_path: Path) -> None:
    """Each version once, ascending, with and without those that only released pins hold."""
    with prepared(tmp_path / "store", 5) as store:
        catalog, prod = catalog_of(store), store.cluster("prod")
        volume = catalog.volumes.volume_of_cluster("prod")
        assert volume is not None
        first = prod.stats().version
        connection = prod.connect()
        for number in range(3):
            connection.execute("INSERT INTO t VALUES (2)")
            prod.snapshot(f"s{number}")
        connection.close()
        every = [first, first + 1, first + 2, first + 3]
        assert catalog.volumes.pinned_versions(volume.volume) == every
        with catalog.transaction():
            catalog.database.change("UPDATE pins SET released = 1 WHERE version = ?", (first + 2,))
            assert catalog.volumes.pinned_versions(volume.volume) == every
            assert catalog.volumes.pinned_versions(volume.volume, released=False) == [first, first + 1, first + 3]
            assert [pin.version.version for pin in catalog.volumes.released_pins(volume.volume)] == [first + 2]
            catalog.database.change("UPDATE pins SET released = 0")
