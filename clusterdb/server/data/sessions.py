"""A connection with the thread that it is used in, and the idle ones that are kept for the next statement.

A call hands its work to the session's thread and waits for as long as a call may take.  Work that is not done by then
either continues, or is cancelled: SQLite is interrupted, and a wait for another writer ends.
"""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

import clusterdb.dbapi2 as dbapi
from clusterdb.dbapi2.opening import Mode
from clusterdb.errors import Error
from clusterdb.store import Cluster

__all__ = ["Pool", "Session", "SessionBusyError", "SessionTimeoutError"]

_T = TypeVar("_T")
_WAIT_MAX_S = 0.02
"""The longest pause between two attempts to become the writer."""
_numbers = itertools.count(1)


class SessionBusyError(Exception):
    """The session is running something."""


class SessionTimeoutError(Exception):
    """The work is not done in time; it continues."""


class Session:
    """A connection to a cluster's writer, opened and used by a thread of its own.

    ``cluster``: the handle that it was opened with.  ``used_at``: when it became idle, by the clock of its pool.
    ``was_refused``: whether the last work was not allowed to wait for another writer, since too many wait.

    :param waiting: taken by each session that waits for another writer
    """

    def __init__(self, cluster: Cluster, waiting: threading.Semaphore, *, read_only: bool = False) -> None:
        self.cluster = cluster
        self._waiting, self._is_waiting = waiting, False
        self.was_refused = False
        self._mode: Mode = "ro" if read_only else "rw"
        self.used_at = 0.0
        self.memory: dict[Any, Any] = {}
        """What its user wants to remember about the connection."""
        self._connection: dbapi.Connection | None = None
        self._jobs: SimpleQueue[tuple[Callable[[dbapi.Connection], Any], Future[Any]] | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._running: Future[Any] | None = None
        self._is_closed = False
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"clusterdb-data-{next(_numbers)}", daemon=True)
        self._thread.start()

    # --- for callers ------------------------------------------------------------------------------------------------
    def run(self, work: Callable[[dbapi.Connection], _T], timeout_s: float) -> _T:
        """The result of ``work(connection)``, which runs in the session's thread.

        Raises what it raises; SessionBusyError, SessionTimeoutError.
        """
        return self.wait(self.start(work), timeout_s)

    def start(self, work: Callable[[dbapi.Connection], _T]) -> Future[_T]:
        """Hand work to the thread.  Raises SessionBusyError."""
        future: Future[_T] = Future()
        with self._guard:
            if self._is_closed or (self._running is not None and not self._running.done()):
                raise SessionBusyError
            self._running = future
            self.was_refused = False
            self._cancelled.clear()
            self._jobs.put((work, future))
        return future

    def wait(self, future: Future[_T], timeout_s: float) -> _T:
        """The result of work.  Raises SessionTimeoutError, and what the work raises."""
        try:
            return future.result(timeout_s)
        except TimeoutError:
            if future.done():  # the work itself raised it, or it is done just now
                return future.result()
            raise SessionTimeoutError from None

    def cancel(self, wait_s: float = 5.0) -> None:
        """Interrupt what runs, and wait until it has ended."""
        self._cancelled.set()
        future = self._running
        until = time.monotonic() + wait_s
        while future is not None and not future.done() and time.monotonic() < until:
            connection = self._connection
            if connection is not None:
                with suppress(Error):
                    connection.interrupt()
            with suppress(Exception):
                future.result(_WAIT_MAX_S)

    @property
    def is_cancelled(self) -> bool:
        """Whether the work that was started last has been cancelled."""
        return self._cancelled.is_set()

    @property
    def is_running(self) -> bool:
        """Whether work has not ended yet."""
        return self._running is not None and not self._running.done()

    def close(self) -> None:
        """Close the connection when what runs has ended; an open transaction is rolled back."""
        with self._guard:
            if not self._is_closed:
                self._is_closed = True
                self._jobs.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait until the thread of a closed session has ended."""
        self._thread.join(timeout_s)

    # --- the thread -------------------------------------------------------------------------------------------------
    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            try:
                result = work(self._opened())
            except BaseException as error:
                self._end_waiting()
                future.set_exception(error)
                error.__traceback__ = None  # else its frames keep the connection
            else:
                self._end_waiting()
                future.set_result(result)
            del work, future, job
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # the store may have been closed
                connection.close()

    def _opened(self) -> dbapi.Connection:
        """The connection: opened with the first work, so that a failure to open it is the work's."""
        if self._connection is None:
            connection = dbapi.connect(self.cluster, isolation_level=None, check_same_thread=False, mode=self._mode)
            connection.apsw.set_busy_handler(self._may_wait)
            self._connection = connection
        return self._connection

    def _may_wait(self, attempts: int) -> bool:
        """Wait for another writer a little, unless the call has given up, or too many wait."""
        if not self._is_waiting:
            self._is_waiting = self._waiting.acquire(blocking=False)
            self.was_refused = not self._is_waiting
            if self.was_refused:
                return False
        return not self._cancelled.wait(min(0.001 * 2 ** min(attempts, 10), _WAIT_MAX_S))

    def _end_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._waiting.release()


