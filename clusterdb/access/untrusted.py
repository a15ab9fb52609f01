"""Connections for untrusted SQL, as from a query editor or an API.

The measures are those of "Untrusted SQL Inputs" in https://sqlite.org/security.html:

- An authorizer with a list of allowed actions.  It refuses everything else: files (ATTACH, DETACH, VACUUM), settings
  (PRAGMA) that do more than return a value, functions and virtual tables that access anything outside the database.
- SQLITE_DBCONFIG_DEFENSIVE on and TRUSTED_SCHEMA off: SQL cannot damage the database file, and definitions in it call
  only functions that are marked as innocuous.
- Limits on the size of a statement (sqlite3_limit) and on its use of steps of SQLite's virtual machine and of time, by
  a progress handler.  Both are counted for one call of ``execute()``, to its last row, while SQLite works.

Only the SQL is untrusted.  The program that has the connection may still set an authorizer and a progress handler of
its own (both are called), functions, limits and configuration.  Not limited here: memory beyond the length of values
(SQLite's heap limits are per process, ``apsw.hard_heap_limit``), the disk space that many statements fill together, and
the time within one call of a function written in Python.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import apsw

from clusterdb.access.sqlite import Connection, InstanceCursor
from clusterdb.errors import InvalidArgumentError, LimitExceededError, NotAuthorizedError

__all__ = ["Limits", "check_options", "prepared"]

_STEPS_BETWEEN_CHECKS = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of statements on an untrusted connection.

    ``steps`` of SQLite's virtual machine and ``seconds`` apply to one statement, from ``execute()`` to its last row,
    while SQLite works on it; None: no limit.  The others are SQLite's, see
    https://sqlite.org/c3ref/c_limit_attached.html: ``length`` of a text, a blob or a row and ``sql_length`` in bytes,
    ``column`` in a table or a result, ``expr_depth``, terms of a ``compound_select``, ``vdbe_op`` (instructions of a
    prepared statement), ``function_arg``, ``like_pattern_length`` in bytes, ``variable_number``, ``trigger_depth``.
    ``triggers=False`` switches triggers off, ``views=False`` forbids views.

    Tables that exceed ``length`` or ``column`` cannot be read through the connection.
    """

    steps: int | None = 100_000_000
    seconds: float | None = 30.0
    length: int = 10_000_000
    sql_length: int = 1_000_000
    column: int = 2000
    expr_depth: int = 200
    compound_select: int = 100
    vdbe_op: int = 250_000
    function_arg: int = 100
    like_pattern_length: int = 100
    variable_number: int = 32_766
    trigger_depth: int = 100
    triggers: bool = True
    views: bool = True

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("triggers", "views"):
                if not isinstance(value, bool):
                    raise InvalidArgumentError(f"Limits: {field.name}={value!r}: use True or False")
            elif value is None and field.name in ("steps", "seconds"):
                continue
            elif not _is_limit(value, (int, float) if field.name == "seconds" else (int,)):
                raise InvalidArgumentError(f"Limits: {field.name}={value!r}: use a number from 1 to 2147483647")


def _is_limit(value: object, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, types) and 0 < value < 2**31


_ACTIONS = frozenset(
    getattr(apsw, f"SQLITE_{name}")
    for name in (
        *("ALTER_TABLE", "ANALYZE", "CREATE_INDEX", "CREATE_TABLE", "CREATE_TEMP_INDEX", "CREATE_TEMP_TABLE"),
        *("CREATE_TEMP_TRIGGER", "CREATE_TEMP_VIEW", "CREATE_TRIGGER", "CREATE_VIEW", "DELETE", "DROP_INDEX"),
        *("DROP_TABLE", "DROP_TEMP_INDEX", "DROP_TEMP_TABLE", "DROP_TEMP_TRIGGER", "DROP_TEMP_VIEW", "DROP_TRIGGER"),
        *("DROP_VIEW", "DROP_VTABLE", "INSERT", "READ", "RECURSIVE", "REINDEX", "SAVEPOINT", "SELECT", "TRANSACTION"),
        *("UPDATE",),
    )
)
"""Actions that are always allowed (https://sqlite.org/c3ref/c_alter_table.html); functions, settings and virtual tables
are checked by name."""
_NAMES = {
    value: name.removeprefix("SQLITE_").replace("_", " ")
    for name, value in apsw.mapping_authorizer_function.items()
    if isinstance(name, str) and isinstance(value, int)
}
_FILES = frozenset({apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH})
_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
_INJECTING = "aurora_inject_"
"""The prefix of functions that simulate faults, which concern all users of the instance."""
_MODULES = frozenset({"fts3", "fts4", "fts5", "fts3tokenize", "fts4aux", "fts5vocab", "geopoly", "rtree", "rtree_i32"})

