"""Errors about rows and names have the servers' texts, codes, positions and details."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import clusterdb

POSTGRESQL_SETUP = (
    "CREATE TABLE users (id int primary key, a int not null, b varchar(5) unique, n numeric(8,2), ok boolean, d date, "
    "CHECK (a < 1000), CONSTRAINT named CHECK (n < 5), CHECK (a <> n))",
    "CREATE TABLE c (id serial primary key, p int references users, q int, s smallint, k char(2), "
    "CONSTRAINT fq FOREIGN KEY (q) REFERENCES users (id), UNIQUE (p, q))",
    "CREATE UNIQUE INDEX named_index ON users (n)",
    "INSERT INTO users VALUES (1, 1, 'x', 1.5, true, '2024-01-01'), (2, 5, 'z', 2.5, false, NULL)",
    "INSERT INTO c VALUES (9, 1, 1)",
)
POSTGRESQL = (
    "INSERT INTO users (id, a) VALUES (1, 2)",
    "INSERT INTO users (id, a, b) VALUES (3, 2, 'x')",
    "INSERT INTO users (id, a, b) VALUES (3, 2, 'v'), (4, 2, 'w'), (5, 2, 'v')",
    "INSERT INTO users (id, a, n) SELECT 3, 2, 1.5",
    "INSERT INTO c (p, q) VALUES (1, 1)",
    "UPDATE users SET b = 'x' WHERE id = 2",
    "UPDATE users SET id = id + 1 WHERE a = 1",
    "INSERT INTO users (id, a) VALUES (3, NULL)",
    "INSERT INTO users (id) VALUES (3)",
    "UPDATE users SET a = NULL",
    "INSERT INTO users (id, a) VALUES (3, 1000)",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 7)",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 1)",
    "INSERT INTO users (id, a, b) VALUES (3, 1, 'abcdefg')",
    "INSERT INTO c (k) VALUES ('abc')",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 123456789.12)",
    "INSERT INTO users (id, a) VALUES (3, 12345678901)",
    "INSERT INTO c (s) VALUES (99999)",
    "INSERT INTO users (id, a) VALUES (3, 'abc')",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 'abc')",
    "INSERT INTO users (id, a, ok) VALUES (3, 1, 'abc')",
    "INSERT INTO users (id, a, d) VALUES (3, 1, '2024-02-31')",
    "INSERT INTO c (p) VALUES (77)",
    "INSERT INTO c (q) VALUES (77)",
    "INSERT INTO c (p, q) VALUES (2, 2), (1, 77)",
    "UPDATE c SET q = 77",
    "DELETE FROM users WHERE id = 1",
    "UPDATE users SET id = 5 WHERE id = 1",
    "SELECT * FROM nope",
    "SELECT nope FROM users",
    "SELECT 'nope', u.nope FROM users u",
    "SELECT nope.a FROM users",
    "SELECT 1 FROM users WHERE nope = 1",
    "SELECT 1 FROM users ORDER BY nope",
    "SELECT id FROM users JOIN c ON true",
    "INSERT INTO nope VALUES (1)",
    "INSERT INTO users (nope) VALUES (1)",
    "UPDATE users SET nope = 1",
    "DELETE FROM nope",
    "INSERT INTO users (id, a) VALUES (1)",
    "INSERT INTO users (id) VALUES (1, 2)",
    "INSERT INTO c VALUES (1, 1, 1, 1, 'a', 2)",
    "CREATE TABLE users (a int)",
    "CREATE TABLE t (a int, a int)",
    "SELEC 1",
    "/* one */ SELEC 1",
    "SELECT 1/0",
    "SELECT 'abc'::int",
    "SELECT 2147483647 + 1",
    "SELECT 9223372036854775807 + 1",
    "DROP TABLE nope",
    "SELECT a FROM users UNION SELECT a, b FROM users",
)
MYSQL_SETUP = (
    "CREATE TABLE users (id int primary key, a int not null, b varchar(5), n decimal(8,2), ok boolean, d date, "
    "CHECK (a < 1000), CONSTRAINT named CHECK (n < 5), UNIQUE KEY ub (b))",
    "CREATE TABLE c (id int auto_increment primary key, p int, q int, s smallint, u int unsigned, e enum('x'), "
    "FOREIGN KEY (p) REFERENCES users (id), CONSTRAINT fq FOREIGN KEY (q) REFERENCES users (id) ON UPDATE CASCADE, "
    "UNIQUE (p, q))",
    "CREATE UNIQUE INDEX named_index ON users (n)",
    "INSERT INTO users VALUES (1, 1, 'x', 1.5, true, '2024-01-01'), (2, 5, 'z', 2.5, false, NULL)",
    "INSERT INTO c (p, q) VALUES (1, 1)",
)
MYSQL = (
    "INSERT INTO users (id, a) VALUES (1, 2)",
    "INSERT INTO users (id, a, b) VALUES (3, 2, 'x')",
    "INSERT INTO users (id, a, b) VALUES (3, 2, 'v'), (4, 2, 'w'), (5, 2, 'v')",
    "INSERT INTO users (id, a, n) SELECT 3, 2, 1.5",
    "INSERT INTO c (p, q) VALUES (1, 1)",
    "UPDATE users SET b = 'x' WHERE id = 2",
    "INSERT INTO users (id, a) VALUES (3, NULL)",
    "INSERT INTO users (id) VALUES (3)",
    "UPDATE users SET a = NULL",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 7)",
    "INSERT INTO users (id, a, b) VALUES (3, 1, 'abcdefg')",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 123456789.12)",
    "INSERT INTO users (id, a) VALUES (3, 12345678901)",
    "INSERT INTO c (s) VALUES (99999)",
    "INSERT INTO c (u) VALUES (-1)",
    "INSERT INTO c (e) VALUES ('y')",
    "INSERT INTO users (id, a) VALUES (3, 'abc')",
    "INSERT INTO users (id, a, n) VALUES (3, 1, 1), (4, 1, 'abc')",
    "INSERT INTO users (id, a, d) VALUES (3, 1, 'abc')",
    "INSERT INTO users (id, a, d) VALUES (3, 1, '2024-02-31')",
    "INSERT INTO c (p) VALUES (77)",
    "INSERT INTO c (q) VALUES (77)",
    "UPDATE c SET q = 77",
    "DELETE FROM users WHERE id = 1",
    "UPDATE users SET id = 5 WHERE id = 1",
    "SELECT * FROM nope",
    "SELECT * FROM other.t",
    "SELECT nope FROM users",
    "SELECT 'nope', u.nope FROM users u",
    "SELECT 1 FROM users WHERE nope = 1",
    "SELECT 1 FROM users ORDER BY nope",
    "SELECT 1 FROM users JOIN c ON nope = 1",
    "SELECT id FROM users JOIN c ON true",
    "INSERT INTO nope VALUES (1)",
    "INSERT INTO users (nope) VALUES (1)",
    "UPDATE users SET nope = 1",
    "DELETE FROM nope",
    "INSERT INTO users (id, a) VALUES (1)",
    "INSERT INTO users VALUES (1, 2, 'a', 1, true, '2024-01-01', 1)",
    "CREATE TABLE users (a int)",
    "CREATE TABLE t (a int, a int)",
    "SELEC 1",
    "SELECT a FROM users UNION SELECT a, b FROM users",
)
_OF_MARIADB = (
    (r"`fresh`\.`(\w+)`\.`(\w+)`", r"'\2'"),
    (r"`fresh`", "`main`"),
    (r"'fresh\.", "'main."),
    (r"MariaDB server", "MySQL server"),
    (r"in '(?:SELECT|INSERT INTO|SET)'", "in 'field list'"),
    (r"in 'WHERE'", "in 'where clause'"),
    (r"in 'ORDER BY'", "in 'order clause'"),
    (r"in 'ON'", "in 'on clause'"),
    (r"in SELECT is", "in field list is"),
    (r"for key '(\w+)'", r"for key '\1'"),
    (r"CONSTRAINT `(\w+)` failed for .*", r"Check constraint '\1' is violated."),
)
"""MariaDB's texts, and MySQL 8's in their place."""


def _shown(error: clusterdb.Error) -> tuple[Any, ...]:
    return error.sqlstate, str(error), error.position, error.detail


@pytest.fixture(scope="module")
def store() -> Iterator[clusterdb.Store]:
    """A store with a cluster of each engine, to clone."""
    with clusterdb.open(":memory:") as store:
        for engine, setup in (("aurora-mysql", MYSQL_SETUP), ("aurora-postgresql", POSTGRESQL_SETUP)):
            connection = clusterdb.connect(store.create_cluster(engine, engine=engine), autocommit=True)
            for statement in setup:
                connection.execute(statement)
            connection.close()
        yield store


@pytest.fixture(params=[True, False], ids=["trusted", "untrusted"])
def connect(request: pytest.FixtureRequest, store: clusterdb.Store) -> Iterator[Any]:
    """What connects to a clone of an engine's cluster."""
    opened: list[tuple[clusterdb.Connection, clusterdb.Cluster]] = []

    def connect(engine: str) -> clusterdb.Connection:
        clone = store.cluster(engine).clone("clone")
        opened.append((clusterdb.connect(clone, autocommit=True, trusted=request.param), clone))
        return opened[-1][0]

    yield connect
    for connection, clone in opened:
        connection.close()
        clone.delete()


