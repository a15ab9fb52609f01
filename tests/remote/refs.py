"""Histories of the databases of a repository, by several processes at once, and whether they are linearizable.

``python -m tests.remote.refs`` is one of the processes: it reads lines of JSON, [url, seed, count], does so many random
operations on the repository, and prints what it did.

A database is a register with a condition: it has a version or none; a push of a version goes through if the register
has none, or an ancestor of that version.  Registers are independent of one another, so a history is linearizable if
its operations on each of them are.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import timedelta

import clusterdb
from clusterdb.errors import RemoteConflictError, RemoteNotFoundError, RemoteUnavailableError, StoreBusyError
from clusterdb.remote import Remote
from clusterdb.remote.manifest import Ref
from clusterdb.remote.repository import Repository

__all__ = ["Operation", "Processes", "is_linearizable"]

NAMES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on a register, from its call to its return.

    :ivar kind: "read", "push" or "remove"
    :ivar value: the version that was read or pushed; None: there is none
    :ivar outcome: "done", "refused" (by the condition; a removal: by there being none), or "unknown": perhaps, later
    :ivar ancestors: the versions that a push may replace
    """

    name: str
    kind: str
    value: str | None
    outcome: str
    called_ns: int
    returned_ns: int
    ancestors: tuple[str, ...] = ()

    def after(self, state: str | None) -> tuple[bool, str | None]:
        """Whether it can have its outcome in a state, and the state after it."""
        if self.kind == "read":
            return state == self.value, state
        if self.kind == "remove":
            is_possible, then = state is not None, None
        else:
            is_possible, then = state is None or state == self.value or state in self.ancestors, self.value
        if self.outcome == "unknown":
            return True, then if is_possible else state
        return is_possible == (self.outcome == "done"), then if is_possible else state


def is_linearizable(history: Iterable[Operation]) -> bool:
    """Whether the operations of each register have an order that their outcomes and their times allow."""
    registers: dict[str, list[Operation]] = {}
    for operation in history:
        registers.setdefault(operation.name, []).append(operation)
    return all(_has_order(sorted(operations, key=lambda one: one.called_ns)) for operations in registers.values())


def _has_order(operations: Sequence[Operation]) -> bool:
    """Search an order (Wing and Gong 1993), with the states that were tried (Lowe 2017)."""
    must = sum(1 << at for at, one in enumerate(operations) if one.outcome != "unknown")
    tried: set[tuple[int, str | None]] = set()
    waiting: list[tuple[int, str | None]] = [(0, None)]
    while waiting:
        done, state = waiting.pop()
        if done & must == must:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        left = [at for at in range(len(operations)) if not done >> at & 1]
        first_return = min(operations[at].returned_ns for at in left if operations[at].outcome != "unknown")
        for at in left:
            if operations[at].called_ns > first_return:
                break
            is_possible, then = operations[at].after(state)
            if is_possible:
                waiting.append((done | 1 << at, then))
    return False


