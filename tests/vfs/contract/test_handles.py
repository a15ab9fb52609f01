"""Handles of a data plane, without SQLite: pinning, transactions, and the miss hook."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import closing

import apsw
import pytest

import clusterdb
from tests.support.inside import pages_of, pinned_head
from tests.support.stores import rows
from vfs.abc import Durability, Handle, Residence
from vfs.errors import ReadOnlyError, SnapshotMovedError, UnknownDataPlaneError, WriterBusyError
from vfs.plane import DataPlane, available, chosen
from vfs.storage.walk import reached


@pytest.fixture
def data_plane(plane: str) -> DataPlane:
    """The data plane that stores are opened with."""
    return chosen()


@pytest.fixture
def handles(store: clusterdb.Store, data_plane: DataPlane) -> Iterator[tuple[Handle, Handle]]:
    """Two handles on the same empty cluster."""
    row = store.context.volume_of(store.create_cluster("prod"))
    with (
        closing(data_plane.open_volume(pages_of(store), row)) as one,
        closing(data_plane.open_volume(pages_of(store), row)) as two,
    ):
        yield one, two


def publish(handle: Handle, data: bytes) -> None:
    handle.pin()
    transaction = handle.begin_write()
    transaction.write(data, 0)
    transaction.publish(Durability.FULL)
    transaction.end()
    handle.unpin()


# --- choosing ---------------------------------------------------------------------------------------------------------
def test_plane_is_chosen_by_the_environment(data_plane: DataPlane, plane: str) -> None:
    assert data_plane.name == plane
    assert "python" in available()


def test_unknown_plane_is_refused_before_anything_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("CLUSTERDB_IMPL", "cobol")
    with pytest.raises(UnknownDataPlaneError, match="CLUSTERDB_IMPL=cobol: this build has no such data plane: use "):
        chosen()
    path = tmp_path_factory.mktemp("plane") / "store"
    with pytest.raises(clusterdb.InvalidArgumentError, match="CLUSTERDB_IMPL=cobol"):
        clusterdb.open(path)
    assert not (path / "pool").exists()


# --- handles ----------------------------------------------------------------------------------------------------------
def test_pinned_handle_keeps_its_version(handles: tuple[Handle, Handle]) -> None:
    writer, reader = handles
    publish(writer, b"a" * 4096)
    reader.pin()
    publish(writer, b"b" * 4096)
    assert bytes(reader.read(4096, 0)) == b"a" * 4096
    reader.unpin()
    reader.pin()
    assert bytes(reader.read(4096, 0)) == b"b" * 4096


def test_volume_has_one_writer(handles: tuple[Handle, Handle]) -> None:
    one, two = handles
    one.pin()
    two.pin()
    transaction = one.begin_write()
    assert two.is_being_written()
    with pytest.raises(WriterBusyError):
        two.begin_write()
    transaction.write(b"x" * 4096, 0)
    transaction.publish(Durability.OFF)
    transaction.end()
    with pytest.raises(SnapshotMovedError):
        two.begin_write()


def test_transaction_that_ends_unpublished_leaves_nothing(handles: tuple[Handle, Handle]) -> None:
    one, two = handles
    one.pin()
    transaction = one.begin_write()
    transaction.write(b"x" * 9000, 0)
    assert not transaction.is_unchanged()
    assert transaction.size_bytes == 9000
    transaction.end()
    two.pin()
    assert two.size_bytes == 0


def test_read_only_handle_cannot_write(store: clusterdb.Store, data_plane: DataPlane) -> None:
    row = store.context.volume_of(store.create_cluster("prod"))
    with closing(data_plane.open_volume(pages_of(store), row, read_only=True)) as handle:
        handle.pin()
        with pytest.raises(ReadOnlyError):
            handle.begin_write()


# --- the miss hook ----------------------------------------------------------------------------------------------------
class Elsewhere:
    """A place that has the bytes of some pages, which the pool file has not."""

    def __init__(self, store: clusterdb.Store, slots: set[int]) -> None:
        self._store = store
        self.contents = {slot: bytes(pages_of(store).read_slot(slot)) for slot in slots}
        self.fetched: list[int] = []
        for slot in slots:
            self._write(slot, bytes(4096))

    def _write(self, slot: int, data: bytes) -> None:
        os.pwrite(pages_of(self._store).pool_fd, data, slot * 4096)

    def require(self, slot: int, crc: int) -> None:
        assert zlib.crc32(self.contents[slot]) == crc
        self._write(slot, self.contents[slot])
        self.fetched.append(slot)

    def close(self) -> None:
        """Nothing is open."""


def page_slots_of(store: clusterdb.Store, name: str) -> set[int]:
    """The slots of a cluster's pages that are not zeros."""
    read = pages_of(store).read_slot
    with pinned_head(store, name) as volume:
        return {at.entry.slot for at in reached(read, volume.version) if at.level < 0 and any(read(at.entry.slot))}


@pytest.fixture
def elsewhere(store: clusterdb.Store) -> Elsewhere:
    """All pages of the cluster ``prod`` are elsewhere; some have only zeros."""
    with closing(store.create_cluster("prod").connect()) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v); "
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 2000) "
            "INSERT INTO t SELECT x, printf('row %d', x) FROM c; "
            "CREATE TABLE zeros (v); INSERT INTO zeros VALUES (zeroblob(8000))"
        )
    hook = Elsewhere(store, page_slots_of(store, "prod"))
    residence: Residence = hook
    pages_of(store).residence = residence
    return hook


def test_query_fetches_the_pages_that_it_reads(store: clusterdb.Store, elsewhere: Elsewhere) -> None:
    """A point query fetches a few pages; a scan fetches the rest, and nothing twice."""
    with closing(store.cluster("prod").connect()) as connection:
        assert rows(connection, "SELECT v FROM t WHERE id = 1500") == [("row 1500",)]
        assert 0 < len(elsewhere.fetched) < len(elsewhere.contents)
        assert rows(connection, "SELECT count(*), count(DISTINCT v) FROM t") == [(2000, 2000)]
        assert rows(connection, "SELECT v = zeroblob(8000) FROM zeros") == [(1,)]
    assert len(elsewhere.fetched) == len(set(elsewhere.fetched))


def test_check_fetches_everything(store: clusterdb.Store, elsewhere: Elsewhere) -> None:
    """Pages that it compares go through the hook too."""
    assert store.check().problems == []
    assert set(elsewhere.fetched) == set(elsewhere.contents)


def test_write_to_absent_pages_keeps_the_rest(store: clusterdb.Store, elsewhere: Elsewhere) -> None:
    """A clone of a cluster whose pages are elsewhere can be written at once."""
    clone = store.cluster("prod").clone("dev")
    with closing(clone.connect()) as connection:
        connection.execute("UPDATE t SET v = 'new' WHERE id = 7")
        assert rows(connection, "SELECT count(*), sum(v = 'new') FROM t") == [(2000, 1)]
    with closing(store.cluster("prod").connect()) as connection:
        assert rows(connection, "SELECT v FROM t WHERE id = 7") == [("row 7",)]


def test_failed_fetch_is_an_io_error(
    store: clusterdb.Store, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite reports it, and the next statement works once the place answers again."""

    def unreachable(slot: int, crc: int) -> None:
        raise OSError(5, "the place does not answer")

    with closing(store.cluster("prod").connect()) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(elsewhere, "require", unreachable)
            with pytest.raises(apsw.IOError, match="the place does not answer"):
                rows(connection, "SELECT count(*) FROM t")
        assert rows(connection, "SELECT count(*) FROM t") == [(2000,)]
