"""Dumps of MySQL and PostgreSQL."""

from __future__ import annotations

import functools
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import clusterdb
from timing import Results, in_turns

__all__ = ["dumps"]


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
