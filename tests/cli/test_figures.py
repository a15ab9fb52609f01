"""What a cluster costs: the same figures in every list."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import clusterdb
from clusterdb.cli import cli

SLOT_BYTES = 4096


def family(folder: Path, seed: int) -> None:
    """A store with clones of clones, snapshots, pasts and deleted sources."""
    choose = random.Random(seed)
    with clusterdb.open(folder) as store:
        db = store.create_cluster("c0", backtrack_window_s=choose.choice([0, 3600])).connect()
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
        for number in range(1, 12):
            clusters = store.clusters()
            cluster = choose.choice(clusters)
            clone = cluster.clone(f"c{number}")
            db = choose.choice([cluster, clone]).connect()
            db.execute("INSERT INTO t (v) SELECT zeroblob(5000 * ?)", (choose.randrange(1, 9),))
            db.close()
            if choose.random() < 0.3:
                cluster.snapshot(f"s{number}")
            if len(clusters) > 2 and choose.random() < 0.3:
                choose.choice(clusters).delete()


def printed(folder: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["--store", str(folder), *arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


@pytest.mark.parametrize("seed", range(4))
def test_lists_agree_on_what_a_cluster_costs(tmp_path: Path, seed: int) -> None:
    """ls, show and bills have one figure for what a cluster pays, and ls and show one for what only it holds.

    The latter is a part of the former; all bills are what the store uses, without the header of its pool.
    """
    family(tmp_path / "store", seed)
    listed = {row["name"]: row for row in printed(tmp_path / "store", "ls", "--bill")}
    bills = printed(tmp_path / "store", "bills")
    assert len(listed) > 2
    for bill in bills:
        assert bill["bytes"] == pytest.approx(bill["own_bytes"] + bill["shared_bytes"])
    for bill in (bill for bill in bills if bill["kind"] == "cluster"):
        row, shown = listed[bill["name"]], printed(tmp_path / "store", "show", bill["name"], "--bill")
        assert row["billed_bytes"] == shown["billed_bytes"] == bill["bytes"]
        assert row["own_bytes"] == shown["own_bytes"] <= bill["bytes"]
        assert row["shared_bytes"] == shown["shared_bytes"]
        assert (row["source"], row["source_exists"]) == (shown["source"], shown["source_exists"])
    with clusterdb.open(tmp_path / "store") as store:
        assert sum(bill["bytes"] for bill in bills) == pytest.approx(store.stats().used_bytes - SLOT_BYTES)
        for cluster in store.clusters():
            assert cluster.stats().own_bytes == listed[cluster.name]["own_bytes"]


def test_lonely_cluster_pays_for_what_it_holds(tmp_path: Path) -> None:
    """Without clones and a past, both figures are the same."""
    with clusterdb.open(tmp_path / "store") as store:
        alone = store.create_cluster("alone", backup_retention_days=0)
        alone.connect().execute("CREATE TABLE t (v); INSERT INTO t VALUES (zeroblob(50000))")
    (row,) = printed(tmp_path / "store", "ls", "--bill")
    assert row["own_bytes"] == row["billed_bytes"] > 50_000


def test_renamed_source_is_listed_under_its_present_name(tmp_path: Path) -> None:
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod").clone("dev")
        store.cluster("prod").rename("live")
    assert [(row["name"], row["source"]) for row in printed(tmp_path / "store", "ls")] == [
        ("dev", "live"),
        ("live", None),
    ]