_READABLE = frozenset(
    [
        *("analysis_limit", "application_id", "auto_vacuum", "automatic_index", "busy_timeout", "cache_size"),
        *("cache_spill", "cell_size_check", "checkpoint_fullfsync", "clusterdb_idle", "collation_list"),
        *("compile_options", "data_version", "database_list", "defer_foreign_keys", "encoding", "foreign_key_check"),
        *("foreign_keys", "freelist_count", "fullfsync", "function_list", "hard_heap_limit"),
        *("ignore_check_constraints", "integrity_check", "journal_mode", "journal_size_limit", "legacy_alter_table"),
        *("locking_mode", "max_page_count", "mmap_size", "module_list", "optimize", "page_count", "page_size"),
        *("pragma_list", "query_only", "quick_check", "read_uncommitted", "recursive_triggers"),
        *("reverse_unordered_selects", "schema_version", "secure_delete", "soft_heap_limit", "synchronous"),
        *("table_list", "temp_store", "threads", "trusted_schema", "user_version", "wal_autocheckpoint"),
        *("writable_schema",),
    ]
)
"""Settings that may be read."""
_WITH_ARGUMENT = frozenset(
    [
        *("foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check"),
        *("optimize", "quick_check", "table_info", "table_list", "table_xinfo"),
    ]
)
"""Settings that may be read for a table or an index, or with a number."""
_WRITABLE = frozenset(["application_id", "defer_foreign_keys", "foreign_keys", "recursive_triggers", "user_version"])
"""Settings that may be changed: they concern this database or this connection only, and are cheap."""

_LIMITED = {
    **{name: f"SQLITE_LIMIT_{name.upper()}" for name in ("length", "sql_length", "column", "expr_depth", "vdbe_op")},
    **{name: f"SQLITE_LIMIT_{name.upper()}" for name in ("compound_select", "function_arg", "like_pattern_length")},
    **{name: f"SQLITE_LIMIT_{name.upper()}" for name in ("variable_number", "trigger_depth")},
}
_SWITCHES = (
    ("SQLITE_DBCONFIG_DEFENSIVE", True),
    ("SQLITE_DBCONFIG_TRUSTED_SCHEMA", False),
    ("SQLITE_DBCONFIG_WRITABLE_SCHEMA", False),
    ("SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION", False),
    ("SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER", False),
    ("SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE", False),
    ("SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE", False),
)


def prepared(connection: Connection, *, trusted: bool, limits: Limits | None) -> Connection:
    """Restrict a connection that was just opened, unless it is trusted; closes it if that fails."""
    try:
        if not trusted:
            _restrict(connection, limits or Limits())
    except BaseException:
        connection.close()
        raise
    return connection


def check_options(*, trusted: bool, limits: Limits | None) -> None:
    """Raise InvalidArgumentError for options that are invalid or contradict each other."""
    if not isinstance(trusted, bool):
        raise InvalidArgumentError(f"trusted={trusted!r}: use True or False")
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidArgumentError(f"limits={limits!r}: use a clusterdb.Limits")
    if trusted and limits is not None:
        raise InvalidArgumentError("limits= is for untrusted connections: add trusted=False, or omit limits=")


def _restrict(connection: Connection, limits: Limits) -> None:
    connection.execute("PRAGMA cell_size_check = ON").fetchall()
    for name, is_on in (*_SWITCHES, ("SQLITE_DBCONFIG_ENABLE_TRIGGER", limits.triggers)):
        connection.config(getattr(apsw, name), int(is_on))
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, int(limits.views))
    for name, constant in _LIMITED.items():
        connection.limit(getattr(apsw, constant), getattr(limits, name))
    connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
    connection.limit(apsw.SQLITE_LIMIT_WORKER_THREADS, 0)
    budget = _Budget(limits)
    connection.set_progress_handler(budget.check, budget.steps_between, id="clusterdb-untrusted")
    connection.cursor_factory = lambda owner: _Cursor(owner, budget)
    connection.require_authorized(_require_allowed)


