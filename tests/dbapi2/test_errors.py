"""Errors of the DB-API: classes, codes and messages, and the state of the connection after them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import apsw
import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import count


def test_all_errors_are_of_pep_249() -> None:
    """Every error of the control plane is caught by ``except sqlite3.Error``."""
    for name in clusterdb.errors.__all__:
        kind = getattr(clusterdb.errors, name)
        if kind is not dbapi2.Warning:
            assert issubclass(kind, dbapi2.Error), name
    assert dbapi2.Connection.OperationalError is dbapi2.OperationalError is clusterdb.OperationalError


@pytest.mark.parametrize(
    ("sql", "kind", "name"),
    [
        ("SELECT * FROM nowhere", dbapi2.OperationalError, "SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1, 'z')", dbapi2.IntegrityError, "SQLITE_CONSTRAINT_PRIMARYKEY"),
        ("INSERT INTO t VALUES ('x', 'z')", dbapi2.IntegrityError, "SQLITE_MISMATCH"),
        ("SELECT zeroblob(1 << 40)", dbapi2.DataError, "SQLITE_TOOBIG"),
        ("PRAGMA journal_mode = WAL; SELECT 1", dbapi2.ProgrammingError, None),
    ],
)
def test_errors_have_sqlite_code_and_name(
    connection: dbapi2.Connection, sql: str, kind: type[Exception], name: str
) -> None:
    """``sqlite_errorcode`` and ``sqlite_errorname``, if SQLite said it."""
    with pytest.raises(kind) as caught:
        connection.execute(sql)
    assert type(caught.value) is kind
    assert getattr(caught.value, "sqlite_errorname", None) == name
    if name is not None:
        assert getattr(caught.value, "sqlite_errorcode", None) == getattr(apsw, name)


def test_busy_is_an_operational_error(connection: dbapi2.Connection) -> None:
    """A second writer waits for its timeout, then is told."""
    connection.execute("DELETE FROM t")
    with closing(dbapi2.connect(connection.cluster, timeout=0)) as other:  # type: ignore[arg-type]
        with pytest.raises(dbapi2.OperationalError, match="locked") as caught:
            other.execute("DELETE FROM t")
        assert caught.value.sqlite_errorname == "SQLITE_BUSY"
        assert count(other) == 5


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;\n-- x\nSELECT 2", "/* ; */ SELECT 1; SELECT 2"])
def test_two_statements_in_one_execute_are_refused(connection: dbapi2.Connection, sql: str) -> None:
    """Nothing of it is run."""
    with pytest.raises(dbapi2.ProgrammingError, match="one statement at a time"):
        connection.execute(sql)


def test_none_of_two_statements_is_run(connection: dbapi2.Connection) -> None:
    """The first statement is not run, either."""
    with pytest.raises(dbapi2.ProgrammingError):
        connection.execute("DELETE FROM t; DELETE FROM t")
    assert count(connection) == 5
    assert not connection.in_transaction


@pytest.mark.parametrize(
    "sql", ["SELECT ';'", "SELECT 1; -- ;", "SELECT 1 ; /* ; */ ", "-- ;\nSELECT 1;", "/* SELECT 1; */ SELECT 1;"]
)
def test_semicolons_in_texts_and_comments_end_no_statement(connection: dbapi2.Connection, sql: str) -> None:
    """In texts and comments they count for nothing."""
    assert len(connection.execute(sql).fetchall()) == 1


def test_trigger_with_semicolons_is_one_statement(connection: dbapi2.Connection) -> None:
    """A trigger is one statement; what follows it is a second."""
    trigger = "CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO t (b) VALUES ('g;'); SELECT 1; END"
    with pytest.raises(dbapi2.ProgrammingError, match="one statement at a time"):
        connection.execute(f"{trigger}; SELECT 1")
    connection.execute(f"{trigger};")
    connection.execute("DELETE FROM t WHERE id = 1")
    assert count(connection) == 5


def test_empty_second_statement_is_refused(connection: dbapi2.Connection) -> None:
    """``sqlite3`` refuses it."""
    with pytest.raises(dbapi2.ProgrammingError, match="one statement at a time"):
        connection.execute("SELECT 1;;")


@pytest.mark.parametrize(
    ("sql", "parameters", "kind"),
    [
        ("SELECT ?", (), dbapi2.ProgrammingError),
        ("SELECT ?", (1, 2), dbapi2.ProgrammingError),
        ("SELECT :a", {}, dbapi2.ProgrammingError),
        ("SELECT ?", {"a": 1}, dbapi2.ProgrammingError),
        ("SELECT ?", 5, dbapi2.ProgrammingError),
        ("SELECT ?", {1}, dbapi2.ProgrammingError),
        ("SELECT ?", (object(),), dbapi2.ProgrammingError),
        ("SELECT ?", (2**63,), OverflowError),
        ("SELECT ?", ("\ud800",), UnicodeEncodeError),
        ("INSERT INTO t (b) VALUES (?)", (), dbapi2.ProgrammingError),
    ],
)
def test_wrong_parameters_raise_the_error_of_sqlite3(
    connection: dbapi2.Connection, sql: str, parameters: Any, kind: type[Exception]
) -> None:
    """The error is that of ``sqlite3``, word for word, and the connection goes on; known statements are no other."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.execute("CREATE TABLE t (id, b)")
        with pytest.raises(getattr(sqlite3, kind.__name__, kind)) as expected:
            model.execute(sql, parameters)
    for _ in range(2):
        with pytest.raises(kind) as caught:
            connection.execute(sql, parameters)
        assert str(caught.value) == str(expected.value)
    assert count(connection) == 5


