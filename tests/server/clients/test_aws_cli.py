"""The AWS CLI as a process: the examples about the Data API that its package has, parsed and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import clusterdb
import clusterdb.dbapi2 as dbapi
from clusterdb.server import running
from tests.server.clients.served import INSTALLED, Served

pytestmark = pytest.mark.slow

AWS = Path(os.environ.get("CLUSTERDB_AWS_CLI", INSTALLED / "awscli" / "bin" / "aws"))
COMMANDS = (
    *("batch-execute-statement", "begin-transaction", "commit-transaction", "execute-statement"),
    "rollback-transaction",
)


class Example(NamedTuple):
    """An example: its command line without ``aws``, and what it prints."""

    arguments: list[str]
    output: dict[str, Any]


def examples(command: str) -> list[Example]:
    """The examples of a command, as the package has them."""
    (text,) = [
        path.read_text()
        for path in AWS.parents[1].glob(f"lib/python*/site-packages/awscli/examples/rds-data/{command}.rst")
    ]
    blocks = re.findall(r"\n    (aws .*?)\n(?=\n\S|\Z)(.*?)(?=\n    aws |\Z)", text, re.DOTALL)
    result = []
    for line, rest in blocks:
        output = re.search(r"Output::\n\n(    \{.*?\n    \})", rest, re.DOTALL)
        words = shlex.split(line.replace("\\\n", " "))
        result.append(Example(words[1:], json.loads(output[1]) if output else {}))
    return result


@pytest.fixture
def served(disk_store: clusterdb.Store) -> Iterator[Served]:
    """The cluster of the examples."""
    if not AWS.exists():
        pytest.skip(f"{AWS} is absent: run tests/server/clients/install")
    connection = dbapi.connect(disk_store.create_cluster("prod", engine="aurora-mysql"), isolation_level=None)
    connection.execute("CREATE TABLE mytable (id INT PRIMARY KEY, val VARCHAR(20))")
    connection.close()
    disk_store.cluster("prod").clone("mydbcluster")
    with running(disk_store, region="us-west-2") as server:
        yield Served(server.url, disk_store)


def aws(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the AWS CLI."""
    command = [str(AWS), "--endpoint-url", served.url, "--region", "us-west-2", *arguments]
    return subprocess.run(command, env=served.environment, capture_output=True, text=True, timeout=60)


def answered(served: Served, *arguments: str) -> dict[str, Any]:
    done = aws(served, *arguments)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
    return result


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_of_the_package(served: Served, command: str) -> None:
    shown = examples(command)
    assert shown
    for example in shown:
        arguments = [argument.replace("us-east-1", "us-west-2") for argument in example.arguments]
        where = ("--resource-arn", arguments[arguments.index("--resource-arn") + 1], "--secret-arn", "any-secret-arn")
        if "update mytable set quantity" in " ".join(arguments):  # another table of that name
            answered(served, "rds-data", "execute-statement", *where, "--sql", "ALTER TABLE mytable ADD quantity INT")
            answered(served, "rds-data", "execute-statement", *where, "--sql", "INSERT INTO mytable (id) VALUES (201)")
        if "--transaction-id" in arguments:
            begun = answered(served, "rds-data", "begin-transaction", *where)["transactionId"]
            arguments[arguments.index("--transaction-id") + 1] = begun
        result = answered(served, *arguments)
        for name, value in example.output.items():
            assert name in result
            assert name == "transactionId" or result[name] == value
        if "update mytable set quantity" in " ".join(arguments):
            answered(served, "rds-data", "commit-transaction", *where, "--transaction-id", begun)
            answered(
                served, "rds-data", "execute-statement", *where, "--sql", "ALTER TABLE mytable DROP COLUMN quantity"
            )
    rows = {"batch-execute-statement": 3, "execute-statement": 2}.get(command, 0)
    assert len(served.rows("SELECT * FROM mytable", "mydbcluster")) == rows
    assert served.rows("SELECT * FROM mytable", "prod") == []


def test_error_is_shown_with_its_code(served: Served) -> None:
    arn = "arn:aws:rds:us-west-2:123456789012:cluster:mydbcluster"
    arguments = ("rds-data", "execute-statement", "--resource-arn", arn, "--secret-arn", "any-secret-arn", "--sql")
    done = aws(served, *arguments, "SELECT * FROM missing")
    assert done.returncode > 0
    assert "(DatabaseErrorException)" in done.stderr
    assert done.stderr.rstrip().endswith("Error code: 1146; SQLState: 42S02")
