"""Assertions about stores, and rows of a statement."""

from __future__ import annotations

from pathlib import Path

import apsw

import clusterdb


def assert_clean(store: clusterdb.Store) -> None:
    """Nothing damaged, nothing leaked."""
    report = store.check()
    assert report.problems == []
    assert report.leaked_count == 0


def pool_bytes(path: Path) -> int:
    """The bytes that the page pool of a store takes on the device."""
    return (path / "pool").stat().st_blocks * 512


def rows(connection: apsw.Connection, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """All rows of a statement."""
    return connection.execute(sql, values).fetchall()


def extended_result(error: apsw.Error) -> int:
    """SQLite's extended result code of an error (apsw's type stubs do not know the attribute)."""
    code: int = error.extendedresult  # type: ignore[attr-defined]
    return code
