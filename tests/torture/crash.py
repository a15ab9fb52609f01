"""Crash images: a scenario is recorded, then recovered from every point at which the power could have failed.

The scenario keeps a table in every cluster whose rows all carry the number of the last transaction, so that a torn or
mixed state shows; the model says which numbers each cluster may come back with.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw

import clusterdb
from torture.record import HOW, Device, Recorder
from vfs.failpoints import armed

ROWS = 40
DAMAGED = -1
World = dict[str, frozenset[int]]
"""Cluster name -> the transaction numbers it may be found with; DAMAGED: it may be refused."""


@dataclass
class Scenario:
    """A seeded sequence of verbs, with the world before and after each."""

    seed: int
    step_count: int = 14
    worlds: list[World] = field(default_factory=lambda: [{}])
    log: list[str] = field(default_factory=list)

    def run(self, recorder: Recorder) -> None:
        """Do it all once, recording."""
        rng = random.Random(self.seed)
        serial = iter(range(1, 1_000_000))
        with recorder.recording():
            store = self._step(recorder, "open", lambda: clusterdb.open(recorder.directory), lambda world: world)
            try:
                for _ in range(self.step_count):
                    store = self._random_step(recorder, rng, serial, store)
            finally:
                self._step(recorder, "close", store.close, lambda world: world)

    def _step(
        self, recorder: Recorder, what: str, action: Callable[[], object], change: Callable[[World], World]
    ) -> object:
        self.log.append(what)
        self.worlds.append(change(dict(self.worlds[-1])))
        recorder.mark(len(self.worlds) - 1)  # in flight
        result = action()
        recorder.mark(-(len(self.worlds) - 1))  # acknowledged
        return result

    def _random_step(
        self, recorder: Recorder, rng: random.Random, serial: Iterator[int], store: clusterdb.Store
    ) -> clusterdb.Store:
        names = sorted(self.worlds[-1])
        verbs = ["commit"] * 8 + ["clone"] * 4 + ["drop", "drop", "rename", "create", "import", "reclaim", "shrink"]
        verbs += ["reopen", "rebuild", "vacuum", "keep past", "reset", "reset", "snapshot"]
        verb = rng.choice(verbs) if names else "create"
        name = rng.choice(names) if names else ""
        new = f"c{next(serial)}"
        number = next(serial)
        if verb == "commit":
            mode = rng.choice(["FULL", "FULL", "NORMAL", "NORMAL", "OFF"])
            self._step(
                recorder,
                f"commit {name} {mode} {number}",
                lambda: write(store, name, number, mode, rng.randrange(1, ROWS)),
                lambda world: world | {name: committed(world[name], number, mode)},
            )
        elif verb == "vacuum":
            self._step(recorder, f"vacuum {name}", lambda: vacuum(store, name), lambda world: world)
        elif verb == "clone":
            newest = max(self.worlds[-1][name])
            self._step(
                recorder,
                f"clone {name} {new}",
                lambda: store.cluster(name).clone(new),
                lambda world: world | {new: frozenset([newest])},
            )
        elif verb == "drop" and len(names) > 1:
            self._step(
                recorder,
                f"drop {name}",
                lambda: store.cluster(name).delete(),
                lambda world: {key: value for key, value in world.items() if key != name},
            )
        elif verb == "rename":
            self._step(
                recorder,
                f"rename {name} {new}",
                lambda: store.cluster(name).rename(new),
                lambda world: {(new if key == name else key): value for key, value in world.items()},
            )
        elif verb in ("create", "import"):
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "source.db"
                fill(source, number)
                self._step(
                    recorder,
                    f"import {new} {number}",
                    lambda: store.create_cluster(new, from_file=source),
                    lambda world: world | {new: frozenset([number])},
                )
        elif verb == "keep past":
            window = rng.choice([0, 3600, 3600])
            self._step(
                recorder,
                f"keep past {name} {window}",
                lambda: store.cluster(name).modify(backtrack_window_s=window),
                lambda world: world,
            )
        elif verb == "reset":
            source = store._catalog.cluster(name).source_cluster  # type: ignore[union-attr]
            row = store._catalog.cluster_row(source) if source is not None else None
            if row is not None:
                newest = max(self.worlds[-1][row.name])
                self._step(
                    recorder,
                    f"reset {name} to {row.name}",
                    lambda: store.cluster(name).reset(),
                    lambda world: world | {name: frozenset([newest])},
                )
        elif verb == "snapshot":
            newest = max(self.worlds[-1][name])
            self._step(recorder, f"snapshot {name}", lambda: store.cluster(name).snapshot(new), lambda world: world)
            self._step(
                recorder,
                f"restore {new}",
                lambda: store.restore_snapshot(new, new),
                lambda world: world | {new: frozenset([newest])},
            )
        elif verb == "reclaim":
            self._step(recorder, "reclaim", store.reclaim, lambda world: world)
        elif verb == "shrink":
            self._step(recorder, "shrink", store.shrink, lambda world: world)
        elif verb in ("reopen", "rebuild"):
            self._step(recorder, "close", store.close, lambda world: world)
            if verb == "rebuild":
                (recorder.directory / "map").unlink()
            return self._step(  # type: ignore[return-value]
                recorder, f"open ({verb})", lambda: clusterdb.open(recorder.directory), lambda world: world
            )
        return store


def committed(before: frozenset[int], number: int, mode: str) -> frozenset[int]:
    """What a cluster may come back with after a commit."""
    if mode == "FULL":
        return frozenset([number])
    return before | {number} | ({DAMAGED} if mode == "OFF" else set())


def fill(path: Path, number: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, number INTEGER, body BLOB)")
    connection.execute("BEGIN")
    for row in range(ROWS):
        connection.execute("INSERT INTO t VALUES (?, ?, randomblob(?))", (row, number, 400 + 37 * row))
    connection.execute("COMMIT")
    connection.close()


def write(store: clusterdb.Store, name: str, number: int, mode: str, changed: int) -> None:
    """One transaction: every row gets the number, some a new body."""
    connection = store.cluster(name).connect()
    connection.execute(f"PRAGMA synchronous = {mode}").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE t SET number = ?", (number,))
    connection.execute("UPDATE t SET body = randomblob(length(body)) WHERE id < ?", (changed,))
    connection.execute("COMMIT")
    connection.close()


def vacuum(store: clusterdb.Store, name: str) -> None:
    connection = store.cluster(name).connect()
    connection.execute("VACUUM")
    connection.close()


class Violation(AssertionError):
    """An image did not come back as promised."""


def verify(directory: Path, before: World, after: World, *, writes: bool) -> None:
    """Open an image and hold it against the worlds it may be."""
    with clusterdb.open(directory) as store:
        found = {cluster.name for cluster in store.clusters()}
        if found not in (set(before), set(after)):
            raise Violation(f"clusters {sorted(found)}, expected {sorted(before)} or {sorted(after)}")
        damaged = False
        for name in sorted(found):
            allowed = before.get(name, frozenset()) | after.get(name, frozenset())
            number = number_in(store, name)
            if number not in allowed:
                raise Violation(f"cluster {name} is at {number}, expected one of {sorted(allowed)}")
            damaged |= number == DAMAGED
        report = store.check()
        problems = [problem for problem in report.problems if "whole" not in problem]
        if problems or (report.leaked_count and not damaged):
            raise Violation(f"check: {problems[:3]}, {report.leaked_count} leaked")
        if writes and not damaged:
            for name in sorted(found):
                write(store, name, 1_000_000, "FULL", 3)
                if number_in(store, name) != 1_000_000:
                    raise Violation(f"cluster {name} does not take a commit")
            if store.check().problems:
                raise Violation(f"check after writing: {store.check().problems[:3]}")


def number_in(store: clusterdb.Store, name: str) -> int:
    """The number that all rows carry; DAMAGED if the cluster is refused."""
    try:
        connection = store.cluster(name).connect(read_only=True)
        try:
            count, low, high = connection.execute("SELECT count(*), min(number), max(number) FROM t").fetchall()[0]
            if (count, low) != (ROWS, high):
                raise Violation(f"cluster {name} has {count} rows with numbers {low} to {high}")
            if connection.execute("PRAGMA integrity_check").get != "ok":
                raise Violation(f"cluster {name} fails its integrity check")
        finally:
            connection.close()
    except (apsw.CorruptError, clusterdb.CorruptStoreError):
        return DAMAGED
    return int(low)


def images(
    scenario: Scenario, recorder: Recorder, per_point: int
) -> Iterator[tuple[dict[str, bytes], World, World, str]]:
    """Images of every point of the log, with the worlds they may be."""
    rng = random.Random(scenario.seed)
    device = Device()
    before = after = scenario.worlds[0]
    doing = "start"
    for position, event in enumerate(recorder.events):
        if event.kind == "mark":
            if event.at > 0:
                before, after, doing = (
                    scenario.worlds[event.at - 1],
                    scenario.worlds[event.at],
                    scenario.log[event.at - 1],
                )
            else:
                before = after = scenario.worlds[-event.at]
            continue
        device.take(event)
        if "catalog.db" not in device.synced and "catalog.db-wal" not in device.synced:
            continue
        ways = HOW if per_point >= len(HOW) else rng.sample(HOW, per_point)
        for how in ways:
            yield (
                device.image(rng, how),
                before,
                after,
                f"event {position} ({event.file} {event.kind}), {how}, in {doing}",
            )


def run_seed(seed: int, per_point: int = len(HOW), limit: int | None = None) -> int:
    """Record one scenario and verify its images; how many.  Raises Violation with all that is needed to repeat it."""
    armed.clear()
    base = Path(tempfile.mkdtemp(prefix="crash-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        scenario, recorder = Scenario(seed), Recorder(base / "store")
        (base / "store").mkdir()
        scenario.run(recorder)
        count = 0
        for files, before, after, where in images(scenario, recorder, per_point):
            if limit is not None and count >= limit:
                break
            image = base / "image"
            (image / "history").mkdir(parents=True)
            for name, data in files.items():
                (image / name).write_bytes(data)
            (image / "locks").touch()
            try:
                verify(image, before, after, writes=count % 7 == 0)
            except BaseException as error:
                kept = Path(tempfile.mkdtemp(prefix=f"violation-{seed}-"))
                shutil.copytree(image, kept / "image")
                (kept / "history").mkdir()
                for name, data in files.items():
                    (kept / name).write_bytes(data)
                raise Violation(f"seed {seed}, image {count}: {where}: {error!r}; kept in {kept}") from error
            shutil.rmtree(image)
            count += 1
        return count
    finally:
        shutil.rmtree(base)
