"""Measure clusterdb beside its alternatives: ``python benchmarks/run.py [--quick] [GROUP...]``.

Every figure is a median over rounds that take turns with the peers it is compared with, so that a drift of the machine
hits all of them.  Results go to standard output as tables and to ``benchmarks/results.json``.  ``--compare`` shows them
beside those of the last release, ``--record`` adds them to ``benchmarks/history.json`` as those of the present version.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import json
import os
import platform
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apsw
from tabulate import tabulate

import clusterdb
import history
from clusterdb.testing.runs import Run
from clusterdb.testing.seeds import recipe

HERE = Path(__file__).parent
ROW_BYTES = 300
Results = list[dict[str, Any]]


def seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def in_turns(rounds: int, actions: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The median of what each action returns, all of them run once a round."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(action())
    return {name: statistics.median(values) for name, values in taken.items()}


def build(path: Path, megabytes: float) -> Path:
    """A plain database of about that size: one table with a blob of 300 bytes a row."""
    if not path.exists():
        database = apsw.Connection(str(path))
        database.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF").fetchall()
        count = max(1, int(megabytes * (1 << 20) / (ROW_BYTES + 16)))
        database.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body BLOB);"
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ?) "
            "INSERT INTO t SELECT x, x % 1000, randomblob(?) FROM c",
            (count, ROW_BYTES),
        )
        database.close()
    return path


def rows_of(megabytes: float) -> int:
    return max(1, int(megabytes * (1 << 20) / (ROW_BYTES + 16)))


class Forkdb:
    """forkdb 0.1.0 through apsw, so that both are driven by the same SQLite and the same Python layer."""

    def __init__(self, path: Path, source: Path) -> None:
        import forkdb

        self.path = str(path)
        self.host = apsw.Connection(":memory:")
        self.host.enable_load_extension(True)
        self.host.load_extension(forkdb.extension_path())
        self.call("forkdb_init")
        main = self.open("main")
        with closing(apsw.Connection(str(source))) as database, main.backup("main", database, "main") as backup:
            backup.step(-1)
        main.close()

    def call(self, function: str, *values: str) -> Any:
        marks = ", ".join("?" * (1 + len(values)))
        return self.host.execute(f"SELECT {function}({marks})", (self.path, *values)).get

    def open(self, name: str) -> apsw.Connection:
        uri = self.call("forkdb_open_db", name)
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE)


def use(connection: apsw.Connection, rows: int) -> None:
    """What a small test does: five reads, one transaction of ten rows."""
    for step in range(5):
        connection.execute("SELECT n, length(body) FROM t WHERE id = ?", (1 + step * rows // 5,)).fetchall()
    connection.execute("BEGIN IMMEDIATE")
    for step in range(10):
        connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (1 + step * rows // 10,))
    connection.execute("COMMIT")
    connection.close()


def clone_time(folder: Path, quick: bool) -> Results:
    """Clone p50 at sizes from 1 MB to 1 GB, and the alternatives at 64 MB."""
    sizes = [1, 16, 64] if quick else [1, 16, 64, 256, 1024]
    count = 100 if quick else 300
    results: Results = []
    with clusterdb.open(":memory:") as memory, clusterdb.open(folder / "clones") as durable:
        for size in sizes:
            source = build(folder / f"{size}.db", size)
            for store in (memory, durable):
                store.create_cluster(f"s{size}", from_file=source)
        serial = iter(range(1_000_000))

        def once(store: clusterdb.Store, size: int) -> float:
            cluster = store.cluster(f"s{size}")
            return seconds(lambda: cluster.clone(f"c{next(serial)}"))

        taken = in_turns(
            count,
            {
                f"{kind} {size} MB": (lambda store=store, size=size: once(store, size))
                for size in sizes
                for kind, store in ((":memory:", memory), ("durable", durable))
            },
        )
        for name, value in taken.items():
            results.append({"what": f"clone, {name}", "ms": value * 1e3})
        for kind in (":memory:", "durable"):
            samples = [taken[f"{kind} {size} MB"] for size in sizes]
            results.append(
                {"what": f"clone, {kind}: slowest size / fastest size", "ratio": max(samples) / min(samples)}
            )
        source = folder / "64.db"
        forkdb = Forkdb(folder / "forkdb.fk", source)
        copies = iter(range(1_000_000))

        def copy_file() -> float:
            target = folder / f"copy{next(copies)}.db"
            taken = seconds(lambda: shutil.copyfile(source, target))
            target.unlink()
            return taken

        def backup() -> float:
            target = folder / f"backup{next(copies)}.db"

            def run() -> None:
                with (
                    closing(apsw.Connection(str(source))) as one,
                    closing(apsw.Connection(str(target))) as two,
                    two.backup("main", one, "main") as copy,
                ):
                    copy.step(-1)

            taken = seconds(run)
            target.unlink()
            return taken

        peers = in_turns(
            count,
            {
                "clusterdb :memory:": lambda: once(memory, 64),
                "clusterdb durable": lambda: once(durable, 64),
                "forkdb": lambda: seconds(lambda: forkdb.call("forkdb_fork", "main", f"f{next(serial)}")),
            },
        ) | in_turns(5, {"file copy": copy_file, "backup API": backup})
        for name, value in peers.items():
            results.append({"what": f"64 MB beside peers, {name}", "ms": value * 1e3})
        results.append({"what": "clusterdb durable / forkdb", "ratio": peers["clusterdb durable"] / peers["forkdb"]})
    return results


def test_cycle(folder: Path, quick: bool) -> Results:
    """Clone, connect, five reads, one transaction of ten rows, close, drop; 64 MB."""
    source = build(folder / "64.db", 64)
    rows = rows_of(64)
    serial = iter(range(1_000_000))
    with clusterdb.open(":memory:") as memory, clusterdb.open(folder / "cycles") as durable:
        for store in (memory, durable):
            store.create_cluster("base", from_file=source)
        forkdb = Forkdb(folder / "cycles.fk", source)

        def cycle(store: clusterdb.Store) -> None:
            clone = store.cluster("base").clone(f"c{next(serial)}")
            use(clone.connect(), rows)
            clone.delete()

        def fork_cycle() -> None:
            name = f"f{next(serial)}"
            forkdb.call("forkdb_fork", "main", name)
            use(forkdb.open(name), rows)
            forkdb.call("forkdb_discard", name)

        def copy_cycle() -> None:
            target = folder / f"cycle{next(serial)}.db"
            shutil.copyfile(source, target)
            use(apsw.Connection(str(target)), rows)
            target.unlink()

        taken = (
            in_turns(100 if quick else 500, {"clusterdb :memory:": lambda: seconds(lambda: cycle(memory))})
            | in_turns(
                100 if quick else 500,
                {
                    "clusterdb durable": lambda: seconds(lambda: cycle(durable)),
                    "forkdb": lambda: seconds(fork_cycle),
                },
            )
            | in_turns(5, {"file copy": lambda: seconds(copy_cycle)})
        )
    results: Results = [{"what": f"test cycle, {name}", "ms": value * 1e3} for name, value in taken.items()]
    results.append({"what": "test cycle, durable / forkdb", "ratio": taken["clusterdb durable"] / taken["forkdb"]})
    return results


def speed(folder: Path, quick: bool) -> Results:
    """A clone against a plain SQLite file in WAL mode, without and with mmap: how many times as fast."""
    source = build(folder / "64.db", 64)
    rows = rows_of(64)
    for name in ("wal", "mmap"):
        shutil.copyfile(source, folder / f"{name}.db")
    store = clusterdb.open(folder / "speed")
    clone = store.create_cluster("base", from_file=source).clone("clone")

    def plain(name: str) -> apsw.Connection:
        connection = apsw.Connection(str(folder / f"{name}.db"))
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        if name == "mmap":
            connection.execute(f"PRAGMA mmap_size = {1 << 30}").fetchall()
        return connection

    openers: dict[str, Callable[[], apsw.Connection]] = {
        "plain WAL": lambda: plain("wal"),
        "plain WAL, mmap": lambda: plain("mmap"),
        "clone": clone.connect,
    }
    rng = random.Random(1)
    few = 2_000 if quick else 10_000

    def scan(connection: apsw.Connection) -> None:
        connection.execute("SELECT sum(length(body)), sum(n) FROM t").fetchall()

    def points(connection: apsw.Connection) -> None:
        for _ in range(few):
            connection.execute("SELECT n, body FROM t WHERE id = ?", (rng.randrange(1, rows),)).fetchall()

    def points_in_transaction(connection: apsw.Connection) -> None:
        connection.execute("BEGIN")
        points(connection)
        connection.execute("COMMIT")

    def bulk(connection: apsw.Connection) -> None:
        connection.execute("UPDATE t SET n = n + 1")

    def commits(mode: str, count: int) -> Callable[[apsw.Connection], None]:
        def run(connection: apsw.Connection) -> None:
            connection.execute(f"PRAGMA synchronous = {mode}").fetchall()
            for _ in range(count):
                connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (rng.randrange(1, rows),))

        return run

    workloads: dict[str, tuple[bool, Callable[[apsw.Connection], None]]] = {
        "cold full scan": (True, scan),
        "point reads, autocommit": (False, points),
        "point reads, in a transaction": (False, points_in_transaction),
        "bulk update, one transaction": (True, bulk),
        "one-row commits, NORMAL": (False, commits("NORMAL", few // 5)),
        "one-row commits, FULL": (False, commits("FULL", few // 20)),
    }
    results: Results = []
    for what, (cold, work) in workloads.items():
        connections = {name: opener() for name, opener in openers.items()}
        if not cold:
            for connection in connections.values():
                work(connection)

        def once(
            name: str,
            cold: bool = cold,
            work: Callable[[apsw.Connection], None] = work,
            connections: dict[str, apsw.Connection] = connections,
        ) -> float:
            if not cold:
                return seconds(lambda: work(connections[name]))
            connection = openers[name]()
            taken = seconds(lambda: work(connection))
            connection.close()
            return taken

        taken = in_turns(5 if quick else 9, {name: (lambda name=name: once(name)) for name in openers})
        for connection in connections.values():
            connection.close()
        results.append(
            {
                "what": what,
                **{f"{name}, ms": value * 1e3 for name, value in taken.items()},
                "clone / plain WAL": taken["plain WAL"] / taken["clone"],
                "clone / mmap": taken["plain WAL, mmap"] / taken["clone"],
            }
        )
    store.close()
    return results


def growth(folder: Path, quick: bool) -> Results:
    """What a clone that updates one row adds to the pool, and that dropping returns it."""
    count = 100 if quick else 1000
    source = build(folder / "64.db", 64)
    rng = random.Random(2)
    with clusterdb.open(folder / "growth") as store:
        base = store.create_cluster("base", from_file=source)
        before = store.stats()
        clones = []
        for number in range(count):
            clone = base.clone(f"c{number}")
            connection = clone.connect()
            connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (rng.randrange(1, rows_of(64)),))
            connection.close()
            clones.append(clone)
        full = store.stats()
        for clone in clones:
            clone.delete()
        after = store.stats()
    return [
        {
            "what": f"{count} clones that update one row each",
            "KiB used a clone": (full.used_bytes - before.used_bytes) / count / 1024,
            "KiB of pool file a clone": (full.pool_bytes - before.pool_bytes) / count / 1024,
            "slots left after dropping all": (after.used_bytes - before.used_bytes) // 4096,
        }
    ]


_MEMORY = """
import sys, clusterdb
def anonymous():
    for line in open('/proc/self/status'):
        if line.startswith('RssAnon'):
            return int(line.split()[1]) / 1024
