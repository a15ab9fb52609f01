"""Checking, verifying, repairing, and where a store may lie."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import catalog_of, pages_of, pinned_head
from tests.support.stores import assert_clean, rows
from vfs.format.layout import pack_version
from vfs.storage import device
from vfs.storage.walk import reached


def page_slot(store: clusterdb.Store, name: str, page: int) -> int:
    """Where a page of a cluster is."""
    with pinned_head(store, name) as volume:
        return next(
            at.entry.slot
            for at in reached(pages_of(store).read_slot, volume.version)
            if at.level < 0 and at.number == page
        )


def scribble(path: Path, slot: int) -> None:
    with open(path / "pool", "r+b") as pool:
        pool.seek(slot * 4096 + 2000)
        pool.write(b"scribbled over")


@pytest.fixture
def path(tmp_path: Path, sample: Path) -> Path:
    """A store with the clusters 'prod' and its clone 'dev'."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod", from_file=sample).clone("dev")
    return tmp_path / "store"


def test_verifying_reads_refuse_a_damaged_page(path: Path) -> None:
    """With verify_reads a page that fails its checksum is SQLITE_CORRUPT, naming cluster, page and slot."""
    with clusterdb.open(path) as store:
        slot = page_slot(store, "dev", 7)
    scribble(path, slot)
    with clusterdb.open(path, verify_reads=True) as store:
        connection = store.cluster("dev").connect()
        with pytest.raises(apsw.CorruptError, match=rf"cluster 'dev': page 7 \(slot {slot}\) .*checksum"):
            rows(connection, "PRAGMA integrity_check")  # reads every page


def test_verifying_reads_refuse_a_damaged_page_table(path: Path) -> None:
    """With verify_reads a damaged node of the page table is SQLITE_CORRUPT."""
    with clusterdb.open(path) as store, pinned_head(store, "dev") as volume:
        slot = volume.version.root.slot
    scribble(path, slot)
    with (
        clusterdb.open(path, verify_reads=True) as store,
        pytest.raises(clusterdb.CorruptStoreError, match=rf"slot {slot} .*checksum"),
    ):
        store.cluster("dev").connect()


def test_verify_reads_changes_no_other_behaviour(tmp_path: Path, sample: Path) -> None:
    """Reads, writes, and rollbacks of what was written ahead work as without."""
    with clusterdb.open(tmp_path / "verified", verify_reads=True) as store:
        connection = store.create_cluster("prod", from_file=sample).clone("dev").connect()
        connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET n = n + 1; ROLLBACK")
        connection.execute("UPDATE t SET n = n + 1 WHERE id <= 10")
        assert rows(connection, "SELECT count(*), sum(n) FROM t") == [(3000, sum(i % 97 for i in range(1, 3001)) + 10)]
        connection.close()
        assert_clean(store)


