"""The fixtures of the pytest plugin, as a user's test has them."""

from __future__ import annotations

from typing import Any

from clusterdb.server import Running


def test_the_session_calls_the_server(clusterdb_server: Running, clusterdb_aws: Any) -> None:
    clusterdb_server.store.create_cluster("prod", engine="aurora-mysql")
    rds = clusterdb_aws.client("rds")
    assert [found["DBClusterIdentifier"] for found in rds.describe_db_clusters()["DBClusters"]] == ["prod"]


def test_another_test_has_another_store(clusterdb_aws: Any) -> None:
    assert clusterdb_aws.client("rds").describe_db_clusters()["DBClusters"] == []
