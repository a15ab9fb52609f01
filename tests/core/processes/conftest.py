"""Fixtures: a store that this process and agents have open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
from tests.core.processes.agents import Agent, Starter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.fixture
def start(path: Path) -> Iterator[Starter]:
    """A function that starts an agent; those left at the end are killed."""
    agents: list[Agent] = []

    def start_one(*, opens: bool = True) -> Agent:
        agents.append(Agent(path, opens=opens))
        return agents[-1]

    yield start_one
    for agent in agents:
        agent.kill()


@pytest.fixture
def shared(path: Path) -> Iterator[clusterdb.Store]:
    """The store as this process has it open, with cluster 'prod' of 400 rows; clean when all agents are gone."""
    with clusterdb.open(path) as store:
        connection = store.create_cluster("prod", backup_retention_days=0).connect()
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT);"
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 400) "
            "INSERT INTO t SELECT x, 0, printf('%0400d', x) FROM c"
        )
        connection.close()
        yield store
        assert store.check().problems == []
