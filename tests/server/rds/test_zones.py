"""Clusters with copies in three zones, as the RDS API and CloudWatch show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.server import Running, session


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("a", "b", "c"), ["us-east-1a", "us-east-1b", "us-east-1c"]),
        (("us-east-1d", "us-east-1e", "us-east-1f"), ["us-east-1d", "us-east-1e", "us-east-1f"]),
    ],
)
def test_clusters_are_in_the_zones_of_their_copies(
    memory_store: clusterdb.Store, rds: Any, tmp_path: Path, names: tuple[str, ...], shown: list[str]
) -> None:
    memory_store.create_cluster("prod", engine="aurora-mysql", zones={name: tmp_path / name for name in names})
    assert rds.describe_db_clusters()["DBClusters"][0]["AvailabilityZones"] == shown


def test_cloudwatch_counts_storage_nodes(memory_store: clusterdb.Store, server: Running, tmp_path: Path) -> None:
    prod = memory_store.create_cluster("prod", engine="aurora-mysql", zones={name: tmp_path / name for name in "abc"})
    prod.lose_zone("c")
    metrics = session(server).client("cloudwatch").list_metrics(MetricName="StorageNodesAvailable")["Metrics"]
    assert [metric["Dimensions"] for metric in metrics] == [[{"Name": "DBClusterIdentifier", "Value": "prod"}]]
