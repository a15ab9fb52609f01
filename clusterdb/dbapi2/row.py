"""Rows that know their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from clusterdb.dbapi2.base import BaseCursor

__all__ = ["Row"]


class Row:
    """A row whose values are read by index, slice, or column name in any case: ``connection.row_factory = Row``."""

    __slots__ = ("_columns", "_values")
    _columns: tuple[str, ...]
    _values: tuple[Any, ...]

    def __new__(cls, cursor: BaseCursor, data: tuple[Any, ...], /) -> Row:
        if not issubclass(type(cursor), BaseCursor):
            raise TypeError(f"Row() argument 1 must be a Cursor, not {type(cursor).__name__}")
        if not isinstance(data, tuple):
            raise TypeError(f"Row() argument 2 must be tuple, not {type(data).__name__}")
        row = super().__new__(cls)
        row._columns = tuple(column[0] for column in cursor.description or ())
        row._values = data
        return row

    @classmethod
    def of(cls, columns: tuple[str, ...], values: tuple[Any, ...]) -> Row:
        """A row with these column names."""
        row = super().__new__(cls)
        row._columns = columns
        row._values = values
        return row

    def keys(self) -> list[str]:
        """The column names."""
        return list(self._columns)

    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, str):
            places = _places(self._columns)
            at = places.get(key)
            if at is None:
                at = places.get(_folded(key))
            if at is None:
                raise IndexError(f"No item with key {key!r}")
            return self._values[at]
        if not hasattr(type(key), "__index__") and not isinstance(key, slice):
            raise IndexError("Index must be int or string")
        try:
            return self._values[key]
        except IndexError as error:  # also an index beyond a machine word
            raise IndexError(str(error)) from None

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __hash__(self) -> int:
        return hash(self._columns) ^ hash(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return self._columns == other._columns and self._values == other._values


Sequence.register(Row)


@lru_cache(maxsize=512)
def _places(columns: tuple[str, ...]) -> dict[str, int]:
    """The index of each column, by its name and by its folded name; of columns with the same name the first counts."""
    places: dict[str, int] = {}
    for at, name in enumerate(columns):
        places.setdefault(_folded(name), at)
    return {**{name: places[_folded(name)] for name in columns}, **places}


def _folded(name: str) -> str:
    """The name in lower case, of ASCII letters only, as SQLite compares names."""
    return name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name)
