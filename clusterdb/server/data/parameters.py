"""Parameters: SqlParameters of a call to values that are bound, by name."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from clusterdb.server.data.problems import bad_request

__all__ = ["Value", "values_of"]

Value = int | float | str | bytes | bool | None
"""What is bound."""

_TIME = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d{1,9})?")
_TIMESTAMP = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}(\.\d{1,9})?)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def values_of(parameters: Sequence[dict[str, Any]]) -> dict[str, Value]:
    """The values by name.

    Raises Fault, BadRequestException: a name twice, a value of no or of several types, an array, a text that does not
    fit its type hint.
    """
    values: dict[str, Value] = {}
    for parameter in parameters:
        name = parameter.get("name") or ""
        if not name:
            raise bad_request("A parameter has no name")
        if name in values:
            raise bad_request(f"Duplicate parameter: {name}")
        values[name] = _value(name, parameter.get("value") or {}, parameter.get("typeHint"))
    return values


def _value(name: str, field: dict[str, Any], hint: str | None) -> Value:
    present = {kind: value for kind, value in field.items() if value is not None}
    if not present:
        raise bad_request(f'Parameter "{name}" has value with no field set')
    if len(present) > 1:
        raise bad_request(f'Parameter "{name}" has value with more than one field set: {", ".join(present)}')
    ((kind, value),) = present.items()
    if kind == "arrayValue":
        raise bad_request("Array parameters are not supported.")
    if kind == "isNull":
        if value is not True:
            raise bad_request(f'Parameter "{name}" has isNull with the value false: set the field of its type instead')
        return None
    converted = _CONVERTERS[kind](name, value) if kind in _CONVERTERS else _unknown(name, kind)
    if hint is None:
        return converted
    if not isinstance(converted, str):
        raise bad_request(f'Parameter "{name}" has the type hint {hint}, which is for stringValue')
    if hint not in _HINTS:
        raise bad_request(f'Parameter "{name}" has the unknown type hint {hint}: use {", ".join(_HINTS)}')
    return _HINTS[hint](name, converted)


def _unknown(name: str, kind: str) -> Value:
    raise bad_request(f'Parameter "{name}" has a value of the unknown type {kind}')


# --- types ------------------------------------------------------------------------------------------------------------
def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise bad_request(f'Parameter "{name}": booleanValue must be true or false')
    return value


def _long(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(f'Parameter "{name}": longValue must be an integer')
    if not -(2**63) <= value < 2**63:
        raise bad_request(f'Parameter "{name}": longValue must fit in 64 bits')
    return value


def _double(name: str, value: Any) -> float:
    try:
        return float(value)  # also the texts NaN and Infinity
    except (TypeError, ValueError):
        raise bad_request(f'Parameter "{name}": doubleValue must be a number') from None


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_request(f'Parameter "{name}": stringValue must be a string')
    return value


def _blob(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise bad_request(f'Parameter "{name}": blobValue must be in base64') from None
    return bytes(value)


_CONVERTERS: dict[str, Callable[[str, Any], Value]] = {
    "booleanValue": _boolean,
    "longValue": _long,
    "doubleValue": _double,
    "stringValue": _string,
    "blobValue": _blob,
}


# --- type hints -------------------------------------------------------------------------------------------------------
def _json(name: str, text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        raise bad_request(f'Parameter "{name}": not a JSON text: {text[:100]}') from None
    return text


def _uuid(name: str, text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise bad_request(f'Parameter "{name}": Invalid UUID string: {text[:100]}') from None


def _date(name: str, text: str) -> str:
    return _checked(name, text, _DATE.fullmatch(text) is not None, "Date format must be yyyy-mm-dd", text)


def _time(name: str, text: str) -> str:
    form = "Time format must be hh:mm:ss[.fff]"
    return _checked(name, text, _TIME.fullmatch(text) is not None, form, f"2000-01-01 {text[:15]}")


def _timestamp(name: str, text: str) -> str:
    form = "Timestamp format must be yyyy-mm-dd hh:mm:ss[.fffffffff]"
    return _checked(name, text, _TIMESTAMP.fullmatch(text) is not None, form, text[:26])


def _checked(name: str, text: str, fits: bool, message: str, moment: str) -> str:
    """The text, if it has the form and is a moment of the calendar."""
    try:
        if fits:
            datetime.datetime.fromisoformat(moment)
            return text
    except ValueError:
        pass
    raise bad_request(f'Parameter "{name}": {message}: {text[:100]}')


def _decimal(name: str, text: str) -> Value:
    """A number where one is exact, else the text, which a column with an exact type converts."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise bad_request(f'Parameter "{name}": not a decimal number: {text[:100]}') from None
    if not number.is_finite():
        raise bad_request(f'Parameter "{name}": not a decimal number: {text[:100]}')
    if number == number.to_integral_value() and number.adjusted() < 18:
        return int(number)
    return float(number) if number.adjusted() < 300 and Decimal(repr(float(number))) == number else text


_HINTS: dict[str, Callable[[str, str], Value]] = {
    "JSON": _json,
    "UUID": _uuid,
    "TIMESTAMP": _timestamp,
    "DATE": _date,
    "TIME": _time,
    "DECIMAL": _decimal,
}
