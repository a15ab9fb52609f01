"""Fixtures: a server on a store in memory, and boto3's clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra [server]")
pytest.importorskip("boto3")

import clusterdb
from clusterdb.server import Running, running, session
from tests.support.stores import assert_clean


@pytest.fixture
def memory_store() -> Iterator[clusterdb.Store]:
    """A store in memory, which is clean when the test ends."""
    with clusterdb.open(":memory:") as store:
        yield store
        assert_clean(store)


@pytest.fixture
def server(memory_store: clusterdb.Store) -> Iterator[Running]:
    """A server on a store in memory."""
    with running(memory_store) as server:
        yield server


@pytest.fixture
def rds(server: Running) -> Any:
    """boto3's client of Amazon RDS."""
    return session(server).client("rds")
