"""Faults of storage nodes that a user asks for: nodes that are lost, or slow.

They are kept in a file of the store, which every process looks at before each request.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clusterdb.errors import InvalidArgumentError, RemoteUnavailableError
from clusterdb.remote.objects import Engine, Listed
from clusterdb.zones.directory import NodeDirectory, Staged

__all__ = ["Fault", "Faults", "FaultyEngine", "fault_of"]

_FILE = "node-faults.json"
_DELAY_MAX_S, _TIME_MAX_S = 86_400, 315_360_000


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a node, until a time (0: for ever): it is lost, or answers later.

    :ivar is_lost: requests fail; else they are delayed
    :ivar delay_s: by how many seconds, at least
    :ivar until_s: when it is over, in seconds since 1970
    :ivar rate: the part of the requests, 0 to 1, that it concerns
    :ivar delay_max_s: by how many seconds at most, if more than ``delay_s``
    """

    is_lost: bool = False
    delay_s: float = 0.0
    until_s: float = 0.0
    rate: float = 1.0
    delay_max_s: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        return bool(self.until_s) and time.time() > self.until_s

    @property
    def text(self) -> str:
        """What it is, for events."""
        if self.rate < 1:
            part = f"{self.rate:.0%} of its requests"
            return f"fails {part}" if self.is_lost else f"answers {part} {self._delay} s later"
        return "is lost" if self.is_lost else f"answers {self._delay} s later"

    @property
    def _delay(self) -> str:
        most = f" to {self.delay_max_s:g}" if self.delay_max_s > self.delay_s else ""
        return f"{self.delay_s:g}{most}"

    def happen(self) -> None:
        """Delay a request, or fail it.  Raises RemoteUnavailableError."""
        if random.random() >= self.rate:
            return
        if self.is_lost:
            raise RemoteUnavailableError("lost on request")
        time.sleep(random.uniform(self.delay_s, max(self.delay_s, self.delay_max_s)))


def fault_of(
    *, is_lost: bool, delay_s: float = 0.0, for_s: float = 0.0, rate: float = 1.0, delay_max_s: float = 0.0
) -> Fault:
    """A fault that begins now.  Raises InvalidArgumentError."""
    for name, value, highest, text in (
        ("delay_s", delay_s, _DELAY_MAX_S, "a day"),
        ("for_s", for_s, _TIME_MAX_S, "ten years"),
    ):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
            raise InvalidArgumentError(f"{name}={value!r}: use seconds, from 0 to {text}")
    return Fault(is_lost, float(delay_s), time.time() + for_s if for_s else 0.0, rate, float(delay_max_s))


class Faults:
    """The faults of a store's nodes, by URL; those of a store in memory are of this process."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory / _FILE if directory is not None else None
        self._faults: dict[str, Fault] = {}
        self._read_at: tuple[int, int] | None = None

    def of(self, url: str) -> Fault | None:
        """The fault of a node, if it has one now."""
        self._refresh()
        fault = self._faults.get(url)
        return fault if fault is not None and not fault.is_over else None

    def set(self, urls: list[str], fault: Fault | None) -> None:
        """Give nodes a fault, or none."""
        if self._path is None:
            return self._set(urls, fault)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # another process may be setting others
            return self._set(urls, fault)
        finally:
            os.close(folder)

    def _set(self, urls: list[str], fault: Fault | None) -> None:
        self._refresh()
        faults = {url: old for url, old in self._faults.items() if url not in urls and not old.is_over}
        if fault is not None:
            faults.update(dict.fromkeys(urls, fault))
        self._faults = faults
        if self._path is not None:
            temporary = self._path.with_suffix(f".{secrets.token_hex(4)}")
            temporary.write_text(json.dumps({url: asdict(fault) for url, fault in faults.items()}))
            temporary.replace(self._path)

    def _refresh(self) -> None:
        if self._path is None:
            return
        with suppress(FileNotFoundError):
            status = os.stat(self._path)  # noqa: PTH116
            if self._read_at != (status.st_mtime_ns, status.st_ino):
                body: dict[str, Any] = json.loads(self._path.read_text())
                self._faults = {url: Fault(**fault) for url, fault in body.items()}
                self._read_at = (status.st_mtime_ns, status.st_ino)


class FaultyEngine:
    """The engine of a node, with its faults.  Implements :class:`clusterdb.remote.objects.Engine`."""

    def __init__(self, engine: Engine, url: str, faults: Faults) -> None:
        self.engine, self.url, self._faults = engine, url, faults
        self.knows_outcomes: bool = getattr(engine, "knows_outcomes", False)

    def reached(self) -> Engine:
        """The engine, after what the node's fault does to a request.  Raises RemoteUnavailableError."""
        fault = self._faults.of(self.url)
        if fault is not None:
            fault.happen()
        return self.engine

    def get(self, path: str) -> bytes | None:
        return self.reached().get(path)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        return self.reached().get_range(path, start, length)

    def create(self, path: str, data: bytes) -> bool:
        return self.reached().create(path, data)

    def stage(self, path: str, data: bytes) -> Staged | None:
        """As the engine's, if it has one and no fault: what is late or fails concerns the node's own thread."""
        engine = self.engine
        if not isinstance(engine, NodeDirectory) or self._faults.of(self.url) is not None:
            return None
        return engine.stage(path, data)

    def put(self, path: str, data: bytes) -> None:
        self.reached().put(path, data)

    def delete(self, path: str) -> None:
        self.reached().delete(path)

    def list(self, prefix: str) -> Iterator[Listed]:
        return self.reached().list(prefix)

    def settle(self, path: str) -> None:
        self.reached().settle(path)
