"""The bases of :class:`Connection` and :class:`Cursor`: what the modules of this package know of each other's classes.

Rows are made for any :class:`BaseCursor`, cursors and blobs belong to any :class:`BaseConnection`; so none of their
modules imports another that imports it.  A base connection has a state, transactions and an end; the statements, the
callbacks and the copies are in :mod:`clusterdb.dbapi2.connection`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self

import apsw

from clusterdb import errors
from clusterdb.access.translate import translating
from clusterdb.dbapi2.state import LEGACY_TRANSACTION_CONTROL, ConnectionState
from clusterdb.dbapi2.statements import Description, Parameters
from clusterdb.store import Cluster

__all__ = ["BaseConnection", "BaseCursor", "RowFactory", "checked_autocommit", "checked_level", "state_of"]

RowFactory = Callable[[Any, tuple[Any, ...]], Any]
"""Makes a row of a cursor and a tuple; the caller chooses the types."""
_ISOLATION_LEVELS = ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")


class BaseCursor:
    """A cursor, for rows: it has a description."""

    @property
    def description(self) -> Description | None:
        """The columns of the last statement; None if it returned none."""
        raise NotImplementedError


class BaseConnection:
    """A connection, for its cursors and blobs."""

    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    row_factory: RowFactory | None = None
    _state = ConnectionState()
    """Shared by connections whose ``__init__`` was not called: it is never open."""

    # --- its database -----------------------------------------------------------------------------------------------
    @property
    def cluster(self) -> Cluster | None:
        """The cluster; None for a plain file."""
        self._state.check()
        opened = self._state.opened
        return opened.cluster if opened is not None else None

    @property
    def apsw(self) -> apsw.Connection:
        """The connection underneath: all of SQLite, see https://rogerbinns.github.io/apsw/connection.html."""
        self._state.check()
        return self._state.db

    @property
    def text_factory(self) -> Any:
        """Makes the value of a text of its bytes: ``str``, ``bytes``, or a function.

        It applies from the next row on, also of statements that are being read; those that were executed when it was
        ``str`` have read their texts only if they are valid.
        """
        return self._state.text_factory

    @text_factory.setter
    def text_factory(self, factory: Callable[[bytes], Any]) -> None:
        self._state.set_text_factory(factory)

    def cursor(self, factory: Any = None) -> Any:
        """A new cursor."""
        raise NotImplementedError

    def execute(self, sql: str, parameters: Parameters = (), /) -> Any:
        """Run one statement with a new cursor, and return that."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection; uncommitted changes are rolled back."""
        raise NotImplementedError

    # --- transactions -----------------------------------------------------------------------------------------------
    @property
    def isolation_level(self) -> str | None:
        """How a transaction begins before a writing statement: "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"; None: none
        begins."""
        self._state.check_open()
        return self._state.isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._state.isolation_level = checked_level(level)
        self._state.choose_begin()
        if level is None:
            self.commit()

    @property
    def autocommit(self) -> bool | int:
        """True: SQLite's autocommit; False: always in a transaction (PEP 249); LEGACY_TRANSACTION_CONTROL: as
        ``isolation_level`` says."""
        self._state.check()
        return self._state.autocommit

    @autocommit.setter
    def autocommit(self, autocommit: bool | int) -> None:
        state = self._state
        state.check()
        autocommit = checked_autocommit(autocommit)
        if autocommit is True:
            state.end("COMMIT")
        elif autocommit is False and not state.db.in_transaction:
            state.begin()
        state.set_autocommit(autocommit, state.isolation_level)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        self._state.check_open()
        return self._state.db.in_transaction

    @property
    def total_changes(self) -> int:
        """Rows changed since the connection was opened."""
        self._state.check_open()
        return self._state.db.total_changes()

    def commit(self) -> None:
        """Commit the open transaction, if there is one.  Raises OperationalError."""
        state = self._state
        state.check()
        if state.autocommit is not True:
            state.end("COMMIT")
            if state.autocommit is False:
                state.begin()

    def rollback(self) -> None:
        """Roll the open transaction back, if there is one.  Raises OperationalError."""
        state = self._state
        state.check()
        if state.autocommit is not True:
            state.end("ROLLBACK")
            if state.autocommit is False:
                state.begin()

    def __enter__(self) -> Self:
        self._state.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Commit, or roll back after an exception; the connection stays open."""
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except BaseException:
            if self.in_transaction:
                self.rollback()
            raise
        return False

    def interrupt(self) -> None:
        """Interrupt running statements, from any thread."""
        if self._state.opened is None:
            self._state.check()
        with translating():
            self._state.db.interrupt()


def state_of(connection: BaseConnection) -> ConnectionState:
    """The state that a connection shares with its cursors and blobs."""
    return connection._state


def checked_level(level: object) -> str | None:
    """The isolation level in upper case.  Raises TypeError, ValueError."""
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    if str.upper(level) not in _ISOLATION_LEVELS:
        raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
    return str.upper(level)


def checked_autocommit(autocommit: object) -> bool | int:
    """The setting.  Raises ValueError for another value."""
    if not isinstance(autocommit, bool) and autocommit != LEGACY_TRANSACTION_CONTROL:
        raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")
    return autocommit if isinstance(autocommit, bool) else LEGACY_TRANSACTION_CONTROL
