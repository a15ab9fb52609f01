"""The start of a command is most of its time: what it does not need is not imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import clusterdb

SHOW = """
import sys
from clusterdb.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
NEVER = {
    "asyncio",
    "decimal",
    "email",
    "importlib.metadata",
    "prompt_toolkit",
    "pygments",
    "sqlglot",
    "tabulate",
    "traceback",
}
"""Modules that take milliseconds to import, and that no plain command needs."""
STORAGE = {"apsw", "clusterdb.store", "csv", "json", "vfs.store"}
RARE = {"clusterdb.clusters.billing", "clusterdb.diff", "clusterdb.flavours", "clusterdb.shell", "csv", "hmac"}


def imported(*arguments: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    command = [sys.executable, "-c", SHOW, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["clone", "--help"], ["help", "ls"]])
def test_help_imports_no_storage(arguments: list[str]) -> None:
    assert imported(*arguments) & (NEVER | STORAGE | RARE) == set()


@pytest.mark.parametrize("verb", [["ls"], ["show", "prod"], ["clone", "prod", "dev"], ["sql", "prod", "SELECT 1"]])
def test_plain_verbs_import_nothing_slow_and_rare(tmp_path: Path, verb: list[str]) -> None:
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod")
    names = imported(*verb, "--store", str(tmp_path / "store"))
    assert names & (NEVER | RARE) == set()
