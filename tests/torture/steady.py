"""Steady state: what goes on for long leaves the pool as large as what is in it."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import clusterdb
from tests.torture.worlds import fill


class Violation(AssertionError):
    """The pool grew more than it may."""


ROWS = 20_000
SLACK_BYTES = 16 << 20


def _store(folder: str, synchronous: str) -> clusterdb.Store:
    store = clusterdb.open(Path(folder) / "store", synchronous=synchronous)  # type: ignore[arg-type]
    connection = store.create_cluster("one", backup_retention_days=0).connect()
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body BLOB);"
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ?) "
        "INSERT INTO t SELECT x, 0, randomblob(400) FROM c",
        (ROWS,),
    )
    connection.close()
    return store


def updates(count: int, synchronous: str = "NORMAL") -> float:
    """So many one-row updates: the pool file stays within 1.5 times the live data and 16 MiB.  Returns the ratio."""
    rng = random.Random(count)
    with tempfile.TemporaryDirectory() as folder, _store(folder, synchronous) as store:
        connection = store.cluster("one").connect()
        live = store.cluster("one").stats().own_bytes
        for number in range(count):
            connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (rng.randrange(1, ROWS + 1),))
            if number % 10_000 == 9_999:
                pool_bytes = store.stats().pool_bytes
                if pool_bytes > 1.5 * live + SLACK_BYTES:
                    raise Violation(f"after {number + 1} updates the pool has {pool_bytes} bytes for {live}")
        connection.close()
        _require_clean(store)
        return store.stats().pool_bytes / live


def pinned_reader(count: int) -> int:
    """A reader keeps its version over so many commits: what is used grows by no more than that version holds."""
    rng = random.Random(count)
    with tempfile.TemporaryDirectory() as folder, _store(folder, "OFF") as store:
        before = store.stats().used_bytes
        reader = store.cluster("one").connect(read_only=True)
        reader.execute("BEGIN")
        total = reader.execute("SELECT sum(n) FROM t").get
        connection = store.cluster("one").connect()
        for _ in range(count):
            connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (rng.randrange(1, ROWS + 1),))
        used = store.stats().used_bytes
        if used > 2 * before + (4 << 20):
            raise Violation(f"{used} bytes in use while a reader holds {before}")
        if reader.execute("SELECT sum(n) FROM t").get != total:
            raise Violation("the reader's version changed")
        reader.close()
        connection.close()
        _require_clean(store)
        return used


def rounds(count: int) -> None:
    """So many rounds of clone, write, drop: as much is in use as in the beginning."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.db"
        fill(source, 1)
        with clusterdb.open(Path(folder) / "store") as store:
            base = store.create_cluster("base", from_file=source)
            before = store.stats().used_bytes
            for number in range(count):
                clone = base.clone(f"c{number}")
                connection = clone.connect()
                connection.execute("UPDATE t SET number = ?", (number,))
                connection.close()
                clone.delete()
            if store.stats().used_bytes != before:
                raise Violation(f"{store.stats().used_bytes} bytes in use after {count} rounds, {before} before")
            _require_clean(store)


def _require_clean(store: clusterdb.Store) -> None:
    report = store.check()
    if report.problems or report.leaked_count:
        raise Violation(f"{report.problems[:3]}, {report.leaked_count} leaked")
