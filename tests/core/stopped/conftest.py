"""Fixtures: a store with clusters for the stopped process and for others, and a function that starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
import vfs
import vfs.reclaim.sweep
from tests.core.stopped.stopper import BUSY_TIMEOUT_MS, PATIENCE_S, Starter, Stopper, _waiting, fill
from tests.support.stores import assert_clean


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[clusterdb.Store]:
    """The store as this process has it open: 'own' with its clone 'own-dev', 'other' with 'other-dev', and 'spare'.

    This process does not wait long for the catalog, nor for a commit when it sweeps.
    """
    monkeypatch.setattr("clusterdb.catalog.database._BUSY_TIMEOUT_MS", BUSY_TIMEOUT_MS)
    monkeypatch.setattr(vfs.reclaim.sweep, "_LABELLING_LOOKS", 2)
    with clusterdb.open(path) as store:
        for name, letter in (("own", "a"), ("other", "n"), ("spare", "s")):
            fill(store, name, letter)
        store.cluster("own").clone("own-dev")
        store.cluster("other").clone("other-dev")
        yield store
        assert_clean(store)
        for cluster in store.clusters():
            cluster.delete()
        assert store.stats().used_bytes == 4096


@pytest.fixture
def start(path: Path, store: clusterdb.Store) -> Iterator[Starter]:
    """A function that starts a process which is about to stop; those left at the end are killed."""
    started: list[Stopper] = []

    def start_one(work: str, point: str = "", synchronous: str = "FULL") -> Stopper:
        started.append(Stopper(path, work, point, synchronous))
        return started[-1]

    yield start_one
    for stopper in started:
        stopper.kill()
    while _waiting:
        _waiting.pop().join(PATIENCE_S)
