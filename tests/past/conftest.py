"""Fixture: a cluster that keeps its past."""

from __future__ import annotations

import pytest

import clusterdb
from tests.past.numbers import KEEPS


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster that keeps its past."""
    return store.create_cluster("prod", **KEEPS)
