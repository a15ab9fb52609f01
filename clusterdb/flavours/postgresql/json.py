"""JSON as PostgreSQL keeps it: ``json`` is a text as it came, ``jsonb`` is canonical and numbers keep their digits."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import NoReturn

from clusterdb.flavours.functions import Json, SqlValue, text_of


# --- reading and writing ----------------------------------------------------------------------------------------------
def _load(document: SqlValue) -> Json:
    """A document; a number of SQLite's is one.  Raises ValueError."""
    if isinstance(document, int | float):
        return Decimal(repr(document))
    assert document is not None  # the functions are not called with NULL
    return json.loads(document, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid input syntax for type json: {name}")


def _dump(value: Json) -> str:
    """A value as jsonb writes it: keys by length and then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{_quoted(key)}: {_dump(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dump, value)) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def canonical(document: SqlValue) -> str:
    """jsonb from a text.  Raises ValueError."""
    if not isinstance(document, str):
        raise TypeError(f"{document!r} is no JSON: give its text")
    return _dump(_load(document))


def checked_json(document: SqlValue) -> str:
    """json from a text.  Raises ValueError."""
    if not isinstance(document, str):
        raise TypeError(f"{document!r} is no JSON: give its text")
    _load(document)
    return document


def json_of(value: SqlValue, kind: str) -> str:
    """A value of SQLite's as JSON."""
    if kind == "json":
        return text_of(value)
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "datetime":
        text = text_of(value)
        return _quoted((text.rstrip("0") if "." in text else text).replace(" ", "T"))
    return text_of(value) if kind == "number" else _quoted(text_of(value))


def _shown(value: Json, *, as_text: bool) -> SqlValue:
    if as_text:
        return None if value is None else value if isinstance(value, str) else _dump(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)
    return _dump(value)


# --- looking into documents -------------------------------------------------------------------------------------------
_ARRAY_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",{}]+)')


def _steps(path: str) -> list[str]:
    """The steps of a path, as PostgreSQL writes an array of texts."""
    if path[:1] != "{" or path[-1:] != "}":
        raise ValueError(f"malformed array literal: {path!r}")
    result = _ARRAY_TEXT.findall(path[1:-1])
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip() for quoted, plain in result]


def _step(value: Json, step: SqlValue) -> Json:
    """A member of an object by a text, one of an array by a number; raises LookupError."""
    if isinstance(value, dict) and isinstance(step, str):
        return value[step]
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    raise LookupError(step)


def _walked(value: Json, steps: list[str]) -> Json:
    for step in steps:
        if isinstance(value, list):
            if not re.fullmatch(r"-?\d+", step):
                raise LookupError(step)
            value = value[int(step)]
        else:
            value = _step(value, step)
    return value


def get(document: SqlValue, step: SqlValue) -> SqlValue:
    """``->``."""
    try:
        return _shown(_step(_load(document), step), as_text=False)
    except LookupError:
        return None


def get_text(document: SqlValue, step: SqlValue) -> SqlValue:
    """``->>``."""
    try:
        return _shown(_step(_load(document), step), as_text=True)
    except LookupError:
        return None


def path(document: SqlValue, steps: str) -> SqlValue:
    """``#>``."""
    try:
        return _shown(_walked(_load(document), _steps(steps)), as_text=False)
    except LookupError:
        return None


def path_text(document: SqlValue, steps: str) -> SqlValue:
    """``#>>``."""
    try:
        return _shown(_walked(_load(document), _steps(steps)), as_text=True)
    except LookupError:
        return None


def extract_path_text(document: SqlValue, *steps: SqlValue) -> SqlValue:
    try:
        return _shown(_walked(_load(document), list(map(text_of, steps))), as_text=True)
    except LookupError:
        return None


def extract_path(document: SqlValue, *steps: SqlValue) -> SqlValue:
    try:
        return _shown(_walked(_load(document), list(map(text_of, steps))), as_text=False)
    except LookupError:
        return None


def has(document: SqlValue, key: str) -> int:
    """``?``: a member, or an element that is this text."""
    value = _load(document)
    return int(key in value if isinstance(value, dict | list) else isinstance(value, str) and value == key)


def contains(target: SqlValue, candidate: SqlValue) -> int:
    """``@>``."""
    whole, piece = _load(target), _load(candidate)
    if isinstance(whole, list) and not isinstance(piece, list | dict):
        return int(any(_same(item, piece) for item in whole))
    return int(_contains(whole, piece))


def _contains(whole: Json, piece: Json) -> bool:
    if isinstance(whole, dict) and isinstance(piece, dict):
        return all(key in whole and _contains(whole[key], value) for key, value in piece.items())
    if isinstance(whole, list) and isinstance(piece, list):
        return all(any(_contains(item, wanted) for item in whole) for wanted in piece)
    return _same(whole, piece)


def _same(one: Json, other: Json) -> bool:
    return type(one) is type(other) and bool(one == other)


# --- order ------------------------------------------------------------------------------------------------------------
_RANKS = {type(None): 0, str: 1, Decimal: 2, bool: 3, list: 4, dict: 5}


