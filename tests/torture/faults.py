"""Faults: the n-th I/O call of an operation fails, for every n and every way in which it can fail.

Whatever happens then must be a SQLite or clusterdb error; the cluster is as before or as after, rollback and later use
work (after a failed sync once the store is reopened), and nothing is leaked for good.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

import clusterdb
from tests.support.inside import pages_of
from tests.torture.worlds import ROWS, fill, number_in, write
from vfs.storage import device

KINDS = ("EIO", "ENOSPC", "short", "interrupt", "memory")


class Violation(AssertionError):
    """A fault was not taken as promised."""


@dataclass
class Injector:
    """Counts calls, and makes the n-th fail."""

    kind: str = ""
    at: int = 0
    count: int = 0

    def due(self) -> bool:
        self.count += 1
        return self.count == self.at

    def error(self) -> BaseException:
        if self.kind == "interrupt":
            return KeyboardInterrupt()
        if self.kind == "memory":
            return MemoryError()
        code = errno.ENOSPC if self.kind == "ENOSPC" else errno.EIO
        return OSError(code, os.strerror(code))

    @contextmanager
    def injecting(self, directory: Path) -> Iterator[None]:
        """Count, and fail, in the body."""
        real = device.Calls()

        def pwritev(fd: int, buffers: Any, offset: int) -> int:
            if self.due():
                if self.kind == "short":
                    whole = b"".join(buffers)
                    return os.pwrite(fd, whole[: len(whole) // 2], offset)
                raise self.error()
            return os.pwritev(fd, buffers, offset)

        def failing(call: Callable[..., None]) -> Callable[..., None]:
            def run(*arguments: Any) -> None:
                if self.due():
                    raise self.error()
                call(*arguments)

            return run

        device.CALLS.pwritev = pwritev
        for name in ("fdatasync", "ftruncate", "allocate", "punch"):
            setattr(device.CALLS, name, failing(getattr(real, name)))
        vfs = _FailingVFS(self, directory)
        try:
            yield
        finally:
            device.CALLS.__init__()  # type: ignore[misc]
            self.at = 0
            vfs.unregister()


class _FailingVFS(apsw.VFS):
    def __init__(self, injector: Injector, directory: Path) -> None:
        self._injector = injector
        self._directory = str(directory.resolve())
        super().__init__("failing", base="", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name if name is None or isinstance(name, str) else name.filename()
        if path is not None and path.startswith(f"{self._directory}/catalog.db"):
            return _FailingFile(self._injector, name, flags)
        return apsw.VFSFile("unix", name, flags)


class _FailingFile(apsw.VFSFile):
    def __init__(self, injector: Injector, name: Any, flags: list[int]) -> None:
        self._injector = injector
        super().__init__("unix", name, flags)

    def _fail_if_due(self) -> None:
        if self._injector.due():
            raise apsw.FullError("no space") if self._injector.kind == "ENOSPC" else apsw.IOError("injected")

    def xWrite(self, data: bytes, offset: int) -> None:
        self._fail_if_due()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._fail_if_due()
        super().xSync(flags)


Operation = Callable[[clusterdb.Store, Path], object]
OPERATIONS: dict[str, Operation] = {
    "open": lambda store, _: None,
    "commit FULL": lambda store, _: write(store, "one", 2, "FULL", 20),
    "commit NORMAL": lambda store, _: write(store, "one", 2, "NORMAL", 20),
    "commit OFF": lambda store, _: write(store, "one", 2, "OFF", 20),
    "commit of a clone": lambda store, _: write(store, "two", 2, "FULL", ROWS),
    "clone": lambda store, _: store.cluster("one").clone("new"),
    "drop": lambda store, _: store.cluster("two").delete(),
    "drop of a source": lambda store, _: store.cluster("one").delete(),
    "rename": lambda store, _: store.cluster("one").rename("new"),
    "import": lambda store, source: store.create_cluster("new", from_file=source),
    "reclaim": lambda store, _: store.reclaim(),
    "shrink": lambda store, _: store.shrink(),
}


def prepare(directory: Path, source: Path, seed: int) -> clusterdb.Store:
    """A store with a cluster, a clone that has changed, and some free space; each seed another history."""
    rng = random.Random(seed)
    store = clusterdb.open(directory)
    store.create_cluster("one", from_file=source)
    for _ in range(rng.randrange(3)):
        write(store, "one", 1, rng.choice(["FULL", "NORMAL", "OFF"]), rng.randrange(1, ROWS))
    store.cluster("one").clone("two")
    write(store, "two", 1, "FULL", rng.randrange(1, ROWS))
    for name in ("three", "four")[: rng.randrange(1, 3)]:
        store.cluster(rng.choice(["one", "two"])).clone(name)
        write(store, name, 1, rng.choice(["FULL", "NORMAL"]), rng.randrange(1, ROWS))
        if rng.random() < 0.7:
            store.cluster(name).delete()
    return store


def attempt(operation: str, kind: str, at: int, template: Path, source: Path) -> int:
    """Run an operation on a copy of the template with a fault in its ``at``-th call; the calls it made.

    Raises Violation.
    """
    base = Path(tempfile.mkdtemp(prefix="fault-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        shutil.copytree(template, base / "store")
        injector = Injector(kind)
        where = f"{operation}, {kind} at call {at}"
        with injector.injecting(base / "store"):
            if operation == "open":
                store = _open_with_fault(base / "store", injector, at)
            else:
                store = clusterdb.open(base / "store")
                injector.count, injector.at = 0, at
            error: BaseException | None = None
            try:
                OPERATIONS[operation](store, source)
            except (apsw.Error, clusterdb.Error, KeyboardInterrupt, MemoryError) as caught:
                error = caught
            count, injector.at = injector.count, 0
            _use(store, where, error)
        try:
            store.close()
        except clusterdb.Error as caught:
            raise Violation(f"{where}: closing failed: {caught!r}") from caught
        with clusterdb.open(base / "store") as store:
            _use(store, where, None)
            store.reclaim()
            report = store.check()
            if report.problems or report.leaked_count:
                raise Violation(f"{where}: {report.problems[:3]}, {report.leaked_count} leaked after a reclaim")
        return count
    finally:
        shutil.rmtree(base)


def _open_with_fault(directory: Path, injector: Injector, at: int) -> clusterdb.Store:
    """Open a store whose derived files are lost; if that fails, once more."""
    (directory / "map").unlink()
    injector.count, injector.at = 0, at
    try:
        return clusterdb.open(directory)
    except (apsw.Error, clusterdb.Error, KeyboardInterrupt, MemoryError):
        count, injector.at = injector.count, 0
        store = clusterdb.open(directory)
        injector.count = count
        return store


def _use(store: clusterdb.Store, where: str, error: BaseException | None) -> None:
    """Every cluster is as before or after, and takes a commit, unless a sync failed."""
    for cluster in store.clusters():
        try:
            number = number_in(store, cluster.name)
        except (apsw.Error, clusterdb.Error) as failed:
            raise Violation(f"{where} (which gave {error!r}): cluster {cluster.name}: {failed!r}") from failed
        if number not in (1, 2, 3):
            raise Violation(f"{where}: cluster {cluster.name} is at {number}")
        try:
            write(store, cluster.name, 3, "FULL", 2)
        except (apsw.IOError, clusterdb.StoreFailedError) as failed:
            if not pages_of(store).has_failed:
                raise Violation(f"{where} (which gave {error!r}): later use failed: {failed!r}") from failed
        else:
            if number_in(store, cluster.name) != 3:
                raise Violation(f"{where}: cluster {cluster.name} does not take a commit")


def run_all(every: int = 1, seed: int = 0, kinds: tuple[str, ...] = KINDS) -> int:
    """Every ``every``-th fault of every operation; how many."""
    base = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        source = base / "source.db"
        fill(source, 1)
        prepare(base / "template", source, seed).close()
        done = 0
        for operation in OPERATIONS:
            calls = attempt(operation, "", 0, base / "template", source)  # no fault: how many calls there are
            for kind in kinds:
                for at in range(1 + (seed + done) % every, calls + 1, every):
                    attempt(operation, kind, at, base / "template", source)
                    done += 1
        return done
    finally:
        shutil.rmtree(base)
