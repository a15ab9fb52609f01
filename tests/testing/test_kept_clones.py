"""Clones that are kept after a failed test."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from clusterdb.testing import runs, seeds
from tests.testing.plugin import CONFTEST, FAILING, STORE, Runner, answer_of, names, printed_commands


def test_clone_of_a_failed_test_is_kept(pytester: pytest.Pytester, run: Runner) -> None:
    """The command that is printed opens it; it does not expire; it goes when the same test is kept again."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    result = run()
    result.assert_outcomes(failed=1, passed=1)
    (command,) = printed_commands(result)
    assert "3" in answer_of(command, "SELECT count(*) FROM accounts").split()
    with clusterdb.open(STORE) as store:
        (kept,) = [cluster for cluster in store.clusters() if cluster.name.startswith("test-")]
        assert kept.settings.ttl_s is kept.settings.idle_s is None
        assert kept.settings.tags["test"].endswith("::test_fails")
        name = kept.name
    (command,) = printed_commands(run())
    assert name not in command
    assert name not in names()


def test_option_keeps_all_failed_or_no_clones(pytester: pytest.Pytester, run: Runner) -> None:
    """All of them, none of them; by option and by ini key; anything else is refused."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    assert printed_commands(run("--clusterdb-keep=none")) == []
    assert len(names()) == 1
    assert len(printed_commands(run("--clusterdb-keep=all", "-rA"))) == 2
    assert len(names()) == 3
    pytester.makeini("[pytest]\nclusterdb_keep = none\n")
    assert printed_commands(run()) == []
    pytester.makeini("[pytest]\nclusterdb_keep = some\n")
    assert "clusterdb_keep = some: use failed, all, none" in run().stdout.str() + str(run().stderr)


def test_oldest_kept_clones_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go."""
    monkeypatch.setattr(runs, "KEPT_MAX", 2)
    run = runs.Run(tmp_path / "store")
    clones = [run.clone(seeds.recipe("CREATE TABLE t (n)")) for _ in range(3)]
    for number, clone in enumerate(clones):
        run.keep([clone], f"test_{number}")
    assert [name for name in names(tmp_path / "store") if "test-" in name] == [clone.name for clone in clones[1:]]
    run.close()


def test_all_clones_of_a_failed_test_are_kept(pytester: pytest.Pytester, run: Runner) -> None:
    """Those of the factory, and that of its module if it used it; each with the fixture that made it."""
    pytester.makeconftest(CONFTEST + '    shared = clone_fixture("module")\n    other = clone_fixture("module")\n')
    pytester.makepyfile("""
        def test_passes(other): ...
        def test_fails(shared, clusterdb_factory):
            clusterdb_factory()
            assert False
        def test_passes_too(other): ...
    """)
    result = run()
    assert len(printed_commands(result)) == 2
    result.stdout.fnmatch_lines(["* --store * # shared", "* --store * # clusterdb_factory"])
    assert len([name for name in names() if name.startswith("test-")]) == 2


def test_clones_in_memory_cannot_be_kept(pytester: pytest.Pytester, run: Runner) -> None:
    """It says so, and what to do."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    result = run("--clusterdb-store=:memory:")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["* is in memory and ends with this process: use a store on disk to keep it"])
    assert not STORE.exists()
