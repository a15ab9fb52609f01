"""The tests of packages that use ``sqlite3``, from their sources on the package index, with ``clusterdb`` in its place.

``import sqlite3`` gives ``clusterdb.dbapi2`` in the processes of the tests and in those that they start: a
``sitecustomize`` sees to it.  ``:memory:`` is an anonymous cluster; files stay plain files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path

_CUSTOMIZE = f"import runpy\nrunpy.run_path({str(Path(__file__).with_name('cpython.py'))!r})['take_its_place']()\n"

DATASETTE_CLIENT = """
import pytest_asyncio
from datasette.app import Datasette
from datasette.fixtures import populate_fixture_database

@pytest_asyncio.fixture
async def ds_client():
    datasette = Datasette(settings={"default_page_size": 50, "max_returned_rows": 100, "sql_time_limit_ms": 2000})
    await datasette.add_memory_database("fixtures").execute_write_fn(populate_fixture_database)
    await datasette.invoke_startup()
    yield datasette.client
"""
"""Datasette's sources come without the fixtures of its tests: this one is the client that many of them ask for."""
DATASETTE_LEFT_OUT = (
    "playwright",
    "docs",
    "telemetry",
    "telemetry_metrics",
    "publish_cloudrun",
    "publish_heroku",
    "pytest_autoclose_plugin",
)
"""Files of Datasette's tests that need a browser, its documentation or another program, and no database."""

REASONS = {
    "test_allowed_many_more_than_sqlite_compound_select_limit": "the SQLite of apsw limits how deep "
    "subqueries nest, with sqlite3's API or without; that of the standard library is older",
}
"""Why clusterdb fails a test that ``sqlite3`` passes, by its name."""


def environment(folder: Path, *packages: str) -> str:
    """A Python that has what this one has, and some packages more."""
    place = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    (site / "base.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    if packages:
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check"]
        log = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)
        if log.returncode:
            raise SystemExit(log.stderr)
    return str(python)


def outcomes(python: str, source: Path, whose: str, *arguments: str) -> dict[str, str]:
    """How each test of a source ends, with the standard library's ``sqlite3`` or with clusterdb in its place."""
    customize = source / "standing-in"
    customize.mkdir(exist_ok=True)
    (customize / "sitecustomize.py").write_text(_CUSTOMIZE)
    report = source / f"{whose}.xml"
    paths = [str(source), *([str(customize)] if whose == "clusterdb" else [])]
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--maxfail=100000", f"--junit-xml={report}"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables["PYTHONPATH"] = os.pathsep.join(paths)
    asked = [python, "-c", "import sqlite3; print(sqlite3.connect.__module__)"]
    answer = subprocess.run(asked, env=variables, capture_output=True, text=True, check=True).stdout
    if answer.startswith("clusterdb") != (whose == "clusterdb"):
        raise SystemExit(f"the tests would run on {answer.strip()} and not on {whose}")
    log = subprocess.run(
        [python, "-m", "pytest", *options, *arguments],
        cwd=source,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        raise SystemExit(log.stdout[-3000:] + log.stderr[-3000:])
    ended = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        problems = [child for child in case if child.tag in ("failure", "error", "skipped")]
        name = f"{case.get('classname')}.{case.get('name')}"
        ended[name] = f"{problems[0].tag}: {problems[0].get('message')}" if problems else "passed"
    return ended


def compared(theirs: dict[str, str], ours: dict[str, str]) -> tuple[int, int, list[str]]:
    """How many tests pass with ``sqlite3`` and how many of those with clusterdb, and why the others fail."""
    passing = [name for name, outcome in theirs.items() if outcome == "passed"]
    missed = [name for name in passing if ours.get(name) != "passed"]
    notes = []
    for name in missed:
        reason = REASONS.get(name.rpartition(".")[2])
        notes.append(f"{name}: {reason or ours.get(name, 'not run')}")
    gained = [name for name, outcome in ours.items() if outcome == "passed" and theirs.get(name) != "passed"]
    notes += [f"{name}: passes, with sqlite3 {theirs.get(name, 'not run')}" for name in gained]
    return len(passing), len(passing) - len(missed), notes
