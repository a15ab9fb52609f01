"""Instances, snapshots, endpoints, backtracks, backups, tags, roles, groups, events and offers, through boto3."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import clusterdb
from tests.server.rds.helpers import add_instance, create, describe, refused


# --- instances --------------------------------------------------------------------------------------------------------
def test_instances_are_those_of_the_store(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod", instances=0, engine="aurora-mysql", DatabaseName="app")
    created = add_instance(
        rds, "prod", "One", engine="aurora-mysql", PromotionTier=3, Tags=[{"Key": "a", "Value": "b"}]
    )
    assert (created["DBInstanceIdentifier"], created["DBInstanceStatus"]) == ("one", "creating")
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier="one")
    add_instance(rds, "prod", "two", engine="aurora-mysql")
    found = rds.describe_db_instances(DBInstanceIdentifier=created["DBInstanceArn"])["DBInstances"][0]
    assert (found["DBClusterIdentifier"], found["PromotionTier"], found["DBName"]) == ("prod", 3, "app")
    assert found["Endpoint"]["Port"] == 3306 and found["Endpoint"]["Address"].startswith("one.")
    assert found["TagList"] == [{"Key": "a", "Value": "b"}]
    assert [(instance.name, instance.role) for instance in memory_store.cluster("prod").instances()] == [
        ("one", "writer"),
        ("two", "reader"),
    ]
    members = {
        member["DBInstanceIdentifier"]: member["IsClusterWriter"]
        for member in describe(rds, "prod")["DBClusterMembers"]
    }
    assert members == {"one": True, "two": False}
    listed = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": ["prod"]}])["DBInstances"]
    assert [instance["DBInstanceIdentifier"] for instance in listed] == ["one", "two"]


def test_instances_are_modified_renamed_rebooted_and_deleted(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod", instances=2)
    rds.create_db_cluster_endpoint(
        DBClusterIdentifier="prod", DBClusterEndpointIdentifier="ep", EndpointType="ANY", StaticMembers=["prod-2"]
    )
    changed = rds.modify_db_instance(
        DBInstanceIdentifier="prod-2",
        NewDBInstanceIdentifier="Better",
        PromotionTier=7,
        DBInstanceClass="db.r7g.xlarge",
        CACertificateIdentifier="rds-ca-ecc384-g1",
        ApplyImmediately=True,
    )["DBInstance"]
    assert (changed["DBInstanceIdentifier"], changed["PromotionTier"]) == ("better", 7)
    assert (changed["DBInstanceClass"], changed["CACertificateIdentifier"]) == ("db.r7g.xlarge", "rds-ca-ecc384-g1")
    endpoints = rds.describe_db_cluster_endpoints(DBClusterEndpointIdentifier="ep")["DBClusterEndpoints"]
    assert endpoints[0]["StaticMembers"] == ["better"]
    connection = memory_store.cluster("prod").connect()
    assert rds.reboot_db_instance(DBInstanceIdentifier="prod-1")["DBInstance"]["DBInstanceStatus"] == "rebooting"
    with pytest.raises(Exception, match="prod-1"):
        connection.execute("SELECT * FROM sqlite_schema").fetchall()
    connection.close()
    assert memory_store.cluster("prod").instances()[0].name == "prod-1"
    assert rds.delete_db_instance(DBInstanceIdentifier="prod-1")["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert [instance.name for instance in memory_store.cluster("prod").instances()] == ["better"]
    with pytest.raises(rds.exceptions.DBInstanceNotFoundFault):
        rds.describe_db_instances(DBInstanceIdentifier="prod-1")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Engine": "aurora-mysql"}, "InvalidParameterCombination"),
        ({"DBInstanceClass": "huge"}, "InvalidParameterValue"),
        ({"PromotionTier": 16}, "InvalidParameterValue"),
        ({"DBInstanceIdentifier": "a_b"}, "InvalidParameterValue"),
        ({"DBInstanceIdentifier": "prod-1"}, "DBInstanceAlreadyExists"),
        ({"AvailabilityZone": "mars-1a"}, "InvalidParameterValue"),
        ({"MasterUsername": "me"}, "InvalidParameterCombination"),
    ],
)
def test_instances_that_aws_refuses(rds: Any, more: dict[str, Any], code: str) -> None:
    create(rds, "prod")
    values = {
        "DBInstanceIdentifier": "new",
        "DBClusterIdentifier": "prod",
        "Engine": "aurora-postgresql",
        "DBInstanceClass": "db.r6g.large",
    }
    with refused(code):
        rds.create_db_instance(**{**values, **more})
    with refused("DBClusterNotFoundFault", 404):
        rds.create_db_instance(**{**values, "DBClusterIdentifier": "none"})
    with refused("InvalidParameterCombination"):
        rds.create_db_instance(DBInstanceIdentifier="new", Engine="postgres", DBInstanceClass="db.r6g.large")


def test_a_cluster_has_up_to_fifteen_readers(rds: Any) -> None:
    create(rds, "prod", instances=16)
    with refused("InstanceQuotaExceeded"):
        add_instance(rds, "prod", "one-more")


# --- snapshots --------------------------------------------------------------------------------------------------------
def test_snapshots_are_taken_listed_copied_and_deleted(rds: Any, memory_store: clusterdb.Store) -> None:
    tags = [{"Key": "a", "Value": "b"}]
    arn = create(rds, "prod", Tags=tags, CopyTagsToSnapshot=True)["DBClusterArn"]
    taken = rds.create_db_cluster_snapshot(DBClusterIdentifier=arn, DBClusterSnapshotIdentifier="Snap")
    shape = taken["DBClusterSnapshot"]
    assert (shape["Status"], shape["PercentProgress"], shape["DBClusterSnapshotIdentifier"]) == ("creating", 0, "snap")
    assert (shape["Engine"], shape["MasterUsername"], shape["TagList"]) == ("aurora-postgresql", "admin", tags)
    rds.get_waiter("db_cluster_snapshot_available").wait(DBClusterSnapshotIdentifier="snap")
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier="snap")
    copied = rds.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=shape["DBClusterSnapshotArn"],
        TargetDBClusterSnapshotIdentifier="copy",
        CopyTags=True,
    )["DBClusterSnapshot"]
    assert copied["SourceDBClusterSnapshotArn"] == shape["DBClusterSnapshotArn"]
    assert (copied["Status"], copied["TagList"]) == ("available", tags)
    memory_store.cluster("prod").snapshot("by_python")
    names = [
        found["DBClusterSnapshotIdentifier"] for found in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    ]
    assert names == ["by_python", "copy", "snap"]
    for values, count in (
        ({"DBClusterIdentifier": "prod"}, 3),
        ({"DBClusterIdentifier": "none"}, 0),
        ({"SnapshotType": "automated"}, 0),
        ({"Filters": [{"Name": "engine", "Values": ["aurora-postgresql"]}]}, 3),
    ):
        assert len(rds.describe_db_cluster_snapshots(**values)["DBClusterSnapshots"]) == count
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="snap")
    rds.get_waiter("db_cluster_snapshot_deleted").wait(DBClusterSnapshotIdentifier="snap")
    with refused("DBClusterSnapshotNotFoundFault", 404):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="snap")
    with refused("InvalidParameterValue"):
        rds.describe_db_cluster_snapshots(SnapshotType="nonsense")


def test_snapshots_are_shared(rds: Any) -> None:
    create(rds, "prod")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier="snap")

    def accounts(reply: Any) -> list[str]:
        (attribute,) = reply["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
        assert attribute["AttributeName"] == "restore"
        return list(attribute["AttributeValues"])

    assert accounts(rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier="snap")) == []
    change = {"DBClusterSnapshotIdentifier": "snap", "AttributeName": "restore"}
    both = ["111122223333", "all"]
    assert accounts(rds.modify_db_cluster_snapshot_attribute(**change, ValuesToAdd=both)) == both
    assert accounts(rds.modify_db_cluster_snapshot_attribute(**change, ValuesToRemove=["all"])) == both[:1]
    assert accounts(rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier="snap")) == both[:1]
    with refused("InvalidParameterValue"):
        rds.modify_db_cluster_snapshot_attribute(**change, ValuesToAdd=["me"])


# --- endpoints --------------------------------------------------------------------------------------------------------
def test_custom_endpoints(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod", instances=3)
    created = rds.create_db_cluster_endpoint(
        DBClusterIdentifier="prod",
        DBClusterEndpointIdentifier="Reports",
        EndpointType="reader",
        StaticMembers=["prod-2", "prod-3"],
    )
    assert (created["Status"], created["CustomEndpointType"]) == ("creating", "READER")
    assert created["Endpoint"].startswith("reports.cluster-custom-")
    assert describe(rds, "prod")["CustomEndpoints"] == [created["Endpoint"]]
    listed = rds.describe_db_cluster_endpoints(DBClusterIdentifier="prod")["DBClusterEndpoints"]
    assert sorted(found["EndpointType"] for found in listed) == ["CUSTOM", "READER", "WRITER"]
    changed = rds.modify_db_cluster_endpoint(
        DBClusterEndpointIdentifier="reports", EndpointType="ANY", ExcludedMembers=["prod-1"]
    )
    assert (changed["StaticMembers"], changed["ExcludedMembers"]) == ([], ["prod-1"])
    (own,) = [found for found in memory_store.cluster("prod").endpoints() if found.kind == "CUSTOM"]
    assert own.members == ("prod-2", "prod-3")
    with refused("DBClusterEndpointAlreadyExistsFault"):
        rds.create_db_cluster_endpoint(
            DBClusterIdentifier="prod", DBClusterEndpointIdentifier="reports", EndpointType="ANY"
        )
    with refused("DBInstanceNotFound", 404):
        rds.modify_db_cluster_endpoint(DBClusterEndpointIdentifier="reports", StaticMembers=["none"])
    assert rds.delete_db_cluster_endpoint(DBClusterEndpointIdentifier="reports")["Status"] == "deleting"
    with refused("DBClusterEndpointNotFoundFault"):
        rds.delete_db_cluster_endpoint(DBClusterEndpointIdentifier="reports")


# --- the past ---------------------------------------------------------------------------------------------------------
def test_backtracks_rewind_and_are_listed(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod", engine="aurora-mysql", BacktrackWindow=3600)
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.execute("CREATE TABLE t (n INT)")
        connection.execute("INSERT INTO t VALUES (1)")
    time = describe(rds, "prod")["LatestRestorableTime"] + timedelta(milliseconds=1)
    while datetime.now(timezone.utc) <= time + timedelta(milliseconds=2):
        pass
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.execute("DELETE FROM t")
    reply = rds.backtrack_db_cluster(DBClusterIdentifier="prod", BacktrackTo=time)
    assert reply["Status"] == "PENDING"
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(1,)]
    (listed,) = rds.describe_db_cluster_backtracks(DBClusterIdentifier="prod")["DBClusterBacktracks"]
    assert (listed["Status"], listed["BacktrackIdentifier"]) == ("COMPLETED", reply["BacktrackIdentifier"])
    with refused("InvalidParameterValue"):
        rds.backtrack_db_cluster(DBClusterIdentifier="prod", BacktrackTo="2020-01-01T00:00:00Z")
    rds.backtrack_db_cluster(
        DBClusterIdentifier="prod", BacktrackTo="2020-01-01T00:00:00Z", UseEarliestTimeOnPointInTimeUnavailable=True
    )
    backtracks = rds.describe_db_cluster_backtracks(DBClusterIdentifier="prod")["DBClusterBacktracks"]
    assert len(backtracks) == 2 and backtracks[1]["BacktrackIdentifier"] == reply["BacktrackIdentifier"]
    with refused("DBClusterBacktrackNotFoundFault", 404):
        rds.describe_db_cluster_backtracks(DBClusterIdentifier="prod", BacktrackIdentifier="none")
    create(rds, "other")
    with refused("InvalidDBClusterStateFault"):
        rds.backtrack_db_cluster(DBClusterIdentifier="other", BacktrackTo=time)


def test_automated_backups_are_those_of_clusters_that_keep_a_past(rds: Any, memory_store: clusterdb.Store) -> None:
    found = create(rds, "prod", BackupRetentionPeriod=5)
    memory_store.create_cluster("plain")
    (backup,) = rds.describe_db_cluster_automated_backups()["DBClusterAutomatedBackups"]
    assert (backup["DBClusterArn"], backup["BackupRetentionPeriod"]) == (found["DBClusterArn"], 5)
    assert backup["RestoreWindow"].keys() == {"EarliestTime", "LatestTime"}
    with refused("DBClusterAutomatedBackupNotFoundFault", 404):
        rds.describe_db_cluster_automated_backups(DBClusterIdentifier="plain")


# --- tags, roles ------------------------------------------------------------------------------------------------------
def test_tags_of_every_resource(rds: Any, memory_store: clusterdb.Store) -> None:
    cluster = create(rds, "prod")
    snapshot = rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier="snap")
    endpoint = rds.create_db_cluster_endpoint(
        DBClusterIdentifier="prod", DBClusterEndpointIdentifier="ep", EndpointType="ANY"
    )
    group = rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="mine", DBParameterGroupFamily="aurora-mysql8.0", Description="-"
    )
    instance = rds.describe_db_instances(DBInstanceIdentifier="prod-1")["DBInstances"][0]
    arns = (
        cluster["DBClusterArn"],
        snapshot["DBClusterSnapshot"]["DBClusterSnapshotArn"],
        endpoint["DBClusterEndpointArn"],
        group["DBClusterParameterGroup"]["DBClusterParameterGroupArn"],
        instance["DBInstanceArn"],
    )
    for arn in arns:
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "2"}])
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["b", "none"])
        assert rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "2"}], arn
        with pytest.raises(Exception, match=r"not found|NotFound"):
            rds.list_tags_for_resource(ResourceName=f"{arn}x")
    assert memory_store.cluster("prod").settings.tags == {"a": "2"}
    assert describe(rds, "prod")["TagList"] == [{"Key": "a", "Value": "2"}]
    with refused("InvalidParameterValue"):
        rds.list_tags_for_resource(ResourceName="prod")
    with refused("InvalidParameterValue"):
        tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
        rds.add_tags_to_resource(ResourceName=arns[0], Tags=tags)


def test_roles(rds: Any) -> None:
    create(rds, "prod")
    arn = "arn:aws:iam::123456789012:role/load"
    rds.add_role_to_db_cluster(DBClusterIdentifier="prod", RoleArn=arn)
    assert describe(rds, "prod")["AssociatedRoles"] == [{"RoleArn": arn, "Status": "ACTIVE"}]
    with refused("DBClusterRoleAlreadyExists"):
        rds.add_role_to_db_cluster(DBClusterIdentifier="prod", RoleArn=arn)
    rds.remove_role_from_db_cluster(DBClusterIdentifier="prod", RoleArn=arn)
    with refused("DBClusterRoleNotFound", 404):
        rds.remove_role_from_db_cluster(DBClusterIdentifier="prod", RoleArn=arn)


# --- groups -----------------------------------------------------------------------------------------------------------
def test_cluster_parameter_groups(rds: Any) -> None:
    family = "aurora-mysql8.0"
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="Mine", DBParameterGroupFamily=family, Description="mine"
    )
    change = [{"ParameterName": "time_zone", "ParameterValue": "Asia/Seoul", "ApplyMethod": "immediate"}]
    reply = rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName="mine", Parameters=change)
    assert reply["DBClusterParameterGroupName"] == "mine"
    own = rds.describe_db_cluster_parameters(DBClusterParameterGroupName="mine", Source="user")["Parameters"]
    assert [(found["ParameterName"], found["ParameterValue"]) for found in own] == [("time_zone", "Asia/Seoul")]
    rds.copy_db_cluster_parameter_group(
        SourceDBClusterParameterGroupIdentifier="mine",
        TargetDBClusterParameterGroupIdentifier="copy",
        TargetDBClusterParameterGroupDescription="copy",
    )
    rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName="mine", ResetAllParameters=True)
    for name, count in (("mine", 0), ("copy", 1)):
        found = rds.describe_db_cluster_parameters(DBClusterParameterGroupName=name, Source="user")["Parameters"]
        assert len(found) == count
    create(rds, "prod", engine="aurora-mysql", DBClusterParameterGroupName="mine")
    assert describe(rds, "prod")["DBClusterParameterGroup"] == "mine"
    with refused("InvalidDBParameterGroupState"):
        rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="mine")
    with refused("InvalidDBParameterGroupState"):
        rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName=f"default.{family}")
    with refused("DBParameterGroupAlreadyExists"):
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName="mine", DBParameterGroupFamily=family, Description="mine"
        )
    with refused("InvalidParameterCombination"):
        create(rds, "other", DBClusterParameterGroupName="mine")
    rds.delete_db_cluster_parameter_group(DBClusterParameterGroupName="copy")
    with refused("DBParameterGroupNotFound", 404):
        rds.describe_db_cluster_parameters(DBClusterParameterGroupName="copy")
    names = [
        found["DBClusterParameterGroupName"]
        for found in rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    ]
    assert names == sorted(names) and {"mine", f"default.{family}"} <= set(names)
    defaults = rds.describe_engine_default_cluster_parameters(DBParameterGroupFamily=family)["EngineDefaults"]
    assert "time_zone" in {found["ParameterName"] for found in defaults["Parameters"]}


def test_subnet_groups(rds: Any) -> None:
    values = {"DBSubnetGroupName": "Nets", "DBSubnetGroupDescription": "-"}
    with refused("DBSubnetGroupDoesNotCoverEnoughAZs"):
        rds.create_db_subnet_group(**values, SubnetIds=["subnet-1"])
    rds.create_db_subnet_group(**values, SubnetIds=["subnet-1", "subnet-2"])
    create(rds, "prod", DBSubnetGroupName="nets")
    rds.modify_db_subnet_group(DBSubnetGroupName="nets", SubnetIds=["subnet-1", "subnet-3"])
    (found,) = rds.describe_db_subnet_groups(DBSubnetGroupName="nets")["DBSubnetGroups"]
    assert [subnet["SubnetIdentifier"] for subnet in found["Subnets"]] == ["subnet-1", "subnet-3"]
    with refused("InvalidDBSubnetGroupStateFault"):
        rds.delete_db_subnet_group(DBSubnetGroupName="nets")
    with refused("DBSubnetGroupNotFoundFault", 404):
        rds.describe_db_subnet_groups(DBSubnetGroupName="none")


# --- events, offers ---------------------------------------------------------------------------------------------------
def test_events_by_source_time_and_category(rds: Any) -> None:
    create(rds, "prod", instances=2)
    rds.failover_db_cluster(DBClusterIdentifier="prod")
    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier="snap")
    kinds = {event["SourceType"] for event in rds.describe_events()["Events"]}
    assert kinds == {"db-cluster", "db-instance", "db-cluster-snapshot"}
    own = rds.describe_events(SourceType="db-cluster", SourceIdentifier="prod", EventCategories=["failover"])["Events"]
    assert [event["EventCategories"] for event in own] == [["failover"]]
    assert own[0]["SourceArn"] == describe(rds, "prod")["DBClusterArn"]
    assert rds.describe_events(EndTime="2020-01-01T00:00:00Z")["Events"] == []
    with refused("InvalidParameterCombination"):
        rds.describe_events(SourceIdentifier="prod")
    with refused("InvalidParameterValue"):
        rds.describe_events(SourceType="nonsense")
    assert rds.describe_event_categories(SourceType="db-cluster")["EventCategoriesMapList"]


def test_offers(rds: Any) -> None:
    versions = list(rds.get_paginator("describe_db_engine_versions").paginate().search("DBEngineVersions[].Engine"))
    assert set(versions) == {"aurora", "aurora-mysql", "aurora-postgresql", "sqlite"}
    (default,) = rds.describe_db_engine_versions(Engine="aurora-mysql", DefaultOnly=True)["DBEngineVersions"]
    assert default["DBParameterGroupFamily"] == "aurora-mysql8.0"
    options = rds.describe_orderable_db_instance_options(Engine="aurora-mysql", DBInstanceClass="db.r6g.large")
    assert {option["DBInstanceClass"] for option in options["OrderableDBInstanceOptions"]} == {"db.r6g.large"}
    assert rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"] == []
    assert rds.describe_global_clusters()["GlobalClusters"] == []
    create(rds, "prod")
    quotas = {quota["AccountQuotaName"]: quota["Used"] for quota in rds.describe_account_attributes()["AccountQuotas"]}
    assert (quotas["DBClusters"], quotas["DBInstances"]) == (1, 1)
