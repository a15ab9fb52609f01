"""Stores of format 1: upgraded when they are opened for writing, in one atomic step, and readable before."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from tests.support.commands import run
from tests.support.stores import assert_clean, rows
from tests.vfs.formats import header_of, make_old
from vfs import failpoints
from vfs.format.layout import FORMAT, SECTOR_BYTES, unpack_pool_header


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A closed store of format 1 with a cluster of ten rows."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store, closing(store.create_cluster("prod").connect()) as connection:
        connection.execute("CREATE TABLE t (a); INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9,10]')")
    make_old(path)
    return path


def sum_in(store: clusterdb.Store) -> object:
    with closing(store.cluster("prod").connect(read_only=True)) as connection:
        return rows(connection, "SELECT sum(a) FROM t")[0][0]


def test_opening_for_writing_upgrades(old: Path) -> None:
    with clusterdb.open(old) as store:
        assert store.upgraded_from == 1
        assert sum_in(store) == 55
        assert_clean(store)
    assert unpack_pool_header(header_of(old)).format == FORMAT
    with clusterdb.open(old) as store:
        assert store.upgraded_from is None


def test_opening_read_only_changes_nothing(old: Path) -> None:
    before = header_of(old)
    with clusterdb.open(old, read_only=True) as store:
        assert sum_in(store) == 55
    assert header_of(old) == before


@pytest.mark.parametrize("sectors_written", [1, 2])
def test_interrupted_upgrade_is_completed(old: Path, sectors_written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sectors were written when the process died."""
    remaining = [sectors_written]

    def die() -> None:
        remaining[0] -= 1
        if not remaining[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(failpoints.armed, "upgrade: sector written", die)
        with pytest.raises(KeyboardInterrupt):
            clusterdb.open(old)
    with clusterdb.open(old) as store:
        assert sum_in(store) == 55
    header = unpack_pool_header(header_of(old))
    assert (header.format, header.is_whole) == (FORMAT, True)


@pytest.mark.parametrize("sector", [0, 1])
@pytest.mark.parametrize("garbage", [bytes(SECTOR_BYTES), os.urandom(SECTOR_BYTES)], ids=["zeros", "noise"])
def test_torn_sector_is_restored_from_its_copy(old: Path, sector: int, garbage: bytes) -> None:
    """A power failure tears the sector that was being written: the other names the store and its format."""
    with clusterdb.open(old):
        pass
    with (old / "pool").open("r+b") as pool:
        pool.seek(sector * SECTOR_BYTES)
        pool.write(garbage)
    with clusterdb.open(old) as store:
        assert sum_in(store) == 55
        assert store.upgraded_from is None
    assert unpack_pool_header(header_of(old)).is_whole


def test_upgrade_waits_for_no_other_process(old: Path) -> None:
    """A process of an older release may have the store open: it is not upgraded behind its back."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys; from vfs.storage.device import LockFile; from vfs.format import locks\n"
            "file = LockFile(os.open(sys.argv[1], os.O_RDWR)); file.keep(locks.STORE, shared=True)\n"
            "print('held', flush=True); sys.stdin.read()",
            str(old / "locks"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None and holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        before = header_of(old)
        with pytest.raises(clusterdb.StoreInUseError, match="format 1"):
            clusterdb.open(old)
        assert header_of(old) == before
        holder.stdin.close()
    with clusterdb.open(old) as store:
        assert store.upgraded_from == 1


def test_command_upgrades_and_reports(old: Path) -> None:
    assert run(old, "--store", str(old), "upgrade").stdout == f"upgraded from format 1 to {FORMAT}\n"
    assert run(old, "--store", str(old), "upgrade").stdout == f"the store has format {FORMAT}\n"


def test_connection_after_the_upgrade_sees_the_version_as_counter(old: Path) -> None:
    """The stored counter of format 1 is ignored."""
    with clusterdb.open(old) as store, closing(store.cluster("prod").connect()) as connection:
        rows(connection, "SELECT a FROM t")
        for _ in range(3):
            connection.execute("UPDATE t SET a = a + 1")
        with closing(store.cluster("prod").connect()) as other:
            assert rows(other, "SELECT sum(a) FROM t") == rows(connection, "SELECT sum(a) FROM t") == [(85,)]
        assert_clean(store)
