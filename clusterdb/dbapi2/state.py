"""The state of a connection, which its cursors and blobs share with it.

A :class:`ConnectionState` belongs to one connection for life.  It is not open before ``Connection.__init__`` and after
``close()``; a second ``__init__`` opens another database in the same state, so cursors follow their connection.
``check()`` is the guard of everything that a caller can do: initialized, open, and in the connection's own thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ReferenceType

import apsw

from clusterdb.access.translate import translated, translating
from clusterdb.dbapi2.codes import with_codes
from clusterdb.dbapi2.opening import Opened
from clusterdb.dbapi2.statements import Plan, plan_of, plan_of_translation, raise_if_unsupported
from clusterdb.errors import DataError, Error, ProgrammingError

if TYPE_CHECKING:
    from clusterdb.access.sqlite import Connection
    from clusterdb.flavours import EngineSession
    from clusterdb.flavours.schema import Known

__all__ = [
    "LEGACY_TRANSACTION_CONTROL",
    "PARSE_COLNAMES",
    "PARSE_DECLTYPES",
    "PARSE_ENGINE_TYPES",
    "ConnectionState",
    "Loop",
    "end_loop",
]

PARSE_DECLTYPES, PARSE_COLNAMES = 1, 2
PARSE_ENGINE_TYPES = 4
"""Booleans as bool and exact numbers as Decimal, on clusters of other engines."""
LEGACY_TRANSACTION_CONTROL = -1
_PLANS_MAX = 1024
_SHORT = 1000
"""SQL of up to this many characters cannot exceed SQLITE_LIMIT_SQL_LENGTH in practice: it is not encoded to check."""


Loop: TypeAlias = "ReferenceType[Generator[Any, bool | None, None]]"
"""The rows of a loop over a cursor, which looks only at the rows until it is sent True."""


def end_loop(loop: Loop) -> None:
    """Let a loop look at its cursor again, and let others read the rows; does nothing while it reads a row."""
    rows = loop()
    if rows is not None and inspect.getgeneratorstate(rows) == inspect.GEN_SUSPENDED:
        rows.send(True)


class _AnyThread(int):
    """Stands for the number of the current thread, whichever that is."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


_ANY_THREAD = _AnyThread()


class _NoPlans(dict[str, Plan]):
    """The plain plans of a cluster of another engine, whose plans depend on the schema: none."""

    def __missing__(self, sql: str) -> None:  # an exception would cost more
        return None


