"""Clusters through boto3: create, describe, modify, delete, status, the Data API's switch."""

from __future__ import annotations

from typing import Any

import pytest

import clusterdb
from clusterdb.server import Running, running, session
from tests.server.rds.helpers import MASTER, add_instance, clone, create, describe, refused


def test_create_answers_creating_and_the_next_describe_available(rds: Any) -> None:
    reply = rds.create_db_cluster(DBClusterIdentifier="Prod", Engine="aurora-mysql", DatabaseName="app", **MASTER)
    created = reply["DBCluster"]
    assert created["Status"] == "creating"
    assert created["DBClusterIdentifier"] == "prod"
    assert created["DBClusterMembers"] == []
    assert "EarliestRestorableTime" not in created
    record = describe(rds, "prod")
    assert record["Status"] == "available"
    assert record["DbClusterResourceId"] == created["DbClusterResourceId"]
    assert record["DBClusterArn"] == "arn:aws:rds:us-east-1:123456789012:cluster:prod"
    assert record["Endpoint"].startswith("prod.cluster-") and ".us-east-1.rds.amazonaws.com" in record["Endpoint"]
    assert (record["Port"], record["DatabaseName"], record["BackupRetentionPeriod"]) == (3306, "app", 1)
    assert record["EarliestRestorableTime"] <= record["LatestRestorableTime"]
    rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier=record["DBClusterArn"])


def test_clusters_of_other_interfaces_are_shown_with_defaults(rds: Any, memory_store: clusterdb.Store) -> None:
    source = memory_store.create_cluster("my_App", engine="aurora-mysql", tags={"a": "b"})
    source.clone("copy")
    shown = {record["DBClusterIdentifier"]: record for record in rds.describe_db_clusters()["DBClusters"]}
    assert shown.keys() == {"my_App", "copy"}
    assert shown["my_App"]["Engine"] == "aurora-mysql"
    assert shown["my_App"]["TagList"] == [{"Key": "a", "Value": "b"}]
    assert shown["my_App"]["CloneGroupId"] == shown["copy"]["CloneGroupId"] == source.clone_group_id
    assert describe(rds, "my_App")["CloneGroupId"] == source.clone_group_id
    assert shown["my_App"]["HttpEndpointEnabled"] is True


def test_deleting_in_another_interface_forgets_what_is_kept(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod", instances=0, DatabaseName="app")
    memory_store.cluster("prod").delete()
    memory_store.create_cluster("prod")
    assert "DatabaseName" not in describe(rds, "prod")
    assert memory_store.context.catalog.documents.all("DBCluster") == []


def test_kept_values_survive_the_server(disk_store: clusterdb.Store) -> None:
    with running(disk_store) as first:
        before = create(session(first).client("rds"), "prod", DatabaseName="app", PreferredBackupWindow="01:00-01:30")
    with running(disk_store) as second:
        after = describe(session(second).client("rds"), "prod")
    for shape in (before, after):
        shape.pop("LatestRestorableTime")
    assert after == before


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Engine": "oracle-ee"}, "InvalidParameterValue"),
        ({"DBClusterIdentifier": "a_b"}, "InvalidParameterValue"),
        ({"DBClusterIdentifier": "a--b"}, "InvalidParameterValue"),
        ({"DBClusterIdentifier": "1a"}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": 0}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"BacktrackWindow": 60}, "InvalidParameterCombination"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue"),
        ({"MasterUsername": ""}, "InvalidParameterValue"),
        ({"ManageMasterUserPassword": True}, "InvalidParameterCombination"),
        ({"EngineVersion": "nonsense"}, "InvalidParameterCombination"),
        ({"AvailabilityZones": ["mars-1a"]}, "InvalidParameterValue"),
        ({"PreferredBackupWindow": "25:00-26:00"}, "InvalidParameterValue"),
        ({"PreferredMaintenanceWindow": "someday"}, "InvalidParameterValue"),
        ({"Port": 80}, "InvalidParameterValue"),
        ({"EnableCloudwatchLogsExports": ["slowquery"]}, "InvalidParameterCombination"),
        ({"DatabaseName": "a b"}, "InvalidParameterValue"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidParameterValue"),
    ],
)
def test_create_refuses_what_aws_refuses(rds: Any, more: dict[str, Any], code: str) -> None:
    values = {"DBClusterIdentifier": "prod", "Engine": "aurora-postgresql", **MASTER, **more}
    with refused(code):
        rds.create_db_cluster(**values)
    assert rds.describe_db_clusters()["DBClusters"] == []


