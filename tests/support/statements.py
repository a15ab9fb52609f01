"""The statements that a store runs on its catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

import clusterdb
from tests.support.inside import catalog_of

__all__ = ["counted", "through"]


@contextmanager
def counted(store: clusterdb.Store) -> Iterator[list[str]]:
    """A list that receives the text of every statement that this object runs on its catalog in the body."""
    connection = catalog_of(store).database._db
    statements: list[str] = []

    def note(_cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        statements.append(sql)
        return True

    connection.exec_trace = note
    try:
        yield statements
    finally:
        connection.exec_trace = None


@contextmanager
def through(store: clusterdb.Store, connection: Any) -> Iterator[None]:
    """Run all statements of a store on its catalog by another object than its connection, in the body."""
    database = catalog_of(store).database
    former = database._connection, database._run
    database._connection, database._run = connection, connection.execute
    try:
        yield
    finally:
        database._connection, database._run = former
