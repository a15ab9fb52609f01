"""Instructions of one operation, counted by callgrind: a figure that other load on the machine does not change.

A child process under valgrind does an operation N times in each of several parts; the median of their counts, without
the first, divided by N, is what one operation takes: what happens rarely, as a checkpoint of the catalog or growth of
the pool, is not in it.  The kernel's instructions are not counted.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import apsw

import clusterdb
from databases import in_memory, plain, rows_of, source_of
from goals import judged
from timing import Results

__all__ = ["instructions"]

T = TypeVar("T")
_MEGABYTES = 4
_SMALL = 1  # imported by the child itself, into a store in memory
_READ = "SELECT n, body FROM t WHERE id = ?"
_CHANGE = "UPDATE t SET n = n + 1 WHERE id = ?"
_PARTS = 6
_MAX = {"point read": 12_000, "one-row commit": 20_000, "clone": 200_000}
"""Goals, by the beginning of an operation's name."""

_OF_CONNECTIONS = ("point read", "one-row commit", "connect, read, close")
OPERATIONS = {
    "clone": (*_OF_CONNECTIONS, "clone, durable", "drop, durable", "clone, :memory:", "drop, :memory:"),
    "clone, past kept": _OF_CONNECTIONS,
    "plain WAL": _OF_CONNECTIONS,
    "SQLite in memory": ("point read", "one-row commit"),
}
"""The operations that a child does, in this order, by its peer.

The last one is a private database of SQLite, which has no file: what SQLite, apsw and Python take themselves.
"""

MARK = "getsid"
"""The function of the C library whose calls separate the counts.  Nothing else calls it."""


def instructions(folder: Path, quick: bool) -> Results:
    """Instructions of an operation, by callgrind: a clone beside a plain file in WAL mode; commits are NORMAL."""
    if shutil.which("valgrind") is None:
        return [{"what": "not measured: valgrind is not installed"}]
    source_of(folder, _SMALL)
    ready = folder / "ready"
    ready.mkdir()
    shutil.copyfile(source_of(folder, _MEGABYTES), ready / "wal.db")
    plain(ready / "wal.db").close()
    with clusterdb.open(ready / "store") as store:
        base = store.create_cluster("base", from_file=source_of(folder, _MEGABYTES))
        base.clone("kept")
        base.modify(backup_retention_days=0)
        base.clone("dev")
    count = 20 if quick else 100
    with ThreadPoolExecutor(2) as executor:
        counts = dict(zip(OPERATIONS, executor.map(lambda peer: _counted(ready, peer, count), OPERATIONS), strict=True))
    if not all(counts.values()):
        return [{"what": f"not measured: callgrind does not see calls of {MARK} in this C library"}]
    results: Results = []
    for name in OPERATIONS["clone"]:
        row: dict[str, Any] = {"what": name} | {peer: of[name] for peer, of in counts.items() if name in of}
        bound = next((bound for prefix, bound in _MAX.items() if name.startswith(prefix)), None)
        results.append(judged(row, ("clone", "<=", bound)) if bound else row)
    return results


def _counted(ready: Path, peer: str, count: int) -> dict[str, int]:
    """The instructions of the operations of a peer; empty if callgrind did not see the marks."""
    with tempfile.TemporaryDirectory(dir=ready.parent) as folder:
        shutil.copytree(ready, folder, dirs_exist_ok=True)
        output = Path(folder) / "callgrind"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", f"--dump-before={MARK}"]
        child = [sys.executable, __file__, peer, folder, str(count)]
        subprocess.run([*command, *child], check=True, capture_output=True)
        files = sorted(output.parent.glob("callgrind.*"), key=lambda path: int(path.suffix[1:]))
        totals = [int(re.findall(r"^totals: (\d+)", path.read_text(), re.MULTILINE)[0]) for path in files]
    names = OPERATIONS[peer]
    if len(totals) != (_PARTS + 1) * len(names):
        return {}
    parts_of = {name: totals[at * (_PARTS + 1) + 2 :][: _PARTS - 1] for at, name in enumerate(names)}
    return {name: round(median(parts) * _PARTS / (3 * count)) for name, parts in parts_of.items()}


# --- the child --------------------------------------------------------------------------------------------------------
def main(peer: str, folder: Path, count: int) -> None:
    """Do the operations of a peer."""
    if peer == "plain WAL":
        _use(lambda: plain(folder / "wal.db"), count)
        return
    if peer == "SQLite in memory":
        database = in_memory(source_of(folder.parent, _MEGABYTES).read_bytes())
        _use(lambda: database, count, connects=False)
        return
    with clusterdb.open(folder / "store") as durable:
        if peer == "clone, past kept":
            _use(durable.cluster("kept").connect, count)
            return
        _use(durable.cluster("dev").connect, count)
        _clone_and_drop(durable.cluster("base"), count)
    with clusterdb.open(":memory:") as memory:
        _clone_and_drop(memory.create_cluster("base", from_file=source_of(folder.parent, _SMALL)), count)


def _mark() -> None:
    os.getsid(0)


def _marked(operation: Callable[[Sequence[T]], object], items: Sequence[T]) -> None:
    """Do an operation with the items, in parts, with a mark before and after each."""
    _mark()
    for at in range(_PARTS):
        operation(items[at * len(items) // _PARTS : (at + 1) * len(items) // _PARTS])
        _mark()


def _use(connect: Callable[[], apsw.Connection], count: int, *, connects: bool = True) -> None:
    rng = random.Random(4)
    keys = [(rng.randrange(1, rows_of(_MEGABYTES)),) for _ in range(3 * count)]

    def reads(keys: Sequence[tuple[int]]) -> None:
        for key in keys:
            connection.execute(_READ, key).fetchall()

    def commits(keys: Sequence[tuple[int]]) -> None:
        for key in keys:
            connection.execute(_CHANGE, key)

    def connections(keys: Sequence[tuple[int]]) -> None:
        for key in keys:
            with closing(connect()) as second:
                second.execute(_READ, key).fetchall()

    with closing(connect()) as connection:
        connection.execute("PRAGMA synchronous = NORMAL").fetchall()
        _marked(reads, keys)
        _marked(commits, keys)
        if connects:
            _marked(connections, keys)


def _clone_and_drop(source: clusterdb.Cluster, count: int) -> None:
    names = [f"c{number}" for number in range(3 * count)]
    clones: list[clusterdb.Cluster] = []

    def creates(names: Sequence[str]) -> None:
        clones.extend(source.clone(name) for name in names)

    def deletes(clones: Sequence[clusterdb.Cluster]) -> None:
        for clone in clones:
            clone.delete()

    _marked(creates, names)
    _marked(deletes, clones)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
