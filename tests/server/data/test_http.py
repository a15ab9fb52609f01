"""The Data API over HTTP, with the RDS API's clusters: enabled endpoints, issued secrets, limits of a body."""

from __future__ import annotations

from typing import Any

import pytest

import clusterdb
from clusterdb.server import Running, running, session
from clusterdb.server.call import Serving
from clusterdb.server.data import DataApi, DataSettings, data_api
from tests.server.data.calling import SECRET, arn


def create(rds: Any, name: str, **options: Any) -> dict[str, Any]:
    """A cluster of the RDS API with one instance."""
    cluster: dict[str, Any] = rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="root", **options
    )["DBCluster"]
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-1",
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    return cluster


def test_endpoint_is_enabled_by_the_rds_api(server: Running, rds: Any) -> None:
    data = session(server).client("rds-data")
    where = {"resourceArn": arn(server, "shop"), "secretArn": SECRET}
    create(rds, "shop", MasterUserPassword="password")
    with pytest.raises(data.exceptions.HttpEndpointNotEnabledException):
        data.execute_statement(sql="SELECT 1", **where)
    rds.enable_http_endpoint(ResourceArn=where["resourceArn"])
    assert data.execute_statement(sql="SELECT 1", **where)["records"] == [[{"longValue": 1}]]
    rds.disable_http_endpoint(ResourceArn=where["resourceArn"])
    with pytest.raises(data.exceptions.HttpEndpointNotEnabledException):
        data.begin_transaction(**where)


def test_cluster_without_an_instance_has_no_database(server: Running, rds: Any) -> None:
    data = session(server).client("rds-data")
    rds.create_db_cluster(
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        MasterUsername="root",
        MasterUserPassword="password",
        EnableHttpEndpoint=True,
    )
    with pytest.raises(data.exceptions.DatabaseNotFoundException):
        data.execute_statement(sql="SELECT 1", resourceArn=arn(server, "shop"), secretArn=SECRET)


def test_strict_secrets(memory_store: clusterdb.Store) -> None:
    with running(memory_store, strict_secrets=True) as server:
        rds, data = session(server).client("rds"), session(server).client("rds-data")
        issued = create(rds, "shop", ManageMasterUserPassword=True, EnableHttpEndpoint=True)["MasterUserSecret"]
        create(rds, "other", ManageMasterUserPassword=True, EnableHttpEndpoint=True)
        where = {"sql": "SELECT 1", "secretArn": issued["SecretArn"]}
        assert data.execute_statement(resourceArn=arn(server, "shop"), **where)["records"] == [[{"longValue": 1}]]
        with pytest.raises(data.exceptions.InvalidSecretException):
            data.execute_statement(resourceArn=arn(server, "other"), **where)
        with pytest.raises(data.exceptions.InvalidSecretException):
            data.execute_statement(resourceArn=arn(server, "shop"), sql="SELECT 1", secretArn=SECRET)


def test_failover_and_backtrack_by_the_rds_api_end_transactions(server: Running, rds: Any) -> None:
    data = session(server).client("rds-data")
    create(rds, "shop", MasterUserPassword="password", EnableHttpEndpoint=True)
    rds.create_db_instance(
        DBInstanceIdentifier="two",
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    where = {"resourceArn": arn(server, "shop"), "secretArn": SECRET}
    data.execute_statement(sql="CREATE TABLE t (a int)", **where)
    begun = data.begin_transaction(**where)["transactionId"]
    data.execute_statement(sql="INSERT INTO t VALUES (1)", transactionId=begun, **where)
    rds.failover_db_cluster(DBClusterIdentifier="shop")
    with pytest.raises(data.exceptions.TransactionNotFoundException, match="failed over"):
        data.commit_transaction(transactionId=begun, **where)
    assert data.execute_statement(sql="SELECT * FROM t", **where)["records"] == []


def test_namespaces_are_separate(server: Running, memory_store: clusterdb.Store) -> None:
    memory_store.create_cluster("shop")
    data = session(server).client("rds-data", region_name="eu-west-1")
    with pytest.raises(data.exceptions.HttpEndpointNotEnabledException):
        data.execute_statement(sql="SELECT 1", resourceArn=arn(server, "shop"), secretArn=SECRET)


def test_settings_of_the_server(memory_store: clusterdb.Store) -> None:
    memory_store.create_cluster("shop")
    serving = Serving(read_only=True)
    assert data_api(serving).settings == DataSettings(read_only=True)
    with running(memory_store, serving=serving) as server:
        data = session(server).client("rds-data")
        with pytest.raises(data.exceptions.DatabaseErrorException, match="readonly"):
            data.execute_statement(sql="CREATE TABLE t (a)", resourceArn=arn(server, "shop"), secretArn=SECRET)


def test_body_of_four_mebibytes(memory_store: clusterdb.Store) -> None:
    memory_store.create_cluster("shop")
    serving = Serving()
    serving.kept("rds-data", lambda: DataApi(DataSettings(row_bytes_max=2**23, response_bytes_max=2**23)))
    with running(memory_store, serving=serving) as server:
        data = session(server).client("rds-data")
        where = {"resourceArn": arn(server, "shop"), "secretArn": SECRET, "sql": "SELECT length(:a)"}

        def send(size: int) -> Any:
            parameter = {"name": "a", "value": {"stringValue": "x" * size}}
            return data.execute_statement(parameters=[parameter], **where)["records"]

        assert send(2**22 - 2000) == [[{"longValue": 2**22 - 2000}]]
        with pytest.raises(data.exceptions.ClientError) as caught:
            send(2**22)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
