"""The pytest plugin and what stands behind it: fixtures, markers, options, templates built once, clones kept."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from clusterdb.testing import owners, runs, seeds, templates
from conftest import assert_clean
from vfs import osio

pytest_plugins = ["pytester"]

PLUGIN = (
    [] if importlib.metadata.entry_points(group="pytest11", name="clusterdb") else ["-p", "clusterdb.pytest_plugin"]
)
PLUGIN += ["-p", "no:hypothesispytest"]  # is imported anew in every run, for a second
STORE = Path(".pytest_cache/clusterdb")
CONFTEST = """
    from pathlib import Path
    from clusterdb.testing import clone_fixture, template_fixture

    def accounts(connection):
        with open(Path(__file__).with_name("built"), "a") as file:
            file.write("accounts\\n")
        connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
        connection.executemany("INSERT INTO accounts VALUES (?, 100)", [(n,) for n in range(1, 11)])

    clusterdb_template = template_fixture(accounts)
"""
Runner = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Runner:
    """Run pytest with the plugin, in this process."""
    return lambda *arguments: pytester.runpytest_inprocess(*PLUGIN, "-p", "no:xdist", *arguments)


@pytest.fixture
def run_apart(pytester: pytest.Pytester) -> Runner:
    """Run pytest with the plugin, in processes of its own."""
    return lambda *arguments: pytester.runpytest_subprocess(*PLUGIN, *arguments)


def names(path: Path = STORE) -> list[str]:
    """The clusters of a store, which must be clean."""
    with clusterdb.open(path, create=False) as store:
        assert_clean(store)
        return [cluster.name for cluster in store.clusters()]


def built() -> list[str]:
    """What the seeds noted as they ran."""
    return Path("built").read_text().split() if Path("built").exists() else []


# --- isolation --------------------------------------------------------------------------------------------------------
def test_tests_do_what_they_like_and_nobody_sees_it(pytester: pytest.Pytester, run: Runner) -> None:
    """COMMIT, ROLLBACK, DDL, VACUUM, several connections: the next test has the template again."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import pytest

        @pytest.fixture(autouse=True)
        def intact(clusterdb):
            with clusterdb.connect() as connection:
                assert connection.execute("SELECT count(*), sum(balance) FROM accounts").fetchone() == (10, 1000)
                assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("accounts",)]

        def test_commit(clusterdb, clusterdb_connection):
            clusterdb_connection.execute("DELETE FROM accounts")
            clusterdb_connection.commit()
            assert clusterdb.connect().execute("SELECT count(*) FROM accounts").fetchone() == (0,)

        def test_rollback(clusterdb_connection):
            clusterdb_connection.execute("DELETE FROM accounts")
            clusterdb_connection.rollback()
            assert clusterdb_connection.execute("SELECT count(*) FROM accounts").fetchone() == (10,)

        def test_ddl(clusterdb_connection):
            clusterdb_connection.execute("CREATE TABLE other (n)")
            clusterdb_connection.execute("DROP TABLE accounts")

        def test_open_transaction(clusterdb_connection):
            clusterdb_connection.execute("DELETE FROM accounts")

        def test_vacuum(clusterdb):
            clusterdb.cluster.connect().execute("VACUUM")
    """)
    run().assert_outcomes(passed=5)
    assert built() == ["accounts"]
    assert [name for name in names() if not name.startswith("template-")] == []


def test_threads_and_processes(pytester: pytest.Pytester, run: Runner) -> None:
    """Threads through connections of the handle; processes, forked or not, through the URL."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import multiprocessing, subprocess, sys, threading
        import clusterdb as package
        from clusterdb.dbapi2.opening import shared_store

        TAKE = "UPDATE accounts SET balance = balance - 1 WHERE id = 1"

        def take(url):
            with package.connect(url) as connection:
                connection.execute(TAKE)

        def balance(clusterdb):
            return clusterdb.connect().execute("SELECT balance FROM accounts WHERE id = 1").fetchone()[0]

        def test_threads(clusterdb):
            def work():
                with clusterdb.connect() as connection:
                    connection.execute(TAKE)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert balance(clusterdb) == 96

        def test_another_program(clusterdb):
            code = f"import clusterdb; c = clusterdb.connect({clusterdb.url!r}); c.execute({TAKE!r}); c.commit()"
            subprocess.run([sys.executable, "-c", code], check=True)
            assert balance(clusterdb) == 99

        def test_forked(clusterdb):
            child = multiprocessing.get_context("fork").Process(target=take, args=(clusterdb.url,))
            child.start()
            child.join()
            assert (child.exitcode, balance(clusterdb)) == (0, 99)

        def test_url_in_this_process(clusterdb):
            take(clusterdb.url)
            assert balance(clusterdb) == 99
            assert shared_store(clusterdb.store.path) is clusterdb.store
    """)
    run("-W", "ignore::DeprecationWarning").assert_outcomes(passed=4)
    names()


# --- the handle -------------------------------------------------------------------------------------------------------
def test_the_handle(pytester: pytest.Pytester, run: Runner) -> None:
    """Snapshots, going back with and without one, a reader, SQLAlchemy, names."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import pytest, sqlalchemy
        import clusterdb as package

        def count(connection):
            return connection.execute("SELECT count(*) FROM accounts").fetchone()[0]

        def test_snapshots(clusterdb, clusterdb_connection):
            clusterdb_connection.execute("DELETE FROM accounts WHERE id > 5")
            clusterdb_connection.commit()
            first = clusterdb.snapshot()
            clusterdb_connection.execute("DELETE FROM accounts WHERE id > 2")
            clusterdb_connection.commit()
            clusterdb.snapshot()
            clusterdb_connection.execute("DROP TABLE accounts")
            clusterdb.restore()
            assert count(clusterdb_connection) == 2
            clusterdb.restore(first)
            assert count(clusterdb_connection) == 5

        def test_back_to_the_template(clusterdb, clusterdb_connection):
            clusterdb_connection.execute("DROP TABLE accounts")
            clusterdb.restore()
            assert count(clusterdb_connection) == 10

        def test_reader(clusterdb):
            reader = clusterdb.reader()
            assert count(reader) == 10
            with pytest.raises(package.OperationalError, match="readonly"):
                reader.execute("DELETE FROM accounts")

        def test_engine(clusterdb, clusterdb_engine):
            with clusterdb_engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM accounts WHERE id = 1")
            assert count(clusterdb.connect()) == 9
            engine = sqlalchemy.create_engine(clusterdb.sqlalchemy_url)
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM accounts").scalar() == 9
            engine.dispose()

        def test_names(clusterdb, clusterdb_store, clusterdb_template):
            assert clusterdb.store is clusterdb_store
            assert clusterdb.cluster.name == clusterdb.name
            assert clusterdb.template.name == clusterdb_template.name
            assert clusterdb.name in repr(clusterdb)

        def test_gone_already(clusterdb):
            clusterdb.cluster.delete()

        def test_protected(clusterdb):
            clusterdb.cluster.modify(deletion_protection=True)
    """)
    run().assert_outcomes(passed=7)
    with clusterdb.open(STORE) as store:
        assert store.snapshots() == []
        assert [each.name[:9] for each in store.clusters()] == ["template-"]


def test_more_clones_in_one_test(pytester: pytest.Pytester, run: Runner) -> None:
    """The factory makes independent clones, of the default template, of others, with settings."""
    pytester.makeconftest(CONFTEST + '    empty = template_fixture("CREATE TABLE vacant (n)")\n')
    pytester.makepyfile("""
        def tables(clone):
            return [name for (name,) in clone.connect().execute("SELECT name FROM sqlite_schema")]

        def test_several(clusterdb, clusterdb_factory):
            one, two = clusterdb_factory(), clusterdb_factory(backtrack_window_s=60)
            one.connect().execute("DROP TABLE accounts")
            assert (tables(clusterdb), tables(one), tables(two)) == (["accounts"], [], ["accounts"])
            assert two.cluster.settings.backtrack_window_s == 60
            assert tables(clusterdb_factory("empty")) == ["vacant"]
            assert tables(clusterdb_factory(["CREATE TABLE here (n)"])) == ["here"]
            assert len({clusterdb.name, one.name, two.name}) == 3
    """)
    run().assert_outcomes(passed=1)
    assert {name[:9] for name in names()} == {"template-"}


# --- templates --------------------------------------------------------------------------------------------------------
def test_a_template_is_built_once_over_workers_and_runs(pytester: pytest.Pytester, run_apart: Runner) -> None:
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


def test_seeds_of_the_ini_file_and_of_the_command_line(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_without_seeds_the_template_is_empty(pytester: pytest.Pytester, run: Runner) -> None:
    """Nothing needs to be set to begin."""
    pytester.makepyfile("""
        def test_it(clusterdb_connection):
            assert clusterdb_connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
    """)
    run().assert_outcomes(passed=1)


def test_a_database_file_to_begin_with(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_templates_on_templates(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_a_base_is_what_template_fixture_gave() -> None:
    """Anything else is refused where it is written."""
    with pytest.raises(TypeError, match="use a fixture that template_fixture"):
        clusterdb.testing.template_fixture("SELECT 1", base="other")


def test_markers(pytester: pytest.Pytester, run: Runner) -> None:
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
def test_a_seed_of_sql_that_fails_says_where(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_a_function_that_fails_is_shown_and_not_run_again(pytester: pytest.Pytester, run_apart: Runner) -> None:
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
def test_seeds_that_cannot_be(pytester: pytest.Pytester, run: Runner, seed: str, text: str) -> None:
    """One line says what is wrong."""
    pytester.makepyfile("def test_it(clusterdb): ...")
    result = run("--clusterdb-seed", seed)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{text}*"])


def test_a_killed_builder_leaves_nothing(pytester: pytest.Pytester, run_apart: Runner) -> None:
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


# --- keys -------------------------------------------------------------------------------------------------------------
def seeding(connection: clusterdb.dbapi2.Connection) -> None:
    """A seed for the tests of keys."""
    connection.execute("CREATE TABLE t (n)")


def test_keys(tmp_path: Path) -> None:
    """Content and order count, where a file lies does not."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "schema.sql").write_text("CREATE TABLE t (n)")

    def key(*given: object, folder: str = "one", **options: object) -> str:
        return seeds.recipe(given, folders=[tmp_path / folder], **options).key  # type: ignore[arg-type]

    same = key("schema.sql", seeding)
    assert same == key("schema.sql", seeding, folder="two") == key(Path("schema.sql"), seeding)
    others = [
        key(seeding, "schema.sql"),
        key("schema.sql"),
        key("schema.sql", seeding, "SELECT 1"),
        key("schema.sql", seeding, engine="aurora-mysql"),
        key("schema.sql", seeding, watched=["*.sql"]),
        key(seeding, base=seeds.recipe("schema.sql", folders=[tmp_path / "one"])),
    ]
    watched = key(seeding, watched=["*.sql"])
    (tmp_path / "one" / "schema.sql").write_text("CREATE TABLE t (m)")
    others += [key("schema.sql", seeding), key(seeding, watched=["*.sql"]), watched]
    assert len({same, *others}) == len(others) + 1


