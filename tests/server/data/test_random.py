"""Random inputs: an answer that botocore's parser takes, or an error of the model; never an internal one."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clusterdb
from clusterdb.server import Running, running, session
from tests.server.data.calling import ENGINES, SECRET, arn

MODEL = botocore.session.get_session().get_service_model("rds-data")
CODES = {shape.name for name in MODEL.operation_names for shape in MODEL.operation_model(name).error_shapes}
CODES |= {"ValidationException"}

names = st.sampled_from(["a", "b", "0", "1", "param_1", ""]) | st.text(max_size=5)
fields = st.one_of(
    st.fixed_dictionaries({"isNull": st.booleans()}),
    st.fixed_dictionaries({"booleanValue": st.booleans()}),
    st.fixed_dictionaries({"longValue": st.integers(-(2**63), 2**63 - 1)}),
    st.fixed_dictionaries({"doubleValue": st.floats(allow_nan=False)}),
    st.fixed_dictionaries({"stringValue": st.text(max_size=20)}),
    st.fixed_dictionaries({"blobValue": st.binary(max_size=20)}),
    st.fixed_dictionaries(
        {"arrayValue": st.fixed_dictionaries({"longValues": st.lists(st.integers(0, 9), max_size=3)})}
    ),
)
hints = st.sampled_from(["JSON", "UUID", "TIMESTAMP", "DATE", "TIME", "DECIMAL"])
parameters = st.lists(st.fixed_dictionaries({"name": names, "value": fields}, optional={"typeHint": hints}), max_size=4)
statements = st.one_of(
    st.sampled_from(
        [
            *(
                "SELECT :a, :b",
                "SELECT * FROM t",
                "SELECT * FROM t WHERE n = :a OR x = :b",
                "DELETE FROM t WHERE n = :0",
            ),
            *("INSERT INTO t (n, x) VALUES (:a, :b)", "INSERT INTO t (x) VALUES (:1)", "UPDATE t SET n = :param_1"),
            *(
                "BEGIN",
                "COMMIT",
                "ROLLBACK",
                "SAVEPOINT s",
                "SELECT 1; SELECT 2",
                "SELECT",
                "'",
                "",
                ";",
                "-- only",
                "?",
            ),
            *("SELECT :a || :b", "SELECT count(*), max(n) FROM t", "SELECT CAST(:a AS DECIMAL(10, 2))", "SELECT NULL"),
        ]
    ),
    st.text(max_size=30),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "includeResultMetadata": st.booleans(),
        "continueAfterTimeout": st.booleans(),
        "formatRecordsAs": st.sampled_from(["NONE", "JSON"]),
        "resultSetOptions": st.fixed_dictionaries(
            {},
            optional={
                "decimalReturnType": st.sampled_from(["STRING", "DOUBLE_OR_LONG"]),
                "longReturnType": st.sampled_from(["STRING", "LONG"]),
            },
        ),
        "database": st.text(max_size=8),
        "schema": st.sampled_from(["", "public"]),
    },
)


@pytest.fixture(scope="module")
def served() -> Any:
    """A server with a cluster of every engine."""
    with clusterdb.open(":memory:") as store:
        for engine in ENGINES:
            store.create_cluster(engine, engine=engine)
        with running(store) as server:
            client = session(server).client("rds-data")
            for engine in ENGINES:
                sql = "CREATE TABLE t (n INT, x VARCHAR(50))"
                client.execute_statement(sql=sql, resourceArn=arn(server, engine), secretArn=SECRET)
            yield server, client


def answered(served: tuple[Running, Any], engine: str, action: str, **input: Any) -> dict[str, Any]:
    """The parsed answer, or nothing for an error of the model."""
    server, client = served
    where = {"resourceArn": arn(server, engine), "secretArn": SECRET}
    try:
        result: dict[str, Any] = getattr(client, action)(**where, **input)
    except client.exceptions.ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (error.response["Error"]["Code"] in CODES, 400 <= status < 500) == (True, True), error
        return {}
    return result


lenient = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@lenient
@given(st.sampled_from(ENGINES), statements, parameters, options)
def test_statements(served: Any, engine: str, sql: str, values: list[dict[str, Any]], more: dict[str, Any]) -> None:
    result = answered(served, engine, "execute_statement", sql=sql, parameters=values, **more)
    for record in result.get("records", []):
        assert all(len(field) == 1 for field in record)
        if "columnMetadata" in result:
            assert len(record) == len(result["columnMetadata"])
    for column in result.get("columnMetadata", []):
        assert len(column) == 14
    if "formattedRecords" in result:
        json.loads(result["formattedRecords"])


@lenient
@given(st.sampled_from(ENGINES), statements, st.lists(parameters, max_size=3))
def test_batches(served: Any, engine: str, sql: str, sets: list[list[dict[str, Any]]]) -> None:
    result = answered(served, engine, "batch_execute_statement", sql=sql, parameterSets=sets)
    assert len(result.get("updateResults", sets)) == len(sets)


@lenient
@given(
    st.sampled_from(ENGINES),
    st.lists(st.tuples(statements, parameters), max_size=4),
    st.booleans(),
    st.text(max_size=5),
)
def test_transactions(served: Any, engine: str, steps: list[Any], is_committed: bool, id: str) -> None:
    begun = answered(served, engine, "begin_transaction")["transactionId"]
    for sql, values in steps:
        answered(served, engine, "execute_statement", sql=sql, parameters=values, transactionId=begun)
    answered(served, engine, "commit_transaction" if is_committed else "rollback_transaction", transactionId=begun)
    assert answered(served, engine, "rollback_transaction", transactionId=begun) == {}
    assert answered(served, engine, "commit_transaction", transactionId=id) == {}
