"""Statements made at random: clusterdb answers what the engine's own server answers, or refuses.

The same statements every time, unless the environment variable FLAVOURS_EXAMPLES says how many others to try.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import clusterdb
from tests.flavours import servers
from tests.flavours.cases.case import normalised
from tests.flavours.statements import Statement, setup, statement

Row = tuple[Any, ...]
pytestmark = pytest.mark.slow
EXAMPLES = os.environ.get("FLAVOURS_EXAMPLES", "")
relaxed = settings(
    deadline=None,
    derandomize=not EXAMPLES,
    max_examples=int(EXAMPLES or "500"),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class _Pair:
    """The same table on a server and in a cluster."""

    def __init__(self, engine: str, server: servers.Server, store: clusterdb.Store) -> None:
        self._engine, self._server, self._theirs = engine, server, server.connect()
        self._has_names = engine == "aurora-postgresql"
        self._ours = clusterdb.connect(store.create_cluster("random", engine=engine), autocommit=True)
        if engine == "aurora-mysql":  # as in MySQL 8, where literals have the collation of the tables
            server.execute(self._theirs, "SET collation_connection = utf8mb4_unicode_ci", ())
        for sql in setup(engine):
            self.answer(self.on_server, Statement(sql))
            self.answer(self.on_cluster, Statement(sql))

    def close(self) -> None:
        """Close both connections."""
        self._theirs.close()
        self._ours.close()

    def on_server(self, sql: str, parameters: Any) -> Any:
        return self._server.execute(self._theirs, sql, parameters)

    def on_cluster(self, sql: str, parameters: Any) -> Any:
        return self._ours.execute(sql, parameters) if parameters else self._ours.execute(sql)

    def answer(self, execute: Any, statement: Statement) -> tuple[tuple[str, ...], list[Row]] | None:
        """The names of PostgreSQL's columns, and the rows; None if it fails, or answers nothing.

        What it changes is rolled back.
        """
        try:
            if statement.then:
                execute("BEGIN", ())
            try:
                cursor = execute(statement.sql, statement.parameters)
                if statement.then:
                    cursor = execute(statement.then, ())
                if cursor.description is None:
                    return None
                names = tuple(column[0] for column in cursor.description) if self._has_names else ()
                return names, _shown(normalised(cursor.fetchall()))
            finally:
                if statement.then:
                    execute("ROLLBACK", ())
        except Exception as error:  # whatever the drivers raise
            note(f"{type(error).__name__}: {error}")
            return None

    def check(self, statement: Statement) -> None:
        """Both answer the same, or one of them refuses."""
        note(f"{self._engine}: {statement}")
        answers = self.answer(self.on_server, statement), self.answer(self.on_cluster, statement)
        if answers[0] is None or answers[1] is None:
            return
        (their_names, theirs), (our_names, ours) = answers[0], answers[1]
        assert our_names == their_names
        if "ORDER BY" not in statement.sql + statement.then:
            theirs, ours = sorted(theirs, key=repr), sorted(ours, key=repr)
        assert len(ours) == len(theirs)
        assert all(map(_alike, ours, theirs)), (ours, theirs)


def _shown(rows: list[Row]) -> list[Row]:
    """Without minus zeros, and without the zeros that MariaDB writes behind seconds."""
    return [tuple(_plain(value) for value in row) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return re.sub(r"\.000000$", "", value) if isinstance(value, str) else value


def _alike(one: Row, other: Row) -> bool:
    """The same values; floating point numbers within what adding them in another order makes."""
    return len(one) == len(other) and all(
        a == b or (isinstance(a, int | float) and isinstance(b, int | float) and a == pytest.approx(b, rel=1e-9))
        for a, b in zip(one, other, strict=True)
    )


@contextmanager
def _pair(engine: str, server: servers.Server) -> Iterator[_Pair]:
    with clusterdb.open(":memory:") as store, closing(_Pair(engine, server, store)) as pair:
        yield pair


@pytest.fixture(scope="module")
def mysql(mysql_server: servers.Server) -> Iterator[_Pair]:
    """MariaDB and a cluster."""
    with _pair("aurora-mysql", mysql_server) as pair:
        yield pair


@pytest.fixture(scope="module")
def postgresql(postgresql_server: servers.Server) -> Iterator[_Pair]:
    """PostgreSQL and a cluster."""
    with _pair("aurora-postgresql", postgresql_server) as pair:
        yield pair


@relaxed
@given(seed=st.integers(0, 2**32))
def test_random_statements_answer_as_on_mariadb(seed: int, mysql: _Pair) -> None:
    """No statement has another result than on MariaDB."""
    mysql.check(statement("aurora-mysql", Random(seed)))


@relaxed
@given(seed=st.integers(0, 2**32))
def test_random_statements_answer_as_on_postgresql(seed: int, postgresql: _Pair) -> None:
    """No statement has another result than on PostgreSQL."""
    postgresql.check(statement("aurora-postgresql", Random(seed)))


# --- the numbers of rows ----------------------------------------------------------------------------------------------
_COMMON = [
    *(
        "INSERT INTO t (a) VALUES ({n})",
        "INSERT INTO t (a) VALUES ({n}), (0)",
        "INSERT INTO t (id, a) VALUES ({k}, {n})",
    ),
    *("DELETE FROM t WHERE id > {k}", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT p", "ROLLBACK TO p"),
]
_NUMBERS = {
    "aurora-mysql": [*_COMMON, "SELECT LAST_INSERT_ID()"],
    "aurora-postgresql": [
        *_COMMON,
        "INSERT INTO t (id, a) VALUES (DEFAULT, {n}), ({k}, 0), (DEFAULT, 1)",
        "INSERT INTO t (a) SELECT a + 1 FROM t ORDER BY a DESC, id LIMIT 3",
        "INSERT INTO t (id, a) VALUES ({k}, {n}) ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.a RETURNING id, a",
        "INSERT INTO t (a) VALUES ({n}) ON CONFLICT (id) DO NOTHING",
        "UPDATE t SET id = id + 10 WHERE id = {k}",
        *("SELECT setval('t_id_seq', {k})", "SELECT setval('t_id_seq', {k}, false)", "SELECT nextval('t_id_seq')"),
        *("SELECT lastval()", "SELECT currval('t_id_seq')", "INSERT INTO t DEFAULT VALUES RETURNING id"),
    ],
}
_TABLE = {
    "aurora-mysql": "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
    "aurora-postgresql": "CREATE TABLE t (id SERIAL PRIMARY KEY, a INT)",
}
_BEGIN_AGAIN = {"aurora-mysql": ["TRUNCATE t"], "aurora-postgresql": ["TRUNCATE t RESTART IDENTITY"]}
_AFTER_FAILURE = {
    "aurora-mysql": [],
    "aurora-postgresql": ["SELECT setval('t_id_seq', (SELECT coalesce(max(id), 0) + 1 FROM t))"],
}


class _Numbered:
    """The same history of a table whose rows are numbered, on a server and in a cluster."""

    def __init__(self, engine: str, server: servers.Server) -> None:
        self._engine, self._server = engine, server

    def check(self, random: Random) -> None:
        """Both number their rows alike, at every step; what one refuses, so does the other."""
        with (
            clusterdb.open(":memory:") as store,
            closing(self._server.connect()) as theirs,
            closing(clusterdb.connect(store.create_cluster("numbers", engine=self._engine), autocommit=True)) as ours,
        ):
            self._has_transaction = self._has_savepoint = False
            for sql in (_TABLE[self._engine], *self._history(random)):
                if not self._is_possible(sql):
                    continue
                for text in (sql, "SELECT id, a FROM t ORDER BY id"):
                    answers = [self._answer(theirs, text, self._server.execute), self._answer(ours, text, _run)]
                    note(f"{text}: {answers}")
                    assert answers[0] == answers[1]
                    if answers[0] == "refused":  # after how many of its rows, is nobody's promise
                        self._has_transaction = self._has_savepoint = False
                        for next_one in ("ROLLBACK", *_AFTER_FAILURE[self._engine]):
                            self._answer(theirs, next_one, self._server.execute)
                            self._answer(ours, next_one, _run)

    def _history(self, random: Random) -> list[str]:
        statements = list(_NUMBERS[self._engine])
        if random.random() < 0.3:  # then without savepoints: what they do to a new beginning is not followed
            statements = [*(name for name in statements if "p" not in name.split()), *_BEGIN_AGAIN[self._engine]]
        chosen = (random.choice(statements) for _ in range(random.randint(4, 25)))
        return [sql.format(n=random.randint(0, 99), k=random.randint(1, 9)) for sql in chosen]

    def _is_possible(self, sql: str) -> bool:
        """Whether it is a statement for now; outside of a transaction the engines differ about savepoints."""
        if sql == "BEGIN" and self._has_transaction:
            return False
        if sql in ("COMMIT", "ROLLBACK", "SAVEPOINT p") and not self._has_transaction:
            return False
        if sql == "ROLLBACK TO p" and not self._has_savepoint:
            return False
        ends = sql in ("COMMIT", "ROLLBACK", "TRUNCATE t")
        self._has_transaction = (self._has_transaction or sql == "BEGIN") and not ends
        self._has_savepoint = self._has_transaction and (self._has_savepoint or sql == "SAVEPOINT p")
        return True

    def _answer(self, connection: Any, sql: str, execute: Any) -> Any:
        try:
            cursor = execute(connection, sql, ())
            return None if not cursor.description else normalised(cursor.fetchall())
        except Exception as error:  # whatever the drivers raise
            note(f"{type(error).__name__}: {error}")
            return "refused"


def _run(connection: clusterdb.Connection, sql: str, _: Any) -> Any:
    return connection.execute(sql)


@relaxed
@given(seed=st.integers(0, 2**32))
def test_random_rows_are_numbered_as_on_mariadb(seed: int, mysql_server: servers.Server) -> None:
    """No row has another number than on MariaDB."""
    _Numbered("aurora-mysql", mysql_server).check(Random(seed))


@relaxed
@given(seed=st.integers(0, 2**32))
def test_random_rows_are_numbered_as_on_postgresql(seed: int, postgresql_server: servers.Server) -> None:
    """No row has another number than on PostgreSQL."""
    _Numbered("aurora-postgresql", postgresql_server).check(Random(seed))
