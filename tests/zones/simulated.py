"""Storage nodes that lose, delay and repeat requests, in one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import datetime, timezone
from random import Random
from typing import Any

from clusterdb.errors import RemoteUnavailableError
from clusterdb.remote.objects import Listed, Objects
from clusterdb.zones.worker import Thread

__all__ = ["Inline", "Node"]


class Inline(Thread):
    """Runs calls at once."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **settings: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **settings))
        except BaseException as error:
            future.set_exception(error)
        return future


class Node:
    """The objects of a node, which all writers share; ``fault_rate`` of the requests go wrong."""

    def __init__(self, random: Random, fault_rate: float) -> None:
        self.stored: dict[str, bytes] = {}
        self.is_down = False
        self._random, self._fault_rate = random, fault_rate
        self._late: list[tuple[str, bytes]] = []

    def heal(self) -> None:
        """Work from now on; what is late arrives."""
        self.is_down, self._fault_rate = False, 0
        self.deliver(1)

    def reached(self) -> Objects:
        """The objects, as a process reaches them."""
        return Objects("simulated://node", self, "simulated://node")

    def lose_power(self) -> None:
        """Nothing: an object that was created is stored."""

    def wipe(self) -> None:
        """Lose everything; what was late never arrives."""
        self.stored.clear()
        self._late.clear()

    def deliver(self, rate: float) -> None:
        """Let some of the late requests arrive."""
        waiting, self._late = self._late, []
        for path, data in waiting:
            if self._random.random() < rate:
                self.stored.setdefault(path, data)
            else:
                self._late.append((path, data))

    def _pass(self) -> None:
        if self.is_down or self._random.random() < self._fault_rate:
            raise RemoteUnavailableError("lost")

    def get(self, path: str) -> bytes | None:
        self._pass()
        return self.stored.get(path)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        self._pass()
        data = self.stored.get(path)
        return data[start : start + length] if data is not None else None

    def create(self, path: str, data: bytes) -> bool:
        self._pass()
        is_new = path not in self.stored
        outcome = self._random.random()
        if outcome < self._fault_rate:  # it arrives later, or again
            self._late.append((path, data))
            raise RemoteUnavailableError("late")
        self.stored.setdefault(path, data)
        if outcome < 2 * self._fault_rate:
            raise RemoteUnavailableError("the answer is lost")
        return is_new

    def put(self, path: str, data: bytes) -> None:
        self._pass()
        self.stored[path] = data

    def delete(self, path: str) -> None:
        self._pass()
        self.stored.pop(path, None)

    def list(self, prefix: str) -> Iterator[Listed]:
        self._pass()
        now = datetime.now(timezone.utc)
        return iter([Listed(path, len(data), now) for path, data in self.stored.items() if path.startswith(prefix)])

    def settle(self, path: str) -> None:
        pass
