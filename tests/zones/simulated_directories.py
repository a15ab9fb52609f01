"""Storage nodes in directories, whose requests are held up in the middle, and which lose their power."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from clusterdb.errors import RemoteUnavailableError
from clusterdb.remote import objects
from clusterdb.remote.objects import Directory, Listed, Objects
from clusterdb.zones import directory, segment, together
from clusterdb.zones.directory import NodeDirectory, Staged
from clusterdb.zones.segment import Record
from tests.zones.simulated import Node
from vfs import failpoints

__all__ = ["simulated_directories"]

_POINTS = ("segment: written", "segment: synced", "segment: stopped", "segment: end agreed on", "object: linked")
_SECTOR_BYTES = 512


class _AbandonedError(BaseException):
    """The process of a request has died in the middle of it."""


class _Job:
    """A request in a thread of its own, which may be held up at the named points."""

    def __init__(self, call: Callable[[], bool], pauses: Callable[[], bool]) -> None:
        self._call, self._pauses = call, pauses
        self._may_run, self._has_stopped = threading.Event(), threading.Event()
        self.is_done = self.is_abandoned = False
        self.result: bool | BaseException = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        _jobs[self.thread] = self

    def _run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:
            self.result = error
        self.is_done = True
        del _jobs[self.thread]
        self._has_stopped.set()

    def proceed(self) -> bool:
        """Run until it is held up, or done; whether it is done."""
        self._has_stopped.clear()
        self._may_run.set()
        if self.thread.ident is None:
            self.thread.start()
        assert self._has_stopped.wait(60)
        return self.is_done

    def reach(self) -> None:
        """A point was reached, in its thread."""
        if self.is_abandoned:
            raise _AbandonedError
        if self._pauses():
            self._may_run.clear()
            self._has_stopped.set()
            self._may_run.wait()
            if self.is_abandoned:
                raise _AbandonedError

    def abandon(self) -> None:
        """Its process has died."""
        self.is_abandoned = True
        if not self.is_done:
            self.proceed()


_jobs: dict[threading.Thread, _Job] = {}


class _DirectoryNode(Node):
    """A directory that all writers share."""

    def __init__(self, random: Random, fault_rate: float, root: Path, power: _Power) -> None:
        super().__init__(random, fault_rate)
        self.root, self._power = root, power
        self.held: list[_Job] = []
        root.mkdir()

    def reached(self) -> Objects:
        return Objects(f"file://{self.root}", _Handle(self), f"file://{self.root}")

    def deliver(self, rate: float) -> None:
        held, self.held = self.held, []
        for job in held:
            if self._random.random() >= rate or not job.proceed():
                self.held.append(job)

    def heal(self) -> None:
        super().heal()
        self._power.failure_rate = 0
        while self.held:
            self.deliver(1)

    def _abandon(self) -> None:
        for job in self.held:
            job.abandon()
        self.held.clear()

    def wipe(self) -> None:
        self._abandon()
        shutil.rmtree(self.root)
        self.root.mkdir()

    def lose_power(self) -> None:
        self._abandon()
        self._power.fail(self.root, self._random)

    def is_faulty(self) -> bool:
        """Whether something goes wrong now."""
        return self._random.random() < self._fault_rate

    def pass_(self) -> None:
        """Fail a request, if the node is out of reach."""
        self._pass()


class _Handle:
    """A node as one process reaches it.  Implements :class:`clusterdb.remote.objects.Engine`."""

    knows_outcomes = True

    def __init__(self, node: _DirectoryNode) -> None:
        self._node = node
        self._engine = NodeDirectory(Directory(node.root), node.root.stat().st_dev)
        self._job: _Job | None = None

    def _reached(self) -> NodeDirectory:
        if self._job is not None and not self._job.is_done:
            raise RemoteUnavailableError("held up")
        self._node.pass_()
        return self._engine

    def create(self, path: str, data: bytes) -> bool:
        engine = self._reached()
        self._job = job = _Job(lambda: engine.create(path, data), self._node.is_faulty)
        if not job.proceed():
            self._node.held.append(job)
            raise RemoteUnavailableError("late")
        if isinstance(job.result, BaseException):
            raise job.result
        if self._node.is_faulty():
            raise RemoteUnavailableError("the answer is lost")
        return job.result

    def stage(self, path: str, data: bytes) -> Staged | None:
        try:
            engine = self._reached()
        except RemoteUnavailableError:
            return None
        return engine.stage(path, data)

    def get(self, path: str) -> bytes | None:
        return self._reached().get(path)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        return self._reached().get_range(path, start, length)

    def put(self, path: str, data: bytes) -> None:
        self._reached().put(path, data)

    def delete(self, path: str) -> None:
        self._reached().delete(path)

    def list(self, prefix: str) -> Iterator[Listed]:
        return iter(list(self._reached().list(prefix)))

    def settle(self, path: str) -> None:
        self._reached().settle(path)


def _path_of(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


class _Power:
    """What was written to segments, and is not on the device."""

    def __init__(self) -> None:
        self._written: dict[Path, list[tuple[int, bytes]]] = {}
        self._dropped: dict[Path, list[tuple[int, bytes]]] = {}
        """What a sync has failed to write: no later one writes it, unless it is written again."""
        self.random = Random(0)
        self.failure_rate = 0.0
        self._waiting: list[int] = []

    def write_at(self, fd: int, data: bytes, offset: int) -> int:
        path = _path_of(fd)
        before = os.pread(fd, len(data), offset)
        again = [at for at, old in self._dropped.get(path, []) if offset <= at and at + len(old) <= offset + len(data)]
        if again:  # what is on the device was recorded when it was written first
            kept = self._dropped.pop(path)
            self._dropped[path] = [(at, old) for at, old in kept if at not in again]
            self._written.setdefault(path, []).extend((at, old) for at, old in kept if at in again)
        else:
            self._written.setdefault(path, []).append((offset, before))
        return os.pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        written = self._written.pop(_path_of(fd), [])
        if self.random.random() < self.failure_rate:
            self._dropped.setdefault(_path_of(fd), []).extend(written)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write_range(self, fd: int, record: Record, flags: int) -> None:
        if not flags & 4:
            return
        if self.random.random() < self.failure_rate:
            self._dropped.setdefault(_path_of(fd), []).extend(self._written.pop(_path_of(fd), []))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._waiting.append(fd)

    def flush(self, fd: int) -> None:
        waiting, self._waiting = self._waiting, []
        written = {_path_of(other): self._written.pop(_path_of(other), []) for other in waiting}
        try:
            self.sync(fd)
        except OSError:  # the device may have dropped what it had of any of them
            for path, writes in written.items():
                self._dropped.setdefault(path, []).extend(writes)
            raise

    def fail(self, root: Path, random: Random) -> None:
        """Take back some sectors of what was not synced in the files below a directory."""
        for path in root.rglob("*"):
            for offset, before in reversed(self._dropped.pop(path, []) + self._written.pop(path, [])):
                data = bytearray(path.read_bytes())
                for at in range(0, len(before), _SECTOR_BYTES):
                    if random.random() < 0.5:
                        part = before[at : at + _SECTOR_BYTES]
                        data[offset + at : offset + at + len(part)] = part
                path.write_bytes(data)


@contextmanager
def simulated_directories(folder: Path) -> Iterator[Callable[[Random, float], Node]]:
    """What creates nodes below a folder, for the body."""
    power, numbers = _Power(), iter(range(1 << 30))

    def create(random: Random, fault_rate: float) -> Node:
        number = next(numbers)
        if number % 6 == 0:
            power.random.seed(random.random())
            power.failure_rate = random.choice([0, 0.01, 0.05])
            shutil.rmtree(folder)
            folder.mkdir()
        return _DirectoryNode(random, fault_rate, folder / str(number), power)

    def reach() -> None:
        job = _jobs.get(threading.current_thread())
        if job is not None:
            job.reach()

    def ignore(*arguments: Any) -> None:
        pass

    with (
        mock.patch.object(objects, "CALLS", objects.Calls(sync_file=ignore, sync_directory=ignore)),
        mock.patch.object(segment, "CALLS", segment.Calls(power.write_at, power.sync)),
        mock.patch.object(together, "CALLS", together.Calls(power.write_range, power.flush)),
        mock.patch.object(directory, "can_sync_together", lambda path: True),
    ):
        for point in _POINTS:
            failpoints.armed[point] = reach
        try:
            yield create
        finally:
            failpoints.armed.clear()
