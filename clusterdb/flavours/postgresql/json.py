"""JSON as PostgreSQL keeps it: ``json`` is a text as it came, ``jsonb`` is canonical and numbers keep their digits."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from clusterdb.flavours.functions import text_of


# --- reading and writing ----------------------------------------------------------------------------------------------
def _load(document: Any) -> Any:
    """A document; a number of SQLite's is one.  Raises ValueError."""
    if isinstance(document, int | float):
        return Decimal(repr(document))
    return json.loads(document, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid input syntax for type json: {name}")


def _dump(value: Any) -> str:
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


def canonical(document: Any) -> str:
    """jsonb from a text.  Raises ValueError."""
    if not isinstance(document, str):
        raise TypeError(f"{document!r} is no JSON: give its text")
    return _dump(_load(document))


def checked_json(document: Any) -> str:
    """json from a text.  Raises ValueError."""
    if not isinstance(document, str):
        raise TypeError(f"{document!r} is no JSON: give its text")
    _load(document)
    return document


def json_of(value: Any, kind: str) -> str:
    """A value of SQLite's as JSON."""
    if kind == "json":
        return text_of(value)
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "datetime":
        return _quoted((value.rstrip("0") if "." in value else value).replace(" ", "T"))
    return text_of(value) if kind == "number" else _quoted(text_of(value))


def _shown(value: Any, *, as_text: bool) -> Any:
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
    found = _ARRAY_TEXT.findall(path[1:-1])
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip() for quoted, plain in found]


def _step(value: Any, step: Any) -> Any:
    """A member of an object by a text, one of an array by a number; raises LookupError."""
    if isinstance(value, dict) and isinstance(step, str):
        return value[step]
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    raise LookupError(step)


