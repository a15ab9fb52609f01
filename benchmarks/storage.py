"""Reads and writes in a clone beside a plain SQLite file in WAL mode, without and with mmap."""

from __future__ import annotations

import functools
import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import apsw

import clusterdb
from databases import plain, rows_of, size_text, source_of
from goals import Goal, judged
from timing import Results, Samples, medians, ratio, samples, seconds
from vfs.format.layout import SECTOR_BYTES, SLOT_BYTES

__all__ = ["SCAN", "openers", "opening", "speed"]

SCAN = "SELECT sum(length(body)), sum(n) FROM t"
_READ = "SELECT n, body FROM t WHERE id = ?"
_CHANGE = "UPDATE t SET n = n + 1 WHERE id = ?"
_BULK_ROWS = 5_000
_ROUNDS_MIN, _ROUNDS_MAX = 3, 51
_LINE_S = 6.0
"""The time for one line, if that is enough for the least number of rounds."""

BETTER: Goal = ("clone / better", ">=", 1.0)
WAL: Goal = ("clone / plain WAL", ">=", 1.0)

KEEPER = "clone, past kept"

Work = Callable[[apsw.Connection], object]


@dataclass(frozen=True)
class Line:
    """A workload; ``fresh``: it gets a new connection every time, otherwise one that has run it before.

    ``writes``: also measured on a clone that keeps its past, as clusters of durable stores do by default.
    """

    work: Work
    goals: tuple[Goal, ...]
    fresh: bool = False
    writes: bool = False


def openers(
    folder: Path, store: clusterdb.Store, megabytes: int, keeping: clusterdb.Store | None = None
) -> dict[str, Callable[[], apsw.Connection]]:
    """Functions that connect to copies of the same database: two plain files, and a clone.

    ``keeping``: another store, with a clone that keeps its past.
    """
    source = source_of(folder, megabytes)
    wal, mapped = (folder / f"{name}-{megabytes}.db" for name in ("wal", "mmap"))
    for path in (wal, mapped):
        shutil.copyfile(source, path)
        plain(path).close()  # now in WAL mode
    name = f"base-{megabytes}"
    clone = store.create_cluster(name, from_file=source, backup_retention_days=0).clone(f"clone-{megabytes}")
    peers = {
        "plain WAL": functools.partial(plain, wal),
        "plain WAL, mmap": functools.partial(plain, mapped, mapped=True),
        "clone": clone.connect,
    }
    if keeping is not None:
        peers[KEEPER] = keeping.create_cluster(name, from_file=source).clone(f"clone-{megabytes}").connect
    return peers


def _each(sql: str, keys: list[int]) -> Work:
    def work(connection: apsw.Connection) -> None:
        for key in keys:
            connection.execute(sql, (key,)).fetchall()

    return work


def _within(work: Work) -> Work:
    """The work in one transaction."""

    def run(connection: apsw.Connection) -> None:
        connection.execute("BEGIN")
        work(connection)
        connection.execute("COMMIT")

    return run


