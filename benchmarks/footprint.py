"""What a store occupies: pool of clones that were written to, memory of a process."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import clusterdb
from databases import rows_of, source_of
from timing import Results

__all__ = ["growth", "memory"]


def growth(folder: Path, quick: bool) -> Results:
    """What a clone that updates one row adds to the pool, and that dropping returns it."""
    count = 100 if quick else 1000
    source = source_of(folder, 64)
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
            "what": "clones that update one row each",
            "clones": count,
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
    source = source_of(folder, size)
    results: Results = []
    for what in ("import", "scan"):
        output = subprocess.run(
            [sys.executable, "-c", _MEMORY, what, folder / "memory", source], check=True, capture_output=True, text=True
        )
        before, peak = map(float, output.stdout.split())
        results.append({"what": what, "MB": size, "anonymous MiB before": before, "peak": peak})
    return results
