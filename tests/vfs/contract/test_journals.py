"""Journals are files in memory."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import vfs_of
from tests.vfs.contract.files import JOURNAL, NONE, SHARED, SUPER_JOURNAL, Open


def test_journal_is_a_file_in_memory(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads back what was written, zeros where nothing was, shrinks when truncated, and is no file on disk."""
    monkeypatch.chdir(tmp_path)
    journal = opened("prod-journal", JOURNAL)
    assert journal.xFileSize() == 0
    assert bytes(journal.xRead(10, 0)) == b""
    journal.xWrite(b"header", 0)
    journal.xWrite(b"record", 512)
    journal.xWrite(b"HEAD", 0)
    assert journal.xFileSize() == 518
    assert bytes(journal.xRead(8, 0)) == b"HEADer\0\0"
    assert bytes(journal.xRead(100, 510)) == b"\0\0record"
    journal.xSync(apsw.SQLITE_SYNC_NORMAL)
    journal.xTruncate(5)
    assert journal.xFileSize() == 5
    assert bytes(journal.xRead(100, 0)) == b"HEADe"
    journal.xWrite(b"x", 8)
    assert bytes(journal.xRead(100, 0)) == b"HEADe\0\0\0x"
    assert list(tmp_path.rglob("prod*")) == []


def test_super_journal_is_a_real_file(store: clusterdb.Store, opened: Open) -> None:
    """The journals of attached plain files refer to it by its full path, so it must be there after a crash."""
    path = Path(f"{vfs_of(store).xFullPathname('prod')}-mj0A1B2C93D")
    assert not vfs_of(store).xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)
    opened(str(path), SUPER_JOURNAL).xWrite(b"/somewhere/plain.db-journal\0", 0)
    assert path.read_bytes() == b"/somewhere/plain.db-journal\0"
    assert vfs_of(store).xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)
    vfs_of(store).xDelete(str(path), False)
    assert not path.exists()


def test_write_ahead_log_is_refused(store: clusterdb.Store, opened: Open) -> None:
    """SQLite cannot open one in any way."""
    wal = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    for name in ("prod-wal", vfs_of(store).xFullPathname("prod-wal")):
        with pytest.raises(apsw.CantOpenError, match="prod"):
            vfs_of(store).xOpen(name, [wal, 0])


def test_journals_are_private_to_their_connection(opened: Open) -> None:
    """Two connections have two journals, and one that is opened anew is empty: there are no hot journals."""
    one, other = opened("prod-journal", JOURNAL), opened("prod-journal", JOURNAL)
    one.xWrite(b"of the first connection", 0)
    assert other.xFileSize() == 0
    one.xClose()
    assert opened("prod-journal", JOURNAL).xFileSize() == 0


def test_journal_implements_every_method(opened: Open) -> None:
    """Locks, controls and characteristics of a journal claim nothing."""
    journal = opened("prod-journal", JOURNAL)
    journal.xLock(SHARED)
    journal.xUnlock(NONE)
    assert journal.xCheckReservedLock() is False
    assert journal.xFileControl(apsw.SQLITE_FCNTL_SIZE_HINT, 0) is False
    assert journal.xSectorSize() in (512, 4096)
    assert journal.xDeviceCharacteristics() == 0
