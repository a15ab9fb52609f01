"""Parameters in all forms, type hints, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from clusterdb.server.data.parameters import values_of
from clusterdb.server.faults import Fault
from tests.server.data.calling import Caller


def value_of(value: dict[str, Any], hint: str | None = None) -> Any:
    return values_of([{"name": "p", "value": value, **({"typeHint": hint} if hint else {})}])["p"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"isNull": True}, None),
        ({"booleanValue": True}, True),
        ({"booleanValue": False}, False),
        ({"longValue": -(2**63)}, -(2**63)),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": 2}, 2.0),
        ({"stringValue": ""}, ""),
        ({"blobValue": b"\0\xff"}, b"\0\xff"),
        ({"blobValue": base64.b64encode(b"\0\xff").decode()}, b"\0\xff"),
    ],
)
def test_values_have_the_type_of_their_field(value: dict[str, Any], expected: Any) -> None:
    result = value_of(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        ("JSON", '{"a": [1]}', '{"a": [1]}'),
        ("UUID", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("TIMESTAMP", "2024-02-29 23:59:59", "2024-02-29 23:59:59"),
        ("TIMESTAMP", "2024-02-29 23:59:59.123456", "2024-02-29 23:59:59.123456"),
        ("DATE", "2024-02-29", "2024-02-29"),
        ("TIME", "23:59:59.5", "23:59:59.5"),
        ("DECIMAL", "12.50", 12.5),
        ("DECIMAL", "100", 100),
        ("DECIMAL", "1E+2", 100),
        ("DECIMAL", "0.1234567890123456789", "0.1234567890123456789"),
    ],
)
def test_type_hints_check_texts(hint: str, text: str, expected: Any) -> None:
    assert value_of({"stringValue": text}, hint) == expected


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        ("JSON", "{"),
        ("UUID", "a0eebc99"),
        ("TIMESTAMP", "2024-02-29T23:59:59Z"),
        ("TIMESTAMP", "2023-02-29 23:59:59"),
        ("TIMESTAMP", "2024-02-29"),
        ("DATE", "2024-13-01"),
        ("DATE", "2024-02-29 00:00:00"),
        ("TIME", "24:00:00"),
        ("TIME", "12:00"),
        ("DECIMAL", "1,5"),
        ("DECIMAL", "NaN"),
        ("MONEY", "1"),
    ],
)
def test_texts_that_do_not_fit_their_hint_are_refused(hint: str, text: str) -> None:
    with pytest.raises(Fault, match='Parameter "p"') as caught:
        value_of({"stringValue": text}, hint)
    assert (caught.value.code, caught.value.status) == ("BadRequestException", 400)


def test_hint_with_null_is_null() -> None:
    assert value_of({"isNull": True}, "DATE") is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([{"name": "p", "value": {}}], 'Parameter "p" has value with no field set'),
        ([{"name": "p"}], 'Parameter "p" has value with no field set'),
        ([{"name": "p", "value": {"arrayValue": {"longValues": [1]}}}], "Array parameters are not supported."),
        (
            [{"name": "p", "value": {"longValue": 1, "isNull": True}}],
            'Parameter "p" has value with more than one field',
        ),
        ([{"name": "p", "value": {"isNull": False}}], 'Parameter "p" has isNull with the value false'),
        ([{"name": "p", "value": {"longValue": 2**63}}], 'Parameter "p": longValue must fit in 64 bits'),
        ([{"name": "p", "value": {"longValue": 1.5}}], 'Parameter "p": longValue must be an integer'),
        ([{"name": "p", "value": {"booleanValue": 1}}], 'Parameter "p": booleanValue must be true or false'),
        ([{"name": "p", "value": {"doubleValue": "x"}}], 'Parameter "p": doubleValue must be a number'),
        ([{"name": "p", "value": {"stringValue": 1}}], 'Parameter "p": stringValue must be a string'),
        ([{"name": "p", "value": {"blobValue": "?"}}], 'Parameter "p": blobValue must be in base64'),
        ([{"name": "p", "value": {"longValue": 1}, "typeHint": "DATE"}], 'Parameter "p" has the type hint DATE'),
        ([{"value": {"longValue": 1}}], "A parameter has no name"),
        ([{"name": "p", "value": {"longValue": 1}}] * 2, "Duplicate parameter: p"),
    ],
)
def test_malformed_parameters_are_refused(parameters: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(Fault) as caught:
        values_of(parameters)
    assert caught.value.message.startswith(message)
    assert caught.value.code == "BadRequestException"


def test_missing_parameter_is_named(client: Caller) -> None:
    for sql in ("SELECT :zz", "INSERT INTO t (name) VALUES (:name)"):
        with pytest.raises(Fault, match=r"Cannot find parameter: (zz|name)") as caught:
            client.execute(sql)
        assert caught.value.code == "BadRequestException"


def test_parameters_that_a_statement_does_not_have_are_ignored(client: Caller) -> None:
    assert client.rows("SELECT :a", {"a": 1, "b": 2}) == [[1]]


def test_parameter_may_be_used_twice(client: Caller) -> None:
    assert client.rows("SELECT :a, :a", {"a": "x"}) == [["x", "x"]]


@pytest.mark.parametrize("value", [None, 7, 1.5, "text", b"\0\xff"])
def test_values_return_as_they_were_sent(client: Caller, value: Any) -> None:
    assert client.rows("SELECT :p", {"p": value}) == [[value]]


def test_quoted_colons_are_no_parameters(client: Caller) -> None:
    assert client.rows("SELECT ':a', :b -- :c", {"b": 1}) == [[":a", 1]]


def test_names_may_be_digits(client: Caller) -> None:
    values = {"0": 1, "1": "x", "param_1": 2.5, "10": 3}
    assert client.rows("SELECT :0, :1, :param_1, :10", values) == [[1, "x", 2.5, 3]]
