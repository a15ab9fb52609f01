"""The requests of Terraform's ``aws_rds_cluster`` and ``aws_rds_cluster_instance``, replayed in their order."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from clusterdb.server import Running, session
from tests.server.rds.helpers import MASTER

TAGS = [{"Key": "Environment", "Value": "test"}]


def read(rds: Any, name: str) -> dict[str, Any]:
    """A refresh of a cluster: the cluster itself, then its global cluster; tags come from ``TagList``."""
    (found,) = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    for page in rds.get_paginator("describe_global_clusters").paginate(
        Filters=[{"Name": "db-cluster-id", "Values": [found["DBClusterArn"]]}]
    ):
        assert page["GlobalClusters"] == []
    for member in (
        *("DBClusterArn", "DBClusterParameterGroup", "DBSubnetGroup", "Endpoint", "Engine", "EngineMode"),
        *("EngineVersion", "HostedZoneId", "DbClusterResourceId", "Port", "PreferredBackupWindow", "MasterUsername"),
        *("PreferredMaintenanceWindow", "ReaderEndpoint", "StorageEncrypted", "BackupRetentionPeriod", "TagList"),
        *("CopyTagsToSnapshot", "DeletionProtection", "IAMDatabaseAuthenticationEnabled", "NetworkType"),
        *("VpcSecurityGroups", "AvailabilityZones", "DBClusterMembers", "AssociatedRoles", "HttpEndpointEnabled"),
    ):
        assert member in found, member
    result: dict[str, Any] = found
    return result


def wait_available(rds: Any, name: str) -> None:
    """The provider's own waiter: available, and nothing pending."""
    for page in rds.get_paginator("describe_db_clusters").paginate(DBClusterIdentifier=name):
        (found,) = page["DBClusters"]
        assert found["Status"] == "available"
        assert not found.get("PendingModifiedValues")


def destroy(rds: Any, name: str, **how: Any) -> None:
    rds.delete_db_cluster(DBClusterIdentifier=name, DeleteAutomatedBackups=True, **how)
    with pytest.raises(ClientError, match="DBClusterNotFoundFault"):
        rds.describe_db_clusters(DBClusterIdentifier=name)


def test_create_clone_read_modify_destroy(server: Running) -> None:
    sts, rds = (session(server).client(service) for service in ("sts", "rds"))
    assert sts.get_caller_identity()["Account"] == "123456789012"

    # resource "aws_rds_cluster" "prod", resource "aws_rds_cluster_instance" "prod"
    rds.create_db_cluster(
        DBClusterIdentifier="prod",
        Engine="aurora-mysql",
        EngineMode="provisioned",
        CopyTagsToSnapshot=False,
        DeletionProtection=False,
        Tags=TAGS,
        DatabaseName="app",
        **MASTER,
    )
    wait_available(rds, "prod")
    assert read(rds, "prod")["TagList"] == TAGS
    rds.create_db_instance(
        DBInstanceIdentifier="prod-0",
        DBClusterIdentifier="prod",
        Engine="aurora-mysql",
        DBInstanceClass="db.r6g.large",
        PromotionTier=0,
        PubliclyAccessible=False,
        AutoMinorVersionUpgrade=True,
        CopyTagsToSnapshot=False,
        Tags=TAGS,
    )
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier="prod-0")["DBInstances"]
    assert (instance["DBInstanceStatus"], instance["TagList"]) == ("available", TAGS)

    # resource "aws_rds_cluster" "dev" { restore_to_point_in_time { restore_type = "copy-on-write" } }
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="dev",
        SourceDBClusterIdentifier="prod",
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
        CopyTagsToSnapshot=True,
        DeletionProtection=False,
        Tags=TAGS,
    )
    wait_available(rds, "dev")
    rds.modify_db_cluster(DBClusterIdentifier="dev", ApplyImmediately=True, BackupRetentionPeriod=2)
    wait_available(rds, "dev")
    found = read(rds, "dev")
    assert (found["BackupRetentionPeriod"], found["CopyTagsToSnapshot"], found["TagList"]) == (2, True, TAGS)

    # plan without changes, then an update
    before, after = read(rds, "dev"), read(rds, "dev")
    for shape in (before, after):
        shape.pop("LatestRestorableTime")
    assert before == after
    rds.enable_http_endpoint(ResourceArn=found["DBClusterArn"])
    rds.modify_db_cluster(DBClusterIdentifier="dev", ApplyImmediately=True, PreferredBackupWindow="03:00-04:00")
    rds.add_tags_to_resource(ResourceName=found["DBClusterArn"], Tags=[{"Key": "Owner", "Value": "me"}])
    rds.remove_tags_from_resource(ResourceName=found["DBClusterArn"], TagKeys=["Environment"])
    found = read(rds, "dev")
    assert (found["HttpEndpointEnabled"], found["PreferredBackupWindow"]) == (True, "03:00-04:00")
    assert found["TagList"] == [{"Key": "Owner", "Value": "me"}]

    # destroy
    destroy(rds, "dev", SkipFinalSnapshot=True)
    with pytest.raises(ClientError, match="InvalidDBClusterStateFault"):
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier="prod-0", SkipFinalSnapshot=True)
    destroy(rds, "prod", SkipFinalSnapshot=False, FinalDBSnapshotIdentifier="prod-final")
    assert rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier="prod-final")["DBClusterSnapshots"]
