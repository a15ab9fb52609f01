"""Signals at random moments: a timer interrupts verbs with an exception, and nothing may be left behind.

A process does verbs; in some of them, after a random time, the handler of SIGALRM raises an exception of its own, or
KeyboardInterrupt.  That very exception is what the caller gets.  Afterwards no lock is held, no pin and no flag is
left in the shared tables, no catalog transaction is open, and every cluster is as before or after.  From time to time
another process opens the store, writes to all of it and checks it.
"""

from __future__ import annotations

import faulthandler
import fcntl
import gc
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import apsw

import clusterdb
import clusterdb.public  # what is imported when it is needed: once, before the forks
from tests.support.inside import catalog_of, pages_of
from tests.torture.worlds import Violation, fill, number_at, number_in, retained, write
from vfs.format import locks
from vfs.format.shared import KEEPS_SUPERSEDED
from vfs.storage.device import _FLOCK

CLUSTERS_MAX = 6
PATIENCE_S = 100
"""How long to wait for a batch of interrupts; locks of the store are waited for for 60 s."""
LOST = "lost in a destructor"
_LOCKS = {
    "open lock": (locks.OPEN, 1),
    "pool lock": (locks.POOL, 1),
    "sweep lock": (locks.SWEEP, 1),
    "volume lock": (locks.volume(0), 0x10000),
    "builder lock": (locks.BUILDER, 0x10000),
    "writer lock": (locks.writer(0, 0), 0),
}


class Alarm(Exception):
    """What the handler raises."""


@contextmanager
def interrupting(kind: type[BaseException], delay_s: float, raised: list[BaseException]) -> Iterator[None]:
    """Raise an exception in the body once ``delay_s`` have gone by, and note it in ``raised``.

    A body that is over before that gets none.
    """
    is_over = False

    def handle(_signal: int, _frame: object) -> None:
        if not is_over and not raised:
            raised.append(kind())
            raise raised[0]

    former = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, delay_s)
    try:
        yield
    finally:
        is_over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def held_locks(directory: Path) -> list[str]:
    """The locks that somebody holds, of those that nobody keeps between two verbs."""
    fd = os.open(directory / "locks", os.O_RDWR | os.O_CLOEXEC)  # a description of its own: it conflicts with others
    held = []
    try:
        for name, (first, count) in _LOCKS.items():
            request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, first, count, 0)
            kind, _, at, _, _ = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request))
            if kind != fcntl.F_UNLCK:
                held.append(f"{name} {at - first}")
    finally:
        os.close(fd)
    return held


class Interrupted:
    """The verbs of one process, and what they leave."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.rng = random.Random(seed)
        self.serial = iter(range(1_000_000 * seed + 1000, 1_000_000 * (seed + 1)))
        self.store = clusterdb.open(directory)
        self.durations: dict[str, list[float]] = {}
        self.outcomes: Counter[str] = Counter()
        self.expected: dict[str, set[int]] = {}
        self.verbs: dict[str, Callable[[str], object]] = {
            "commit": self._commit,
            "read": lambda name: number_in(self.store, name),
            "clone": lambda name: self.store.cluster(name).clone(f"c{next(self.serial)}"),
            "delete": lambda name: self.store.cluster(name).delete(),
            "snapshot": lambda name: self.store.cluster(name).snapshot(f"s{next(self.serial)}"),
            "delete snapshot": self._delete_snapshot,
            "restore": self._restore,
            "reset": lambda name: self.store.cluster(name).reset(),
            "backtrack": self._backtrack,
            "failover": lambda name: self.store.cluster(name).failover(),
            "open and close": self._open_and_close,
            "reclaim": lambda name: self.store.reclaim(),
            "past": lambda name: [number_at(self.store, name, at) for at in retained(self.store, name)[-1:]],
        }

    # --- verbs --------------------------------------------------------------------------------------------------------
    def _commit(self, name: str) -> None:
        number = next(self.serial)
        self.expected.setdefault(name, set()).add(number)
        write(self.store, name, number, self.rng.choice(["FULL", "NORMAL", "OFF"]), 5)

    def _delete_snapshot(self, _name: str) -> None:
        for snapshot in self.store.snapshots()[:1]:
            self.store.delete_snapshot(snapshot.name)

    def _restore(self, _name: str) -> None:
        for snapshot in self.store.snapshots()[:1]:
            self.store.restore_snapshot(snapshot.name, f"c{next(self.serial)}")

    def _backtrack(self, name: str) -> None:
        versions = retained(self.store, name)
        if versions:
            self.store.cluster(name).backtrack(versions[len(versions) // 2])

    def _open_and_close(self, _name: str) -> None:
        with clusterdb.open(self.directory) as other:
            other.clusters()

    # --- one interrupt ------------------------------------------------------------------------------------------------
    def step(self) -> bool:
        """Do a verb, interrupted or not; whether it was.  Raises Violation."""
        names = [cluster.name for cluster in self.store.clusters()]
        verb = self.rng.choice(list(self.verbs))
        if len(names) > CLUSTERS_MAX:
            verb = "delete"
        others = [name for name in names if name not in ("prod", "dev")]
        choices = {"delete": others, "failover": ["prod"], "reset": ["dev"]}.get(verb, names)
        if not choices:
            return False
        name = self.rng.choice(choices)
        durations = self.durations.setdefault(verb, [])
        longest = 1.3 * median(durations[-20:]) if durations else 0.005
        delay_s = max(20e-6, longest * self.rng.random()) if len(durations) > 2 else 10
        kind = self.rng.choice([Alarm, KeyboardInterrupt])
        begins, trace, problem = time.perf_counter(), "", ""
        raised: list[BaseException] = []
        try:
            with interrupting(kind, delay_s, raised):
                self.verbs[verb](name)
        except BaseException as error:
            trace = "".join(traceback.format_exception(error))
            problem = _problem(error, raised)
        else:
            durations.append(time.perf_counter() - begins)
            self.outcomes[LOST] += bool(raised)
        is_interrupted = bool(raised)
        raised.clear()  # what its traceback holds is over now
        if is_interrupted:
            gc.collect()  # a connection whose closing was interrupted is closed when it is collected,
            self.store.context.run_deferred()  # and the next verb returns what it was lent
        problem = problem or self._left()
        if problem:
            raise Violation(f"{verb} {name}, interrupted with {kind.__name__}: {problem}\n{trace}")
        if pages_of(self.store).has_failed:
            self.outcomes["reopened"] += 1  # what reached the device is unknown, as documented
            self.store.close()
            self.store = clusterdb.open(self.directory)
        self.outcomes[verb] += is_interrupted
        return is_interrupted

    def _left(self) -> str:
        """What an interrupt left behind, or nothing."""
        held = held_locks(self.directory)
        if held:
            return f"still held: {held}"
        for row, record in pages_of(self.store).tables.sessions():
            if record.pin or record.publishing not in (0, KEEPS_SUPERSEDED):
                return f"session {row} keeps version {record.pin}, publishing {record.publishing}"
        return "a catalog transaction is open" if catalog_of(self.store).database._db.in_transaction else ""

    def settle(self) -> None:
        """Nobody interrupts: what is leaked comes back."""
        report = self.store.reclaim()
        if report.put_off:
            raise Violation(f"a sweep is put off: {report.put_off}")


def _problem(seen: BaseException, raised: list[BaseException]) -> str:
    """What is wrong with the exception that a verb ended with, or nothing."""
    if not raised:
        is_right = isinstance(seen, clusterdb.NoSourceError | clusterdb.InvalidRestoreTimeError)
        return "" if is_right else f"failed without an interrupt: {seen!r}"
    return "" if seen is raised[0] or _stands_for(seen, raised[0]) else f"{seen!r} instead"


def _stands_for(seen: BaseException, raised: BaseException) -> bool:
    """Whether it is what a commit makes of an exception, so that SQLite's pager rolls back."""
    return (
        isinstance(seen, apsw.IOError)
        and seen.__cause__ is raised
        and (isinstance(raised, Alarm) or isinstance(seen, KeyboardInterrupt))
    )