# --- processes --------------------------------------------------------------------------------------------------------
class Processes:
    """Several processes that do random operations on a repository at once."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "tests.remote.refs"]
        with ExitStack() as stack:
            self._processes = [
                stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
                for _ in range(count)
            ]
            self._stack = stack.pop_all()

    def history(self, url: str, seed: int, count: int) -> list[Operation]:
        """All operations of one history: ``count`` by each process."""
        for number, process in enumerate(self._processes):
            assert process.stdin is not None
            process.stdin.write(json.dumps([url, 1000 * seed + number, count]) + "\n")
            process.stdin.flush()
        history = []
        for process in self._processes:
            assert process.stdout is not None
            for row in json.loads(process.stdout.readline()):
                history.append(Operation(**{**row, "ancestors": tuple(row["ancestors"])}))
        return history

    def close(self) -> None:
        """End them."""
        self._stack.close()


class _Process:
    """The stores and operations of a process in one history."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.rng = random.Random(seed)
        self.store = clusterdb.open(":memory:")
        self.id = self.store.context.catalog.store_id.hex()
        self.cluster = self.store.create_cluster("own", backtrack_window_s=3600)
        self.origin: str | None = None
        self.operations: list[Operation] = []
        self._change("CREATE TABLE t (n)")

    def _change(self, sql: str) -> None:
        with closing(self.cluster.connect()) as connection:
            connection.execute(sql)

    def _text(self, ref: Ref | None) -> str | None:
        return f"{ref.store} {ref.record.volume} {ref.record.version}" if ref is not None else None

    def _version(self, version: int) -> str:
        return f"{self.id} {self.store.context.volume_of(self.cluster).volume} {version}"

    def _add(
        self, name: str, kind: str, value: str | None, outcome: str, called_ns: int, ancestors: tuple[str, ...] = ()
    ) -> None:
        self.operations.append(Operation(name, kind, value, outcome, called_ns, time.monotonic_ns(), ancestors))

    def act(self) -> None:
        """A random operation."""
        name = self.rng.choice(NAMES)
        kind = self.rng.choice(("read", "read", "push", "push", "push", "remove", "copy", "copy", "collect"))
        {"read": self.read, "push": self.push, "remove": self.remove, "copy": self.copy}.get(kind, self.collect)(name)

    def read(self, name: str) -> None:
        repository, called_ns = self._repository(), time.monotonic_ns()
        newest = repository.newest()
        self._add(name, "read", self._text(newest.refs.get(name) if newest is not None else None), "done", called_ns)

    def push(self, name: str) -> None:
        self._change(f"INSERT INTO t VALUES ({self.rng.randrange(10**6)})")
        newest = self.cluster.versions(1)[0].version
        ancestors = [self._version(version) for version in range(1, newest)]
        if self.origin is not None:
            ancestors.append(self.origin)
        called_ns, outcome = time.monotonic_ns(), "done"
        try:
            assert self.cluster.push(self.url, name=name).version == newest
        except RemoteConflictError:
            outcome = "refused"
        except StoreBusyError:
            return
        except RemoteUnavailableError:
            outcome = "unknown"
        self._add(name, "push", self._version(newest), outcome, called_ns, tuple(ancestors))

    def remove(self, name: str) -> None:
        called_ns, outcome = time.monotonic_ns(), "done"
        try:
            Remote(self.url).remove(name)
        except RemoteNotFoundError:
            outcome = "refused"
        except StoreBusyError:
            return
        except RemoteUnavailableError:
            outcome = "unknown"
        self._add(name, "remove", None, outcome, called_ns)

    def copy(self, name: str) -> None:
        """Go on with a copy of what is there."""
        from clusterdb.remote.fetching import clone_remote

        repository, called_ns = self._repository(), time.monotonic_ns()
        newest = repository.newest()
        ref = newest.refs.get(name) if newest is not None else None
        self._add(name, "read", self._text(ref), "done", called_ns)
        if newest is None or ref is None:
            return
        new = f"c{len(self.operations)}"
        try:
            clone_remote(self.store.context, repository, newest, name, new, {"backtrack_window_s": 3600}, None)
        except RemoteNotFoundError:  # it has expired meanwhile
            return
        self.cluster, self.origin = self.store.cluster(new), self._text(ref)

    def collect(self, name: str) -> None:
        """Let all states expire."""
        try:
            Remote(self.url).collect(timedelta(0))
        except (RemoteNotFoundError, StoreBusyError):
            return

    def _repository(self) -> Repository:
        return Remote(self.url).repository


def main() -> None:
    """Do what is asked until the end of the input."""
    for line in sys.stdin:
        url, seed, count = json.loads(line)
        process = _Process(url, seed)
        with process.store:
            for _ in range(count):
                process.act()
        print(json.dumps([asdict(operation) for operation in process.operations]), flush=True)


if __name__ == "__main__":
    main()
