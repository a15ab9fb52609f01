"""Running clients of the Data API, as their authors publish them: ``tests/server/clients/install`` installs them.

A program in ``programs/`` runs in a process of its own, with a client that knows nothing of clusterdb.  It works on a
clone, and prints what it has read as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import clusterdb
import clusterdb.dbapi2 as dbapi

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
INSTALLED = Path(os.environ.get("CLUSTERDB_CLIENTS", ROOT / "build" / "clients"))
REGION, ACCOUNT = "eu-west-1", "123456789012"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop"


@dataclass(frozen=True)
class Served:
    """A server with a cluster ``prod`` and its clone ``work``, on which clients work."""

    url: str
    store: clusterdb.Store

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs to know."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE": "1",
            "RESOURCE_ARN": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:work",
            "SECRET_ARN": SECRET,
            "TZ": "UTC",
        }

    def rows(self, sql: str, cluster: str = "work") -> list[tuple[Any, ...]]:
        """What a query answers by the DB-API."""
        connection = dbapi.connect(self.store.cluster(cluster))
        try:
            rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
            return rows
        finally:
            connection.close()


def ran(command: list[str | Path], served: Served, *, cwd: Path | None = None) -> Any:
    """What a program printed, from JSON."""
    done = subprocess.run(
        [str(part) for part in command], env=served.environment, cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout.strip().splitlines()[-1])


def python_program(name: str, served: Served) -> Any:
    """Run a program with the clients in Python."""
    python = INSTALLED / "python" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is absent: run tests/server/clients/install")
    return ran([python, "-W", "ignore", PROGRAMS / name], served)


def node_program(name: str, served: Served, tmp_path: Path) -> Any:
    """Run a program with the clients in JavaScript, which Node looks for beside the program."""
    node = shutil.which("node")
    if node is None or not (INSTALLED / "node" / "node_modules").exists():
        pytest.skip(f"{INSTALLED / 'node'} or node is absent: run tests/server/clients/install")
    shutil.copy(PROGRAMS / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(INSTALLED / "node" / "node_modules")
    return ran([node, tmp_path / name], served, cwd=tmp_path)
