"""Records as JSON.  The names of the fields are those of the records' attributes; sizes are in bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from numbers import Rational
from typing import TypeAlias

__all__ = ["Json", "json_text", "object_of", "to_json"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def to_json(value: object) -> Json:
    """A value as JSON has it: times in ISO 8601, blobs as ``{"blob": hexadecimal}``, dataclasses as objects.

    Times are local, with their UTC offset, as in texts.  Raises TypeError for a value of another type.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return object_of(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, datetime):
        from clusterdb.rules.points import time_text

        return time_text(value)
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    if isinstance(value, Rational):
        return float(value)
    raise TypeError(f"BUG: {type(value).__name__} has no JSON form")


def object_of(record: object) -> dict[str, Json]:
    """A record (a dataclass instance) as a JSON object with all its fields."""
    assert dataclasses.is_dataclass(record)
    return {field.name: to_json(getattr(record, field.name)) for field in dataclasses.fields(record)}


def json_text(value: Json) -> str:
    """A JSON value as indented text."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)
