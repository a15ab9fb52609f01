"""What runs in the thread of a session: a statement or a batch, by itself or in an open transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import apsw

import clusterdb.dbapi2 as dbapi
from clusterdb.errors import Error
from clusterdb.server.data.sessions import Session
from clusterdb.server.data.statements import Runner, is_query
from clusterdb.server.data.transactions import Transaction

__all__ = ["as_transaction", "begin", "end", "in_open_transaction", "with_runner"]

_T = TypeVar("_T")


def with_runner(session: Session, engine: str, work: Callable[[Runner], _T], connection: dbapi.Connection) -> _T:
    """Run work of its own, or in the open transaction."""
    return work(Runner(connection, engine, session.memory))


def begin(connection: dbapi.Connection) -> None:
    """Begin a transaction.  Raises OperationalError."""
    connection.execute("BEGIN")


def _begin_as_writer(connection: dbapi.Connection) -> None:
    """Begin the transaction anew: SQLite does not let one that has read wait for another writer.

    Raises OperationalError if the call gives up; the transaction is open then, too.
    """
    end(connection, "ROLLBACK")
    try:
        connection.apsw.execute("BEGIN IMMEDIATE")
    except apsw.BusyError as error:
        begin(connection)
        raise dbapi.OperationalError("database is locked") from error


def _as_writer_if_busy(connection: dbapi.Connection, work: Callable[[], _T]) -> _T:
    """The result of work in a transaction that has only read before: it begins anew if it has to be the writer."""
    try:
        return work()
    except Error as error:
        is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == apsw.SQLITE_BUSY
        if not (is_busy and connection.in_transaction):
            raise
        _begin_as_writer(connection)
        return work()


def end(connection: dbapi.Connection, sql: str) -> None:
    """Run COMMIT or ROLLBACK, if a transaction is open.  Raises OperationalError."""
    if connection.in_transaction:
        connection.execute(sql)


def as_transaction(work: Callable[[Runner], _T], runner: Runner) -> _T:
    """All that the work does, or nothing."""
    connection = runner.connection
    connection.execute("BEGIN")
    try:
        result = _as_writer_if_busy(connection, partial(work, runner))
        end(connection, "COMMIT")
        return result
    except BaseException:
        with suppress(Error):
            end(connection, "ROLLBACK")
        raise


def in_open_transaction(transaction: Transaction, work: Callable[[Runner], _T], sql: str, runner: Runner) -> _T:
    """Run a statement in a transaction, which begins anew if it has to be the writer and has only read before."""
    connection = runner.connection
    if not connection.in_transaction:  # a statement has ended it
        connection.execute("BEGIN")
        transaction.is_replaceable = True
    try:
        run = partial(work, runner)
        result = _as_writer_if_busy(connection, run) if transaction.is_replaceable else run()
    except BaseException:
        transaction.is_open = connection.in_transaction
        raise
    transaction.is_replaceable = transaction.is_replaceable and is_query(sql)
    return result