def test_create_refuses_unknown_groups_and_taken_names(rds: Any) -> None:
    with refused("DBClusterParameterGroupNotFound", 404):
        create(rds, "prod", DBClusterParameterGroupName="mine")
    with refused("DBSubnetGroupNotFoundFault", 404):
        create(rds, "prod", DBSubnetGroupName="mine")
    with refused("GlobalClusterNotFoundFault", 404):
        create(rds, "prod", GlobalClusterIdentifier="world")
    create(rds, "prod")
    with pytest.raises(rds.exceptions.DBClusterAlreadyExistsFault):
        create(rds, "PROD")


def test_describe_pages_filters_and_takes_arns(rds: Any, memory_store: clusterdb.Store) -> None:
    names = [f"c{number:03d}" for number in range(45)]
    for name in names:
        memory_store.create_cluster(name)
    pages = list(rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": 20}))
    assert [len(page["DBClusters"]) for page in pages] == [20, 20, 5]
    assert [record["DBClusterIdentifier"] for page in pages for record in page["DBClusters"]] == names
    arn = describe(rds, "c007")["DBClusterArn"]
    for criterion in (
        {"Name": "db-cluster-id", "Values": ["c007", "none"]},
        {"Name": "db-cluster-id", "Values": [arn]},
        {"Name": "db-cluster-resource-id", "Values": [describe(rds, arn)["DbClusterResourceId"]]},
    ):
        matching = rds.describe_db_clusters(Filters=[criterion])["DBClusters"]
        assert [record["DBClusterIdentifier"] for record in matching] == ["c007"]
    for values in (
        {"MaxRecords": 19},
        {"MaxRecords": 101},
        {"Marker": "x"},
        {"Filters": [{"Name": "no", "Values": []}]},
    ):
        with refused("InvalidParameterValue"):
            rds.describe_db_clusters(**values)
    with pytest.raises(rds.exceptions.DBClusterNotFoundFault):
        describe(rds, "none")
    with refused("InvalidParameterValue"):
        describe(rds, arn.replace("us-east-1", "eu-west-1"))
    with refused("InvalidParameterValue"):
        describe(rds, arn.replace(":cluster:", ":db:"))


def test_modify_changes_settings_and_what_is_kept(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod")
    changed = rds.modify_db_cluster(
        DBClusterIdentifier="prod",
        NewDBClusterIdentifier="Live",
        BackupRetentionPeriod=3,
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        PreferredMaintenanceWindow="Tue:05:00-Tue:05:30",
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]},
        EnableHttpEndpoint=True,
        ApplyImmediately=True,
    )["DBCluster"]
    assert changed["DBClusterIdentifier"] == "live"
    assert changed["BackupRetentionPeriod"] == memory_store.cluster("live").settings.backup_retention_days == 3
    assert (changed["DeletionProtection"], changed["CopyTagsToSnapshot"], changed["HttpEndpointEnabled"]) == (True,) * 3
    assert changed["PreferredMaintenanceWindow"] == "tue:05:00-tue:05:30"
    assert changed["EnabledCloudwatchLogsExports"] == ["postgresql"]
    create(rds, "other")
    with refused("DBClusterAlreadyExistsFault"):
        rds.modify_db_cluster(DBClusterIdentifier="live", NewDBClusterIdentifier="other")
    with refused("InvalidParameterCombination", match="AllowMajorVersionUpgrade"):
        rds.modify_db_cluster(DBClusterIdentifier="live", EngineVersion="17.4")
    rds.modify_db_cluster(DBClusterIdentifier="live", EngineVersion="17.4", AllowMajorVersionUpgrade=True)
    assert describe(rds, "live")["EngineVersion"] == "17.4"


