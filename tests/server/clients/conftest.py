"""Fixtures: a server with a clone of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import clusterdb
import clusterdb.dbapi2 as dbapi
from clusterdb.server import running
from tests.server.clients.served import ACCOUNT, REGION, Served


@pytest.fixture
def serve(disk_store: clusterdb.Store) -> Iterator[Callable[..., Served]]:
    """Creates ``prod`` of an engine by statements, clones it, and serves the store."""
    servers = []

    def begin(engine: str, *statements: str) -> Served:
        prod = disk_store.create_cluster("prod", engine=engine)
        connection = dbapi.connect(prod, isolation_level=None)
        for sql in statements:
            connection.execute(sql)
        connection.close()
        prod.clone("work")
        server = running(disk_store, account=ACCOUNT, region=REGION)
        servers.append(server)
        return Served(server.__enter__().url, disk_store)

    yield begin
    for server in servers:
        server.__exit__(None, None, None)
