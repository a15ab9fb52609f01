"""Named points between the steps of everything that changes a store.

Tests arm a point to stop, fail or kill the process there; unarmed, a point costs one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["armed", "reach", "watch"]

Watcher = Callable[[], None]


class _Points(dict[str, Callable[[], None]]):
    """The armed points; watchers are called whenever they change."""

    def __init__(self) -> None:
        super().__init__()
        self.watchers: list[Watcher] = []

    def _changed(self) -> None:
        for watcher in self.watchers:
            watcher()

    def __setitem__(self, point: str, action: Callable[[], None]) -> None:
        super().__setitem__(point, action)
        self._changed()

    def __delitem__(self, point: str) -> None:
        super().__delitem__(point)
        self._changed()

    def clear(self) -> None:
        """Disarm all points."""
        super().clear()
        self._changed()

    def disarm(self, point: str) -> None:
        """Disarm a point, if it is armed."""
        if point in self:
            del self[point]


armed = _Points()
"""Point name -> the action at that point."""


def watch(watcher: Watcher) -> None:
    """Call ``watcher`` now, and whenever a point is armed or disarmed: for code that looks at one flag only."""
    armed.watchers.append(watcher)
    watcher()


def reach(point: str) -> None:
    """Run the action of a point, if it is armed."""
    if armed:
        action = armed.get(point)
        if action is not None:
            action()
