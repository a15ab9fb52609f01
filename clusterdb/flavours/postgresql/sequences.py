"""PostgreSQL's sequences, which ROLLBACK does not reset.

The table ``clusterdb_sequences`` stores their state; sequences of temporary tables live with the connection.  A
column's definition names its sequence, see :class:`clusterdb.flavours.schema.Numbering`.  An INSERT that does not name
the column calls nextval() itself, since SQLite's default for row ids is one more than the greatest.

Source: "Sequence Manipulation Functions" and CREATE SEQUENCE in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable
from contextlib import suppress

import apsw
from sqlglot import exp

from clusterdb.errors import DataError, ProgrammingError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Refused, Translation, Unsupported, call
from clusterdb.flavours.registry import guarded
from clusterdb.flavours.schema import Numbering, Schema
from clusterdb.flavours.tables import text
from clusterdb.flavours.trees import column_names, quoted_names, target_of

__all__ = [
    "TABLE",
    "Sequences",
    "altered",
    "created",
    "dropped",
    "first_of",
    "make",
    "named",
    "name_of",
    "number",
    "numbering",
    "of_column",
    "reference",
    "require_plain",
    "of_table",
    "restarted",
    "start_of",
]

TABLE = "clusterdb_sequences"
_CREATE = f"CREATE TABLE IF NOT EXISTS {TABLE} (name TEXT PRIMARY KEY, last INTEGER NOT NULL, first INTEGER NOT NULL)"
_TEMPORARY = "pg_temp."
_ALTER = re.compile(
    r"\s*ALTER\s+SEQUENCE\s+(?:IF\s+EXISTS\s+)?([\w.\"]+)\s+RESTART(?:\s+(?:WITH\s+)?(-?\d+))?\s*+;?\s*+", re.I
)


# --- the functions of sequences ---------------------------------------------------------------------------------------
class Sequences:
    """The sequences that a connection uses.

    The numbers that nextval() and setval() assign are remembered until they are committed, so that no ROLLBACK, of the
    transaction or to a savepoint, undoes them.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = weakref.ref(db)
        self._assigned: dict[str, tuple[int, int]] = {}
        """By sequence: the last number, and the number stored before; while that is stored, no other connection has
        changed the sequence."""
        self._used: set[str] = set()
        """The sequences that this transaction has changed: the table stores their numbers in ``_assigned``."""
        self._before_restart: dict[str, tuple[int, int] | None] = {}
        """The entries of ``_assigned`` before this transaction restarted the sequences, for a ROLLBACK to restore."""
        self._temporary: dict[str, tuple[int, int]] = {}
        self._current: dict[str, int] = {}
        self._latest = ""

    def install(self, db: apsw.Connection) -> None:
        """Register the functions on a connection."""
        session = (self.nextval, self.currval, self.lastval, self.setval, self.restart)
        for function in (*session, self.require_sequence, self.require_no_relation, self.forget):
            db.create_scalar_function(f"pg_{function.__name__}", guarded(function), flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("pg_redo", guarded(self.redo), 0, flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("pg_make_sequence", guarded(self.make), 2, flags=apsw.SQLITE_INNOCUOUS)

    def nextval(self, name: str | None) -> int | None:
        """Advance a sequence and return its number.  Raises ProgrammingError if it does not exist."""
        if name is None:
            return None
        name = named(name)
        value = self._last(name) + 1
        self._keep(name, value)
        self._current[name], self._latest = value, name
        return value

    def setval(self, name: str | None, value: int | None, is_called: int | None = 1) -> int | None:
        """Set the last number, or with ``is_called`` false the next one, to ``value``.  Raises DataError below 1."""
        if name is None or value is None or is_called is None:
            return None
        if value < 1:
            raise DataError(
                f'setval: value {value} is out of bounds for sequence "{named(name)}" (1..9223372036854775807)'
            )
        name = named(name)
        self._stored(name)
        self._keep(name, value if is_called else value - 1)
        if is_called:
            self._current[name] = value
        return value

    def restart(self, name: str, value: int | None = None) -> int:
        """Restart a sequence at ``value``, or at its first number; ROLLBACK undoes this one.  Returns 1."""
        name = named(name)
        _, first = self._stored(name)
        self._before_restart.setdefault(name, self._assigned.get(name))
        self._keep(name, (first if value is None else value) - 1)
        return 1

    def currval(self, name: str | None) -> int | None:
        """The last number of a sequence in this session.  Raises ProgrammingError if it has none."""
        if name is None:
            return None
        name = named(name)
        if name not in self._current:
            self._stored(name)
            raise ProgrammingError(f'currval of sequence "{name}" is not yet defined in this session')
        return self._current[name]

    def lastval(self) -> int:
        """The last number of any sequence in this session.  Raises ProgrammingError if there is none."""
        if self._latest not in self._current:
            raise ProgrammingError("lastval is not yet defined in this session")
        return self._current[self._latest]

    def require_sequence(self, name: str) -> int:
        """Return 1.  Raises ProgrammingError if a sequence does not exist."""
        self._stored(named(name))
        return 1

    def require_no_relation(self, name: str) -> int:
        """Return 1.  Raises ProgrammingError if a sequence exists."""
        if self._connection().execute(f"SELECT 1 FROM {TABLE} WHERE name = ?", (name,)).get:
            raise ProgrammingError(f'relation "{name}" already exists')
        return 1

    def forget(self, name: str) -> int:
        """Forget the numbers of a sequence that was created or dropped; return 1."""
        for remembered in (self._assigned, self._current, self._before_restart, self._temporary):
            remembered.pop(name, None)
        self._used.discard(name)
        return 1

    def make(self, name: str, first: int) -> int:
        """Create the sequence of a temporary table; return 1."""
        self._temporary[name] = first - 1, first
        return 1

    def redo(self) -> int:
        """Store again, after ROLLBACK TO a savepoint, the numbers assigned since; return 1."""
        for name in self._used:
            with suppress(apsw.SQLError):  # the sequence was created after the savepoint
                self._write(name, self._assigned[name][0])
        return 1

    def committed(self) -> None:
        """Note that the transaction was committed: the table has its numbers."""
        for name in self._used:
            self._assigned.pop(name, None)
        self._ended()

    def rolled_back(self) -> None:
        """Note that the transaction was rolled back: only the session has its numbers."""
        for name, assigned in self._before_restart.items():
            self._assigned.pop(name, None)
            if assigned is not None:
                self._assigned[name] = assigned
        self._ended()

    def _ended(self) -> None:
        self._before_restart.clear()
        self._used.clear()

    def _last(self, name: str) -> int:
        """The last number of a sequence.  Raises ProgrammingError if it does not exist."""
        assigned = self._assigned.get(name)
        if assigned is not None and name in self._used:
            return assigned[0]
        last, _ = self._stored(name)
        if assigned is None:
            return last
        return assigned[0] if assigned[1] == last else max(assigned[0], last)

    def _stored(self, name: str) -> tuple[int, int]:
        """The last and the first number of a sequence.  Raises ProgrammingError if it does not exist."""
        if name in self._temporary:
            return self._temporary[name]
        query = f"SELECT last, first FROM {TABLE} WHERE name = ?"
        with suppress(apsw.SQLError):  # the table does not exist before the first sequence
            for last, first in self._connection().execute(query, (name,)).fetchall():
                return int(str(last)), int(str(first))
        raise ProgrammingError(f'relation "{name}" does not exist')

    def _keep(self, name: str, last: int) -> None:
        if name in self._temporary:
            self._temporary[name] = last, self._temporary[name][1]
            return
        before = self._assigned.get(name)
        was = before[1] if before is not None and name in self._used else self._stored(name)[0]
        self._assigned[name] = last, was
        self._used.add(name)
        try:
            self._write(name, last)  # commits outside of a transaction
        except apsw.Error:
            self._used.discard(name)
            self._assigned.pop(name)
            if before is not None:
                self._assigned[name] = before
            raise

    def _write(self, name: str, last: int) -> None:
        self._connection().execute(f"UPDATE {TABLE} SET last = ? WHERE name = ?", (last, name))

    def _connection(self) -> apsw.Connection:
        db = self._db()
        assert db is not None  # the caller runs on it
        return db


def named(name: str) -> str:
    """The name of a sequence as ``regclass`` reads it: in lower case unless quoted, in the schema public."""
    return re.sub(r'"([^"]*)"|[^"]+', lambda part: part[1] or part[0].lower(), name).removeprefix("public.")


def reference(sequence: str) -> str:
    """The inverse of :func:`named`: a text that it reads as this sequence."""
    return sequence if re.fullmatch(r"[a-z_][a-z0-9_$.]*", sequence) else f'"{sequence}"'


# --- statements -------------------------------------------------------------------------------------------------------
def numbering(
    table: exp.Identifier, column: exp.Identifier, context: Context, *, is_always: bool, is_temporary: bool
) -> Numbering:
    """The numbering of a new serial column, by a sequence with a new name.  Raises Unsupported."""
    parts = (token.name if token.args.get("quoted") else token.name.lower() for token in (table, column))
    wanted = f"{_TEMPORARY if is_temporary else ''}{'_'.join(parts)}_seq"
    taken = {used.sequence for columns in context.schema.numbers.values() for used in columns.values()}
    taken |= {sequence for columns in context.schema.owned.values() for sequence in columns.values()}
    if "*/" in wanted:
        raise Unsupported(f"a serial column of table '{table.name}', whose name contains */,")
    free = next(name for at in range(len(taken) + 1) if (name := f"{wanted}{at or ''}") not in taken)
    return Numbering(free, "always" if is_always else "serial")


def make(context: Context, sequence: str, first: int = 1) -> None:
    """Have a statement create a sequence: require a new name before it, create the sequence after it."""
    context.after.append(f"SELECT pg_forget({text(sequence)})")
    if sequence.startswith(_TEMPORARY):
        context.after.append(f"SELECT pg_make_sequence({text(sequence)}, {first})")
        return
    context.before.extend([_CREATE, f"SELECT pg_require_no_relation({text(sequence)})"])
    context.after.append(f"INSERT INTO {TABLE} VALUES ({text(sequence)}, {first - 1}, {first})")


def _owned(table: str, context: Context) -> dict[str, str]:
    """The sequences that a table's columns own, by column."""
    return dict(context.schema.owned.get(table.lower(), {}))


def of_table(table: str, context: Context) -> list[str]:
    """The statements that drop the sequences that a table's columns own."""
    owned = _owned(table, context).values()
    lasting = [_delete(sequence) for sequence in owned if not sequence.startswith(_TEMPORARY)]
    return [*lasting, *(f"SELECT pg_forget({text(sequence)})" for sequence in owned)]


def of_column(table: str, column: str, context: Context) -> list[str]:
    """The statement that drops the sequence that a column owns; empty if it owns none."""
    sequence = _owned(table, context).get(column.lower())
    return [] if sequence is None else [_delete(sequence)]


def name_of(table: str, column: str, context: Context) -> str | None:
    """The sequence that a column owns, as pg_get_serial_sequence() names it; None if it owns none.  Raises Refused."""
    table = named(table)
    if table.lower() not in context.schema.tables:
        raise Refused(f'relation "{table}" does not exist')
    if column.lower() not in context.schema.tables[table.lower()]:
        raise Refused(f'column "{column}" of relation "{table}" does not exist')
    sequence = _owned(table, context).get(column.lower())
    return None if sequence is None else f"public.{reference(sequence)}"


def _delete(sequence: str) -> str:
    return f"DELETE FROM {TABLE} WHERE name = {text(sequence)}"


def created(tree: exp.Create, context: Context) -> Translation:
    """CREATE SEQUENCE."""
    if tree.args.get("exists"):
        raise Unsupported("CREATE SEQUENCE IF NOT EXISTS")
    context = context.for_statement()
    make(context, named(tree.this.sql(dialect="postgres")), first_of(tree))
    return Translation(IDLE, (*context.before, *context.after))


def first_of(tree: exp.Create) -> int:
    """The first number of a sequence, from CREATE SEQUENCE.  Raises Unsupported or Refused."""
    first, properties = 1, tree.args.get("properties")
    for option in properties.expressions if properties is not None else []:
        if not isinstance(option, exp.SequenceProperties):
            raise Unsupported(f"CREATE SEQUENCE ... {option.sql(dialect='postgres')}")
        first = start_of(option)
    return first


def start_of(options: exp.Expression) -> int:
    """The first number of a sequence, from its options.

    Raises Unsupported for other options, except for those that set the default; Refused for a number below 1.
    """
    for name, value in options.args.items():
        written = value.sql(dialect="postgres") if isinstance(value, exp.Expression) else value
        if name == "options":
            written = [option for option in value or [] if option.sql(dialect="postgres").upper() not in _DEFAULTS]
        is_default = written in (None, False, [], "") or (name, written) in (("increment", "1"), ("cache", "1"))
        if not is_default and name not in ("start", "this", "expression", "on_null"):
            raise Unsupported(f"the option {name.upper()} of a sequence")
    start = options.args.get("start")
    first = 1 if start is None else int(start.sql())
    if first < 1:
        raise Refused(f"START value ({first}) cannot be less than MINVALUE (1)")
    return first


_DEFAULTS = ("NO MINVALUE", "NO MAXVALUE", "NO CYCLE", "AS BIGINT", "AS INTEGER", "AS INT")


def dropped(names: Iterable[str], context: Context, *, must_exist: bool) -> Translation:
    """DROP SEQUENCE.  Raises Refused if a column's default uses one of the sequences."""
    doomed = [named(name) for name in names]
    for table, columns in context.schema.numbers.items():
        for column, used in columns.items():
            if used.sequence in doomed:
                raise Refused(
                    f"cannot drop sequence {used.sequence} because other objects depend on it: drop column {column} of "
                    f"table {table} or its default first"
                )
    *before, last = (_delete(sequence) for sequence in doomed)
    required = [f"SELECT pg_require_sequence({text(reference(sequence))})" for sequence in doomed if must_exist]
    after = tuple(f"SELECT pg_forget({text(sequence)})" for sequence in doomed)
    return Translation(last, (*required, _CREATE, *before), after)


def restarted(table: str, context: Context) -> list[str]:
    """The statements that restart the sequences that a table's columns own."""
    return [f"SELECT pg_restart({text(reference(sequence))})" for sequence in _owned(table, context).values()]


def altered(sql: str) -> Translation | None:
    """ALTER SEQUENCE ... RESTART; None for other statements.  Raises ProgrammingError."""
    match = _ALTER.fullmatch(sql)
    if match is None:
        return None
    if match[2] is not None and int(match[2]) < 1:
        raise ProgrammingError(f"RESTART value ({match[2]}) cannot be less than MINVALUE (1)")
    if match[2] is not None and int(match[2]) >= 2**63:
        raise ProgrammingError(f"RESTART value ({match[2]}) cannot be greater than MAXVALUE (9223372036854775807)")
    value = "" if match[2] is None else f", {match[2]}"
    return Translation(IDLE, (f"SELECT pg_restart({text(match[1])}{value})",))


# --- rows -------------------------------------------------------------------------------------------------------------
def number(tree: exp.Insert, schema: Schema) -> None:
    """Add nextval() calls to a translated INSERT for the numbered columns that it does not name."""
    target, named_columns = target_of(tree), column_names(tree)
    table = target.name.lower()
    if named_columns is None and not tree.args.get("default"):
        return  # the statement has values for all columns
    missing = {
        column: call("pg_nextval", reference(numbering.sequence))
        for column, numbering in schema.numbers.get(table, {}).items()
        if column not in (named_columns or [])
    }
    values, source = list(missing.values()), tree.expression
    columns = quoted_names(missing)
    if tree.args.get("default"):
        if missing:
            tree.set("default", False)
            tree.set("this", exp.Schema(this=target.copy(), expressions=columns))
            tree.set("expression", exp.select(*values))
        return
    if missing:
        tree.this.set("expressions", [*tree.this.expressions, *columns])
    if isinstance(source, exp.Values):
        for row in source.expressions:
            row.set("expressions", [*row.expressions, *(value.copy() for value in values)])
        _in_order(tree, list(schema.tables.get(table, {})))
    elif missing:
        rows = exp.select("*").from_(exp.Subquery(this=source.copy())).limit(-1)  # sorted first, then numbered
        tree.set("expression", exp.select("*", *values).from_(rows.subquery("clusterdb_rows")).where(exp.true()))


def _in_order(tree: exp.Insert, columns: list[str]) -> None:
    """Have a row's calls of sequence functions run in the order of its table's columns, as in PostgreSQL.

    SQLite evaluates the row id last.  With several rows PostgreSQL evaluates VALUES in its own order too.
    """
    calls = [function for function in tree.expression.find_all(exp.Anonymous) if function.name in _OBSERVING]
    if len(calls) < 2 or len(tree.expression.expressions) > 1:
        return
    names = column_names(tree) or []
    order = sorted(range(len(names)), key=lambda at: columns.index(names[at]) if names[at] in columns else at)
    (row,) = tree.expression.expressions
    tree.this.set("expressions", [tree.this.expressions[at] for at in order])
    values = exp.select(*(row.expressions[at] for at in order))
    rows = exp.select("*").from_(exp.Subquery(this=values)).limit(-1)
    tree.set("expression", rows.where(exp.true()))


_OBSERVING = ("pg_nextval", "pg_currval", "pg_lastval", "pg_setval")


def require_plain(tree: exp.Expression) -> None:
    """Raise Unsupported for nextval() where SQLite would number other rows, or in another order."""
    for function in tree.find_all(exp.Anonymous):
        if function.name.lower() not in ("nextval", "setval"):
            continue
        select = function.find_ancestor(exp.Select)
        if select is None:
            continue
        sorting = ("order", "group", "having", "distinct", "limit", "offset")
        if any(select.args.get(part) for part in sorting):
            raise Unsupported(
                f"{function.name}() in a query with DISTINCT, GROUP BY, HAVING, ORDER BY, LIMIT or OFFSET"
            )
        above = select.parent
        if isinstance(above, exp.CTE) or (
            isinstance(above, exp.Subquery) and isinstance(above.parent, exp.From | exp.Join)
        ):
            raise Unsupported(f"{function.name}() in a subquery in FROM or WITH")
