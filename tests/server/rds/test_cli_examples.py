"""The examples about clusters that the aws CLI bundles, run as they stand against what they take for granted."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import clusterdb
from clusterdb.server import Running, running, session
from tests.server.rds.examples import Example, examples_in, keys_of, options_of, words_of
from tests.server.rds.helpers import MASTER, refused
from tests.server.tools import cli_examples, require_aws_cli

EXAMPLES = [
    example for page in cli_examples("rds") if re.search("cluster|tags", page.stem) for example in examples_in(page)
]
ABSENT = {
    "modify-current-db-cluster-capacity": "Aurora Serverless v1",
    "promote-read-replica-db-cluster": "replication between clusters",
    "restore-db-cluster-from-s3": "backups in S3",
    "remove-from-global-cluster": "secondary clusters",
}
"""Examples of what is not available: their commands are refused with a code."""
REFUSED = {"backtrack-db-cluster": "InvalidParameterValue"}
"""Examples whose values cannot be true here: no cluster remembers 2018."""

CREATED = {
    *("Engine", "EngineVersion", "DatabaseName", "MasterUsername", "Port", "BackupRetentionPeriod", "StorageEncrypted"),
    *("PreferredBackupWindow", "PreferredMaintenanceWindow", "AvailabilityZones", "KmsKeyId", "CopyTagsToSnapshot"),
    *("DeletionProtection", "BacktrackWindow"),
}
"""What an example shows of a cluster that exists already, and a call can set."""
STABLE = CREATED | {
    *("DBClusterIdentifier", "DBClusterArn", "EngineMode", "Status", "AllocatedStorage", "CustomEndpointType"),
    *("DBClusterEndpointIdentifier", "EndpointType", "StaticMembers", "ExcludedMembers", "DBClusterEndpointArn"),
    *("DBClusterSnapshotIdentifier", "DBClusterSnapshotArn", "SnapshotType", "AttributeName", "AttributeValues"),
    *("DBClusterParameterGroupName", "DBParameterGroupFamily", "DBClusterParameterGroupArn", "Description"),
    *("GlobalClusterIdentifier", "GlobalClusterArn", "DBInstanceIdentifier", "IAMDatabaseAuthenticationEnabled"),
    *("HttpEndpointEnabled", "DBSubnetGroup", "VpcSecurityGroupId"),
}
"""The members whose values must be those of the example; others are of the day or of the account."""
NOT_HERE = {
    "KmsKeyId",  # of snapshots of clusters that are not encrypted
    "SupportedEngineModes",
    "DBClusterMembers",
}


@pytest.fixture
def place(memory_store: clusterdb.Store, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server in the region of the example."""
    example: Example = request.getfixturevalue("example")
    region = re.search(r"(us|eu|ap)-[a-z]+-\d", " ".join(example.words) + json.dumps(example.output))
    with running(memory_store, region=region[0] if region else "us-east-1") as server:
        yield server


