"""Texts: invalid ones, encodings, text factories, converters."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import apsw
import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import bug, count, names

INVALID = "SELECT CAST(x'61FF62' AS TEXT) AS word"


def test_invalid_utf8_is_an_error_for_str_and_readable_as_bytes(connection: dbapi2.Connection) -> None:
    """``str`` cannot give it and says so; bytes and functions get the stored bytes."""
    with pytest.raises(dbapi2.OperationalError, match="Could not decode to UTF-8 column 'word'"):
        connection.execute(INVALID).fetchall()
    connection.text_factory = bytes
    assert connection.execute(INVALID).fetchall() == [(b"a\xffb",)]
    connection.text_factory = lambda text: text.decode("latin-1")
    assert connection.execute(INVALID).fetchall() == [("aÿb",)]
    connection.text_factory = bytearray
    assert connection.execute(INVALID).fetchone() == (bytearray(b"a\xffb"),)


def test_connection_continues_after_invalid_utf8(connection: dbapi2.Connection) -> None:
    """The connection goes on after the error."""
    cursor = connection.execute(f"SELECT 'good' UNION ALL {INVALID} UNION ALL SELECT 'late'")
    with pytest.raises(dbapi2.OperationalError, match="Could not decode"):
        cursor.fetchall()
    assert count(connection) == 5
    connection.execute("DROP TABLE t")


@bug("of several columns it cannot tell which: column '?'")
def test_invalid_utf8_error_names_the_column(connection: dbapi2.Connection) -> None:
    """The error names the column."""
    with pytest.raises(dbapi2.OperationalError, match="column 'word'"):
        connection.execute(f"SELECT 1, word FROM ({INVALID})").fetchall()


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("factory", [str, bytes, lambda text: text.decode()], ids=["str", "bytes", "callable"])
def test_text_factory_gets_utf8_in_every_database_encoding(store: clusterdb.Store, encoding: str, factory: Any) -> None:
    """A text factory gets UTF-8, whatever the encoding of the database."""
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute("CREATE TABLE t (a)")
        words = ["", "a", "ü", "€", "😀", "a\0b"]
        connection.executemany("INSERT INTO t VALUES (?)", [(word,) for word in words])
        connection.text_factory = factory
        expected = [word.encode() if factory is bytes else word for word in words]
        assert connection.execute("SELECT a FROM t").fetchall() == [(word,) for word in expected]


def test_invalid_utf16_is_an_operational_error_for_str(store: clusterdb.Store) -> None:
    """Half of a surrogate pair is no text: an OperationalError for ``str``."""
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t SELECT CAST(x'00D8' AS TEXT)")
        with pytest.raises(dbapi2.OperationalError, match="Could not decode to UTF-8 column 'a'"):
            connection.execute("SELECT a FROM t").fetchall()


@bug("OperationalError: apsw decodes the text before the text factory sees it")
def test_text_factory_gets_the_bytes_of_invalid_utf16(store: clusterdb.Store) -> None:
    """``sqlite3`` gives the bytes that SQLite makes of it."""
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t SELECT CAST(x'00D8' AS TEXT)")
        connection.text_factory = bytes
        assert connection.execute("SELECT a FROM t").fetchall() == [(b"\xed\xa0\x80",)]


@bug("OperationalError, and the row is inserted nevertheless")
def test_text_factory_gets_invalid_utf8_of_returning(connection: dbapi2.Connection) -> None:
    """Values of RETURNING are passed to a text factory unchanged."""
    connection.text_factory = bytes
    cursor = connection.execute("INSERT INTO t (b) VALUES (CAST(x'FF' AS TEXT)) RETURNING b")
    assert cursor.fetchall() == [(b"\xff",)]


def test_text_factory_applies_to_returning(connection: dbapi2.Connection) -> None:
    """A text factory counts for RETURNING too."""
    connection.text_factory = bytes
    assert connection.execute("UPDATE t SET b = 'x' WHERE id = 1 RETURNING b").fetchall() == [(b"x",)]


def test_converters_apply_to_returning(store: clusterdb.Store) -> None:
    """Values of RETURNING are converted."""
    cluster = store.create_cluster("prod")
    with closing(dbapi2.connect(cluster, detect_types=dbapi2.PARSE_DECLTYPES)) as connection:
        connection.execute("CREATE TABLE d (day DATE)")
        cursor = connection.execute("INSERT INTO d VALUES (?) RETURNING day", (dbapi2.Date(2020, 1, 2),))
        assert cursor.fetchall() == [(dbapi2.Date(2020, 1, 2),)]


def test_converted_returning_keeps_rowcount_and_lastrowid(connection: dbapi2.Connection) -> None:
    """``rowcount`` and ``lastrowid`` are those of the statement, whatever is asked to convert its rows."""
    connection.text_factory = bytes
    cursor = connection.execute("INSERT INTO t (b) VALUES ('x'), ('y') RETURNING b")
    assert (cursor.rowcount, cursor.lastrowid, cursor.fetchall()) == (2, 7, [(b"x",), (b"y",)])


@pytest.mark.parametrize("text_factory", [str, bytes])
def test_converters_follow_columns_changed_by_another_connection(store: clusterdb.Store, text_factory: Any) -> None:
    """Names, number and converters are those of the schema that the rows are read from."""
    cluster = store.create_cluster("prod")
    options: Any = {"detect_types": dbapi2.PARSE_DECLTYPES}
    with closing(dbapi2.connect(cluster, **options)) as connection, closing(dbapi2.connect(cluster)) as other:
        connection.text_factory = text_factory
        other.execute("CREATE TABLE d (day TEXT)")
        connection.execute("SELECT * FROM d").fetchall()
        for columns in ("day DATE", "one, day DATE", "date DATE"):
            other.executescript(f"DROP TABLE d; CREATE TABLE d ({columns}); INSERT INTO d DEFAULT VALUES")
            other.execute(f"UPDATE d SET {columns.split()[-2]} = '2020-01-02'")
            other.commit()
            cursor = connection.execute("SELECT * FROM d")
            assert names(cursor) == [column.split()[0] for column in columns.split(", ")]
            assert cursor.fetchone()[-1] == dbapi2.Date(2020, 1, 2)


def test_error_of_callers_code_keeps_its_cause(connection: dbapi2.Connection) -> None:
    """It passes unchanged, from a row factory and an adapter too, also if it looks like an error of apsw's."""
    error = apsw.BusyError("mine")

    def fail(*_: Any) -> None:
        try:
            b"\xff".decode()
        except UnicodeDecodeError:
            raise error  # noqa: B904 - its context is what is tested

    connection.row_factory = fail
    with pytest.raises(apsw.BusyError) as caught:
        connection.execute("SELECT 1").fetchone()
    assert caught.value is error
    assert isinstance(error.__context__, UnicodeDecodeError) and not error.__suppress_context__
    with pytest.raises(apsw.BusyError):
        connection.execute("SELECT ?", [type("Adapted", (), {"__conform__": fail})()])


