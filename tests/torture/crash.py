"""Crash images: a scenario is recorded, then recovered from every point at which the power could have failed.

One process does it all here; ``deaths.py`` has many, which die.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clusterdb
from tests.support.inside import catalog_of
from tests.torture.record import HOW, Device, Recorder
from tests.torture.worlds import (
    AFTERWARDS,
    DAMAGED,
    ROWS,
    Violation,
    World,
    committed,
    fill,
    known_numbers,
    number_in,
    vacuum,
    verify,
    write,
)
from vfs.failpoints import armed

Clusters = dict[str, frozenset[int]]
"""Cluster name -> the transaction numbers it may be found with."""


@dataclass
class Scenario:
    """A seeded sequence of verbs, with the world before and after each."""

    seed: int
    step_count: int = 14
    worlds: list[Clusters] = field(default_factory=lambda: [{}])
    log: list[str] = field(default_factory=list)

    def run(self, recorder: Recorder) -> None:
        """Do it all once, recording."""
        rng = random.Random(self.seed)
        serial = iter(range(1, 1_000_000))
        with recorder.recording():
            store: clusterdb.Store = self._step(
                recorder, "open", lambda: clusterdb.open(recorder.directory), lambda world: world
            )
            try:
                for _ in range(self.step_count):
                    store = self._random_step(recorder, rng, serial, store)
            finally:
                self._step(recorder, "close", store.close, lambda world: world)

    def _step(
        self, recorder: Recorder, what: str, action: Callable[[], Any], change: Callable[[Clusters], Clusters]
    ) -> Any:
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
        verbs += [
            "reopen",
            "rebuild",
            "vacuum",
            "keep past",
            "reset",
            "reset",
            "snapshot",
            "clone for OFF",
            "clone for OFF",
        ]
        verb = rng.choice(verbs) if names else "create"
        name = rng.choice(names) if names else ""
        new = f"c{next(serial)}"
        number = next(serial)
        if verb == "commit":
            mode = rng.choice(["FULL", "FULL", "NORMAL", "NORMAL", "OFF"])
            self._commit(recorder, rng, store, name, number, mode)
        elif verb == "vacuum":
            self._step(recorder, f"vacuum {name}", lambda: vacuum(store, name), lambda world: world)
        elif verb in ("clone", "clone for OFF"):
            newest = max(self.worlds[-1][name])
            self._step(
                recorder,
                f"clone {name} {new}",
                lambda: store.cluster(name).clone(new),
                lambda world: world | {new: frozenset([newest])},
            )
            if verb == "clone for OFF":  # its base is durable, and nothing else of it is
                for mode in rng.choice([["OFF"], ["OFF", "OFF", "OFF"], ["OFF", "FULL", "OFF"], ["OFF", "NORMAL"]]):
                    self._commit(recorder, rng, store, new, next(serial), mode)
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
            itself = catalog_of(store).clusters.named(name)
            assert itself is not None
            above = itself.source_cluster
            row = catalog_of(store).clusters.get(above) if above is not None else None
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
            store = self._step(
                recorder, f"open ({verb})", lambda: clusterdb.open(recorder.directory), lambda world: world
            )
        return store

    def _commit(
        self, recorder: Recorder, rng: random.Random, store: clusterdb.Store, name: str, number: int, mode: str
    ) -> None:
        self._step(
            recorder,
            f"commit {name} {mode} {number}",
            lambda: write(store, name, number, mode, rng.randrange(1, ROWS)),
            lambda world: world | {name: committed(world[name], number, mode)},
        )

    def images(self, recorder: Recorder, per_point: int, every: int = 1) -> Iterator[Image]:
        """Images of every point of the log (of one in ``every``)."""
        rng = random.Random(self.seed)
        device = Device()
        worlds, doing = [World(self.worlds[0])], "start"
        for position, event in enumerate(recorder.events):
            if event.kind == "mark":
                if event.at > 0:
                    worlds, doing = (
                        [World(self.worlds[event.at - 1]), World(self.worlds[event.at])],
                        self.log[event.at - 1],
                    )
                else:
                    worlds = [World(self.worlds[-event.at])]
                continue
            device.take(event)
            if not device.has_catalog() or rng.random() * every >= 1:
                continue
            for how in HOW if per_point >= len(HOW) else rng.sample(HOW, per_point):
                where = f"event {position} ({event.file} {event.kind}), {how}, in {doing}"
                yield Image(device.image(rng, how), worlds, where)


@dataclass(frozen=True, slots=True)
class Image:
    """What a power failure left: the files, the worlds they may be, and the moment in words."""

    files: dict[str, bytes]
    worlds: Sequence[World]
    where: str

    def write(self, directory: Path) -> None:
        """Make it a store's directory."""
        (directory / "history").mkdir(parents=True)
        for name, data in self.files.items():
            (directory / name).write_bytes(data)
        (directory / "locks").touch()

    def verify(self, base: Path, number: int, origin: str) -> None:
        """Recover the image in a directory of its own.  Raises Violation with all that is needed to repeat it."""
        self.write(base / "image")
        try:
            verify(base / "image", self.worlds, writes=number % 7 == 0)
        except BaseException as error:
            kept = Path(tempfile.mkdtemp(prefix="violation-"))
            shutil.copytree(base / "image", kept / "after")
            self.write(kept / "image")
            raise Violation(f"{origin}, image {number}: {self.where}: {error!r}; kept in {kept}") from error
        shutil.rmtree(base / "image")

    def again(self, base: Path, rng: random.Random, count: int) -> Iterator[Image]:
        """What a second power failure leaves, while the store is recovered from the first and written to."""
        directory, numbers = base / "again", known_numbers(self.worlds)
        self.write(directory)
        device, recorder = Device.of(directory), Recorder(directory)
        worlds = [list(self.worlds)]
        with recorder.recording(), clusterdb.open(directory) as store:
            clusters = {cluster.name: number_in(store, cluster.name) for cluster in store.clusters()}
            snapshots = self._snapshots({snapshot.name for snapshot in store.snapshots()})
            state = {name: frozenset([number]) for name, number in clusters.items()}
            worlds.append([World(state, snapshots, numbers)])
            recorder.mark(1)
            for number in range(AFTERWARDS - 2, AFTERWARDS):
                numbers = numbers | {number} if numbers is not None else None
                for name in [name for name in clusters if clusters[name] != DAMAGED]:
                    mode = rng.choice(["FULL", "NORMAL"])
                    in_flight = World(state | {name: state[name] | {number}}, snapshots, numbers)
                    state = state | {name: committed(state[name], number, mode)}
                    worlds += [[in_flight], [World(state, snapshots, numbers)]]
                    recorder.mark(len(worlds) - 2)
                    write(store, name, number, mode, 5)
                    recorder.mark(len(worlds) - 1)
        shutil.rmtree(directory)
        at = 0
        points = set(rng.sample(range(len(recorder.events)), min(count, len(recorder.events))))
        for position, event in enumerate(recorder.events):
            at = event.at if event.kind == "mark" else at
            device.take(event)
            if position in points:
                how = rng.choice(HOW)
                where = f"{self.where}, recovered; event {position} ({event.file} {event.kind}), {how}"
                yield Image(device.image(rng, how), worlds[at], where)

    def _snapshots(self, names: set[str]) -> dict[str, int]:
        return next((world.snapshots for world in self.worlds if set(world.snapshots) == names), {})


def working_directory() -> Path:
    """A new directory, in memory if there is such a file system."""
    return Path(tempfile.mkdtemp(prefix="crash-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))


def run_seed(seed: int, per_point: int = len(HOW), every: int = 1) -> int:
    """Record one scenario and verify its images; how many.  Raises Violation."""
    armed.clear()
    base = working_directory()
    try:
        scenario, recorder = Scenario(seed), Recorder(base / "store")
        (base / "store").mkdir()
        scenario.run(recorder)
        count = 0
        for image in scenario.images(recorder, per_point, every):
            image.verify(base, count, f"seed {seed}")
            count += 1
        return count
    finally:
        shutil.rmtree(base)
