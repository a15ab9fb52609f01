"""Clients at the same time: no answer is a 5xx, and what was acknowledged is there."""

from __future__ import annotations

import random
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

import clusterdb
from clusterdb.server import running, session
from clusterdb.server.rds import cluster_shapes
from clusterdb.server.rds.snapshot_shapes import keep_snapshot
from tests.server.rds.helpers import clone, create, describe
from tests.support.inside import pages_of

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


def test_tags_of_two_clients_are_both_kept(memory_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each adds one to those that it has read."""
    with running(memory_store) as server, ThreadPoolExecutor(1) as pool:
        rds, other = session(server).client("rds"), session(server).client("rds")
        create(rds, "prod")
        arn, later = describe(rds, "prod")["DBClusterArn"], list[Future[Any]]()

        def tags_of(given: list[dict[str, str]]) -> dict[str, str]:
            if not later:
                tag = {"Key": "two", "Value": "2"}
                later.append(pool.submit(other.add_tags_to_resource, ResourceName=arn, Tags=[tag]))
                if not memory_store.context.catalog.database.is_in_transaction:  # else it waits
                    later[0].result()
            return cluster_shapes.tags_of(given)

        monkeypatch.setattr("clusterdb.server.rds.tags.tags_of", tags_of)
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "one", "Value": "1"}])
        later[0].result()
        tags = rds.list_tags_for_resource(ResourceName=arn)["TagList"]
    assert sorted(tag["Key"] for tag in tags) == ["one", "two"]


def test_final_snapshot_has_what_was_committed_before_the_deletion(
    memory_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between the snapshot and the deletion waits, and fails."""
    with running(memory_store) as server, ThreadPoolExecutor(1) as pool:
        rds = session(server).client("rds")
        connection = memory_store.create_cluster("prod").connect()
        connection.execute("CREATE TABLE t (a)")
        commits: list[Future[Any]] = []
        index = memory_store.context.volume_of(memory_store.cluster("prod")).table_index

        def keep_late(*arguments: Any) -> None:
            commits.append(pool.submit(connection.execute, "INSERT INTO t VALUES (1)"))
            with pages_of(memory_store).session() as looker:
                if not looker.is_volume_locked_by_other(index):
                    commits[0].result()
            keep_snapshot(*arguments)

        monkeypatch.setattr("clusterdb.server.rds.clusters.keep_snapshot", keep_late)
        rds.delete_db_cluster(DBClusterIdentifier="prod", FinalDBSnapshotIdentifier="last")
        is_acknowledged = commits[0].exception() is None
        connection.close()
    restored = memory_store.restore_snapshot("last", "restored").connect()
    assert restored.execute("SELECT count(*) FROM t").get == int(is_acknowledged)


def contend(rds: Any, step: int) -> None:
    """Create or delete what other clients create and delete too: refused at most."""
    try:
        if step % 2:
            clone(rds, "prod", "shared")
        else:
            rds.delete_db_cluster(DBClusterIdentifier="shared", SkipFinalSnapshot=True)
    except ClientError as error:
        assert 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