def _synced(mode: str, work: Work) -> Work:
    def run(connection: apsw.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {mode}").fetchall()
        work(connection)

    return run


def _statement(sql: str) -> Work:
    return lambda connection: connection.execute(sql).fetchall()


def _lines(megabytes: int, quick: bool) -> dict[str, Line]:
    """The workloads by name.  All peers get the same keys."""
    rng = random.Random(1)
    rows = rows_of(megabytes)
    few = 500 if quick else 10_000
    keys = [rng.randrange(1, rows) for _ in range(few)]
    hot = [rng.randrange(1, rows) for _ in range(50)] * (few // 50)
    reads, bulk = _each(_READ, keys), min(_BULK_ROWS, rows)
    commits = {"OFF": few // 5, "NORMAL": few // 5, "FULL": few // 20}
    first = rows // 3
    spread = (
        f"WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {bulk}) "
        f"UPDATE t SET n = n + 1 WHERE id IN (SELECT x * {rows // bulk} FROM c)"
    )
    lines = {
        "cold full scan": Line(_statement(SCAN), (BETTER,), fresh=True),
        "second full scan": Line(_statement(SCAN), (BETTER,)),
        "point reads, autocommit": Line(reads, (BETTER, ("clone / plain WAL", ">=", 1.5))),
        "point reads, in a transaction": Line(_within(reads), (BETTER,)),
        "hot 50 rows, autocommit": Line(_each(_READ, hot), (BETTER,)),
        "bulk update, 5,000 rows together": Line(
            _statement(f"UPDATE t SET n = n + 1 WHERE id BETWEEN {first} AND {first + bulk - 1}"),
            (BETTER,),
            writes=True,
        ),
        "bulk update, 5,000 rows spread": Line(_statement(spread), (BETTER,), writes=True),
    }
    if megabytes <= 64:
        lines["bulk update, one transaction"] = Line(
            _statement("UPDATE t SET n = n + 1"), (BETTER,), fresh=True, writes=True
        )
    for mode, count in commits.items():
        lines[f"one-row commits, {mode}"] = Line(_synced(mode, _each(_CHANGE, keys[:count])), (WAL,), writes=True)
    return lines


def speed(folder: Path, quick: bool) -> Results:
    """A clone against a plain SQLite file in WAL mode, without and with mmap: how many times as fast."""
    results: Results = []
    with clusterdb.open(folder / "speed") as store, clusterdb.open(folder / "keeping") as keeping:
        for megabytes in [64] if quick else [64, 1024]:
            peers = openers(folder, store, megabytes, keeping)
            suffix = "" if megabytes == 64 else f", {size_text(megabytes)}"
            for what, line in _lines(megabytes, quick).items():
                results.append(_row(f"{what}{suffix}", _measured(line, peers, 3 if quick else _ROUNDS_MAX), line.goals))
                if what == "cold full scan":
                    taken = samples(3 if quick else 9, _processes(folder, store, megabytes), rotates=True)
                    results.append(_row(f"cold full scan, fresh process{suffix}", taken, (BETTER,)))
    return [*results, _commits_alone(folder, 50 if quick else 500)]


def _commits_alone(folder: Path, count: int) -> dict[str, object]:
    """What a one-row commit writes and syncs at FULL, without a database: what the device leaves of the difference."""
    page = os.urandom(SLOT_BYTES)
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("w+b", buffering=0)) for name in ("log", "slots")]
        for file in files:
            file.write(os.urandom(16 << 20))
            os.fsync(file.fileno())
        log, slots = (file.fileno() for file in files)
        places = itertools.cycle(range(1000))

        def frame() -> None:
            at = next(places) * (24 + SLOT_BYTES)
            os.pwrite(log, page[:24], at)
            os.pwrite(log, page, at + 24)
            os.fdatasync(log)

        def slot() -> None:  # the page and two nodes of its table, and the version record
            number = next(places)
            os.pwritev(slots, [page] * 3, (2 << 20) + 3 * number * SLOT_BYTES)
            os.pwrite(slots, page[:SECTOR_BYTES], number % 2 * SECTOR_BYTES)
            os.fdatasync(slots)

        actions = {"plain WAL": functools.partial(seconds, frame), "clone": functools.partial(seconds, slot)}
        taken = samples(count, actions, rotates=True)
    times = {f"{name}, ms": value * 1e3 for name, value in medians(taken).items()}
    what = "one-row commits, FULL: their writes and syncs alone"
    return {"what": what, **times, "clone / plain WAL": ratio(taken["plain WAL"], taken["clone"])}


def _row(what: str, taken: Samples, goals: tuple[Goal, ...]) -> dict[str, object]:
    wal, mapped = (ratio(taken[peer], taken["clone"]) for peer in ("plain WAL", "plain WAL, mmap"))
    row = {
        "what": what,
        **{f"{name}, ms": value * 1e3 for name, value in medians(taken).items()},
        "clone / plain WAL": wal,
        "clone / mmap": mapped,
        "clone / better": min(wal, mapped),
    }
    if KEEPER in taken:
        row["past kept / plain WAL"] = ratio(taken["plain WAL"], taken[KEEPER])
    return judged(row, *goals)


def _measured(line: Line, peers: dict[str, Callable[[], apsw.Connection]], rounds_max: int) -> Samples:
    """The time of the work by peer, in seconds, in as many rounds as fit into a few seconds.

    A connection stays open at every peer, so that the last one does not checkpoint and delete the WAL.
    """
    peers = {name: opener for name, opener in peers.items() if line.writes or name != KEEPER}
    connections = {name: opener() for name, opener in peers.items()}
    if not line.fresh:
        for connection in connections.values():
            line.work(connection)

    def once(name: str) -> float:
        if not line.fresh:
            return seconds(lambda: line.work(connections[name]))
        with closing(peers[name]()) as connection:
            return seconds(lambda: line.work(connection))

    actions = {name: functools.partial(once, name) for name in peers}
    first_s = sum(action() for action in actions.values())
    rounds = max(_ROUNDS_MIN, min(rounds_max, round(_LINE_S / first_s)))
    taken = samples(rounds, actions, rotates=True)
    for connection in connections.values():
        connection.close()
    return taken


_SCANNING = """
import sys, time, apsw, clusterdb
kind, path, name, sql = sys.argv[1:]
store = clusterdb.open(path) if kind == "clone" else None
begin = time.perf_counter()
connection = store.cluster(name).connect() if store else apsw.Connection(path)
if kind == "plain WAL, mmap":
    connection.execute("PRAGMA mmap_size = 2147418112").fetchall()
connection.execute(sql).fetchall()
print(time.perf_counter() - begin)
connection.close()
if store:
    store.close()
"""


def _processes(folder: Path, store: clusterdb.Store, megabytes: int) -> dict[str, Callable[[], float]]:
    """Connecting and scanning in a new process, without its imports and without opening the store."""
    arguments = {
        "plain WAL": (str(folder / f"wal-{megabytes}.db"), ""),
        "plain WAL, mmap": (str(folder / f"mmap-{megabytes}.db"), ""),
        "clone": (store.path, f"clone-{megabytes}"),
    }

    def once(kind: str) -> float:
        command = [sys.executable, "-c", _SCANNING, kind, *arguments[kind], SCAN]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return {kind: functools.partial(once, kind) for kind in arguments}


def opening(folder: Path, quick: bool) -> Results:
    """Connecting to a database, reading one row and closing, by its size, beside plain files."""
    sizes = [1, 64] if quick else [1, 64, 1024]
    with clusterdb.open(folder / "opening") as store:
        for size in sizes:
            store.create_cluster(f"s{size}", from_file=source_of(folder, size))
        shutil.copyfile(source_of(folder, 64), folder / "wal.db")
        keeper = plain(folder / "wal.db")
        keeper.execute("UPDATE t SET n = n WHERE id = 1")

        def once(connect: Callable[[], apsw.Connection]) -> float:
            def run() -> None:
                connection = connect()
                connection.execute("SELECT n FROM t WHERE id = 1").fetchall()
                connection.close()

            return seconds(run)

        actions: dict[str, Callable[[], float]] = {}
        connect: Callable[[], apsw.Connection]
        for size in sizes:
            connect = functools.partial(lambda name: store.cluster(name).connect(), f"s{size}")
            actions[f"clusterdb, {size} MB"] = functools.partial(once, connect)
        for size in sizes:
            connect = functools.partial(apsw.Connection, str(source_of(folder, size)))
            actions[f"plain file, {size} MB"] = functools.partial(once, connect)
        connect = functools.partial(apsw.Connection, str(folder / "wal.db"))
        actions["plain file in WAL mode that is open elsewhere, 64 MB"] = functools.partial(once, connect)
        taken = samples(100 if quick else 500, actions)
        keeper.close()
    what = "connect and read one row"
    results: Results = [{"what": f"{what}, {name}", "ms": value * 1e3} for name, value in medians(taken).items()]
    for size in sizes:
        relative = ratio(taken[f"clusterdb, {size} MB"], taken[f"plain file, {size} MB"])
        row = {"what": f"{what}, clusterdb / plain file, {size} MB", "ratio": relative}
        results.append(judged(row, ("ratio", "<=", 1.3)))
    return results
