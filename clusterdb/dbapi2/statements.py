"""Plans: what the DB-API has to know of a statement before it runs, asked of SQLite once per text.

A plan keeps the statement's columns, parameters and effects.  Connections cache plans by the text of the statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

import apsw

from clusterdb.dbapi2.adapt import PLAIN, PrepareProtocol, adapt, require_storable
from clusterdb.dbapi2.deprecated import NAMED_REFUSES_SEQUENCES, named_is_given_sequence
from clusterdb.errors import DataError, NotSupportedError, ProgrammingError

if TYPE_CHECKING:
    from clusterdb.flavours import Translation

__all__ = [
    "RAW_BITS",
    "Description",
    "Parameters",
    "Plan",
    "bound",
    "described",
    "plan_of",
    "plan_of_translation",
    "raise_if_unsupported",
    "raw_sql",
]

Description: TypeAlias = tuple[tuple[str, None, None, None, None, None, None], ...]
Origin: TypeAlias = tuple[str | None, str | None, str | None]
Parameters: TypeAlias = Sequence[object] | Mapping[str, object]
"""The second argument of ``execute()``."""
RAW_BITS = 60
_BLANK = re.compile(r"(?:[ \t\f\n\r]++|--[^\n]*+(?:\n|\Z)|/\*.*?(?:\*/|\Z))*+", re.DOTALL)
_EMPTY_STATEMENTS = re.compile(rf"(?:{_BLANK.pattern};)*+", re.DOTALL)
_DML = re.compile(r"(insert|replace|update|delete)", re.IGNORECASE)
_CHANGES_SCHEMA = re.compile("alter|create|drop|attach|detach", re.IGNORECASE)
_ROLLS_BACK = re.compile("rollback", re.IGNORECASE)
_NOT_UNDERSTOOD = re.compile("syntax error|no such function|wrong number of arguments|unrecognized token|misuse of")


class Plan:
    """A prepared statement.

    ``sql`` is the text that SQLite runs, ``source`` the caller's if it was translated.  ``columns`` are empty if it
    returns no rows, and so are ``declared``, their declared types, and ``origins``, the database, table and column that
    each is of.  ``loaders`` make the values of the rows, where the engine's types are others than SQLite's.  ``steps``
    is the translation of a statement of another engine that SQLite runs in several steps.  ``may_begin``: a transaction
    may have to begin before it.  ``is_plain``: it runs as it is: a query, or a statement that writes and returns no
    rows.  ``changes_schema``: it may change the schema; ``generation``: the connection's when it was planned.
    """

    __slots__ = (
        *("sql", "source", "raw_columns", "columns", "declared", "origins", "count", "names", "steps", "loaders"),
        *("is_dml", "is_insert", "is_readonly", "is_query", "has_columns", "is_named", "begins", "writes"),
        *("may_begin", "is_plain", "changes_schema", "rolls_back", "generation"),
    )

    def __new__(cls, *_: object) -> Plan:
        if not _:
            raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")
        return super().__new__(cls)

    def __init__(self, sql: str, cursor: apsw.Cursor) -> None:
        self.sql = sql
        self.source: str | None = None
        start = _end_of(_BLANK, sql)
        verb = _DML.match(sql, start)
        self.changes_schema = _CHANGES_SCHEMA.match(sql, start) is not None
        self.rolls_back = _ROLLS_BACK.match(sql, start) is not None
        self.generation = 0
        self.is_dml = self.writes = self.may_begin = verb is not None
        self.is_insert = verb is not None and verb[1].lower() in ("insert", "replace")
        self.is_readonly = cursor.is_readonly
        self.raw_columns = cursor.description
        self.columns = described(column[0] for column in self.raw_columns)
        self.declared = tuple(column[1] or None for column in cursor.get_description()) if self.columns else ()
        self.origins: tuple[Origin, ...] = ()
        if self.columns:
            full = getattr(cursor, "description_full", None) or ()
            self.origins = tuple((database, table, column) for _, _, database, table, column in full)
        self.loaders: Sequence[Callable[[Any], Any] | None] = ()
        self.has_columns = bool(self.columns)
        self.is_query = self.has_columns and self.is_readonly
        self.steps: Translation | None = None
        self.begins = False
        self.count = cursor.bindings_count
        self.names = cursor.bindings_names
        self.is_named = NAMED_REFUSES_SEQUENCES and any(_placeholder(sql, name)[0] != "?" for name in self.names)
        self.is_plain = (self.is_query or (self.is_dml and not self.has_columns)) and not self.is_named

    def named_values(self, values: object) -> dict[str, apsw.SQLiteValue]:
        """The values that it was executed with by the names of their parameters; those without one by their number."""
        if isinstance(values, Mapping):
            return dict(values)
        listed = values if isinstance(values, tuple | list) else ()
        names = (name or str(number) for number, name in enumerate(self.names, 1))
        return dict(zip(names, listed, strict=False))


def _end_of(pattern: re.Pattern[str], sql: str, start: int = 0) -> int:
    """Where a match of a pattern that matches the empty text too ends."""
    match = pattern.match(sql, start)
    assert match is not None
    return match.end()


def plan_of_translation(db: apsw.Connection, translation: Translation) -> Plan:
    """Plan a statement of another engine.  Raises as :func:`plan_of`.

    A translation of several steps is not prepared, because a step may depend on those before it: it returns no rows.
    """
    if not (translation.before or translation.after or translation.commits or translation.ends):
        plan = plan_of(db, translation.sql)
        plan.begins = translation.begins
        plan.may_begin = plan.begins or plan.writes
        return plan
    plan = plan_of(db, translation.probe or "SELECT 1 WHERE 0")
    plan.steps, plan.columns, plan.raw_columns, plan.declared, plan.origins = translation, (), (), (), ()
    steps = (*translation.before, translation.sql, *translation.after)
    plan.changes_schema = any(callable(step) or _CHANGES_SCHEMA.match(step) for step in steps)
    plan.writes = plan.may_begin = translation.writes
    plan.has_columns = plan.is_query = plan.is_readonly = plan.is_plain = False
    return plan


def raise_if_unsupported(error: apsw.SQLError, translation: Translation, sql: str = "") -> None:
    """Raise NotSupportedError if SQLite does not understand the translation of a statement of another engine."""
    if _NOT_UNDERSTOOD.search(str(error)):
        shown = f"{sql} -- as: {translation.sql}" if sql else translation.sql
        raise NotSupportedError(f"the statement cannot be translated to SQLite ({error}): {shown}") from None


def described(names: Iterable[str]) -> Description:
    """The description that PEP 249 asks for, with nothing but names, as in CPython's ``sqlite3``."""
    return tuple((name, None, None, None, None, None, None) for name in names)


