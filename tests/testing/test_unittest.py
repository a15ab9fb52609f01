"""``unittest`` test cases, with and without pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

from tests.testing.plugin import Runner, answer_of, names

CASES = """
    import sys, unittest
    from clusterdb.testing import ClusterTestCase

    class Tests(ClusterTestCase, unittest.TestCase):
        clusterdb_template = ["CREATE TABLE t (n)", "INSERT INTO t VALUES (1)"]

        def rows(self):
            return self.clusterdb.connect().execute("SELECT n FROM t").fetchall()

        def test_one(self):
            self.assertEqual(self.rows(), [(1,)])
            with self.clusterdb.connect() as connection:
                connection.execute("DELETE FROM t")

        def test_two(self):
            self.assertEqual(self.rows(), [(1,)])
            self.clusterdb.connect().execute("DROP TABLE t")

        def test_skipped(self):
            self.skipTest("not today")

        def test_fails(self):
            self.assertEqual(self.rows(), [])
"""


def test_unittest_cases_use_the_store_of_pytest(pytester: pytest.Pytester, run: Runner) -> None:
    """The mixin uses pytest's store; the clone of what failed is kept."""
    pytester.makepyfile(CASES)
    result = run()
    result.assert_outcomes(passed=2, skipped=1, failed=1)
    (command,) = re.findall(r"the clone is kept: (.*)", result.stdout.str())
    assert "1" in answer_of(command, "SELECT n FROM t").split()
    assert [name[:5] for name in names()] == ["templ", "test-"]
    assert "the clone is kept" not in run("--clusterdb-keep=none").stdout.str()


def test_unittest_class_can_choose_store_and_template(pytester: pytest.Pytester, run: Runner) -> None:
    """Attributes of the class override the environment; a cluster can be the template."""
    pytester.makepyfile("""
        import unittest
        import clusterdb
        from clusterdb.testing import ClusterTestCase

        class Tests(ClusterTestCase, unittest.TestCase):
            clusterdb_store = "own"
            clusterdb_template = "CREATE TABLE t (n)"
            clusterdb_keep = "all"

            def test_it(self):
                self.assertEqual(self.clusterdb.reader().execute("SELECT * FROM t").fetchall(), [])

        class Others(ClusterTestCase, unittest.TestCase):
            clusterdb_template = clusterdb.open(":memory:").create_cluster("shop")
            def test_it(self):
                self.assertIs(self.clusterdb.store, self.clusterdb_template.store)
    """)
    run().assert_outcomes(passed=2)
    assert [name[:5] for name in names(Path("own"))] == ["templ", "test-"]


@pytest.mark.parametrize("store", [":memory:", "cases"])
def test_unittest_runs_without_pytest(pytester: pytest.Pytester, store: str) -> None:
    """Without pytest: in memory, or where the environment says."""
    pytester.makepyfile(test_cases=CASES)
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "test_cases"],
        env={**os.environ, "CLUSTERDB_TEST_STORE": store},
        capture_output=True,
        text=True,
    )
    assert "Ran 4 tests" in done.stderr
    assert "FAILED (failures=1, skipped=1)" in done.stderr
    assert bool(re.search(r"the clone is kept: \S.* --store ", done.stderr)) == (store != ":memory:")
    if store != ":memory:":
        assert len(names(Path(store))) == 2
