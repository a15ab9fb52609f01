"""A store with a small shop in it, and a client of its console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: run .../console/install")
    path = os.environ.get("CLUSTERDB_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: run tests/server/console/install")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[clusterdb.Store, str]]:
    """A store, and the URL of its server."""
    from clusterdb.server.background import running

    with clusterdb.open(tmp_path / "store", synchronous="OFF") as store:
        fill(store)
        with running(store) as server:
            yield store, server.url