def failed(connection: clusterdb.Connection, sql: str, parameters: Any = ()) -> clusterdb.Error:
    """The error of a statement."""
    with pytest.raises(clusterdb.Error) as caught:
        connection.execute(sql, parameters).fetchall()
    return caught.value


@pytest.mark.parametrize(
    ("sql", "parameters", "expected"),
    [
        (
            "INSERT INTO users (id, a) VALUES (:0, :1)",
            {"0": 1, "1": 2},
            (
                "23505",
                'duplicate key value violates unique constraint "users_pkey"',
                None,
                "Key (id)=(1) already exists.",
            ),
        ),
        (
            "INSERT INTO users (id, a, b) VALUES (%s, %s, %s)",
            (8, 2, "x"),
            (
                *("23505", 'duplicate key value violates unique constraint "users_b_key"', None),
                "Key (b)=(x) already exists.",
            ),
        ),
        ("SELECT 1, nope FROM users", (), ("42703", 'column "nope" does not exist', 11, None)),
        ("SELEC 1", (), ("42601", 'syntax error at or near "SELEC"', 1, None)),
        (
            "INSERT INTO users (id, a, n) VALUES (:i, 1, :n)",
            {"i": 4, "n": "x"},
            ("22P02", 'invalid input syntax for type numeric: "x"', None, None),
        ),
    ],
)
def test_postgresql_error_has_text_state_position_and_detail(
    sql: str, parameters: Any, expected: tuple[Any, ...], connect: Any
) -> None:
    """The parts of a message are attributes."""
    assert _shown(failed(connect("aurora-postgresql"), sql, parameters)) == expected


