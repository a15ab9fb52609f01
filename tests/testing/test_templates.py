"""Templates: built once, on one another, from seeds of all kinds, and seeds that fail."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from tests.testing.plugin import CONFTEST, STORE, Runner, built, names


# --- templates --------------------------------------------------------------------------------------------------------
def test_template_is_built_once_over_workers_and_runs(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """Two workers and a later run find what the first has built; another seed is another template."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import pytest
        @pytest.mark.parametrize("n", range(20))
        def test_it(clusterdb_connection, n):
            assert clusterdb_connection.execute("SELECT count(*) FROM accounts").fetchone() == (10,)
    """)
    run_apart("-n", "2").assert_outcomes(passed=20)
    run_apart("-n", "2").assert_outcomes(passed=20)
    assert built() == ["accounts"]
    assert len(names()) == 1
    pytester.makeconftest(CONFTEST.replace("range(1, 11)", "range(10, 0, -1)"))
    run_apart("-p", "no:xdist").assert_outcomes(passed=20)
    assert built() == ["accounts"] * 2


def test_command_line_seeds_precede_ini_seeds(pytester: pytest.Pytester, run: Runner) -> None:
    """SQL files, SQL, functions by their import path; the command line goes first."""
    pytester.makeini("""
        [pytest]
        clusterdb_seed =
            sql/schema.sql
            INSERT INTO t VALUES (1)
            seeding:two
    """)
    Path("sql").mkdir()
    Path("sql/schema.sql").write_text("CREATE TABLE t (\n  n\n);\n")
    pytester.makepyfile(seeding="def two(connection):\n    connection.execute('INSERT INTO t VALUES (2)')\n")
    pytester.makepyfile("""
        def test_it(clusterdb_connection):
            assert clusterdb_connection.execute("SELECT n FROM t").fetchall() == [(1,), (2,)]
    """)
    pytester.syspathinsert()
    run().assert_outcomes(passed=1)
    run("--clusterdb-seed", "CREATE TABLE t AS SELECT 1 AS n UNION SELECT 2").assert_outcomes(passed=1)
    run("--clusterdb-seed", "CREATE TABLE t AS SELECT 3 AS n").assert_outcomes(failed=1)


def test_template_without_seeds_is_empty(pytester: pytest.Pytester, run: Runner) -> None:
    """Nothing needs to be set to begin."""
    pytester.makepyfile("""
        def test_it(clusterdb_connection):
            assert clusterdb_connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
    """)
    run().assert_outcomes(passed=1)


def test_template_can_begin_with_a_database_file(pytester: pytest.Pytester, run: Runner) -> None:
    """A copy of production, and SQL on top of it."""
    with sqlite3.connect("prod.db") as connection:
        connection.execute("CREATE TABLE users (name)")
    connection.close()
    pytester.makepyfile("""
        import pytest
        @pytest.mark.clusterdb_template("prod.db", "INSERT INTO users VALUES ('Ada')")
        def test_it(clusterdb_connection):
            assert clusterdb_connection.execute("SELECT * FROM users").fetchall() == [("Ada",)]
        @pytest.mark.clusterdb_template("SELECT 1", "prod.db")
        def test_in_the_wrong_place(clusterdb): ...
    """)
    result = run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*prod.db*must be the first seed*"])


def test_template_can_be_based_on_another(pytester: pytest.Pytester, run: Runner) -> None:
    """A template with a base has what that has, and is built on a clone of it; each is built once."""
    pytester.makeconftest(
        CONFTEST
        + """
    def orders(connection):
        with open(Path(__file__).with_name("built"), "a") as file:
            file.write("orders\\n")
        connection.execute("CREATE TABLE orders AS SELECT id, 7 AS price FROM accounts")

    orders_template = template_fixture(orders, base=clusterdb_template)
    orders = clone_fixture(template=orders_template)
    shared = clone_fixture("module", template="orders_template", backtrack_window_s=60)
