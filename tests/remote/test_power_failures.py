"""Repositories in directories survive power failures: what was not synced is lost, or there in part."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import clusterdb
from clusterdb.errors import RemoteConflictError, RemoteNotFoundError
from clusterdb.remote import Remote, objects
from clusterdb.remote.fetching import clone_remote
from clusterdb.remote.repository import Repository
from tests.remote.engines import Memory, objects_on
from tests.remote.histories import Writer, assert_whole, number_of, remote_on
from tests.remote.torn import Disk
from vfs import failpoints

NAMES = ("x", "y")


class Died(BaseException):
    """A process is killed."""


class Story:
    """Two writers of a directory; processes die, and the power fails at any call."""

    def __init__(self, seed: int, root: Path) -> None:
        self.rng = random.Random(seed)
        self.url = f"file://{root}"
        self.disk = Disk(root)
        self.numbers = [0]
        self.writers = [Writer(self.numbers, 0) for _ in range(2)]
        self.looking = clusterdb.open(":memory:")
        self.possible: dict[str, set[int | None]] = {name: {None} for name in NAMES}
        self.pins: set[int] = set()
        """The states that were pinned."""
        self.image_count = 0

    def run(self) -> int:
        """All steps; the number of power failures that were tried."""
        with self.disk.recording():
            for _ in range(10):
                self.step(self.rng.choice(self.writers))
                self.fail_power()
        for writer in self.writers:
            writer.store.close()
        self.looking.close()
        return self.image_count

    def step(self, writer: Writer) -> None:
        """An action, in which a process may die, or the power fail at any call."""
        dies_at = self.rng.randrange(1, 25) if self.rng.random() < 0.4 else 0
        fails_at = self.rng.randrange(1, 25)
        name, action = self.rng.choice(NAMES), self.rng.choice(("push", "push", "push", "remove", "collect", "pin"))
        before = {name: set(possible) for name, possible in self.possible.items()}
        with pytest.MonkeyPatch.context() as patch:
            count = 0

            def counted(call: Callable[..., None]) -> Callable[..., None]:
                def counting(*arguments: object) -> None:
                    nonlocal count
                    count += 1
                    if count == dies_at:
                        raise Died
                    call(*arguments)
                    if count == fails_at:
                        self.fail_power()

                return counting

            for field in objects.Calls.__slots__:
                patch.setattr(objects.CALLS, field, counted(getattr(objects.CALLS, field)))
            try:
                getattr(self, action)(writer, name)
            except (RemoteConflictError, RemoteNotFoundError):
                self.possible = before
            except Died:
                pass

    def push(self, writer: Writer, name: str) -> None:
        number = writer.change(self.rng)
        self.possible[name].add(number)
        writer.cluster.push(self.url, name=name, force=self.rng.random() < 0.5)
        self.possible[name] = {number}

    def remove(self, writer: Writer, name: str) -> None:
        self.possible[name].add(None)
        Remote(self.url).remove(name)
        self.possible[name] = {None}

    def collect(self, writer: Writer, name: str) -> None:
        Remote(self.url).collect(timedelta(0))

    def pin(self, writer: Writer, name: str) -> None:
        """What a lazy clone does."""
        repository = Remote(self.url).repository
        newest = repository.require_newest()
        repository.pin(f"{newest.number:016x}", newest.number, 1 << 62)
        repository.settle(newest)
        self.pins.add(newest.number)

    def fail_power(self) -> None:
        """Look at what power failures leave."""
        for rate in (0, 1, self.rng.random(), self.rng.random()):
            self.image_count += 1
            engine = Memory()
            for path, data in self.disk.image(self.rng, rate).items():
                engine.put(path, data)
            repository = Repository(objects_on(engine))
            newest = repository.newest()
            for name in NAMES:
                number = None
                if newest is not None and name in newest.refs:
                    row = clone_remote(self.looking.context, repository, newest, name, "look", {}, None)
                    number = number_of(self.looking.cluster(row.name))
                    self.looking.cluster(row.name).delete()
                assert number in self.possible[name], (name, number, self.possible, rate)
            assert_whole(repository)
            assert self.pins <= repository.pinned(0)
            if newest is not None and newest.refs and self.rng.random() < 0.2:
                remote_on(repository).collect(timedelta(0))
                assert remote_on(repository).check() == []


def number_on(disk: Disk) -> int:
    """The number in database x after a power failure that takes everything that was not synced."""
    engine = Memory()
    for path, data in disk.image(random.Random(0), 0).items():
        engine.put(path, data)
    repository = Repository(objects_on(engine))
    with clusterdb.open(":memory:") as store:
        row = clone_remote(store.context, repository, repository.require_newest(), "x", "look", {}, None)
        return number_of(store.cluster(row.name))


def test_push_that_finds_its_state_there_syncs_it(tmp_path: Path) -> None:
    """A process had died between the name of the manifest and its sync."""
    root = tmp_path / "repository"
    disk, writer = Disk(root), Writer([0], 0)

    def die() -> None:
        if any((root / "manifest").glob("*")):
            raise Died

    with disk.recording(), writer.store:
        failpoints.armed["object: linked"] = die
        try:
            with pytest.raises(Died):
                writer.cluster.push(f"file://{root}", name="x")
        finally:
            failpoints.armed.disarm("object: linked")
        assert disk.image(random.Random(0), 0).keys() & {"manifest/000000000001"} == set()
        assert writer.cluster.push(f"file://{root}", name="x").slot_count == 0
        assert number_on(disk) == number_of(writer.cluster)


@pytest.mark.parametrize("folder", ["repository", "new", "segment", "manifest"])
def test_folder_that_a_dead_process_created_is_synced(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "repository"
    disk, writer = Disk(root), Writer([0], 0)
    with disk.recording(), writer.store:
        mkdir = objects.CALLS.mkdir

        def dying(path: Path) -> None:
            mkdir(path)
            if path.name == folder:
                raise Died

        with monkeypatch.context() as patch:
            patch.setattr(objects.CALLS, "mkdir", dying)
            with pytest.raises(Died):
                writer.cluster.push(f"file://{root}", name="x")
        writer.cluster.push(f"file://{root}", name="x")
        assert number_on(disk) == number_of(writer.cluster)


def test_sync_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the manifest can be read."""
    root = tmp_path / "repository"
    writer = Writer([0], 0)
    sync = objects.CALLS.sync_directory

    def failing(path: Path) -> None:
        if path.name == "manifest" and any(path.iterdir()):
            raise OSError(errno.EIO, "Input/output error")
        sync(path)

    with writer.store:
        monkeypatch.setattr(objects.CALLS, "sync_directory", failing)
        with pytest.raises(clusterdb.RemoteError, match=r"cannot sync .*manifest', so it may lose"):
            writer.cluster.push(f"file://{root}", name="x")
        monkeypatch.setattr(objects.CALLS, "sync_directory", sync)
        writer.cluster.push(f"file://{root}", name="x")


@pytest.mark.parametrize("seed", range(4))
def test_power_failures_lose_nothing_acknowledged(seed: int, tmp_path: Path) -> None:
    assert Story(seed, tmp_path / "repository").run() >= 40


@pytest.mark.slow
@pytest.mark.parametrize("start", range(100, 400, 50))
def test_more_power_failures_lose_nothing_acknowledged(start: int, tmp_path: Path) -> None:
    for seed in range(start, start + 50):
        Story(seed, tmp_path / f"repository{seed}").run()
