"""Versions expire during a series of commits under synchronous=OFF, and then the power fails."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.past.numbers import give_up
from tests.support.stores import assert_clean
from tests.torture import record, worlds
from tests.torture.crash import Image
from vfs.storage.seals import version_before_series

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
        seals = [version_before_series(store.context.pages, store.context.volume_of(prod))]
        assert expire(recorder, store, prod.stats().version - 3) == 1  # later than the seal, so it is synced
        write(6)
        seals.append(version_before_series(store.context.pages, store.context.volume_of(prod)))
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


@pytest.mark.parametrize("what", ["expire", "keep"])
def test_seal_of_a_disposable_store_is_not_on_the_device(tmp_path: Path, what: str) -> None:
    """What a durable store retains after it was disposable is synced first: a power failure would take it."""
    source, directory = tmp_path / "source.db", tmp_path / "store"
    directory.mkdir()
    worlds.fill(source, 1)
    recorder = record.Recorder(directory)
    settings: dict[str, Any] = {"backtrack_window_s": 3600} if what == "expire" else {"backup_retention_days": 0}
    with recorder.recording():
        with clusterdb.open(directory) as store:
            store.create_cluster("prod", from_file=source, **settings)
            worlds.write(store, "prod", 2, "FULL", 9)
        with clusterdb.open(directory, disposable=True) as store:
            for number in (3, 4, 5):
                worlds.write(store, "prod", number, "OFF", worlds.ROWS)
            sealed = store.cluster("prod").stats().version
        store = clusterdb.open(directory)
        prod = store.cluster("prod")
        if what == "expire":
            worlds.write(store, "prod", 6, "OFF", worlds.ROWS)
            give_up(store, prod, sealed)
        else:
            prod.modify(backtrack_window_s=3600)
        recorder.mark(1)
        store.close()
    device = record.Device()
    for event in recorder.events[: recorder.events.index(record.Event("", "mark", 1))]:
        device.take(event)
    for how in HOW:
        image = tmp_path / how
        Image(device.image(random.Random(0), how), [], "").write(image)
        with clusterdb.open(image) as after:
            assert worlds.number_in(after, "prod") >= 5
            assert_clean(after)
