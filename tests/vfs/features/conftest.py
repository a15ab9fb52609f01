"""Fixtures: a cluster with the sample, imported or cloned, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.vfs.features.content import SERIES, hash_of


@pytest.fixture(scope="module")
def plain_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain database file with a few thousand rows, for all tests of this module; not to be changed."""
    path = tmp_path_factory.mktemp("sample") / "sample.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT); CREATE INDEX t_n ON t (n)")
        connection.execute(
            f"{SERIES} INSERT INTO t SELECT x, x % 97, printf('row %d of the sample', x) FROM c", (3000,)
        )
    return path


@pytest.fixture(params=["cluster", "clone"])
def cluster(request: pytest.FixtureRequest, store: clusterdb.Store, plain_sample: Path) -> Iterator[clusterdb.Cluster]:
    """A cluster with the sample, made by import or by cloning; in the end the clone's source is what it was."""
    source = store.create_cluster("source", from_file=plain_sample)
    if request.param == "cluster":
        yield source
        return
    before = hash_of(source)
    yield source.clone("clone")
    assert hash_of(source) == before


@pytest.fixture
def connection(cluster: clusterdb.Cluster) -> apsw.Connection:
    """A connection to the cluster (the store closes it)."""
    return cluster.connect()
