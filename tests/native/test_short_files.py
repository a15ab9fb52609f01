"""Files that are shorter than the memory that is mapped over them: an error, where reading them would be a SIGBUS."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import clusterdb
from tests.core.distrust.family import NAMED, in_child
from tests.support.inside import pages_of
from vfs.errors import CorruptionError
from vfs.format.shared import MAP_HEADER_BYTES, READERS_BYTES, MapHeader
from vfs.plane import available, native
from vfs.store import PageStore

pytestmark = pytest.mark.skipif("c" not in available(), reason=f"no data plane in C: {native().reason}")


def fill(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with content."""
    cluster = store.create_cluster("one")
    connection = cluster.connect()
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    return cluster


def read(cluster: clusterdb.Cluster) -> object:
    """Its content, through a new connection."""
    connection = cluster.connect()
    try:
        return connection.execute("SELECT sum(length(x)) FROM t").fetchall()
    finally:
        connection.close()


def cut_pool(pages: PageStore) -> None:
    """Cut off the last slots in use, as no process of the store does."""
    os.truncate(pages.pool_fd, 8 * 4096)


def claim_slots(pages: PageStore) -> None:
    """Let the map claim slots that are in no file, and a page table could name."""
    pages.slot_map.header.slot_count = 1 << 30


@pytest.mark.parametrize("harm", [cut_pool, claim_slots])
def test_connection_to_a_pool_that_is_shorter_than_the_map_states_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[PageStore], None]
) -> None:
    """The file is looked at whenever a handle is opened."""
    monkeypatch.setenv("CLUSTERDB_IMPL", "c")

    def use() -> None:
        store = clusterdb.open(tmp_path / "store")
        cluster = fill(store)
        harm(pages_of(store))
        with pytest.raises(NAMED, match="'pool' is shorter than the file 'map' states"):
            read(cluster)
        os._exit(0)  # closing would read what is gone

    in_child(use)


def test_store_whose_pool_was_cut_while_it_was_closed_answers_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The derived files are not trusted then (K1), and the rebuilt ones are as long as the pool."""
    monkeypatch.setenv("CLUSTERDB_IMPL", "c")
    with clusterdb.open(tmp_path / "store") as store:
        fill(store)
    os.truncate(tmp_path / "store" / "pool", 8 * 4096)

    def use() -> None:
        with clusterdb.open(tmp_path / "store") as store, pytest.raises(NAMED):
            read(store.cluster("one"))

    in_child(use)


@pytest.mark.parametrize(("name", "size"), [("map", MAP_HEADER_BYTES - 1), ("readers", READERS_BYTES - 1)])
def test_derived_file_without_its_tables_is_refused(tmp_path: Path, name: str, size: int) -> None:
    """The extension module checks the sizes of what it maps itself."""
    from vfs.native import Companion

    with clusterdb.open(tmp_path / "store") as store:
        pages = pages_of(store)
        fd = os.open(tmp_path / "short", os.O_RDWR | os.O_CREAT)
        os.truncate(fd, size)
        whole = pages.files()
        files = tuple(fd if at == ("pool", "map", "readers", "locks").index(name) else whole[at] for at in range(4))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(CorruptionError, match="shorter than their tables"):
            patch.setattr(pages, "files", lambda: files)
            Companion(pages)
        os.close(fd)


def test_count_of_slots_beyond_both_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is open already reads what there is."""
    monkeypatch.setenv("CLUSTERDB_IMPL", "c")

    def use() -> None:
        with clusterdb.open(tmp_path / "store") as store:
            cluster = fill(store)
            connection = cluster.connect()
            header: MapHeader = pages_of(store).slot_map.header
            right, header.slot_count = header.slot_count, (1 << 64) - 1
            assert connection.execute("SELECT sum(length(x)) FROM t").fetchall() == [(100000,)]
            header.slot_count = right
            connection.close()

    in_child(use)
