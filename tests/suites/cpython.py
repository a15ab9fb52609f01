"""CPython's own tests of ``sqlite3``, as the running interpreter has them, with ``clusterdb.dbapi2`` in its place.

``:memory:`` is an anonymous cluster; the suite's files stay plain files, at a path that says so.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGE = "test.test_sqlite3"
MODULES = (
    *("test_backup", "test_dbapi", "test_dump", "test_factory", "test_hooks", "test_regression"),
    *("test_transactions", "test_types", "test_userfunctions"),
)


class _Result(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def _note(self, test: unittest.TestCase, outcome: str) -> None:
        self.outcomes.setdefault(test.id(), outcome)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._note(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._note(test, f"skipped: {reason}")

    def addFailure(self, test: unittest.TestCase, err: object) -> None:
        super().addFailure(test, err)  # type: ignore[arg-type]
        self._note(test, f"failed: {self.failures[-1][1]}")

    def addError(self, test: unittest.TestCase, err: object) -> None:
        super().addError(test, err)  # type: ignore[arg-type]
        self._note(test, f"error: {self.errors[-1][1]}")

    def addSubTest(self, test: unittest.TestCase, subtest: object, err: object) -> None:
        if err is not None:
            super().addSubTest(test, subtest, err)  # type: ignore[arg-type]
            problems = self.failures + self.errors
            self._note(test, f"failed: {problems[-1][1]}")


def take_its_place() -> None:
    """From now on ``import sqlite3`` is ``clusterdb.dbapi2``."""
    import clusterdb.dbapi2
    import clusterdb.dbapi2.dump

    sys.modules["sqlite3"] = clusterdb.dbapi2
    sys.modules["sqlite3.dbapi2"] = clusterdb.dbapi2
    sys.modules["sqlite3.dump"] = clusterdb.dbapi2.dump


def run() -> dict[str, str]:
    """The outcome of every test of the package, by its id."""
    os_helper = importlib.import_module("test.support.os_helper")  # not every Python has it

    for name in ("TESTFN", "TESTFN_UNDECODABLE"):
        path = Path(tempfile.mkdtemp(), os.fsdecode(getattr(os_helper, name)))
        setattr(os_helper, name, str(path))
    result = _Result()
    for name in MODULES:
        module = importlib.import_module(f"{PACKAGE}.{name}")
        unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    return result.outcomes


if __name__ == "__main__":
    if sys.argv[1] == "clusterdb":
        take_its_place()
    outcomes = run()
    with open(sys.argv[2], "w") as out:
        json.dump(outcomes, out)
    os._exit(0)