class Pool:
    """The idle sessions of clusters.

    :param clock: seconds that only grow
    :param waiting_max: how many sessions may wait for another writer at a time
    :param idle_s: sessions that were idle for longer are closed by :meth:`sweep`
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        read_only: bool,
        waiting_max: int,
        idle_s: float = 60,
        each_max: int = 8,
        all_max: int = 64,
    ) -> None:
        self._clock, self._read_only = clock, read_only
        self._waiting = threading.Semaphore(waiting_max)
        self._idle_s, self._each_max, self._all_max = idle_s, each_max, all_max
        self._idle: dict[tuple[int, int], list[Session]] = defaultdict(list)
        self._is_closed = False
        self._all: weakref.WeakSet[Session] = weakref.WeakSet()
        """Sessions whose threads run."""
        self._guard = threading.Lock()

    def take(self, cluster: Cluster) -> tuple[Session, bool]:
        """A session of a cluster, and whether it has been used before.  Raises as :meth:`new`."""
        with self._guard:
            idle = self._idle.get(_key(cluster))
            if idle:
                return idle.pop(), True
        return self.new(cluster), False

    def new(self, cluster: Cluster) -> Session:
        """A new session of a cluster.  Raises SessionBusyError when the pool is closed."""
        with self._guard:
            if self._is_closed:
                raise SessionBusyError
            session = Session(cluster, self._waiting, read_only=self._read_only or cluster.context.read_only)
            self._all.add(session)
        return session

    def give(self, session: Session) -> None:
        """Keep a session whose connection is as good as new; closes it if there are enough."""
        key = _key(session.cluster)
        session.used_at = self._clock()
        with self._guard:
            count = sum(map(len, self._idle.values()))
            if not self._is_closed and count < self._all_max and len(self._idle[key]) < self._each_max:
                self._idle[key].append(session)
                return
        session.close()

    def sweep(self) -> float | None:
        """Close what was idle for too long; returns when to do it again, None if nothing is idle."""
        oldest = self._clock() - self._idle_s
        with self._guard:
            sessions = [session for idle in self._idle.values() for session in idle]
            dropped = [session for session in sessions if session.used_at <= oldest]
            for key in list(self._idle):
                self._idle[key] = [session for session in self._idle[key] if session not in dropped]
                if not self._idle[key]:
                    del self._idle[key]
        for session in dropped:
            session.close()
        return min((session.used_at + self._idle_s for session in sessions if session not in dropped), default=None)

    def close(self, wait_s: float) -> None:
        """Interrupt and close all sessions, idle or not, and wait until they are closed."""
        with self._guard:
            self._is_closed = True
            sessions = list(self._all)
            self._idle.clear()
        for session in sessions:
            session.close()
            session.cancel(wait_s)
        for session in sessions:
            session.join(wait_s)


def _key(cluster: Cluster) -> tuple[int, int]:
    """A store (which its sessions keep alive, so that the number stays its own) and a cluster of it."""
    return id(cluster.context), cluster.id