def prepare(directory: Path) -> None:
    """A cluster that keeps its past and has two instances, and a clone of it."""
    source = directory.with_name("source.db")
    fill(source, 1)
    with clusterdb.open(directory) as store:
        prod = store.create_cluster("prod", from_file=source, backtrack_window_s=3600)
        prod.add_instance("w")
        prod.add_instance("r")
        prod.clone("dev", backtrack_window_s=0)


def verify(directory: Path) -> None:
    """What another process sees while the interrupted one is idle.  Raises Violation."""
    held = held_locks(directory)
    if held:
        raise Violation(f"seen by another process, still held: {held}")
    with clusterdb.open(directory) as store:
        for cluster in store.clusters():
            number_in(store, cluster.name)
            write(store, cluster.name, 7, "FULL", 2)
        report = store.check()
        if report.problems or report.leaked_count:
            raise Violation(f"check: {report.problems[:3]}, {report.leaked_count} leaked")


def _stacks(process: multiprocessing.process.BaseProcess, path: Path) -> str:
    """Where a process that does not answer is."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGUSR1)
    process.join(1)
    return f"it hangs:\n{path.read_text()}"


def _child(directory: Path, seed: int, pipe: Connection) -> None:
    sys.unraisablehook = lambda _: None  # what is raised in a destructor goes nowhere
    gc.freeze()  # what the parent has: each interrupt is followed by a collection
    faulthandler.register(signal.SIGUSR1, open(directory.with_name("stacks"), "w"))
    work = Interrupted(directory, seed)
    while True:
        wanted = pipe.recv()
        if not wanted:
            work.store.close()
            os._exit(0)
        try:
            done = 0
            while done < wanted:
                done += work.step()
            work.settle()
        except BaseException as error:
            pipe.send(f"{error}" if isinstance(error, Violation) else "".join(traceback.format_exception(error)))
            os._exit(1)
        pipe.send(work.outcomes)
        work.outcomes = Counter()


def run(count: int, seed: int, batch: int = 50) -> Counter[str]:
    """Interrupt so many verbs; how often which, and how often the exception got lost in a destructor.

    Raises Violation.
    """
    base = Path(tempfile.mkdtemp(prefix="signals-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    outcomes: Counter[str] = Counter()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    try:
        prepare(base / "store")
        process = context.Process(target=_child, args=(base / "store", seed, theirs), daemon=True)
        process.start()
        theirs.close()
        done = 0
        while done < count:
            ours.send(min(batch, count - done))
            answer = ours.recv() if ours.poll(PATIENCE_S) else _stacks(process, base / "stacks")
            if isinstance(answer, str):
                raise Violation(f"signals, seed {seed}, after {done}: {answer}")
            verify(base / "store")
            outcomes += answer
            done += min(batch, count - done)
        ours.send(0)
        process.join()
        with clusterdb.open(base / "store") as store:
            report = store.check()
            if report.problems or report.leaked_count:
                raise Violation(f"signals, seed {seed}: {report.problems[:3]}, {report.leaked_count} leaked")
        return outcomes
    except Violation as error:
        kept = Path(tempfile.mkdtemp(prefix="violation-"))
        shutil.copytree(base / "store", kept / "store")
        raise Violation(f"{error}; kept in {kept}") from error
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        shutil.rmtree(base)
