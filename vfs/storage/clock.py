"""The clock of a store, by which commits are dated: it never goes back, and time passes on it as it does.

The system's clock may be set ahead and back again.  Commits dated by it would then hide later ones from whoever asks
for a time, and readers that lag would stand still until the clock has caught up.  The clock of a store is the system's,
or the time since the boot (``CLOCK_BOOTTIME``, which nobody sets) plus an offset, whichever is later.  The offset is a
word of the shared tables: a commit that finds the system's clock ahead moves it.

So after the system's clock was set back, the store's clock is ahead of it by a *skew* that stays until the system's
clock has caught up or, at the earliest, the next boot; recovery lets the clock begin behind the newest commit.
"""

from __future__ import annotations

import time

from vfs.storage.sessions import SharedTables

__all__ = ["Clock"]


class Clock:
    """The clock of one open store.  Times are nanoseconds since 1970."""

    def __init__(self, tables: SharedTables) -> None:
        self._tables = tables

    def now_ns(self) -> int:
        """The time now."""
        return max(time.time_ns(), self.steady_ns() + self._tables.header.clock_offset)

    def tick_ns(self) -> int:
        """The time now, for a commit: the clock will not show an earlier one to anybody."""
        wall_ns, steady_ns = time.time_ns(), self.steady_ns()
        offset_ns = self._tables.header.clock_offset
        if wall_ns > steady_ns + offset_ns:
            self._tables.header.clock_offset = wall_ns - steady_ns
            return wall_ns
        return steady_ns + offset_ns

    def skew_ns(self) -> int:
        """How far the clock is ahead of the system's."""
        return self.now_ns() - time.time_ns()

    def begin_behind(self, time_ns: int) -> None:
        """After a boot: the clock shows that time at least."""
        self._tables.header.clock_offset = max(0, max(time_ns, time.time_ns()) - self.steady_ns())

    @staticmethod
    def steady_ns() -> int:
        """The time since the boot, on a clock that nobody sets."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