@pytest.mark.parametrize("parameters", [(), []])
def test_statement_with_wrong_parameters_begins_a_transaction(connection: dbapi2.Connection, parameters: Any) -> None:
    """As in ``sqlite3``, which begins it before it looks at them; the same for tuples and lists."""
    with pytest.raises(dbapi2.ProgrammingError):
        connection.execute("INSERT INTO t (b) VALUES (?)", parameters)
    assert connection.in_transaction


def test_statement_that_is_not_text_is_refused(connection: dbapi2.Connection) -> None:
    """The error says what is expected."""
    with pytest.raises(TypeError, match="must be str, not list"):
        connection.execute([])  # type: ignore[arg-type]


def test_failed_prepare_ends_the_previous_query(connection: dbapi2.Connection) -> None:
    """After an error the cursor has nothing to give."""
    cursor = connection.execute("SELECT 1")
    with pytest.raises(dbapi2.OperationalError):
        cursor.execute("SELECT * FROM nowhere")
    assert (cursor.description, cursor.fetchall()) == (None, [])


@pytest.mark.parametrize("parameters", [("SELECT * FROM nowhere",), ("DELETE FROM t WHERE id = ?", [])])
def test_error_ends_the_query_of_the_cursor(connection: dbapi2.Connection, parameters: Any) -> None:
    """The cursor holds nothing any more."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.fetchone()
    with pytest.raises(dbapi2.Error):
        cursor.execute(*parameters)
    connection.rollback()
    connection.execute("DROP TABLE t")


UNSTORABLE = {
    "a number, then nothing": (":a, :b", {"a": 2**63}),
    "nothing, then a number": (":b, :a", {"a": 2**63}),
    "a text, then nothing": (":a, :b", {"a": "\ud800"}),
    "a number, then an object": ("?, ?", (2**63, object())),
    "a text, then an object": ("?, ?", ["\ud800", object()]),
}


@pytest.mark.parametrize("case", UNSTORABLE)
def test_first_value_that_cannot_be_bound_is_reported(case: str) -> None:
    """As in ``sqlite3``, which binds values one by one."""
    placeholders, values = UNSTORABLE[case]

    def outcomes(module: Any) -> list[tuple[str, str]]:
        raised = []
        with closing(module.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE t (a, b)")
            cursor, sql = connection.cursor(), f"INSERT INTO t VALUES ({placeholders})"
            for execute, argument in ((cursor.execute, values), (cursor.executemany, [values])):
                with pytest.raises(Exception) as caught:
                    execute(sql, argument)
                raised.append((caught.type.__name__, str(caught.value)))
        return raised

    assert outcomes(dbapi2) == outcomes(sqlite3)
