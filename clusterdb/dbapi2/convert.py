"""Rows for those who ask for converters or another text factory: one Python call per row.

They want the bytes that are stored.  SQLite's own bytes of a text are asked for in SQL, so that a text that is no valid
UTF-8 comes through; where a statement cannot be wrapped (RETURNING, PRAGMA, EXPLAIN), texts are encoded again.  In a
database in UTF-16 they always are: there, as in RETURNING, invalid text is an OperationalError for every text factory.
Either way a row is read from SQLite when it is wanted, not before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import apsw

from clusterdb.access.translate import undecodable
from clusterdb.dbapi2.adapt import Converter, converters
from clusterdb.dbapi2.statements import RAW_BITS, Plan, raw_sql

if TYPE_CHECKING:
    from clusterdb.dbapi2.connection import Connection

__all__ = ["Column", "columns_of", "converted", "run"]

Busy = AbstractContextManager[None]
"""While it lasts, the cursor refuses to be used: the caller's code, say a converter, is at work."""
Column = tuple[str, Converter | None]
"""A column's name, and what converts its values."""


def run(connection: Connection, cursor: apsw.Cursor, plan: Plan, parameters: tuple[Any, ...]) -> bool:
    """Run a query; whether it was wrapped: then its rows are those of :func:`raw_sql`."""
    now: Plan | None = plan if connection.text_factory is not str and connection._is_utf8() else None
    while now is not None:
        try:
            cursor.execute(raw_sql(now), parameters)
            return True
        except apsw.SQLError:  # other columns than when it was planned; no query that another can stand on; or wrong
            known, now = now, connection._replanned(plan)
            if len(now.columns) == len(known.columns):
                now = None
    cursor.execute(plan.sql, parameters)
    return False


def columns_of(connection: Connection, plan: Plan) -> list[Column]:
    """The columns of a statement, with their converters."""
    return [(column[0], _converter(connection, plan, at)) for at, column in enumerate(plan.columns)]


def converted(
    connection: Connection, rows: Iterable[tuple[Any, ...]], columns: Sequence[Column], is_raw: bool, busy: Busy
) -> Iterator[tuple[Any, ...]]:
    """Rows as the caller wants them, by the text factory of the moment when each is given."""
    conversions = {at: converter for at, (_, converter) in enumerate(columns) if converter is not None}
    others = [at for at in range(len(columns)) if at not in conversions]
    known: dict[tuple[int, ...], Sequence[int]] = {}
    width = len(columns)
    texts: Sequence[int]
    for row in rows:
        factory: Any = connection._text_factory
        if is_raw and factory is bytes and not conversions:
            yield row[:width]
            continue
        values = list(row)
        if is_raw:
            flags = row[width:]
            del values[width:]
            if flags not in known:
                known[flags] = _texts(others, flags)
            texts = known[flags]
        else:
            texts = () if factory is str else [at for at in others if type(values[at]) is str]
            for at in texts:
                values[at] = values[at].encode()
        if factory is str:
            for at in texts:
                values[at] = _decoded(values[at], columns[at][0])
        if factory is str or factory is bytes:
            texts = ()
        if texts or conversions:
            with busy:
                for at in texts if not conversions else sorted((*texts, *conversions)):
                    converter = conversions.get(at)
                    values[at] = factory(values[at]) if converter is None else _of_converter(values[at], converter)
        yield tuple(values)


def _texts(columns: Iterable[int], flags: Sequence[int]) -> list[int]:
    """Which of these columns are texts in a row of :func:`raw_sql`."""
    return [at for at in columns if flags[at // RAW_BITS] >> at % RAW_BITS & 1]


def _of_converter(value: Any, converter: Converter) -> Any:
    if value is None:
        return None
    stored = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else _text_of(value)
    return converter(stored) if stored else None  # for an empty text: so CPython's sqlite3


def _decoded(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise undecodable(error, name) from None


def _converter(connection: Connection, plan: Plan, at: int) -> Converter | None:
    """The converter of a column: by what its name has in brackets, else by the first word of its declared type."""
    if connection._detects_names:
        name = plan.columns[at][0]
        if name.endswith("]") and "[" in name:
            found = converters.get(name[name.rindex("[") + 1 : -1].upper())
            if found is not None:
                return found
    if connection._detects_declared and plan.declared[at]:
        word = plan.declared[at].split("(")[0].split(" ")[0]
        return converters.get(word.upper())
    return None


def _text_of(value: int | float) -> bytes:
    """A number as SQLite writes it."""
    if isinstance(value, int):
        return str(value).encode()
    return str(_numbers().execute("SELECT CAST(? AS TEXT)", (value,)).fetchall()[0][0]).encode()


@lru_cache(maxsize=1)
def _numbers() -> apsw.Connection:
    return apsw.Connection(":memory:")
