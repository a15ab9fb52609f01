"""The difference between a cluster and its clone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import clusterdb
from databases import rows_of, source_of
from timing import Results, in_turns, seconds

__all__ = ["differences"]


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
            before = store.create_cluster(f"s{size}", from_file=source_of(folder, size))
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
