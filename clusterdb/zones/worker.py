"""A thread for the requests to one node, which may hang: nothing waits for it at the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any

__all__ = ["Thread", "Worker"]

_Job = tuple[Future[Any], Callable[[], Any]]


class Thread(Executor):
    """Runs calls one after the other."""

    is_idle = True
    """Whether all calls that were submitted have returned."""


class Worker(Thread):
    """Runs calls one after the other in a daemon thread, which the first call starts."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._is_started = self._is_ended = False
        self._undone_count = 0

    def submit(self, call: Callable[..., Any], /, *args: Any, **settings: Any) -> Future[Any]:
        """Run a call; a worker that has ended runs none, and its future is cancelled."""
        future: Future[Any] = Future()
        with self._guard:
            if self._is_ended:
                future.cancel()
                future.set_running_or_notify_cancel()
                return future
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._serve, name=self._name, daemon=True).start()
            self._undone_count += 1
        self._jobs.put((future, lambda: call(*args, **settings)))
        return future

    @property
    def is_idle(self) -> bool:  # type: ignore[override]
        return not self._undone_count

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End after the calls that were submitted; waits for nothing."""
        with self._guard:
            self._is_ended = True
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            with self._guard:
                self._undone_count -= 1
            del job, future, call
