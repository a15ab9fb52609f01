"""MySQL's JSON functions, on documents as text."""

from __future__ import annotations

import json
import re

from clusterdb.flavours.functions import Json, SqlValue, text_of

_STEP = re.compile(r"\.(?:([A-Za-z_$][\w$]*)|\"((?:[^\"\\]|\\.)*)\")|\[(\d+)\]")


class _Nothing:
    """What lies at a path that leads nowhere."""


_NOTHING = _Nothing()


def _steps(path: str) -> list[str | int]:
    """The steps of a path.  Raises TypeError for those with wildcards."""
    rest, steps = path.strip(), []
    if not rest.startswith("$"):
        raise TypeError(f"'{path}' is no path")
    at = 1
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            raise TypeError(f"the path '{path}'")
        steps.append(int(match[3]) if match[3] is not None else match[1] or match[2] or "")
        at = match.end()
    return steps


def _at(value: Json, steps: list[str | int]) -> Json | _Nothing:
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            if step not in value:
                return _NOTHING
            value = value[step]
        elif isinstance(value, list) and isinstance(step, int):
            if step >= len(value):
                return _NOTHING
            value = value[step]
        elif step != 0 or isinstance(value, list):
            return _NOTHING
    return value


def dumped(value: Json | _Nothing) -> str:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False)


def extract(document: str, path: str) -> str | None:
    value = _at(json.loads(document), _steps(path))
    return None if value is _NOTHING else dumped(value)


def _with_changes(document: str | None, changes: tuple[str | None, ...], *, insert: bool, replace: bool) -> str | None:
    if document is None or None in changes[::2]:
        return None
    whole = json.loads(document)
    for path, new in zip(changes[::2], changes[1::2], strict=True):
        value = None if new is None else json.loads(new)
        steps = _steps(path or "")
        if not steps:
            whole = value if replace else whole
            continue
        place, last = _at(whole, steps[:-1]), steps[-1]
        if isinstance(place, dict) and isinstance(last, str):
            if (last in place and replace) or (last not in place and insert):
                place[last] = value
        elif isinstance(place, list) and isinstance(last, int):
            if last < len(place) and replace:
                place[last] = value
            elif last >= len(place) and insert:
                place.append(value)
        elif isinstance(last, int) and place is not _NOTHING:
            raise TypeError(f"the path '{path}' of a value that is no array")
    return dumped(whole)


def changed(document: str | None, *changes: str | None) -> str | None:
    """JSON_SET."""
    return _with_changes(document, changes, insert=True, replace=True)


def inserted(document: str | None, *changes: str | None) -> str | None:
    return _with_changes(document, changes, insert=True, replace=False)


def replaced(document: str | None, *changes: str | None) -> str | None:
    return _with_changes(document, changes, insert=False, replace=True)


def removed(document: str, *paths: str) -> str:
    whole = json.loads(document)
    for path in paths:
        steps = _steps(path)
        place = _at(whole, steps[:-1])
        if isinstance(place, dict):
            place.pop(str(steps[-1]), None)
        elif isinstance(place, list) and isinstance(steps[-1], int) and steps[-1] < len(place):
            del place[steps[-1]]
    return dumped(whole)


def keys(document: str, path: str = "$") -> str | None:
    value = _at(json.loads(document), _steps(path))
    return dumped(list(value)) if isinstance(value, dict) else None


def length(document: str, path: str = "$") -> int | None:
    value = _at(json.loads(document), _steps(path))
    return None if value is _NOTHING else len(value) if isinstance(value, dict | list) else 1


def type_of(document: str) -> str:
    kinds = {dict: "OBJECT", list: "ARRAY", str: "STRING", bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE"}
    return kinds.get(type(json.loads(document)), "NULL")


def unquoted(text: SqlValue) -> str:
    text = text_of(text)
    if text[:1] != '"':
        return text
    return str(json.loads(text))


def quoted(value: SqlValue) -> str:
    """A value of SQL's as JSON."""
    if isinstance(value, bytes):
        raise TypeError("bytes in JSON")
    return dumped(value)


def array(*values: str) -> str:
    """An array of values that are JSON."""
    return f"[{', '.join(values)}]"


def made_object(*pairs: str) -> str:
    """An object of keys, and of values that are JSON; of several values of a key the last one, at the first's place."""
    if None in pairs[::2]:
        raise TypeError("JSON documents may not contain NULL member names")
    members = dict(zip(map(text_of, pairs[::2]), pairs[1::2], strict=True))
    return "{" + ", ".join(f"{dumped(key)}: {value}" for key, value in members.items()) + "}"


def truth_or_number(text: SqlValue) -> int | float:
    """A JSON number or a truth as what a number is compared with.  Raises TypeError for other values."""
    value = json.loads(text) if isinstance(text, str) else text
    if not isinstance(value, int | float):
        raise TypeError(f"JSON that is no number is compared with a number: {text_of(text)}")
    return value


class ArrayOf:
    """JSON_ARRAYAGG."""

    def __init__(self) -> None:
        self._values: list[str] = []

    def step(self, value: str) -> None:
        self._values.append(value)

    def final(self) -> str | None:
        return array(*self._values) if self._values else None


class ObjectOf:
    """JSON_OBJECTAGG."""

    def __init__(self) -> None:
        self._pairs: list[str] = []

    def step(self, key: str, value: str) -> None:
        self._pairs += [key, value]

    def final(self) -> str | None:
        return made_object(*self._pairs) if self._pairs else None
