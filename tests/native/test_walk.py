"""The walk in C over what two versions do not share, beside its twin in Python."""

from __future__ import annotations

import random
from itertools import chain, pairwise, permutations
from pathlib import Path

import pytest

import clusterdb
from vfs.errors import CorruptionError
from vfs.native import companion_of
from vfs.storage.heads import head_of, retained
from vfs.storage.walk import only_in

pytest.importorskip("vfs._native", reason="the extension module is not built")


def history(store: clusterdb.Store, seed: int) -> clusterdb.Cluster:
    """A cluster whose versions have tables of one and of two levels, grow, shrink, and share most of their pages."""
    rng = random.Random(seed)
    prod = store.create_cluster("prod", backup_retention_days=1)
    connection = prod.connect()
    connection.execute("PRAGMA auto_vacuum = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, body)")
    for size in (20, 400, 30, 700, 5):
        connection.execute("DELETE FROM t WHERE id > ?", (size,))
        count = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT ?)"
        connection.execute(f"{count} INSERT OR IGNORE INTO t SELECT n, zeroblob(3000) FROM s", (size,))
        for _ in range(2):
            connection.execute("UPDATE t SET body = randomblob(3000) WHERE id = ?", (rng.randrange(1, size),))
    connection.close()
    return prod


@pytest.mark.parametrize("seed", range(2))
def test_walk_gives_what_its_twin_gives(disk_store: clusterdb.Store, seed: int) -> None:
    """For all pairs of versions, older and newer, deeper and shallower, and several lower bounds of births."""
    prod = history(disk_store, seed)
    pool = disk_store.context.pages
    row = disk_store.context.volume_of(prod)
    versions = [*retained(pool, row, head_of(pool, row).version)]
    assert len({version.depth for version in versions}) == 3  # an empty table, one level, two
    companion = companion_of(pool)
    for version, other in permutations(versions, 2):
        for born_after in (0, version.version - 1, versions[len(versions) // 2].version):
            walk = only_in(pool.read_slot, version, [other], born_after)
            twin = {(at.entry.slot, at.entry.birth, other.version) for at in walk}
            assert set(companion.unshared([version, other], born_after)) == twin
    pairs = [companion.unshared([*pair], 0) for pair in pairwise(versions)]
    assert companion.unshared(versions, 0) == [*chain.from_iterable(pairs)]
    assert companion.unshared(versions[:1], 0) == companion.unshared([], 0) == []


def test_walk_refuses_a_damaged_node(disk_store: clusterdb.Store, tmp_path: Path) -> None:
    """A node that fails its checksum, and a table that reaches more slots than its version has."""
    prod = history(disk_store, 7)
    pool = disk_store.context.pages
    row = disk_store.context.volume_of(prod)
    *_, before, head = retained(pool, row, head_of(pool, row).version)
    companion = companion_of(pool)
    with pytest.raises(CorruptionError, match="fails its checksum"):
        companion.unshared([head._replace(root=head.root._replace(crc=1)), before], 0)
    with pytest.raises(CorruptionError, match="more than its 1 slots"):
        companion.unshared([head._replace(slot_count=1), before], 0)
