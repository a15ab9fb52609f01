"""Run suites that others wrote on clusterdb and on the package it stands in for, and count the tests that pass.

``python -m tests.suites [NAME ...]`` runs them in a temporary directory.  They come from the running interpreter
(cpython) or from the package index (all others).  Ends with 1 if clusterdb passes fewer than it has to.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.suites.packages import DATASETTE_CLIENT, DATASETTE_LEFT_OUT, REASONS, compared, environment, outcomes

ROOT = Path(__file__).parents[2]
PINNED = {
    "aiosqlite": "0.22.1",
    "datasette": "1.0a41",
    "dbapi-compliance": "1.15.0",
    "django": "5.2.19",
    "sqlalchemy": "2.1.9",
}
DJANGO_LABELS = ("backends", "transactions", "schema", "queries", "expressions", "aggregation", "migrations")

CPYTHON_REASONS = {
    "test_backup.BackupTests.test_modifying_progress": "its source is in memory, where SQLite begins a backup again "
    "after a write; on a file, as on a cluster, it goes on",
    "test_dbapi.ModuleTests.test_shared_cache_deprecated": "enable_shared_cache() is gone since Python 3.12",
    "test_dbapi.OpenTests.test_open_with_undecodable_path": "apsw takes file names in UTF-8 only",
    "test_factory.TextFactoryTests.test_optimized_unicode": "OptimizedUnicode is gone since Python 3.12",
}
"""Why clusterdb fails a test of CPython's."""


@dataclass
class Count:
    """How many tests of a suite pass."""

    suite: str
    theirs: int
    ours: int
    least: float
    notes: list[str]

    @property
    def is_enough(self) -> bool:
        return self.ours >= self.least * self.theirs


