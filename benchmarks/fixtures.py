"""A database for one test: the clone fixture of the pytest plugin, and alternatives without clusterdb."""

from __future__ import annotations

import functools
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import clusterdb
from clusterdb.testing.runs import Run
from clusterdb.testing.seeds import recipe
from databases import rows_of, source_of
from goals import judged
from timing import Results, in_turns, seconds

__all__ = ["fixtures"]


_MS_MAX = 0.25

_TESTS = """
import pytest
@pytest.fixture
def empty():
    yield
@pytest.mark.parametrize("n", range({count}))
def test_it({fixtures}n): ...
"""


def fixtures(folder: Path, quick: bool) -> Results:
    """What a test pays for a database of its own: clone, connect, read a row, change one, close, drop."""
    sizes = [1 / 16, 1 / 4, 1, 4, 64] if quick else [1 / 16, 1 / 4, 1, 4, 16, 64, 1024]
    results: Results = []
    taken: dict[str, dict[float, float]] = {}
    serial = iter(range(1_000_000))
    machinery = {"clone fixture, :memory:": Run(":memory:"), "clone fixture, on disk": Run(folder / "fixtures")}
    for size in sizes:
        source, rows = source_of(folder, size), rows_of(size)
        content = source.read_bytes()
        templates = {kind: run.templates.cluster(recipe(source)) for kind, run in machinery.items()}

        def cloned(
            kind: str, works: bool, templates: dict[str, clusterdb.Cluster] = templates, rows: int = rows
        ) -> float:
            run = machinery[kind]

            def test() -> None:
                clone = run.clone(templates[kind])
                if works:
                    work(clone.connect(), rows)
                run.drop(clone)

            return seconds(test)

        def copied(source: Path = source, rows: int = rows) -> float:
            target = folder / f"fixture{next(serial)}.db"

            def test() -> None:
                shutil.copyfile(source, target)
                with closing(sqlite3.connect(target)) as connection:
                    connection.execute("PRAGMA synchronous = OFF")
                    work(connection, rows)
                target.unlink()

            return seconds(test)

        def deserialized(content: bytes = content, rows: int = rows) -> float:
            def test() -> None:
                with closing(sqlite3.connect(":memory:")) as connection:
                    connection.deserialize(content)
                    work(connection, rows)

            return seconds(test)

        def work(connection: Any, rows: int) -> None:
            connection.execute("SELECT n FROM t WHERE id = ?", (rows // 2,)).fetchall()
            connection.execute("UPDATE t SET n = n + 1 WHERE id = 1")
            connection.commit()

        actions = {kind: functools.partial(cloned, kind, works=True) for kind in machinery}
        alone = {kind: functools.partial(cloned, kind, works=False) for kind in machinery}
        peers: dict[str, Callable[[], float]] = {"file copy": copied, "sqlite3 deserialize": deserialized}
        times = in_turns(100 if quick else 300, actions) | in_turns(5 if size > 16 else 100, peers)
        times |= {
            f"{kind}, setup and teardown alone": value for kind, value in in_turns(100 if quick else 300, alone).items()
        }
        for what, value in times.items():
            taken.setdefault(what, {})[size] = value
    for what, by_size in taken.items():
        row = {"what": what} | {f"{size:g} MB, ms": value * 1e3 for size, value in by_size.items()}
        is_fixture_alone = what.endswith("alone")
        results.append(judged(row, *((name, "<=", _MS_MAX) for name in list(row)[1:])) if is_fixture_alone else row)
    for peer in ("file copy", "sqlite3 deserialize"):
        for kind in machinery:
            cheaper = [size for size in sizes if taken[kind][size] < taken[peer][size]]
            least = f"{min(cheaper):g} MB" if cheaper else "nowhere"
            results.append({"what": f"{kind}: cheaper than {peer} from", "size": least})
    for run in machinery.values():
        run.close()
    return [*results, *_under_pytest(folder, source_of(folder, sizes[-1]), quick)]


def _under_pytest(folder: Path, source: Path, quick: bool) -> Results:
    """The same as pytest sees it: tests with the fixture beside tests without."""

    def run(count: int, fixtures: str) -> float:
        (folder / "test_it.py").write_text(_TESTS.format(count=count, fixtures=fixtures))
        options = [
            "-q",
            "-p",
            "no:hypothesispytest",
            "-p",
            "no:cacheprovider",
            f"--clusterdb-store={folder / 'pytest'}",
        ]
        command = [sys.executable, "-m", "pytest", *options, f"--clusterdb-seed={source}", str(folder / "test_it.py")]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
        return float(re.findall(r"passed in ([0-9.]+)s", answer.stdout)[0])

    count = 200 if quick else 1000

    def once(fixtures: str) -> float:
        return (run(count + 1, fixtures) - run(1, fixtures)) / count  # without the start of engine and store

    without, plugin = "a test without fixtures", "a test with fixture clusterdb, on disk"
    empty = "a test with a fixture that does nothing"
    run(1, "clusterdb, ")  # builds the template
    taken = in_turns(
        1 if quick else 3,
        {
            without: lambda: once(""),
            empty: lambda: once("empty, "),
            plugin: lambda: once("clusterdb, "),
            "a test with clusterdb_connection, on disk": lambda: once("clusterdb_connection, "),
        },
    )
    results: Results = [{"what": f"pytest, {what}", "ms": value * 1e3} for what, value in taken.items()]
    added = {kind: (taken[kind] - taken[without]) * 1e3 for kind in (empty, plugin)}
    row = {"what": "pytest, setup and teardown of fixture clusterdb", "ms": added[plugin]}
    return [*results, judged(row, ("ms", "<=", _MS_MAX)), {"what": "the same of an empty fixture", "ms": added[empty]}]
