"""Volumes whose creation fails while other processes free and fill rows of the volume table (S5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from clusterdb import ClusterExistsError
from tests.core.races.family import Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import run_until_killed
from tests.support.stores import assert_clean
from vfs import failpoints
from vfs.format.shared import FLAGS
from vfs.registry import VolumeRow


def _rows_in_use(store: clusterdb.Store) -> dict[int, int]:
    return {at: word & ~FLAGS for at, word in enumerate(pages_of(store).tables._volume_ids()) if word}


def _rows_of_catalog(store: clusterdb.Store) -> dict[int, int]:
    return {row.table_index: row.volume for row in catalog_of(store).volumes.volume_rows()}


def _use_the_row_before_it_is_freed(monkeypatch: pytest.MonkeyPatch, store: clusterdb.Store, path: Path) -> None:
    """When a creation has failed, let another process free unknown rows, since one has died, and create ``live``."""
    volumes = catalog_of(store).volumes
    may_have_volume = volumes.may_have_volume

    def too_late(row: VolumeRow) -> bool:
        monkeypatch.undo()
        run_until_killed(path, "", "c = store.cluster('prod').connect(); c.execute('BEGIN; SELECT * FROM t')")
        with clusterdb.open(path) as other, closing(other.create_cluster("live").connect()) as connection:
            connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (42)")
        return may_have_volume(row)

    monkeypatch.setattr(volumes, "may_have_volume", too_late)


def _fail_in_the_commit() -> None:
    def fail() -> None:
        failpoints.armed.clear()
        raise MemoryError

    failpoints.armed["catalog: before commit"] = fail


def _fail_in_the_transaction(monkeypatch: pytest.MonkeyPatch, store: clusterdb.Store) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(catalog_of(store).clusters, "add", fail)


@pytest.mark.parametrize("place", ["transaction", "commit"])
@pytest.mark.parametrize("verb", ["create", "clone"])
def test_row_that_another_volume_has_by_now_is_left_to_it(
    open_store: Opener, path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, place: str
) -> None:
    """The catalog gives the number of the volume again, and the row may be free again too."""
    store = open_store()
    with closing(store.create_cluster("prod").connect()) as connection:
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    verbs: dict[str, Callable[[], object]] = {
        "create": lambda: store.create_cluster("failing"),
        "clone": lambda: store.cluster("prod").clone("failing"),
    }
    _use_the_row_before_it_is_freed(monkeypatch, store, path)
    if place == "commit":
        _fail_in_the_commit()
    else:
        _fail_in_the_transaction(monkeypatch, store)
    with pytest.raises(MemoryError):
        verbs[verb]()
    with closing(store.cluster("live").connect()) as connection:
        assert connection.execute("SELECT x FROM t").get == 42
    store.create_cluster("next")
    assert _rows_in_use(store) == _rows_of_catalog(store)
    assert_clean(store)


def test_refused_creation_frees_its_row(open_store: Opener) -> None:
    store = open_store()
    prod = store.create_cluster("prod")
    for _ in range(3):
        with pytest.raises(ClusterExistsError):
            prod.clone("prod")
        with pytest.raises(ClusterExistsError):
            store.create_cluster("prod")
    assert _rows_in_use(store) == _rows_of_catalog(store)
    assert_clean(store)


def test_row_of_a_killed_creation_is_freed_although_its_number_is_used_again(open_store: Opener, path: Path) -> None:
    store = open_store()
    store.create_cluster("prod")
    run_until_killed(path, "catalog: before commit", "kill(); store.cluster('prod').clone('dying')")
    store.cluster("prod").clone("dev")  # in another row: its number is that of the killed process
    assert len(_rows_in_use(store)) == 3
    open_store()
    assert _rows_in_use(store) == _rows_of_catalog(store)
    assert_clean(store)


def test_check_reports_a_volume_that_has_lost_its_row(open_store: Opener, path: Path) -> None:
    store = open_store()
    store.create_cluster("prod")
    row = catalog_of(store).volumes.volume_of_cluster("prod")
    assert row is not None
    pages_of(store).tables.remove_volume(row.table_index, row.volume)
    (problem,) = store.check().problems
    assert problem.startswith("cluster 'prod': its row of the shared tables belongs to another volume")
    store.close()
    assert clusterdb.repair(path).problems == []
    assert_clean(open_store())