def test_the_key_of_a_function_counts_what_it_was_made_with() -> None:
    """A value of the function around it counts; one that differs in every process is refused."""

    def made(value: object) -> Callable[[clusterdb.dbapi2.Connection], None]:
        def fill(connection: clusterdb.dbapi2.Connection) -> None:
            connection.execute("INSERT INTO t VALUES (?)", (value,))

        return fill

    assert seeds.recipe(made(1)).key == seeds.recipe(made(1)).key != seeds.recipe(made(2)).key
    with pytest.raises(seeds.SeedError, match="is bound to a value that differs in every process"):
        assert seeds.recipe(made(object())).key


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        (7, {}, "seed 7: use SQL, a path, a function"),
        ([], {"watched": ["*.nothing"]}, "no file matches"),
        (
            [],
            {"base": seeds.Recipe(engine="aurora-mysql"), "engine": "sqlite"},
            "the base of the template has the engine",
        ),
    ],
)
def test_recipes_that_make_no_sense(given: object, options: dict[str, object], text: str, tmp_path: Path) -> None:
    """They are refused before anything is built."""
    with pytest.raises(seeds.SeedError, match=text):
        seeds.recipe(given, folders=[tmp_path], **options)  # type: ignore[arg-type]


def test_a_function_gets_what_its_parameters_are_named_after(tmp_path: Path) -> None:
    """URLs and the cluster; a transaction that is open at the end is committed."""
    seen: list[object] = []

    def several(
        connection: clusterdb.dbapi2.Connection, url: str, sqlalchemy_url: str, cluster: clusterdb.Cluster
    ) -> None:
        seen.extend([url, sqlalchemy_url, cluster])
        with clusterdb.connect(url) as other:
            other.execute("CREATE TABLE t (n)")
        connection.execute("INSERT INTO t VALUES (1)")

    store = clusterdb.open(tmp_path / "store")
    cluster = store.create_cluster("shop")
    seeds.Recipe((several,)).run(cluster)
    assert seen == [
        f"clusterdb:shop?store={tmp_path}/store",
        f"sqlite+clusterdb:///shop?store={tmp_path}/store",
        cluster,
    ]
    assert cluster.connect().execute("SELECT n FROM t").fetchall() == [(1,)]

    def wrong(one: object, two: object) -> None: ...

    with pytest.raises(seeds.SeedError, match="has the parameters one, two: use any of connection, cluster, url"):
        seeds.Recipe((wrong,)).run(cluster)
    store.close()


