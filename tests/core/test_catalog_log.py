"""The log of the catalog: long enough from the beginning, and what it is extended with is never read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import boot_again
from tests.support.stores import assert_clean

LOG_BYTES = 1 << 20


def log_of(path: Path) -> Path:
    """The log of a store."""
    return path / "catalog.db-wal"


def test_log_is_extended_when_a_catalog_is_created_and_stays(tmp_path: Path) -> None:
    """Also after the store was closed, and after somebody has truncated or removed it."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        assert log_of(path).stat().st_size == LOG_BYTES
        store.create_cluster("prod")
    assert log_of(path).stat().st_size == LOG_BYTES
    for is_removed in (False, True):
        if is_removed:
            log_of(path).unlink()
        else:
            os.truncate(log_of(path), 0)
        boot_again(path)
        with clusterdb.open(path) as store:
            assert log_of(path).stat().st_size == LOG_BYTES


def test_zeros_at_the_end_of_the_log_end_its_recovery(tmp_path: Path) -> None:
    """A copy made while the store is open, whose log was never checkpointed, has all transactions."""
    path, copy = tmp_path / "store", tmp_path / "copy"
    with clusterdb.open(path) as store:
        for number in range(20):
            store.create_cluster(f"c{number}")
        copy.mkdir()
        for name in ("catalog.db", "catalog.db-wal", "pool"):
            (copy / name).write_bytes((path / name).read_bytes())
        (copy / "locks").touch()
    assert log_of(copy).read_bytes().endswith(bytes(4096))
    with clusterdb.open(copy) as store:
        assert len(store.clusters()) == 20
        assert_clean(store)


def test_disposable_and_read_only_stores_do_not_extend_it(tmp_path: Path) -> None:
    """The former never sync it, the latter write nothing."""
    path = tmp_path / "store"
    with clusterdb.open(path, disposable=True):
        assert log_of(path).stat().st_size < LOG_BYTES
    size_bytes = log_of(path).stat().st_size
    with clusterdb.open(path, read_only=True):
        assert log_of(path).stat().st_size == size_bytes


def test_full_disk_leaves_the_log_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is only slower then."""
    import apsw

    class FullFile(apsw.VFSFile):
        def xWrite(self, data: bytes, offset: int) -> None:
            if not any(data) and len(data) > 4096:
                raise apsw.FullError("no space")
            super().xWrite(data, offset)

    monkeypatch.setattr(apsw, "VFSFile", FullFile)
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        store.create_cluster("prod")
        assert catalog_of(store).clusters.count() == 1
    assert log_of(path).stat().st_size < LOG_BYTES


def test_changes_are_refused_after_sqlite_has_rolled_back(tmp_path: Path) -> None:
    """Else they would take effect one by one, without those before them."""
    with clusterdb.open(tmp_path / "store") as store:
        database = catalog_of(store).database
        before = database.query("SELECT seal FROM store")
        with pytest.raises(clusterdb.Error, match="has rolled back the transaction"), database.transaction():
            database.change("UPDATE store SET seal = seal + 1")
            database._db.execute("ROLLBACK")
            database.change("UPDATE store SET seal = seal + 1")
        assert database.query("SELECT seal FROM store") == before
        store.create_cluster("prod")


def test_every_transaction_is_as_durable_as_its_kind(store: clusterdb.Store) -> None:
    """Whatever ran before, and if the mode could not be set then."""
    database = catalog_of(store).database
    modes = {"transaction": 3, "reclaiming": 1}  # EXTRA, NORMAL

    def failing(_cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        if "synchronous" in sql:
            raise apsw.IOError("injected")
        return True

    for kind, other in (("reclaiming", "transaction"), ("transaction", "reclaiming")) * 2:
        with getattr(database, other)():
            pass
        database._db.exec_trace = failing
        with pytest.raises(clusterdb.Error, match="injected"), getattr(database, kind)():
            pass
        database._db.exec_trace = None
        for name in (kind, other, kind):
            with getattr(database, name)():
                assert database._db.pragma("synchronous") == modes[name]
                with getattr(database, other)():  # a part of it
                    assert database._db.pragma("synchronous") == modes[name]


def test_dead_is_told_from_slow(store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has committed, and is about to say so, is waited for; a dead one costs a durable commit."""
    database = catalog_of(store).database
    words = pages_of(store).tables.header
    seals = database.query("SELECT seal FROM store")[0][0]
    words.catalog_settled -= 1
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda _: setattr(words, "catalog_settled", words.catalog_begun))
        with database.transaction():
            assert database.query("SELECT seal FROM store") == [(seals,)]
    words.catalog_settled -= 1
    with database.reclaiming():
        assert database.query("SELECT seal FROM store") == [(seals + 1,)]
        assert words.catalog_settled == words.catalog_begun
