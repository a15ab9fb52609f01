"""The cost of checking a store."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import clusterdb
from databases import rows_of, source_of
from timing import Results, in_turns, seconds

__all__ = ["care"]


def care(folder: Path, quick: bool) -> Results:
    """What checking costs: a check of everything, and reads that verify every page."""
    size = 64 if quick else 1024
    results: Results = []
    source = source_of(folder, size)
    for verifies in (False, True):
        with clusterdb.open(folder / "care", synchronous="OFF", verify_reads=verifies) as store:
            if not verifies:
                store.create_cluster("prod", from_file=source)
                results.append({"what": f"check of {size} MB", "s": seconds(store.check)})
    with (
        clusterdb.open(folder / "care") as plain,
        clusterdb.open(folder / "care", verify_reads=True) as verifying,
    ):
        connections = {"plain": plain.cluster("prod").connect(), "verifying": verifying.cluster("prod").connect()}
        rows = rows_of(size)

        def scan(name: str) -> float:
            connections[name].execute("PRAGMA shrink_memory").fetchall()
            return seconds(lambda: connections[name].execute("SELECT sum(length(body)) FROM t").fetchall())

        def points(name: str) -> float:
            rng = random.Random(1)
            sql = "SELECT n FROM t WHERE id = ?"
            return seconds(
                lambda: [connections[name].execute(sql, (rng.randrange(1, rows),)).fetchall() for _ in range(3000)]
            )

        for what, action in (("scan", scan), ("point reads", points)):
            taken = in_turns(3, {name: functools.partial(action, name) for name in connections})
            results.append(
                {
                    "what": f"{what}, verify_reads / not",
                    "s": taken["verifying"],
                    "ratio": taken["verifying"] / taken["plain"],
                }
            )
        for connection in connections.values():
            connection.close()
    return results
