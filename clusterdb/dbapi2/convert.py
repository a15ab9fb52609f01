"""Rows for those who ask for converters or another text factory: one Python call per row.

They want the bytes that are stored.  SQLite's own bytes of a text are asked for in SQL, so that a text that is no valid
UTF-8 comes through; where a statement cannot be wrapped, texts are encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import apsw

from clusterdb.dbapi2.adapt import Converter, converters
from clusterdb.dbapi2.statements import Plan, raw_sql

if TYPE_CHECKING:
    from clusterdb.dbapi2.connection import Connection

__all__ = ["converted"]

Busy = Callable[[], AbstractContextManager[None]]
"""While the context lasts, the cursor refuses to be used: a converter is at work."""


def converted(
    connection: Connection, cursor: apsw.Cursor, plan: Plan, parameters: tuple[Any, ...], busy: Busy
) -> Iterator[tuple[Any, ...]]:
    """Run a statement; its rows, converted, one read ahead."""
    chosen = [_converter(connection, plan, at) for at in range(len(plan.columns))]
    rows, is_raw = _run(connection, cursor, plan, parameters)
    return _ahead(_pairs(rows, len(chosen)) if is_raw else _encoded(rows), connection, chosen, busy)


def _run(
    connection: Connection, cursor: apsw.Cursor, plan: Plan, parameters: tuple[Any, ...]
) -> tuple[Iterator[tuple[Any, ...]], bool]:
    """The rows of a statement, and whether every value is followed by whether it is a text."""
    if connection.text_factory is not str and plan.is_readonly and connection._is_utf8():
        try:
            return iter(cursor.execute(raw_sql(plan), parameters)), True
        except apsw.SQLError:
            pass  # a PRAGMA, EXPLAIN: no query that another can stand on; if it is wrong, the next line says so
    rows: Iterator[tuple[Any, ...]] = iter(cursor.execute(plan.sql, parameters))
    return (rows if plan.is_readonly else iter(list(rows))), False


def _pairs(rows: Iterator[tuple[Any, ...]], count: int) -> Iterator[list[tuple[Any, bool]]]:
    for row in rows:
        yield [(row[2 * at] if at >= 0 else None, bool(row[2 * at + 1])) for at in range(count)]


def _encoded(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, bool]]]:
    for row in rows:
        yield [(value.encode(), True) if isinstance(value, str) else (value, False) for value in row]


def _ahead(
    rows: Iterator[list[tuple[Any, bool]]], connection: Connection, chosen: list[Converter | None], busy: Busy
) -> Iterator[tuple[Any, ...]]:
    ready = next(rows, None)

    def given() -> Iterator[tuple[Any, ...]]:
        nonlocal ready
        while ready is not None:
            row, ready = ready, next(rows, None)
            text = _text_factory(connection.text_factory)
            with busy():
                values = tuple(
                    _value(value, is_text, converter, text)
                    for (value, is_text), converter in zip(row, chosen, strict=True)
                )
            yield values

    return given()


def _value(value: Any, is_text: bool, converter: Converter | None, text: Callable[[bytes], Any]) -> Any:
    if value is None:
        return None
    if converter is not None:
        if value == b"":
            return None  # so CPython's sqlite3
        return converter(value if isinstance(value, bytes) else _text_of(value))
    return text(value) if is_text else value


def _text_factory(factory: Any) -> Callable[[bytes], Any]:
    return bytes.decode if factory is str else factory


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
