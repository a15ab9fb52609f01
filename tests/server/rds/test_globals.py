"""Global clusters: kept and shown, with a primary cluster."""

from __future__ import annotations

from typing import Any

from tests.server.rds.helpers import create, describe, refused


def test_global_clusters_have_a_primary(rds: Any) -> None:
    arn = create(rds, "prod")["DBClusterArn"]
    made = rds.create_global_cluster(GlobalClusterIdentifier="World", SourceDBClusterIdentifier=arn)["GlobalCluster"]
    assert made["GlobalClusterArn"] == "arn:aws:rds::123456789012:global-cluster:world"
    assert [member["DBClusterArn"] for member in made["GlobalClusterMembers"]] == [arn]
    assert describe(rds, "prod")["GlobalClusterIdentifier"] == "world"
    rds.modify_global_cluster(
        GlobalClusterIdentifier="world", NewGlobalClusterIdentifier="earth", DeletionProtection=True
    )
    (shown,) = rds.describe_global_clusters()["GlobalClusters"]
    assert (shown["GlobalClusterIdentifier"], shown["GlobalClusterMembers"][0]["DBClusterArn"]) == ("earth", arn)
    with refused("InvalidGlobalClusterStateFault"):
        create(rds, "second", GlobalClusterIdentifier="earth")
    with refused("InvalidParameterCombination"):
        rds.delete_global_cluster(GlobalClusterIdentifier="earth")
    rds.modify_global_cluster(GlobalClusterIdentifier="earth", DeletionProtection=False)
    with refused("InvalidGlobalClusterStateFault"):
        rds.delete_global_cluster(GlobalClusterIdentifier="earth")
    rds.delete_db_instance(DBInstanceIdentifier="prod-1")
    with refused("InvalidDBClusterStateFault", match="part of a global cluster"):
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)
    rds.remove_from_global_cluster(GlobalClusterIdentifier="earth", DbClusterIdentifier=arn)
    rds.delete_global_cluster(GlobalClusterIdentifier="earth")
    rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)
    with refused("GlobalClusterNotFoundFault", 404):
        rds.describe_global_clusters(GlobalClusterIdentifier="earth")


def test_a_cluster_is_created_as_primary(rds: Any) -> None:
    rds.create_global_cluster(GlobalClusterIdentifier="world", Engine="aurora-postgresql")
    create(rds, "prod", GlobalClusterIdentifier="world")
    (shown,) = rds.describe_global_clusters(GlobalClusterIdentifier="world")["GlobalClusters"]
    assert len(shown["GlobalClusterMembers"]) == 1
    with refused("GlobalClusterAlreadyExistsFault"):
        rds.create_global_cluster(GlobalClusterIdentifier="world", Engine="aurora-mysql")
