"""Errors of the caller's own code: iterators, functions, factories and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clusterdb import dbapi2
from tests.dbapi2.tables import count


class Boom(Exception):
    """What a caller's code raises."""


def failing(values: list[Any], error: BaseException) -> Iterator[Any]:
    yield from values
    raise error


@pytest.mark.parametrize("error", [Boom(), KeyboardInterrupt(), dbapi2.OperationalError("mine"), GeneratorExit()])
def test_executemany_passes_on_an_error_of_its_iterator(connection: dbapi2.Connection, error: BaseException) -> None:
    """The error reaches the caller as it is; what was done is in the open transaction."""
    cursor = connection.cursor()
    with pytest.raises(type(error)) as caught:
        cursor.executemany("INSERT INTO t (b) VALUES (?)", failing([("x",), ("y",)], error))
    assert caught.value is error
    assert connection.in_transaction
    assert count(connection) == 7
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    connection.rollback()
    assert count(connection) == 5


def test_executemany_passes_on_a_decode_error_of_its_iterator(connection: dbapi2.Connection) -> None:
    """UnicodeDecodeError of a file in another encoding reaches the caller."""
    with pytest.raises(UnicodeDecodeError):
        connection.executemany("INSERT INTO t (b) VALUES (?)", ((raw.decode(),) for raw in [b"a", b"\xff"]))


@pytest.mark.parametrize("values", [[("x",), ()], [("x",), (1, 2)], [("x",), (object(),)], [("x",), 5]])
def test_executemany_keeps_rows_before_a_wrong_one(connection: dbapi2.Connection, values: list[Any]) -> None:
    """The rows before it are inserted, in the open transaction."""
    with pytest.raises(dbapi2.ProgrammingError):
        connection.executemany("INSERT INTO t (b) VALUES (?)", values)
    assert count(connection) == 6
    connection.rollback()


def test_executemany_reads_rows_of_another_cursor(connection: dbapi2.Connection) -> None:
    """Rows of another cursor of the same connection may be inserted while they are read."""
    connection.execute("CREATE TABLE u (id, b)")
    cursor = connection.executemany("INSERT INTO u VALUES (?, ?)", connection.execute("SELECT * FROM t"))
    assert cursor.rowcount == 5
    assert connection.execute("SELECT * FROM u EXCEPT SELECT * FROM t").fetchall() == []


def test_executemany_accepts_an_insert_that_begins_with_with(connection: dbapi2.Connection) -> None:
    """Every statement that writes may be executed many times."""
    sql = "WITH v (b) AS (VALUES (?)) INSERT INTO t (b) SELECT b FROM v"
    assert connection.executemany(sql, [("x",), ("y",)]).rowcount == -1  # as in sqlite3
    assert count(connection) == 7


def test_cursor_used_by_its_own_parameter_iterator_is_refused(connection: dbapi2.Connection) -> None:
    """``sqlite3`` refuses it."""
    cursor = connection.execute("SELECT 1")

    def values() -> Iterator[tuple[str]]:
        yield ("x",)
        cursor.execute("SELECT 1")

    with pytest.raises(dbapi2.ProgrammingError, match="Recursive use"):
        cursor.executemany("INSERT INTO t (b) VALUES (?)", values())


def test_keyboard_interrupt_in_a_function_undoes_the_statement(connection: dbapi2.Connection) -> None:
    """Ctrl-C is not swallowed; the statement's changes are undone, the connection goes on."""

    def f(id: int) -> int:
        if id == 3:
            raise KeyboardInterrupt
        return id

    connection.create_function("f", 1, f)
    cursor = connection.cursor()
    for sql in ("SELECT f(id) FROM t", "UPDATE t SET b = f(id)", "DELETE FROM t WHERE f(id) RETURNING id"):
        with pytest.raises((KeyboardInterrupt, dbapi2.OperationalError)):
            cursor.execute(sql).fetchall()
        assert cursor.fetchall() == []
        assert connection.execute("SELECT group_concat(b, '') FROM t").fetchone() == ("abcde",)
    connection.rollback()
    connection.execute("DROP TABLE t")


@pytest.mark.parametrize("hook", ["row_factory", "text_factory"])
def test_keyboard_interrupt_in_a_factory_leaves_the_cursor_usable(connection: dbapi2.Connection, hook: str) -> None:
    """It reaches the caller, and the cursor can be used again."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    setattr(connection, hook, interrupt)
    cursor = connection.cursor()
    with pytest.raises(KeyboardInterrupt):
        cursor.execute("SELECT b FROM t").fetchone()
    cursor.row_factory, connection.text_factory = None, str
    assert cursor.execute("SELECT b FROM t WHERE id = 1").fetchall() == [("a",)]


@pytest.mark.parametrize("read", ["fetchone", "fetchall", "fetchmany", "__next__"])
def test_error_of_a_row_factory_ends_the_query(connection: dbapi2.Connection, read: str) -> None:
    """It reaches the caller, and the query is over: it holds nothing."""

    def made(*_: Any) -> None:
        raise Boom

    cursor = connection.execute("SELECT id FROM t")
    cursor.row_factory = made
    with pytest.raises(Boom):
        getattr(cursor, read)()
    del cursor
    connection.execute("DROP TABLE t")
