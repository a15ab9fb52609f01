"""The command line as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = [sys.executable, "-m", "clusterdb"]


def run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a directory."""
    return subprocess.run([*RUN, *arguments], cwd=folder, input=stdin, capture_output=True, text=True, check=False)


def ended(command: subprocess.Popen[str]) -> tuple[str, str]:
    """The output and errors of a command that was asked to end; it is killed if it does not end."""
    try:
        return command.communicate(timeout=120)
    finally:
        command.kill()
