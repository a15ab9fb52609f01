"""Golden scripts of the command line: commands, and what they print on both streams.

A script in ``tests/cli/golden`` is a list of commands, each after ``$ clusterdb``, and what it prints; lines that begin
with ``#`` are for the reader.  Standard error is what begins with ``! ``; empty lines are left out.  ``TIME``, ``UUID``
and ``SIZE`` stand for what differs, ``STORE`` for the store.  Each script runs in a folder with ``sample.db``.
``CLUSTERDB_GOLDEN_UPDATE=1 pytest tests/cli/test_golden.py`` records what is printed now; read the diff.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import clusterdb
from clusterdb.cli import cli

SCRIPTS = sorted((Path(__file__).parent / "golden").glob("*.txt"))
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d:\d\d)?")
_DISK = re.compile(r"[\d.]+ \w+ on disk")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def printed(command: str, folder: Path) -> list[str]:
    """What a command prints, with what differs from run to run replaced."""
    result = CliRunner().invoke(cli, ["--store", str(folder / "store"), *shlex.split(command)])
    errors = result.stderr.splitlines()
    if isinstance(result.exception, clusterdb.Error):
        errors.append(f"clusterdb: {result.exception}")
    elif result.exception is not None and not isinstance(result.exception, SystemExit | click.ClickException):
        raise result.exception
    lines = [*result.stdout.splitlines(), *(f"! {line}" for line in errors)]
    text = "\n".join(lines).replace(str(folder / "store"), "STORE")
    for pattern, name in ((_TIME, "TIME"), (_UUID, "UUID"), (_DISK, "SIZE on disk")):
        text = pattern.sub(name, text)
    return [line.rstrip() for line in text.splitlines() if line]


def transcript(script: str, folder: Path) -> str:
    """The script with what its commands print now in place of what is recorded."""
    lines: list[str] = []
    for line in script.splitlines():
        if line.startswith("$ clusterdb "):
            lines += [line, *printed(line.removeprefix("$ clusterdb "), folder)]
        elif line.startswith("#") or not line:
            lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_commands_print_what_is_recorded(
    script: Path, tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sample.parent == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vfs.plane.library", lambda: None)  # its path differs
    recorded = script.read_text(encoding="utf-8")
    now = transcript(recorded, tmp_path)
    if os.environ.get("CLUSTERDB_GOLDEN_UPDATE"):
        script.write_text(now, encoding="utf-8")
    assert now == script.read_text(encoding="utf-8")


def test_scripts_exist() -> None:
    assert {"lists", "verbs"} <= {script.stem for script in SCRIPTS}
