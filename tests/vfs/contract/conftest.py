"""Fixture: files of a cluster, opened through the VFS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import clusterdb
from tests.support.inside import vfs_of
from tests.vfs.contract.files import MAIN, Open


@pytest.fixture
def opened(store: clusterdb.Store) -> Iterator[Open]:
    """A function that opens files of the empty cluster ``prod`` through the VFS, and closes them at the end."""
    store.create_cluster("prod")
    files: list[Any] = []

    def open_file(name: str | None = "prod", flags: int = MAIN) -> Any:
        file = vfs_of(store).xOpen(name, [flags, 0])
        files.append(file)
        return file

    yield open_file
    for file in files:
        file.xClose()