def run(server: Running, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run the aws CLI."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": server.region}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))}
    words = tuple(word for word in words if word not in ("--region", "us-west-2"))
    return subprocess.run(
        [str(require_aws_cli()), "--endpoint-url", server.url, "--output", "json", *words],
        env={**environment, **keys},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# --- what examples take for granted -----------------------------------------------------------------------------------
def first(value: Any, name: str) -> dict[str, Any]:
    """The structure under a name in an output, or the first of a list."""
    record = (value or {}).get(name, {}) if isinstance(value, dict) else {}
    return record[0] if isinstance(record, list) and record else record or {}


def prepare(rds: Any, example: Example) -> None:
    """Create what the command needs, as the example's output shows it."""
    options, output, verb = options_of(example.words), example.output, example.file.partition("-")[0]
    shown = first(output, "DBCluster") or first(output, "DBClusters")
    if not shown and words_of(options, "db-instance-identifier"):
        shown = {"Engine": first(output, "DBInstance").get("Engine", "aurora-mysql")}
    if "backtrack" in example.file:
        shown = {"BacktrackWindow": 3600}
    for listed in output if isinstance(output, list) else []:
        cluster(rds, listed["DBClusterIdentifier"], listed)
    names = [*words_of(options, "source-db-cluster-identifier")]
    if verb not in ("create", "restore") or "snapshot" in example.file or "endpoint" in example.file:
        names += words_of(options, "db-cluster-identifier")
    if example.file == "restore-db-cluster-from-snapshot":
        names = ["source"]
    if "endpoint" in example.file and not names:
        names = [
            first(output, "DBClusterEndpoints").get("DBClusterIdentifier") or (output or {})["DBClusterIdentifier"]
        ]
    if "snapshot" in example.file and not names:
        names = [(first(output, "DBClusterSnapshot") or {}).get("DBClusterIdentifier", "source")]
    if words_of(options, "db-instance-identifier"):
        names = ["database"]
    for name in names:
        cluster(rds, name, shown or first(output, "DBClusterSnapshot") or first(output, "DBClusterSnapshots"))
    instances = [*words_of(options, "static-members"), *words_of(options, "db-instance-identifier")]
    instances += output.get("StaticMembers", []) if isinstance(output, dict) else []
    members = [member["DBInstanceIdentifier"] for member in shown.get("DBClusterMembers", [])]
    if names and verb not in ("delete", "create", "restore"):
        instances += [name for name in members if re.fullmatch("[a-z0-9-]+", name)]
    if example.file == "restore-db-cluster-to-point-in-time":
        instances = ["only"]
    instances += [arn.rpartition(":")[2] for arn in words_of(options, "resource-name")]
    if instances and not names:
        names = ["database"]
        cluster(rds, "database", {})
    for name in dict.fromkeys(instances):
        engine = rds.describe_db_clusters(DBClusterIdentifier=names[0])["DBClusters"][0]["Engine"]
        rds.create_db_instance(
            DBInstanceIdentifier=name, DBClusterIdentifier=names[0], Engine=engine, DBInstanceClass="db.r6g.large"
        )
    prepare_others(rds, example, names)


def cluster(rds: Any, name: str, shown: dict[str, Any]) -> None:
    """Create a cluster that looks as shown."""
    values = {key: value for key, value in shown.items() if key in CREATED and value != ""}
    if values.get("Engine") == "aurora" or "5.6" in values.get("EngineVersion", ""):
        values["Engine"] = "aurora"
    values.pop("DeletionProtection", None)
    if values.get("Port") == 0:
        values.pop("Port")
    if shown.get("VpcSecurityGroups"):
        values["VpcSecurityGroupIds"] = [group["VpcSecurityGroupId"] for group in shown["VpcSecurityGroups"]]
    zones = [zone for zone in values.get("AvailabilityZones", []) if zone.startswith(rds.meta.region_name)]
    values |= {"AvailabilityZones": zones} if zones else {}
    rds.create_db_cluster(DBClusterIdentifier=name, **{"Engine": "aurora-mysql", **MASTER, **values})


def prepare_others(rds: Any, example: Example, clusters: list[str]) -> None:
    """Groups, snapshots, endpoints, roles, global clusters and statuses."""
    options, verb, file = options_of(example.words), example.file.partition("-")[0], example.file
    groups = [*words_of(options, "source-db-cluster-parameter-group-identifier")]
    if verb != "create":
        groups += words_of(options, "db-cluster-parameter-group-name")
    for name in groups:
        if not name.startswith("default."):
            rds.create_db_cluster_parameter_group(
                DBClusterParameterGroupName=name, DBParameterGroupFamily="aurora-mysql5.7", Description="-"
            )
    snapshots = [*words_of(options, "snapshot-identifier")]
    if verb != "create":
        snapshots += words_of(options, "db-cluster-snapshot-identifier")
    if file == "describe-db-cluster-snapshots":
        snapshots = [first(example.output, "DBClusterSnapshots")["DBClusterSnapshotIdentifier"]]
    for name in snapshots:
        rds.create_db_cluster_snapshot(DBClusterIdentifier=clusters[0], DBClusterSnapshotIdentifier=name)
    if "attributes" in file:
        rds.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=snapshots[0], AttributeName="restore", ValuesToAdd=["123456789012"]
        )
    if verb in ("modify", "delete"):
        for name in words_of(options, "db-cluster-endpoint-identifier"):
            rds.create_db_cluster_endpoint(
                DBClusterIdentifier=clusters[0],
                DBClusterEndpointIdentifier=name,
                EndpointType=example.output.get("CustomEndpointType", "ANY"),
                StaticMembers=[] if verb == "modify" else example.output.get("StaticMembers", []),
            )
    if file == "remove-role-from-db-cluster":
        rds.add_role_to_db_cluster(DBClusterIdentifier=clusters[0], RoleArn=words_of(options, "role-arn")[0])
    if "global" in file and verb != "create":
        rds.create_global_cluster(GlobalClusterIdentifier="myglobalcluster", Engine="aurora-mysql")
    if file == "start-db-cluster":
        rds.stop_db_cluster(DBClusterIdentifier=clusters[0])
    if file == "describe-db-cluster-backtracks":
        rds.backtrack_db_cluster(
            DBClusterIdentifier=clusters[0],
            BacktrackTo="2018-03-19T10:00:00Z",
            UseEarliestTimeOnPointInTimeUnavailable=True,
        )
    if file == "list-tags-for-resource":
        arn = words_of(options, "resource-name")[0]
        rds.add_tags_to_resource(ResourceName=arn, Tags=example.output["TagList"])


