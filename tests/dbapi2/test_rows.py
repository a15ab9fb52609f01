"""Rows: the order when ways of reading are mixed, iteration, factories, RETURNING."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from clusterdb import dbapi2
from tests.dbapi2.tables import bug, count

READS: dict[str, Callable[[dbapi2.Cursor], list[Any]]] = {
    "one": lambda cursor: [row for row in [cursor.fetchone()] if row is not None],
    "two": lambda cursor: cursor.fetchmany(2),
    "next": lambda cursor: [row for row in [next(cursor, None)] if row is not None],
}


@pytest.mark.parametrize("text_factory", [str, lambda text: text.decode()], ids=["plain", "converted"])
@pytest.mark.parametrize("row_factory", [None, lambda _, row: row], ids=["tuples", "made"])
@pytest.mark.parametrize("first", READS)
@pytest.mark.parametrize("second", READS)
def test_ways_of_reading_can_be_mixed(
    connection: dbapi2.Connection, first: str, second: str, row_factory: Any, text_factory: Any
) -> None:
    """Every row is given exactly once, in order, whatever follows whatever; an empty end stays empty."""
    connection.text_factory = text_factory
    connection.row_factory = row_factory
    for last in (lambda c: c.fetchall(), list, lambda c: c.fetchmany(9), lambda c: [*c.fetchmany(1), *c]):
        cursor = connection.execute("SELECT id FROM t")
        rows = READS[first](cursor) + READS[second](cursor) + last(cursor)
        assert rows == [(1,), (2,), (3,), (4,), (5,)]
        assert [READS[read](cursor) for read in READS] == [[]] * len(READS)
        assert cursor.fetchall() == []


PLAIN_AND_CONVERTED = pytest.mark.parametrize(
    "text_factory", [str, lambda text: text.decode()], ids=["plain", "converted"]
)


def with_breaks(cursor: dbapi2.Cursor, reads: list[str]) -> list[Any]:
    """The rows that a series of reads gives, of which "break" is a loop that is left at once."""
    rows: list[Any] = []
    for read in reads:
        if read == "break":
            for row in cursor:
                rows.append(row)
                break
        else:
            rows += READS[read](cursor)
    return rows


@PLAIN_AND_CONVERTED
@pytest.mark.parametrize("reads", [["break"], ["break", "break"], ["break", "one", "break", "two"]])
def test_break_out_of_a_loop_loses_no_row(connection: dbapi2.Connection, reads: list[str], text_factory: Any) -> None:
    """After a break any way of reading continues with the next row."""
    connection.text_factory = text_factory
    cursor = connection.execute("SELECT id FROM t")
    assert with_breaks(cursor, reads) + cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,)]


@PLAIN_AND_CONVERTED
@pytest.mark.parametrize("reads", [["break"], ["break", "break"], ["one", "break"], ["break", "one", "break", "two"]])
def test_break_out_of_a_loop_with_a_row_factory_loses_no_row(
    connection: dbapi2.Connection, reads: list[str], text_factory: Any
) -> None:
    """After a break rows of a row factory continue with the next row, too."""
    connection.text_factory = text_factory
    connection.row_factory = lambda _, row: row
    cursor = connection.execute("SELECT id FROM t")
    assert with_breaks(cursor, reads) + cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,)]


def test_two_live_iterators_share_the_rows(connection: dbapi2.Connection) -> None:
    """No row comes twice, none is lost, also when one of them is given up."""
    cursor = connection.execute("SELECT id FROM t")
    first, second = iter(cursor), iter(cursor)
    rows = [next(first), next(second), next(first)]
    del first
    assert [*rows, cursor.fetchone(), *second] == [(1,), (2,), (3,), (4,), (5,)]


@bug("iter(cursor) is another object")
def test_cursor_is_its_own_iterator(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3``."""
    cursor = connection.cursor()
    assert iter(cursor) is cursor


