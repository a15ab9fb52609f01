"""Assertions about stores, and rows of a statement."""

from __future__ import annotations

import apsw

import clusterdb


def assert_clean(store: clusterdb.Store) -> None:
    """Nothing damaged, nothing leaked."""
    report = store.check()
    assert report.problems == []
    assert report.leaked_count == 0


def rows(connection: apsw.Connection, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """All rows of a statement."""
    return connection.execute(sql, values).fetchall()
