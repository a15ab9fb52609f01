"""Statements made at random: clusterdb answers what the engine's own server answers, or refuses.

The same statements every time, unless the environment variable FLAVOURS_EXAMPLES says how many others to try.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import clusterdb
from flavours import servers
from flavours.case import normalised
from flavours.statements import Statement, setup, statement

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
        self._ours = clusterdb.connect(store.create_cluster("random", engine=engine), autocommit=True)
        if engine == "aurora-mysql":  # as in MySQL 8, where literals have the collation of the tables
            server.execute(self._theirs, "SET collation_connection = utf8mb4_unicode_ci", ())
        for sql in setup(engine):
            self.answer(self.on_server, Statement(sql))
            self.answer(self.on_cluster, Statement(sql))

    def on_server(self, sql: str, parameters: Any) -> Any:
        return self._server.execute(self._theirs, sql, parameters)

    def on_cluster(self, sql: str, parameters: Any) -> Any:
        return self._ours.execute(sql, parameters) if parameters else self._ours.execute(sql)

    def answer(self, execute: Any, made: Statement) -> list[Row] | None:
        """The rows; None if it fails, or answers nothing.  What it changes is rolled back."""
        try:
            if made.then:
                execute("BEGIN", ())
            try:
                cursor = execute(made.sql, made.parameters)
                if made.then:
                    cursor = execute(made.then, ())
                return None if cursor.description is None else _shown(normalised(cursor.fetchall()))
            finally:
                if made.then:
                    execute("ROLLBACK", ())
        except Exception as error:  # whatever the drivers raise
            note(f"{type(error).__name__}: {error}")
            return None

    def check(self, made: Statement) -> None:
        """Both answer the same, or one of them refuses."""
        note(f"{self._engine}: {made}")
        theirs, ours = self.answer(self.on_server, made), self.answer(self.on_cluster, made)
        if theirs is None or ours is None:
            return
        if "ORDER BY" not in made.sql + made.then:
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
    with clusterdb.open(":memory:") as store:
        yield _Pair(engine, server, store)


@pytest.fixture(scope="module")
def mysql() -> Iterator[_Pair]:
    """MariaDB and a cluster."""
    with servers.mysql() as server, _pair("aurora-mysql", server) as pair:
        yield pair


@pytest.fixture(scope="module")
def postgresql() -> Iterator[_Pair]:
    """PostgreSQL and a cluster."""
    with servers.postgresql() as server, _pair("aurora-postgresql", server) as pair:
        yield pair


@relaxed
@given(seed=st.integers(0, 2**32))
def test_mysql(seed: int, mysql: _Pair) -> None:
    """No statement has another result than on MariaDB."""
    mysql.check(statement("aurora-mysql", Random(seed)))


@relaxed
@given(seed=st.integers(0, 2**32))
def test_postgresql(seed: int, postgresql: _Pair) -> None:
    """No statement has another result than on PostgreSQL."""
    postgresql.check(statement("aurora-postgresql", Random(seed)))