what, store, source = sys.argv[1:]
with clusterdb.open(store) as store:
    before = peak = anonymous()
    def look(*_):
        global peak
        peak = max(peak, anonymous())
    if what == 'import':
        store.create_cluster('big', from_file=source, progress=look)
    else:
        connection = store.cluster('big').connect()
        for number, row in enumerate(connection.execute('SELECT n, length(body) FROM t')):
            if not number % 10000:
                look()
    look()
print(before, peak)
"""


def memory(folder: Path, quick: bool) -> Results:
    """Anonymous memory (not the shared mapping of the pool) while importing and scanning 1 GB in one transaction."""
    size = 64 if quick else 1024
    source = build(folder / f"{size}.db", size)
    results: Results = []
    for what in ("import", "scan"):
        output = subprocess.run(
            [sys.executable, "-c", _MEMORY, what, folder / "memory", source], check=True, capture_output=True, text=True
        )
        before, peak = map(float, output.stdout.split())
        results.append({"what": f"{what} of {size} MB", "anonymous MiB before": before, "peak": peak})
    return results


def opening(folder: Path, quick: bool) -> Results:
    """Connecting to a cluster and reading one row, by its size."""
    sizes = [1, 64] if quick else [1, 64, 1024]
    with clusterdb.open(folder / "opening") as store:
        for size in sizes:
            store.create_cluster(f"s{size}", from_file=build(folder / f"{size}.db", size))

        def once(size: int) -> None:
            connection = store.cluster(f"s{size}").connect()
            connection.execute("SELECT n FROM t WHERE id = 1").fetchall()
            connection.close()

        def plain(size: int) -> None:
            connection = apsw.Connection(str(folder / f"{size}.db"))
            connection.execute("SELECT n FROM t WHERE id = 1").fetchall()
            connection.close()

        taken = in_turns(
            200,
            {f"clusterdb, {size} MB": (lambda size=size: seconds(lambda: once(size))) for size in sizes}
            | {f"plain file, {size} MB": (lambda size=size: seconds(lambda: plain(size))) for size in sizes},
        )
    return [{"what": f"connect and read one row, {name}", "ms": value * 1e3} for name, value in taken.items()]


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


def care(folder: Path, quick: bool) -> Results:
    """What checking costs: a check of everything, and reads that verify every page."""
    size = 64 if quick else 1024
    results: Results = []
    source = build(folder / f"{size}.db", size)
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
            taken = in_turns(3, {name: (lambda name=name, action=action: action(name)) for name in connections})
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


def dbapi(folder: Path, quick: bool) -> Results:
    """The DB-API beside CPython's sqlite3 and apsw's own cursor, in one open transaction; anonymous clusters."""
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
        taken = seconds(lambda: [execute(sql, (n % 1000,)) for n in range(count)] and None)
        connection.close()
        return taken

    for what, sql in statements.items():
        taken = in_turns(5, {m.__name__: (lambda m=m, sql=sql: executed(m, sql)) for m in (clusterdb, sqlite3)})
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
    ours, theirs, plain = clusterdb.connect(":memory:"), apsw.Connection(":memory:"), sqlite3.connect(":memory:")
    for connection in (ours, theirs, plain):
        connection.execute("CREATE TABLE t (x, y, z)")
        connection.execute(fill, (rows,))

    def fetched(connection: Any) -> float:
        return seconds(lambda: connection.execute("SELECT * FROM t").fetchall() and None)

    def looped(connection: Any) -> float:
        return seconds(lambda: [None for _ in connection.execute("SELECT * FROM t")] and None)

    for what, action in (("fetchall", fetched), ("for loop", looped)):
        peers = {"clusterdb": ours, "apsw": theirs, "sqlite3": plain}
        taken = in_turns(5, {name: (lambda peer=peer, action=action: action(peer)) for name, peer in peers.items()})
        for peer in ("apsw", "sqlite3"):
            ratio = taken[peer] / taken["clusterdb"]
            results.append(
                {"what": f"{rows:,} rows, {what}: as fast as {peer}", "s": taken["clusterdb"], "ratio": ratio}
            )
    for connection in (ours, theirs, plain):
        connection.close()
    return results


_TESTS = """
import pytest
@pytest.mark.parametrize("n", range({count}))
def test_it({fixtures}n): ...
"""


def fixtures(folder: Path, quick: bool) -> Results:
    """What a test pays for a database of its own: clone, connect, read a row, change one, close, drop."""
    sizes = [1 / 16, 1 / 4, 1, 4, 64] if quick else [1 / 16, 1 / 4, 1, 4, 16, 64, 1024]
    results: Results = []
    taken: dict[str, dict[float, float]] = {}
    serial = iter(range(1_000_000))
    machinery = {"clone fixture, :memory:": Run(":memory:"), "clone fixture, on disk": Run(folder / "fixtures")}
    for size in sizes:
        source, rows = build(folder / f"{size}.db", size), rows_of(size)
        content = source.read_bytes()
        templates = {kind: run.templates.cluster(recipe(source)) for kind, run in machinery.items()}

        def cloned(
            kind: str, works: bool, templates: dict[str, clusterdb.Cluster] = templates, rows: int = rows
        ) -> float:
            run = machinery[kind]

            def test() -> None:
                clone = run.clone(templates[kind])
                if works:
                    work(clone.connect(), rows)
                run.drop(clone)

            return seconds(test)

        def copied(source: Path = source, rows: int = rows) -> float:
            target = folder / f"fixture{next(serial)}.db"

            def test() -> None:
                shutil.copyfile(source, target)
                with closing(sqlite3.connect(target)) as connection:
                    connection.execute("PRAGMA synchronous = OFF")
                    work(connection, rows)
                target.unlink()

            return seconds(test)

        def deserialized(content: bytes = content, rows: int = rows) -> float:
            def test() -> None:
                with closing(sqlite3.connect(":memory:")) as connection:
                    connection.deserialize(content)
                    work(connection, rows)

            return seconds(test)

        def work(connection: Any, rows: int) -> None:
            connection.execute("SELECT n FROM t WHERE id = ?", (rows // 2,)).fetchall()
            connection.execute("UPDATE t SET n = n + 1 WHERE id = 1")
            connection.commit()

        actions = {kind: (lambda kind=kind: cloned(kind, works=True)) for kind in machinery}
        peers = {"file copy": copied, "sqlite3 deserialize": deserialized}
        times = in_turns(100 if quick else 300, actions) | in_turns(5 if size > 16 else 100, peers)
        times |= {
            f"{kind}, setup and teardown alone": value
            for kind, value in in_turns(
                100 if quick else 300, {kind: (lambda kind=kind: cloned(kind, works=False)) for kind in machinery}
            ).items()
        }
        for what, value in times.items():
            taken.setdefault(what, {})[size] = value
    for what, by_size in taken.items():
        results.append({"what": what} | {f"{size:g} MB, ms": value * 1e3 for size, value in by_size.items()})
    for peer in ("file copy", "sqlite3 deserialize"):
        for kind in machinery:
            cheaper = [size for size in sizes if taken[kind][size] < taken[peer][size]]
            least = f"{min(cheaper):g} MB" if cheaper else "nowhere"
            results.append({"what": f"{kind}: cheaper than {peer} from", "size": least})
    for run in machinery.values():
        run.close()
    return [*results, *_under_pytest(folder, folder / f"{sizes[-1]:g}.db", 200 if quick else 1000)]


def _under_pytest(folder: Path, source: Path, count: int) -> Results:
    """The same as pytest sees it: tests with the fixture beside tests without."""

    def run(count: int, fixtures: str) -> float:
        (folder / "test_it.py").write_text(_TESTS.format(count=count, fixtures=fixtures))
        options = [
            "-q",
            "-p",
            "no:hypothesispytest",
            "-p",
            "no:cacheprovider",
            f"--clusterdb-store={folder / 'pytest'}",
        ]
        command = [sys.executable, "-m", "pytest", *options, f"--clusterdb-seed={source}", folder / "test_it.py"]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        return float(re.findall(r"passed in ([0-9.]+)s", answer.stdout)[0])

    def once(fixtures: str) -> float:
        return (run(count + 1, fixtures) - run(1, fixtures)) / count  # without the start of engine and store

    run(1, "clusterdb, ")  # builds the template
    taken = in_turns(
        3,
        {
            "a test without fixtures": lambda: once(""),
            "a test with fixture clusterdb, on disk": lambda: once("clusterdb, "),
            "a test with clusterdb_connection, on disk": lambda: once("clusterdb_connection, "),
        },
    )
    return [{"what": f"pytest, {what}", "ms": value * 1e3} for what, value in taken.items()]


def differences(folder: Path, quick: bool) -> Results:
    """What differs between a cluster and its clone: time by what was changed, beside reading all rows of both."""
    sizes = [16, 64] if quick else [16, 256, 1024]
    counts = [0, 10, 1000]
    results: Results = []

    def found(before: clusterdb.Cluster, clone: clusterdb.Cluster, count: int) -> float:
        def look() -> None:
            assert sum(len(table.changes) for table in store.diff(before, clone).tables) == count

        return seconds(look)

    def all_read(before: clusterdb.Cluster, clone: clusterdb.Cluster) -> float:
        with closing(clone.connect()) as connection:
            connection.execute("ATTACH ? AS before", (before.name,))
            query = "SELECT * FROM main.t EXCEPT SELECT * FROM before.t"
            return seconds(lambda: connection.execute(query).fetchall())

    with clusterdb.open(folder / "differences") as store:
        for size in sizes:
            rows = rows_of(size)
            before = store.create_cluster(f"s{size}", from_file=build(folder / f"{size}.db", size))
            with closing(before.connect()) as connection:
                connection.execute("CREATE INDEX t_n ON t (n)")
            clones = {count: before.clone(f"s{size}-{count}") for count in counts}
            for count, clone in clones.items():
                with closing(clone.connect()) as connection, connection:
                    changed = [((step + 1) * rows // (count + 1),) for step in range(count)]
                    connection.executemany("UPDATE t SET n = n + 1 WHERE id = ?", changed)

            actions: dict[str, Callable[[], float]] = {
                f"{count} rows": functools.partial(found, before, clone, count) for count, clone in clones.items()
            }
            taken = in_turns(9, actions)
            taken["SELECT ... EXCEPT SELECT ..., 10 rows"] = all_read(before, clones[10])
            results += [{"what": f"diff, {size} MB, {what}", "ms": value * 1e3} for what, value in taken.items()]
    return results


def _dump(kind: str, rows: int) -> str:
    """A dump of one table, as mysqldump and pg_dump write it."""
    values = [
        (f"user{row}@example.com", "it''s a text" + "x" * (row % 30), f"{row % 1000}.{row % 100:02}")
        for row in range(rows)
    ]
    moments = [f"2024-01-{row % 28 + 1:02} 12:00:{row % 60:02}" for row in range(rows)]
    lines = [(row, *texts, at) for row, (texts, at) in enumerate(zip(values, moments, strict=True))]
    columns = "id INTEGER NOT NULL, mail VARCHAR(80) NOT NULL, body TEXT, price NUMERIC(10,2), at"
    tuples = [f"({row},'{mail}','{body}',{price},'{at}')" for row, mail, body, price, at in lines]
    if kind.startswith("mysqldump"):
        size = 1 if kind.endswith("one row") else 500
        groups = [",".join(tuples[at : at + size]) for at in range(0, rows, size)]
        head = f"CREATE TABLE t ({columns} DATETIME);\n"
        return head + "".join(f"INSERT INTO `t` VALUES {group};\n" for group in groups)
    head = f"CREATE TABLE public.t ({columns} TIMESTAMP);\n"
    if kind.endswith("--inserts"):
        return head + "".join(f"INSERT INTO public.t VALUES {values};\n" for values in tuples)
    data = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    return f"{head}COPY public.t (id, mail, body, price, at) FROM stdin;\n{data}\\.\n"


def dumps(folder: Path, quick: bool) -> Results:
    """Dumps of other engines: processor time for each MB of SQL, by import --dump and by executescript."""
    rows = 2_000 if quick else 20_000
    results: Results = []
    for kind in ("mysqldump", "mysqldump, one row", "pg_dump", "pg_dump --inserts"):
        script = _dump(kind, rows)
        engine = "aurora-mysql" if kind.startswith("mysqldump") else "aurora-postgresql"
        numbers = itertools.count()

        def loaded(script: str, engine: str, numbers: Iterator[int]) -> float:
            begin = time.process_time()
            store.import_dump(f"d{next(numbers)}", io.BytesIO(script.encode()), engine=engine)
            return time.process_time() - begin

        def run(script: str, engine: str, numbers: Iterator[int]) -> float:
            connection = clusterdb.connect(store.create_cluster(f"d{next(numbers)}", engine=engine))
            table, _, rest = script.partition(";\n")
            begin = time.process_time()
            connection.executescript(f"{table}; BEGIN; {rest} COMMIT;")
            taken = time.process_time() - begin
            connection.close()
            return taken

        with clusterdb.open(folder / kind.replace(" ", "")) as store:
            actions: dict[str, Callable[[], float]] = {
                "import --dump": functools.partial(loaded, script, engine, numbers),
                "executescript": functools.partial(run, script, engine, numbers),
            }
            taken = in_turns(3 if quick else 7, actions)
        size = len(script) / 1e6
        results += [{"what": f"{kind}, {how}", "MB": size, "s/MB": value / size} for how, value in taken.items()]
    return results


def commands(folder: Path, quick: bool) -> Results:
    """The command line, as whole processes, beside a Python that does nothing."""
    with clusterdb.open(folder / "commands") as store:
        for number in range(10):
            store.create_cluster(f"c{number}")

    def once(*arguments: str) -> float:
        command = [sys.executable, "-m", "clusterdb", "--store", str(folder / "commands"), *arguments]
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

    verbs = {"--help": ["--help"], "ls": ["ls"], "sql": ["sql", "c0", "SELECT 1"]}
    actions: dict[str, Callable[[], float]] = {
        f"clusterdb {name}": functools.partial(once, *arguments) for name, arguments in verbs.items()
    }
    actions["python -c pass"] = lambda: seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    taken = in_turns(5 if quick else 15, actions)
    return [{"what": what, "ms": value * 1e3} for what, value in taken.items()]


def siblings(folder: Path, quick: bool) -> Results:
    """What verbs cost beside many clones of one source, in ms of CPU; ls as a whole process, in ms."""
    results: Results = []
    for count in (100, 1000) if quick else (100, 1000, 10_000):
        path = folder / f"siblings-{count}"
        with clusterdb.open(path, disposable=True) as store:
            prod = store.create_cluster("prod", from_file=build(folder / "siblings.db", 1))
            for number in range(count):
                prod.clone(f"c{number}")
        spent = functools.partial(_cpu_ms, 5)
        figures: dict[str, Any] = {"clones": count, "open": spent(lambda path=path: clusterdb.open(path).close())}
        with clusterdb.open(path) as store:
            prod, clone = store.cluster("prod"), store.cluster("c7")
            names = iter(range(1_000_000))

            def drop(store: clusterdb.Store = store, names: Any = names) -> None:
                store.cluster(f"drop{next(names)}").delete()

            for number in range(20):
                prod.clone(f"drop{number}")
            figures["drop"] = _cpu_ms(20, drop)
            figures["connect"] = _cpu_ms(20, lambda clone=clone: clone.connect().close())
            figures["stats"] = _cpu_ms(20, prod.stats)
            figures["stats of the store"] = _cpu_ms(20, store.stats)
            figures["clusters()"] = _cpu_ms(5, store.clusters)
            figures["check"] = _cpu_ms(1, store.check)
        command = [sys.executable, "-m", "clusterdb", "--store", str(path), "ls"]
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        figures["ls"] = (
            after.children_user + after.children_system - before.children_user - before.children_system
        ) * 1e3
        results.append(figures)
    return results


def _cpu_ms(rounds: int, action: Callable[[], object]) -> float:
    """The median CPU time of an action, in milliseconds."""
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        action()
        taken.append((time.process_time() - begin) * 1e3)
    return statistics.median(taken)


GROUPS: dict[str, Callable[[Path, bool], Results]] = {
    "clone": clone_time,
    "cycle": test_cycle,
    "speed": speed,
    "growth": growth,
    "memory": memory,
    "opening": opening,
    "past": past,
    "care": care,
    "dbapi": dbapi,
    "fixtures": fixtures,
    "differences": differences,
    "dumps": dumps,
    "commands": commands,
    "siblings": siblings,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder beside this file)")
    parser.add_argument("--compare", action="store_true", help="show ratios to the figures of the last release")
    parser.add_argument("--record", action="store_true", help="add the results to history.json, as this version's")
    arguments = parser.parse_args()
    if arguments.record and arguments.quick:
        parser.error("--record needs the full sizes and rounds: run it without --quick")
    everything: dict[str, Any] = {
        "clusterdb": clusterdb.__version__,
        "sqlite": apsw.sqlite_lib_version(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "date": time.strftime("%Y-%m-%d"),
    }
    for group in arguments.groups or GROUPS:
        with tempfile.TemporaryDirectory(dir=arguments.folder or HERE, prefix="work-") as folder:
            results = GROUPS[group](Path(folder), arguments.quick)
        everything[group] = results
        print(f"\n## {group}: {(GROUPS[group].__doc__ or '').strip()}\n")
        columns = [key for result in results for key in result]
        print(tabulate(results, headers={key: key for key in columns}, floatfmt=".3f", missingval=""), flush=True)
    (HERE / "results.json").write_text(json.dumps(everything, indent=2) + "\n")
    measured = {group: everything[group] for group in arguments.groups or GROUPS}
    if arguments.compare:
        print_comparison(everything, measured)
    if arguments.record:
        record = {
            "version": everything["clusterdb"],
            "commit date": commit_date(),
            **{name: everything[name] for name in history.MEASURED_WITH},
            "results": measured,
        }
        try:
            history.save(history.recorded(history.load(), record))
        except ValueError as error:
            sys.exit(f"not recorded: {error}")


def print_comparison(everything: dict[str, Any], measured: dict[str, Results]) -> None:
    """This run beside the newest release with another version, as ratios."""
    releases = [past for past in history.load() if past["version"] != everything["clusterdb"]] or history.load()
    past = releases[-1]
    print(f"\n## this run beside release {past['version']} ({past['commit date']})\n")
    for name in history.MEASURED_WITH:
        if past[name] != everything[name]:
            print(f"{name}: {past[name]} then, {everything[name]} now")
    print(tabulate(history.compared(measured, past), headers="keys", floatfmt=".2f"))


def commit_date() -> str:
    """The date of the commit that is measured."""
    command = ["git", "log", "-1", "--format=%cs"]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
