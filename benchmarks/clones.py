"""Clones and drops: by the size of the source, beside alternatives, beside siblings, and the whole cycle of a test."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

import clusterdb
from databases import Forkdb, has_forkdb, rows_of, source_of
from goals import judged
from timing import Results, cpu_ms, in_turns, medians, ratio, samples, seconds

__all__ = ["clone_time", "siblings", "test_cycle"]

CLONE_MS_MAX = 0.05
CYCLE_MS_MAX = 0.3
SYNCS_MAX = 2.0
FLAT_MAX = 1.2
"""The slowest of several that should cost the same, relative to the fastest."""


class Pair:
    """Clones a cluster and drops the clone, as two measurements that alternate."""

    def __init__(self, source: clusterdb.Cluster, names: itertools.count[int]) -> None:
        self._source = source
        self._names = names
        self._clone: clusterdb.Cluster | None = None

    def clone(self) -> float:
        """The time of a clone, in seconds.  :meth:`drop` is the next call."""
        name = f"p{next(self._names)}"

        def run() -> None:
            self._clone = self._source.clone(name)

        return seconds(run)

    def drop(self) -> float:
        """The time in which the last clone is dropped, in seconds."""
        assert self._clone is not None
        return seconds(self._clone.delete)


class Sync:
    """The least that a durable commit costs: 512 bytes are overwritten in a file that does not grow, and synced."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        self._offsets = itertools.cycle(range(0, 1 << 20, 512))
        os.pwrite(self._file, bytes(1 << 20), 0)
        os.fsync(self._file)

    def once(self) -> float:
        """The time of a pwrite and an fdatasync, in seconds."""

        def write() -> None:
            os.pwrite(self._file, b"x" * 512, next(self._offsets))
            os.fdatasync(self._file)

        return seconds(write)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def clone_time(folder: Path, quick: bool) -> Results:
    """Clone and drop, p50 at sizes from 1 MB to 1 GB; a clone beside one durable write, and alternatives at 64 MB."""
    sizes = [1, 16, 64] if quick else [1, 16, 64, 256, 1024]
    count = 50 if quick else 300
    results: Results = []
    names = itertools.count()
    sync = Sync(folder / "sync")
    with clusterdb.open(":memory:") as memory, clusterdb.open(folder / "clones") as durable:
        stores = {":memory:": memory, "durable": durable}
        actions: dict[str, Callable[[], float]] = {}
        for size in sizes:
            for kind, store in stores.items():
                pair = Pair(store.create_cluster(f"s{size}", from_file=source_of(folder, size)), names)
                actions |= {f"clone, {kind} {size} MB": pair.clone, f"drop, {kind} {size} MB": pair.drop}
        all_taken = samples(count, actions | {"512-byte pwrite + fdatasync": sync.once})
        taken = medians(all_taken)
        pair = Pair(memory.cluster("s64"), names)
        together = medians(samples(10 * count, {"clone": pair.clone, "drop": pair.drop}))  # nothing waits for a device
        for verb, value in together.items():
            row = {"what": f"{verb}, :memory: 64 MB, one after the other", "ms": value * 1e3}
            results.append(judged(row, ("ms", "<=", CLONE_MS_MAX)) if verb == "clone" else row)
        for verb in ("clone", "drop"):
            for size, kind in itertools.product(sizes, stores):
                what = f"{verb}, {kind} {size} MB"
                row = {"what": what, "ms": taken[what] * 1e3}
                has_goal = (verb, kind) == ("clone", ":memory:")
                results.append(judged(row, ("ms", "<=", CLONE_MS_MAX)) if has_goal else row)
            for kind in stores:
                times = [taken[f"{verb}, {kind} {size} MB"] for size in sizes]
                row = {"what": f"{verb}, {kind}: slowest size / fastest size", "ratio": max(times) / min(times)}
                results.append(judged(row, ("ratio", "<=", FLAT_MAX)))
        least = "512-byte pwrite + fdatasync"
        results.append({"what": least, "ms": taken[least] * 1e3})
        relative = ratio(all_taken["clone, durable 64 MB"], all_taken[least])
        row = {"what": "clone, durable 64 MB / pwrite + fdatasync", "ratio": relative}
        results.append(judged(row, ("ratio", "<=", SYNCS_MAX)))
        results += _beside_peers(folder, count, stores, names)
    sync.close()
    return results


def _beside_peers(folder: Path, count: int, stores: dict[str, clusterdb.Store], names: itertools.count[int]) -> Results:
    """A clone of 64 MB, and other ways to copy such a database."""
    source = source_of(folder, 64)

    def clone(store: clusterdb.Store) -> float:
        cluster, name = store.cluster("s64"), f"c{next(names)}"
        return seconds(lambda: cluster.clone(name))

    def copy_file() -> float:
        target = folder / f"copy{next(names)}.db"
        taken = seconds(lambda: shutil.copyfile(source, target))
        target.unlink()
        return taken

    def backup() -> float:
        target = folder / f"backup{next(names)}.db"

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

    actions: dict[str, Callable[[], float]] = {
        f"clusterdb {kind}": functools.partial(clone, store) for kind, store in stores.items()
    }
    if has_forkdb():
        forkdb = Forkdb(folder / "forkdb.fk", source)
        actions["forkdb"] = lambda: seconds(lambda: forkdb.call("forkdb_fork", "main", f"f{next(names)}"))
    peers = in_turns(count, actions) | in_turns(5, {"file copy": copy_file, "backup API": backup})
    results: Results = [{"what": f"64 MB beside peers, {name}", "ms": value * 1e3} for name, value in peers.items()]
    if has_forkdb():
        results.append({"what": "clusterdb durable / forkdb", "ratio": peers["clusterdb durable"] / peers["forkdb"]})
    return results


