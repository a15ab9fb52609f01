"""Arrays: kept as PostgreSQL writes them, ``{1,NULL,"a b"}``, and calculated with in Python.

The kind of an array has the declaration of its elements' type in ``members``; :func:`element_of` reads it.  Rules turn
ARRAY[...], casts, ANY and ALL, comparisons, ``||``, ``@>`` and subscripts into calls of the helpers below, whose last
argument is that declaration; ``unnest`` becomes a virtual table with the elements.  Arrays of several dimensions
are nested lists with NULLs as None.

Source: "Arrays" in the documentation of PostgreSQL 15; array_in and array_out in arrayfuncs.c.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from clusterdb.errors import DataError
from clusterdb.flavours.functions import Implementation, SqlValue, text_of
from clusterdb.flavours.postgresql.values import HELPERS as VALUES
from clusterdb.flavours.schema import Column
from clusterdb.flavours.types import Kind, declared_as, of_column

__all__ = [
    "FUNCTIONS",
    "HELPERS",
    "NULL_HELPERS",
    "Gathered",
    "array_kind",
    "converted",
    "element_of",
    "items",
    "loaded",
    "read",
    "written",
]

Items = list[Any]
"""Texts, None and lists of them."""


# --- kinds ------------------------------------------------------------------------------------------------------------
def array_kind(element: Kind) -> Kind:
    """The kind of an array of elements of a kind."""
    declared = "text" if element.name in ("literal", "null", "unknown") else declared_as(element)
    return Kind("array", members=declared or "text")


def element_of(kind: Kind) -> Kind:
    """The kind of an array's elements."""
    return _element(kind.members)


@lru_cache(maxsize=256)
def _element(declared: str) -> Kind:
    return of_column(Column(declared))


