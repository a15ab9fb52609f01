"""Hints work when they are pasted: another program called ``clusterdb`` may come first on PATH, as PostgreSQL's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import clusterdb
from clusterdb.access import command
from tests.support.commands import install, run

ROOT = Path(__file__).parents[2]
MODULE = shlex.join([sys.executable, "-m", "clusterdb"])


def test_no_message_names_a_command_that_may_be_another_program() -> None:
    """Messages use :func:`clusterdb.access.command.hint`; those of the library in C, which has no Python, ``cldb``."""
    sources = [*ROOT.glob("clusterdb/**/*.py"), *ROOT.glob("vfs/**/*.py"), *ROOT.glob("vfs/c/**/*.c")]
    pattern = re.compile(r"\b(?:run|try|use)[ :]+[`'\"]*clusterdb (?:--|[a-z]+[`'\"])", re.IGNORECASE)
    assert len(sources) > 100
    assert [str(path) for path in sources if pattern.search(path.read_text())] == []


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, first on PATH, with programs of another package that have our names."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in command.NAMES:
        (folder / name).write_text("#!/bin/sh\necho 'clustering the database'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_hint_names_the_command_if_it_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script of this Python, installed or linked."""
    install(tmp_path / "bin")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "cldb").symlink_to(tmp_path / "bin" / "cldb")
    for folder in ("bin", "links"):
        monkeypatch.setenv("PATH", str(tmp_path / folder))
        assert command.hint("--store", "my store", "ls") == "cldb --store 'my store' ls"


@pytest.mark.parametrize("interpreter", ["/usr/bin/python3.99", "/usr/bin/perl"])
def test_hint_names_the_interpreter_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interpreter: str
) -> None:
    """Nothing on PATH, a script of another Python, another program."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert command.command() == MODULE
    install(tmp_path / "bin", interpreter=interpreter)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert command.command() == MODULE


def test_usage_shows_the_name_that_was_typed_if_it_is_ours(
    tmp_path: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``clusterdb`` of PostgreSQL is not named after a start by path."""
    install(tmp_path / "bin")
    for name in command.NAMES:
        monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / name)])
        assert command.invoked() == MODULE
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in command.NAMES:
        monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / name)])
        assert command.invoked() == name
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/pytest"])
    assert command.invoked() == "cldb"


def test_hints_of_the_command_line_run_when_pasted(tmp_path: Path, foreign: Path) -> None:
    """The line that usage errors show, in a shell where other programs have our names."""
    shown = run(tmp_path, "rename").stderr
    (pasted,) = (line.split("'")[1] for line in shown.splitlines() if line.startswith("Try "))
    done = subprocess.run(["bash", "-c", pasted], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {MODULE} rename ")


def test_hints_of_a_store_have_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be pasted in any directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    with clusterdb.open("a store") as store:
        assert store.context.hint("check") == f"{MODULE} --store {shlex.quote(str(tmp_path / 'a store'))} check"


def test_completion_script_is_for_our_commands_only(
    tmp_path: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completion runs the command: a program of another package must not be run."""
    assert "clusterdb_completion" not in run(tmp_path, "completion", "bash").stdout
    install(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    script = run(tmp_path, "completion", "bash").stdout
    for name in command.NAMES:
        assert f"complete -o nosort -F _{name}_completion {name}\n" in script or f"-F _{name}_completion" in script