class ConnectionState:
    """What a connection, its cursors and its blobs know of the open database.

    ``is_plain``: the connection is open and returns texts as str, so readers of rows need no other check.
    ``converts``: rows pass through converters or a text factory.  ``begin_sql``: the statement that begins a
    transaction before a writing statement; None if none does.  ``thread``: the thread that may use the connection;
    equal to all if any may.  ``loops``: the loops over its cursors that look only at the rows.  ``plain``: the plain
    ones of the plans, which cursors run without another look; none if rows are converted or the engine is another.
    ``is_autocommit``, ``changes``, ``last_id``: methods of the database, bound once.  ``generation``: counts the
    statements of the connection that may have changed its schema.  ``is_schema_new``: the open transaction may have.
    """

    __slots__ = (
        *("autocommit", "begin_sql", "changes", "converts", "db", "detects_declared", "detects_engine"),
        *("detects_names", "generation", "is_autocommit", "is_initialized", "last_id"),
        *("is_plain", "is_schema_new", "isolation_level", "loops", "opened", "plain", "plans", "schema"),
        *("session", "text_factory", "thread"),
    )
    db: Connection
    is_autocommit: Callable[[], bool]
    changes: Callable[[], int]
    last_id: Callable[[], int]

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.db = None  # type: ignore[assignment]
        self.is_initialized = self.is_plain = self.converts = False
        self.detects_declared = self.detects_names = self.detects_engine = False
        self.autocommit: bool | int = LEGACY_TRANSACTION_CONTROL
        self.isolation_level: str | None = ""
        self.begin_sql: str | None = None
        self.thread: int = _ANY_THREAD
        self.plans: dict[str, Plan] = {}
        self.plain: dict[str, Plan] = {}
        self.loops: set[Loop] = set()
        self.session: EngineSession | None = None
        self.schema: Known | None = None
        self.generation = 0
        self.is_schema_new = False
        self.text_factory: Any = str

    # --- its life ---------------------------------------------------------------------------------------------------
    def begin_opening(self) -> None:
        """The connection is initialized, perhaps once more: nothing can be done with it until :meth:`adopt`."""
        self.is_initialized = self.is_plain = False
        self.opened = None
        self.thread = _ANY_THREAD
        self.autocommit = LEGACY_TRANSACTION_CONTROL

    def adopt(self, opened: Opened, detect_types: int, *, is_bound_to_thread: bool) -> None:
        """Take over an open database."""
        self.opened, self.db = opened, opened.db
        self.is_autocommit, self.changes = self.db.get_autocommit, self.db.changes
        self.last_id = self.db.last_insert_rowid
        self.session, self.schema = _session_for(opened)
        self.plans, self.plain = {}, {} if self.session is None else _NoPlans()
        self.detects_declared = bool(detect_types & PARSE_DECLTYPES)
        self.detects_names = bool(detect_types & PARSE_COLNAMES)
        self.detects_engine = bool(detect_types & PARSE_ENGINE_TYPES)
        if is_bound_to_thread:
            self.thread = get_ident()
        self.set_text_factory(str)

    def set_autocommit(self, autocommit: bool | int, isolation_level: str | None) -> None:
        """Set what begins a transaction, for the statements to come and for the engine's session."""
        self.autocommit, self.isolation_level = autocommit, isolation_level
        self.choose_begin()
        if self.session is not None:
            self.session.autocommit = autocommit is not False

    def choose_begin(self) -> None:
        """Set ``begin_sql`` by ``autocommit`` and ``isolation_level``."""
        is_explicit = self.autocommit is True or self.autocommit is False or self.isolation_level is None
        self.begin_sql = None if is_explicit else f"BEGIN {self.isolation_level}"

    def set_text_factory(self, factory: Any) -> None:
        """Set what makes the value of a text of its bytes."""
        self.text_factory = factory
        self.converts = factory is not str or self.detects_names or self.detects_declared
        self.is_plain = factory is str and self.opened is not None
        self.plain.clear()
        for loop in tuple(self.loops):
            end_loop(loop)

    def release(self) -> Opened | None:
        """The connection is closed: the database that was open, if one was."""
        opened, self.opened, self.is_plain = self.opened, None, False
        return opened

    # --- guards -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        """Raises ProgrammingError unless it is open, and this is its thread."""
        if self.thread != get_ident():
            raise ProgrammingError(
                "SQLite objects created in a thread can only be used in that same thread. The object was created in "
                f"thread id {self.thread} and this is thread id {get_ident()}."
            )
        self.check_open()

    def check_open(self) -> None:
        """Raises ProgrammingError unless it is open; for what ``sqlite3`` allows in any thread."""
        if not self.is_initialized:
            raise ProgrammingError("Base Connection.__init__ not called.")
        if self.opened is None:
            raise ProgrammingError("Cannot operate on a closed database.")
        try:
            self.db.in_transaction  # noqa: B018 - fails if the store has closed it
        except apsw.ConnectionClosedError as error:
            raise translated(error) from None

    def coded(self, error: Exception, plan: Plan | None = None, values: object = (), source: str = "") -> Exception:
        """The error with the words and codes of the cluster's engine, by its statement: a plan, or a ``source``."""
        if self.opened is None:
            return error
        if self.session is not None and isinstance(error, Error) and error.sqlstate is None:
            named = plan.named_values(values) if plan is not None else {}
            sql = plan.sql if plan is not None else ""
            words = self.session.words(error, (plan.source if plan is not None else None) or source, sql, named)
            if words is not None:
                error.args = (words.text,)
                error.position, error.detail = words.position, words.detail
        return with_codes(error, self.opened.engine)

    # --- plans ------------------------------------------------------------------------------------------------------
    def planned(self, sql: str) -> Plan:
        """The plan of a statement, kept for the next time.  Raises the errors of PEP 249."""
        if self.session is not None:
            return self._planned_by_engine(self.session, sql)
        plan = self.plans.get(sql)
        if plan is None:
            with translating():
                plan = self._plan(sql)
            _keep(self.plans, sql, plan)
        elif plan.has_columns and plan.generation != self.generation:
            with suppress(apsw.Error, Error):  # by the schema of now it fails: as sqlite3, when it is run
                plan = self.replanned(plan)
                _keep(self.plans, sql, plan)
        if plan.is_plain and not self.converts:
            _keep(self.plain, sql, plan)
        return plan

    def forget_plans(self) -> None:
        """Forget all plans: what they know of their statements no longer holds."""
        self.generation += 1
        self.plans.clear()
        self.plain.clear()

    def schema_changes(self) -> None:
        """A statement of this connection is about to change its schema: queries are planned again before they run."""
        self.is_schema_new = True
        self.generation += 1
        self.plain.clear()

    def rolls_back(self) -> None:
        """A transaction, or a part of it, is about to be rolled back, and what it did to the schema with it."""
        if self.is_schema_new:
            self.schema_changes()

    def failed(self) -> None:
        """A statement has failed, and perhaps rolled the transaction back: ``OR ROLLBACK``, a full disk."""
        if self.is_schema_new and self.opened is not None:
            with suppress(apsw.ConnectionClosedError):  # the store has closed it
                if not self.db.in_transaction:
                    self.schema_changes()
                    self.is_schema_new = False

    def replanned(self, plan: Plan) -> Plan:
        """The plan of the same statement by the schema of now, which may have changed since."""
        with translating():
            current = self._plan(plan.sql)
        current.source = plan.source
        return current

    def _plan(self, sql: str) -> Plan:
        plan = plan_of(self.db, sql)
        plan.generation = self.generation
        return plan

    def _planned_by_engine(self, session: EngineSession, sql: str) -> Plan:
        """The plan of a statement in the engine's SQL, kept as long as the schema is the one it was made for."""
        if len(sql) > _SHORT and len(sql.encode()) > self.db.limit(apsw.SQLITE_LIMIT_SQL_LENGTH):
            raise DataError("query string is too large")
        assert self.schema is not None
        try:
            with translating():
                self.schema.refresh(self.db, session.flavour)
                plan = self.schema.plans.get(sql)
                if plan is None or plan.generation != self.generation:
                    plan = self._translated(session, sql)
                    plan.generation = self.generation
                    _keep(self.schema.plans, sql, plan)
        except Exception as error:
            self.coded(error, source=sql)
            raise
        return plan

    def _translated(self, session: EngineSession, sql: str) -> Plan:
        """The plan of a statement in the engine's SQL.  Raises NotSupportedError."""
        assert self.schema is not None
        translation = session.translate(sql, self.schema.schema)
        try:
            plan = plan_of_translation(self.db, translation)
        except apsw.SQLError as error:
            raise_if_unsupported(error, translation, sql)
            raise
        plan.source = sql
        if plan.has_columns:
            plan.loaders = session.loaders(sql, plan.declared, typed=self.detects_engine)
            plan.is_plain = plan.is_plain and not plan.loaders
        return plan

    # --- transactions -----------------------------------------------------------------------------------------------
    def begin_before(self, plan: Plan) -> None:
        """Begin a transaction, where none is open, if the statement is not to commit by itself.

        The engine's SET autocommit decides for statements of another engine, ``begin_sql`` for those that write.
        """
        if plan.begins and self.session is not None and not self.session.autocommit:
            self.db.execute("BEGIN")
        elif plan.writes and self.begin_sql is not None:
            self.db.execute(self.begin_sql)

    def follow_session(self) -> None:
        """Take over what the engine's SET autocommit has set."""
        assert self.session is not None
        if self.session.autocommit is (self.autocommit is False):
            self.autocommit = self.session.autocommit
            self.begin_sql = None

    def before_script(self) -> None:
        """Commit the open transaction, as ``executescript()`` does unless ``autocommit`` is set."""
        if self.autocommit == LEGACY_TRANSACTION_CONTROL and self.autocommit is not False:
            self.end("COMMIT")

    def end(self, sql: str) -> None:
        """Run COMMIT or ROLLBACK if a transaction is open.  Raises OperationalError."""
        if self.db.in_transaction:
            if sql == "ROLLBACK":
                self.rolls_back()
            self._run(sql)
            self.is_schema_new = False

    def begin(self) -> None:
        """Begin a transaction.  Raises OperationalError."""
        self._run("BEGIN")

    def _run(self, sql: str) -> None:
        try:
            self.db.execute(sql)
        except apsw.Error as error:
            raise self.coded(translated(error)) from error.__cause__

    def execute_script(self, script: str, run: Callable[[str], object]) -> None:
        """Run a script: ``run`` is called with each text that SQLite runs for it."""
        if self.session is None:
            run(script)
        else:
            self.session.execute_script(script, run)

    @property
    def is_utf8(self) -> bool:
        """Whether texts are stored in UTF-8."""
        return bool(self.db.pragma("encoding") == "UTF-8")


def _session_for(opened: Opened) -> tuple[EngineSession | None, Known | None]:
    """The translator of a cluster of another engine, whose functions its connection gets, and its plans by schema."""
    if opened.engine == "sqlite":
        return None, None
    from clusterdb.flavours import session_of
    from clusterdb.flavours.schema import Known

    return session_of(opened.engine, opened.db), Known()


def _keep(plans: dict[str, Plan], sql: str, plan: Plan) -> None:
    if len(plans) >= _PLANS_MAX:
        plans.clear()
    plans[sql] = plan
