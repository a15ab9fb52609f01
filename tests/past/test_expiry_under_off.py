"""Versions expire during a series of commits under synchronous=OFF, and then the power fails."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import clusterdb
from tests.past.numbers import give_up
from tests.support.stores import assert_clean
from tests.torture import record, worlds
from tests.torture.crash import Image
from vfs.storage.seals import sealed_version

HOW = ("none", "all", "some", "torn", "reordered", "older", "newer", "one", "but one")


def expire(recorder: record.Recorder, store: clusterdb.Store, before: int) -> int:
    """Give the versions before one up; returns how often the pool was synced for that."""
    start = len(recorder.events)
    give_up(store, store.cluster("prod"), before)
    return sum(event.file == "pool" and event.kind == "sync" for event in recorder.events[start:])


def test_versions_before_the_seal_expire_without_a_sync_and_the_seal_holds(tmp_path: Path) -> None:
    """Whatever of the series reaches the device, what comes back is not older than the seal, which is whole (K3)."""
    source, directory = tmp_path / "source.db", tmp_path / "store"
    directory.mkdir()
    worlds.fill(source, 1)
    recorder, numbers = record.Recorder(directory), count(2)

    def write(times: int, mode: str = "OFF") -> None:
        for _ in range(times):
            worlds.write(store, "prod", next(numbers), mode, worlds.ROWS)

    with recorder.recording():
        store = clusterdb.open(directory)
        prod = store.create_cluster("prod", from_file=source, backtrack_window_s=3600)
        write(1, "FULL")
        write(8)
        seals = [sealed_version(store.context.pages, store.context.volume_of(prod))]
        assert expire(recorder, store, prod.stats().version - 3) == 1  # later than the seal, so it is synced
        write(6)
        seals.append(sealed_version(store.context.pages, store.context.volume_of(prod)))
        assert seals[0] < seals[1] < prod.stats().version
        assert expire(recorder, store, seals[1] - 1) == 0
        assert expire(recorder, store, seals[1]) == 0
        sealed = worlds.number_at(store, "prod", seals[1])
        recorder.mark(1)
        write(5)  # in the slots that are free now
        recorder.mark(2)
        store.close()
    first = recorder.events.index(record.Event("", "mark", 1))
    end = recorder.events.index(record.Event("", "mark", 2))
    newest = next(numbers) - 1
    device, rng, back = record.Device(), random.Random(0), set()
    for at, event in enumerate(recorder.events[:end]):
        device.take(event)
        for how in rng.sample(HOW, 3) if at >= first else ():
            image = tmp_path / f"{at}-{how}"
            Image(device.image(rng, how), [], "").write(image)
            with clusterdb.open(image) as after:
                back.add(worlds.number_in(after, "prod"))
                assert_clean(after)
    assert sealed <= min(back) and max(back) <= newest
    assert len(back) > 1