@pytest.mark.parametrize(
    ("sql", "parameters", "errno", "sqlstate", "text"),
    [
        ("INSERT INTO users (id, a) VALUES (:0, :1)", {"0": 1, "1": 2}, 1062, "23000", "'1' for key 'users.PRIMARY'"),
        ("INSERT INTO users (id, a, b) VALUES (%s, %s, %s)", (8, 2, "x"), 1062, "23000", "'x' for key 'users.ub'"),
        (
            "INSERT INTO users (id, a) VALUES (3, 1000)",
            (),
            3819,
            "HY000",
            "Check constraint 'users_chk_1' is violated.",
        ),
        ("SELECT * FROM nope", (), 1146, "42S02", "Table 'main.nope' doesn't exist"),
        (
            "INSERT INTO users (id, a) VALUES (4, %s)",
            ("x",),
            1366,
            "HY000",
            "Incorrect integer value: 'x' for column 'a'",
        ),
    ],
)
def test_mysql_error_has_text_number_and_state(
    sql: str, parameters: Any, errno: int, sqlstate: str, text: str, connect: Any
) -> None:
    """The number and the state are attributes."""
    error = failed(connect("aurora-mysql"), sql, parameters)
    assert (error.errno, error.sqlstate) == (errno, sqlstate)
    assert text in str(error)


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_statement_that_cannot_be_parsed_is_named_as_one_that_may_not_be_supported(engine: str, connect: Any) -> None:
    """The engine may know what the grammar does not, so the text says both."""
    error = failed(connect(engine), "SELECT 1 FROM users WHERE a = = 3")
    assert isinstance(error, clusterdb.NotSupportedError)
    assert str(error).endswith(f"not supported by {engine} clusters: SELECT 1 FROM users WHERE a = = 3")
    assert error.sqlstate in ("42000", "42601")


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("aurora-mysql", ("HY000", 1205, "Lock wait timeout exceeded; try restarting transaction")),
        ("aurora-postgresql", ("55P03", None, "canceling statement due to lock timeout")),
    ],
)
def test_waiting_for_a_lock_fails_as_on_the_server(engine: str, expected: tuple[Any, ...]) -> None:
    """A second writer has the server's error."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("one", engine=engine)
        first = clusterdb.connect(cluster, autocommit=True)
        second = clusterdb.connect(cluster, autocommit=True, timeout=0.0)
        first.execute("CREATE TABLE t (a INT)")
        first.execute("BEGIN")
        first.execute("INSERT INTO t VALUES (1)")
        error = failed(second, "INSERT INTO t VALUES (2)")
        assert (error.sqlstate, error.errno, str(error)) == expected
        first.close()
        second.close()


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("aurora-mysql", ("40001", 1213, "Deadlock found when trying to get lock; try restarting transaction")),
        ("aurora-postgresql", ("40001", None, "could not serialize access due to concurrent update")),
    ],
)
def test_transaction_that_read_an_older_version_fails_as_on_the_server(engine: str, expected: tuple[Any, ...]) -> None:
    """A transaction cannot write after another has."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("one", engine=engine)
        first = clusterdb.connect(cluster, autocommit=True)
        second = clusterdb.connect(cluster, autocommit=True)
        first.execute("CREATE TABLE t (a INT)")
        second.execute("BEGIN")
        second.execute("SELECT * FROM t").fetchall()
        first.execute("INSERT INTO t VALUES (1)")
        error = failed(second, "INSERT INTO t VALUES (2)")
        assert (error.sqlstate, error.errno, str(error)) == expected
        first.close()
        second.close()


