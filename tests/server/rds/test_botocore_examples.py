"""The examples of cluster operations that botocore bundles: each answers with the shapes of its model."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader

import clusterdb
from clusterdb.server import running, session
from tests.server.rds.helpers import MASTER

EXAMPLES = [
    (name, example["input"])
    for name, examples in Loader().load_service_model("rds", "examples-1")["examples"].items()
    for example in examples
    if "Cluster" in name
]
REFUSED = {
    "CopyDBClusterSnapshot": "DBClusterSnapshotNotFoundFault",  # an automated snapshot
    "RestoreDBClusterToPointInTime": "InvalidRestoreFault",  # a time in 2016
}


def prepare(rds: Any, name: str) -> None:
    """Create what the examples name."""
    group = {"DBParameterGroupFamily": "aurora5.6", "Description": "-"}
    if name != "CreateDBClusterParameterGroup":
        for group_name in ("mydbclusterparametergroup",):
            rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=group_name, **group)
    for cluster in ("mydbcluster", "mynewdbcluster", "sample-cluster1", "myaurorainstance-cluster"):
        taken = {"CreateDBCluster": "mydbcluster", "ModifyDBCluster": "mynewdbcluster"}
        if cluster != taken.get(name):
            rds.create_db_cluster(DBClusterIdentifier=cluster, Engine="aurora", **MASTER)
    for instance in ("writer-1", "myaurorareplica"):
        rds.create_db_instance(
            DBInstanceIdentifier=instance,
            DBClusterIdentifier="myaurorainstance-cluster",
            Engine="aurora",
            DBInstanceClass="db.r6g.large",
        )
    for snapshot in ("mydbclustersnapshot", "manual-cluster-snapshot1", "sample-cluster-snapshot1"):
        if name != "CreateDBClusterSnapshot":
            rds.create_db_cluster_snapshot(DBClusterIdentifier="sample-cluster1", DBClusterSnapshotIdentifier=snapshot)


@pytest.mark.parametrize(("name", "values"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_bundled_example(memory_store: clusterdb.Store, name: str, values: dict[str, Any]) -> None:
    from botocore import xform_name

    with running(memory_store) as server:
        rds = session(server).client("rds")
        prepare(rds, name)
        verb = getattr(rds, xform_name(name))
        if name in REFUSED:
            with pytest.raises(ClientError, match=REFUSED[name]):
                verb(**values)
            return
        answer = verb(**values)
        assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        given = {key: value for key, value in values.items() if "Identifier" in key or key.endswith("Name")}
        (shape,) = answer.values() if len(answer) == 1 else [answer]
        for key, value in given.items() if isinstance(shape, dict) else []:
            if key in shape and "NewDBClusterIdentifier" not in values:
                assert shape[key] == value


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) >= 20
