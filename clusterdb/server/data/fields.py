"""Values to Fields of the Data API, and to JSON, within the limits of a response."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

from clusterdb.server.data.columns import SqlType
from clusterdb.server.data.problems import bad_request
from clusterdb.server.faults import Fault

__all__ = ["Formats", "converter", "formatted", "limited", "too_large"]

Converter = Callable[[Any], dict[str, Any]]
"""A value that is not NULL to a Field."""


@dataclass(frozen=True, slots=True)
class Formats:
    """The resultSetOptions: decimals as STRING or DOUBLE_OR_LONG, long integers as LONG or STRING."""

    decimals: str = "STRING"
    longs: str = "LONG"


def too_large() -> Fault:
    """The response exceeds 1 MiB.  Clients find the text and read the rest in parts."""
    return bad_request("Database returned more than the allowed response size limit")


def converter(type: SqlType, formats: Formats) -> Converter:
    """What makes a Field of a value of a type."""
    if type.form == "array":
        return _array(type.element, formats)
    if type.form == "long":
        return _long_text if formats.longs == "STRING" else _long
    if type.form == "decimal":
        scale = type.shown_scale
        if formats.decimals == "DOUBLE_OR_LONG":
            return _long if scale == 0 else _double_or_long
        return lambda value: {"stringValue": decimal_text(value, scale)}
    if type.form == "value" and formats.longs == "STRING":
        return lambda value: _long_text(value) if isinstance(value, int) else _by_value(value)
    return _CONVERTERS[type.form]


def _by_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"booleanValue": value}
    if isinstance(value, int):
        return {"longValue": value}
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, bytes):
        return {"blobValue": value}
    return {"stringValue": value if isinstance(value, str) else str(value)}


def _long(value: Any) -> dict[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"longValue": value} if -(2**63) <= value < 2**63 else {"stringValue": str(value)}
    if isinstance(value, bool | float | Decimal) and value == int(value):
        return {"longValue": int(value)}
    return _by_value(value)


def _long_text(value: Any) -> dict[str, Any]:
    return {"stringValue": str(value)}


def _double(value: Any) -> dict[str, Any]:
    if isinstance(value, int | float | Decimal):
        return {"doubleValue": float(value)}
    return _by_value(value)


def _double_or_long(value: Any) -> dict[str, Any]:
    return _double(Decimal(value) if isinstance(value, str) else value)


def _boolean(value: Any) -> dict[str, Any]:
    return {"booleanValue": bool(value)} if isinstance(value, int | float) else _by_value(value)


def _blob(value: Any) -> dict[str, Any]:
    return {"blobValue": value.encode() if isinstance(value, str) else bytes(value)}


def _string(value: Any) -> dict[str, Any]:
    return _by_value(value.decode(errors="replace")) if isinstance(value, bytes) else {"stringValue": str(value)}


def _moment(value: Any) -> dict[str, Any]:
    """A time as PostgreSQL's driver writes it: no zeros at the end of the fraction, no offset since it is UTC."""
    text = str(value).removesuffix("+00:00").removesuffix("+00")
    head, point, fraction = text.partition(".")
    return {"stringValue": f"{head}.{fraction.rstrip('0')}".rstrip(".") if point else text}


_CONVERTERS: dict[str, Converter] = {
    "boolean": _boolean,
    "double": _double,
    "blob": _blob,
    "string": _string,
    "moment": _moment,
    "value": _by_value,
}


def decimal_text(value: Any, scale: int | None) -> str:
    """An exact number with its scale; with the digits that it has if that is None."""
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        return str(value)
    if not number.is_finite():
        return str(value)
    if scale is not None:
        with localcontext() as context:
            context.prec = 1000
            number = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
    elif isinstance(value, float) and number == number.to_integral_value():
        number = number.to_integral_value()
    return format(number, "f")


# --- arrays -----------------------------------------------------------------------------------------------------------
_ARRAYS = {"boolean": "booleanValues", "long": "longValues", "double": "doubleValues"}


def _array(element: SqlType | None, formats: Formats) -> Converter:
    """An ArrayValue.  It has no NULL: a list with one is a list of strings, in which NULL is the text of JDBC, null."""
    element = element or SqlType("text", 12, "string")
    one = converter(element, formats)

    def convert(values: Any) -> dict[str, Any]:
        if not isinstance(values, list | tuple):
            return _by_value(values)
        return {"arrayValue": _values(values, element.form, one)}

    return convert


def _values(values: Sequence[Any], form: str, one: Converter) -> dict[str, Any]:
    if any(isinstance(value, list | tuple) for value in values):
        return {"arrayValues": [_values(value or (), form, one) for value in values]}
    fields = [None if value is None else next(iter(one(value).values())) for value in values]
    if None in fields:
        return {"stringValues": ["null" if field is None else _plain(field) for field in fields]}
    kind = _ARRAYS.get(form, "stringValues")
    return {kind: fields if kind != "stringValues" else [_plain(field) for field in fields]}


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- responses --------------------------------------------------------------------------------------------------------
def limited(rows: Iterable[Sequence[Any]], *, row_bytes_max: int, bytes_max: int) -> tuple[list[Sequence[Any]], int]:
    """All rows, and their size in bytes.  Raises Fault as soon as they, or one of them, exceed what a call may return.

    A text has its length in UTF-8, a number 8 bytes.
    """
    result, total = [], 0
    for row in rows:
        size = sum(map(_size, row))
        if size > row_bytes_max:
            raise bad_request(f"Packet for query is too large ({size} > {row_bytes_max})")
        total += size
        if total > bytes_max:
            raise too_large()
        result.append(row)
    return result, total


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="replace"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 1 if value is None else 8


def formatted(labels: Sequence[str], records: Iterable[Sequence[dict[str, Any]]]) -> str:
    """The formattedRecords: an array of objects.  Of columns with the same label the last one is shown."""
    rows = [dict(zip(labels, map(_json_value, record), strict=True)) for record in records]
    return json.dumps(rows, separators=(",", ":"))


def _json_value(field: dict[str, Any]) -> Any:
    ((kind, value),) = field.items()
    if kind == "isNull":
        return None
    if kind == "blobValue":
        return base64.b64encode(value).decode()
    if kind == "arrayValue":
        return _json_array(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _json_array(array: dict[str, Any]) -> list[Any]:
    ((kind, values),) = array.items()
    return [_json_array(value) for value in values] if kind == "arrayValues" else list(values)
