"""Fixtures: the store of a test, and a function that opens it once more as another process would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.mishaps import (
    assert_accounted,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.fixture
def opened(path: Path) -> Iterator[list[clusterdb.Store]]:
    """The stores a test has opened; at its end they are closed, and the store is clean and well accounted for."""
    stores: list[clusterdb.Store] = []
    yield stores
    for store in stores:
        store.close()
    assert_accounted(path)


@pytest.fixture
def open_store(path: Path, opened: list[clusterdb.Store]) -> Opener:
    """A function that opens the store: once more for every call, as another process would."""

    def open_once(**options: Any) -> clusterdb.Store:
        opened.append(clusterdb.open(path, **options))
        return opened[-1]

    return open_once


@pytest.fixture
def store(open_store: Opener) -> clusterdb.Store:
    """The store, on disk."""
    return open_store()
