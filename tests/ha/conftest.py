"""Fixtures: a cluster, one with three instances, and the clock by which instances lag."""

from __future__ import annotations

import pytest

import clusterdb
from tests.ha.fleet import Clock, add, cluster_with
from vfs.storage.device import CALLS


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with an empty table and no instances."""
    return cluster_with(store)


@pytest.fixture
def trio(prod: clusterdb.Cluster) -> clusterdb.Cluster:
    """A cluster with the writer 'a' and the readers 'b' and 'c'; 'b' is the next writer."""
    add(prod, "a", "b")
    prod.add_instance("c", promotion_tier=2)
    return prod


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which instances lag and faults end."""
    clock_set = Clock()
    monkeypatch.setattr("clusterdb.ha.gate.time", clock_set)
    monkeypatch.setattr(CALLS, "time_ns", clock_set.time_ns)
    monkeypatch.setattr(CALLS, "clock_gettime_ns", clock_set.clock_gettime_ns)
    return clock_set
