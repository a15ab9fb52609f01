"""The past of clusters, failover, and readers that lag."""

from __future__ import annotations

import random
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import clusterdb
from timing import Results, in_turns, seconds

__all__ = ["past"]


def past(folder: Path, quick: bool) -> Results:
    """Cloning a past version beside the head, with that many versions retained; failover; the lag of readers."""
    count = 2_000 if quick else 100_000
    results: Results = []
    with clusterdb.open(folder / "past", synchronous="OFF") as store:
        prod = store.create_cluster("prod", backup_retention_days=1)
        with closing(prod.connect()) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 0)")
            for n in range(count):
                connection.execute("UPDATE t SET n = ?", (n,))
        newest, serial = prod.stats().version, iter(range(1 << 30))
        moments = [
            record.time_ns
            for record in store.context.pages.history.between(store.context.volume_of(prod).volume, 3, newest)
        ]

        def clone(at: clusterdb.Point | None) -> float:
            name = f"c{next(serial)}"
            taken = seconds(lambda: prod.clone(name, at=at))
            store.cluster(name).delete()
            return taken

        taken = in_turns(
            100,
            {
                "the head": lambda: clone(None),
                "a past version": lambda: clone(random.randrange(3, newest)),
                "a past time": lambda: clone(
                    datetime.fromtimestamp(random.choice(moments) / 1e9 + 1e-5, tz=timezone.utc)
                ),
            },
        )
        for what, value in taken.items():
            results.append(
                {
                    "what": f"clone {what}, {count} versions retained",
                    "ms": value * 1e3,
                    "ratio": value / taken["the head"],
                }
            )
    with clusterdb.open(folder / "failover") as store:
        prod = store.create_cluster("prod")
        for name in ("a", "b", "c"):
            prod.add_instance(name)
        failing = []
        for _ in range(50 if quick else 1000):
            old = prod.connect()
            old.execute("CREATE TABLE IF NOT EXISTS t (n); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")

            def fail_over_and_write() -> None:
                prod.failover()
                with closing(prod.connect()) as new:
                    new.execute("INSERT INTO t VALUES (2)")

            failing.append(seconds(fail_over_and_write))
            old.close()
        failing.sort()
        for share in (0.5, 0.99, 1.0):
            value = failing[min(len(failing) - 1, int(share * len(failing)))]
            what = f"failover with a writer at work, connect, commit: {share:.0%} of {len(failing)} within"
            results.append({"what": what, "ms": value * 1e3})
    with clusterdb.open(":memory:") as store:
        prod = store.create_cluster("prod")
        prod.add_instance("w")
        prod.add_instance("r", replica_lag_ms=50)
        writer, reader = prod.connect(), prod.connect("r")
        writer.execute("CREATE TABLE t (n)")
        time.sleep(0.1)
        late = []
        for n in range(20 if quick else 100):
            writer.execute("INSERT INTO t VALUES (?)", (n,))
            begin = time.perf_counter()
            while reader.execute("SELECT count(*) FROM t").get <= n:
                time.sleep(0.0005)
            late.append((time.perf_counter() - begin) * 1e3 - 50)
        writer.close()
        reader.close()
        results.append({"what": "a reader set to lag 50 ms: off by, at most", "ms": max(map(abs, late))})
    return results