"""
    )
    pytester.makepyfile("""
        def test_orders(orders, clusterdb_connection):
            assert orders.connect().execute("SELECT sum(price) FROM orders").fetchone() == (70,)
            assert clusterdb_connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("accounts",)]

        def test_shared(shared):
            with shared.connect() as connection:
                connection.execute("DELETE FROM orders")
            assert shared.cluster.settings.backtrack_window_s == 60

        def test_shared_still(shared):
            assert shared.connect().execute("SELECT count(*) FROM orders").fetchone() == (0,)
    """)
    run().assert_outcomes(passed=3)
    run().assert_outcomes(passed=3)
    assert built() == ["accounts", "orders"]


def test_base_must_come_from_template_fixture() -> None:
    """Anything else is refused where it is written."""
    with pytest.raises(TypeError, match="use a fixture that template_fixture"):
        clusterdb.testing.template_fixture("SELECT 1", base="other")


def test_marker_chooses_template_engine_and_settings(pytester: pytest.Pytester, run: Runner) -> None:
    """Template, engine and settings by marker; the nearest one wins; an unknown option is refused."""
    pytester.makeconftest(CONFTEST + '    numbers = template_fixture("CREATE TABLE numbers (n)")\n')
    pytester.makepyfile("""
        import pytest
        pytestmark = pytest.mark.clusterdb(template="numbers", settings={"backtrack_window_s": 5, "clone_limit": 3})

        def tables(connection):
            return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]

        def test_of_the_module(clusterdb, clusterdb_connection):
            assert tables(clusterdb_connection) == ["numbers"]
            assert clusterdb.cluster.settings.backtrack_window_s == 5

        @pytest.mark.clusterdb("CREATE TABLE mine (n)", settings={"backtrack_window_s": 7})
        def test_of_its_own(clusterdb, clusterdb_connection):
            assert tables(clusterdb_connection) == ["mine"]
            assert clusterdb.cluster.settings.backtrack_window_s == 7
            assert clusterdb.cluster.settings.clone_limit == 3

        @pytest.mark.clusterdb("CREATE TABLE t (n INT UNSIGNED)", engine="aurora-mysql")
        def test_of_another_engine(clusterdb, clusterdb_connection):
            assert clusterdb.cluster.settings.engine == "aurora-mysql"
            assert clusterdb_connection.execute("SELECT CONCAT('a', 'b')").fetchone() == ("ab",)

        @pytest.mark.clusterdb(tempalte="numbers")
        def test_misspelt(clusterdb): ...
    """)
    result = run("--strict-markers")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*marker clusterdb has no option 'tempalte': use template, engine, settings*"])


# --- seeds that fail --------------------------------------------------------------------------------------------------
def test_failing_sql_seed_names_file_line_and_statement(pytester: pytest.Pytester, run: Runner) -> None:
    """File, line, error and statement; no template remains; all tests err; when it is right they pass."""
    Path("schema.sql").write_text("CREATE TABLE t (n);\n\n-- nothing\nINSERT INTO t\nVALUES (1, 2);\n")
    pytester.makeini("[pytest]\nclusterdb_seed = schema.sql\n")
    pytester.makepyfile("def test_a(clusterdb): ...\ndef test_b(clusterdb): ...")
    result = run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*schema.sql, line 3: table t has 1 columns but 2 values were supplied: *"])
    assert "Traceback" not in result.stdout.str() and "templates.py" not in result.stdout.str()
    assert names() == []
    Path("schema.sql").write_text("CREATE TABLE t (n);")
    run().assert_outcomes(passed=2)


def test_failing_seed_function_runs_once_a_run(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """Its own traceback; over two workers it ran once, over two runs twice."""
    pytester.makeconftest(CONFTEST.replace('execute("CREATE', 'execute("CRATE'))
    pytester.makepyfile("""
        import pytest
        @pytest.mark.parametrize("n", range(6))
        def test_it(clusterdb, n): ...
    """)
    result = run_apart("-n", "2")
    result.assert_outcomes(errors=6)
    result.stdout.fnmatch_lines(['seed conftest:accounts failed: *near "CRATE"*', "*CRATE TABLE accounts*"])
    result.stdout.fnmatch_lines(["(in another worker of this run)"])
    assert "templates.py" not in result.stdout.str()
    assert built() == ["accounts"]
    assert names() == []
    run_apart("-p", "no:xdist").assert_outcomes(errors=6)
    assert built() == ["accounts"] * 2


@pytest.mark.parametrize(
    ("seed", "text"),
    [
        ("missing.sql", "seed 'missing.sql': no such file in "),
        ("no.such.module:f", "seed 'no.such.module:f' cannot be imported: No module named 'no'"),
        ("os:nothing", "seed 'os:nothing' cannot be imported: module 'os' has no attribute 'nothing'"),
        ("os:sep", "seed 'os:sep' is not a function"),
    ],
)
def test_invalid_seeds_are_refused_in_one_line(pytester: pytest.Pytester, run: Runner, seed: str, text: str) -> None:
    """One line says what is wrong."""
    pytester.makepyfile("def test_it(clusterdb): ...")
    result = run("--clusterdb-seed", seed)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{text}*"])


def test_killed_builder_leaves_no_template(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """The process dies in the middle of a seed; the next one builds, and what was half built is gone."""
    pytester.makeconftest(
        CONFTEST.replace(
            'execute("CREATE', 'execute("CREATE TABLE half (n)")\n        die()\n        connection.execute("CREATE'
        )
        + """
    def die():
        import os, signal
        if not Path(__file__).with_name("died").exists():
            Path(__file__).with_name("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    pytester.makepyfile("def test_it(clusterdb): ...")
    assert run_apart("-p", "no:xdist").ret == -signal.SIGKILL
    with clusterdb.open(STORE) as store:
        assert [cluster.name[:9] for cluster in store.clusters()] == ["building-"]
    run_apart("-p", "no:xdist").assert_outcomes(passed=1)
    assert [name[:9] for name in names()] == ["template-"]
