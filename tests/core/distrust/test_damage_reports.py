"""Errors, ``check`` and ``dump`` name the cluster, page and slot of damage."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.core.distrust.family import ROW_COUNT, put_word, version_of
from tests.support.inside import pages_of, pinned_head
from tests.support.stores import rows
from vfs.format.layout import SLOT_BYTES
from vfs.format.shared import MapHeader
from vfs.storage.walk import reached


def slot_of_page(path: Path, name: str, page: int) -> int:
    """Where a page (counted from 0) of a cluster is."""
    with clusterdb.open(path) as store, pinned_head(store, name) as volume:
        walk = reached(pages_of(store).read_slot, volume.version)
        return next(at.entry.slot for at in walk if at.level < 0 and at.number == page)


def flip(path: Path, slot: int, within: int = 2000) -> None:
    """Change one bit of a slot."""
    with open(path / "pool", "r+b") as pool:
        pool.seek(slot * SLOT_BYTES + within)
        (byte,) = pool.read(1)
        pool.seek(slot * SLOT_BYTES + within)
        pool.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("page", [0, 1, 4])
def test_read_of_damaged_page_names_cluster_page_and_slot(own: Path, page: int) -> None:
    """With verify_reads, SQL over a damaged page is SQLITE_CORRUPT, and says where the damage is."""
    slot = slot_of_page(own, "two", page)
    flip(own, slot)
    with clusterdb.open(own, verify_reads=True) as store:
        with pytest.raises((apsw.CorruptError, clusterdb.CorruptStoreError)) as caught:
            rows(store.cluster("two").connect(), "SELECT sum(length(body)) FROM t")
        text = str(caught.value)
        assert "cluster 'two'" in text
        assert f"page {page} (slot {slot})" in text
        assert rows(store.cluster("heir").connect(), "SELECT count(*), max(n) FROM t") == [(ROW_COUNT, 4)]


def test_write_to_damaged_page_names_cluster_page_and_slot(own: Path) -> None:
    """A change of a damaged page is refused the same way; changes elsewhere are made."""
    slot = slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own, verify_reads=True) as store:
        connection = store.cluster("two").connect()
        with pytest.raises(apsw.CorruptError, match=rf"cluster 'two': page 4 \(slot {slot}\) .*checksum"):
            connection.execute("UPDATE t SET n = n + 1")
        connection.execute("CREATE TABLE u (x); INSERT INTO u VALUES (1)")
        assert rows(connection, "SELECT x FROM u") == [(1,)]


def test_damaged_shared_page_is_reported_for_each_cluster(own: Path) -> None:
    """A damaged page that source and clone share is reported in the errors of both."""
    slot = slot_of_page(own, "three", 4)
    assert slot == slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own, verify_reads=True) as store:
        for name in ("two", "three"):
            with pytest.raises(apsw.CorruptError, match=rf"cluster '{name}': page 4 \(slot {slot}\)"):
                rows(store.cluster(name).connect(), "SELECT sum(length(body)) FROM t")


def test_read_through_damaged_node_names_cluster_and_slot(own: Path) -> None:
    """With verify_reads a damaged node of the page table is SQLITE_CORRUPT, and says which slot it is."""
    record, _ = version_of(own, "two")
    flip(own, record.root.slot)
    with clusterdb.open(own, verify_reads=True) as store:
        with pytest.raises((apsw.CorruptError, clusterdb.CorruptStoreError)) as caught:
            rows(store.cluster("two").connect(), "SELECT count(*) FROM t")
        assert "cluster 'two'" in str(caught.value)
        assert f"slot {record.root.slot} " in str(caught.value)
        assert "page table" in str(caught.value)


def test_check_names_page_and_slot(own: Path) -> None:
    """A check of a damaged store is not ok, and the line on it has page and slot."""
    slot = slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own) as store:
        report = store.check()
    assert not report.ok
    assert any(f"page 4 (slot {slot})" in problem for problem in report.problems)


def test_check_reports_damage_by_cluster_name(own: Path) -> None:
    """The line of a damaged page has the name of its cluster."""
    slot = slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own) as store:
        (problem,) = store.check().problems
    assert "two" in problem.replace("volume 2", "")


def test_damaged_cluster_does_not_block_the_others(own: Path) -> None:
    """A store with a damaged cluster opens, also where a process died and left slots behind."""
    record, _ = version_of(own, "two")
    flip(own, record.root.slot)
    put_word(own, "map", MapHeader.word("leaks"), 1)
    with clusterdb.open(own) as store:
        assert rows(store.cluster("heir").connect(), "SELECT count(*), max(n) FROM t") == [(ROW_COUNT, 4)]


def test_dump_shows_bytes_and_use_of_a_damaged_page(own: Path) -> None:
    """The dump of a slot has its use and its bytes, damaged or not; the dump of a cluster continues."""
    slot = slot_of_page(own, "two", 4)
    with clusterdb.open(own) as store:
        before = store.dump(slot=slot)
    flip(own, slot)
    with clusterdb.open(own) as store:
        after = store.dump(slot=slot)
        assert "level 0 node 0" in store.dump(cluster="two")
    for text in (before, after):
        assert text.startswith(f"slot {slot}: live")
    assert before.splitlines()[0] != after.splitlines()[0]  # the checksum
    assert before.splitlines()[1:] == after.splitlines()[1:]  # the first bytes are as they were


def test_dump_names_the_cluster_and_page_of_a_slot(own: Path) -> None:
    """The dump tells which cluster and page a damaged slot belongs to."""
    slot = slot_of_page(own, "two", 4)
    with clusterdb.open(own) as store:
        text = store.dump(slot=slot)
    assert "page 4" in text
    assert "volume 2" in text or "two" in text
