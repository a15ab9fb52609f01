"""Damaged stores, read and written by the data plane in C: see ``fuzz.py``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.native import fuzz
from vfs.plane import available, native


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_stores_give_right_rows_or_a_named_error(seed: int) -> None:
    """Under the build with sanitizers, where there is one; ``make fuzz`` does the same for longer."""
    if "c" not in available():
        pytest.skip(f"the data plane in C is not in use: {native().reason}")
    directory, environment = fuzz.environment()
    command = [sys.executable, "-m", "tests.native.fuzz", "--count", "150", "--seed", str(seed)]
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-10_000:]
    assert "150 stores: " in done.stdout