def test_error_of_a_text_factory_reaches_the_caller(connection: dbapi2.Connection) -> None:
    """It reaches the caller, UnicodeDecodeError like any other."""
    connection.text_factory = lambda text: text.decode()
    with pytest.raises(UnicodeDecodeError):
        connection.execute(INVALID).fetchall()


def test_functions_run_once_per_row_whatever_the_text_factory(connection: dbapi2.Connection) -> None:
    """A text factory does not change what a query answers."""
    calls: list[int] = []
    connection.create_function("f", 1, lambda id: calls.append(id) or f"{id}: call {len(calls)}")
    connection.text_factory = lambda text: text.decode()
    assert connection.execute("SELECT f(id) FROM t WHERE id < 3").fetchall() == [("1: call 1",), ("2: call 2",)]
    assert calls == [1, 2]


@pytest.mark.parametrize("factory", [bytes, lambda text: text.decode("latin-1")], ids=["bytes", "callable"])
def test_text_factory_reads_a_query_row_by_row(connection: dbapi2.Connection, factory: Any) -> None:
    """An endless one answers its first rows, and has done no more than they and the one ahead take."""
    calls: list[int] = []
    connection.create_function("f", 1, lambda id: calls.append(id) or f"row {id}")
    connection.text_factory = factory
    endless = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT f(x) FROM n"
    cursor = connection.execute(endless)
    assert calls in ([], [1])
    assert cursor.fetchone() == (factory(b"row 1"),)
    assert calls == [1, 2]
    assert cursor.fetchmany(2) == [(factory(b"row 2"),), (factory(b"row 3"),)]
    assert calls == [1, 2, 3, 4]
    cursor.close()


WIDE = ", ".join(f"{value} AS w{at}" for at, value in enumerate(["'a'", "1", "x'00'", "NULL"] * 35))
QUERIES = [
    "SELECT * FROM t ORDER BY b DESC, id LIMIT 3 OFFSET 1",
    "SELECT id, id, b AS id FROM t; -- the end",
    "SELECT b FROM t UNION SELECT 'x' ORDER BY 1 DESC",
    "VALUES (1, 'a'), (x'61', NULL)",
    "WITH w AS (SELECT b FROM t) SELECT * FROM w, t ORDER BY 1, 2",
    "SELECT count(*), max(b), group_concat(b, '-') FROM t WHERE id > 99",
    "SELECT DISTINCT b || '!', typeof(b) FROM t GROUP BY b HAVING count(*) > 0 ORDER BY 1",
    "SELECT row_number() OVER (ORDER BY b DESC, id), b FROM t ORDER BY 1",
    "SELECT 1.5, 9e999, -9223372036854775808, x'', '' WHERE 1 -- nothing behind",
    f"SELECT {WIDE}",
    "SELECT b FROM t WHERE 0",
    "PRAGMA table_info(t)",
]


@pytest.mark.parametrize("sql", QUERIES, ids=lambda sql: sql[:20])
def test_text_factory_changes_only_texts_of_a_query(connection: dbapi2.Connection, sql: str) -> None:
    """Other than its texts, in whatever words it is written and however many columns it has."""
    plain = connection.execute(sql)
    described, rows = plain.description, plain.fetchall()
    connection.text_factory = lambda text: f"<{text.decode()}>"
    cursor = connection.execute(sql)
    assert cursor.description == described
    marked = [tuple(f"<{value}>" if isinstance(value, str) else value for value in row) for row in rows]
    assert cursor.fetchall() == marked


def test_text_factory_sees_every_text_and_no_number(connection: dbapi2.Connection) -> None:
    """A text factory sees texts only, and all of them."""
    connection.text_factory = lambda text: f"<{text.decode()}>"
    sql = (
        "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 500) "
        "SELECT CASE abs(random() % 2) WHEN 0 THEN 'text' ELSE 1 END FROM n"
    )
    assert {row[0] for row in connection.execute(sql)} <= {"<text>", 1}
