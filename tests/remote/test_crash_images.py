"""What power failures leave of a store with lazy clones: no page is wrong, and nothing acknowledged is lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from tests.torture.crash import Clusters, Image
from tests.torture.record import HOW, Device, Recorder
from tests.torture.worlds import ROWS, World, committed, fill, write
from vfs.failpoints import armed

VERBS = ("clone", "clone", "read", "read", "fetch", "commit", "commit", "drop", "branch", "push")


class Scenario:
    """Random verbs of lazy clones, with the world before and after each."""

    def __init__(self, seed: int, base: Path) -> None:
        self.rng, self.base = random.Random(seed), base
        self.url = f"file://{base}/repository/prod"
        self.worlds: list[Clusters] = [{}]
        self.log: list[str] = []
        self.pushed = 0
        self.recorder = Recorder(base / "store")

    def run(self) -> None:
        """Do it all once, recording."""
        armed.clear()
        with clusterdb.open(":memory:") as source:
            fill(self.base / "source.db", 0)
            prod = source.create_cluster("prod", from_file=self.base / "source.db")
            prod.push(f"file://{self.base}/repository")
            (self.base / "store").mkdir()
            with self.recorder.recording():
                self.step("open", lambda: clusterdb.open(self.base / "store").close(), lambda world: world)
                with clusterdb.open(self.base / "store") as store:
                    for number in range(1, 16):
                        self.act(store, source, number)

    def step(self, what: str, action: Callable[[], object], change: Callable[[Clusters], Clusters]) -> None:
        """One verb."""
        self.log.append(what)
        self.worlds.append(change(dict(self.worlds[-1])))
        self.recorder.mark(len(self.worlds) - 1)  # in flight
        action()
        self.recorder.mark(-(len(self.worlds) - 1))  # acknowledged

    def act(self, store: clusterdb.Store, source: clusterdb.Store, number: int) -> None:
        """A random verb."""
        clusters = self.worlds[-1]
        verb = self.rng.choice(
            ("clone", "clone", "read", "read", "fetch", "commit", "commit", "drop", "branch", "push")
        )
        name, new = self.rng.choice(sorted(clusters)) if clusters else "", f"c{number}"
        if verb == "push":
            write(source, "prod", number, "FULL", ROWS)
            source.cluster("prod").push(self.url.removesuffix("/prod"))
            self.pushed = number
        elif verb == "clone" or not name:
            pushed = frozenset([self.pushed])
            self.step(f"clone {new}", lambda: store.clone(self.url, new), lambda world: world | {new: pushed})
        elif verb == "branch":
            newest = frozenset([max(clusters[name])])
            self.step(f"branch {name}", lambda: store.cluster(name).clone(new), lambda world: world | {new: newest})
        elif verb == "read":
            self.step(f"read {name}", lambda: self.read(store.cluster(name)), lambda world: world)
        elif verb == "fetch":
            self.step(f"fetch {name}", lambda: store.cluster(name).fetch(), lambda world: world)
        elif verb == "drop":
            without = {other: numbers for other, numbers in clusters.items() if other != name}
            self.step(f"drop {name}", lambda: store.cluster(name).delete(), lambda world: without)
        else:
            mode = self.rng.choice(("FULL", "NORMAL"))
            self.step(
                f"commit {name} {mode}",
                lambda: write(store, name, number, mode, self.rng.randrange(1, ROWS)),
                lambda world: world | {name: committed(world[name], number, mode)},
            )

    def read(self, cluster: clusterdb.Cluster) -> None:
        """Read some rows."""
        with closing(cluster.connect()) as connection:
            for row in self.rng.sample(range(1, ROWS), 5):
                connection.execute("SELECT body FROM t WHERE id = ?", (row,)).fetchall()

    def images(self, every: int, per_point: int) -> Iterator[Image]:
        """Images of one in ``every`` points of the log."""
        device, worlds, doing = Device(), [World(self.worlds[0])], "start"
        for position, event in enumerate(self.recorder.events):
            if event.kind == "mark":
                at = abs(event.at)
                worlds, doing = [World(self.worlds[at])], self.log[at - 1]
                if event.at > 0:
                    worlds.append(World(self.worlds[at - 1]))
                continue
            device.take(event)
            if device.has_catalog() and self.rng.random() * every < 1:
                for how in self.rng.sample(HOW, per_point):
                    where = f"event {position} ({event.file} {event.kind}), {how}, in {doing}"
                    yield Image(device.image(self.rng, how), worlds, where)


def verified(seed: int, base: Path, every: int, per_point: int) -> int:
    """Record one scenario and verify its images; how many."""
    scenario = Scenario(seed, base)
    scenario.run()
    assert {event.kind for event in scenario.recorder.events if event.file == "remote"} == {"write", "sync"}
    count = 0
    for count, image in enumerate(scenario.images(every, per_point), 1):
        image.verify(base, count, f"seed {seed}")
    shutil.rmtree(base)
    return count


@pytest.mark.parametrize("seed", [1, 2])
def test_crash_images_of_lazy_clones_come_back_as_promised(seed: int, tmp_path: Path) -> None:
    assert verified(seed, tmp_path, every=12, per_point=1) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 22))
def test_more_crash_images_of_lazy_clones_come_back_as_promised(seed: int, tmp_path: Path) -> None:
    assert verified(seed, tmp_path, every=3, per_point=2) > 100