def test_check_names_the_damaged_page(path: Path) -> None:
    """check says which page of which volume fails, and its command exits with 1."""
    with clusterdb.open(path) as store:
        slot = page_slot(store, "dev", 7)
    scribble(path, slot)
    command = [sys.executable, "-c", "from clusterdb.cli import main; main()", "--store", str(path), "check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"page 7 (slot {slot}) fails its checksum" in answer.stderr
    assert answer.stdout.endswith("damaged\n")
    assert answer.returncode == 1


def test_repair_rebuilds_derived_files(path: Path) -> None:
    """A map full of nonsense is made anew; the clusters are as they were."""
    with open(path / "map", "r+b") as file:
        file.seek(4096)
        file.write(b"\x01" * 200)
    assert clusterdb.repair(path).ok
    with clusterdb.open(path) as store:
        assert_clean(store)
        assert rows(store.cluster("dev").connect(), "SELECT count(*) FROM t") == [(3000,)]


def test_repair_names_lost_clusters(path: Path) -> None:
    """A cluster whose data is damaged is named, the others are whole."""
    with clusterdb.open(path) as store:
        connection = store.cluster("dev").connect()
        connection.execute("UPDATE t SET n = n + 1")
        connection.close()
        slot = page_slot(store, "dev", 7)
    scribble(path, slot)
    report = clusterdb.repair(path)
    with clusterdb.open(path) as store:
        assert rows(store.cluster("prod").connect(), "SELECT count(*) FROM t") == [(3000,)]
        if report.ok:  # the damaged commit was taken for one that the power failed in
            assert rows(store.cluster("dev").connect(), "SELECT sum(n) FROM t") == [(sum(i % 97 for i in range(3001)),)]


def test_repair_is_refused_while_another_process_has_the_store_open(path: Path) -> None:
    """While another process has the store open, nothing is rebuilt under it."""
    with clusterdb.open(path), pytest.raises(clusterdb.StoreInUseError, match="close those first"):
        clusterdb.repair(path)


def test_repair_without_a_store_is_an_error(tmp_path: Path) -> None:
    """There must be a store."""
    with pytest.raises(clusterdb.NotAStoreError):
        clusterdb.repair(tmp_path / "nothing")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p"])
def test_remote_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """No store is created where locks do not hold."""
    monkeypatch.setattr("vfs.store.file_system_of", lambda _: kind)
    with pytest.raises(clusterdb.UnsupportedFileSystemError, match=kind):
        clusterdb.open(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_file_system_type_is_that_of_the_kernel() -> None:
    """The kernel's name for where we are."""
    assert device.file_system_of(Path("/proc")) == "proc"
    assert device.file_system_of(Path.cwd()) != "unknown"


def test_check_reports_a_slot_of_two_unrelated_clusters(tmp_path: Path, sample: Path) -> None:
    """Two clusters that never shared anything cannot have a page in common, even at the same place."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        for name in ("one", "two"):
            store.create_cluster(name, from_file=sample)
        assert_clean(store)
        with pinned_head(store, "one") as one, pinned_head(store, "two") as two:
            stolen = pages_of(store).read_slot(one.version.root.slot)[16 * 5 : 16 * 6]
            root = bytearray(pages_of(store).read_slot(two.version.root.slot))
            root[16 * 5 : 16 * 6] = stolen
            entry = two.version.root._replace(crc=zlib.crc32(root))
            record = two.version._replace(root=entry)
            head = two.row.head_slot * 4096
        with open(path / "pool", "r+b") as pool:
            pool.seek(entry.slot * 4096)
            pool.write(root)
            for sector in range(3):
                pool.seek(head + 512 * sector)
                pool.write(pack_version(record))
        (problem,) = [text for text in store.check().problems if "also" in text]
        assert "is page 5 of cluster 'two', born in" in problem and "also page 5 of cluster 'one'" in problem


# --- dump -------------------------------------------------------------------------------------------------------------
def test_dump_of_a_clone_shows_source_base_and_nodes(path: Path) -> None:
    """A clone's dump names its source, its pinned base, and every node of its page table."""
    with clusterdb.open(path) as store:
        text = store.dump(cluster="dev")
        assert "cluster dev\nvolume 2: live" in text
        assert "cloned from volume 1" in text
        assert "level 0 node 0: slot" in text
        assert "pin of volume:2: version 2 of volume 1" in store.dump(cluster="prod")
        assert store.dump() == f"{text}\n{store.dump(cluster='prod')}"
        with pytest.raises(clusterdb.ClusterNotFoundError):
            store.dump(cluster="nope")


def test_dump_of_a_slot_shows_state_use_and_bytes(path: Path) -> None:
    """Of a slot: its state, what it is, its first bytes."""
    with clusterdb.open(path) as store:
        assert store.dump(slot=0).startswith("slot 0: live")
        assert "the pool header" in store.dump(slot=0)
        first_page = store.dump(slot=page_slot(store, "dev", 0))
        assert "SQLite format 3." in first_page
        head = catalog_of(store).volumes.volume_rows()[0].head_slot
        assert "the head of volume 1" in store.dump(slot=head)
        with pytest.raises(clusterdb.CorruptStoreError, match="past the end"):
            store.dump(slot=1 << 30)


def test_dump_shows_a_damaged_node_and_continues(path: Path) -> None:
    """A damaged node is shown as such, and no reason to stop."""
    with clusterdb.open(path) as store:
        with pinned_head(store, "dev") as volume:
            slot = volume.version.root.slot
        scribble(path, slot)
        assert (
            f"slot {slot} born 2: slot {slot} (page table, level 0, number 0, born in version 2) fails its checksum"
            in store.dump(cluster="dev")
        )
