"""PostgreSQL's sequences: numbers that no ROLLBACK brings back, and that know nothing of the rows that bear them.

Their state is the table ``clusterdb_sequences``; those of temporary tables live with the connection.  What a column is
numbered by stands in its definition, see :data:`clusterdb.flavours.schema.NUMBERED`; an INSERT that does not name the
column asks for the next number itself, since the default of SQLite's row ids is one more than the greatest.

Source: "Sequence Manipulation Functions" and CREATE SEQUENCE in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import apsw
from sqlglot import exp

from clusterdb.errors import DataError, ProgrammingError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, NotSaid, Translation, Wrong, call
from clusterdb.flavours.registry import guarded
from clusterdb.flavours.schema import Numbering, Schema
from clusterdb.flavours.tables import text

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


# --- what numbers are given -------------------------------------------------------------------------------------------
class Sequences:
    """The sequences as a connection uses them.

    What nextval() and setval() have done is remembered until a COMMIT has made it last: no ROLLBACK, of all or to a
    savepoint, undoes it.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = weakref.ref(db)
        self._given: dict[str, tuple[int, int]] = {}
        """By sequence the last number, and what the table said before: as long as it says that, nobody else has changed
        it since."""
        self._used: set[str] = set()
        """The sequences that this transaction has changed: what ``_given`` says of them, the table does."""
        self._before_restart: dict[str, tuple[int, int] | None] = {}
        """What ``_given`` said of the sequences that this transaction has begun again, which a ROLLBACK undoes."""
        self._temporary: dict[str, tuple[int, int]] = {}
        self._current: dict[str, int] = {}
        self._latest = ""

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions."""
        session = (self.nextval, self.currval, self.lastval, self.setval, self.restart)
        for function in (*session, self.known, self.unknown, self.fresh):
            db.create_scalar_function(f"pg_{function.__name__}", guarded(function), flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("pg_redo", guarded(self.redo), 0, flags=apsw.SQLITE_INNOCUOUS)
        db.create_scalar_function("pg_make_sequence", guarded(self.make), 2, flags=apsw.SQLITE_INNOCUOUS)

    def nextval(self, name: str | None) -> int | None:
        """The next number.  Raises ProgrammingError if there is no such sequence."""
        if name is None:
            return None
        name = named(name)
        value = self._last(name) + 1
        self._keep(name, value)
        self._current[name], self._latest = value, name
        return value

    def setval(self, name: str | None, value: int | None, is_called: int | None = 1) -> int | None:
        """Let the next number be the one after ``value``, or that itself.  Raises DataError for none from 1 on."""
        if name is None or value is None or is_called is None:
            return None
        if value < 1:
            raise DataError(f'setval: value {value} is out of bounds for sequence "{named(name)}"')
        name = named(name)
        self._known(name)
        self._keep(name, value if is_called else value - 1)
        if is_called:
            self._current[name] = value
        return value

    def restart(self, name: str, value: int | None = None) -> int:
        """Begin again, at ``value`` or where the sequence once began; unlike the others a ROLLBACK undoes it."""
        name = named(name)
        _, first = self._known(name)
        self._before_restart.setdefault(name, self._given.get(name))
        self._keep(name, (first if value is None else value) - 1)
        return 1

    def currval(self, name: str | None) -> int | None:
        """The last number that this connection was given.  Raises ProgrammingError if there is none."""
        if name is None:
            return None
        name = named(name)
        if name not in self._current:
            self._known(name)
            raise ProgrammingError(f'currval of sequence "{name}" is not yet defined in this session')
        return self._current[name]

    def lastval(self) -> int:
        """The last number of any sequence.  Raises ProgrammingError if there is none."""
        if self._latest not in self._current:
            raise ProgrammingError("lastval is not yet defined in this session")
        return self._current[self._latest]

    def known(self, name: str) -> int:
        """True.  Raises ProgrammingError if there is no such sequence."""
        self._known(named(name))
        return 1

    def unknown(self, name: str) -> int:
        """True.  Raises ProgrammingError if there is such a sequence."""
        if self._connection().execute(f"SELECT 1 FROM {TABLE} WHERE name = ?", (name,)).get:
            raise ProgrammingError(f'relation "{name}" already exists')
        return 1

    def fresh(self, name: str) -> int:
        """A sequence was made, or dropped: nothing of another of its name counts."""
        for remembered in (self._given, self._current, self._before_restart, self._temporary):
            remembered.pop(name, None)
        self._used.discard(name)
        return 1

    def make(self, name: str, first: int) -> int:
        """A sequence of a temporary table."""
        self._temporary[name] = first - 1, first
        return 1

    def redo(self) -> int:
        """The transaction has gone back to a savepoint: the table says again what was given since."""
        for name in self._used:
            with suppress(apsw.SQLError):  # the sequence was made since
                self._write(name, self._given[name][0])
        return 1

    def committed(self) -> None:
        """What was given lasts."""
        for name in self._used:
            self._given.pop(name, None)
        self._ended()

    def rolled_back(self) -> None:
        """What was given is remembered here alone."""
        for name, given in self._before_restart.items():
            self._given.pop(name, None)
            if given is not None:
                self._given[name] = given
        self._ended()

    def _ended(self) -> None:
        self._before_restart.clear()
        self._used.clear()

    def _last(self, name: str) -> int:
        """The last number.  Raises ProgrammingError if there is no such sequence."""
        given = self._given.get(name)
        if given is not None and name in self._used:
            return given[0]
        last, _ = self._known(name)
        if given is None:
            return last
        return given[0] if given[1] == last else max(given[0], last)

    def _known(self, name: str) -> tuple[int, int]:
        """The last number, and the first.  Raises ProgrammingError."""
        found: Any = self._temporary.get(name)
        if found is None:
            with suppress(apsw.SQLError):  # there is no table: no sequence was ever made
                found = self._connection().execute(f"SELECT last, first FROM {TABLE} WHERE name = ?", (name,)).get
        if found is None:
            raise ProgrammingError(f'relation "{name}" does not exist')
        return found[0], found[1]

    def _keep(self, name: str, last: int) -> None:
        if name in self._temporary:
            self._temporary[name] = last, self._temporary[name][1]
            return
        before = self._given.get(name)
        was = before[1] if before is not None and name in self._used else self._known(name)[0]
        self._given[name] = last, was
        self._used.add(name)
        try:
            self._write(name, last)  # may commit
        except apsw.Error:
            self._used.discard(name)
            self._given.pop(name)
            if before is not None:
                self._given[name] = before
            raise

    def _write(self, name: str, last: int) -> None:
        self._connection().execute(f"UPDATE {TABLE} SET last = ? WHERE name = ?", (last, name))

    def _connection(self) -> apsw.Connection:
        db = self._db()
        assert db is not None  # it calls
        return db


def named(name: str) -> str:
    """The name of a sequence as ``regclass`` reads it: in lower case unless quoted, in the schema public."""
    return re.sub(r'"([^"]*)"|[^"]+', lambda part: part[1] or part[0].lower(), name).removeprefix("public.")


def reference(sequence: str) -> str:
    """What :func:`named` makes the name of a sequence of."""
    return sequence if re.fullmatch(r"[a-z_][a-z0-9_$.]*", sequence) else f'"{sequence}"'


# --- statements -------------------------------------------------------------------------------------------------------
def numbering(
    table: exp.Identifier, column: exp.Identifier, context: Context, *, is_always: bool, is_temporary: bool
) -> Numbering:
    """What a new serial column is numbered by: a sequence that no other has."""
    parts = (each.name if each.args.get("quoted") else each.name.lower() for each in (table, column))
    wanted = f"{_TEMPORARY if is_temporary else ''}{'_'.join(parts)}_seq"
    taken = {each.sequence for columns in context.schema.numbers.values() for each in columns.values()}
    taken |= {sequence for columns in context.schema.owned.values() for sequence in columns.values()}
    if "*/" in wanted:
        raise NotSaid(f"a serial column of the table '{table.name}'")
    free = next(name for at in range(len(taken) + 1) if (name := f"{wanted}{at or ''}") not in taken)
    return Numbering(free, "always" if is_always else "serial")


def make(context: Context, sequence: str, first: int = 1) -> None:
    """Have a sequence made when its table is there; before, that there is none of its name."""
    context.after.append(f"SELECT pg_fresh({text(sequence)})")
    if sequence.startswith(_TEMPORARY):
        context.after.append(f"SELECT pg_make_sequence({text(sequence)}, {first})")
        return
    context.before.extend([_CREATE, f"SELECT pg_unknown({text(sequence)})"])
    context.after.append(f"INSERT INTO {TABLE} VALUES ({text(sequence)}, {first - 1}, {first})")


def _owned(table: str, context: Context) -> dict[str, str]:
    """The sequences of a table's own, by their columns."""
    return dict(context.schema.owned.get(table.lower(), {}))


