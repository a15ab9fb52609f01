"""Programs with published clients of the Data API, each on a clone of the engine that the client is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.clients.served import Served, node_program, python_program

pytestmark = pytest.mark.slow

Serve = Callable[..., Served]
MYSQL = (
    "CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) NOT NULL, price DECIMAL(10, 2), "
    "sold DATETIME, fresh BOOLEAN DEFAULT TRUE)",
    "INSERT INTO items (name, price) VALUES ('apple', 1.5)",
)
POSTGRESQL = (
    "CREATE TABLE items (id serial PRIMARY KEY, name VARCHAR(20) NOT NULL, price NUMERIC(10, 2), sold timestamp, "
    "fresh BOOLEAN DEFAULT TRUE, key uuid)",
    "INSERT INTO items (name, price) VALUES ('apple', 1.5)",
)
ITEMS = "SELECT name FROM items ORDER BY id"


@pytest.fixture
def mysql(serve: Serve) -> Served:
    return serve("aurora-mysql", *MYSQL)


@pytest.fixture
def postgresql(serve: Serve) -> Served:
    return serve("aurora-postgresql", *POSTGRESQL)


def names(served: Served) -> list[str]:
    """The names of the items of the clone; those of its source are what they were."""
    assert served.rows(ITEMS, "prod") == [("apple",)]
    return [name for (name,) in served.rows(ITEMS)]


def test_aurora_data_api_on_mysql(mysql: Served) -> None:
    shown = python_program("aurora_data_api_mysql.py", mysql)
    assert (shown["lastrowid"], shown["inserted"]) == (2, 1)
    assert shown["description"][1] == ["price", "Decimal"]
    assert shown["rows"] == [
        ["apple", "1.50", "None", "True"],
        ["pear", "2.50", "2024-02-29 12:30:00", "True"],
    ]
    assert shown["count"] == shown["count after rollback"] == 1502
    assert [name for name, _ in shown["errors"]] == ["ER_DUP_ENTRY", "ER_BAD_NULL_ERROR"]
    assert shown["errors"][0][1] == ("Duplicate entry '1' for key 'items.PRIMARY'; Error code: 1062; SQLState: 23000")
    assert len(names(mysql)) == 1502


def test_aurora_data_api_on_postgresql(serve: Serve) -> None:
    tags = "ALTER TABLE items ADD COLUMN tags text[]", "UPDATE items SET tags = ARRAY['red', 'a, b']"
    served = serve("aurora-postgresql", *POSTGRESQL, *tags)
    shown = python_program("aurora_data_api_postgresql.py", served)
    assert shown["id"] == 2
    kinds = [kind for _, kind in shown["description"]]
    assert kinds == ["str", "Decimal", "datetime", "bool", "uuid4", "str"]
    assert shown["rows"] == [
        ["apple", "1.50", "None", "True", "None", ["red", "a, b"]],
        ["pear", "2.50", "2024-02-29 12:30:00", "True", "00000000-0000-0000-0000-000000000007", "None"],
    ]
    assert shown["pages"] == [1500, 1, 1500, 2000]
    assert shown["errors"][0] == [
        "ER_UNDEF_TABLE",
        'ERROR: relation "missing" does not exist; Position: 15; SQLState: 42P01',
    ]
    assert shown["errors"][2] == [
        "ER_SYNTAX_ERR",
        'ERROR: syntax error at or near "SELEC"; Position: 1; SQLState: 42601',
    ]
    assert "SQLState: 23505" in shown["errors"][1][1]
    assert names(served) == ["apple", "pear"]


def test_sqlalchemy_on_postgresql(postgresql: Served) -> None:
    shown = python_program("sqlalchemy_postgresql.py", postgresql)
    assert shown["order"] == [
        *(1, "2024-02-29 12:30:15.250000", "2024-03-01", "12.50", False, {"gift": True, "notes": ["a", "b"]}),
        *("00000000-0000-0000-0000-000000000007", ["red", "a, b"], "happy", ["pear", "apple"]),
    ]
    assert (shown["paid"], shown["lines"], shown["prod"], shown["error"]) == (1, 2, [["apple"]], "DatabaseError")
    assert names(postgresql) == ["apple"]


def test_data_api_client_on_mysql(mysql: Served, tmp_path: Path) -> None:
    shown = node_program("data_api_client.cjs", mysql, tmp_path)
    assert shown["inserted"] == {"numberOfRecordsUpdated": 1, "insertId": 2}
    assert shown["batch"] == {"updateResults": [{"insertId": 3}, {"insertId": 4}]}
    assert shown["rows"] == [
        {"id": 1, "label": "apple", "price": "1.50", "sold": None, "fresh": True},
        {"id": 2, "label": "pear", "price": "2.50", "sold": "2024-02-29T12:30:00.000Z", "fresh": True},
    ]
    assert shown["updated"] == {"numberOfRecordsUpdated": 1}
    assert shown["transaction"] == [5, 1, "Transaction Committed"]
    assert shown["rolledBack"] == {"transactionStatus": "Rollback Complete"}
    code, message = shown["error"]
    assert (code, message.partition("; ")[2]) == ("DatabaseErrorException", "Error code: 1146; SQLState: 42S02")
    assert shown["missing"] == ["BadRequestException", "Cannot find parameter: missing"]
    assert shown["count"] == [{"n": 5}]
    assert names(mysql) == ["apple", "pear", "a", "b", "c"]


def test_drizzle_on_postgresql(postgresql: Served, tmp_path: Path) -> None:
    shown = node_program("drizzle.mjs", postgresql, tmp_path)
    assert shown["inserted"] == [
        {"id": 2, "price": "2.50", "fresh": True, "sold": "2024-02-29T12:30:00.250Z"},
        {"id": 3, "price": None, "fresh": True, "sold": None},
    ]
    assert shown["joined"] == [{"name": "pear", "body": {"a": [1]}, "day": "2024-02-29"}]
    assert shown["updated"] == [{"price": "3.00"}]
    assert shown["error"] == [
        "DatabaseErrorException",
        'ERROR: relation "missing" does not exist; Position: 15; SQLState: 42P01',
    ]
    assert shown["notes"] == [{"n": 1}]
    assert shown["raw"] == [{"name": "pear", "price": "3.00"}, {"name": "plum", "price": None}]
    assert shown["names"] == names(postgresql) == ["apple", "pear", "plum", "kept"]


ROWS = [
    {"id": 1, "label": "apple", "price": "1.50", "fresh": True, "sold": None},
    {"id": 2, "label": "pear", "price": "2.50", "fresh": True, "sold": None},
]


class _WithEngine(Served):
    """Tells a program which engine it works on."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "ENGINE": "mysql" if "mysql" in self._engine() else "postgres"}

    def _engine(self) -> str:
        return self.store.cluster("work").settings.engine


