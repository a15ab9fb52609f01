"""Errors of the Data API: AWS's codes and texts, and the errors of engines in the forms that clients parse.

MySQL:      ``Duplicate entry '1' for key 'users.PRIMARY'; Error code: 1062; SQLState: 23000``
PostgreSQL: ``ERROR: relation "x" does not exist; Position: 15; SQLState: 42P01``
sqlite:     as MySQL, with SQLite's extended result code as the error code
"""

from __future__ import annotations

import re

from clusterdb import errors
from clusterdb.server.faults import Fault

__all__ = [
    "bad_request",
    "database_error",
    "endpoint_disabled",
    "fault_of",
    "invalid",
    "is_lost",
    "shutting_down",
    "statement_timeout",
    "too_many",
    "transaction_not_found",
]

_MISSING = re.compile(r"You did not supply a value for binding parameter :(\w+)\.")
_SQLITE_STATES = {"no such table": "42S02", "no such column": "42S22", "no such function": "42000", 'near "': "42000"}


def bad_request(message: str) -> Fault:
    """The call cannot be processed."""
    return Fault("BadRequestException", message, 400)


def invalid(message: str) -> Fault:
    """The call is refused before anything is done; AWS sends this code, which its model does not have."""
    return Fault("ValidationException", message, 400)


def database_error(message: str) -> Fault:
    """The engine refused the statement."""
    return Fault("DatabaseErrorException", message, 400)


def endpoint_disabled(resource_arn: str) -> Fault:
    """The ARN is of no cluster with an enabled HTTP endpoint."""
    return Fault("HttpEndpointNotEnabledException", f"HttpEndpoint is not enabled for resource {resource_arn}", 400)


def transaction_not_found(transaction: str, cause: str) -> Fault:
    """There is no such transaction (any more)."""
    return Fault("TransactionNotFoundException", f"Transaction {transaction} is not found. {cause}", 404)


def statement_timeout() -> Fault:
    """The statement took longer than a call may."""
    return Fault("StatementTimeoutException", "Request timed out", 400)


def shutting_down() -> Fault:
    """The server ends."""
    return Fault("ServiceUnavailableError", "The server is shutting down", 503)


def too_many() -> Fault:
    """Too many calls wait for another writer.  Clients try again after a while."""
    return Fault("ServiceUnavailableError", "Too many statements wait for another transaction: try again", 503)


def is_lost(error: BaseException) -> bool:
    """Whether an error ends the connection that it was raised by: its instance, its cluster or its store is gone."""
    gone = errors.InstanceRestartedError | errors.ClusterNotFoundError | errors.ClosedError
    return isinstance(error, gone) or str(error) in (
        "Cannot operate on a closed database.",
        "Cannot operate on a closed cursor.",
    )


def fault_of(error: Exception, engine: str) -> Fault:
    """The fault for an exception of the engine's or of the store's.  Raises the exception itself if it is neither."""
    missing = _MISSING.search(str(error))
    if missing is not None:
        return bad_request(f"Cannot find parameter: {missing[1]}")
    if isinstance(error, errors.ClusterStateError):
        return Fault("InvalidResourceStateException", str(error), 400)
    if is_lost(error):
        return Fault("DatabaseUnavailableException", "The writer instance in the DB cluster isn't available.", 504)
    if isinstance(error, errors.StoreFailedError | errors.CorruptStoreError | errors.StoreUnreadableError):
        return Fault("InternalServerErrorException", str(error), 500)
    if isinstance(error, OverflowError | MemoryError | ValueError):
        error = errors.DataError(str(error) or "out of memory")
    if not isinstance(error, errors.Error):
        raise error
    return database_error(_text(error, engine))


def _text(error: errors.Error, engine: str) -> str:
    if engine == "aurora-postgresql":
        detail = f"\n  Detail: {error.detail}" if error.detail else ""
        place = f"; Position: {error.position}" if error.position else ""
        return f"ERROR: {_line(error)}{detail}{place}; SQLState: {error.sqlstate or 'XX000'}"
    if engine == "aurora-mysql":
        return f"{_line(error)}; Error code: {error.errno or 1105}; SQLState: {error.sqlstate or 'HY000'}"
    code = getattr(error, "sqlite_errorcode", 1)
    return f"{_line(error)}; Error code: {code}; SQLState: {_sqlite_state(error)}"


def _line(error: errors.Error) -> str:
    return str(error).rstrip().removesuffix(";")


def _sqlite_state(error: errors.Error) -> str:
    if isinstance(error, errors.IntegrityError):
        return "23000"
    if isinstance(error, errors.DataError):
        return "22000"
    return next((state for text, state in _SQLITE_STATES.items() if str(error).startswith(text)), "HY000")