def test_statement_executed_in_a_loop_replaces_its_rows(connection: dbapi2.Connection) -> None:
    """The loop goes on with the new statement's rows, every one once."""
    cursor = connection.cursor()
    got = []
    for row in cursor.execute("SELECT id FROM t"):
        got.append(row)
        if len(got) == 1:
            got.append(cursor.execute("SELECT b FROM t WHERE id < 4").fetchone())
    assert got == [(1,), ("a",), ("b",), ("c",)]


def test_text_factory_set_in_a_loop_applies_to_the_new_statement(connection: dbapi2.Connection) -> None:
    """The new statement's rows are converted."""
    cursor = connection.cursor()
    got: list[Any] = []
    for row in cursor.execute("SELECT id FROM t"):
        got.append(row)
        if len(got) == 1:
            connection.text_factory = bytes
            cursor.execute("SELECT b FROM t WHERE id < 3")
    assert got == [(1,), (b"a",), (b"b",)]


def test_row_factory_set_between_reads_applies_to_the_next_row(connection: dbapi2.Connection) -> None:
    """It counts from the next row on."""
    cursor = connection.execute("SELECT id, b FROM t")
    rows = [cursor.fetchone()]
    cursor.row_factory = lambda _, row: list(row)
    rows += cursor.fetchmany(1)
    cursor.row_factory = dbapi2.Row
    rows += [next(cursor)["B"]]
    cursor.row_factory = None
    assert rows + cursor.fetchall() == [(1, "a"), [2, "b"], "c", (4, "d"), (5, "e")]


def test_row_factory_set_in_a_loop_applies_to_the_next_row(connection: dbapi2.Connection) -> None:
    """A row factory that is set in a loop applies from the next row on."""
    cursor, got = connection.execute("SELECT id FROM t WHERE id < 3"), []
    for row in cursor:
        got.append(row)
        cursor.row_factory = lambda _, row: list(row)
    assert got == [(1,), [2]]


IN_A_LOOP: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda cursor: None,
    "fetchone": lambda cursor: cursor.fetchone(),
    "fetchmany": lambda cursor: cursor.fetchmany(2),
    "fetchall": lambda cursor: cursor.fetchall(),
    "next": lambda cursor: next(cursor, None),
    "another loop": lambda cursor: next(iter(cursor), None),
    "execute": lambda cursor: cursor.execute("SELECT b FROM t WHERE id > ?", (2,)) and None,
    "execute and read": lambda cursor: cursor.execute("SELECT b FROM t WHERE id > ?", (2,)).fetchone(),
    "execute without rows": lambda cursor: cursor.execute("UPDATE t SET b = ?", ("new",)).rowcount,
    "executemany": lambda cursor: cursor.executemany("DELETE FROM t WHERE id = ?", [(1,), (2,)]).rowcount,
    "description": lambda cursor: cursor.description,
    "write": lambda cursor: cursor.connection.execute("UPDATE t SET b = 'new'").rowcount,
    "delete the next": lambda cursor: cursor.connection.execute("DELETE FROM t WHERE id IN (2, 3)").rowcount,
    "row factory": lambda cursor: setattr(cursor, "row_factory", lambda _, row: list(row)),
    "text factory": lambda cursor: setattr(cursor.connection, "text_factory", bytes),
    "close": lambda cursor: cursor.close(),
    "close the connection": lambda cursor: cursor.connection.close(),
}


@pytest.mark.parametrize("after", [1, 2, 4, 5], ids=lambda after: f"after {after}")
@pytest.mark.parametrize("use", IN_A_LOOP)
def test_use_of_a_cursor_in_a_loop_over_it_answers_as_in_sqlite3(use: str, after: int) -> None:
    """The rows of the loop, what the use in it returns, and the rows that follow the loop."""

    def outcome(module: Any) -> list[Any]:
        got: list[Any] = []
        with closing(module.connect(":memory:")) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)")
            connection.executemany("INSERT INTO t (b) VALUES (?)", [(letter,) for letter in "abcde"])
            cursor = connection.cursor().execute("SELECT id, b FROM t")
            try:
                for row in cursor:
                    got.append(row)
                    if len(got) == after:
                        got.append(IN_A_LOOP[use](cursor))
                got += [cursor.description, cursor.fetchall()]
            except module.Error as error:
                got.append(str(error))
        return got

    assert outcome(dbapi2) == outcome(sqlite3)


