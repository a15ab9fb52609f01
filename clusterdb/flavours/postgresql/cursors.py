"""Cursors of SQL: DECLARE, FETCH, MOVE and CLOSE.

The rows of a cursor are those that its query has when it is declared.  A temporary table keeps them, whose row ids are
their numbers, so the table is rolled back with the transaction that declared the cursor.  The name of a column has the
number and, in hexadecimal, the name of the query's column.  A FETCH is a query of that table by the numbers that
``pg_fetch()`` answers, which moves the cursor.  A cursor stands before its first row (at 0), on a row, or behind its
last one.

Source: DECLARE, FETCH and MOVE in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import apsw

from clusterdb.errors import ProgrammingError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Refused, Translation, Unsupported
from clusterdb.flavours.registry import guarded
from clusterdb.flavours.schema import Column, Schema
from clusterdb.flavours.session import EngineSession
from clusterdb.flavours.tables import quoted
from clusterdb.flavours.types import Kind, declared_as, of_column

if TYPE_CHECKING:
    from clusterdb.flavours.flavour import Flavour

__all__ = ["Cursors", "HasCursors", "fetched_columns", "kinds_fetched", "translated"]

_NAME = r'(?:"(?:[^"]|"")++"|\w++)'
_DECLARE = re.compile(
    rf"DECLARE\s++(?P<name>{_NAME})\s++(?:BINARY\s++|INSENSITIVE\s++|ASENSITIVE\s++)*+"
    r"(?P<scroll>NO\s++SCROLL\s++|SCROLL\s++)?+CURSOR\s++(?:(?P<hold>WITH|WITHOUT)\s++HOLD\s++)?+FOR\s++(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)
_FETCH = re.compile(
    r"(?P<verb>FETCH|MOVE)\s++"
    r"(?:(?P<way>NEXT|PRIOR|FIRST|LAST|ABSOLUTE|RELATIVE|FORWARD|BACKWARD|ALL)\b\s*+)?+"
    r"(?P<count>[+-]?\s*+\d++|ALL\b)?+\s*+"
    rf"(?:(?:FROM|IN)\s++)?+(?P<name>{_NAME})",
    re.IGNORECASE,
)
_CLOSE = re.compile(rf"CLOSE\s++(?P<name>{_NAME})", re.IGNORECASE)
_PREFIX = "clusterdb_cursor_"
_ALL = 2**62


# --- statements -------------------------------------------------------------------------------------------------------
def translated(flavour: Flavour, sql: str, context: Context) -> Translation | None:
    """DECLARE, FETCH, MOVE or CLOSE; None for another statement.  Raises Unsupported or Refused."""
    declared = _DECLARE.fullmatch(sql)
    if declared is not None:
        return _declared(flavour, declared, context)
    fetched = _FETCH.fullmatch(sql)
    if fetched is not None:
        return _fetched(fetched, context.schema)
    closed = _CLOSE.fullmatch(sql)
    return None if closed is None else Translation(IDLE, (_closing(closed["name"]),))


def _identifier(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token.lower()


def _table(name: str) -> str:
    return f"{_PREFIX}{name.encode().hex()}"


def _declared(flavour: Flavour, match: re.Match[str], context: Context) -> Translation:
    name = _identifier(match["name"])
    inner = flavour.translated(match["query"], context)
    if inner.before or inner.after or inner.writes or not re.match(r"SELECT|VALUES|WITH", inner.sql):
        raise Unsupported("DECLARE ... CURSOR of such a statement")
    kinds = flavour.kinds(match["query"], context.schema)
    scroll = None if match["scroll"] is None else not match["scroll"].upper().startswith("NO")
    is_held = (match["hold"] or "").upper() == "WITH"

    def create(session: EngineSession) -> None:
        _cursors_of(session).create(name, inner.sql, kinds, is_held=is_held)

    def opened(session: EngineSession) -> None:
        _cursors_of(session).opened(name, scroll=scroll, is_held=is_held)

    insert = f"INSERT INTO temp.{quoted(_table(name))} {inner.sql}"
    return Translation(insert, (create,), (opened,), writes=not is_held, probe=inner.sql)


def _fetched(match: re.Match[str], schema: Schema) -> Translation:
    name, way, count = _identifier(match["name"]), (match["way"] or "").upper(), match["count"]
    table = schema.tables.get(_table(name))
    if table is None:
        raise Refused(f'cursor "{name}" does not exist')
    way, number = _movement(way, count)
    if match["verb"].upper() == "MOVE":

        def move(session: EngineSession) -> None:
            _cursors_of(session).fetch(name, way, number)

        return Translation(IDLE, (move,))
    columns = ", ".join(f"c.{quoted(column)} AS {quoted(_name_of(column))}" for column in table)
    text = name.replace("'", "''")
    return Translation(
        f"SELECT {columns} FROM json_each(pg_fetch('{text}', '{way}', {number})) AS p "
        f"CROSS JOIN temp.{quoted(_table(name))} AS c ON c._rowid_ = p.value"
    )


def _movement(way: str, count: str | None) -> tuple[str, int]:
    """A direction as ABSOLUTE, RELATIVE, FORWARD or BACKWARD with a number.  Raises Unsupported."""
    number = None if count is None else _ALL if count.upper() == "ALL" else int(count.replace(" ", ""))
    fixed = {"NEXT": ("FORWARD", 1), "PRIOR": ("BACKWARD", 1), "FIRST": ("ABSOLUTE", 1), "LAST": ("ABSOLUTE", -1)}
    fixed["ALL"] = ("FORWARD", _ALL)
    if (way in fixed and number is not None) or (way in ("ABSOLUTE", "RELATIVE") and number in (None, _ALL)):
        raise Unsupported("such a FETCH")
    if way in fixed:
        return fixed[way]
    way, number = way or "FORWARD", 1 if number is None else number
    if number < 0 and way in ("FORWARD", "BACKWARD"):
        return ("BACKWARD" if way == "FORWARD" else "FORWARD"), -number
    return way, number


def _name_of(column: str) -> str:
    return bytes.fromhex(column.partition("_")[2]).decode()


def fetched_columns(sql: str, schema: Schema) -> tuple[Column, ...]:
    """The columns of what a FETCH returns; none for another statement."""
    match = _FETCH.fullmatch(sql.strip(" \t\r\n;"))
    table = schema.tables.get(_table(_identifier(match["name"]))) if match is not None else None
    return tuple(table.values()) if table is not None else ()


def _closing(token: str) -> Callable[[EngineSession], None]:
    def close(session: EngineSession) -> None:
        _cursors_of(session).close(None if token.upper() == "ALL" else _identifier(token))

    return close


# --- cursors ----------------------------------------------------------------------------------------------------------
@dataclass
class _Cursor:
    """An open cursor with ``count`` rows; ``at`` is 0 before the first, and ``count + 1`` behind the last.

    ``scroll`` is None if neither SCROLL nor NO SCROLL was declared.  ``is_new``: the transaction that declared it is
    open.
    """

    count: int
    scroll: bool | None
    is_held: bool
    is_new: bool
    at: int = 0

    def move(self, way: str, number: int) -> range:
        """Move it, and return the numbers of the rows that are passed.  Raises ProgrammingError."""
        if way == "ABSOLUTE":
            target = number if number >= 0 else max(0, self.count + 1 + number)
            return self._to(min(target, self.count + 1))
        if way == "RELATIVE" or number == 0:
            return self._to(max(0, min(self.at + number, self.count + 1)))
        if way == "FORWARD":
            rows = range(self.at + 1, min(self.at + number, self.count) + 1)
            self.at = min(self.at + number, self.count + 1)
            return rows
        self._require_scroll()
        rows = range(min(self.at, self.count + 1) - 1, max(self.at - number, 1) - 1, -1)
        self.at = max(0, self.at - number)
        return rows

    def _to(self, target: int) -> range:
        if target <= self.at and self.at:
            self._require_scroll()
        self.at = target
        return range(target, target + 1) if 1 <= target <= self.count else range(0)

    def _require_scroll(self) -> None:
        if self.scroll is False:
            raise ProgrammingError("cursor can only scan forward")


class Cursors:
    """The cursors of a connection, by name."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = weakref.ref(db)
        self._open: dict[str, _Cursor] = {}

    def install(self, db: apsw.Connection) -> None:
        """Register the function with the connection."""
        db.create_scalar_function(
            "pg_fetch",
            guarded(lambda name, way, number: json.dumps(list(self.fetch(str(name), str(way), int(str(number)))))),
            3,
            flags=apsw.SQLITE_INNOCUOUS,
        )

    def _connection(self) -> apsw.Connection:
        db = self._db()
        assert db is not None  # the caller runs on it
        return db

    def create(self, name: str, sql: str, kinds: tuple[Kind | None, ...], *, is_held: bool) -> None:
        """Create the table for the rows of a query.  Raises ProgrammingError."""
        db = self._connection()
        if not is_held and not db.in_transaction:
            raise ProgrammingError("DECLARE CURSOR can only be used in transaction blocks")
        if name in self._open:
            raise ProgrammingError(f'cursor "{name}" already exists')
        self._drop_closed()
        described = _described(db, sql)
        if len(kinds) != len(described):
            kinds = (None,) * len(described)
        columns = []
        for number, ((column, declared), kind) in enumerate(zip(described, kinds, strict=True), 1):
            wanted = declared or (declared_as(kind) if kind is not None else "")
            columns.append(f"{quoted(f'{number}_{column.encode().hex()}')} {wanted}")
        db.execute(f"CREATE TEMP TABLE {quoted(_table(name))} ({', '.join(columns)})")

    def opened(self, name: str, *, scroll: bool | None, is_held: bool) -> None:
        """Note that the rows of a cursor are there."""
        db = self._connection()
        ((count,),) = db.execute(f"SELECT coalesce(max(_rowid_), 0) FROM temp.{quoted(_table(name))}").fetchall()
        self._open[name] = _Cursor(int(str(count)), scroll, is_held, db.in_transaction)

    def fetch(self, name: str, way: str, number: int) -> range:
        """Move a cursor, and return the numbers of the rows that are passed.  Raises ProgrammingError."""
        if name not in self._open:
            raise ProgrammingError(f'cursor "{name}" does not exist')
        return self._open[name].move(way, number)

    def close(self, name: str | None) -> None:
        """Close a cursor, or all of them.  Raises ProgrammingError."""
        if name is None:
            self._open.clear()
        elif self._open.pop(name, None) is None:
            raise ProgrammingError(f'cursor "{name}" does not exist')
        self._drop_closed()

    def _drop_closed(self) -> None:
        """Drop the tables of cursors that are closed, unless they are being read."""
        db = self._connection()
        kept = {_table(name) for name in self._open}
        query = "SELECT name FROM temp.sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?"
        for (table,) in db.execute(query, (len(_PREFIX), _PREFIX)).fetchall():
            if table not in kept:
                with suppress(apsw.LockedError):
                    db.execute(f"DROP TABLE temp.{quoted(str(table))}")

    def committed(self) -> None:
        """Close the cursors that end with their transaction."""
        self._open = {name: cursor for name, cursor in self._open.items() if cursor.is_held}
        for cursor in self._open.values():
            cursor.is_new = False

    def rolled_back(self) -> None:
        """Close the cursors of the transaction."""
        self._open = {name: cursor for name, cursor in self._open.items() if cursor.is_held and not cursor.is_new}


class HasCursors(EngineSession):
    """A session with cursors."""

    cursors: Cursors


def _cursors_of(session: EngineSession) -> Cursors:
    return cast("HasCursors", session).cursors


def _described(db: apsw.Connection, sql: str) -> list[tuple[str, str]]:
    """The names of a query's columns and their declared types; the query does not run."""
    columns: list[tuple[str, str]] = []

    def tracer(cursor: apsw.Cursor, _: str, __: object) -> bool:
        columns.extend((str(name), str(declared or "")) for name, declared in cursor.get_description())
        return False

    cursor = db.cursor()
    cursor.exec_trace = tracer
    with suppress(apsw.ExecTraceAbort):
        cursor.execute(sql, apsw._null_bindings, can_cache=False)  # type: ignore[attr-defined]
    return columns


def kinds_fetched(sql: str, schema: Schema) -> tuple[Kind | None, ...]:
    """The kinds of what a FETCH returns; empty for another statement."""
    return tuple(of_column(column) if column.declared else None for column in fetched_columns(sql, schema))
