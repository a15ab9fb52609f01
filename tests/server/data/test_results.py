"""Fields, columnMetadata, options of results, and generated numbers, on clusters of every engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from clusterdb.server.data.columns import SqlType
from clusterdb.server.data.fields import Formats, converter, decimal_text
from tests.server.data.calling import Caller

TEXT = SqlType("text", 12, "string")
LONG = SqlType("int4", 4, "long")
PRICES = [[1, "1.50"], [2, "2.00"], [3, None]]


def metadata(client: Caller, sql: str) -> list[dict[str, Any]]:
    columns: list[dict[str, Any]] = client.execute(sql, includeResultMetadata=True)["columnMetadata"]
    return columns


def kinds(client: Caller, sql: str) -> list[tuple[str, int]]:
    return [(column["typeName"], column["type"]) for column in metadata(client, sql)]


@pytest.fixture
def filled(client: Caller) -> Caller:
    client.execute("INSERT INTO t (name, price, ok) VALUES ('a', 1.5, TRUE), ('b', 2, FALSE), ('c', NULL, NULL)")
    return client


# --- fields -----------------------------------------------------------------------------------------------------------
def test_fields_have_the_types_of_their_columns(filled: Caller) -> None:
    result = filled.execute("SELECT id, name, price, ok FROM t ORDER BY id")
    assert result["numberOfRecordsUpdated"] == 0
    assert "columnMetadata" not in result
    assert result["records"] == [
        [{"longValue": 1}, {"stringValue": "a"}, {"stringValue": "1.50"}, {"booleanValue": True}],
        [{"longValue": 2}, {"stringValue": "b"}, {"stringValue": "2.00"}, {"booleanValue": False}],
        [{"longValue": 3}, {"stringValue": "c"}, {"isNull": True}, {"isNull": True}],
    ]


def test_decimals_keep_their_scale_or_become_numbers(filled: Caller) -> None:
    sql = "SELECT id, price FROM t ORDER BY id"
    assert filled.rows(sql) == PRICES
    assert filled.rows(sql, resultSetOptions={"decimalReturnType": "STRING"}) == PRICES
    options = {"decimalReturnType": "DOUBLE_OR_LONG"}
    assert filled.execute(sql, resultSetOptions=options)["records"][:2] == [
        [{"longValue": 1}, {"doubleValue": 1.5}],
        [{"longValue": 2}, {"doubleValue": 2.0}],
    ]


def test_long_integers_become_strings_on_request(filled: Caller) -> None:
    options = {"longReturnType": "STRING"}
    assert filled.rows("SELECT id FROM t ORDER BY id", resultSetOptions=options) == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (1.5, 2, "1.50"),
        (1, 2, "1.00"),
        ("1", 2, "1.00"),
        (0.1 + 0.2, 2, "0.30"),
        (1e22, 0, "10000000000000000000000"),
        (-0.005, 2, "-0.01"),
        (2.0, None, "2"),
        (1e-7, None, "0.0000001"),
        ("123456789012345678901234567890.5", 2, "123456789012345678901234567890.50"),
        ("NaN", 2, "NaN"),
    ],
)
def test_decimal_texts(value: Any, scale: int | None, text: str) -> None:
    assert decimal_text(value, scale) == text


@pytest.mark.parametrize(
    ("element", "values", "field"),
    [
        (LONG, [1, 2], {"longValues": [1, 2]}),
        (TEXT, ["a", ""], {"stringValues": ["a", ""]}),
        (SqlType("bool", -7, "boolean"), [True, False], {"booleanValues": [True, False]}),
        (SqlType("float8", 8, "double"), [1, 2.5], {"doubleValues": [1.0, 2.5]}),
        (SqlType("numeric", 2, "decimal", shown_scale=2), [1.5], {"stringValues": ["1.50"]}),
        (LONG, [], {"longValues": []}),
        (LONG, [1, None], {"stringValues": ["1", "null"]}),
        (LONG, [[1, 2], [3, 4]], {"arrayValues": [{"longValues": [1, 2]}, {"longValues": [3, 4]}]}),
    ],
)
def test_arrays(element: SqlType, values: list[Any], field: dict[str, Any]) -> None:
    array = SqlType("_x", 2003, "array", element=element)
    assert converter(array, Formats())(values) == {"arrayValue": field}


# --- JSON -------------------------------------------------------------------------------------------------------------
def test_records_as_json(filled: Caller) -> None:
    result = filled.execute(
        "SELECT id, name AS label, price, ok FROM t ORDER BY id", formatRecordsAs="JSON", includeResultMetadata=True
    )
    assert set(result) == {"formattedRecords", "numberOfRecordsUpdated"}
    assert json.loads(result["formattedRecords"]) == [
        {"id": 1, "label": "a", "price": "1.50", "ok": True},
        {"id": 2, "label": "b", "price": "2.00", "ok": False},
        {"id": 3, "label": "c", "price": None, "ok": None},
    ]


def test_blobs_are_base64_in_json(client: Caller) -> None:
    text = client.execute("SELECT :b AS b", {"b": b"\0\xff"}, formatRecordsAs="JSON")["formattedRecords"]
    assert json.loads(text) == [{"b": "AP8="}]


def test_json_is_ignored_by_other_statements(client: Caller) -> None:
    result = client.execute("INSERT INTO t (name) VALUES ('a')", formatRecordsAs="JSON")
    assert result["numberOfRecordsUpdated"] == 1


# --- metadata ---------------------------------------------------------------------------------------------------------
def test_metadata_has_fourteen_fields(client: Caller) -> None:
    fields = "arrayBaseColumnType isAutoIncrement isCaseSensitive isCurrency isSigned label name nullable precision "
    fields += "scale schemaName tableName type typeName"
    for column in metadata(client, "SELECT id, name, 1 AS one FROM t"):
        assert sorted(column) == sorted(fields.split())


def test_metadata_of_columns_of_a_table(client: Caller, engine: str) -> None:
    number, text, price, ok = metadata(client, "SELECT id, name AS label, price, ok FROM t")
    assert [number[key] for key in ("name", "tableName", "isAutoIncrement", "nullable")] == ["id", "t", True, 0]
    assert [text[key] for key in ("label", "tableName", "nullable", "precision")] == ["label", "t", 0, 20]
    assert text["name"] == ("label" if engine == "aurora-postgresql" else "name")
    assert [price[key] for key in ("precision", "scale", "isSigned", "nullable")] == [10, 2, True, 1]
    assert ok["type"] == -7
    names = {
        "sqlite": ["INTEGER", "VARCHAR", "DECIMAL", "BOOLEAN"],
        "aurora-mysql": ["INT", "VARCHAR", "DECIMAL", "TINYINT"],
        "aurora-postgresql": ["serial", "varchar", "numeric", "bool"],
    }
    assert [column["typeName"] for column in (number, text, price, ok)] == names[engine]


def test_metadata_follows_the_schema(client: Caller) -> None:
    before = metadata(client, "SELECT * FROM t")
    client.execute("ALTER TABLE t ADD COLUMN note VARCHAR(5)")
    assert [column["label"] for column in metadata(client, "SELECT * FROM t")] == [
        *(column["label"] for column in before),
        "note",
    ]


def test_metadata_only_for_rows(client: Caller) -> None:
    result = client.execute("INSERT INTO t (name) VALUES ('a')", includeResultMetadata=True)
    assert "columnMetadata" not in result
    assert "records" not in result


def test_metadata_without_rows(client: Caller) -> None:
    result = client.execute("SELECT id FROM t", includeResultMetadata=True)
    assert result["records"] == []
    assert len(result["columnMetadata"]) == 1


POSTGRESQL = """
    smallint: int2 5, int: int4 4, bigint: int8 -5, real: float4 7, double precision: float8 8, numeric(5.1): numeric 2,
    text: text 12, varchar(9): varchar 12, char(3): bpchar 1, date: date 91, time: time 92, timestamp: timestamp 93,
    timestamptz: timestamptz 93, boolean: bool -7, json: json 1111, jsonb: jsonb 1111, uuid: uuid 1111, bytea: bytea -2,
    interval: interval 1111, bigserial: bigserial -5
