"""boto3 on a clone of every engine: the calls, the types and the exceptions of its model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.server.clients.served import REGION, SECRET, Served
from tests.server.data.calling import ENGINES, KEYS

Serve = Callable[..., Served]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(serve: Serve, engine: str) -> Served:
    """A server with a clone of an engine."""
    photo = "BYTEA" if engine == "aurora-postgresql" else "BLOB"
    table = f"CREATE TABLE items (id {KEYS[engine]}, name VARCHAR(20) NOT NULL, price DECIMAL(10, 2), photo {photo})"
    return serve(engine, table, "INSERT INTO items (name, price) VALUES ('apple', 1.5)")


@pytest.fixture
def client(served: Served) -> Any:
    """A client that does not retry."""
    return boto3.client(
        "rds-data",
        endpoint_url=served.url,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"max_attempts": 0}),
    )


@pytest.fixture
def where(served: Served) -> dict[str, str]:
    """The cluster and the secret."""
    return {"resourceArn": served.environment["RESOURCE_ARN"], "secretArn": SECRET}


def test_statements(client: Any, where: dict[str, str], served: Served) -> None:
    inserted = client.execute_statement(
        sql="INSERT INTO items (name, price, photo) VALUES (:name, :price, :photo)",
        parameters=[
            {"name": "name", "value": {"stringValue": "pear"}},
            {"name": "price", "value": {"stringValue": "2.50"}, "typeHint": "DECIMAL"},
            {"name": "photo", "value": {"blobValue": b"\0\xff"}},
        ],
        **where,
    )
    assert inserted["numberOfRecordsUpdated"] == 1
    result = client.execute_statement(sql="SELECT * FROM items ORDER BY id", includeResultMetadata=True, **where)
    assert result["records"] == [
        [{"longValue": 1}, {"stringValue": "apple"}, {"stringValue": "1.50"}, {"isNull": True}],
        [{"longValue": 2}, {"stringValue": "pear"}, {"stringValue": "2.50"}, {"blobValue": b"\0\xff"}],
    ]
    assert [column["label"] for column in result["columnMetadata"]] == ["id", "name", "price", "photo"]
    assert served.rows("SELECT count(*) FROM items", "prod") == [(1,)]


def test_transactions_and_batches(client: Any, where: dict[str, str], served: Served) -> None:
    begun = client.begin_transaction(database="shop", **where)["transactionId"]
    sets = [[{"name": "n", "value": {"stringValue": name}}] for name in "abc"]
    batch = client.batch_execute_statement(
        sql="INSERT INTO items (name) VALUES (:n)", parameterSets=sets, transactionId=begun, **where
    )
    assert len(batch["updateResults"]) == 3
    assert served.rows("SELECT count(*) FROM items") == [(1,)]
    committed = client.commit_transaction(transactionId=begun, **where)
    assert committed["transactionStatus"] == "Transaction Committed"
    assert served.rows("SELECT count(*) FROM items") == [(4,)]
    begun = client.begin_transaction(**where)["transactionId"]
    client.execute_statement(sql="DELETE FROM items", transactionId=begun, **where)
    assert client.rollback_transaction(transactionId=begun, **where)["transactionStatus"] == "Rollback Complete"
    assert served.rows("SELECT count(*) FROM items") == [(4,)]
    with pytest.raises(client.exceptions.TransactionNotFoundException):
        client.commit_transaction(transactionId=begun, **where)


def test_exceptions(client: Any, where: dict[str, str], engine: str) -> None:
    with pytest.raises(client.exceptions.DatabaseErrorException, match="SQLState: "):
        client.execute_statement(sql="SELECT * FROM missing", **where)
    with pytest.raises(client.exceptions.BadRequestException, match="Cannot find parameter: x"):
        client.execute_statement(sql="SELECT :x", **where)
    elsewhere = {**where, "resourceArn": where["resourceArn"].replace("work", "nothing")}
    with pytest.raises(client.exceptions.HttpEndpointNotEnabledException):
        client.begin_transaction(**elsewhere)
    with pytest.raises(client.exceptions.ClientError, match="Multistatements aren't supported"):
        client.execute_statement(sql="SELECT 1; SELECT 2", **where)
    with pytest.raises(client.exceptions.BadRequestException):
        client.execute_sql(
            awsSecretStoreArn=SECRET, dbClusterOrInstanceArn=where["resourceArn"], sqlStatements="SELECT 1"
        )
    with pytest.raises(client.exceptions.ClientError):
        client.execute_statement(sql="SELECT 1", resultSetOptions={"decimalReturnType": "FLOAT"}, **where)


def test_transaction_open_when_the_server_ends(client: Any, where: dict[str, str]) -> None:
    """The server ends within the grace, and its store is clean: the fixture checks it."""
    begun = client.begin_transaction(**where)["transactionId"]
    client.execute_statement(sql="INSERT INTO items (name) VALUES ('a')", transactionId=begun, **where)
