"""Fixtures: a store, and a cluster with six copies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
from tests.zones.sql import execute


@pytest.fixture
def store(tmp_path: Path) -> Iterator[clusterdb.Store]:
    with clusterdb.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with a table and a row."""
    prod = store.create_cluster("prod", zones=3)
    execute(prod, "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)", "INSERT INTO t VALUES (1, 'one')")
    return prod
