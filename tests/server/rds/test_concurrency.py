"""Clients at the same time: no answer is a 5xx, and what was acknowledged is there."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

import clusterdb
from clusterdb.server import running, session
from tests.server.rds.helpers import clone, create, describe

CLIENTS, STEPS = 8, 15


def test_clients_clone_tag_and_delete_at_the_same_time(disk_store: clusterdb.Store) -> None:
    with running(disk_store) as server:
        create(session(server).client("rds"), "prod")

        def work(number: int) -> set[str]:
            rds, names = session(server).client("rds"), set()
            choices = random.Random(number)
            for step in range(STEPS):
                name = f"c{number}-{step}"
                verb = choices.choice(["clone", "clone", "delete", "tag", "contend", "snapshot"])
                if verb == "clone":
                    clone(rds, "prod", name)
                    names.add(name)
                elif verb == "delete" and names:
                    rds.delete_db_cluster(DBClusterIdentifier=names.pop(), SkipFinalSnapshot=True)
                elif verb == "tag":
                    arn = describe(rds, "prod")["DBClusterArn"]
                    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": f"k{number}", "Value": str(step)}])
                elif verb == "snapshot":
                    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod", DBClusterSnapshotIdentifier=name)
                else:
                    contend(rds, step)
                rds.describe_db_clusters()
            return names

        with ThreadPoolExecutor(CLIENTS) as pool:
            names = set().union(*pool.map(work, range(CLIENTS)))
        shown = {
            record["DBClusterIdentifier"]
            for record in session(server).client("rds").describe_db_clusters()["DBClusters"]
        }
    assert names <= shown
    assert len({cluster.name for cluster in disk_store.clusters()}) == len(disk_store.clusters())


def contend(rds: Any, step: int) -> None:
    """Create or delete what other clients create and delete too: refused at most."""
    try:
        if step % 2:
            clone(rds, "prod", "shared")
        else:
            rds.delete_db_cluster(DBClusterIdentifier="shared", SkipFinalSnapshot=True)
    except ClientError as error:
        assert 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