def of_table(table: str, context: Context) -> list[str]:
    """The statements that drop the sequences of a table's serial columns."""
    owned = _owned(table, context).values()
    lasting = [_delete(each) for each in owned if not each.startswith(_TEMPORARY)]
    return [*lasting, *(f"SELECT pg_fresh({text(each)})" for each in owned)]


def of_column(table: str, column: str, context: Context) -> list[str]:
    """The statement that drops the sequence of a serial column, if it is one."""
    found = _owned(table, context).get(column.lower())
    return [] if found is None else [_delete(found)]


def name_of(table: str, column: str, context: Context) -> str | None:
    """The name of a serial column's sequence, as ``regclass`` reads it; None for another column.  Raises Wrong."""
    table = named(table)
    if table.lower() not in context.schema.tables:
        raise Wrong(f'relation "{table}" does not exist')
    if column.lower() not in context.schema.tables[table.lower()]:
        raise Wrong(f'column "{column}" of relation "{table}" does not exist')
    found = _owned(table, context).get(column.lower())
    return None if found is None else f"public.{reference(found)}"


def _delete(sequence: str) -> str:
    return f"DELETE FROM {TABLE} WHERE name = {text(sequence)}"


def created(tree: exp.Create, context: Context) -> Translation:
    """CREATE SEQUENCE."""
    if tree.args.get("exists"):
        raise NotSaid("CREATE SEQUENCE IF NOT EXISTS")
    context = context.for_statement()
    make(context, named(tree.this.sql(dialect="postgres")), first_of(tree))
    return Translation(IDLE, (*context.before, *context.after))


