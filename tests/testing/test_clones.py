"""Clones for tests: isolation, threads, processes, and the handle ``ClonedDatabase``."""

from __future__ import annotations

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from tests.testing.plugin import CONFTEST, STORE, Runner, built, names


# --- isolation --------------------------------------------------------------------------------------------------------
def test_changes_of_a_test_are_not_seen_by_the_next(pytester: pytest.Pytester, run: Runner) -> None:
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


def test_threads_and_processes_of_a_test_share_its_clone(pytester: pytest.Pytester, run: Runner) -> None:
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
def test_handle_takes_snapshots_resets_and_connects(pytester: pytest.Pytester, run: Runner) -> None:
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
        assert [cluster.name[:9] for cluster in store.clusters()] == ["template-"]


def test_factory_makes_independent_clones(pytester: pytest.Pytester, run: Runner) -> None:
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