def test_function_that_uses_the_cursor_of_the_loop_is_refused(connection: dbapi2.Connection) -> None:
    """The loop is reading a row; afterwards it goes on."""
    cursor, refused = connection.cursor(), []

    def use(id: int) -> int:
        if id == 3:
            with pytest.raises(dbapi2.ProgrammingError, match="Recursive use of cursors") as caught:
                cursor.execute("SELECT 1")
            refused.append(caught.value)
        return id

    connection.create_function("use", 1, use)
    assert [row[0] for row in cursor.execute("SELECT use(id) FROM t")] == [1, 2, 3, 4, 5]
    assert len(refused) == 1


def test_interrupted_loop_leaves_a_cursor_that_can_be_used(connection: dbapi2.Connection) -> None:
    """An exception other than an error, raised while a row is read, leaves the loop."""

    def interrupt(*ids: Any) -> Any:
        if ids == (3,):
            raise KeyboardInterrupt
        return ids[0]

    connection.apsw.create_scalar_function("interrupt", interrupt, 1)
    cursor = connection.execute("SELECT interrupt(id) FROM t")
    with pytest.raises(KeyboardInterrupt):
        list(cursor)
    assert cursor.fetchall() == []
    assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(5,)]


def test_text_factory_set_before_fetch_applies(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3`` it is asked for when a row is given."""
    cursor = connection.execute("SELECT b FROM t WHERE id = 1")
    connection.text_factory = bytes
    assert cursor.fetchall() == [(b"a",)]


def test_text_factory_set_between_fetches_applies_to_the_next_row(connection: dbapi2.Connection) -> None:
    """It counts for every row that was not given yet, in a loop too."""
    cursor, got = connection.execute("SELECT b FROM t"), []
    got.append(cursor.fetchone())
    connection.text_factory = bytes
    got.append(cursor.fetchone())
    for row in cursor:
        got.append(row)
        connection.text_factory = str if len(got) == 3 else lambda text: text.decode().upper()
    assert got == [("a",), (b"b",), (b"c",), ("d",), ("E",)]


def test_half_read_rows_outlive_a_commit_and_a_rollback(connection: dbapi2.Connection) -> None:
    """A query goes on after COMMIT and after ROLLBACK, and gives every row once."""
    for end in (connection.commit, connection.rollback):
        connection.execute("INSERT INTO t (b) VALUES ('x')")
        cursor = connection.execute("SELECT id FROM t WHERE id <= 5")
        rows = [cursor.fetchone()]
        end()
        assert rows + cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,)]


def test_returning_inserts_all_rows_before_they_are_fetched(connection: dbapi2.Connection) -> None:
    """All rows are inserted when execute() comes back, and can be committed and read on."""
    cluster = connection.cluster
    assert cluster is not None
    cursor = connection.execute("INSERT INTO t (b) VALUES ('x'), ('y'), ('z') RETURNING id")
    assert cursor.fetchone() == (6,)
    connection.commit()
    with closing(dbapi2.connect(cluster)) as other:
        assert count(other) == 8
    assert cursor.fetchall() == [(7,), (8,)]


@pytest.mark.parametrize("text_factory", [str, bytes])
def test_returning_inserts_rows_that_are_never_fetched(connection: dbapi2.Connection, text_factory: Any) -> None:
    """Rows are inserted without a fetch, with ``autocommit`` and without."""
    connection.text_factory = text_factory
    connection.execute("DELETE FROM t WHERE id < 3 RETURNING b")
    connection.commit()
    connection.isolation_level = None
    connection.execute("UPDATE t SET b = 'x' WHERE id = 3 RETURNING b").fetchone()
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM t WHERE b = 'x'").fetchone() == (1,)
    connection.execute("DROP TABLE t")
