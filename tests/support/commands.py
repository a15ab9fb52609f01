"""The command line as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clusterdb.access.command import NAMES

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


def install(folder: Path, interpreter: str = sys.executable) -> None:
    """Write the commands of an installation to a folder, as an installer does."""
    folder.mkdir(parents=True)
    for name in NAMES:
        script = folder / name
        script.write_text(f"#!{interpreter}\nimport sys\nfrom clusterdb.__main__ import main\nsys.exit(main())\n")
        script.chmod(0o755)
