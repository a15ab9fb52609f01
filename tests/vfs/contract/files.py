"""SQLite's flags and lock levels, and the calls of its pager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

NONE, SHARED = 0, apsw.SQLITE_LOCK_SHARED
RESERVED, PENDING, EXCLUSIVE = apsw.SQLITE_LOCK_RESERVED, apsw.SQLITE_LOCK_PENDING, apsw.SQLITE_LOCK_EXCLUSIVE
MAIN = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE
MAIN_READONLY = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY
JOURNAL = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
SUPER_JOURNAL = apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
TEMPORARY = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_DELETEONCLOSE
COMMIT_PHASETWO = apsw.SQLITE_FCNTL_COMMIT_PHASETWO

Open = Callable[..., Any]


def write_locked(file: Any) -> None:
    """Take the locks of a write transaction, as SQLite's pager does."""
    for level in (SHARED, RESERVED, EXCLUSIVE):
        file.xLock(level)


def commit(file: Any) -> None:
    """The end of SQLite's commit: sync, publish, and down to no lock."""
    file.xSync(apsw.SQLITE_SYNC_NORMAL)
    file.xFileControl(COMMIT_PHASETWO, 0)
    file.xUnlock(SHARED)
    file.xUnlock(NONE)


def roll_back(file: Any) -> None:
    """The end of a transaction without COMMIT_PHASETWO."""
    file.xUnlock(SHARED)
    file.xUnlock(NONE)


def stored(file: Any) -> bytes:
    """Everything that a new reader sees."""
    file.xLock(SHARED)
    data = bytes(file.xRead(file.xFileSize(), 0))
    assert len(data) == file.xFileSize()
    file.xUnlock(NONE)
    return data


def store_bytes(file: Any, data: bytes, offset: int = 0) -> None:
    """One committed transaction that writes ``data``."""
    write_locked(file)
    file.xWrite(data, offset)
    commit(file)


def pattern(amount: int, seed: int = 1) -> bytes:
    """Bytes without a period of a page, so that a piece from the wrong place shows."""
    return bytes((seed + at * 7 + (at >> 8) * 13) & 255 for at in range(amount))