"""
MYSQL = """
    TINYINT: TINYINT -6, SMALLINT: SMALLINT 5, MEDIUMINT: MEDIUMINT 4, INT: INT 4, BIGINT: BIGINT -5, FLOAT: FLOAT 7,
    INT UNSIGNED: INT UNSIGNED 4, DOUBLE: DOUBLE 8, DECIMAL(5.1): DECIMAL 3, TEXT: TEXT -1, CHAR(3): CHAR 1,
    VARCHAR(9): VARCHAR 12, DATE: DATE 91, TIME: TIME 92, DATETIME: DATETIME 93, TIMESTAMP: TIMESTAMP 93,
    BOOLEAN: TINYINT -7, JSON: JSON -1, BLOB: BLOB -4, VARBINARY(9): VARBINARY -3, BINARY(3): BINARY -2,
    ENUM('x'): CHAR 1
"""


@pytest.mark.parametrize(("engine", "types"), [("aurora-postgresql", POSTGRESQL), ("aurora-mysql", MYSQL)])
def test_types_are_those_of_jdbc(clients: Callable[[str], Caller], engine: str, types: str) -> None:
    client = clients(engine)
    columns = [tuple(item.strip().replace(".", ", ").split(": ")) for item in types.split(",")]
    client.execute(f"CREATE TABLE u ({', '.join(f'c{at} {name}' for at, (name, _) in enumerate(columns))})")
    assert [f"{name} {number}" for name, number in kinds(client, "SELECT * FROM u")] == [type for _, type in columns]


EXPRESSIONS = "SELECT *, id + 1, price * 2, price * 2, count(*) OVER (), 'x', 1.50, name || 'x', NOT ok, :p FROM t"


@pytest.mark.parametrize(
    ("engine", "types"),
    [
        ("aurora-postgresql", "serial varchar numeric bool int4 numeric numeric int8 text numeric text bool int8"),
        ("aurora-mysql", "INT VARCHAR DECIMAL TINYINT BIGINT DECIMAL DECIMAL BIGINT VARCHAR DECIMAL INT INT BIGINT"),
    ],
)
def test_expressions_have_types(clients: Callable[[str], Caller], engine: str, types: str) -> None:
    client = clients(engine)
    client.execute("INSERT INTO t (name, price, ok) VALUES ('a', 1.5, TRUE)")
    sql = EXPRESSIONS
    result = client.execute(sql, {"p": 7}, includeResultMetadata=True)
    assert [column["typeName"] for column in result["columnMetadata"]] == types.split()
    numbers = result["records"][0][4:8]
    assert numbers == [{"longValue": 2}, {"stringValue": "3.00"}, {"stringValue": "3.00"}, {"longValue": 1}]
    assert result["records"][0][9] == {"stringValue": "1.50"}


def test_types_of_sqlite(clients: Callable[[str], Caller]) -> None:
    client = clients("sqlite")
    client.execute("CREATE TABLE u (a BIGINT, b CLOB, c FLOAT, d BLOB, e DATETIME, f)")
    client.execute("INSERT INTO u VALUES (1, 'b', 1, x'00', '2024-01-01 00:00:00', 7)")
    names = [("BIGINT", -5), ("CLOB", 12), ("FLOAT", 8), ("BLOB", -2), ("DATETIME", 93), ("INTEGER", 4)]
    assert kinds(client, "SELECT * FROM u") == names
    assert client.rows("SELECT * FROM u") == [[1, "b", 1.0, b"\0", "2024-01-01 00:00:00", 7]]
    assert kinds(client, "SELECT 1, 1.5, 'x', x'00', NULL") == [
        *(("INTEGER", 4), ("REAL", 8), ("TEXT", 12), ("BLOB", -2), ("NULL", 0)),
    ]


def test_moments_of_postgresql_have_no_offset(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-postgresql")
    client.execute("CREATE TABLE u (a timestamp, b timestamptz, c timestamp)")
    client.execute("INSERT INTO u VALUES ('2024-01-01 10:00:00.120', '2024-01-01 10:00:00+02', '2024-01-01')")
    assert client.rows("SELECT * FROM u") == [["2024-01-01 10:00:00.12", "2024-01-01 08:00:00", "2024-01-01 00:00:00"]]


# --- changes ----------------------------------------------------------------------------------------------------------
def test_returning_has_types(client: Caller, engine: str) -> None:
    if engine == "aurora-mysql":
        pytest.skip("MySQL has no RETURNING")
    result = client.execute(
        "INSERT INTO t (name, price, ok) VALUES ('a', 1.5, TRUE) RETURNING id, price, ok", includeResultMetadata=True
    )
    assert result["records"] == [[{"longValue": 1}, {"stringValue": "1.50"}, {"booleanValue": True}]]
    assert [column["label"] for column in result["columnMetadata"]] == ["id", "price", "ok"]
    assert [column["tableName"] for column in result["columnMetadata"]] == ["t", "t", "t"]


def test_number_of_changed_rows(filled: Caller) -> None:
    assert filled.execute("UPDATE t SET name = 'x' WHERE id < 3")["numberOfRecordsUpdated"] == 2
    assert filled.execute("DELETE FROM t")["numberOfRecordsUpdated"] == 3
    assert filled.execute("CREATE TABLE u (id INT)")["numberOfRecordsUpdated"] == 0


def test_generated_numbers(client: Caller, engine: str) -> None:
    def numbers(sql: str) -> list[int]:
        return [field["longValue"] for field in client.execute(sql)["generatedFields"]]

    is_numbered = engine != "aurora-postgresql"
    assert numbers("INSERT INTO t (name) VALUES ('a')") == ([1] if is_numbered else [])
    assert numbers("INSERT INTO t (name) VALUES ('b'), ('c')") == ([2, 3] if is_numbered else [])
    assert numbers("UPDATE t SET name = 'x'") == []
    client.execute("CREATE TABLE plain (id INT, name VARCHAR(5))")
    assert numbers("INSERT INTO plain VALUES (1, 'a')") == []
    batch = client.batch("INSERT INTO t (name) VALUES (:n)", {"n": "d"}, {"n": "e"})
    expected: list[dict[str, Any]] = [{"generatedFields": [{"longValue": 4}]}, {"generatedFields": [{"longValue": 5}]}]
    assert batch == {"updateResults": expected if is_numbered else [{"generatedFields": []}] * 2}