# --- comparing --------------------------------------------------------------------------------------------------------
def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """The stable members of an output, by name, with scalars or lists of scalars."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in STABLE and (not isinstance(item, dict | list) or all(isinstance(item, str) for item in item)):
                yield key, item
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)


def test_examples_are_found() -> None:
    require_aws_cli()
    assert len({example.file for example in EXAMPLES}) >= 38


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_bundled_example(place: Running, example: Example) -> None:
    rds = session(place).client("rds")
    if example.file in ABSENT:
        result = run(place, example.words)
        assert result.returncode != 0
        assert re.search(r"An error occurred \((\w+)\)", result.stderr), result.stderr
        return
    prepare(rds, example)
    result = run(place, example.words)
    if example.file in REFUSED:
        assert "InvalidDBClusterStateFault" in result.stderr or REFUSED[example.file] in result.stderr
        return
    if "snapshot:rds:" in " ".join(example.words):  # an automated snapshot, which has a name that is taken by AWS only
        assert "DBClusterSnapshotNotFoundFault" in result.stderr
        return
    assert result.returncode == 0, result.stderr
    if example.output is None:
        return
    answer = json.loads(result.stdout)
    ours, theirs = dict(keys_of(answer)), dict(keys_of(example.output))
    missing = {path for path in theirs if path not in ours and path.rpartition(".")[2] not in NOT_HERE}
    missing = {path for path in missing if not re.search("DBClusterMembers|Backtracks|ServerlessV2Platform", path)}
    assert missing == set()
    assert {path: kind for path, kind in ours.items() if path in theirs and theirs[path] != kind} == {}
    present = [(key, folded(value)) for key, value in leaves(answer)]
    for key, value in leaves(example.output):
        if is_given(example, key, value):
            assert (key, folded(value)) in present


def folded(value: Any) -> Any:
    """A value in lower case, as RDS stores identifiers."""
    return value.lower() if isinstance(value, str) else value


def is_given(example: Example, key: str, value: Any) -> bool:
    """Whether a value follows from the command, or from what it takes for granted."""
    existed = example.file.partition("-")[0] not in ("create", "restore", "describe") and "snapshot" not in example.file
    words = " ".join(example.words)
    is_named = isinstance(value, str) and bool(value) and value.rpartition(":")[2] in words.split()
    return is_named or (
        key in CREATED and key in ("Engine", "MasterUsername", "Port") and existed and "global" not in example.file
    )


def test_absent_operation_is_refused_in_the_protocol(rds: Any) -> None:
    with refused("InvalidAction"):
        rds.promote_read_replica_db_cluster(DBClusterIdentifier="prod")
    with refused("InvalidAction"):
        rds.modify_current_db_cluster_capacity(DBClusterIdentifier="prod", Capacity=8)
