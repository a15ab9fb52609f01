"""Clones beside the verbs that change or delete their sources."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import catalog_of
from tests.support.mishaps import (
    at,
    fill,
    filled,
    letters,
    letters_of,
    names,
    rewrite,
)
from tests.support.stores import assert_clean, rows


def test_deleted_clone_stays_whole_for_its_reader(store: clusterdb.Store) -> None:
    """A read transaction on a deleted clone goes on seeing all of it, also what came from the source (C1)."""
    writer = filled(store, "prod", 200, "a")
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "z")
    reader = clone.connect()
    reader.execute("PRAGMA cache_size = 2; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    clone.delete()
    filler = filled(store, "filler", 2000, "f")
    filler.close()
    assert letters(reader) == {"a": 200}
    reader.close()
    assert_clean(store)


def test_writer_keeps_pages_of_a_clone_made_by_another_process(open_store: Opener) -> None:
    """A writer that knew of no clone does not free what one stands on that another process has just made (R1, R9)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    for letter in "bcd":
        rewrite(writer, letter)
    other.cluster("prod").clone("dev")
    for letter in "efg":
        rewrite(writer, letter)
    filled(store, "filler", 300, "f")
    assert letters_of(other, "dev") == {"d": 200}


def test_clone_of_a_cluster_that_is_being_deleted_is_refused(open_store: Opener) -> None:
    """A clone requested during a deletion gets an error, and no freed page (R2, R7)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "z")
    with (
        at("volume: head slot taken", other.cluster("dev").delete),
        pytest.raises(clusterdb.ClusterNotFoundError, match="'dev' was deleted"),
    ):
        clone.clone("new")
    assert names(store) == ["prod"]
    assert_clean(store)
    filled(store, "filler", 1000, "f")
    assert letters_of(store, "prod") == {"z": 200}


def nothing_more(_: clusterdb.Store) -> None:
    """The first deleter does nothing else."""


def create_another(store: clusterdb.Store) -> None:
    """The table row of the deleted cluster is given to a new one."""
    store.create_cluster("new")


def fill_another(store: clusterdb.Store) -> None:
    """The table row of the deleted cluster is given to a new one, which is written to."""
    filled(store, "new", 100, "n").close()


def write_a_neighbour(store: clusterdb.Store) -> None:
    """Slots of the deleted cluster are used by another one."""
    connection = store.cluster("neighbour").connect()
    for number in range(5):
        connection.execute("UPDATE t SET v = replace(v, 'o', 'p') WHERE id = ?", (number,))
    connection.close()


@pytest.mark.parametrize("meanwhile", [nothing_more, create_another, fill_another, write_a_neighbour])
def test_second_of_two_deleters_gets_an_error_and_touches_nothing(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[clusterdb.Store], None]
) -> None:
    """Of two processes that delete one cluster, the second touches nothing, whoever has its place by then (S4, C3)."""
    store, other = open_store(), open_store()
    filled(store, "neighbour", 10, "o").close()
    filled(store, "dev", 200, "a").close()
    transaction = catalog_of(other).transaction

    @contextlib.contextmanager
    def wait_for_the_first(*, waits: bool) -> Iterator[None]:
        """BEGIN IMMEDIATE, when another process was first."""
        monkeypatch.undo()
        store.cluster("dev").delete()
        meanwhile(store)
        with transaction():
            yield

    monkeypatch.setattr(catalog_of(other), "transaction", wait_for_the_first)
    with pytest.raises(clusterdb.ClusterNotFoundError, match="'dev' was deleted"):
        other.cluster("dev").delete()
    for cluster in store.clusters():
        filler = cluster.connect()
        fill(filler, 100, "x")
        filler.close()
        assert letters_of(other, cluster.name) == {"x": 100}
    assert_clean(store)


def test_slots_of_a_clone_deleted_during_a_commit_of_its_source_come_back(open_store: Opener) -> None:
    """Slots that only the deleted clone held come back, though its source was being published (C1)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    store.cluster("prod").clone("dev")
    with at("commit: pages written", lambda: other.cluster("dev").delete()):  # it cannot reclaim in the source
        rewrite(writer, "b")
    assert len(catalog_of(store).volumes.all_pin_rows()) == 1
    writer.execute("UPDATE t SET v = 'c' WHERE id = 1")
    assert catalog_of(store).volumes.all_pin_rows() == []
    writer.close()
    assert_clean(store)


def test_source_stays_for_the_reader_of_a_clone_that_is_deleted_while_its_pins_are_read(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pin that another process releases between two looks at the pins of a deleted source is not missed (C4)."""
    store, other = open_store(), open_store()
    filled(store, "prod", 60, "a").close()
    dev = store.cluster("prod").clone("dev").connect()
    rewrite(dev, "b", below=10)
    reader = other.cluster("dev").connect(read_only=True)
    reader.execute("PRAGMA cache_size = 2; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    dev.close()
    catalog, waiting = catalog_of(store), ["dev"]

    def delete_after(read: Callable[..., object]) -> Callable[..., object]:
        def look(*arguments: Any, **named: Any) -> object:
            pins = read(*arguments, **named)
            if waiting and not catalog.database.is_in_transaction:
                other.cluster(waiting.pop()).delete()
            return pins

        return look

    for name in ("released_pins", "pinned_versions"):
        monkeypatch.setattr(catalog.volumes, name, delete_after(getattr(catalog.volumes, name)))
    store.cluster("prod").delete()
    assert not waiting
    filled(store, "filler", 200, "f").close()
    assert letters(reader) == {"a": 50, "b": 10}
    reader.close()
    assert store.reclaim().put_off == ""
    store.cluster("filler").delete()
    assert_clean(store)
