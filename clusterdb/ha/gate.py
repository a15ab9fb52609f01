"""The state of instances, shared by all processes, and the gate that applies it to connections.

An instance has a row in the gate table of the shared tables, with its restarts, its lag and the faults that it
simulates.  A connection through an instance checks the row when a transaction begins, and at every read and commit.
"""

from __future__ import annotations

import random
import time

from vfs.abc import Handle
from vfs.errors import DisconnectedError, InjectedFaultError
from vfs.format.shared import ROW_WORDS, Record, words_of
from vfs.storage.clock import Clock
from vfs.storage.pool import Pool

__all__ = ["InstanceGate", "InstanceState"]


class _InstanceRecord(Record):
    """The row of an instance in the gate table; times are nanoseconds, those of faults since the boot.

    ``incarnation`` moves at every restart; ``shown_ns``: the newest time whose version readers have seen.
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
    """The state of an instance, for a connection or for its management."""

    def __init__(self, pool: Pool, row: int, name: str) -> None:
        """``row``: the row of the instance in the gate table."""
        self.name = name
        self.row = row
        self._clock = pool.clock
        self._record = pool.tables.gate(row, _InstanceRecord)
        self._incarnation = self._record.incarnation

    # --- management -------------------------------------------------------------------------------------------------
    def restart(self) -> None:
        """Disconnect all present connections: they fail from their next transaction on."""
        self._record.incarnation += 1

    def clear(self) -> None:
        """Stop every simulated fault and lag."""
        for name, _ in _InstanceRecord._fields_[1:]:
            setattr(self._record, name, 0)

    def set_lag(self, lag_ns: int, jitter_ns: int) -> None:
        """Set the lag of readers: they see versions from ``lag_ns`` ago, and up to ``jitter_ns`` more."""
        self._record.jitter_ns = jitter_ns
        self._record.lag_ns = lag_ns
        self._record.shown_ns = 0  # readers may see an older version than before

    def simulate_replica_failure(self, percent: int, seconds: float) -> None:
        """For that time, transactions do not see newer versions, with that probability."""
        self._record.replica_percent = percent
        self._record.replica_until = _until(seconds)

    def simulate_disk_failure(self, percent: int, seconds: float) -> None:
        """For that time, reads and commits fail with that probability."""
        self._record.disk_percent = percent
        self._record.disk_until = _until(seconds)

    def simulate_congestion(self, percent: int, seconds: float, least_ms: int, most_ms: int) -> None:
        """For that time, reads and commits are delayed with that probability, by ``least_ms`` to ``most_ms``."""
        self._record.congestion_min_ms = least_ms
        self._record.congestion_max_ms = most_ms
        self._record.congestion_percent = percent
        self._record.congestion_until = _until(seconds)

    # --- connections ------------------------------------------------------------------------------------------------
    def require_up(self) -> None:
        """Raise DisconnectedError if the instance was restarted since the connection was opened."""
        if self._record.incarnation != self._incarnation:
            raise DisconnectedError(f"instance '{self.name}' was restarted, or failed over: open a new connection")

    def passive(self) -> bytes:
        """The bytes of the row while it disconnects, delays and refuses nothing of this connection."""
        record = _InstanceRecord()
        record.incarnation = self._incarnation
        return bytes(record).ljust(8 * ROW_WORDS, b"\0")

    @property
    def lags(self) -> bool:
        """Whether the instance may show a version that is not the newest."""
        return bool(self._record.lag_ns or self._record.jitter_ns)

    def visible_ns(self) -> int:
        """The time whose newest version the instance shows now; never earlier than a time that it has shown before."""
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
        """Whether a transaction that begins now fails to see newer versions."""
        return self.is_cut_off() and _happens(self._record.replica_percent)

    def touch_disk(self) -> None:
        """Delay or fail a read or a commit, as simulated.  Raises InjectedFaultError."""
        record, now = self._record, 0
        if record.congestion_until or record.disk_until:
            now = Clock.steady_ns()
        if now and now < record.congestion_until and _happens(record.congestion_percent):
            time.sleep(random.randint(record.congestion_min_ms, record.congestion_max_ms) / 1000)
        if now and now < record.disk_until and _happens(record.disk_percent):
            raise InjectedFaultError(f"instance '{self.name}' simulates a disk failure")


class InstanceGate:
    """The gate of an open file of a connection through an instance.  Implements :class:`vfs.abc.Gate`."""

    def __init__(self, state: InstanceState, *, is_reader: bool) -> None:
        self._state = state
        self._is_reader = is_reader
        self._is_frozen = False

    @property
    def passive(self) -> tuple[int, bytes]:
        """The row of the instance, and its bytes while nothing is simulated."""
        return self._state.row, self._state.passive()

    def pin(self, volume: Handle) -> None:
        """Pin the version that the instance shows now."""
        self._state.require_up()
        if self._is_frozen and self._state.replica_fails():
            return  # the version is still pinned
        if self._is_reader and self._state.lags:
            volume.pin_as_of(self._state.visible_ns())
        else:
            volume.pin()

    def unpin(self, volume: Handle) -> None:
        """Release the version, unless the reader is cut off from its writer: then it stays pinned."""
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
