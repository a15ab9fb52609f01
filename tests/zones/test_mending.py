"""Damaged pages of clusters with zones are mended from a storage node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.support.stores import assert_clean
from vfs.format.layout import SLOT_BYTES
from vfs.storage.heads import head_of
from vfs.storage.walk import reached


def _filled(store: clusterdb.Store, **settings: Any) -> clusterdb.Cluster:
    prod = store.create_cluster("prod", **settings)
    with prod.connect() as connection:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)")
        for start in (1, 500):
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + 400) "
                "INSERT INTO t SELECT i, hex(randomblob(300)) FROM n",
                (start,),
            )
    connection.close()
    return prod


def _damage(store: clusterdb.Store, cluster: clusterdb.Cluster) -> list[int]:
    """Change a byte of every third page; returns the numbers."""
    context = store.context
    row = context.volume_of(cluster)
    pages = [at for at in reached(context.pages.read_slot, head_of(context.pages, row)) if at.level < 0][::3]
    for at in pages:
        os.pwrite(context.pages.pool_fd, b"\xee", at.entry.slot * SLOT_BYTES + 2000)
    return [at.number for at in pages]


@pytest.mark.parametrize("is_clone", [False, True])
def test_reads_that_verify_mend(tmp_path: Path, is_clone: bool) -> None:
    with clusterdb.open(tmp_path / "store", create=True, verify_reads=True) as store:
        cluster = _filled(store, zones=3)
        if is_clone:
            cluster = cluster.clone("dev")
        with cluster.connect() as connection:
            expected = connection.execute("SELECT count(*), sum(length(text)) FROM t").fetchall()
        connection.close()
        assert _damage(store, cluster)
        connection = cluster.connect()
        assert connection.execute("SELECT count(*), sum(length(text)) FROM t").fetchall() == expected
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        assert_clean(store)


def test_checks_mend_what_nodes_have(tmp_path: Path) -> None:
    with clusterdb.open(tmp_path / "store", create=True) as store:
        cluster = _filled(store, zones=3)
        cluster.lose_zone("b")
        numbers = _damage(store, cluster)
        assert len(store.check().problems) == len(numbers)
        report = store.check(repair=True)
        assert len(report.mended) == len(numbers) and not report.problems
        assert_clean(store)


def test_damage_without_copies_stays(tmp_path: Path) -> None:
    with clusterdb.open(tmp_path / "store", create=True, verify_reads=True) as store:
        plain = _filled(store)
        numbers = _damage(store, plain)
        assert len(store.check(repair=True).problems) == len(numbers)
        with pytest.raises(clusterdb.CorruptStoreError, match="fails its checksum"):
            plain.connect()


def test_damage_stays_without_three_nodes(tmp_path: Path) -> None:
    with clusterdb.open(tmp_path / "store", create=True) as store:
        cluster = _filled(store, zones=3)
        cluster.lose_zone("a")
        cluster.lose_zone("b")
        numbers = _damage(store, cluster)
        assert len(store.check(repair=True).problems) == len(numbers)
        store.return_zone("a")
        assert len(store.check(repair=True).mended) == len(numbers)