def use(connection: apsw.Connection, rows: int) -> None:
    """What a small test does: five reads, one transaction of ten rows."""
    for step in range(5):
        connection.execute("SELECT n, length(body) FROM t WHERE id = ?", (1 + step * rows // 5,)).fetchall()
    connection.execute("BEGIN IMMEDIATE")
    for step in range(10):
        connection.execute("UPDATE t SET n = n + 1 WHERE id = ?", (1 + step * rows // 10,))
    connection.execute("COMMIT")
    connection.close()


def test_cycle(folder: Path, quick: bool) -> Results:
    """Clone, connect, five reads, one transaction of ten rows, close, drop; 64 MB."""
    source = source_of(folder, 64)
    rows = rows_of(64)
    serial = itertools.count()
    with clusterdb.open(":memory:") as memory, clusterdb.open(folder / "cycles") as durable:
        for store in (memory, durable):
            store.create_cluster("base", from_file=source)

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

        actions: dict[str, Callable[[], float]] = {
            "clusterdb :memory:": lambda: seconds(lambda: cycle(memory)),
            "clusterdb durable": lambda: seconds(lambda: cycle(durable)),
        }
        if has_forkdb():
            forkdb = Forkdb(folder / "cycles.fk", source)
            actions["forkdb"] = lambda: seconds(fork_cycle)
        count = 50 if quick else 500
        taken = samples(count, actions) | samples(5, {"file copy": lambda: seconds(copy_cycle)})
        together = "clusterdb :memory:, one after the other"  # as in a suite, where the caches stay warm
        taken |= samples(count, {together: actions["clusterdb :memory:"]})
    results: Results = []
    for name, value in medians(taken).items():
        row = {"what": f"test cycle, {name}", "ms": value * 1e3}
        results.append(judged(row, ("ms", "<=", CYCLE_MS_MAX)) if ":memory:" in name else row)
    if has_forkdb():
        row = {"what": "test cycle, durable / forkdb", "ratio": ratio(taken["clusterdb durable"], taken["forkdb"])}
        results.append(judged(row, ("ratio", "<", 1.0)))
    return results


def siblings(folder: Path, quick: bool) -> Results:
    """Verbs beside many clones of one source: clone and drop in ms, p50; the others in ms of CPU, on disk."""
    counts = [1, 100, 1000] if quick else [1, 100, 1000, 10_000]
    source = source_of(folder, 1)
    wall = _clones_beside(counts, folder, source, 30 if quick else 200)
    results: Results = []
    for count in counts:
        figures: dict[str, Any] = {"clones": count}
        figures |= {what: value * 1e3 for (what, at), value in wall.items() if at == count}
        figures |= _verbs_beside(folder / f"siblings-{count}")
        results.append(judged(figures, ("clone, :memory:", "<=", CLONE_MS_MAX)))
    verbs = dict.fromkeys(what for what, _ in wall)
    flat = {"clones": f"{counts[-1]} / 1"} | {what: wall[what, counts[-1]] / wall[what, 1] for what in verbs}
    return [*results, judged(flat, *((what, "<=", FLAT_MAX) for what in verbs))]


def _clones_beside(counts: list[int], folder: Path, source: Path, rounds: int) -> dict[tuple[str, int], float]:
    """The time of a clone and of a drop by the number of siblings, all counts in turns, in seconds."""
    actions: dict[str, Callable[[], float]] = {}
    stores: list[clusterdb.Store] = []
    keys: dict[str, tuple[str, int]] = {}
    names = itertools.count()
    for count in counts:
        path = folder / f"siblings-{count}"
        with clusterdb.open(path, disposable=True) as store:
            _fill(store, source, count)
        memory, durable = clusterdb.open(":memory:"), clusterdb.open(path)
        _fill(memory, source, count)
        stores += [memory, durable]
        for kind, store in ((":memory:", memory), ("durable", durable)):
            pair = Pair(store.cluster("prod"), names)
            for verb, action in (("clone", pair.clone), ("drop", pair.drop)):
                keys[f"{verb} {kind} {count}"] = (f"{verb}, {kind}", count)
                actions[f"{verb} {kind} {count}"] = action
    taken = in_turns(rounds, actions)
    for store in stores:
        store.close()
    return {keys[name]: value for name, value in taken.items()}


def _fill(store: clusterdb.Store, source: Path, count: int) -> None:
    prod = store.create_cluster("prod", from_file=source)
    for number in range(count):
        prod.clone(f"c{number}")


def _verbs_beside(path: Path) -> dict[str, float]:
    """The CPU time of verbs in a store with many clones, in milliseconds."""
    figures = {"open": cpu_ms(5, lambda: clusterdb.open(path).close())}
    with clusterdb.open(path) as store:
        prod, clone = store.cluster("prod"), store.cluster("c0")
        names = iter(range(1_000_000))
        for number in range(20):
            prod.clone(f"drop{number}")
        figures["drop"] = cpu_ms(20, lambda: store.cluster(f"drop{next(names)}").delete())
        figures["connect"] = cpu_ms(20, lambda: clone.connect().close())
        figures["stats"] = cpu_ms(20, prod.stats)
        figures["stats of the store"] = cpu_ms(20, store.stats)
        figures["clusters()"] = cpu_ms(5, store.clusters)
        figures["check"] = cpu_ms(1, store.check)
    command = [sys.executable, "-m", "clusterdb", "--store", str(path), "ls"]
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return figures | {"ls": spent * 1e3}
