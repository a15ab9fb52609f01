"""Named points between the steps of everything that changes a store.

Tests arm a point to stop, fail or kill the process there; unarmed, a point costs one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["armed", "reach"]

armed: dict[str, Callable[[], None]] = {}
"""Point name -> the action at that point."""


def reach(point: str) -> None:
    """Run the action of a point, if it is armed."""
    if armed:
        action = armed.get(point)
        if action is not None:
            action()
