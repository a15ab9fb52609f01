"""Fixtures: the servers of the engines that the flavours stand for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import clusterdb
from tests.flavours import servers


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[servers.Server]:
    """MariaDB, which stands for MySQL; started once."""
    with servers.mysql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.Server]:
    """PostgreSQL; started once."""
    with servers.postgresql() as server:
        yield server


@pytest.fixture
def connection(request: pytest.FixtureRequest) -> Iterator[clusterdb.Connection]:
    """A connection to PostgreSQL's flavour as for SQL that is not trusted, after the statements SETUP of the module."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("fresh", engine="aurora-postgresql")
        connection = clusterdb.connect(cluster, autocommit=True, trusted=False)
        for statement in request.module.SETUP:
            connection.execute(statement)
        yield connection
        connection.close()