def test_scripts_with_transactions_of_their_own(tmp_path: Path) -> None:
    """A dump of sqlite3's runs as it is."""
    with sqlite3.connect(":memory:") as source:
        source.executescript("CREATE TABLE t (n, s); INSERT INTO t VALUES (1, 'a;\n b'), (2, NULL)")
        (tmp_path / "dump.sql").write_text("\n".join(source.iterdump()))
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("shop")
        seeds.recipe("dump.sql", folders=[tmp_path]).run(cluster)
        assert cluster.connect().execute("SELECT * FROM t").fetchall() == [(1, "a;\n b"), (2, None)]


# --- what is kept -----------------------------------------------------------------------------------------------------
FAILING = """
    def test_fails(clusterdb_connection):
        clusterdb_connection.execute("DELETE FROM accounts WHERE id > 3")
        clusterdb_connection.commit()
        assert False

    def test_passes(clusterdb): ...
"""


def printed_commands(result: pytest.RunResult) -> list[str]:
    return re.findall(r"^clusterdb --store \S+ shell \S+", result.stdout.str(), re.MULTILINE)


def answer_of(command: str, sql: str) -> str:
    """What a command that was printed answers to a statement."""
    words = shlex.split(command, comments=True)
    known = subprocess.run([sys.executable, "-m", "clusterdb.cli", "--help"], capture_output=True, text=True).stdout
    if " shell " not in known:  # the same of an older command line
        words[words.index("shell")] = "sql"
    code = "import sys; from clusterdb.cli import main; sys.argv[0] = 'clusterdb'; main()"
    done = subprocess.run([sys.executable, "-c", code, *words[1:]], input=f"{sql};\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_failed_test_keeps_its_clone(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_which_clones_are_kept(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_not_more_than_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go."""
    monkeypatch.setattr(runs, "KEPT_MAX", 2)
    run = runs.Run(tmp_path / "store")
    clones = [run.clone(seeds.recipe("CREATE TABLE t (n)")) for _ in range(3)]
    for number, clone in enumerate(clones):
        run.keep([clone], f"test_{number}")
    assert [name for name in names(tmp_path / "store") if "test-" in name] == [clone.name for clone in clones[1:]]
    run.close()


def test_a_test_keeps_all_its_clones_and_shared_ones(pytester: pytest.Pytester, run: Runner) -> None:
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
    result.stdout.fnmatch_lines(["clusterdb --store * # shared", "clusterdb --store * # clusterdb_factory"])
    assert len([name for name in names() if name.startswith("test-")]) == 2


def test_in_memory_nothing_can_be_kept(pytester: pytest.Pytester, run: Runner) -> None:
    """It says so, and what to do."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    result = run("--clusterdb-store=:memory:")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["* is in memory and ends with this process: use a store on disk to keep it"])
    assert not STORE.exists()


# --- options ----------------------------------------------------------------------------------------------------------
def test_where_the_store_is(pytester: pytest.Pytester, run: Runner) -> None:
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
    pytester.makeini("[pytest]\n")
    run("-p", "no:cacheprovider").stdout.fnmatch_lines(["*set --clusterdb-store=DIRECTORY*"])


def test_stats(pytester: pytest.Pytester, run: Runner, run_apart: Runner) -> None:
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


def test_rebuild(pytester: pytest.Pytester, run: Runner, run_apart: Runner) -> None:
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


def test_fixtures_tell_their_cost(run: Runner) -> None:
    """What `pytest --fixtures` shows."""
    shown = run("--fixtures").stdout.str()
    for name in ("store", "template", "connection", "engine", "factory"):
        assert re.search(rf"clusterdb_{name}.*\n(    .*\n)*?    .*\bms\b", shown), name


@pytest.mark.parametrize("what", ["pytest", "pytest-xdist"])
def test_releases_that_are_too_old(
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
def test_importing_the_plugin_is_light() -> None:
    """Neither the engine nor what it needs is imported for the plugin, nor for a conftest's imports of it."""
    code = (
        "import sys, clusterdb.pytest_plugin, clusterdb.testing; "
        "from clusterdb.testing import template_fixture, clone_fixture; template_fixture('SELECT 1'); clone_fixture(); "
        "print({'apsw', 'sqlglot', 'sqlalchemy', 'clusterdb.store', 'clusterdb.public'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


def test_no_effect_unless_used(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """A suite that has the plugin but does not use it: no store, no engine, no word."""
    pytester.makepyfile("import sys\ndef test_it(): assert 'apsw' not in sys.modules")
    result = run_apart("-p", "no:xdist")
    result.assert_outcomes(passed=1)
    assert not STORE.exists()
    assert "clones" not in result.stdout.str()


# --- what the dead leave behind ---------------------------------------------------------------------------------------
def test_clones_of_a_killed_run_go_with_the_next_start(
    pytester: pytest.Pytester, run: Runner, run_apart: Runner
) -> None:
    """Its snapshots too; what is kept stays."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(FAILING)
    (command,) = printed_commands(run())
    pytester.makepyfile("""
        import os, signal
        def test_dies(clusterdb):
            clusterdb.snapshot()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert run_apart("-p", "no:xdist").ret == -signal.SIGKILL
    assert len([name for name in names() if name.startswith("test-")]) == 2
    pytester.makepyfile("def test_it(clusterdb): ...")
    run().assert_outcomes(passed=1)
    assert [name for name in names() if name.startswith("test-")] == [command.split()[-1]]
    with clusterdb.open(STORE) as store:
        assert store.snapshots() == []


def test_owners() -> None:
    """This process lives, one that has ended does not; after a reboot nobody does; of other containers nobody knows."""
    child = subprocess.Popen(
        [sys.executable, "-c", "from clusterdb.testing.owners import this_process; print(this_process())"], stdout=-1
    )
    told, _ = child.communicate()
    mine = owners.this_process()
    boot, namespace, pid, started = mine.split()
    assert not owners.has_ended(mine)
    assert owners.has_ended(told.decode())
    assert owners.has_ended(f"{boot} {namespace} {pid} 1")
    assert owners.has_ended(f"other {namespace} {pid} {started}")
    assert not owners.has_ended(f"{boot} pid:[1] {pid} 1")
    assert owners.has_ended("")


def test_templates_and_clones_expire(tmp_path: Path) -> None:
    """Templates when nobody uses them, clones in any case: a store does not grow for ever."""
    run = runs.Run(tmp_path / "store")
    clone = run.clone(seeds.recipe("CREATE TABLE t (n)"))
    assert clone.template.settings.idle_s == templates.IDLE_S
    assert clone.cluster.settings.ttl_s == runs.CLONE_TTL_S
    clone.template.modify(idle_s=1e-9)
    clone.cluster.modify(ttl_s=1e-9)
    assert sorted(run.store.expire()) == sorted([clone.template.name, clone.name])
    run.drop(clone)
    run.close()


def test_a_template_that_is_deleted_meanwhile_is_built_again(tmp_path: Path) -> None:
    """Another run may build it anew; a cluster that is no template is not missed so quietly."""
    run = runs.Run(tmp_path / "store")
    recipe = seeds.recipe("CREATE TABLE t (n)")
    template = run.clone(recipe).template
    template.delete()
    clone = run.clone(template)
    assert clone.connect().execute("SELECT count(*) FROM t").fetchone() == (0,)
    clone.drop()
    other = run.store.create_cluster("other")
    other.delete()
    with pytest.raises(clusterdb.ClusterNotFoundError):
        run.clone(other)
    run.close()


def test_a_damaged_store_says_what_to_do(tmp_path: Path) -> None:
    """It holds nothing but test data."""
    runs.Run(tmp_path / "store").close()
    (tmp_path / "store" / "catalog.db-wal").unlink()
    (tmp_path / "store" / "catalog.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(clusterdb.CorruptStoreError, match="holds test data only: delete the directory"):
        runs.Run(tmp_path / "store")


def test_after_a_boot_the_store_is_checked(tmp_path: Path) -> None:
    """A page that never reached the device is found before a test believes it; what is whole is used."""
    recipe = seeds.recipe("CREATE TABLE t (s); INSERT INTO t VALUES (printf('%5000s', 'here'))")
    run = runs.Run(tmp_path / "store")
    run.templates.cluster(recipe)
    run.close()
    note, pool = tmp_path / "store" / "testing" / "boot", tmp_path / "store" / "pool"
    note.write_text("another")
    run = runs.Run(tmp_path / "store")
    assert run.templates.cluster(recipe) and not run.stats.built
    run.close()
    content = pool.read_bytes()
    at = content.index(b"here") // 4096 * 4096
    pool.write_bytes(content[:at] + bytes(4096) + content[at + 4096 :])
    note.write_text("another")
    with pytest.raises(
        clusterdb.CorruptStoreError, match=r"was damaged when the system went down .*delete the directory"
    ):
        runs.Run(tmp_path / "store")


def test_a_disposable_store_syncs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the pool nor the catalog, also with PRAGMA synchronous = FULL; another one does."""
    synced: list[int] = []
    monkeypatch.setattr(osio.CALLS, "fdatasync", synced.append)
    for disposable in (True, False):
        with clusterdb.open(tmp_path / f"{disposable}", disposable=disposable) as store:
            synced.clear()
            clone = store.create_cluster("base").clone("clone")
            connection = clone.connect()
            connection.execute("PRAGMA synchronous = FULL; CREATE TABLE t (n)").fetchall()
            connection.close()
            clone.delete()
            assert store._catalog._db.pragma("synchronous") == (1 if disposable else 3)
            assert bool(synced) is not disposable
            assert_clean(store)


@pytest.mark.slow
def test_a_worker_killed_among_a_thousand_tests(pytester: pytest.Pytester, run_apart: Runner) -> None:
    """xdist starts another; the store is clean, and the next run uses it again."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("""
        import os, signal
        import pytest

        @pytest.mark.parametrize("n", range(1000))
        def test_it(clusterdb_connection, n):
            assert clusterdb_connection.execute("SELECT count(*) FROM accounts").fetchone() == (10,)
            clusterdb_connection.execute("UPDATE accounts SET balance = ?", (n,))
            clusterdb_connection.commit()
            if n == 300 and os.environ.get("DIES"):
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    os.environ["DIES"] = "1"
    try:
        result = run_apart("-n", "2", "--max-worker-restart=1")
    finally:
        del os.environ["DIES"]
    result.assert_outcomes(passed=999, failed=1)
    assert len([name for name in names() if name.startswith("test-")]) <= 1
    result = run_apart("-n", "2", "--clusterdb-stats")
    result.assert_outcomes(passed=1000)
    result.stdout.fnmatch_lines(["clones made: 1000, in *", "template found: *"])
    assert [name[:9] for name in names()] == ["template-"]
    assert built() == ["accounts"]


# --- unittest ---------------------------------------------------------------------------------------------------------
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


def test_unittest_under_pytest(pytester: pytest.Pytester, run: Runner) -> None:
    """The mixin uses pytest's store; the clone of what failed is kept."""
    pytester.makepyfile(CASES)
    result = run()
    result.assert_outcomes(passed=2, skipped=1, failed=1)
    (command,) = re.findall(r"the clone is kept: (clusterdb .*)", result.stdout.str())
    assert "1" in answer_of(command, "SELECT n FROM t").split()
    assert [name[:5] for name in names()] == ["templ", "test-"]
    assert "the clone is kept" not in run("--clusterdb-keep=none").stdout.str()


def test_unittest_with_a_store_of_its_own(pytester: pytest.Pytester, run: Runner) -> None:
    """What the class says goes first; a cluster can be the template."""
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
def test_unittest_alone(pytester: pytest.Pytester, store: str) -> None:
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
    assert ("the clone is kept: clusterdb --store" in done.stderr) == (store != ":memory:")
    if store != ":memory:":
        assert len(names(Path(store))) == 2
