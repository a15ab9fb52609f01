"""xLock, xUnlock and xCheckReservedLock."""

from __future__ import annotations

import apsw
import pytest

import clusterdb
from tests.support.stores import extended_result
from tests.vfs.contract.files import (
    EXCLUSIVE,
    MAIN,
    MAIN_READONLY,
    NONE,
    PENDING,
    RESERVED,
    SHARED,
    Open,
    commit,
    pattern,
    roll_back,
    store_bytes,
    stored,
    write_locked,
)


def test_every_lock_transition_of_a_pager_works(opened: Open) -> None:
    """Up step by step or at once, down to SHARED or to NONE, again and again; asking for what one has is harmless."""
    file = opened()
    for up in ((SHARED, RESERVED, PENDING, EXCLUSIVE), (SHARED, RESERVED, EXCLUSIVE), (SHARED, RESERVED), (SHARED,)):
        for down in ((SHARED, NONE), (NONE,), (SHARED, SHARED, NONE, NONE)):
            for level in up:
                file.xLock(level)
                file.xLock(level)
            for level in down:
                file.xUnlock(level)
            assert not file.xCheckReservedLock()


def test_write_without_reserved_is_refused(opened: Open) -> None:
    """Code that holds no writer lock cannot change a cluster."""
    file = opened()
    store_bytes(file, pattern(4096))
    file.xLock(SHARED)
    with pytest.raises(apsw.IOError, match="written to without"):
        file.xWrite(b"x", 0)
    with pytest.raises(apsw.IOError, match="written to without"):
        file.xTruncate(0)
    file.xUnlock(NONE)
    assert stored(file) == pattern(4096)


def test_exclusive_without_reserved_is_refused(opened: Open) -> None:
    """EXCLUSIVE cannot be taken without the writer lock."""
    file, other = opened(), opened()
    file.xLock(SHARED)
    with pytest.raises(apsw.BusyError):
        file.xLock(EXCLUSIVE)
    file.xUnlock(NONE)
    write_locked(other)
    roll_back(other)


def test_second_writer_is_busy(opened: Open) -> None:
    """One writer at a time; the second gets the lock when the first is done, whether it committed or not."""
    first, second = opened(), opened()
    first.xLock(SHARED)
    first.xLock(RESERVED)
    second.xLock(SHARED)
    with pytest.raises(apsw.BusyError) as caught:
        second.xLock(RESERVED)
    assert extended_result(caught.value) == apsw.SQLITE_BUSY
    roll_back(first)
    second.xLock(RESERVED)
    roll_back(second)


def test_stale_snapshot_cannot_become_the_writer(opened: Open) -> None:
    """A transaction that reads an older version must begin anew before it writes."""
    stale, writer = opened(), opened()
    stale.xLock(SHARED)
    store_bytes(writer, pattern(4096))
    with pytest.raises(apsw.BusyError) as caught:
        stale.xLock(RESERVED)
    assert extended_result(caught.value) == apsw.SQLITE_BUSY_SNAPSHOT
    assert stale.xFileSize() == 0, "it still reads its own version"
    stale.xUnlock(NONE)
    write_locked(writer)  # the refused one kept no lock
    roll_back(writer)
    write_locked(stale)
    roll_back(stale)


def test_writers_of_a_clone_and_its_source_do_not_wait(store: clusterdb.Store, opened: Open) -> None:
    """Each cluster has its own writer lock."""
    store.cluster("prod").clone("dev")
    one, other = opened("prod"), opened("dev")
    write_locked(one)
    write_locked(other)
    assert opened("dev", MAIN_READONLY).xCheckReservedLock()
    one.xWrite(b"prod", 0)
    other.xWrite(b"dev", 0)
    commit(one)
    commit(other)
    assert (stored(one), stored(other)) == (b"prod", b"dev")


def test_check_reserved_lock_reports_any_writer(opened: Open) -> None:
    """True for the writer itself and for everyone else, only while there is a writer."""
    writer, other = opened(), opened()
    assert not other.xCheckReservedLock()
    writer.xLock(SHARED)
    other.xLock(SHARED)
    assert not other.xCheckReservedLock()
    writer.xLock(RESERVED)
    assert writer.xCheckReservedLock()
    assert other.xCheckReservedLock()
    writer.xUnlock(SHARED)
    assert not writer.xCheckReservedLock()
    assert not other.xCheckReservedLock()
    writer.xUnlock(NONE)
    other.xUnlock(NONE)


@pytest.mark.parametrize("level", [SHARED, NONE])
def test_unlock_without_commit_rolls_back(opened: Open, level: int) -> None:
    """Changes that were synced but not published are forgotten."""
    file, data = opened(), pattern(2 * 4096)
    store_bytes(file, data)
    write_locked(file)
    file.xWrite(pattern(9000, seed=50), 100)
    file.xTruncate(7777)
    file.xSync(apsw.SQLITE_SYNC_FULL)
    file.xUnlock(level)
    if level == SHARED:
        assert file.xFileSize() == len(data)
        assert bytes(file.xRead(20000, 0)) == data
        file.xUnlock(NONE)
    assert stored(file) == stored(opened()) == data


def test_close_rolls_back_and_lets_the_next_writer_in(store: clusterdb.Store, opened: Open) -> None:
    """A connection that goes away in the middle of a transaction leaves nothing behind."""
    store_bytes(opened(), pattern(4096))
    left = apsw.VFSFile(store.vfs, "prod", [MAIN, 0])
    write_locked(left)
    left.xWrite(b"half a transaction", 0)
    left.xClose()
    after = opened()
    write_locked(after)
    assert bytes(after.xRead(4096, 0)) == pattern(4096)
    roll_back(after)


def test_store_closes_though_an_error_refers_to_a_closed_file() -> None:
    """A store closes once its files are closed, though a caught error still refers to one of them."""
    store = clusterdb.open(":memory:")
    store.create_cluster("prod")
    file = apsw.VFSFile(store.vfs, "prod", [MAIN_READONLY, 0])
    file.xLock(SHARED)
    with pytest.raises(apsw.ReadOnlyError) as caught:
        file.xLock(RESERVED)
    file.xClose()
    store.close()
    assert "prod" in str(caught.value)
