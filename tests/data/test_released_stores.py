"""Stores that released versions wrote are opened, read, written and cloned by this one."""

from __future__ import annotations

import json
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.data.make_store import DATA, digest
from tests.support.clocks import set_clocks
from tests.support.stores import assert_clean

RELEASES = sorted(path.name.removesuffix(".tar.xz") for path in DATA.glob("store-*.tar.xz"))


@pytest.fixture(params=RELEASES)
def released(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, Any]]:
    """The directory of a released store, and the notes of its maker; the clock is soon after it was made.

    Later its past would be older than its cluster keeps it.
    """
    path = tmp_path / "store"
    path.mkdir(mode=0o700)
    with tarfile.open(DATA / f"{request.param}.tar.xz") as archive:
        safely: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
        archive.extractall(path, **safely)
    expected = json.loads((DATA / f"{request.param}.json").read_text())
    system_time_ns, ahead_ns = time.time_ns, expected["made_ns"] + 3_600_000_000_000 - time.time_ns()
    set_clocks(monkeypatch, lambda: system_time_ns() + ahead_ns)
    return path, expected


def test_store_of_each_release_is_there() -> None:
    assert "store-0.1.0" in RELEASES


def test_released_store_has_its_content_and_is_clean(released: tuple[Path, dict[str, Any]]) -> None:
    """Clusters, snapshot, retained past, instances and settings are what they were; check finds nothing."""
    path, expected = released
    with clusterdb.open(path) as store:
        assert_clean(store)
        prod = store.cluster("prod")
        opened = {
            "past": prod.connect(at=expected["past_version"]),
            "prod": prod.connect(),
            "dev": store.cluster("dev").connect(),
            "snapshot": store.restore_snapshot("nightly", "restored").connect(),
        }
        for name, connection in opened.items():
            with closing(connection):
                assert (name, digest(connection)) == (name, expected["hashes"][name])
        with closing(clusterdb.connect(store.cluster("shop"))) as orders:
            assert orders.execute("SELECT id, price FROM orders ORDER BY id").fetchall() == [(1, 9.5), (2, 10)]
        assert store.cluster("shop").settings.tags == {"team": "red"}
        assert [instance.name for instance in prod.instances()] == ["writer-1", "reader-1"]
        assert "reports" in [endpoint.name for endpoint in prod.endpoints()]
        assert_clean(store)


def test_released_store_can_be_written_and_cloned(released: tuple[Path, dict[str, Any]]) -> None:
    """A clone has what its source has; writing to both leaves the store clean, also when it is opened again."""
    path, expected = released
    with clusterdb.open(path) as store:
        clone = store.cluster("prod").clone("clone")
        with closing(clone.connect()) as connection:
            assert digest(connection) == expected["hashes"]["prod"]
            connection.execute("DELETE FROM users WHERE id < 100")
            changed = digest(connection)
        with closing(clusterdb.connect(store.cluster("shop"))) as orders:
            orders.execute("INSERT INTO orders (price) VALUES (11)")
            orders.commit()
            assert orders.execute("SELECT max(id) FROM orders").fetchall() == [(3,)]
        store.cluster("dev").delete()
        store.reclaim()
        assert_clean(store)
    with clusterdb.open(path) as store:
        with closing(store.cluster("clone").connect()) as connection:
            assert digest(connection) == changed
        with closing(store.cluster("prod").connect()) as connection:
            assert digest(connection) == expected["hashes"]["prod"]
        assert_clean(store)