def with_engine(served: Served) -> Served:
    return _WithEngine(served.url, served.store)


def _kysely(served: Served, tmp_path: Path) -> dict[str, Any]:
    shown: dict[str, Any] = node_program("kysely.mjs", with_engine(served), tmp_path)
    assert shown["rows"] == ROWS
    assert shown["updated"] == "1"
    assert shown["error"][0] == "DatabaseErrorException"
    assert shown["made"] == [{"id": 1, "note": "x"}]
    assert shown["count"] == {"n": 4}
    assert names(served) == ["apple", "pear", "a", "b"]
    return shown


def test_kysely_on_mysql(mysql: Served, tmp_path: Path) -> None:
    assert _kysely(mysql, tmp_path)["inserted"] == "2"


def test_kysely_on_postgresql(postgresql: Served, tmp_path: Path) -> None:
    shown = _kysely(postgresql, tmp_path)
    assert shown["inserted"] == {"id": 2, "name": "pear", "price": "2.50", "fresh": True}
    assert [table[:3] for table in shown["tables"]] == [["public", "items", False], ["public", "made", False]]
    assert shown["tables"][0][3][:3] == [
        ["id", "int4", False, True],
        ["name", "varchar", False, False],
        ["price", "numeric", True, False],
    ]


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_typeorm(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> None:
    served: Served = request.getfixturevalue(engine)
    shown = node_program("typeorm.cjs", with_engine(served), tmp_path)
    assert shown["saved"] == [2, True]
    assert shown["read"] == ["pear", "2.50", "2024-02-29T12:30:00.000Z", True]
    assert shown["list"] == ["apple", "pear"]
    assert shown["error"][0] == "DatabaseErrorException"
    assert (shown["affected"], shown["count"]) == (1, 3)
    assert names(served) == ["apple", "pear", "kept"]