# --- authorization ----------------------------------------------------------------------------------------------------
def _require_allowed(
    action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> None:
    """Raise NotAuthorizedError for a forbidden action."""
    if action in _ACTIONS:
        return
    if action == apsw.SQLITE_PRAGMA:
        _require_setting(str(first), second)
    elif action == apsw.SQLITE_FUNCTION:
        name = str(second).lower()
        if name in _FUNCTIONS or name.startswith(_INJECTING):
            raise _refusal(f"the function {name}()")
    elif action == apsw.SQLITE_CREATE_VTABLE:
        if str(second).lower() not in _MODULES:
            raise _refusal(f"a virtual table of the module {second}")
    elif action in _FILES:
        raise _refusal("ATTACH, DETACH and VACUUM", "are")
    else:
        raise _refusal(_NAMES.get(action, f"action {action}"))


def _require_setting(name: str, value: str | None) -> None:
    allowed = _READABLE if value is None else _WITH_ARGUMENT | _WRITABLE
    if name.lower() not in allowed and not (value is None and name.lower() in _WITH_ARGUMENT):
        raise _refusal(f"PRAGMA {name}" if value is None else f"PRAGMA {name} = {value}")


def _refusal(subject: str, verb: str = "is") -> NotAuthorizedError:
    error = NotAuthorizedError(f"{subject} {verb} not allowed on an untrusted connection")
    error.sqlite_errorcode, error.sqlite_errorname = apsw.SQLITE_AUTH, "SQLITE_AUTH"
    return error


# --- limits -----------------------------------------------------------------------------------------------------------
class _Budget:
    """The steps and time that the running statement has used.

    ``running`` is the statement that the program runs; statements that its functions run are charged to it.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.running: _Cursor | None = None
        self.steps_between = min(_STEPS_BETWEEN_CHECKS, limits.steps or _STEPS_BETWEEN_CHECKS)

    def check(self) -> bool:
        """Check the limits, as the progress handler.  Raises LimitExceededError."""
        cursor, limits = self.running, self.limits
        if cursor is None:  # an operation of the program itself: a backup, a blob
            return False
        cursor.step_count += self.steps_between
        if limits.steps is not None and cursor.step_count > limits.steps:
            raise _exceeded(f"it took more than {limits.steps:,} steps")
        if limits.seconds is not None and cursor.seconds + time.monotonic() - cursor.since > limits.seconds:
            raise _exceeded(f"it took longer than {limits.seconds:g} s")
        return False


def _exceeded(excess: str) -> LimitExceededError:
    error = LimitExceededError(f"the statement was stopped: {excess}, the limit of this untrusted connection")
    error.sqlite_errorcode, error.sqlite_errorname = apsw.SQLITE_INTERRUPT, "SQLITE_INTERRUPT"
    return error


class _Charged:
    """Charges the work of SQLite in the body to a cursor, or to the cursor within which that one runs."""

    def __init__(self, cursor: _Cursor, budget: _Budget) -> None:
        self._cursor = cursor
        self._budget = budget
        self._is_outermost = False

    def __enter__(self) -> None:
        self._is_outermost = self._budget.running is None
        if self._is_outermost:
            self._budget.running, self._cursor.since = self._cursor, time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_outermost:
            self._budget.running = None
            self._cursor.seconds += time.monotonic() - self._cursor.since
        if isinstance(error, apsw.NoMemError):
            raise LimitExceededError(
                f"out of memory, or the statement needs more than {self._budget.limits.vdbe_op:,} instructions, the "
                "limit of this untrusted connection"
            ) from error


class _Cursor(InstanceCursor):
    """A cursor that counts the steps and time of its statement."""

    def __init__(self, connection: apsw.Connection, budget: _Budget) -> None:
        super().__init__(connection)
        self._budget = budget
        self.step_count, self.seconds, self.since = 0, 0.0, 0.0

    def execute(self, statements: str, *arguments: Any, **named: Any) -> apsw.Cursor:
        self.step_count, self.seconds = 0, 0.0
        with _Charged(self, self._budget):
            return super().execute(statements, *arguments, **named)

    def executemany(self, statements: str, *arguments: Any, **named: Any) -> apsw.Cursor:
        self.step_count, self.seconds = 0, 0.0
        with _Charged(self, self._budget):
            return super().executemany(statements, *arguments, **named)

    def __next__(self) -> Any:
        with _Charged(self, self._budget):
            return super().__next__()

    def fetchone(self) -> Any:
        with _Charged(self, self._budget):
            return super().fetchone()

    def fetchall(self) -> Any:
        with _Charged(self, self._budget):
            return super().fetchall()

    @property
    def get(self) -> Any:
        with _Charged(self, self._budget):
            return super().get
