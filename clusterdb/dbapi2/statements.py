"""What one must know of a statement before it runs, asked of SQLite once for every text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import apsw

from clusterdb.dbapi2.adapt import PLAIN, PrepareProtocol, adapt
from clusterdb.dbapi2.deprecated import NAMED_MINDS_SEQUENCES, named_is_given_sequence
from clusterdb.errors import DataError, NotSupportedError, ProgrammingError

if TYPE_CHECKING:
    from clusterdb.flavours import Translation

__all__ = [
    "RAW_BITS",
    "Description",
    "Plan",
    "bound",
    "described",
    "plan_of",
    "plan_of_translation",
    "raw_sql",
    "require_said",
]

Description = tuple[tuple[str, None, None, None, None, None, None], ...]
_BEFORE = re.compile(r"(?:[ \t\f\n\r]++|--[^\n]*+(?:\n|\Z)|/\*.*?(?:\*/|\Z))*+", re.DOTALL)
_IDLE = re.compile(rf"(?:{_BEFORE.pattern};)*+", re.DOTALL)
RAW_BITS = 60
_WRITES = re.compile(r"(insert|replace|update|delete)", re.IGNORECASE)


class Plan:
    """A statement: ``sql`` is what SQLite runs; ``columns`` is empty if it answers nothing."""

    __slots__ = (
        *("sql", "raw_columns", "columns", "declared", "count", "names"),
        *("is_dml", "is_insert", "is_readonly", "is_query", "has_columns", "steps", "is_named", "begins", "writes"),
    )

    def __new__(cls, *_: Any) -> Plan:
        if not _:
            raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")
        return super().__new__(cls)

    def __init__(self, sql: str, cursor: apsw.Cursor) -> None:
        self.sql = sql
        first = _WRITES.match(sql, _BEFORE.match(sql).end())  # type: ignore[union-attr]
        self.is_dml = self.writes = first is not None
        self.is_insert = first is not None and first[1].lower() in ("insert", "replace")
        self.is_readonly = cursor.is_readonly
        self.raw_columns = cursor.description
        self.columns = described(self.raw_columns)
        self.declared = tuple(column[1] for column in cursor.get_description()) if self.columns else ()
        self.has_columns = bool(self.columns)
        self.is_query = self.has_columns and self.is_readonly
        self.steps: Translation | None = None
        self.begins = False
        self.count = cursor.bindings_count
        self.names = cursor.bindings_names
        self.is_named = NAMED_MINDS_SEQUENCES and any(_placeholder(sql, name)[0] != "?" for name in self.names)


def plan_of_translation(db: apsw.Connection, made: Translation) -> Plan:
    """Plan a statement of another engine.  Raises as :func:`plan_of`.

    What takes several steps cannot be prepared as a whole, since a step may need those before it: it answers no rows.
    """
    if not (made.before or made.after or made.commits or made.ends):
        plan = plan_of(db, made.sql)
        plan.begins = made.begins
        return plan
    plan = plan_of(db, "SELECT 1 WHERE 0")
    plan.steps, plan.columns, plan.raw_columns = made, (), ()
    plan.writes = made.writes
    plan.has_columns = plan.is_query = plan.is_readonly = False
    return plan


_MISSAID = re.compile("syntax error|no such function|wrong number of arguments|unrecognized token|misuse of")


def require_said(error: apsw.SQLError, made: Translation, sql: str = "") -> None:
    """Raises NotSupportedError if SQLite does not understand what a statement of another engine was translated to."""
    if _MISSAID.search(str(error)):
        shown = f"{sql} -- as: {made.sql}" if sql else made.sql
        raise NotSupportedError(f"SQLite cannot say this ({error}): {shown}") from None


def described(columns: Any) -> Description:
    """The description that PEP 249 wants of apsw's, with nothing but names, as CPython's ``sqlite3`` has it."""
    return tuple((column[0], None, None, None, None, None, None) for column in columns)


def plan_of(db: apsw.Connection, sql: str) -> Plan:
    """Prepare a statement anew, without running it.

    Raises apsw.Error for what SQLite does not understand, ProgrammingError if there are several statements.
    """
    if "\0" in sql:
        raise ProgrammingError("the query contains a null character")
    made: list[Plan] = []

    def tracer(cursor: apsw.Cursor, text: str, _: object) -> bool:
        made.append(Plan(text, cursor))
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
    plan = made[0]
    at = sql.find(plan.sql) + len(plan.sql) if plan.sql in sql else len(sql)
    text = plan.sql[_IDLE.match(plan.sql).end() :].rstrip()  # type: ignore[union-attr]
    has_empty_second = text.endswith(";") and apsw.complete(text[:-1])
    if has_empty_second or _BEFORE.match(sql, at).end() < len(sql):  # type: ignore[union-attr]
        raise ProgrammingError("You can only execute one statement at a time.")
    return plan


def bound(plan: Plan, parameters: Any) -> tuple[Any, ...]:
    """The values for a statement, adapted.  Raises ProgrammingError, and what adapters raise."""
    if isinstance(parameters, tuple | list) or (not isinstance(parameters, dict) and _is_sequence(parameters)):
        if len(parameters) != plan.count:
            raise ProgrammingError(
                f"Incorrect number of bindings supplied. The current statement uses {plan.count}, and there are "
                f"{len(parameters)} supplied."
            )
        if plan.is_named:
            _mind_names(plan)
        return tuple(_adapted(parameters[at], at, plan.names[at]) for at in range(plan.count))
    if hasattr(parameters, "__getitem__"):
        return tuple(_adapted(_named(parameters, name, at), at, name) for at, name in enumerate(plan.names))
    raise ProgrammingError("parameters are of unsupported type")


def _placeholder(sql: str, name: str | None) -> str:
    """A placeholder as it is written, of which SQLite tells the name only: ``?``, ``?1``, ``:1``, ``@a``."""
    return next((f"{prefix}{name}" for prefix in "?:@$" if f"{prefix}{name}" in sql), "?")


def _mind_names(plan: Plan) -> None:
    """A sequence is given for a statement that names placeholders.  Raises ProgrammingError from Python 3.14 on."""
    for place, name in enumerate(plan.names, 1):
        placeholder = _placeholder(plan.sql, name)
        refusal = None if placeholder.startswith("?") else named_is_given_sequence(place, placeholder)
        if refusal is not None:
            raise ProgrammingError(refusal)


def _is_sequence(parameters: Any) -> bool:
    """As CPython's PySequence_Check, and with a length."""
    return hasattr(parameters, "__len__") and hasattr(parameters, "__getitem__") and not hasattr(parameters, "keys")


def _named(parameters: Any, name: str | None, at: int) -> Any:
    if name is None:
        raise ProgrammingError(f"Binding {at + 1} has no name, but you supplied a dictionary (which has only names).")
    try:
        return parameters[name]
    except LookupError:
        raise ProgrammingError(f"You did not supply a value for binding parameter :{name}.") from None


def _adapted(value: Any, at: int, name: str | None) -> Any:
    if type(value) in PLAIN:
        return value
    adapted = adapt(value, PrepareProtocol, value)
    if not isinstance(adapted, int | float | str | None):
        try:
            memoryview(adapted)
        except TypeError:
            where = at + 1 if name is None else f"':{name}'"
            raise ProgrammingError(
                f"Error binding parameter {where}: type '{type(adapted).__name__}' is not supported"
            ) from None
    return adapted


def raw_sql(plan: Plan) -> str:
    """A query that answers the values of each row (of a text the stored bytes), then numbers that tell which are texts.

    A text in column c sets bit c % RAW_BITS of number c // RAW_BITS.  The statement becomes a co-routine of SQLite's,
    which gives row by row, and evaluates once what is named three times: for that it must not be flattened into the
    outer query, and LIMIT in both forbids it (https://sqlite.org/optoverview.html#flattening, rule 13).
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
