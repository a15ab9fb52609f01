"""Programs on a file system of their own that is soon full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["run_on_tmpfs"]

_MOUNT = 'mount -t tmpfs -o size=24m none "$1" && shift && exec "$@"'


def run_on_tmpfs(path: Path, program: str, *arguments: str, **variables: str) -> str:
    """Run a program in Python with a path on which a tmpfs of 24 MiB is mounted; what it prints.

    Skips the test where no tmpfs can be mounted.
    """
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    command = [*unshare, "sh", "-c", _MOUNT, "sh", str(path), sys.executable, "-c", program, str(path), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)
    if "mount" in answer.stderr or "unshare" in answer.stderr:
        pytest.skip(f"no tmpfs can be mounted here: {answer.stderr.strip()}")
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout
