"""Processes that do one verb at a time on a store, and die where they are told to.

A worker is forked, opens the store, and obeys what comes through a pipe; so the calls of all workers have one order,
that of their log.  What it answers is an :class:`Answer`.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import apsw

import clusterdb
import clusterdb.public  # what is imported when it is needed: once, before the forks
import vfs.reclaim.queue
from clusterdb.catalog import database
from tests.support.inside import catalog_of, pages_of
from tests.torture.record import Event, Recorder, SharedLog
from tests.torture.worlds import Violation, fill, number_at, number_through, retained, write_through
from vfs import failpoints
from vfs.reclaim import retention
from vfs.storage import device

PATIENCE_S = 0.03
"""How long workers wait for locks and the catalog: nobody else is at work but who was stopped for good."""

_REFUSALS = (
    *("was dropped", "has no cluster", "backtracked since", "writes are refused until", "could not be written"),
    "has held a lock of the store",  # by a process that is stopped: a commit that meets it is undone
)

Outcome = Literal["done", "refused", "failed", "interrupted", "died", "stopped"]
Fate = Literal["dies", "stops", "is interrupted"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a verb: done with a ``value``; refused; failed otherwise; or the worker met its fate in it."""

    outcome: Outcome
    value: Any = None


@dataclass(frozen=True, slots=True)
class Doom:
    """Where a worker meets its fate: the ``count``-th time at a point, or before the ``count``-th call ("").

    It dies, or stops there until it is killed, or goes on behind a KeyboardInterrupt.
    """

    count: int
    point: str = ""
    fate: Fate = "dies"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many superseded slots wait before they are freed, or synced."""

    drain_slots: int
    unsynced_slots: int


class Worker:
    """A worker process, as its scenario sees it."""

    def __init__(self, number: int, directory: Path, log: Path, limits: Limits) -> None:
        context = multiprocessing.get_context("fork")
        self.number = number
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(directory, log, limits, theirs, self._pipe), daemon=True)
        self._process.start()
        theirs.close()

    def do(self, verb: str, *arguments: Any, doom: Doom | None = None) -> Answer:
        """Let it do a verb, to its end or the worker's."""
        self._pipe.send((verb, arguments, doom))
        try:
            answer: Answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            return Answer("died")
        return answer

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._pipe.close()


def _run(directory: Path, log: Path, limits: Limits, pipe: Connection, scenarios: Connection) -> None:
    scenarios.close()  # else nobody would notice our death
    device.LOCK_PATIENCE_S = PATIENCE_S  # type: ignore[assignment]
    database._BUSY_TIMEOUT_MS = int(1000 * PATIENCE_S)
    vfs.reclaim.queue._DRAIN_SLOTS, vfs.reclaim.queue.UNSYNCED_SLOTS_MAX = limits.drain_slots, limits.unsynced_slots
    failpoints.armed.clear()
    gate = _Gate(pipe)
    recorder = Recorder(directory, SharedLog(log), gate.pass_call)
    failpoints.armed["sweep: epoch moved"] = lambda: recorder.events.append(Event("", "sweep"))
    with recorder.recording():
        work = _Work(directory)
        while True:
            try:
                verb, arguments, doom = pipe.recv()
            except EOFError:
                os._exit(0)
            gate.arm(doom)
            try:
                pipe.send(Answer("done", getattr(work, verb)(*arguments)))
            except KeyboardInterrupt:
                pipe.send(Answer("interrupted"))
            except (apsw.BusyError, clusterdb.StoreBusyError, clusterdb.ClusterNotFoundError) as error:
                pipe.send(Answer("refused", repr(error)))
            except (apsw.Error, clusterdb.Error, Violation) as error:
                pipe.send(Answer("refused" if any(text in str(error) for text in _REFUSALS) else "failed", repr(error)))
            gate.disarm()


class _Gate:
    """Counts calls and points, and ends the process when its time has come."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._doom: Doom | None = None
        self._left = 0

    def arm(self, doom: Doom | None) -> None:
        self._doom = doom
        if doom is not None:
            self._left = doom.count
            if doom.point:
                failpoints.armed[doom.point] = self._count

    def disarm(self) -> None:
        if self._doom is not None and self._doom.point:
            del failpoints.armed[self._doom.point]
        self._doom = None

    def pass_call(self) -> None:
        if self._doom is not None and not self._doom.point:
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            assert self._doom is not None
            if self._doom.fate == "is interrupted":
                raise KeyboardInterrupt
            if self._doom.fate == "stops":
                self._pipe.send(Answer("stopped"))
                signal.pause()
            os.kill(os.getpid(), signal.SIGKILL)


class _Work:
    """The verbs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connections: dict[int, apsw.Connection] = {}
        self._open: dict[str, apsw.Connection] = {}
        self._store: clusterdb.Store | None = None

    @property
    def store(self) -> clusterdb.Store:
        assert self._store is not None
        return self._store

    def open(self) -> None:
        self._store = clusterdb.open(self._directory)

    def close(self) -> None:
        self._connections, self._open = {}, {}
        self.store.close()

    def look(self) -> tuple[dict[str, int], list[str]]:
        """The number of every cluster, and the snapshots."""
        numbers = {}
        for cluster in self.store.clusters():
            connection = self._connect(cluster, read_only=True)
            try:
                numbers[cluster.name] = number_through(connection, f"cluster {cluster.name}")
            finally:
                connection.close()
        return numbers, [snapshot.name for snapshot in self.store.snapshots()]

    # --- clusters -----------------------------------------------------------------------------------------------------
    def create(self, name: str, number: int) -> None:
        path = self._directory.with_name(f"source-{os.getpid()}.db")
        fill(path, number)
        try:
            self.store.create_cluster(name, from_file=path)
        finally:
            path.unlink()

    def clone(self, name: str, new: str) -> None:
        self.store.cluster(name).clone(new)

    def clone_past(self, name: str, version: int, new: str) -> None:
        self.store.cluster(name).clone(new, at=version)

    def drop(self, name: str) -> None:
        self.store.cluster(name).delete()

    def rename(self, name: str, new: str) -> None:
        self.store.cluster(name).rename(new)

    def source_of(self, name: str) -> str | None:
        source = catalog_of(self.store).clusters.named(name).source_cluster  # type: ignore[union-attr]
        row = catalog_of(self.store).clusters.get(source) if source is not None else None
        return row.name if row is not None else None

    def reset(self, name: str) -> None:
        self.store.cluster(name).reset()

    # --- transactions -------------------------------------------------------------------------------------------------
    @staticmethod
    def _connect(cluster: clusterdb.Cluster, **options: Any) -> apsw.Connection:
        connection = cluster.connect(**options)
        connection.set_busy_timeout(int(1000 * PATIENCE_S))
        return connection

    def _connection(self, name: str) -> apsw.Connection:
        cluster = self.store.cluster(name)
        if cluster.id not in self._connections:
            self._connections[cluster.id] = self._connect(cluster)
        return self._connections[cluster.id]

    def commit(self, name: str, number: int, mode: str, changed: int, keeps_open: bool) -> None:
        if not keeps_open:
            self.hang_up()
        connection = self._connection(name)
        try:
            write_through(connection, number, mode, changed)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if not keeps_open:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connections."""
        while self._connections:
            self._connections.popitem()[1].close()

    def vacuum(self, name: str) -> None:
        self._connection(name).execute("VACUUM")

    def begin_read(self, name: str) -> int:
        connection = self._connect(self.store.cluster(name), read_only=True)
        connection.execute("PRAGMA cache_size = 1; BEGIN")
        number = number_through(connection, f"cluster {name}")
        if name in self._open:
            self._open.pop(name).close()
        self._open[name] = connection
        return number

    def read_again(self) -> dict[str, int]:
        """What the open transactions see, which then end."""
        numbers = {name: number_through(connection, f"{name}, read on") for name, connection in self._open.items()}
        for connection in self._open.values():
            connection.close()
        self._open = {}
        return numbers

    def begin_write(self, name: str, number: int) -> None:
        """Leave a transaction open that has written pages ahead."""
        staged, vfs.storage.writer.STAGED_PAGES_MAX = vfs.storage.writer.STAGED_PAGES_MAX, 4
        connection = self._connect(self.store.cluster(name))
        try:
            connection.execute("PRAGMA cache_size = 2; BEGIN IMMEDIATE")
            connection.execute("UPDATE t SET number = ?, body = randomblob(length(body))", (number,))
        except BaseException:
            connection.close()
            raise
        finally:
            vfs.storage.writer.STAGED_PAGES_MAX = staged
        self._open[f"{name}, written to"] = connection

    def roll_back(self) -> None:
        for name in [name for name in self._open if name.endswith("written to")]:
            self._open.pop(name).close()

    # --- the past -----------------------------------------------------------------------------------------------------
    def keep_past(self, name: str, window_s: int) -> None:
        self.store.cluster(name).modify(backtrack_window_s=window_s, backup_retention_days=int(window_s > 0))

    def past(self, name: str, seed: int) -> tuple[int, int] | None:
        """A version that can be gone back to, and its number."""
        versions = retained(self.store, name)
        if not versions:
            return None
        version = random.Random(seed).choice(versions)
        return version, number_at(self.store, name, version)

    def backtrack(self, name: str, version: int) -> None:
        cluster = self.store.cluster(name)
        if not cluster.settings.backtrack_window_s:  # a clone, which has inherited the days of backups only
            cluster.modify(backtrack_window_s=3600)
        cluster.backtrack(version)

    def give_up_past(self, name: str, seed: int) -> None:
        """Retain nothing before some version any more."""
        row = catalog_of(self.store).volumes.volume_of_cluster(name)
        if row is None or not row.retained:
            return
        versions = retained(self.store, name)
        with (
            self.store.context.errors(),
            pages_of(self.store).session() as session,
            session.volume_locked(row.table_index),
        ):
            row = self.store.context.require_in_use(row.volume)
            retention.give_up_past(pages_of(self.store).queue, session, row, random.Random(seed).choice(versions))

    def snapshot(self, name: str, new: str) -> None:
        self.store.cluster(name).snapshot(new)

    def restore(self, snapshot: str, new: str) -> None:
        self.store.restore_snapshot(snapshot, new)

    def reset_to(self, name: str, snapshot: str) -> None:
        self.store.cluster(name).reset(snapshot)

    def delete_snapshot(self, name: str) -> None:
        self.store.delete_snapshot(name)

    # --- space --------------------------------------------------------------------------------------------------------
    def reclaim(self) -> None:
        self.store.reclaim()

    def shrink(self) -> None:
        self.store.shrink()

    def expire(self) -> None:
        self.store.expire()

    def problems(self) -> tuple[list[str], int, str]:
        """What a check finds behind a sweep, and what that said."""
        swept = self.store.reclaim()
        report = self.store.check()
        return report.problems, report.leaked_count, str(swept)
