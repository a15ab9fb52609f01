"""The table of the fixture ``connection``, and what is in it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from clusterdb import dbapi2


def bug(reason: str) -> pytest.MarkDecorator:
    """A known deviation: the test says what is right, and turns red when it comes true."""
    return pytest.mark.xfail(strict=True, reason=reason)


def fill(connection: dbapi2.Connection) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)")
    connection.executemany("INSERT INTO t (b) VALUES (?)", [(letter,) for letter in "abcde"])
    connection.commit()


def ids(cursor: dbapi2.Cursor) -> list[int]:
    return [row[0] for row in cursor.fetchall()]


def count(connection: dbapi2.Connection) -> int:
    (answer,) = connection.execute("SELECT count(*) FROM t").fetchone()
    assert isinstance(answer, int)
    return answer


def anonymous(keeper: dbapi2.Connection) -> set[str]:
    """The clusters of the store that ``keeper``, an anonymous cluster's connection, lives in."""
    assert keeper.cluster is not None
    return {cluster.name for cluster in keeper.cluster.store.clusters()}


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def names(cursor: dbapi2.Cursor) -> list[str]:
    return [column[0] for column in cursor.description or ()]
