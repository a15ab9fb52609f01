"""Fixtures: each data plane of this build, and files of a cluster, opened through its VFS as SQLite opens them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

import clusterdb
from tests.vfs.contract.files import MAIN, Open
from vfs.plane import available


@pytest.fixture(autouse=True, params=available())
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The data plane of the stores that a test opens."""
    name: str = request.param
    monkeypatch.setenv("CLUSTERDB_IMPL", name)
    return name


@pytest.fixture
def opened(store: clusterdb.Store) -> Iterator[Open]:
    """A function that opens files of the empty cluster ``prod`` through the VFS, and closes them at the end."""
    store.create_cluster("prod")
    files: list[Any] = []

    def open_file(name: str | None = "prod", flags: int = MAIN) -> Any:
        file = apsw.VFSFile(store.vfs, name, [flags, 0])
        files.append(file)
        return file

    yield open_file
    for file in files:
        file.xClose()
