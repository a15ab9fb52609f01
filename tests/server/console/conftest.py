"""A store with a small shop in it, and a client of its console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the console needs the extra [server]: starlette is not installed")

import clusterdb
from tests.server.console.client import Client
from tests.server.console.shop import fill


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[clusterdb.Store]:
    """The store."""
    with clusterdb.open(tmp_path / "store", synchronous="OFF") as store:
        fill(store)
        yield store


@pytest.fixture
def console(shop: clusterdb.Store) -> Client:
    """A client of its console."""
    return Client(shop)