# --- texts ------------------------------------------------------------------------------------------------------------
_TOKEN = re.compile(r'\s*+(?:([{},])|"((?:[^"\\]|\\.)*+)"|((?:[^\s{},"\\]|\\.|\s++(?=[^\s{},]))++))', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def read(text: str) -> Items:
    """An array from its text.  Raises DataError."""
    malformed = DataError(f'malformed array literal: "{text}"')
    stack: list[Items] = []
    result: Items | None = None
    at, expects_item, is_after_comma = 0, True, False
    stripped = text.rstrip()
    while at < len(stripped):
        token = _TOKEN.match(stripped, at)
        if token is None or result is not None:
            raise malformed
        at = token.end()
        mark = token[1]
        if mark == "{":
            if not expects_item:
                raise malformed
            stack.append([])
            is_after_comma = False
        elif mark == "}":
            if not stack or is_after_comma:
                raise malformed
            items = stack.pop()
            if stack:
                stack[-1].append(items)
            else:
                result = items
            expects_item = False
        elif mark == ",":
            if not stack or expects_item:
                raise malformed
            expects_item = is_after_comma = True
        else:
            if not stack or not expects_item:
                raise malformed
            quoted, bare = token[2], token[3]
            if quoted is not None:
                stack[-1].append(_ESCAPE.sub(r"\1", quoted))
            else:
                stack[-1].append(None if bare.upper() == "NULL" else _ESCAPE.sub(r"\1", bare))
            expects_item = is_after_comma = False
    if result is None or not _is_regular(result):
        raise malformed
    return _without_empty(result)


def _without_empty(items: Items) -> Items:
    """``{{}}`` has no elements at all."""
    return items if any(True for _ in _flat(items)) else []


def _is_regular(items: Items) -> bool:
    """Whether all lists of a level have the same length, and are lists or none."""
    lists = [item for item in items if isinstance(item, list)]
    if not lists:
        return True
    return len(lists) == len(items) and len({len(item) for item in lists}) == 1 and all(map(_is_regular, lists))


def written(items: Items) -> str:
    """An array as PostgreSQL writes it."""
    return "{" + ",".join(written(item) if isinstance(item, list) else _quoted(item) for item in items) + "}"


def _quoted(item: str | None) -> str:
    if item is None:
        return "NULL"
    if item and item.upper() != "NULL" and not re.search(r'[{},"\\\s]', item):
        return item
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _flat(items: Items) -> Iterator[str | None]:
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _mapped(items: Items, change: Callable[[str], Any]) -> Items:
    return [
        _mapped(item, change) if isinstance(item, list) else None if item is None else change(item) for item in items
    ]


# --- elements ---------------------------------------------------------------------------------------------------------
def _value(text: str, kind: Kind) -> Any:
    """An element as SQLite keeps values of its type, numbers exactly.  Raises DataError."""
    try:
        if kind.name == "integer":
            value = VALUES["as_integer"](text)
            if kind.size in (16, 32) and not -(2 ** (kind.size - 1)) <= int(str(value)) < 2 ** (kind.size - 1):
                name = "smallint" if kind.size == 16 else "integer"
                raise DataError(f'value "{text}" is out of range for type {name}')
            return value
        if kind.name == "decimal":
            VALUES["as_decimal"](text)
            number = Decimal(text.strip())
            return number if kind.scale is None else number.quantize(Decimal(1).scaleb(-kind.scale), "ROUND_HALF_UP")
        if kind.name == "double":
            return VALUES["as_real" if kind.size == 32 else "as_double"](text)
        if kind.name == "datetime":
            return VALUES["as_datetime"](text, int(bool(kind.collation)), 6 if kind.scale is None else kind.scale)
        if kind.name in ("boolean", "date", "time", "uuid", "json", "jsonb", "interval", "bytes"):
            return VALUES[f"as_{kind.name}"](text)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(str(error)) from None
    return text


def _text(value: Any, kind: Kind) -> str:
    """An element as PostgreSQL writes it."""
    if kind.name == "boolean":
        return "t" if value else "f"
    if kind.name == "double":
        return str(VALUES["double_text"](float(value), kind.size or 64))
    if kind.name == "decimal":
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if kind.name == "datetime":
        return str(VALUES["moment_text"](value, "+00" if kind.collation else ""))
    if kind.name == "bytes":
        return "\\x" + value.hex()
    return str(value)


def _stored(text: str | None, kind: Kind) -> SqlValue:
    """An element of an array as a value of SQLite's."""
    if text is None:
        return None
    value = _value(text, kind)
    return VALUES["as_decimal"](text) if isinstance(value, Decimal) else value


def converted(text: SqlValue, declared: str) -> str:
    """An array from a text, with its elements as PostgreSQL writes those of the type.  Raises DataError."""
    kind = _element(declared)
    return written(_mapped(read(str(text)), lambda item: _text(_value(item, kind), kind)))


def loaded(text: str, declared: str) -> Items:
    """An array as a list of Python's values: numbers, Decimal, bool, bytes, other types as texts."""
    kind = _element(declared)

    def load(item: str) -> Any:
        value = _value(item, kind)
        return bool(value) if kind.name == "boolean" else item if kind.name == "datetime" else value

    return _mapped(read(text), load)


# --- helpers of the rules ---------------------------------------------------------------------------------------------
def _build(*texts: SqlValue) -> str:
    """ARRAY[...] of elements written as texts."""
    return written(list(texts))


def _build_nested(*arrays: SqlValue) -> str:
    """ARRAY[...] of arrays."""
    items = [read(str(array)) for array in arrays]
    if not _is_regular(items):
        raise DataError("multidimensional arrays must have array expressions with matching dimensions")
    return written(_without_empty(items))


def items(clusterdb_array: SqlValue = None, clusterdb_members: str = "") -> Iterator[tuple[SqlValue, int]]:
    """The rows of the virtual table ``pg_items``: the elements of an array, and their numbers."""
    kind = _element(clusterdb_members)
    elements = [] if clusterdb_array is None else _flat(read(str(clusterdb_array)))
    for number, item in enumerate(elements, 1):
        yield _stored(item, kind), number


def _to_json(array: SqlValue, declared: str) -> str:
    """An array as JSON."""
    kind = _element(declared)
    is_plain = kind.name in ("integer", "decimal", "double")

    def one(item: Any) -> str:
        if isinstance(item, list):
            return "[" + ",".join(map(one, item)) + "]"
        if item is None:
            return "null"
        if kind.name == "boolean":
            return "true" if item == "t" else "false"
        return item if is_plain or kind.name in ("json", "jsonb") else json.dumps(item, ensure_ascii=False)

    return one(read(str(array)))


def _item(array: SqlValue, declared: str, *places: SqlValue) -> SqlValue:
    items: Any = read(str(array))
    for place in places:
        if not isinstance(items, list) or not 1 <= int(str(place)) <= len(items):
            return None
        items = items[int(str(place)) - 1]
    return None if isinstance(items, list) else _stored(items, _element(declared))


def _slice(array: SqlValue, low: SqlValue, high: SqlValue) -> str:
    items = read(str(array))
    first = 1 if low is None else max(1, int(str(low)))
    last = len(items) if high is None else int(str(high))
    return written(items[first - 1 : max(last, first - 1)])


def _key(item: Any, kind: Kind) -> Any:
    """What an element, or a list of them, is ordered by; NULL is larger than everything."""
    if isinstance(item, list):
        return [_key(part, kind) for part in item]
    return (1, 0) if item is None else (0, _value(item, kind))


def _compare(a: SqlValue, b: SqlValue, declared: str) -> int:
    kind = _element(declared)
    first, second = _key(read(str(a)), kind), _key(read(str(b)), kind)
    return (first > second) - (first < second)


def _test(operator: str, is_all: int, value: SqlValue, array: SqlValue, declared: str) -> int | None:
    """A comparison with ANY or ALL elements: NULL where that decides."""
    if array is None:
        return None
    kind = _element(declared)
    items = list(_flat(read(str(array))))
    if not items:
        return is_all
    if value is None:
        return None
    own = Decimal(repr(value)) if kind.name == "decimal" and isinstance(value, int | float) else value
    results = [None if item is None else _TESTS[operator](own, _value(item, kind)) for item in items]
    if is_all:
        return 0 if False in results else None if None in results else 1
    return 1 if True in results else None if None in results else 0


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _values_of(array: SqlValue, declared: str) -> list[Any]:
    kind = _element(declared)
    return [_value(item, kind) for item in _flat(read(str(array))) if item is not None]


def _contains(array: SqlValue, other: SqlValue, declared: str) -> int:
    own = _values_of(array, declared)
    wanted = list(_flat(read(str(other))))
    return int(None not in wanted and all(value in own for value in _values_of(other, declared)))


def _overlaps(array: SqlValue, other: SqlValue, declared: str) -> int:
    own = _values_of(array, declared)
    return int(any(value in own for value in _values_of(other, declared)))


def _joined(first: SqlValue, second: SqlValue) -> SqlValue:
    if first is None or second is None:
        return second if first is None else first
    left, right = read(str(first)), read(str(second))
    if left and right:
        if _depth(left) == _depth(right) + 1:
            right = [right]
        elif _depth(right) == _depth(left) + 1:
            left = [left]
    joined = [*left, *right]
    if not _is_regular(joined):
        raise DataError("cannot concatenate incompatible arrays")
    return written(joined)


def _depth(items: Items) -> int:
    return 1 + (_depth(items[0]) if isinstance(items[0], list) else 0) if items else 0


def _appended(array: SqlValue, text: SqlValue) -> str:
    return written([*([] if array is None else read(str(array))), text])


def _prepended(text: SqlValue, array: SqlValue) -> str:
    return written([text, *([] if array is None else read(str(array)))])


def _level(array: SqlValue, dimension: SqlValue) -> Items | None:
    items: Any = read(str(array))
    for _ in range(int(str(dimension)) - 1):
        items = items[0] if items and isinstance(items[0], list) else []
    return items or None if int(str(dimension)) > 0 else None


def _length(array: SqlValue, dimension: SqlValue) -> int | None:
    items = _level(array, dimension)
    return None if items is None else len(items)


def _lower(array: SqlValue, dimension: SqlValue) -> int | None:
    return None if _level(array, dimension) is None else 1


def _dimensions(array: SqlValue) -> str | None:
    items, parts = read(str(array)), []
    while items:
        parts.append(f"[1:{len(items)}]")
        items = items[0] if isinstance(items[0], list) else []
    return "".join(parts) or None


def _to_string(array: SqlValue, delimiter: SqlValue, null: SqlValue = None) -> str | None:
    if array is None or delimiter is None:
        return None
    items = [null if item is None else item for item in _flat(read(str(array)))]
    return str(delimiter).join(str(item) for item in items if item is not None)


def _from_string(text: SqlValue, delimiter: SqlValue, null: SqlValue = None) -> str | None:
    if text is None:
        return None
    whole = str(text)
    parts = list(whole) if delimiter is None else whole.split(str(delimiter)) if delimiter != "" else [whole]
    return written([None if part == null else part for part in parts] if whole else [])


def _place(array: SqlValue, text: SqlValue, start: SqlValue = 1) -> int | None:
    if array is None:
        return None
    for place, item in enumerate(read(str(array)), 1):
        if item == text and place >= int(str(start)):
            return place
    return None


def _places(array: SqlValue, text: SqlValue) -> str | None:
    if array is None:
        return None
    return written([str(place) for place, item in enumerate(read(str(array)), 1) if item == text])


def _without(array: SqlValue, text: SqlValue) -> str | None:
    return None if array is None else written([item for item in read(str(array)) if item != text])


def _replaced(array: SqlValue, old: SqlValue, new: SqlValue) -> str | None:
    if array is None:
        return None

    def change(items: Items) -> Items:
        return [change(item) if isinstance(item, list) else new if item == old else item for item in items]

    return written(change(read(str(array))))


class Gathered:
    """array_agg() of elements written as texts, or of arrays."""

    def __init__(self, *, of_arrays: bool) -> None:
        self._of_arrays = of_arrays
        self._items: Items = []

    def step(self, text: SqlValue) -> None:
        """Add an element."""
        self._items.append(read(str(text)) if self._of_arrays else text)

    def final(self) -> str | None:
        """The array; NULL of no rows."""
        if not self._items:
            return None
        if not _is_regular(self._items):
            raise DataError("cannot accumulate arrays of different dimensionality")
        return written(self._items)


def _plain_text(value: SqlValue) -> str | None:
    """A parameter as an element of an array that is cast."""
    return None if value is None else text_of(value)


HELPERS: dict[str, Implementation] = {
    "array_read": converted,
    "array_build_nested": _build_nested,
    "array_to_json": _to_json,
    "array_item": _item,
    "array_compare": _compare,
    "array_contains": _contains,
    "array_overlaps": _overlaps,
}
"""Helpers of the rules."""
NULL_HELPERS: dict[str, Implementation] = {
    "array_build": _build,
    "array_text": _plain_text,
    "array_slice": lambda array, low, high: None if array is None else _slice(array, low, high),
    "array_test": _test,
    "array_join": _joined,
}
"""Helpers that are called with NULL too."""
FUNCTIONS: dict[str, Implementation] = {
    "array_length": _length,
    "array_lower": _lower,
    "array_dims": _dimensions,
    "array_ndims": lambda array: _depth(read(str(array))) or None,
    "cardinality": lambda array: len(list(_flat(read(str(array))))),
    "array_cat": _joined,
    "array_append": _appended,
    "array_prepend": _prepended,
    "array_to_string": _to_string,
    "string_to_array": _from_string,
    "array_position": _place,
    "array_positions": _places,
    "array_remove": _without,
    "array_replace": _replaced,
}
"""What computes the engine's functions of arrays, by name."""
