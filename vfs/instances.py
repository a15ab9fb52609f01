"""What processes must know of an instance at once: that it was restarted, how far it lags, which faults it simulates.

An instance has a row in the file ``readers``.  A connection made through an instance looks at the row whenever a
transaction begins, and, while faults are simulated, at every read and commit.
"""

from __future__ import annotations

import random
import time

from vfs.clock import Clock
from vfs.errors import InstanceRestartedError, SimulatedFaultError
from vfs.layout import (
    I_CONGESTION_MAX_MS,
    I_CONGESTION_MIN_MS,
    I_CONGESTION_PERCENT,
    I_CONGESTION_UNTIL,
    I_DISK_PERCENT,
    I_DISK_UNTIL,
    I_INCARNATION,
    I_JITTER_NS,
    I_LAG_NS,
    I_REPLICA_PERCENT,
    I_REPLICA_UNTIL,
    I_SHOWN_NS,
    INSTANCE_TABLE_AT,
    ROW_WORDS,
    WORD_MAX,
)
from vfs.sessions import SharedTables

__all__ = ["InstanceView"]


class InstanceView:
    """One instance, as a connection sees it."""

    def __init__(self, tables: SharedTables, row: int, name: str) -> None:
        """``row`` of the instance table."""
        self.name = name
        self._clock = Clock(tables)
        self._words = tables.words
        self._at = INSTANCE_TABLE_AT + row * ROW_WORDS
        self._incarnation = self._words[self._at + I_INCARNATION]

    # --- for who manages instances ----------------------------------------------------------------------------------
    def restart(self) -> None:
        """Connections made until now fail from their next transaction on."""
        at = self._at + I_INCARNATION
        self._words[at] = (self._words[at] + 1) & WORD_MAX

    def clear(self) -> None:
        """Nothing is simulated, nothing lags."""
        for word in range(I_INCARNATION + 1, ROW_WORDS):
            self._words[self._at + word] = 0

    def set_lag(self, lag_ns: int, jitter_ns: int) -> None:
        """How long ago the version that readers see was published: ``lag_ns``, and up to ``jitter_ns`` more."""
        self._words[self._at + I_JITTER_NS] = jitter_ns
        self._words[self._at + I_LAG_NS] = lag_ns
        self._words[self._at + I_SHOWN_NS] = 0  # what it shows may go back now

    def simulate_replica_failure(self, percent: int, seconds: float) -> None:
        """Until then a transaction does not see what is newer with that probability."""
        self._words[self._at + I_REPLICA_PERCENT] = percent
        self._words[self._at + I_REPLICA_UNTIL] = _until(seconds)

    def simulate_disk_failure(self, percent: int, seconds: float) -> None:
        """Until then reads and commits fail with that probability."""
        self._words[self._at + I_DISK_PERCENT] = percent
        self._words[self._at + I_DISK_UNTIL] = _until(seconds)

    def simulate_congestion(self, percent: int, seconds: float, least_ms: int, most_ms: int) -> None:
        """Until then reads and commits are delayed with that probability, by ``least_ms`` to ``most_ms``."""
        self._words[self._at + I_CONGESTION_MIN_MS] = least_ms
        self._words[self._at + I_CONGESTION_MAX_MS] = most_ms
        self._words[self._at + I_CONGESTION_PERCENT] = percent
        self._words[self._at + I_CONGESTION_UNTIL] = _until(seconds)

    # --- for connections --------------------------------------------------------------------------------------------
    def require_up(self) -> None:
        """Raises InstanceRestartedError if the instance was restarted since the connection was made."""
        if self._words[self._at + I_INCARNATION] != self._incarnation:
            raise InstanceRestartedError(f"instance '{self.name}' was restarted, or failed over: open a new connection")

    @property
    def lags(self) -> bool:
        """Whether it may show something else than the newest version."""
        words, at = self._words, self._at
        return bool(words[at + I_LAG_NS] or words[at + I_JITTER_NS])

    def visible_ns(self) -> int:
        """The time whose newest version the instance shows now; never before one that it has shown to anybody."""
        words, at = self._words, self._at
        now_ns = self._clock.now_ns()
        shown_ns = now_ns - words[at + I_LAG_NS] - random.randint(0, words[at + I_JITTER_NS])
        before_ns = words[at + I_SHOWN_NS]
        if shown_ns < before_ns <= now_ns:
            return before_ns
        words[at + I_SHOWN_NS] = shown_ns
        return shown_ns

    def is_cut_off(self) -> bool:
        """Whether a replica failure is simulated now."""
        return Clock.steady_ns() < self._words[self._at + I_REPLICA_UNTIL]

    def replica_fails(self) -> bool:
        """Whether a transaction that begins now does not see what is newer."""
        return self.is_cut_off() and _happens(self._words[self._at + I_REPLICA_PERCENT])

    def touch_disk(self) -> None:
        """A read or a commit: delayed or failed as simulated.  Raises SimulatedFaultError."""
        words, at, now = self._words, self._at, 0
        if words[at + I_CONGESTION_UNTIL] or words[at + I_DISK_UNTIL]:
            now = Clock.steady_ns()
        if now and now < words[at + I_CONGESTION_UNTIL] and _happens(words[at + I_CONGESTION_PERCENT]):
            time.sleep(random.randint(words[at + I_CONGESTION_MIN_MS], words[at + I_CONGESTION_MAX_MS]) / 1000)
        if now and now < words[at + I_DISK_UNTIL] and _happens(words[at + I_DISK_PERCENT]):
            raise SimulatedFaultError(f"instance '{self.name}' simulates a disk failure")


def _happens(percent: int) -> bool:
    return random.randrange(100) < percent


def _until(seconds: float) -> int:
    return Clock.steady_ns() + int(seconds * 1e9)
