"""RestoreDBClusterToPointInTime and RestoreDBClusterFromSnapshot: rows, clone groups, inheritance, refusals."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import clusterdb
from clusterdb.server import running, session
from tests.server.rds.helpers import CLONE, LATEST, add_instance, clone, create, describe, refused

SOURCE: dict[str, Any] = {
    "DatabaseName": "app",
    "BackupRetentionPeriod": 3,
    "StorageEncrypted": True,
    "KmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1",
    "EngineVersion": "8.0.mysql_aurora.3.04.4",
    "MasterUsername": "boss",
    "Port": 4000,
    "DeletionProtection": True,
    "BacktrackWindow": 3600,
    "EnableIAMDatabaseAuthentication": True,
    "CopyTagsToSnapshot": True,
    "EnableHttpEndpoint": True,
    "VpcSecurityGroupIds": ["sg-1"],
    "DBClusterParameterGroupName": "mine",
    "DBSubnetGroupName": "nets",
    "AvailabilityZones": ["us-east-1d", "us-east-1e"],
    "Tags": [{"Key": "a", "Value": "b"}],
}


@pytest.fixture
def source(rds: Any, memory_store: clusterdb.Store) -> dict[str, Any]:
    """A cluster with settings that are not the defaults, and a row."""
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="mine", DBParameterGroupFamily="aurora-mysql8.0", Description="-"
    )
    rds.create_db_subnet_group(
        DBSubnetGroupName="nets", DBSubnetGroupDescription="-", SubnetIds=["subnet-1", "subnet-2"]
    )
    record = create(rds, "prod", engine="aurora-mysql", **SOURCE)
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.execute("CREATE TABLE t (n INT)")
        connection.execute("INSERT INTO t VALUES (1)")
    return record


def rows(store: clusterdb.Store, name: str) -> list[tuple[Any, ...]]:
    with clusterdb.connect(store.cluster(name)) as connection:
        return list(connection.execute("SELECT n FROM t ORDER BY n"))


@pytest.mark.parametrize("restore_type", ["copy-on-write", "full-copy", None])
def test_clones_inherit_what_awss_table_states(
    rds: Any, source: dict[str, Any], memory_store: clusterdb.Store, restore_type: str | None
) -> None:
    values = {"RestoreType": restore_type} if restore_type else {}
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="dev", SourceDBClusterIdentifier="prod", **values, **LATEST
    )
    record = describe(rds, "dev")
    for member in ("Engine", "EngineVersion", "DatabaseName", "MasterUsername", "StorageEncrypted", "KmsKeyId"):
        assert record[member] == source[member], member
    assert record["BackupRetentionPeriod"] == 3
    assert record["DBClusterMembers"] == []
    assert record["Port"] == 3306
    assert (record["DeletionProtection"], record["IAMDatabaseAuthenticationEnabled"]) == (False, False)
    assert (record["CopyTagsToSnapshot"], record["HttpEndpointEnabled"]) == (False, False)
    assert "BacktrackWindow" not in record
    assert record["DBClusterParameterGroup"] == "default.aurora-mysql8.0"
    assert record["DBSubnetGroup"] == "default"
    assert record["VpcSecurityGroups"] != source["VpcSecurityGroups"]
    assert record["TagList"] == []
    assert rows(memory_store, "dev") == [(1,)]


def test_clone_takes_what_the_call_sets(rds: Any, source: dict[str, Any]) -> None:
    values: dict[str, Any] = {
        "Port": 5000,
        "DeletionProtection": True,
        "BacktrackWindow": 60,
        "EnableIAMDatabaseAuthentication": True,
        "CopyTagsToSnapshot": True,
        "VpcSecurityGroupIds": ["sg-2"],
        "DBClusterParameterGroupName": "mine",
        "Tags": [{"Key": "c", "Value": "d"}],
        "BackupRetentionPeriod": 7,
        "KmsKeyId": "key-2",
    }
    clone(rds, "prod", "dev", **values)
    record = describe(rds, "dev")
    assert (record["Port"], record["DeletionProtection"], record["BacktrackWindow"]) == (5000, True, 60)
    assert record["IAMDatabaseAuthenticationEnabled"] is record["CopyTagsToSnapshot"] is True
    assert record["VpcSecurityGroups"] == [{"VpcSecurityGroupId": "sg-2", "Status": "active"}]
    assert (record["DBClusterParameterGroup"], record["TagList"]) == ("mine", values["Tags"])
    assert (record["BackupRetentionPeriod"], record["KmsKeyId"]) == (7, "key-2")


def test_clone_groups_are_set_by_the_first_clone_on_both_sides_for_life(rds: Any) -> None:
    create(rds, "prod")
    assert "CloneGroupId" not in describe(rds, "prod")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="copy", SourceDBClusterIdentifier="prod", RestoreType="full-copy", **LATEST
    )
    assert "CloneGroupId" not in describe(rds, "copy")
    group = clone(rds, "prod", "dev")["CloneGroupId"]
    assert group == describe(rds, "prod")["CloneGroupId"] == describe(rds, "dev")["CloneGroupId"]
    rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier="later", SourceDBClusterIdentifier="prod", **LATEST)
    assert describe(rds, "later")["CloneGroupId"] == group
    add_instance(rds, "dev", "dev-1")
    assert clone(rds, "dev", "of-dev")["CloneGroupId"] == group
    for name in ("of-dev", "later"):
        rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    rds.delete_db_instance(DBInstanceIdentifier="dev-1")
    rds.delete_db_cluster(DBClusterIdentifier="dev", SkipFinalSnapshot=True)
    assert describe(rds, "prod")["CloneGroupId"] == group
    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier="snap")
    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="restored", SnapshotIdentifier="snap", Engine="aurora-postgresql"
    )
    assert "CloneGroupId" not in describe(rds, "restored")


def test_clones_share_pages_and_copies_do_not(rds: Any, source: dict[str, Any], memory_store: clusterdb.Store) -> None:
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(5000)])
    clone(rds, "prod", "dev")
    clone(rds, "prod", "copy", RestoreType="full-copy")
    assert memory_store.cluster("dev").stats().shared_bytes > 10 * memory_store.cluster("dev").stats().own_bytes
    assert memory_store.cluster("copy").stats().shared_bytes == 0


def test_source_is_named_by_id_arn_or_resource_id(rds: Any) -> None:
    record = create(rds, "prod")
    clone(rds, record["DBClusterArn"], "one")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="two", SourceDbClusterResourceId=record["DbClusterResourceId"], **CLONE
    )
    with refused("InvalidParameterCombination"):
        rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier="three", **CLONE)
    with refused("InvalidParameterCombination"):
        clone(rds, "prod", "three", SourceDbClusterResourceId=record["DbClusterResourceId"])
    with refused("DBClusterAutomatedBackupNotFoundFault", 404):
        rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier="three", SourceDbClusterResourceId="cluster-X", **CLONE
        )


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"UseLatestRestorableTime": False, "RestoreToTime": "2020-01-01T00:00:00Z"}, "InvalidParameterCombination"),
        ({"RestoreToTime": "2020-01-01T00:00:00Z"}, "InvalidParameterCombination"),
        ({"RestoreType": "full-copy", "RestoreToTime": "2020-01-01T00:00:00Z"}, "InvalidParameterCombination"),
        ({"UseLatestRestorableTime": False}, "InvalidParameterCombination"),
        ({"RestoreType": "nonsense"}, "InvalidParameterValue"),
        ({"MonitoringInterval": 60}, "InvalidParameterCombination"),
        ({"EnablePerformanceInsights": True}, "InvalidParameterCombination"),
        ({"DBClusterIdentifier": "a_b"}, "InvalidParameterValue"),
        ({"BacktrackWindow": 1}, "InvalidParameterCombination"),
    ],
)
def test_clone_that_aws_refuses_is_refused(rds: Any, more: dict[str, Any], code: str) -> None:
    create(rds, "prod")
    values = {"DBClusterIdentifier": "dev", "SourceDBClusterIdentifier": "prod", **CLONE, **more}
    with refused(code):
        rds.restore_db_cluster_to_point_in_time(**values)
    assert len(rds.describe_db_clusters()["DBClusters"]) == 1


def test_states_and_names_that_refuse_a_clone(rds: Any) -> None:
    create(rds, "prod", instances=0)
    with refused("InvalidDBClusterStateFault", match="no DB instances"):
        clone(rds, "prod", "dev")
    clone(rds, "prod", "copy", RestoreType="full-copy")
    add_instance(rds, "prod", "prod-1")
    with refused("DBClusterNotFoundFault", 404):
        clone(rds, "none", "dev")
    with refused("DBClusterAlreadyExistsFault"):
        clone(rds, "prod", "copy")
    with refused("InvalidRestoreFault"):
        rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier="dev",
            SourceDBClusterIdentifier="prod",
            RestoreToTime=datetime.now(timezone.utc) + timedelta(days=1),
        )
    with refused("InvalidRestoreFault"):
        rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier="dev", SourceDBClusterIdentifier="prod", RestoreToTime="2020-01-01T00:00:00Z"
        )


def test_time_in_the_past_is_restored_as_a_copy(
    rds: Any, source: dict[str, Any], memory_store: clusterdb.Store
) -> None:
    time = describe(rds, "prod")["LatestRestorableTime"] + timedelta(milliseconds=1)
    while datetime.now(timezone.utc) <= time + timedelta(milliseconds=2):
        pass
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.execute("DELETE FROM t")
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="then", SourceDBClusterIdentifier="prod", RestoreToTime=time
    )
    assert (rows(memory_store, "prod"), rows(memory_store, "then")) == ([], [(1,)])


def test_beyond_the_limit_clones_are_full_copies(memory_store: clusterdb.Store) -> None:
    with running(memory_store, clone_limit=2) as server:
        rds = session(server).client("rds")
        create(rds, "prod")
        with clusterdb.connect(memory_store.cluster("prod")) as connection:
            connection.execute("CREATE TABLE t (n INT)")
        for number in range(4):
            clone(rds, "prod", f"dev-{number}")
    shared = [memory_store.cluster(f"dev-{number}").stats().shared_bytes > 0 for number in range(4)]
    assert shared == [True, True, False, False]


def test_snapshots_are_restored_with_what_their_cluster_had(
    rds: Any, source: dict[str, Any], memory_store: clusterdb.Store
) -> None:
    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier="snap")
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.execute("DELETE FROM t")
    rds.restore_db_cluster_from_snapshot(DBClusterIdentifier="back", SnapshotIdentifier="snap", Engine="aurora-mysql")
    record = describe(rds, "back")
    for member in ("Engine", "EngineVersion", "DatabaseName", "MasterUsername", "StorageEncrypted", "KmsKeyId"):
        assert record[member] == source[member], member
    assert (record["DeletionProtection"], record["TagList"], record["Port"]) == (False, [], 3306)
    assert rows(memory_store, "back") == [(1,)]
    with refused("InvalidParameterCombination"):
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="other", SnapshotIdentifier="snap", Engine="aurora-postgresql"
        )
    with refused("DBClusterSnapshotNotFoundFault", 404):
        rds.restore_db_cluster_from_snapshot(DBClusterIdentifier="x", SnapshotIdentifier="none", Engine="aurora-mysql")
    with refused("DBClusterAlreadyExistsFault"):
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="back", SnapshotIdentifier="snap", Engine="aurora-mysql"
        )
