"""Fixtures of the DB-API: a connection, the default store, and a disabled garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import fill


@pytest.fixture
def connection(store: clusterdb.Store) -> Iterator[dbapi2.Connection]:
    """A connection to the cluster ``prod``, which has a table ``t`` of five rows."""
    store.create_cluster("prod")
    connection = dbapi2.connect("prod", store=store)
    fill(connection)
    yield connection
    connection.close()


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the default store, which does not exist yet."""
    monkeypatch.setenv("CLUSTERDB_STORE", str(tmp_path / "default"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "default"


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def fleet(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with a writer ``w``, a reader ``r``, and a table."""
    cluster = store.create_cluster("prod")
    cluster.add_instance("w")
    cluster.add_instance("r")
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
    return cluster
