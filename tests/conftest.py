"""Fixtures: stores, a database file, and the promise that every store is clean when its test ends."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.stores import assert_clean

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # A job in the background has Ctrl-C ignored, and so would the commands that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of later collections of garbage, each of which walked over them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[clusterdb.Store]:
    """A store, in memory and on disk."""
    store = clusterdb.open(":memory:" if request.param == "memory" else tmp_path / "store")
    yield store
    if not store.context.is_closed:
        assert_clean(store)
        store.close()


@pytest.fixture
def disk_store(tmp_path: Path) -> Iterator[clusterdb.Store]:
    """A store on disk."""
    with clusterdb.open(tmp_path / "store") as store:
        yield store
        assert_clean(store)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A plain database file with a few thousand rows."""
    path = tmp_path / "sample.db"
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT); CREATE INDEX t_n ON t (n);"
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 3000) "
        "INSERT INTO t SELECT x, x % 97, printf('row %d of the sample', x) FROM c"
    )
    connection.close()
    return path