def _walked(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(value, list):
            if not re.fullmatch(r"-?\d+", step):
                raise LookupError(step)
            value = value[int(step)]
        else:
            value = _step(value, step)
    return value


def get(document: Any, step: Any) -> Any:
    """``->``."""
    try:
        return _shown(_step(_load(document), step), as_text=False)
    except LookupError:
        return None


def get_text(document: Any, step: Any) -> Any:
    """``->>``."""
    try:
        return _shown(_step(_load(document), step), as_text=True)
    except LookupError:
        return None


def path(document: Any, steps: str) -> Any:
    """``#>``."""
    try:
        return _shown(_walked(_load(document), _steps(steps)), as_text=False)
    except LookupError:
        return None


def path_text(document: Any, steps: str) -> Any:
    """``#>>``."""
    try:
        return _shown(_walked(_load(document), _steps(steps)), as_text=True)
    except LookupError:
        return None


def extract_path_text(document: Any, *steps: Any) -> Any:
    try:
        return _shown(_walked(_load(document), list(map(text_of, steps))), as_text=True)
    except LookupError:
        return None


def extract_path(document: Any, *steps: Any) -> Any:
    try:
        return _shown(_walked(_load(document), list(map(text_of, steps))), as_text=False)
    except LookupError:
        return None


def has(document: Any, key: str) -> int:
    """``?``: a member, or an element that is this text."""
    value = _load(document)
    return int(key in value if isinstance(value, dict | list) else isinstance(value, str) and value == key)


def contains(target: Any, candidate: Any) -> int:
    """``@>``."""
    whole, piece = _load(target), _load(candidate)
    if isinstance(whole, list) and not isinstance(piece, list | dict):
        return int(any(_same(each, piece) for each in whole))
    return int(_contains(whole, piece))


def _contains(whole: Any, piece: Any) -> bool:
    if isinstance(whole, dict) and isinstance(piece, dict):
        return all(key in whole and _contains(whole[key], value) for key, value in piece.items())
    if isinstance(whole, list) and isinstance(piece, list):
        return all(any(_contains(each, wanted) for each in whole) for wanted in piece)
    return _same(whole, piece)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


# --- order ------------------------------------------------------------------------------------------------------------
_RANKS = {type(None): 0, str: 1, Decimal: 2, bool: 3, list: 4, dict: 5}


def _compared(a: Any, b: Any) -> int:
    if type(a) is not type(b):
        return (_RANKS[type(a)] > _RANKS[type(b)]) - (_RANKS[type(a)] < _RANKS[type(b)])
    if isinstance(a, dict | list) and len(a) != len(b):
        return (len(a) > len(b)) - (len(a) < len(b))
    if isinstance(a, list):
        return next((made for x, y in zip(a, b, strict=True) if (made := _compared(x, y))), 0)
    if isinstance(a, dict):
        order = [sorted(each, key=lambda key: (len(key.encode()), key.encode())) for each in (a, b)]
        for x, y in zip(*order, strict=True):
            made = _compared(x, y) or _compared(a[x], b[y])
            if made:
                return made
        return 0
    return 0 if a is None else (a > b) - (a < b)


def compare(a: Any, b: Any) -> int:
    """Which of two jsonb values comes first.  Raises ValueError for an empty array, which has an order of its own."""
    first, second = _load(a), _load(b)
    if ([] in (first, second)) and first != second:
        raise ValueError("an empty array is compared with another value")
    return _compared(first, second)


# --- changing documents -----------------------------------------------------------------------------------------------
def merge(first: Any, second: Any) -> str:
    """``||`` of jsonb."""
    a, b = _load(first), _load(second)
    if isinstance(a, dict) and isinstance(b, dict):
        return _dump({**a, **b})
    return _dump([*(a if isinstance(a, list) else [a]), *(b if isinstance(b, list) else [b])])


def remove(document: Any, key: Any) -> str:
    """``-`` of jsonb: a member, an element, or texts.  Raises ValueError where there are no parts."""
    value = _load(document)
    if isinstance(key, int):
        if not isinstance(value, list):
            raise ValueError("cannot delete from object using integer index")
        if -len(value) <= key < len(value):
            del value[key]
        return _dump(value)
    if isinstance(value, dict):
        value.pop(key, None)
    elif isinstance(value, list):
        value = [each for each in value if each != key]
    else:
        raise ValueError("cannot delete from scalar")
    return _dump(value)


def jsonb_set(document: Any, path: str, new: Any, create: int = 1) -> str:
    """A document with another value at a path; what lies on the way must be there."""
    value, steps = _load(document), _steps(path)
    if not isinstance(value, dict | list):
        raise ValueError("cannot set path in scalar")
    place = value
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


def array_length(document: Any) -> int:
    value = _load(document)
    if not isinstance(value, list):
        raise ValueError("cannot get array length of a non-array")
    return len(value)


def build_object(*pairs: Any) -> str:
    """An object of json: names, and values that are JSON already (NULL is null)."""
    if len(pairs) % 2:
        raise ValueError("argument list must have even number of elements")
    if None in pairs[::2]:
        raise ValueError("argument must not be null: a key of an object")
    made = [f"{_quoted(text_of(key))} : {_value(value)}" for key, value in zip(pairs[::2], pairs[1::2], strict=True)]
    return "{" + ", ".join(made) + "}"


def build_array(*values: Any) -> str:
    return "[" + ", ".join(map(_value, values)) + "]"


def _value(value: Any) -> str:
    return "null" if value is None else text_of(value)


class ArrayOf:
    """json_agg()."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._values: list[str] = []

    def step(self, value: Any = None) -> None:
        self._values.append(_value(value))

    def final(self) -> str | None:
        if not self._values:
            return None
        made = "[" + ", ".join(self._values) + "]"
        return canonical(made) if self._binary else made


class ObjectOf:
    """json_object_agg()."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._values: list[str] = []

    def step(self, key: Any, value: Any = None) -> None:
        if key is None:
            raise ValueError("field name must not be null")
        self._values.append(f"{_quoted(text_of(key))} : {_value(value)}")

    def final(self) -> str | None:
        if not self._values:
            return None
        made = "{ " + ", ".join(self._values) + " }"
        return canonical(made) if self._binary else made


def type_of(document: Any) -> str:
    return _KINDS[type(_load(document))]


def normalised(value: Any) -> str:
    """jsonb, as the server shows it."""
    return _dump(_load(value))
