"""Fixtures: the servers of the engines that the flavours stand for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
