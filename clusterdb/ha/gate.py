"""The state of instances that all processes see at once, and the gate that applies it to connections.

An instance has a row in the gate table of the shared tables: whether it was restarted, how far it lags, which faults it
simulates.  A connection made through an instance looks at the row whenever a transaction begins, and at every read and
commit.
"""

from __future__ import annotations

import random
import time

from vfs.abc import Handle
from vfs.errors import DisconnectedError, InjectedFaultError
from vfs.format.shared import Record, words_of
from vfs.storage.clock import Clock
from vfs.storage.pool import Pool

__all__ = ["InstanceGate", "InstanceState"]


class _InstanceRecord(Record):
    """The row of an instance in the gate table; times are nanoseconds, those of faults since the boot.

    ``incarnation`` moves at every restart; ``shown_ns``: the newest time that readers were shown.
    """

    __slots__ = ()
    incarnation: int
    lag_ns: int
    jitter_ns: int
    replica_percent: int
    replica_until: int
    disk_percent: int
    disk_until: int
    congestion_percent: int
    congestion_until: int
    congestion_min_ms: int
    congestion_max_ms: int
    shown_ns: int
    _fields_ = words_of(
        *("incarnation", "lag_ns", "jitter_ns", "replica_percent", "replica_until", "disk_percent", "disk_until"),
        *("congestion_percent", "congestion_until", "congestion_min_ms", "congestion_max_ms", "shown_ns"),
    )


class InstanceState:
    """One instance, as one connection or manager sees it."""

    def __init__(self, pool: Pool, row: int, name: str) -> None:
        """``row`` of the gate table."""
        self.name = name
        self._clock = pool.clock
        self._record = pool.tables.gate(row, _InstanceRecord)
        self._incarnation = self._record.incarnation

    # --- for managers of instances ----------------------------------------------------------------------------------
    def restart(self) -> None:
        """Connections made until now fail from their next transaction on."""
        self._record.incarnation += 1

    def clear(self) -> None:
        """Stop every simulated fault and lag."""
        for name, _ in _InstanceRecord._fields_[1:]:
            setattr(self._record, name, 0)

    def set_lag(self, lag_ns: int, jitter_ns: int) -> None:
        """How long ago the version that readers see was published: ``lag_ns``, and up to ``jitter_ns`` more."""
        self._record.jitter_ns = jitter_ns
        self._record.lag_ns = lag_ns
        self._record.shown_ns = 0  # what it shows may go back now

    def simulate_replica_failure(self, percent: int, seconds: float) -> None:
        """Until then a transaction does not see what is newer with that probability."""
        self._record.replica_percent = percent
        self._record.replica_until = _until(seconds)

    def simulate_disk_failure(self, percent: int, seconds: float) -> None:
        """Until then reads and commits fail with that probability."""
        self._record.disk_percent = percent
        self._record.disk_until = _until(seconds)

    def simulate_congestion(self, percent: int, seconds: float, least_ms: int, most_ms: int) -> None:
        """Until then reads and commits are delayed with that probability, by ``least_ms`` to ``most_ms``."""
        self._record.congestion_min_ms = least_ms
        self._record.congestion_max_ms = most_ms
        self._record.congestion_percent = percent
        self._record.congestion_until = _until(seconds)

    # --- for connections --------------------------------------------------------------------------------------------
    def require_up(self) -> None:
        """Raises DisconnectedError if the instance was restarted since the connection was made."""
        if self._record.incarnation != self._incarnation:
            raise DisconnectedError(f"instance '{self.name}' was restarted, or failed over: open a new connection")

    @property
    def lags(self) -> bool:
        """Whether it may show something else than the newest version."""
        return bool(self._record.lag_ns or self._record.jitter_ns)

    def visible_ns(self) -> int:
        """The time whose newest version the instance shows now; never before one that it has shown already."""
        record = self._record
        now_ns = self._clock.now_ns()
        shown_ns = now_ns - record.lag_ns - random.randint(0, record.jitter_ns)
        before_ns = record.shown_ns
        if shown_ns < before_ns <= now_ns:
            return before_ns
        record.shown_ns = shown_ns
        return shown_ns

    def is_cut_off(self) -> bool:
        """Whether a replica failure is simulated now."""
        return Clock.steady_ns() < self._record.replica_until

    def replica_fails(self) -> bool:
        """Whether a transaction that begins now does not see what is newer."""
        return self.is_cut_off() and _happens(self._record.replica_percent)

    def touch_disk(self) -> None:
        """A read or a commit: delayed or failed as simulated.  Raises InjectedFaultError."""
        record, now = self._record, 0
        if record.congestion_until or record.disk_until:
            now = Clock.steady_ns()
        if now and now < record.congestion_until and _happens(record.congestion_percent):
            time.sleep(random.randint(record.congestion_min_ms, record.congestion_max_ms) / 1000)
        if now and now < record.disk_until and _happens(record.disk_percent):
            raise InjectedFaultError(f"instance '{self.name}' simulates a disk failure")


class InstanceGate:
    """The gate of one open file of a connection through an instance.  Implements :class:`vfs.abc.Gate`."""

    def __init__(self, state: InstanceState, *, is_reader: bool) -> None:
        self._state = state
        self._is_reader = is_reader
        self._is_frozen = False

    def pin(self, volume: Handle) -> None:
        """Pin what the instance shows now."""
        self._state.require_up()
        if self._is_frozen and self._state.replica_fails():
            return  # what was pinned still is
        if self._is_reader and self._state.lags:
            volume.pin_as_of(self._state.visible_ns())
        else:
            volume.pin()

    def unpin(self, volume: Handle) -> None:
        """A reader that is cut off from its writer keeps what it has."""
        self._is_frozen = self._is_reader and self._state.is_cut_off()
        if not self._is_frozen:
            volume.unpin()

    def before_read(self) -> None:
        """Delay or fail a read, as simulated."""
        self._state.touch_disk()

    def before_commit(self) -> None:
        """Refuse a commit after a restart; delay or fail it, as simulated."""
        self._state.require_up()
        self._state.touch_disk()


def _happens(percent: int) -> bool:
    return random.randrange(100) < percent


def _until(seconds: float) -> int:
    return Clock.steady_ns() + int(seconds * 1e9)
