"""Golden sessions at a terminal: commands, and the exact texts that answer them.

A file in ``tests/cli/sessions`` is a list of lines ``$ COMMAND``, run by bash in one folder, each followed by what it
prints to standard output and error; a last line ``[1]`` is an exit code other than 0.  ``...`` stands for what differs
from run to run.  ``CLUSTERDB_GOLDEN_UPDATE=1 pytest tests/cli/test_sessions.py`` records what is printed now; read the
diff, and put ``...`` where it belongs.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import install

SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))


def answer(command: str, folder: Path) -> str:
    """What a command prints, and its exit code."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    printed = done.stdout if done.stdout.endswith("\n") or not done.stdout else f"{done.stdout}\n"
    return printed + (f"[{done.returncode}]\n" if done.returncode else "")


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.stem)
def test_session_prints_its_transcript(session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command prints what stands below it."""
    folder = tmp_path / "work"
    folder.mkdir()
    install(tmp_path / "bin")
    install(folder / ".venv" / "bin", interpreter=sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CLUSTERDB_QUIET", "1")
    monkeypatch.setenv("TZ", "IST-5:30")
    monkeypatch.delenv("CLUSTERDB_STORE", raising=False)
    recorded = session.read_text(encoding="utf-8")
    now, is_same = "", True
    for comment, command, expected in re.findall(r"^(#.*\n)|^\$ (.*)\n((?:(?![$#]).*\n)*)", recorded, re.MULTILINE):
        if comment:
            now += comment
            continue
        printed = answer(command, folder)
        is_expected = doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)
        is_same = is_same and is_expected
        now += f"$ {command}\n{expected if is_expected else printed}"
    if os.environ.get("CLUSTERDB_GOLDEN_UPDATE"):
        session.write_text(now, encoding="utf-8")
    assert is_same, f"{session.name} is now:\n{now}"


def test_sessions_exist() -> None:
    """The sessions are where this file looks for them."""
    assert len(SESSIONS) >= 5