def _compared(a: Json, b: Json) -> int:
    if type(a) is not type(b):
        return (_RANKS[type(a)] > _RANKS[type(b)]) - (_RANKS[type(a)] < _RANKS[type(b)])
    if isinstance(a, list) and isinstance(b, list):
        differences = (_compared(x, y) for x, y in zip(a, b, strict=False))
        return (len(a) > len(b)) - (len(a) < len(b)) or next(filter(None, differences), 0)
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = zip(_members(a), _members(b), strict=False)
        differences = (_compared(x, y) or _compared(a[x], b[y]) for x, y in pairs)
        return (len(a) > len(b)) - (len(a) < len(b)) or next(filter(None, differences), 0)
    return 0 if a is None else (a > b) - (a < b)  # type: ignore[operator]  # both are of one type


def _members(value: dict[str, Json]) -> list[str]:
    """The names of an object's members in the order in which they are compared."""
    return sorted(value, key=lambda name: (len(name.encode()), name.encode()))


def compare(a: SqlValue, b: SqlValue) -> int:
    """Which of two jsonb values comes first.  Raises ValueError for an empty array, which has an order of its own."""
    first, second = _load(a), _load(b)
    if ([] in (first, second)) and first != second:
        raise ValueError("an empty array is compared with another value")
    return _compared(first, second)


# --- changing documents -----------------------------------------------------------------------------------------------
def merge(first: SqlValue, second: SqlValue) -> str:
    """``||`` of jsonb."""
    a, b = _load(first), _load(second)
    if isinstance(a, dict) and isinstance(b, dict):
        return _dump({**a, **b})
    return _dump([*(a if isinstance(a, list) else [a]), *(b if isinstance(b, list) else [b])])


def remove(document: SqlValue, key: SqlValue) -> str:
    """``-`` of jsonb: a member, an element, or texts.  Raises ValueError where there are no parts."""
    value = _load(document)
    if isinstance(key, int):
        if not isinstance(value, list):
            raise ValueError("cannot delete from object using integer index")
        if -len(value) <= key < len(value):
            del value[key]
        return _dump(value)
    if isinstance(value, dict):
        value.pop(text_of(key), None)
    elif isinstance(value, list):
        value = [item for item in value if item != key]
    else:
        raise ValueError("cannot delete from scalar")
    return _dump(value)


def jsonb_set(document: SqlValue, path: str, new: SqlValue, create: int = 1) -> str:
    """A document with another value at a path; what lies on the way must be there."""
    value, steps = _load(document), _steps(path)
    if not isinstance(value, dict | list):
        raise ValueError("cannot set path in scalar")
    place: Json = value
    try:
        for step in steps[:-1]:
            place = _walked(place, [step])
    except LookupError:
        return _dump(value)
    if not steps or not isinstance(place, dict | list):
        return _dump(value)
    last = steps[-1]
    if isinstance(place, dict):
        if create or last in place:
            place[last] = _load(new)
        return _dump(value)
    at = int(last)
    if -len(place) <= at < len(place):
        place[at] = _load(new)
    elif create:
        place.insert(len(place) if at >= 0 else 0, _load(new))
    return _dump(value)


_KINDS = {dict: "object", list: "array", str: "string", bool: "boolean", Decimal: "number", type(None): "null"}


def array_length(document: SqlValue) -> int:
    value = _load(document)
    if not isinstance(value, list):
        raise ValueError("cannot get array length of a non-array")
    return len(value)


def build_object(*pairs: SqlValue) -> str:
    """An object of json: names, and values that are JSON already (NULL is null)."""
    if len(pairs) % 2:
        raise ValueError("argument list must have even number of elements")
    if None in pairs[::2]:
        raise ValueError("argument must not be null: a key of an object")
    result = [f"{_quoted(text_of(key))} : {_value(value)}" for key, value in zip(pairs[::2], pairs[1::2], strict=True)]
    return "{" + ", ".join(result) + "}"


def build_array(*values: SqlValue) -> str:
    return "[" + ", ".join(map(_value, values)) + "]"


def _value(value: SqlValue) -> str:
    return "null" if value is None else text_of(value)


class ArrayOf:
    """json_agg()."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._values: list[str] = []

    def step(self, value: SqlValue = None) -> None:
        self._values.append(_value(value))

    def final(self) -> SqlValue:
        if not self._values:
            return None
        result = "[" + ", ".join(self._values) + "]"
        return canonical(result) if self._binary else result


class ObjectOf:
    """json_object_agg()."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._values: list[str] = []

    def step(self, key: SqlValue, value: SqlValue = None) -> None:
        if key is None:
            raise ValueError("field name must not be null")
        self._values.append(f"{_quoted(text_of(key))} : {_value(value)}")

    def final(self) -> SqlValue:
        if not self._values:
            return None
        result = "{ " + ", ".join(self._values) + " }"
        return canonical(result) if self._binary else result


def type_of(document: SqlValue) -> str:
    return _KINDS[type(_load(document))]


def normalised(value: SqlValue) -> str:
    """jsonb, as the server shows it."""
    return _dump(_load(value))
