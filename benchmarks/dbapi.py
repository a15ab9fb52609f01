"""The DB-API module beside the sqlite3 module of CPython."""

from __future__ import annotations

import functools
import sqlite3
from pathlib import Path
from typing import Any

import clusterdb
from timing import Results, in_turns, processor_seconds

__all__ = ["dbapi"]


def dbapi(folder: Path, quick: bool) -> Results:
    """The DB-API beside CPython's sqlite3 and apsw's own cursor on the same cluster: processor time."""
    count = 10_000 if quick else 100_000
    statements = {
        "SELECT 1": "SELECT ?",
        "SELECT by key": "SELECT b FROM t WHERE a = ?",
        "INSERT": "INSERT INTO t (b) VALUES (?)",
        "UPDATE": "UPDATE t SET b = b + 1 WHERE a = ?",
    }
    results: Results = []
    totals = {"clusterdb": 0.0, "sqlite3": 0.0}

    def executed(module: Any, sql: str) -> float:
        connection = module.connect(":memory:")
        connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b)")
        connection.executemany("INSERT INTO t VALUES (?, 0)", [(n,) for n in range(1000)])
        execute = connection.cursor().execute
        taken = processor_seconds(lambda: [execute(sql, (n % 1000,)) for n in range(count)] and None)
        connection.close()
        return taken

    for what, sql in statements.items():
        taken = in_turns(5, {m.__name__: functools.partial(executed, m, sql) for m in (clusterdb, sqlite3)})
        for name in totals:
            totals[name] += taken[name]
        ratio = taken["sqlite3"] / taken["clusterdb"]
        results.append({"what": f"{count:,} times {what}: as fast as sqlite3", "s": taken["clusterdb"], "ratio": ratio})
    ratio = totals["sqlite3"] / totals["clusterdb"]
    results.append({"what": "all four: as fast as sqlite3", "s": totals["clusterdb"], "ratio": ratio})

    rows = 10 * count
    fill = (
        "INSERT INTO t WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ?) SELECT x, 'text', x * 0.5 FROM c"
    )
    ours, plain = clusterdb.connect(":memory:"), sqlite3.connect(":memory:")
    for connection in (ours, plain):
        connection.execute("CREATE TABLE t (x, y, z)")
        connection.execute(fill, (rows,))

    def fetched(connection: Any) -> float:
        return processor_seconds(lambda: connection.execute("SELECT * FROM t").fetchall() and None)

    def looped(connection: Any) -> float:
        return processor_seconds(lambda: [None for _ in connection.execute("SELECT * FROM t")] and None)

    for what, action in (("fetchall", fetched), ("for loop", looped)):
        peers = {"clusterdb": ours, "apsw": ours.apsw, "sqlite3": plain}
        taken = in_turns(5, {name: functools.partial(action, peer) for name, peer in peers.items()})
        for peer in ("apsw", "sqlite3"):
            ratio = taken[peer] / taken["clusterdb"]
            results.append(
                {"what": f"{rows:,} rows, {what}: as fast as {peer}", "s": taken["clusterdb"], "ratio": ratio}
            )
    for connection in (ours, plain):
        connection.close()
    return results
