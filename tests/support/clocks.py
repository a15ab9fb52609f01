"""Clocks that tests set."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from vfs.storage.device import CALLS

__all__ = ["set_clocks"]


def set_clocks(
    monkeypatch: pytest.MonkeyPatch,
    time_ns: Callable[[], int],
    clock_gettime_ns: Callable[[int], int] = time.clock_gettime_ns,
) -> None:
    """Replace the system's clock, and the clock since the boot, for all layers until the test ends."""
    for holder in (time, CALLS):
        monkeypatch.setattr(holder, "time_ns", time_ns)
        monkeypatch.setattr(holder, "clock_gettime_ns", clock_gettime_ns)
