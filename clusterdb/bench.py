"""The measurement behind ``clusterdb bench``: the time of a private copy of a database, made in several ways."""

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
from clusterdb.store import default_path
from clusterdb.store import open as open_store
from clusterdb.views.text import duration_text, table

__all__ = ["Measurement", "run", "table_of"]

_ROW_BYTES = 1000
_COPIES = 5


@dataclass(frozen=True, slots=True)
class Measurement:
    """Median times of one way to copy a database, in seconds.

    ``copy_s``: the copy alone; ``cycle_s``: the copy, a connection, five reads, a transaction of ten rows, and the
    removal of the copy.
    """

    way: str
    size_bytes: int
    copy_s: float
    cycle_s: float


def run(path: Path | None, size_mb: int, rounds: int, progress: Progress | None) -> list[Measurement]:
    """Measure in a temporary directory beside the store at ``path``; ``size_mb`` is in 10**6 bytes.

    The last measurement is that of a copied file.
    """
    beside = (path if path is not None else default_path()).absolute().parent
    folder = Path(tempfile.mkdtemp(prefix="clusterdb-bench-", dir=beside))
    report = progress if progress is not None else lambda done, total: None
    try:
        source = folder / "source.db"
        _fill(source, size_mb * 1_000_000)
        report(1, 4)
        measurements = []
        for step, where in enumerate((":memory:", str(folder / "store")), 2):
            measurements.append(_measured_clones(source, where, rounds))
            report(step, 4)
        measurements.append(_measured_files(source, folder / "copy.db", min(rounds, _COPIES)))
        report(4, 4)
        return measurements
    finally:
        shutil.rmtree(folder)


def table_of(measurements: list[Measurement]) -> str:
    """A text table; each line is compared with the last one."""
    base = measurements[-1]
    rows = [
        (
            measurement.way,
            duration_text(measurement.copy_s),
            duration_text(measurement.cycle_s),
            f"{base.copy_s / measurement.copy_s:,.0f}",
            f"{base.cycle_s / measurement.cycle_s:,.0f}",
        )
        for measurement in measurements
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


def _measured_clones(source: Path, where: str, rounds: int) -> Measurement:
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


def _measured_files(source: Path, copy: Path, rounds: int) -> Measurement:
    def use() -> None:
        db = sqlite.plain(copy)
        _use(db)  # type: ignore[arg-type]
        db.close()

    return _measured("copy of the file", source, rounds, lambda: shutil.copyfile(source, copy), use, copy.unlink)


def _measured(
    way: str, source: Path, rounds: int, copy: Callable[[], object], use: Callable[[], None], remove: Callable[[], None]
) -> Measurement:
    copies, cycles = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        copy()
        copies.append(time.perf_counter() - begin)
        use()
        remove()
        cycles.append(time.perf_counter() - begin)
    return Measurement(way, source.stat().st_size, statistics.median(copies), statistics.median(cycles))
