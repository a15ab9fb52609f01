"""Calls: clusters, secrets, limits, batches, and the texts of errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

import clusterdb
from clusterdb.server.call import Call
from clusterdb.server.data import DataApi, DataSettings
from clusterdb.server.faults import Fault
from clusterdb.store import Cluster
from tests.server.data.calling import PREFIX, SECRET, Caller

MYSQL = re.compile(r"Error code: (\d+); SQLState: (\w+)$")
POSTGRESQL = re.compile(r"ERROR: .*; SQLState: (\w+)$", re.DOTALL)


def fault(call: Callable[[], object]) -> Fault:
    with pytest.raises(Fault) as caught:
        call()
    return caught.value


class Gate:
    """Lets through what a test names."""

    def __init__(self, enabled: str = "", secret: str = "") -> None:
        self.enabled, self.secret = enabled, secret

    def endpoint_enabled(self, call: Call, cluster: Cluster) -> bool:
        return cluster.name == self.enabled

    def secret_is_issued(self, call: Call, cluster: Cluster, secret_arn: str) -> bool:
        return secret_arn == self.secret


# --- clusters and secrets ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arn",
    [
        f"{PREFIX}missing",
        f"{PREFIX}not valid",
        f"{PREFIX}shop".replace("eu-west-1", "us-east-1"),
        f"{PREFIX}shop".replace("123456789012", "210987654321"),
    ],
)
def test_cluster_that_is_not_there_has_no_endpoint(clients: Callable[[str], Caller], arn: str) -> None:
    client = clients("sqlite")
    for action in ("ExecuteStatement", "BeginTransaction"):
        error = fault(lambda action=action: client.call(action, resourceArn=arn, sql="SELECT 1"))  # type: ignore[misc]
        assert (error.code, error.status) == ("HttpEndpointNotEnabledException", 400)
        assert error.message == f"HttpEndpoint is not enabled for resource {arn}"


@pytest.mark.parametrize("arn", ["arn:aws:rds:eu-west-1", "arn:aws:rds:eu-west-1:123456789012:db:shop", "shop-cluster"])
def test_arn_of_something_else_is_refused(clients: Callable[[str], Caller], arn: str) -> None:
    error = fault(lambda: clients("sqlite").call("ExecuteStatement", resourceArn=arn, sql="SELECT 1"))
    assert error.code == "BadRequestException"


def test_endpoint_must_be_enabled(store: clusterdb.Store) -> None:
    store.create_cluster("shop")
    store.create_cluster("closed")
    api = DataApi(gatekeeper=Gate(enabled="shop"))
    assert Caller(api, store, "shop").rows("SELECT 1") == [[1]]
    assert fault(lambda: Caller(api, store, "closed").rows("SELECT 1")).code == "HttpEndpointNotEnabledException"
    assert fault(lambda: Caller(api, store, "closed").begin()).code == "HttpEndpointNotEnabledException"
    api.close()


def test_secrets_are_checked_if_they_are_strict(store: clusterdb.Store) -> None:
    store.create_cluster("shop")
    issued = f"{SECRET}-issued"
    api = DataApi(DataSettings(strict_secrets=True), gatekeeper=Gate("shop", issued))
    client = Caller(api, store, "shop")
    error = fault(lambda: client.execute("SELECT 1"))
    assert (error.code, error.status) == ("InvalidSecretException", 400)
    client.execute("SELECT 1", secretArn=issued)
    api.close()


def test_read_only_server_refuses_writes(store: clusterdb.Store, clients: Callable[[str], Caller]) -> None:
    clients("aurora-mysql")
    api = DataApi(DataSettings(read_only=True))
    client = Caller(api, store, "shop")
    assert client.rows("SELECT count(*) FROM t") == [[0]]
    assert "Error code: 1290" in fault(lambda: client.execute("INSERT INTO t (name) VALUES ('a')")).message
    api.close()


def test_schema_parameter_is_refused(client: Caller) -> None:
    error = fault(lambda: client.execute("SELECT 1", schema="public"))
    assert (error.code, error.message) == ("ValidationException", "The schema parameter isn't supported")


def test_any_database_is_accepted(client: Caller) -> None:
    assert client.rows("SELECT 1", database="anything") == [[1]]


def test_execute_sql_is_refused(client: Caller) -> None:
    error = fault(lambda: client.call("ExecuteSql", sqlStatements="SELECT 1"))
    assert (error.code, error.status) == ("BadRequestException", 400)


# --- statements -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;\n-- comment\nSELECT 2;", "DELETE FROM t; SELECT 1"])
def test_several_statements_are_refused(client: Caller, sql: str) -> None:
    error = fault(lambda: client.execute(sql))
    assert (error.code, error.message) == ("ValidationException", "Multistatements aren't supported.")


@pytest.mark.parametrize("sql", ["SELECT ';' ;", "SELECT ';' -- ;", "/* ; */ SELECT ';'"])
def test_semicolons_elsewhere_are_no_second_statement(client: Caller, sql: str) -> None:
    assert client.rows(sql) == [[";"]]


def test_empty_and_long_statements_are_refused(client: Caller) -> None:
    assert fault(lambda: client.execute(" \n")).code == "BadRequestException"
    assert fault(lambda: client.execute("SELECT " + "1 + " * 20_000 + "1")).code == "ValidationException"


def test_settings_of_a_statement_are_gone_with_it(clients: Callable[[str], Caller]) -> None:
    client = clients("aurora-mysql")
    client.execute("SET @a = 5")
    assert client.rows("SELECT @a") == [[None]]
    transaction = client.begin()
    transaction.execute("SET @a = 5")
    assert transaction.rows("SELECT @a") == [[5]]
    transaction.rollback()


# --- limits -----------------------------------------------------------------------------------------------------------
def test_response_may_have_one_mebibyte(clients: Callable[[str], Caller]) -> None:
    client = clients("sqlite")
    row = "x" * 2**16
    sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT :n) SELECT :row FROM c"
    assert len(client.rows(sql, {"n": 16, "row": row})) == 16
    error = fault(lambda: client.rows(sql, {"n": 17, "row": row}))
    assert error.code == "BadRequestException"
    assert error.message == "Database returned more than the allowed response size limit"
    assert len(client.execute(sql, {"n": 17, "row": row}, formatRecordsAs="JSON")["formattedRecords"]) > 2**20


def test_endless_response_ends(clients: Callable[[str], Caller]) -> None:
    client = clients("sqlite")
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
    assert "size limit" in fault(lambda: client.rows(endless)).message


def test_row_may_have_64_kibibytes(client: Caller) -> None:
    assert len(client.rows("SELECT :a, :b", {"a": "x" * 2**15, "b": "y" * 2**15})[0]) == 2
    error = fault(lambda: client.rows("SELECT :a", {"a": "é" * 2**15 + "x"}))
    assert error.message == "Packet for query is too large (65537 > 65536)"


def test_transaction_survives_a_response_that_is_too_large(client: Caller) -> None:
    transaction = client.begin()
    transaction.execute("INSERT INTO t (name) VALUES ('a')")
    assert fault(lambda: transaction.rows("SELECT :a", {"a": "x" * 2**17})).code == "BadRequestException"
    transaction.commit()
    assert client.rows("SELECT name FROM t") == [["a"]]


# --- batches ----------------------------------------------------------------------------------------------------------
def test_batch_is_all_or_nothing(client: Caller) -> None:
    error = fault(lambda: client.batch("INSERT INTO t (name) VALUES (:n)", {"n": "a"}, {"n": None}))
    assert error.code == "DatabaseErrorException"
    assert client.rows("SELECT * FROM t") == []


def test_batch_without_sets_runs_nothing(client: Caller) -> None:
    assert client.batch("INSERT INTO t (name) VALUES ('a')") == {"updateResults": []}
    assert client.rows("SELECT * FROM t") == []


def test_batch_with_an_empty_set_runs_once(client: Caller) -> None:
    assert len(client.batch("INSERT INTO t (name) VALUES ('a')", {})["updateResults"]) == 1
    assert client.rows("SELECT name FROM t") == [["a"]]


def test_batch_has_up_to_a_thousand_sets(client: Caller) -> None:
    sets: list[dict[str, Any]] = [{"n": f"n{at}"} for at in range(1001)]
    assert fault(lambda: client.batch("INSERT INTO t (name) VALUES (:n)", *sets)).code == "BadRequestException"
    assert len(client.batch("INSERT INTO t (name) VALUES (:n)", *sets[:1000])["updateResults"]) == 1000
    assert client.rows("SELECT count(*) FROM t") == [[1000]]


def test_batch_waits_for_another_writer(client: Caller, store: clusterdb.Store) -> None:
    """Also where its transaction has read before, in which SQLite itself does not wait."""
    client.execute("INSERT INTO t (name) VALUES ('a')")
    with closing(store.cluster("shop").connect()) as other:
        other.execute("BEGIN IMMEDIATE; UPDATE t SET name = 'b'")
        ending = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        ending.start()
        updates = [{"n": "c"}, {"n": "d"}]
        client.batch("UPDATE t SET name = :n WHERE name = (SELECT max(name) FROM t)", *updates)
        ending.join()
    assert client.rows("SELECT name FROM t") == [["d"]]


def test_batch_of_queries_is_refused(client: Caller) -> None:
    assert "A result was returned" in fault(lambda: client.batch("SELECT :n", {"n": 1})).message


# --- errors -----------------------------------------------------------------------------------------------------------
BAD = {
    "INSERT INTO t (id, name) VALUES (1, 'x')": (1062, "23000", "23505", 1555),
    "INSERT INTO t (name) VALUES (NULL)": (1048, "23000", "23502", 1299),
    "SELECT * FROM missing": (1146, "42S02", "42P01", 1),
    "SELECT missing FROM t": (1054, "42S22", "42703", 1),
}


@pytest.mark.parametrize("sql", BAD)
def test_errors_end_as_clients_parse_them(client: Caller, engine: str, sql: str) -> None:
    client.execute("INSERT INTO t (name) VALUES ('a')")
    error = fault(lambda: client.execute(sql))
    assert (error.code, error.status) == ("DatabaseErrorException", 400)
    number, state, postgresql, sqlite = BAD[sql]
    if engine == "aurora-postgresql":
        match = POSTGRESQL.match(error.message)
        assert match is not None and match[1] == postgresql
    else:
        match = MYSQL.search(error.message)
        assert match is not None
        assert match.groups() == (str(number if engine == "aurora-mysql" else sqlite), state)


def test_error_of_a_batch_has_the_same_form(clients: Callable[[str], Caller]) -> None:
    error = fault(lambda: clients("aurora-mysql").batch("INSERT INTO t (name) VALUES (:n)", {"n": None}))
    assert MYSQL.search(error.message) is not None
