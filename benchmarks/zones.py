"""Six copies in three zones: commits beside one sync of the device, the loss of a zone, repair and recovery."""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import clusterdb
from clusterdb.zones.segment import Record
from clusterdb.zones.together import sync_together
from databases import source_of
from goals import Goal, judged
from timing import Results, medians, ratio, samples, seconds

__all__ = ["zones"]

_SLOT_BYTES = 4096
_ENTRY_BYTES = _SLOT_BYTES + 512
_FILE_BYTES = 4 << 20
GOALS: dict[str, Goal] = {
    "one-row FULL commit": ("times one sync", "<=", 1.5),
    "the same, a zone lost": ("slowest / median before", "<=", 3),
    "repair of two empty nodes": ("MB/s", ">=", 50),
}


def zones(folder: Path, quick: bool) -> Results:
    """Clusters with nodes in six directories of one disk, and one without; a slow node is one that is asked for."""
    megabytes, rounds = (16, 30) if quick else (256, 300)
    with clusterdb.open(folder / "store") as store:
        source = source_of(folder, megabytes)
        plain = store.create_cluster("plain", from_file=source)
        prod = store.create_cluster("prod", from_file=source, zones=3)
        with closing(plain.connect()) as without, closing(prod.connect()) as connection:
            taken = samples(
                rounds,
                {
                    "sync": _synced(folder),
                    "writes": _written_to_six(folder),
                    "plain": lambda: _commit(without),
                    "zones": lambda: _commit(connection),
                },
                rotates=True,
            )
            prod.lose_zone("b")
            lost = samples(
                rounds,
                {"sync": _synced(folder), "zones": lambda: _commit(connection)},
                rotates=True,
            )
            prod.return_node("b")
            prod.repair_nodes()
            prod.slow_node(5, 0.05)
            slow = [_commit(connection) for _ in range(rounds)]
            prod.return_node(5)
        size = prod.stats().logical_bytes
        cloned = samples(10 if quick else 50, {"plain": _cloned(plain), "zones": _cloned(prod)})
        nodes = [Path(f"{folder}/store-zones/{name}") for name in ("a1", "b1")]
        for node in nodes:
            shutil.rmtree(node)
        repaired = seconds(lambda: _require(prod.repair_nodes(), 6))
    names = [f"{folder}/store-zones/{name}" for name in ("a1", "b2", "c1")]
    with clusterdb.open(folder / "recovered") as other:
        recovered = seconds(lambda: other.recover(names))
    times = medians(taken)
    rows: Results = [
        {
            "what": "one-row FULL commit",
            "ms": times["zones"] * 1e3,
            "without zones": times["plain"] * 1e3,
            "one sync": times["sync"] * 1e3,
            "its writes and syncs alone": times["writes"] * 1e3,
            "times one sync": ratio(taken["zones"], taken["sync"]),
            "slowest / median before": max(taken["zones"]) / times["zones"],
            "slowest sync / median": max(taken["sync"]) / times["sync"],
        },
        {
            "what": "the same, a zone lost",
            "ms": statistics.median(lost["zones"]) * 1e3,
            "slowest / median before": max(lost["zones"]) / times["zones"],
            "slowest sync / median": max(lost["sync"]) / times["sync"],
        },
        {"what": "the same, a node 50 ms slower", "ms": statistics.median(slow) * 1e3},
        {
            "what": "clone",
            "ms": statistics.median(cloned["zones"]) * 1e3,
            "without zones": statistics.median(cloned["plain"]) * 1e3,
        },
        {"what": "repair of two empty nodes", "s": repaired, "MB/s": 2 * size / repaired / 1e6},
        {"what": "recovery from three nodes", "s": recovered, "MB/s": size / recovered / 1e6},
    ]
    return [_judged(row) for row in rows]


def _judged(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its goal; the stalls of the device itself are not those of a zone that is lost."""
    goal = GOALS.get(row["what"])
    if goal is None:
        return row
    stall = row.get("slowest sync / median", 0)
    is_of_device = goal[0] == "slowest / median before" and row[goal[0]] > goal[2] and stall > goal[2]
    unless = f"the device: {stall:.1f}" if is_of_device else ""
    return judged(row, goal, unless=unless)


def _commit(connection: clusterdb.Connection) -> float:
    return seconds(lambda: connection.execute("UPDATE t SET n = n + 1 WHERE id = 7"))


def _synced(folder: Path) -> Callable[[], float]:
    """Writes as many slots as a one-row commit, and syncs them once."""
    file = os.open(folder / "synced", os.O_RDWR | os.O_CREAT, 0o600)
    data = os.urandom(4 * _SLOT_BYTES)
    os.pwrite(file, bytes(64 * len(data)), 0)
    os.fsync(file)

    def write() -> None:
        os.pwrite(file, data, 0)
        os.fdatasync(file)

    return lambda: seconds(write)


def _written_to_six(folder: Path) -> Callable[[], float]:
    """Writes what a one-row commit writes, as it does: to one file, which is synced, and then to six, with one sync."""
    entry = os.urandom(_ENTRY_BYTES)
    files = [os.open(folder / f"written{number}", os.O_RDWR | os.O_CREAT, 0o600) for number in range(6)]
    for file in files:
        os.pwrite(file, bytes(_FILE_BYTES), 0)
        os.fsync(file)
    synced = _synced(folder)
    offsets = itertools.cycle(range(0, _FILE_BYTES, 2 * _SLOT_BYTES))

    def write() -> None:
        record = Record(next(offsets), _ENTRY_BYTES)
        for file in files:
            os.pwrite(file, entry, record.offset)
        assert sync_together([(file, record) for file in files]) == [None] * 6

    return lambda: synced() + seconds(write)


def _cloned(cluster: clusterdb.Cluster) -> Callable[[], float]:
    def clone() -> float:
        taken = seconds(lambda: cluster.clone("clone"))
        cluster.store.cluster("clone").delete()
        return taken

    return clone


def _require(count: int, expected: int) -> None:
    assert count == expected, f"{count} of {expected} nodes have everything"
