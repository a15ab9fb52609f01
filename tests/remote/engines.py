"""Engines to test with: one that fails as object storage does, and an S3 service that refuses."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from clusterdb.errors import RemoteUnavailableError
from clusterdb.remote.objects import Engine, Listed, Objects

__all__ = ["Faulty", "Memory", "Stopped", "answering", "objects_on"]


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


Reply = Callable[[str, str], tuple[int, str, str]]
"""A function of a request's method and path: the status, and the code and the message of the error."""


@contextmanager
def answering(reply: Reply) -> Iterator[str]:
    """An S3 service on loopback that answers as a function decides: its endpoint."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, code, message = reply(self.command, self.path)
            body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = do_HEAD = _answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
