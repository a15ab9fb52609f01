"""Damaged slots are reported, and nobody's data is freed for them."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import (
    boot_again,
    damage,
    fill,
    filled,
    letters_of,
    newest_record,
    rewrite,
)
from vfs.format.layout import unpack_entry
from vfs.storage.heads import head_records


def test_cluster_with_all_records_damaged_is_refused_not_empty(path: Path) -> None:
    """A damaged cluster is refused and not taken for an empty one; other clusters are unchanged."""
    with clusterdb.open(path) as store:
        filled(store, "good", 50, "g").close()
        writer = filled(store, "prod", 100, "a")
        writer.execute("PRAGMA synchronous = OFF")
        for number in range(3):
            writer.execute("UPDATE t SET v = 'q' WHERE id = ?", (number,))
        volume = catalog_of(store).volumes.volume_of_cluster("prod")
        assert volume is not None
        roots = {record.root.slot for record in head_records(pages_of(store), volume) if record}
    for root in roots:
        damage(path, root, 20)
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="prod"):
            store.cluster("prod").connect()
        assert len(store.check().problems) == 1
        fill(store.cluster("good").connect(), 500, "h")
        assert letters_of(store, "good") == {"h": 500}


def test_damaged_newest_version_is_not_replaced_by_a_freed_one(path: Path) -> None:
    """Of a damaged cluster no older version is shown whose pages others have used since, and none of theirs is freed.

    The slots that only the newest version reaches stay out of use, so that a person can still look.
    """
    with clusterdb.open(path) as store:
        writer = filled(store, "prod", 100, "a")
        writer.execute("CREATE TABLE u (x); INSERT INTO u VALUES (1)")
        rewrite(writer, "b")
        writer.close()
        filled(store, "good", 1000, "g").close()
        newest = newest_record(store, "prod")
    damage(path, newest.root.slot, 4000)
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="prod"):
            store.cluster("prod").connect()
        assert len(store.check().problems) == 1
        filled(store, "new", 300, "n").close()
        assert letters_of(store, "good") == {"g": 1000}
        assert letters_of(store, "new") == {"n": 300}


def test_vacuum_of_a_damaged_database_frees_no_foreign_slot(path: Path) -> None:
    """VACUUM over a damaged page table fails, instead of freeing what its bytes happen to name (T1)."""
    with clusterdb.open(path) as store:
        filled(store, "good", 100, "g").close()
        writer = filled(store, "prod", 4100, "a")
        writer.execute("DELETE FROM t WHERE id > 50")
        root = pages_of(store).read_slot(newest_record(store, "prod").root.slot)
        leaf = unpack_entry(root, 3).slot
        theirs = unpack_entry(pages_of(store).read_slot(newest_record(store, "good").root.slot), 5).slot
        damage(path, leaf, 7 * 16, theirs.to_bytes(4, "little"))
        with pytest.raises(apsw.CorruptError, match="fails its checksum"):
            writer.execute("VACUUM")
        assert [problem for problem in store.check().problems if "free in the map" in problem] == []
        filled(store, "filler", 500, "f").close()
        assert letters_of(store, "good") == {"g": 100}
        writer.close()
