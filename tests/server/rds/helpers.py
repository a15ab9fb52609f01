"""Short forms of calls, with what they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

MASTER = {"MasterUsername": "admin", "MasterUserPassword": "secret99"}
LATEST = {"UseLatestRestorableTime": True}
CLONE = {"RestoreType": "copy-on-write", **LATEST}


def create(
    rds: Any, name: str, *, instances: int = 1, engine: str = "aurora-postgresql", **more: Any
) -> dict[str, Any]:
    """Create a cluster, with instances ``NAME-1``, ...; the present DBCluster."""
    rds.create_db_cluster(DBClusterIdentifier=name, Engine=engine, **{**MASTER, **more})
    for number in range(1, instances + 1):
        add_instance(rds, name, f"{name}-{number}", engine=engine)
    return describe(rds, name)


def add_instance(
    rds: Any, cluster: str, name: str, *, engine: str = "aurora-postgresql", **more: Any
) -> dict[str, Any]:
    reply = rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier=cluster,
        Engine=engine,
        **{"DBInstanceClass": "db.r6g.large", **more},
    )
    shape: dict[str, Any] = reply["DBInstance"]
    return shape


def clone(rds: Any, source: str, name: str, **more: Any) -> dict[str, Any]:
    """Clone copy-on-write, unless told otherwise; the DBCluster of the answer."""
    reply = rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier=name, SourceDBClusterIdentifier=source, **{**CLONE, **more}
    )
    shape: dict[str, Any] = reply["DBCluster"]
    return shape


def describe(rds: Any, name: str) -> dict[str, Any]:
    shape: dict[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    return shape


@contextmanager
def refused(code: str, status: int = 400, match: str | None = None) -> Iterator[None]:
    """The body fails with AWS's code and HTTP status."""
    with pytest.raises(ClientError, match=match) as caught:
        yield
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
