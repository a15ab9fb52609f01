"""``Cursor.description``, also after the schema has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import fill, names


def test_description_is_set_before_the_first_row(connection: dbapi2.Connection) -> None:
    """It is there before the first row, for empty results, and None for what answers nothing."""
    cursor = connection.cursor()
    assert cursor.description is None
    cursor.execute("SELECT id AS one, 2 FROM t")
    assert names(cursor) == ["one", "2"]
    cursor.fetchall()
    assert names(cursor) == ["one", "2"]
    cursor.execute("SELECT id FROM t WHERE 0")
    assert names(cursor) == ["id"]
    cursor.execute("DELETE FROM t WHERE 0 RETURNING b")
    assert names(cursor) == ["b"]
    cursor.execute("DELETE FROM t")
    assert cursor.description is None


def test_description_has_a_name_and_six_nones(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3``."""
    assert connection.execute("SELECT * FROM t").description == (("id", *[None] * 6), ("b", *[None] * 6))


@pytest.mark.parametrize("who", ["the same", "another"])
def test_description_follows_alter_table(connection: dbapi2.Connection, who: str) -> None:
    """A known statement shows the new columns, also when another connection has made them."""
    connection.execute("SELECT * FROM t").fetchall()
    other = connection if who == "the same" else dbapi2.connect(connection.cluster)  # type: ignore[arg-type]
    other.execute("ALTER TABLE t ADD COLUMN c DEFAULT 7")
    cursor = connection.execute("SELECT * FROM t WHERE id = 1")
    assert names(cursor) == ["id", "b", "c"]
    assert cursor.fetchall() == [(1, "a", 7)]
    cursor = connection.execute("SELECT * FROM t")
    assert names(cursor) == ["id", "b", "c"]
    assert len(cursor.fetchone()) == 3
    del cursor
    other.execute("ALTER TABLE t DROP COLUMN c")
    if other is not connection:
        other.close()
    assert names(connection.execute("SELECT * FROM t")) == ["id", "b"]


def _fail_and_roll_back(connection: Any) -> None:
    with pytest.raises((sqlite3.IntegrityError, clusterdb.errors.IntegrityError)):
        connection.execute("INSERT OR ROLLBACK INTO u VALUES (1), (1)")


CHANGES: dict[str, Callable[[Any], object]] = {
    "OR ROLLBACK": _fail_and_roll_back,
    "execute": lambda connection: connection.execute("ALTER TABLE w ADD COLUMN d"),
    "comment": lambda connection: connection.execute("/* more */ -- of it\n alter TABLE w ADD COLUMN d"),
    "executemany": lambda connection: connection.cursor().executemany("ALTER TABLE w ADD COLUMN d", [()]),
    "executescript": lambda connection: connection.executescript("ALTER TABLE w ADD COLUMN d"),
    "view": lambda connection: connection.execute("CREATE TEMP VIEW w AS SELECT 1 AS d"),
    "rollback": lambda connection: connection.rollback(),
    "rollback by SQL": lambda connection: connection.execute("ROLLBACK"),
    "rollback to a savepoint": lambda connection: connection.execute("ROLLBACK TO before"),
}


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("change", CHANGES)
def test_description_of_no_rows_is_of_when_it_was_executed(store: clusterdb.Store, change: str, is_known: bool) -> None:
    """As in ``sqlite3``, the connection's later changes of the schema do not show in it."""
    described = []
    for module, database in ((sqlite3, ":memory:"), (dbapi2, store.create_cluster("prod"))):
        with closing(module.connect(database)) as connection:
            connection.executescript("CREATE TABLE w(a); CREATE TABLE u(x UNIQUE)")
            cursor = connection.cursor()
            if is_known:
                cursor.execute("SELECT * FROM w")
            for sql in ("BEGIN", "SAVEPOINT before", "ALTER TABLE w ADD COLUMN e"):
                connection.execute(sql)
            cursor.execute("SELECT * FROM w")
            CHANGES[change](connection)
            described.append(names(cursor))
    assert described == [["a", "e"], ["a", "e"]]


@pytest.mark.parametrize("options", [{"detect_types": dbapi2.PARSE_DECLTYPES}, {}], ids=["converters", "text_factory"])
def test_converted_rows_follow_alter_table(store: clusterdb.Store, options: Any) -> None:
    """Rows with converters have the new columns, too."""
    with closing(dbapi2.connect(store.create_cluster("prod"), **options)) as connection:
        if not options:
            connection.text_factory = lambda text: text.decode()
        fill(connection)
        connection.execute("SELECT * FROM t").fetchall()
        connection.execute("ALTER TABLE t ADD COLUMN c DEFAULT 7")
        cursor = connection.execute("SELECT * FROM t")
        assert names(cursor) == ["id", "b", "c"]
        assert cursor.fetchone() == (1, "a", 7)


def test_converters_follow_a_table_created_anew(store: clusterdb.Store) -> None:
    """The declared type that counts is the present one."""
    cluster = store.create_cluster("prod")
    with closing(dbapi2.connect(cluster, detect_types=dbapi2.PARSE_DECLTYPES)) as connection:
        connection.execute("CREATE TABLE d (day TEXT)")
        connection.execute("SELECT day FROM d").fetchall()
        connection.executescript("DROP TABLE d; CREATE TABLE d (day DATE); INSERT INTO d VALUES ('2020-01-02')")
        assert connection.execute("SELECT day FROM d").fetchone() == (dbapi2.Date(2020, 1, 2),)