def test_failed_insert_takes_no_numbers_for_its_message(connect: Any) -> None:
    """What is evaluated once more for the text has no effects."""
    connection = connect("aurora-postgresql")
    failed(connection, "INSERT INTO c (id, p) VALUES (DEFAULT, 1), (9, 1)")
    assert connection.execute("SELECT currval('c_id_seq')").fetchall() == [(1,)]


# --- the real servers -------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("sql", POSTGRESQL)
@pytest.mark.parametrize("connect", [True], ids=["trusted"], indirect=True)
def test_postgresql_has_the_text_the_state_and_the_position(sql: str, connect: Any, postgresql_server: Any) -> None:
    """What is known here is what the server tells."""
    error = failed(connect("aurora-postgresql"), sql)
    server = postgresql_server.connect()
    try:
        for statement in POSTGRESQL_SETUP:
            postgresql_server.execute(server, statement, ())
        with pytest.raises(Exception) as caught:
            postgresql_server.execute(server, sql, ())
    finally:
        server.close()
    diagnosis: Any = caught.value.diag  # type: ignore[attr-defined]
    assert (error.sqlstate, str(error)) == (diagnosis.sqlstate, diagnosis.message_primary)
    assert error.position is None or error.position == int(diagnosis.statement_position)
    assert error.detail is None or error.detail == diagnosis.message_detail


@pytest.mark.slow
@pytest.mark.parametrize("sql", MYSQL)
@pytest.mark.parametrize("connect", [True], ids=["trusted"], indirect=True)
def test_mysql_has_the_text_and_the_number(sql: str, connect: Any, mysql_server: Any) -> None:
    """MariaDB's text, in MySQL's words where those are known to differ."""
    error = failed(connect("aurora-mysql"), sql)
    server = mysql_server.connect()
    try:
        for statement in MYSQL_SETUP:
            mysql_server.execute(server, statement, ())
        with pytest.raises(Exception) as caught:
            mysql_server.execute(server, sql, ())
    finally:
        server.close()
    number, text = caught.value.args
    for pattern, instead in _OF_MARIADB:
        text = re.sub(pattern, instead, text)
    own = re.sub(r"for key '\w+\.(\w+)'", r"for key '\1'", str(error))
    assert (error.errno, own) == ({4025: 3819}.get(number, number), text)