def run(command: list[str], **environment: str) -> str:
    """The output of a command, with the root of this repository on the path."""
    path = os.pathsep.join([environment.pop("PYTHONPATH", ""), str(ROOT)]).strip(os.pathsep)
    done = subprocess.run(
        command, env={**os.environ, **environment, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def fetched(package: str, folder: Path) -> Path:
    """The source of a package, unpacked."""
    wished = f"{package}=={PINNED[package]}"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
    output = run([*pip, "--no-binary", package, wished])  # what builds it may be binary
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as tar:
            safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
            tar.extractall(folder, **safely)
    for archive in folder.glob("*.zip"):
        zipfile.ZipFile(archive).extractall(folder)
    folders = [path for path in folder.iterdir() if path.is_dir()]
    if len(folders) != 1:
        raise SystemExit(f"{wished} cannot be fetched from the package index: {output}")
    return folders[0]


# --- the suites -------------------------------------------------------------------------------------------------------
def cpython(folder: Path) -> Count:
    """CPython's ``test.test_sqlite3``."""
    outcomes = {}
    for whose in ("stdlib", "clusterdb"):
        out = folder / f"{whose}.json"
        log = run([sys.executable, "-m", "tests.suites.cpython", whose, str(out)])
        if not out.exists():
            raise SystemExit(log)
        outcomes[whose] = json.loads(out.read_text())
    passing = [name for name, outcome in outcomes["stdlib"].items() if outcome == "passed"]
    missed = [name for name in passing if outcomes["clusterdb"].get(name) != "passed"]
    notes = []
    for name in missed:
        short = name.removeprefix("test.test_sqlite3.")
        notes.append(f"{short}: {CPYTHON_REASONS.get(short, outcomes['clusterdb'].get(name, 'not run'))}")
    return Count("CPython test_sqlite3", len(passing), len(passing) - len(missed), 0.97, notes)


DBAPI20 = """
import sys, unittest
sys.path.insert(0, {source!r})
import dbapi20
import {driver} as driver
class Tests(dbapi20.DatabaseAPI20Test):
    driver, connect_args, connect_kw_args = driver, ({database!r},), {options!r}
    test_nextset = test_setoutputsize = None  # drivers are asked to write these themselves
result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(Tests))
bad = result.failures + result.errors
print("PASSED", result.testsRun - len(bad), *[failure[0].id().rpartition(".")[2] for failure in bad])
"""


def dbapi20(folder: Path) -> Count:
    """The compliance tests of the DB-API SIG."""
    source = fetched("dbapi-compliance", folder)
    counts, notes = {}, []
    for driver, database, options in (
        ("sqlite3", str(folder / "plain.db"), {}),
        ("clusterdb", "compliance", {"create": True, "store": str(folder / "store")}),
    ):
        script = DBAPI20.format(source=str(source), driver=driver, database=database, options=options)
        log = run([sys.executable, "-c", script])
        line = re.search(r"PASSED (\d+) ?(.*)", log)
        if line is None:
            raise SystemExit(log)
        counts[driver] = int(line[1])
        notes.append(f"{driver} fails {line[2] or 'none'}")
    return Count("dbapi-compliance", counts["sqlite3"], counts["clusterdb"], 1, notes)


def sqlalchemy(folder: Path) -> Count:
    """SQLAlchemy's dialect suite, with SQLite's requirements for both."""
    source = fetched("sqlalchemy", folder)
    requirements = source / "test" / "requirements.py"  # tell it that one more driver of SQLite's is there
    text = requirements.read_text()
    requirements.write_text(text.replace('"sqlite+pysqlite",', '"sqlite+pysqlite", "sqlite+clusterdb",'))
    counts, notes = {}, []
    for whose, url in (("stdlib", "sqlite:///:memory:"), ("clusterdb", "sqlite+clusterdb:///:memory:")):
        suite = "test/dialect/test_suite.py"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--maxfail=10000", suite]
        done = subprocess.run([*command, "--dburi", url], cwd=source, capture_output=True, text=True, check=False)
        line = re.search(r"(\d+) passed", done.stdout)
        if line is None:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
        counts[whose] = int(line[1])
        if whose == "clusterdb":
            notes = sorted(re.findall(r"^(?:FAILED|ERROR) (.*)$", done.stdout, re.MULTILINE))
    return Count("SQLAlchemy dialect suite", counts["stdlib"], counts["clusterdb"], 1, notes)


DJANGO_SETTINGS = """
DATABASES = {{
    alias: {{"ENGINE": "clusterdb.django", "NAME": name, "OPTIONS": {{"store": {store!r}, "create": True}}}}
    for alias, name in (("default", "main"), ("other", "other"))
}}
SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "tests", False, "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
"""


def django(folder: Path) -> Count:
    """Django's own tests of what a database backend does."""
    source = fetched("django", folder)
    tests = source / "tests"
    (tests / "test_clusterdb.py").write_text(DJANGO_SETTINGS.format(store=str(folder / "store")))
    counts, notes = {}, []
    for whose, settings in (("stdlib", "test_sqlite"), ("clusterdb", "test_clusterdb")):
        command = [sys.executable, "runtests.py", f"--settings={settings}", "--parallel=1", *DJANGO_LABELS]
        environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}"}
        done = subprocess.run(command, cwd=tests, env=environment, capture_output=True, text=True, check=False)
        ran = re.search(r"Ran (\d+) tests", done.stderr)
        if ran is None:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
        bad = {line.split(" (test_db_name")[0] for line in re.findall(r"^(?:FAIL|ERROR): (.*)$", done.stderr, re.M)}
        skipped = re.search(r"skipped=(\d+)", done.stderr)
        counts[whose] = int(ran[1]) - len(bad) - (int(skipped[1]) if skipped else 0)
        notes += [f"{whose} fails {line}" for line in sorted(bad)]
    return Count("Django backend tests", counts["stdlib"], counts["clusterdb"], 1, notes)


def aiosqlite(folder: Path) -> Count:
    """aiosqlite's own tests, of connections that are used from several threads."""
    source = fetched("aiosqlite", folder)
    python = environment(folder)
    runs = [outcomes(python, source, whose, "aiosqlite/tests/smoke.py") for whose in ("stdlib", "clusterdb")]
    theirs, ours, notes = compared(*runs)
    return Count("aiosqlite's tests", theirs, ours, 1, notes)


def datasette(folder: Path) -> Count:
    """Datasette's own tests, as far as its source has what they need."""
    source = fetched("datasette", folder)
    (source / "tests" / "conftest.py").write_text(DATASETTE_CLIENT)
    python = environment(
        folder, f"datasette=={PINNED['datasette']}", "pytest-asyncio>=1", "pytest-timeout", "beautifulsoup4", "trustme"
    )
    left_out = [f"--ignore=tests/test_{name}.py" for name in DATASETTE_LEFT_OUT]
    runs = [
        outcomes(python, source, whose, "--timeout=120", "-n2", *left_out, "tests") for whose in ("stdlib", "clusterdb")
    ]
    theirs, ours, notes = compared(*runs)
    known_count = sum(any(name in note for name in REASONS) for note in notes)
    return Count("Datasette's tests", theirs, ours, (theirs - known_count - 0.5) / theirs, notes)


SUITES: dict[str, Callable[[Path], Count]] = {
    "cpython": cpython,
    "dbapi20": dbapi20,
    "sqlalchemy": sqlalchemy,
    "django": django,
    "aiosqlite": aiosqlite,
    "datasette": datasette,
}


def main() -> int:
    """Run the suites that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SUITES], help="default: all")
    names = parser.parse_args().names or list(SUITES)
    ended = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="clusterdb-suites-") as folder:
            count = SUITES[name](Path(folder))
        print(f"{count.suite}: clusterdb passes {count.ours}, sqlite3 {count.theirs}")
        for note in count.notes:
            print(f"    {note}")
        ended |= not count.is_enough
    return ended


if __name__ == "__main__":
    sys.exit(main())
