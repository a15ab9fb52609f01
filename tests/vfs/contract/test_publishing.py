"""xFileControl: COMMIT_PHASETWO and what it publishes."""

from __future__ import annotations

import apsw

import clusterdb
from tests.vfs.contract.files import (
    COMMIT_PHASETWO,
    MAIN_READONLY,
    NONE,
    SHARED,
    Open,
    commit,
    pattern,
    roll_back,
    store_bytes,
    stored,
    write_locked,
)


def test_commit_phasetwo_publishes_to_new_readers(opened: Open) -> None:
    """New readers see a transaction from COMMIT_PHASETWO on, not earlier, and before the writer unlocks."""
    writer, reader = opened(), opened(flags=MAIN_READONLY)
    store_bytes(writer, pattern(4096))
    write_locked(writer)
    writer.xWrite(pattern(4096, seed=7), 0)
    writer.xSync(apsw.SQLITE_SYNC_NORMAL)
    assert stored(reader) == pattern(4096)
    assert writer.xFileControl(COMMIT_PHASETWO, 0) is True
    assert stored(reader) == pattern(4096, seed=7)
    roll_back(writer)
    assert stored(reader) == pattern(4096, seed=7)


def test_commit_phasetwo_without_changes_makes_no_version(store: clusterdb.Store, opened: Open) -> None:
    """Writing the same bytes again, or nothing, publishes nothing and takes no page."""
    file = opened()
    store_bytes(file, pattern(3 * 4096))
    before = store.cluster("prod").stats()
    for data in (pattern(3 * 4096), pattern(4096), b""):
        write_locked(file)
        if data:
            file.xWrite(data, 0)
        commit(file)
    file.xLock(SHARED)
    file.xFileControl(COMMIT_PHASETWO, 0)  # no transaction at all
    file.xUnlock(NONE)
    assert store.cluster("prod").stats() == before


def test_several_commits_under_one_lock_are_published_each(opened: Open) -> None:
    """As with locking_mode=EXCLUSIVE: each COMMIT_PHASETWO publishes what came since the one before."""
    writer, reader = opened(), opened()
    write_locked(writer)
    for seed in range(5):
        writer.xWrite(pattern(5000, seed), 1000 * seed)
        writer.xFileControl(COMMIT_PHASETWO, 0)
        assert stored(reader)[1000 * seed :] == pattern(5000, seed)
        assert bytes(writer.xRead(5000, 1000 * seed)) == pattern(5000, seed)
    writer.xWrite(b"not committed", 0)
    roll_back(writer)
    assert stored(reader) == stored(writer)
    assert stored(reader)[:1000] == pattern(5000, 0)[:1000]


def test_change_counter_follows_the_version(store: clusterdb.Store, opened: Open) -> None:
    """A published page 1 carries the volume's version as change counter, whatever SQLite wrote there."""
    file = opened()
    header = bytearray(pattern(4096))
    header[:16] = b"SQLite format 3\0"
    header[18:20] = b"\2\2"  # a database in WAL mode
    for counter in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1"):
        header[24:28] = header[92:96] = counter
        header[200:204] = counter
        store_bytes(file, bytes(header))
        version = store.cluster("prod").stats().version.to_bytes(4, "big")
        page = stored(opened())
        assert page[24:28] == page[92:96] == version
        assert page[18:20] == b"\1\1"
        assert page[100:] == header[100:]


def test_unknown_controls_are_left_to_sqlite(opened: Open) -> None:
    """False means SQLITE_NOTFOUND: SQLite then does what it does without the control."""
    file = opened()
    for op in (apsw.SQLITE_FCNTL_SIZE_HINT, apsw.SQLITE_FCNTL_CHUNK_SIZE, apsw.SQLITE_FCNTL_BEGIN_ATOMIC_WRITE, 9999):
        assert file.xFileControl(op, 0) is False


def test_device_characteristics_claim_only_guarantees(opened: Open) -> None:
    """No batch-atomic writes, not immutable, and sectors of one page."""
    file = opened()
    assert file.xSectorSize() == 4096
    for claim in (apsw.SQLITE_IOCAP_BATCH_ATOMIC, apsw.SQLITE_IOCAP_IMMUTABLE, apsw.SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN):
        assert not file.xDeviceCharacteristics() & claim


def test_deleted_cluster_frees_what_waited_for_a_sync_in_it(disk_store: clusterdb.Store) -> None:
    """Slots that a deleted clone's pin held: they wait in the source, whichever plane keeps them."""
    store = disk_store
    used = store.stats().used_bytes
    prod = store.create_cluster("prod", backup_retention_days=0)
    connection = prod.connect()
    connection.execute("PRAGMA synchronous = FULL").fetchall()
    connection.execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    clone = prod.clone("dev")
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()
    connection.execute("UPDATE t SET n = n + 1")
    connection.close()
    clone.delete()
    assert store.context.pages.queue.waiting_count()
    prod.delete()
    assert store.stats().used_bytes == used
