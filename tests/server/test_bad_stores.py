"""A store on a full disk, and stores of other formats: AWS's errors, or one line from the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import clusterdb
from tests.support.tmpfs import run_on_tmpfs
from vfs.format.layout import FORMAT, SLOT_BYTES, pack_header_sector, unpack_pool_header

FULL_DISK = """
import logging, sys
import clusterdb
from botocore.exceptions import ClientError
from clusterdb.server import running
from tests.server.processes import ARN, SECRET, client
from tests.server.rds.helpers import clone, create
from tests.support.tmpfs import filled

logging.basicConfig(stream=sys.stdout)
path = sys.argv[1]
with clusterdb.open(path + "/store") as store, running(store) as server:
    rds, data = client("rds", server.url), client("rds-data", server.url)
    create(rds, "prod", EnableHttpEndpoint=True)

    def execute(sql):
        return data.execute_statement(resourceArn=f"{ARN}prod", secretArn=SECRET, sql=sql)["records"]

    def codes(call):
        try:
            for number in range(400):
                call(number)
        except ClientError as error:
            print(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])

    data.execute_statement(resourceArn=f"{ARN}prod", secretArn=SECRET, sql="CREATE TABLE t (body text)")
    with filled(path):
        codes(lambda _: execute("INSERT INTO t SELECT repeat('x', 100000) FROM generate_series(1, 100)"))
        codes(lambda number: clone(rds, "prod", f"c{number}"))
        clusters = rds.describe_db_clusters(DBClusterIdentifier="prod")["DBClusters"]
        print(len(clusters), execute("SELECT count(*) FROM t"))
    print(clone(rds, "prod", "after")["DBClusterIdentifier"], store.check().problems)
"""


def test_full_disk_is_awss_error_and_reads_go_on(tmp_path: Path) -> None:
    """Nothing is logged, and nothing is left of what failed."""
    output = run_on_tmpfs(tmp_path, FULL_DISK, PYTHONPATH=str(Path.cwd()))
    assert output.splitlines() == [
        "400 DatabaseErrorException",
        "400 InsufficientStorageClusterCapacity",
        "1 [[{'longValue': 0}]]",
        "after []",
    ]


def serve(store: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clusterdb", "serve", "--port", "0", "--store", str(store), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("options", [(), ("--read-only",)])
def test_store_of_a_newer_format_is_refused_in_one_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The store is as it was."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod")
    pool = tmp_path / "store" / "pool"
    header = unpack_pool_header(pool.read_bytes()[:SLOT_BYTES])
    with pool.open("r+b") as file:
        file.write(2 * pack_header_sector(header.store_id, FORMAT + 1))
    content = pool.read_bytes()
    answer = serve(tmp_path / "store", *options)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert f"has format {FORMAT + 1}; this release reads formats" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert pool.read_bytes() == content