def first_of(tree: exp.Create) -> int:
    """The first number of a sequence that is created.  Raises NotSaid."""
    first, given = 1, tree.args.get("properties")
    for each in given.expressions if given is not None else []:
        if not isinstance(each, exp.SequenceProperties):
            raise NotSaid(f"{each.sql(dialect='postgres')} of a sequence")
        first = start_of(each)
    return first


def start_of(options: Any) -> int:
    """What a sequence begins with.  Raises NotSaid for other options than that, unless they are as without them."""
    for name, value in options.args.items():
        said = value.sql(dialect="postgres") if isinstance(value, exp.Expression) else value
        if name == "options":
            said = [each for each in value or [] if each.sql(dialect="postgres").upper() not in _USUAL]
        is_usual = said in (None, False, [], "") or (name, said) in (("increment", "1"), ("cache", "1"))
        if not is_usual and name not in ("start", "this", "expression", "on_null"):
            raise NotSaid(f"{name.upper()} of a sequence")
    start = options.args.get("start")
    first = 1 if start is None else int(start.sql())
    if first < 1:
        raise Wrong(f"START value ({first}) cannot be less than MINVALUE (1)")
    return first


_USUAL = ("NO MINVALUE", "NO MAXVALUE", "NO CYCLE", "AS BIGINT", "AS INTEGER", "AS INT")


