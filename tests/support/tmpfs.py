"""Programs on a file system of their own that is soon full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

__all__ = ["filled", "run_on_tmpfs"]

_MOUNT = 'mount -t tmpfs -o size=24m none "$1" && shift && exec "$@"'


@contextmanager
def filled(path: str) -> Iterator[None]:
    """For such programs: a file takes all that is free there while the body runs."""
    filler = Path(path) / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    yield
    filler.unlink()


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