def plan_of(db: apsw.Connection, sql: str) -> Plan:
    """Prepare a statement anew, without running it.

    Raises apsw.Error for SQL that SQLite does not understand, ProgrammingError for several statements.
    """
    if "\0" in sql:
        raise ProgrammingError("the query contains a null character")
    plans: list[Plan] = []

    def tracer(cursor: apsw.Cursor, text: str, _: object) -> bool:
        plans.append(Plan(text, cursor))
        return False

    cursor = db.cursor()
    cursor.exec_trace = tracer
    try:
        cursor.execute(sql, apsw._null_bindings, can_cache=False)  # type: ignore[attr-defined]
    except apsw.ExecTraceAbort:
        pass
    except apsw.TooBigError:
        raise DataError("query string is too large") from None
    finally:
        cursor.close(True)
    plan = plans[0]
    at = sql.find(plan.sql) + len(plan.sql) if plan.sql in sql else len(sql)
    text = plan.sql[_end_of(_EMPTY_STATEMENTS, plan.sql) :].rstrip()
    has_empty_second = text.endswith(";") and apsw.complete(text[:-1])
    if has_empty_second or _end_of(_BLANK, sql, at) < len(sql):
        raise ProgrammingError("You can only execute one statement at a time.")
    return plan


# --- parameters -------------------------------------------------------------------------------------------------------
def bound(plan: Plan, parameters: object) -> tuple[apsw.SQLiteValue, ...]:
    """The values for a statement, adapted.  Raises ProgrammingError, and what adapters raise."""
    if isinstance(parameters, tuple | list) or (not isinstance(parameters, dict) and _is_sequence(parameters)):
        values = cast("Sequence[object]", parameters)
        if len(values) != plan.count:
            raise ProgrammingError(
                f"Incorrect number of bindings supplied. The current statement uses {plan.count}, and there are "
                f"{len(values)} supplied."
            )
        if plan.is_named:
            _warn_of_names(plan)
        return tuple(_adapted(values[at], at, plan.names[at]) for at in range(plan.count))
    if hasattr(parameters, "__getitem__"):
        named = cast("Mapping[str, object]", parameters)
        return tuple(_adapted(_named(named, name, at), at, name) for at, name in enumerate(plan.names))
    raise ProgrammingError("parameters are of unsupported type")


