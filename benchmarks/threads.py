"""Threads: two readers beside one, and a scan beside a thread that keeps the interpreter busy."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import apsw

import clusterdb
from databases import in_memory, rows_of, source_of
from goals import judged
from storage import SCAN, Work, openers
from timing import Results, ratio, samples, seconds

__all__ = ["threads"]

Connect = Callable[[], apsw.Connection]
_TWO_MIN = 1.6
_PLAIN_MIN = 1.7
_BUSY_MAX = 1.3
_MEMORY = "SQLite in memory"


def threads(folder: Path, quick: bool) -> Results:
    """Throughput of two reading threads relative to one, and the time of a scan beside a busy thread, to alone."""
    megabytes = 64 if quick else 256
    scans, count = (1, 200) if quick else (3, 5_000)
    rng = random.Random(3)
    keys = [rng.randrange(1, rows_of(megabytes)) for _ in range(count)]

    def points(connection: apsw.Connection) -> None:
        for key in keys:
            connection.execute("SELECT n, body FROM t WHERE id = ?", (key,)).fetchall()

    def scan(connection: apsw.Connection) -> None:
        for _ in range(scans):
            connection.execute(SCAN).fetchall()

    with clusterdb.open(folder / "threads") as store:
        peers = openers(folder, store, megabytes)
        content = source_of(folder, megabytes).read_bytes()
        rounds = 3 if quick else 7
        return [
            _readers("two readers / one, full scans", peers, scan, rounds),
            _readers("two readers / one, point reads", {**peers, _MEMORY: lambda: in_memory(content)}, points, rounds),
            _beside_busy(peers, 1.0 if quick else 5.0, rounds),
        ]


def _readers(what: str, peers: dict[str, Connect], work: Work, rounds: int) -> dict[str, object]:
    """The row of one workload: throughput of two threads relative to that of one."""
    actions = {
        f"{name} {count}": functools.partial(_together, connect, work, count)
        for name, connect in peers.items()
        for count in (1, 2)
    }
    taken = samples(rounds, actions, rotates=True)
    ratios = {name: 2 * ratio(taken[f"{name} 1"], taken[f"{name} 2"]) for name in peers}
    best = max(ratios[name] for name in peers if name not in ("clone", _MEMORY))
    unless = "" if best >= _PLAIN_MIN else f"plain: {best:.2f}"
    return judged({"what": what, **ratios}, ("clone", ">=", _TWO_MIN), unless=unless)


def _together(connect: Connect, work: Work, count: int) -> float:
    """The time until all of several threads have done the work, connections excluded, in seconds."""
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(connect())) for _ in range(count)]
        executor = stack.enter_context(ThreadPoolExecutor(count))
        return seconds(lambda: list(executor.map(work, connections)))


def _beside_busy(peers: dict[str, Connect], limit_s: float, rounds: int) -> dict[str, object]:
    """The row of a scan beside a busy thread.

    A scan that takes longer than the limit is interrupted, and counts as if it had ended then.
    """
    stopped = threading.Event()

    def busy() -> None:
        while not stopped.is_set():
            sum(range(100))

    def scan(connect: Connect, with_busy: bool) -> float:
        stopped.clear()
        thread = threading.Thread(target=busy)
        with closing(connect()) as connection:
            timer = threading.Timer(limit_s, connection.interrupt)
            if with_busy:
                thread.start()
                timer.start()
            try:
                return seconds(lambda: connection.execute(SCAN).fetchall())
            except apsw.InterruptError:
                return limit_s
            finally:
                stopped.set()
                timer.cancel()
                if with_busy:
                    thread.join()
                    timer.join()

    actions = {
        f"{name} {with_busy}": functools.partial(scan, connect, with_busy)
        for name, connect in peers.items()
        for with_busy in (False, True)
    }
    taken = samples(rounds, actions, rotates=True)
    ratios = {name: ratio(taken[f"{name} True"], taken[f"{name} False"]) for name in peers}
    return judged({"what": "a full scan beside a busy thread / alone", **ratios}, ("clone", "<=", _BUSY_MAX))
