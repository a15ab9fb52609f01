"""The aws CLI, version 1, as a process: an endpoint option, waiters, pages, errors."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

import clusterdb
from clusterdb.server import Running
from tests.server.tools import require_aws_cli


def aws(server: Running, *words: str, fails: str = "") -> Any:
    """Run the CLI; its JSON, or None. ``fails``: the code of the error that it must report."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": server.region}
    result = subprocess.run(
        [str(require_aws_cli()), "--endpoint-url", server.url, "--output", "json", *words],
        env={**environment, **keys},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if fails:
        assert result.returncode != 0 and f"({fails})" in result.stderr, result.stderr
        return None
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout) if result.stdout.strip() else None


@pytest.mark.slow
def test_a_day_with_the_cli(server: Running, memory_store: clusterdb.Store) -> None:
    aws(
        server,
        *("rds", "create-db-cluster", "--db-cluster-identifier", "prod", "--engine", "aurora-postgresql"),
        *("--master-username", "me", "--master-user-password", "secret99", "--tags", "Key=a,Value=b"),
    )
    aws(server, "rds", "wait", "db-cluster-available", "--db-cluster-identifier", "prod")
    clone = ["rds", "restore-db-cluster-to-point-in-time", "--source-db-cluster-identifier", "prod"]
    clone += ["--db-cluster-identifier", "dev", "--restore-type", "copy-on-write", "--use-latest-restorable-time"]
    aws(server, *clone, fails="InvalidDBClusterStateFault")
    aws(
        server,
        *("rds", "create-db-instance", "--db-instance-identifier", "prod-1", "--db-cluster-identifier", "prod"),
        *("--engine", "aurora-postgresql", "--db-instance-class", "db.r6g.large"),
    )
    with clusterdb.connect(memory_store.cluster("prod")) as connection:
        connection.execute("CREATE TABLE t (n INT)")
    assert aws(server, *clone)["DBCluster"]["CloneGroupId"]
    with clusterdb.connect(memory_store.cluster("dev")) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    listed = aws(server, "rds", "describe-db-clusters", "--query", "DBClusters[].DBClusterIdentifier")
    assert listed == ["dev", "prod"]
    aws(server, "rds", "describe-db-clusters", "--db-cluster-identifier", "none", fails="DBClusterNotFoundFault")
    aws(server, "rds", "delete-db-cluster", "--db-cluster-identifier", "dev", "--skip-final-snapshot")
    aws(server, "rds", "wait", "db-cluster-deleted", "--db-cluster-identifier", "dev")
    assert aws(server, "sts", "get-caller-identity")["Account"] == "123456789012"