def dropped(names: Iterable[str], context: Context, *, must_exist: bool) -> Translation:
    """DROP SEQUENCE.  Raises Wrong if a table needs it."""
    wanted = [named(each) for each in names]
    for table, columns in context.schema.numbers.items():
        for column, each in columns.items():
            if each.sequence in wanted:
                raise Wrong(f"cannot drop sequence {each.sequence}: column {column} of table {table} depends on it")
    *before, last = (_delete(each) for each in wanted)
    known_first = [f"SELECT pg_known({text(reference(each))})" for each in wanted if must_exist]
    return Translation(
        last, (*known_first, _CREATE, *before), tuple(f"SELECT pg_fresh({text(each)})" for each in wanted)
    )


def restarted(table: str, context: Context) -> list[str]:
    """The statements that let the serial columns of a table begin again."""
    return [f"SELECT pg_restart({text(reference(each))})" for each in _owned(table, context).values()]


def altered(sql: str) -> Translation | None:
    """ALTER SEQUENCE ... RESTART."""
    found = _ALTER.fullmatch(sql)
    if found is None:
        return None
    if found[2] is not None and not 0 < int(found[2]) < 2**63:
        raise ProgrammingError(f"RESTART value ({found[2]}) is out of bounds: {sql}")
    value = "" if found[2] is None else f", {found[2]}"
    return Translation(IDLE, (f"SELECT pg_restart({text(found[1])}{value})",))


# --- rows -------------------------------------------------------------------------------------------------------------
def number(tree: exp.Insert, schema: Schema) -> None:
    """Give new rows the numbers that an INSERT, whose values are said already, does not name."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    table = target.name.lower()
    named_columns = [each.name.lower() for each in tree.this.expressions] if isinstance(tree.this, exp.Schema) else None
    if named_columns is None and not tree.args.get("default"):
        return  # all columns are given
    missing = {
        column: call("pg_nextval", reference(each.sequence))
        for column, each in schema.numbers.get(table, {}).items()
        if column not in (named_columns or [])
    }
    values, source = list(missing.values()), tree.expression
    columns = [exp.to_identifier(column, quoted=True) for column in missing]
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
            row.set("expressions", [*row.expressions, *(each.copy() for each in values)])
        _in_order(tree, list(schema.tables.get(table, {})))
    elif missing:
        rows = exp.select("*").from_(exp.Subquery(this=source.copy())).limit(-1)  # they are sorted, then numbered
        tree.set("expression", exp.select("*", *values).from_(rows.subquery("clusterdb_rows")).where(exp.true()))


def _in_order(tree: exp.Insert, columns: list[str]) -> None:
    """Have the numbers of a row given in the order of its table's columns, whatever order they stand in.

    SQLite calculates the row id last.  Of several rows PostgreSQL too takes what stands in VALUES first.
    """
    calls = [each for each in tree.expression.find_all(exp.Anonymous) if each.name in _OBSERVING]
    if len(calls) < 2 or len(tree.expression.expressions) > 1:
        return
    names = [each.name.lower() for each in tree.this.expressions]
    order = sorted(range(len(names)), key=lambda at: columns.index(names[at]) if names[at] in columns else at)
    (row,) = tree.expression.expressions
    tree.this.set("expressions", [tree.this.expressions[at] for at in order])
    values = exp.select(*(row.expressions[at] for at in order))
    rows = exp.select("*").from_(exp.Subquery(this=values)).limit(-1)
    tree.set("expression", rows.where(exp.true()))


_OBSERVING = ("pg_nextval", "pg_currval", "pg_lastval", "pg_setval")


def require_plain(tree: Any) -> None:
    """Raises NotSaid for nextval() where SQLite would give numbers to other rows, or in another order."""
    for each in tree.find_all(exp.Anonymous):
        if each.name.lower() not in ("nextval", "setval"):
            continue
        select = each.find_ancestor(exp.Select)
        if select is None:
            continue
        sorting = ("order", "group", "having", "distinct", "limit", "offset")
        if any(select.args.get(part) for part in sorting):
            raise NotSaid(f"{each.name}() in a query that sorts, groups or limits its rows")
        above = select.parent
        if isinstance(above, exp.CTE) or (
            isinstance(above, exp.Subquery) and isinstance(above.parent, exp.From | exp.Join)
        ):
            raise NotSaid(f"{each.name}() in a query that another reads from")
