"""The clock of a store, which dates commits: it never goes back, and it advances at the rate of the clock since boot.

The system clock may be set ahead and back again.  Commits dated by it would then hide later commits from a search by
time, and readers that lag would stand still until the system clock has caught up.  The clock of a store is the system
clock, or the time since the boot (``CLOCK_BOOTTIME``, which cannot be set) plus an offset, whichever is later.  The
offset is a word of the shared tables: a commit that finds the system clock ahead moves the offset.

After the system clock was set back, the store's clock is therefore ahead of it by a *skew*, which stays until the
system clock has caught up or, at the earliest, until the next boot; recovery starts the clock after the newest commit.
"""

from __future__ import annotations

import time

from vfs.storage.device import CALLS
from vfs.storage.sessions import SharedTables

__all__ = ["Clock"]


class Clock:
    """The clock of one open store.  Times are nanoseconds since 1970."""

    def __init__(self, tables: SharedTables) -> None:
        self._tables = tables

    def now_ns(self) -> int:
        """The time now."""
        return max(CALLS.time_ns(), self.steady_ns() + self._tables.header.clock_offset)

    def tick_ns(self) -> int:
        """The time now, for a commit: no process will read an earlier time from this clock."""
        wall_ns, steady_ns = CALLS.time_ns(), self.steady_ns()
        offset_ns = self._tables.header.clock_offset
        if wall_ns > steady_ns + offset_ns:
            self._tables.header.clock_offset = wall_ns - steady_ns
            return wall_ns
        return steady_ns + offset_ns

    def skew_ns(self) -> int:
        """The time by which the clock is ahead of the system clock."""
        return self.now_ns() - CALLS.time_ns()

    def begin_behind(self, time_ns: int) -> None:
        """Start the clock after a boot, at ``time_ns`` or later."""
        self._tables.header.clock_offset = max(0, max(time_ns, CALLS.time_ns()) - self.steady_ns())

    @staticmethod
    def steady_ns() -> int:
        """The time since the boot, on a clock that cannot be set."""
        return CALLS.clock_gettime_ns(time.CLOCK_BOOTTIME)
