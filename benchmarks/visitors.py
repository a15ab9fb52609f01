"""Programs that read a database on object storage: clusterdb and Litestream's VFS, each in a process of its own.

``python visitors.py clusterdb|litestream URL ROWS`` prints a line of JSON: the milliseconds of loading the libraries,
of opening, of the first query and of 100 others, and the peak memory of the process.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

__all__: list[str] = []

Query = Callable[[int], list[Any]]
_SQL = "SELECT n, body FROM t WHERE id = ?"


def clusterdb_visitor() -> Callable[[str], Query]:
    """Loads clusterdb and its client; returns what opens a repository with the database ``prod``."""
    import obstore.store  # noqa: F401 - it is imported when it is first used

    import clusterdb
    import clusterdb.remote.visiting

    open_store = clusterdb.open  # the public names are imported when the first one is looked up

    def visit(url: str) -> Query:
        connection = open_store(url).cluster("prod").connect()
        return lambda key: connection.execute(_SQL, (key,)).fetchall()

    return visit


def litestream_visitor() -> Callable[[str], Query]:
    """Loads Litestream's VFS, which reads the replica at ``$LITESTREAM_REPLICA_URL``."""
    loader = apsw.Connection(":memory:")
    loader.enable_load_extension(True)
    loader.load_extension(importlib.import_module("litestream_vfs").loadable_path())

    def visit(url: str) -> Query:
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection("file:prod?vfs=litestream", flags=flags)
        return lambda key: connection.execute(_SQL, (key,)).fetchall()

    return visit


def _milliseconds(action: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = action()
    return (time.perf_counter() - begin) * 1e3, result


def main() -> None:
    """Visit, and print what it took."""
    kind, url, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    keys = random.Random(1).sample(range(1, rows), 101)
    loaded_ms, visit = _milliseconds({"clusterdb": clusterdb_visitor, "litestream": litestream_visitor}[kind])
    opened_ms, query = _milliseconds(lambda: visit(url))
    first_ms, first = _milliseconds(lambda: query(keys[0]))
    others_ms, others = _milliseconds(lambda: [query(key) for key in keys[1:]])
    assert [len(rows) for rows in (first, *others)] == [1] * 101
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    taken = {"load": loaded_ms, "open": opened_ms, "first query": first_ms, "100 queries": others_ms}
    print(json.dumps({**taken, "MB of memory": int(peak.split()[1]) / 1e3}))


if __name__ == "__main__":
    main()