def test_delete_wants_a_decision_on_the_final_snapshot_and_no_instances(rds: Any) -> None:
    create(rds, "prod", DeletionProtection=True)
    with refused("InvalidParameterCombination", match="FinalDBSnapshotIdentifier"):
        rds.delete_db_cluster(DBClusterIdentifier="prod")
    with refused("InvalidParameterCombination"):
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="last")
    with refused("InvalidParameterCombination", match="protected"):
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)
    rds.modify_db_cluster(DBClusterIdentifier="prod", DeletionProtection=False)
    with refused("InvalidDBClusterStateFault", match="instances"):
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier="prod-1")
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier="prod-1")
    reply = rds.delete_db_cluster(DBClusterIdentifier="prod", FinalDBSnapshotIdentifier="Last")
    assert reply["DBCluster"]["Status"] == "deleting"
    rds.get_waiter("db_cluster_deleted").wait(DBClusterIdentifier="prod")
    rds.get_waiter("db_cluster_snapshot_available").wait(DBClusterSnapshotIdentifier="last")
    with refused("DBClusterNotFoundFault", 404):
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)


def test_stop_and_start(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod")
    assert rds.stop_db_cluster(DBClusterIdentifier="prod")["DBCluster"]["Status"] == "stopping"
    assert describe(rds, "prod")["Status"] == memory_store.cluster("prod").status == "stopped"
    for verb in (rds.stop_db_cluster, rds.reboot_db_cluster, rds.failover_db_cluster):
        with refused("InvalidDBClusterStateFault", match="is not currently in the available state"):
            verb(DBClusterIdentifier="prod")
    assert rds.start_db_cluster(DBClusterIdentifier="prod")["DBCluster"]["Status"] == "starting"
    with refused("InvalidDBClusterStateFault"):
        rds.start_db_cluster(DBClusterIdentifier="prod")
    assert rds.reboot_db_cluster(DBClusterIdentifier="prod")["DBCluster"]["Status"] == "rebooting"


def test_failover_promotes_by_tier_or_as_told(rds: Any, memory_store: clusterdb.Store) -> None:
    create(rds, "prod")
    with refused("InvalidDBClusterStateFault"):
        rds.failover_db_cluster(DBClusterIdentifier="prod")
    add_instance(rds, "prod", "prod-2", PromotionTier=5)
    add_instance(rds, "prod", "prod-3", PromotionTier=0)
    reply = rds.failover_db_cluster(DBClusterIdentifier="prod")["DBCluster"]
    assert reply["Status"] == "failing-over"
    assert memory_store.cluster("prod").instances()[0].name == "prod-3"
    rds.failover_db_cluster(DBClusterIdentifier="prod", TargetDBInstanceIdentifier="prod-2")
    writers = [
        member["DBInstanceIdentifier"]
        for member in describe(rds, "prod")["DBClusterMembers"]
        if member["IsClusterWriter"]
    ]
    assert writers == ["prod-2"]
    with refused("InvalidParameterValue"):
        rds.failover_db_cluster(DBClusterIdentifier="prod", TargetDBInstanceIdentifier="none")
    with refused("InvalidDBInstanceState"):
        rds.failover_db_cluster(DBClusterIdentifier="prod", TargetDBInstanceIdentifier="prod-2")


def test_data_apis_switch(rds: Any) -> None:
    arn = create(rds, "prod")["DBClusterArn"]
    assert describe(rds, "prod")["HttpEndpointEnabled"] is False
    assert rds.enable_http_endpoint(ResourceArn=arn)["HttpEndpointEnabled"] is True
    assert describe(rds, "prod")["HttpEndpointEnabled"] is True
    assert rds.disable_http_endpoint(ResourceArn=arn)["HttpEndpointEnabled"] is False
    with refused("ResourceNotFoundFault", 404):
        rds.enable_http_endpoint(ResourceArn=f"{arn}2")


def test_managed_passwords_have_a_secret(rds: Any) -> None:
    rds.create_db_cluster(
        DBClusterIdentifier="prod", Engine="aurora-mysql", MasterUsername="me", ManageMasterUserPassword=True
    )
    secret = describe(rds, "prod")["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    assert secret["SecretArn"].startswith("arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-")
    rds.modify_db_cluster(DBClusterIdentifier="prod", ManageMasterUserPassword=False, MasterUserPassword="secret99")
    assert "MasterUserSecret" not in describe(rds, "prod")


def test_express_configuration_comes_with_an_instance(rds: Any) -> None:
    rds.create_db_cluster(DBClusterIdentifier="prod", Engine="aurora-postgresql", WithExpressConfiguration=True)
    assert [member["DBInstanceIdentifier"] for member in describe(rds, "prod")["DBClusterMembers"]] == [
        "prod-instance-1"
    ]


def test_accounts_and_regions_are_separate(server: Running, memory_store: clusterdb.Store) -> None:
    import boto3

    def client(account: str, region: str) -> Any:
        return boto3.client(
            "rds", region, endpoint_url=server.url, aws_access_key_id=account, aws_secret_access_key="x"
        )

    home, other, abroad = client("AKID", "us-east-1"), client("111122223333", "us-east-1"), client("AKID", "eu-west-1")
    create(home, "prod")
    assert other.describe_db_clusters()["DBClusters"] == abroad.describe_db_clusters()["DBClusters"] == []
    record = create(abroad, "prod")
    assert record["DBClusterArn"] == "arn:aws:rds:eu-west-1:123456789012:cluster:prod"
    assert record["DbClusterResourceId"] != describe(home, "prod")["DbClusterResourceId"]
    assert create(other, "prod")["DBClusterArn"] == "arn:aws:rds:us-east-1:111122223333:cluster:prod"
    assert [cluster.name for cluster in memory_store.clusters()] == ["prod"]


def test_namespaces_are_stores_in_the_store(disk_store: clusterdb.Store) -> None:
    for _ in range(2):
        with running(disk_store, region="eu-west-1") as server:
            import boto3

            abroad = boto3.client(
                "rds", "us-west-2", endpoint_url=server.url, aws_access_key_id="a", aws_secret_access_key="b"
            )
            if not abroad.describe_db_clusters()["DBClusters"]:
                create(abroad, "prod")
    with clusterdb.open(f"{disk_store.path}/namespaces/123456789012/us-west-2", create=False) as store:
        assert [cluster.name for cluster in store.clusters()] == ["prod"]
        assert store.check().ok


def test_delay_shows_transitional_statuses(memory_store: clusterdb.Store) -> None:
    with running(memory_store, delay_s=3600) as server:
        rds = session(server).client("rds")
        rds.create_db_cluster(DBClusterIdentifier="prod", Engine="aurora-mysql", **MASTER)
        assert describe(rds, "prod")["Status"] == "creating"
        with refused("InvalidDBClusterStateFault"):
            add_instance(rds, "prod", "prod-1", engine="aurora-mysql")
    with running(memory_store, delay_s=0.01) as server:
        rds = session(server).client("rds")
        rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier="prod", WaiterConfig={"Delay": 1})
        rds.delete_db_cluster(DBClusterIdentifier="prod", SkipFinalSnapshot=True)
        rds.get_waiter("db_cluster_deleted").wait(DBClusterIdentifier="prod", WaiterConfig={"Delay": 1})


def test_clone_of_every_interface_has_the_group(rds: Any) -> None:
    create(rds, "prod")
    assert "CloneGroupId" not in describe(rds, "prod")
    group = clone(rds, "prod", "dev")["CloneGroupId"]
    matching = rds.describe_db_clusters(Filters=[{"Name": "clone-group-id", "Values": [group]}])["DBClusters"]
    assert [record["DBClusterIdentifier"] for record in matching] == ["dev", "prod"]
