"""Engines to test with: one that fails as object storage does, and a real one."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from clusterdb.errors import RemoteUnavailableError
from clusterdb.remote.objects import Engine, Listed, Objects

__all__ = ["Faulty", "Memory", "Stopped", "objects_on", "seaweedfs", "started_seaweedfs"]


class Memory:
    """Objects in a dictionary, with the times at which they were created, by a clock of their own."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.times: dict[str, datetime] = {}
        self.passed = timedelta()
        """How far its clock is ahead of the system's."""

    def age(self, time: timedelta = timedelta(days=2)) -> None:
        """Let some time pass."""
        self.passed += time

    def get(self, path: str) -> bytes | None:
        return self.content.get(path)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        data = self.content.get(path)
        return data[start : start + length] if data is not None else None

    def create(self, path: str, data: bytes) -> bool:
        if path in self.content:
            return False
        self.put(path, data)
        return True

    def put(self, path: str, data: bytes) -> None:
        self.content[path] = data
        self.times[path] = datetime.now(timezone.utc) + self.passed

    def delete(self, path: str) -> None:
        self.content.pop(path, None)

    def list(self, prefix: str) -> Iterator[Listed]:
        for path in sorted(self.content):
            if path.startswith(f"{prefix}/"):
                yield Listed(path, len(self.content[path]), self.times[path])

    def settle(self, path: str) -> None:
        pass


class Stopped(BaseException):
    """The process ends here."""


class Faulty:
    """An engine of which requests fail: lost, carried out but answered with an error, carried out later; or the end.

    ``stops_at``: the number of the request before which the process ends.  ``meanwhile``: what others do before some
    requests.
    """

    def __init__(self, engine: Memory, rng: random.Random, rate: float, stops_at: int | None = None) -> None:
        self._engine, self._rng, self._rate, self._stops_at = engine, rng, rate, stops_at
        self.meanwhile: dict[int, Callable[[], None]] = {}
        self._late: list[Callable[[], object]] = []
        self.requests = 0

    def _before(self) -> str:
        """What happens to a request."""
        self.requests += 1
        self.meanwhile.pop(self.requests, lambda: None)()
        if self.requests == self._stops_at:
            raise Stopped
        self.deliver(0.2)
        return self._rng.choice(("lost", "unknown", "late")) if self._rng.random() < self._rate else "done"

    def deliver(self, rate: float) -> None:
        """Carry out requests that are late, with a probability."""
        waiting, self._late = self._late, []
        for request in waiting:
            if self._rng.random() < rate:
                request()
            else:
                self._late.append(request)

    def _fail(self) -> RemoteUnavailableError:
        return RemoteUnavailableError("the storage does not answer")

    def _change(self, request: Callable[[], object]) -> object:
        """Carry out a request that changes something, or not, or later."""
        fate = self._before()
        if fate == "late":
            self._late.append(request)
        if fate in ("lost", "late"):
            raise self._fail()
        outcome = request()
        if fate == "unknown":
            raise self._fail()
        if self._rng.random() < self._rate:  # the answer was lost, and the library asks again
            return request()
        return outcome

    def get(self, path: str) -> bytes | None:
        if self._before() != "done":
            raise self._fail()
        return self._engine.get(path)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        if self._before() != "done":
            raise self._fail()
        return self._engine.get_range(path, start, length)

    def create(self, path: str, data: bytes) -> bool:
        return bool(self._change(lambda: self._engine.create(path, data)))

    def put(self, path: str, data: bytes) -> None:
        self._change(lambda: self._engine.put(path, data))

    def delete(self, path: str) -> None:
        self._change(lambda: self._engine.delete(path))

    def list(self, prefix: str) -> Iterator[Listed]:
        if self._before() != "done":
            raise self._fail()
        return self._engine.list(prefix)

    def settle(self, path: str) -> None:
        pass


def objects_on(engine: Engine) -> Objects:
    """The objects of an engine of these tests."""
    return Objects("memory://tests", engine, "memory://tests")


@contextmanager
def seaweedfs(folder: Path) -> Iterator[str]:
    """SeaweedFS with its S3 gateway on loopback: the URL of its endpoint.  Raises FileNotFoundError without it."""
    ports = _free_ports(4)
    with started_seaweedfs(folder, "127.0.0.1", ports) as process:
        _wait_for(ports[3], process)
        yield f"http://127.0.0.1:{ports[3]}"


@contextmanager
def started_seaweedfs(
    folder: Path, address: str, ports: list[int], within: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """SeaweedFS, which may not answer yet; the last port is that of its S3 gateway.

    ``within``: a command that runs it.  Raises FileNotFoundError without it.
    """
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise FileNotFoundError("weed")
    command = [*within, program, "server", f"-dir={folder}", "-s3", f"-ip={address}", f"-ip.bind={address}"]
    command += [
        f"-{name}={port}" for name, port in zip(("master.port", "volume.port", "filer.port"), ports, strict=False)
    ]
    command += ["-volume.max=4", f"-s3.port={ports[3]}", "-master.volumeSizeLimitMB=64"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports of which those 10,000 above are free too: SeaweedFS uses them for gRPC."""
    ports: list[int] = []
    candidate = random.randrange(20_000, 30_000)
    while len(ports) < count:
        candidate += 1
        try:
            for port in (candidate, candidate + 10_000):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(candidate)
    return ports


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise RuntimeError(f"SeaweedFS ended with {process.returncode}")
        try:
            with closing(socket.create_connection(("127.0.0.1", port), 1)):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("SeaweedFS does not answer")
