"""A server that is killed loses nothing that it has acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import clusterdb
from tests.server.rds.helpers import clone, create
from tests.support.stores import assert_clean

ROUNDS, CLIENTS, ANSWERS = 3, 4, 25


def start(store: Path) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its URL."""
    command = [sys.executable, "-m", "clusterdb", "serve", "--port", "0", "--json", "--store", str(store)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        return process, str(json.loads(process.stdout.readline())["url"])


def client(url: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=60)
    return boto3.client(
        "rds", "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", config=config
    )


@pytest.mark.slow
def test_acknowledged_clones_and_tags_survive_kills(tmp_path: Path) -> None:
    store, acknowledged = tmp_path / "store", set[str]()
    for round_number in range(ROUNDS):
        process, url = start(store)
        enough = threading.Semaphore(0)

        def work(number: int, url: str = url, enough: threading.Semaphore = enough, prefix: int = round_number) -> None:
            rds = client(url)
            for step in range(10_000):
                name = f"c{prefix}-{number}-{step}"
                try:
                    clone(rds, "prod", name, Tags=[{"Key": "name", "Value": name}])
                except (BotoCoreError, ClientError):
                    return  # killed
                acknowledged.add(name)
                enough.release()

        if not round_number:
            create(client(url), "prod")
        with ThreadPoolExecutor(CLIENTS) as pool:
            work_done = [pool.submit(work, number) for number in range(CLIENTS)]
            for _ in range(ANSWERS):
                enough.acquire()
            process.kill()
            process.wait()
        for future in work_done:
            future.result()
    with clusterdb.open(store, create=False) as opened:
        names = {cluster.name: cluster.settings.tags for cluster in opened.clusters()}
        assert acknowledged <= names.keys()
        assert all(names[name] == {"name": name} for name in acknowledged)
        documents = {cluster for cluster, name, _ in opened.context.catalog.documents.all("DBCluster")}
        assert documents == {cluster.id for cluster in opened.clusters()}
        assert_clean(opened)
