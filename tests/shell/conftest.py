"""Fixtures: a store with a cluster, and conversations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
from tests.shell.talk import Talk, Talking
from tests.support.stores import assert_clean


@pytest.fixture
def store(tmp_path: Path) -> Iterator[clusterdb.Store]:
    """A store with the cluster prod, which has a table of two users and keeps an hour of its past."""
    with clusterdb.open(tmp_path / ".clusterdb") as store:
        prod = store.create_cluster("prod", backtrack_window_s=3600)
        connection = prod.connect()
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO users (name) VALUES ('ada'), ('bob')")
        connection.close()
        yield store
        assert_clean(store)


@pytest.fixture
def talking(store: clusterdb.Store) -> Iterator[Talking]:
    """Makes conversations, and ends them."""
    talks: list[Talk] = []

    def talk(cluster: str | None = "prod", **options: bool) -> Talk:
        talks.append(Talk(store, cluster, **options))
        return talks[-1]

    yield talk
    for talking_shell in talks:
        talking_shell.shell.leave()
