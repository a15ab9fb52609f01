"""Options, statistics, and no effect on suites that do not use the plugin."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

from tests.testing.plugin import CONFTEST, FAILING, STORE, Runner, answer_of, built, names, printed_commands


# --- options ----------------------------------------------------------------------------------------------------------
def test_store_is_in_the_pytest_cache_or_where_configured(pytester: pytest.Pytester, run: Runner) -> None:
    """In pytest's cache; where the ini file or the command line says; --cache-clear leaves it."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_it(clusterdb, clusterdb_store): print('store', clusterdb_store.path)")
    run("--cache-clear").assert_outcomes(passed=1)
    assert "*" in (STORE.parent / ".gitignore").read_text()
    run("--cache-clear").assert_outcomes(passed=1)
    assert built() == ["accounts"]
    run("--clusterdb-store", "there").assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nclusterdb_store = here\n")
    run().assert_outcomes(passed=1)
    assert len(names(Path("here"))) == len(names(Path("there"))) == 1
    pytester.makeini("[pytest]\nclusterdb_store = :memory:\n")
    run("-s").stdout.fnmatch_lines(["*store :memory:*"])


@pytest.mark.parametrize("workers", [("-p", "no:xdist"), ("-n", "2")], ids=["one process", "xdist"])
def test_store_without_a_cache_is_in_the_directory_for_temporary_files(
    pytester: pytest.Pytester, run_apart: Runner, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    """With ``-p no:cacheprovider``: shared by workers and runs, one for each rootdir; failed clones are kept there."""
    temporary = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        test_many="""
        import unittest
        import pytest
        from clusterdb.testing import ClusterTestCase

        @pytest.mark.parametrize("number", range(4))
        def test_it(clusterdb_connection, clusterdb_engine, clusterdb_factory, number):
            clusterdb_connection.execute("UPDATE accounts SET balance = ?", (number,))
            clusterdb_connection.commit()

        class TestCase(ClusterTestCase, unittest.TestCase):
            clusterdb_template = ["CREATE TABLE t (n)"]
            def test_it(self):
                self.assertEqual(self.clusterdb.connect().execute("SELECT * FROM t").fetchall(), [])
        """,
        test_failing=FAILING,
    )
    for _ in range(2):
        result = run_apart("-p", "no:cacheprovider", *workers)
        result.assert_outcomes(passed=6, failed=1)
    (store,) = temporary.glob("clusterdb-pytest-*")
    assert not Path(".pytest_cache").exists()
    assert built() == ["accounts"]
    (command,) = printed_commands(result)
    assert f"--store {store} " in command
    assert answer_of(command, "SELECT count(*) FROM accounts").split()[-1] == "3"
    assert sorted(name.partition("-")[0] for name in names(store)) == ["template", "template", "test"]
    pytester.mkdir("other").joinpath("pytest.ini").write_text("[pytest]\n")
    Path("other", "test_one.py").write_text(
        "import pytest\n@pytest.mark.clusterdb('SELECT 1')\ndef test_one(clusterdb): ...\n"
    )
    run_apart("-p", "no:cacheprovider", *workers, "--rootdir=other", "other").assert_outcomes(passed=1)
    assert len(list(temporary.glob("clusterdb-pytest-*"))) == 2


def test_stats_option_prints_clones_times_and_templates(
    pytester: pytest.Pytester, run: Runner, run_apart: Runner
) -> None:
    """Clones, times, bytes, templates; over workers too; not unless asked."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    assert "clones made" not in run().stdout.str()
    result = run("--clusterdb-stats", "--clusterdb-rebuild")
    result.stdout.fnmatch_lines(
        [
            "clones made: 2, in * ms (p50), * ms (max); a clone wrote * (p50), * (max), all *",
            "template built in * s: conftest:accounts",
            "clones kept: test-*",
        ]
    )
    pytester.makeini("[pytest]\nclusterdb_stats = true\n")
    run_apart("-n", "2").stdout.fnmatch_lines(["clones made: 2, in *", "template found: conftest:accounts"])
    run("-k", "nothing").stdout.fnmatch_lines(["no clones made"])


def test_rebuild_option_rebuilds_templates_once_a_run(
    pytester: pytest.Pytester, run: Runner, run_apart: Runner
) -> None:
    """Once in a run, over all its workers; by option and by ini key."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import pytest
        @pytest.mark.parametrize("n", range(8))
        def test_it(clusterdb, n): ...
    """)
    run().assert_outcomes(passed=8)
    run_apart("--clusterdb-rebuild", "-n", "2").assert_outcomes(passed=8)
    assert len(built()) == 2
    pytester.makeini("[pytest]\nclusterdb_rebuild = true\n")
    run().assert_outcomes(passed=8)
    assert len(built()) == 3
    assert len(names()) == 1


def test_fixtures_document_their_cost(run: Runner) -> None:
    """``pytest --fixtures`` shows the cost of each fixture."""
    shown = run("--fixtures").stdout.str()
    for name in ("store", "template", "connection", "engine", "factory"):
        assert re.search(rf"clusterdb_{name}.*\n(    .*\n)*?    .*\bms\b", shown), name


@pytest.mark.parametrize("what", ["pytest", "pytest-xdist"])
def test_old_releases_of_dependencies_are_named(
    what: str, pytester: pytest.Pytester, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says which release is needed; only those who use a fixture see it."""
    from clusterdb.testing import session

    if what == "pytest":
        monkeypatch.setattr(session, "PYTEST_MIN", (999, 1))
    else:
        pytest.importorskip("xdist")
        monkeypatch.setattr(session, "XDIST_MIN", (999, 1))
        pytester.makeconftest(
            "def pytest_configure(config): config.workerinput = {'testrunuid': 'x'}; config.workeroutput = {}"
        )
    pytester.makepyfile("def test_uses(clusterdb): ...\ndef test_does_not(): ...")
    result = run("-p", "no:junitxml", "-p", "no:cacheprovider") if what == "pytest-xdist" else run()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([f"*clusterdb's fixtures need {what} 999.1 or later, this is *: upgrade it"])


# --- no effect unless used --------------------------------------------------------------------------------------------
def test_import_of_the_plugin_loads_no_engine() -> None:
    """Importing the plugin, also from a conftest, imports neither the engine nor its dependencies."""
    code = (
        "import sys, clusterdb.pytest_plugin, clusterdb.testing; "
        "from clusterdb.testing import template_fixture, clone_fixture; template_fixture('SELECT 1'); clone_fixture(); "
        "print({'apsw', 'sqlglot', 'sqlalchemy', 'clusterdb.store', 'clusterdb.public'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_unused_plugin_has_no_effect(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """A suite that has the plugin but does not use it: no store, no engine, no word."""
    pytester.makepyfile("import sys\ndef test_it(): assert 'apsw' not in sys.modules")
    result = run_apart("-p", "no:xdist")
    result.assert_outcomes(passed=1)
    assert not STORE.exists()
    assert "clones" not in result.stdout.str()