def _placeholder(sql: str, name: str | None) -> str:
    """A placeholder as it is written (``?``, ``?1``, ``:1``, ``@a``): SQLite reports its name without the prefix."""
    return next((f"{prefix}{name}" for prefix in "?:@$" if f"{prefix}{name}" in sql), "?")


def _warn_of_names(plan: Plan) -> None:
    """Warn of a sequence for named placeholders.  Raises ProgrammingError from Python 3.14 on."""
    for place, name in enumerate(plan.names, 1):
        placeholder = _placeholder(plan.sql, name)
        refusal = None if placeholder.startswith("?") else named_is_given_sequence(place, placeholder)
        if refusal is not None:
            raise ProgrammingError(refusal)


def _is_sequence(parameters: object) -> bool:
    """As CPython's PySequence_Check, and with a length."""
    return hasattr(parameters, "__len__") and hasattr(parameters, "__getitem__") and not hasattr(parameters, "keys")


def _named(parameters: Mapping[str, object], name: str | None, at: int) -> object:
    if name is None:
        raise ProgrammingError(f"Binding {at + 1} has no name, but you supplied a dictionary (which has only names).")
    try:
        return parameters[name]
    except LookupError:
        raise ProgrammingError(f"You did not supply a value for binding parameter :{name}.") from None


def _adapted(value: object, at: int, name: str | None) -> apsw.SQLiteValue:
    """A value to bind; refused before later values are looked at, as values are bound one by one in ``sqlite3``."""
    if type(value) in PLAIN:
        require_storable(value)
        return cast("apsw.SQLiteValue", value)
    adapted = adapt(value, PrepareProtocol, value)
    if not isinstance(adapted, int | float | str | None):
        try:
            memoryview(adapted)
        except TypeError:
            _raise_unsupported(adapted, at, name)
    require_storable(adapted)
    return cast("apsw.SQLiteValue", adapted)


def _raise_unsupported(value: object, at: int, name: str | None) -> NoReturn:
    where = at + 1 if name is None else f"':{name}'"
    raise ProgrammingError(f"Error binding parameter {where}: type '{type(value).__name__}' is not supported") from None


# --- stored bytes -----------------------------------------------------------------------------------------------------
def raw_sql(plan: Plan) -> str:
    """A query that returns the values of each row (of a text the stored bytes), then the numbers that mark the texts.

    A text in column c sets bit c % RAW_BITS of number c // RAW_BITS.  The statement becomes a co-routine of SQLite's,
    which returns row by row and evaluates each column once, although the outer query names it three times.  For that it
    must not be flattened into the outer query; LIMIT in both prevents it
    (https://sqlite.org/optoverview.html#flattening, rule 13).
    """
    names = [f"c{at}" for at in range(len(plan.columns))]
    values = [f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END" for name in names]
    for start in range(0, len(names), RAW_BITS):
        bits = (f"((typeof({name}) = 'text') << {at})" for at, name in enumerate(names[start : start + RAW_BITS]))
        values.append(" | ".join(bits))
    text = plan.sql.rstrip().rstrip(";")
    return (
        f"WITH clusterdb_raw({', '.join(names)}) AS (SELECT * FROM ({text}\n) LIMIT -1) "
        f"SELECT {', '.join(values)} FROM clusterdb_raw LIMIT -1"
    )
