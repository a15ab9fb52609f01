"""The measurement behind ``clusterdb bench``: what a copy of a database costs on this machine, in several ways."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clusterdb.access import sqlite
from clusterdb.access.copies import Progress
from clusterdb.format import duration_text, table
from clusterdb.store import default_path
from clusterdb.store import open as open_store

__all__ = ["Measured", "run", "told"]

_ROW_BYTES = 1000
_COPIES = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """The median time of one way to get a database of one's own (``copy_s``), and of the same with use.

    ``cycle_s``: a copy, a connection, five reads, a transaction of ten rows, and its removal.
    """

    way: str
    size_bytes: int
    copy_s: float
    cycle_s: float


def run(path: Path | None, size_mb: int, rounds: int, progress: Progress | None) -> list[Measured]:
    """Measure in a directory beside a store's, which is removed at the end; ``size_mb`` in 10**6 bytes."""
    beside = (path if path is not None else default_path()).absolute().parent
    folder = Path(tempfile.mkdtemp(prefix="clusterdb-bench-", dir=beside))
    told = progress if progress is not None else lambda done, total: None
    try:
        source = folder / "source.db"
        _fill(source, size_mb * 1_000_000)
        told(1, 4)
        found = []
        for step, where in enumerate((":memory:", str(folder / "store")), 2):
            found.append(_clones(source, where, rounds))
            told(step, 4)
        found.append(_files(source, folder / "copy.db", min(rounds, _COPIES)))
        told(4, 4)
        return found
    finally:
        shutil.rmtree(folder)


def told(found: list[Measured]) -> str:
    """The table for people; the last line is what the others are compared with."""
    base = found[-1]
    rows = [
        (
            each.way,
            duration_text(each.copy_s),
            duration_text(each.cycle_s),
            f"{base.copy_s / each.copy_s:,.0f}",
            f"{base.cycle_s / each.cycle_s:,.0f}",
        )
        for each in found
    ]
    return table(rows, (f"{base.size_bytes / 1e6:.0f} MB", "copy", "copy, use, remove", "times faster", "with use"))


def _fill(path: Path, size_bytes: int) -> None:
    db = sqlite.plain(path)
    try:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT)")
        db.execute(
            "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
            f"INSERT INTO t SELECT i, i % 97, hex(randomblob({_ROW_BYTES // 2})) FROM c",
            (max(100, size_bytes // _ROW_BYTES),),
        )
    finally:
        db.close()


def _use(db: sqlite.Connection) -> None:
    for id in (1, 20, 40, 60, 80):
        db.execute("SELECT body FROM t WHERE id = ?", (id,)).fetchall()
    with db:
        db.execute("UPDATE t SET n = n + 1 WHERE id BETWEEN 10 AND 19")


def _clones(source: Path, where: str, rounds: int) -> Measured:
    is_memory = where == ":memory:"
    with open_store(where) as store:
        prod = store.create_cluster("prod", from_file=source)

        def clone() -> None:
            prod.clone("copy")

        def use() -> None:
            db = store.cluster("copy").connect()
            _use(db)
            db.close()

        way = f"clone, {'store in memory' if is_memory else 'store on disk'}"
        return _measured(way, source, rounds, clone, use, lambda: store.cluster("copy").delete())


def _files(source: Path, copy: Path, rounds: int) -> Measured:
    def use() -> None:
        db = sqlite.plain(copy)
        _use(db)  # type: ignore[arg-type]
        db.close()

    return _measured("copy of the file", source, rounds, lambda: shutil.copyfile(source, copy), use, copy.unlink)


def _measured(
    way: str, source: Path, rounds: int, copy: Callable[[], object], use: Callable[[], None], remove: Callable[[], None]
) -> Measured:
    copies, cycles = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        copy()
        copies.append(time.perf_counter() - begin)
        use()
        remove()
        cycles.append(time.perf_counter() - begin)
    return Measured(way, source.stat().st_size, statistics.median(copies), statistics.median(cycles))
