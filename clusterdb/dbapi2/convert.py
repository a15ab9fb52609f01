"""Rows for connections with converters or another text factory: one Python call per row.

Both need the stored bytes.  They are selected in SQL, so that a text that is not valid UTF-8 comes through; where a
statement cannot be wrapped (RETURNING, PRAGMA, EXPLAIN), texts are encoded again.  In a database in UTF-16 they always
are: there, as in RETURNING, invalid text is an OperationalError for every text factory.  In both cases a row is read
from SQLite when it is fetched, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TypeAlias

import apsw

from clusterdb.access.translate import undecodable
from clusterdb.dbapi2.adapt import Converter, converters
from clusterdb.dbapi2.state import ConnectionState
from clusterdb.dbapi2.statements import RAW_BITS, Plan, raw_sql

__all__ = ["Conversion", "conversions_of", "converted", "loaded", "run"]

Busy: TypeAlias = AbstractContextManager[None]
"""While it is entered, the cursor refuses to be used: the caller's code, for instance a converter, is running."""
Conversion: TypeAlias = tuple[str, Converter | None]
"""A column's name, and the converter of its values."""


def run(state: ConnectionState, cursor: apsw.Cursor, plan: Plan, values: tuple[apsw.SQLiteValue, ...]) -> bool:
    """Run a query, and return whether it was wrapped: then its rows are those of :func:`raw_sql`."""
    wrapped: Plan | None = plan if state.text_factory is not str and state.is_utf8 else None
    while wrapped is not None:
        try:
            cursor.execute(raw_sql(wrapped), values)
            return True
        except apsw.SQLError:  # the columns have changed since it was planned, or it cannot be a subquery, or it fails
            former, wrapped = wrapped, state.replanned(plan)
            if len(wrapped.columns) == len(former.columns):
                wrapped = None
    cursor.execute(plan.sql, values)
    return False


def conversions_of(state: ConnectionState, plan: Plan) -> list[Conversion]:
    """The columns of a statement, with their converters."""
    return [(column[0], _converter(state, plan, at)) for at, column in enumerate(plan.columns)]


def converted(
    state: ConnectionState,
    rows: Iterable[tuple[Any, ...]],
    columns: Sequence[Conversion],
    is_raw: bool,
    busy: Busy,
) -> Iterator[tuple[Any, ...]]:
    """The rows with their values converted, by the text factory that is set when each is fetched."""
    conversions = {at: converter for at, (_, converter) in enumerate(columns) if converter is not None}
    others = [at for at in range(len(columns)) if at not in conversions]
    texts_by_flags: dict[tuple[int, ...], Sequence[int]] = {}
    width = len(columns)
    texts: Sequence[int]
    for row in rows:
        factory = state.text_factory
        if is_raw and factory is bytes and not conversions:
            yield row[:width]
            continue
        values = list(row)
        if is_raw:
            flags = row[width:]
            del values[width:]
            if flags not in texts_by_flags:
                texts_by_flags[flags] = _texts(others, flags)
            texts = texts_by_flags[flags]
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
                _convert(values, texts, conversions, factory)
        yield tuple(values)


def loaded(
    rows: Iterable[tuple[Any, ...]], loaders: Sequence[Callable[[Any], Any] | None]
) -> Iterator[tuple[Any, ...]]:
    """The rows with the values that the engine's types have in Python; NULL is None in all of them."""
    for row in rows:
        yield tuple(
            value if load is None or value is None else load(value) for value, load in zip(row, loaders, strict=True)
        )


def _convert(values: list[Any], texts: Sequence[int], conversions: Mapping[int, Converter], factory: Any) -> None:
    """Call the converters and the text factory for the values of a row, from left to right."""
    for at in texts if not conversions else sorted((*texts, *conversions)):
        converter = conversions.get(at)
        values[at] = factory(values[at]) if converter is None else _of_converter(values[at], converter)


def _texts(columns: Iterable[int], flags: Sequence[int]) -> list[int]:
    """Which of these columns are texts in a row of :func:`raw_sql`."""
    return [at for at in columns if flags[at // RAW_BITS] >> at % RAW_BITS & 1]


def _of_converter(value: float | str | bytes | None, converter: Converter) -> object:
    if value is None:
        return None
    stored = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else _text_of(value)
    return converter(stored) if stored else None  # None for an empty text, as in CPython's sqlite3


def _decoded(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise undecodable(error, name) from None


def _converter(state: ConnectionState, plan: Plan, at: int) -> Converter | None:
    """The converter of a column: by the brackets in its name, else by the first word of its declared type."""
    if state.detects_names:
        name = plan.columns[at][0]
        if name.endswith("]") and "[" in name:
            converter = converters.get(name[name.rindex("[") + 1 : -1].upper())
            if converter is not None:
                return converter
    declared = plan.declared[at] if state.detects_declared else None
    if declared:
        return converters.get(declared.split("(")[0].split(" ")[0].upper())
    return None


def _text_of(value: float) -> bytes:
    """A number as SQLite writes it."""
    if isinstance(value, int):
        return str(value).encode()
    return str(_numbers().execute("SELECT CAST(? AS TEXT)", (value,)).get).encode()


@lru_cache(maxsize=1)
def _numbers() -> apsw.Connection:
    return apsw.Connection(":memory:")
