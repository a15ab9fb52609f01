"""Completion of the command line: names of all kinds, and bash, which splits words at @, : and =."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import clusterdb
from clusterdb.cli import cli

CODE = "import sys; sys.argv = ['clusterdb']; from clusterdb.cli import main; main()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a cluster that has instances and a past, clusters of other engines, and a snapshot."""
    with clusterdb.open(tmp_path / "store") as store:
        prod = store.create_cluster("prod", backtrack_window_s=3600)
        db = prod.connect()
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        db.close()
        prod.add_instance("w1")
        prod.add_instance("r1")
        prod.add_endpoint("analytics", "READER", members=["r1"])
        prod.clone("dev")
        prod.snapshot("nightly")
    return tmp_path / "store"


def environment(folder: Path, **others: str) -> dict[str, str]:
    return {**os.environ, "CLUSTERDB_STORE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path), **others}


def completed(folder: Path, line: str) -> list[str]:
    """What our script for bash gets."""
    asked = environment(folder, _CLUSTERDB_COMPLETE="bash_complete", COMP_LINE=line)
    answer = subprocess.run([sys.executable, "-c", CODE], env=asked, capture_output=True, text=True, check=False)
    return [line.partition(",")[2] for line in answer.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("clusterdb clone prod@", ["prod@nightly", "prod@2", "prod@1"]),
        ("clusterdb clone prod@n", ["prod@nightly"]),
        ("clusterdb diff prod@1 d", ["dev"]),
        ("clusterdb sql prod --endpoint ", ["writer", "reader", "w1", "r1", "analytics"]),
        ("clusterdb sql prod --endpoint=re", ["reader"]),
        ("clusterdb shell prod@2 --endpoint an", ["analytics"]),
        ("clusterdb sql nosuch --endpoint ", []),
        ("clusterdb create x --engine ", ["sqlite", "aurora-mysql", "aurora-postgresql"]),
        ("clusterdb import --dump --engine aurora-p", ["aurora-postgresql"]),
        ("clusterdb shell --mode m", ["markdown"]),
        ("clusterdb sql --format j", ["json"]),
        ("clusterdb backtrack prod ", ["2", "1"]),
        ("clusterdb failover prod --to ", ["r1"]),
        ("clusterdb crash prod ", ["w1", "r1"]),
        ("clusterdb rm-instance prod w", ["w1"]),
        ("clusterdb rm-endpoint prod ", ["analytics"]),
        ("clusterdb add-endpoint prod x --member ", ["w1", "r1"]),
        ("clusterdb events ", ["dev", "prod", "nightly"]),
        ("clusterdb reset dev --to ", ["nightly"]),
        ("clusterdb show nosuch@", []),
    ],
)
def test_names_of_every_kind_complete(folder: Path, line: str, expected: list[str]) -> None:
    assert completed(folder, line) == expected


def test_zones_and_nodes_complete(folder: Path) -> None:
    with clusterdb.open(folder) as store:
        store.create_cluster("kept", zones=3)
    assert completed(folder, "clusterdb zones kept --lose ") == [*"abc", *"123456"]
    assert completed(folder, "clusterdb zones kept --return b") == ["b"]
    assert completed(folder, "clusterdb zones prod --lose ") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["clusterdb", "clone", "prod", "@"], ["@nightly", "@2", "@1"]),
        (["clusterdb", "clone", "prod", "@", "ni"], ["@nightly"]),
        (["clusterdb", "sql", "prod", "--endpoint", "=", "re"], ["reader"]),
        (["clusterdb", "clone", "pr"], ["prod"]),
    ],
)
def test_bash_replaces_the_piece_of_a_word(folder: Path, words: list[str], expected: list[str]) -> None:
    """As readline calls the function: with the words that bash has split, of which the last is replaced."""
    line = " ".join(words).replace(" @ ", "@").replace(" @", "@").replace(" = ", "=")
    script = CliRunner().invoke(cli, ["completion", "bash"]).output
    (folder / "cldb").write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(CODE)} "$@"\n')
    (folder / "cldb").chmod(0o755)
    program = (
        f"complete() {{ :; }}\n{script}\n"
        f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}\n"
        f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}\n"
        "_cldb_completion cldb\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    settings = environment(folder, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    answer = subprocess.run(["bash", "-c", program], env=settings, capture_output=True, text=True, check=False)
    assert (answer.stdout.split(), answer.stderr) == (expected, "")
