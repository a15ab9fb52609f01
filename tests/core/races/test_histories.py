"""History files: made for the first commit, gone with the volume, kept while the settings require it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import assert_clean
from vfs import failpoints
from vfs.format import locks
from vfs.format.layout import HISTORY_RECORD_BYTES
from vfs.registry import VolumeRow
from vfs.storage import device, history
from vfs.storage.volumes import remove_unowned_histories


def _past_is_kept(store: clusterdb.Store, path: Path, name: str) -> None:
    """A cluster's versions are in the file that other processes open."""
    cluster = store.cluster(name)
    cluster.connect().execute("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None and (path / "history" / str(row.volume)).exists()


def test_sweep_leaves_the_history_of_a_volume_that_makes_its_first_commit(open_store: Opener, path: Path) -> None:
    store, other = open_store(), open_store()
    store.create_cluster("prod").clone("dev")
    assert _files(path) == []
    removed: list[bool] = []

    def sweep() -> None:
        failpoints.armed.clear()
        remove_unowned_histories(other.context.pages)
        removed.append(True)

    with closing(store.cluster("dev").connect()) as connection:
        failpoints.armed["commit: past recorded"] = sweep
        connection.execute("CREATE TABLE t (v)")
    assert removed
    assert len(store.cluster("dev").versions(9)) == 2


def test_failed_clone_leaves_the_history_of_the_next_one(
    open_store: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a volume whose transaction is undone is given to the next volume, perhaps at once."""
    store, other = open_store(), open_store()
    store.create_cluster("prod")

    def fail() -> None:
        failpoints.armed.clear()
        raise RuntimeError

    volumes = catalog_of(store).volumes
    may_have_volume = volumes.may_have_volume

    def looked_up_too_late(row: VolumeRow) -> bool:
        other.cluster("prod").clone("dev")
        return may_have_volume(row)

    monkeypatch.setattr(volumes, "may_have_volume", looked_up_too_late)
    failpoints.armed["catalog: before commit"] = fail
    with pytest.raises(RuntimeError):
        store.cluster("prod").clone("dev")
    _past_is_kept(other, path, "dev")
    assert len(volumes.volume_rows()) == sum(1 for word in pages_of(store).tables._volume_ids() if word)
    assert_clean(other)


def _files(path: Path) -> list[str]:
    """The names of the history files: numbers of volumes."""
    folder = path / "history"
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def _commit(cluster: clusterdb.Cluster, count: int = 1) -> list[int]:
    """Commit to a cluster; return the versions of its past."""
    with closing(cluster.connect()) as connection:
        for number in range(count):
            connection.execute("CREATE TABLE IF NOT EXISTS t (v)")
            connection.execute("INSERT INTO t VALUES (?)", (number,))
    return [moment.version for moment in cluster.versions(9999)]


def test_clones_without_a_commit_have_no_history_file(store: clusterdb.Store, path: Path) -> None:
    prod = store.create_cluster("prod")
    _commit(prod)
    for name in ("a", "b"):
        prod.clone(name)
        store.cluster(name).delete()
    assert _files(path) == ["1"]
    assert len(pages_of(store).history.open_files()) == 1


def test_history_file_serves_one_deleted_clone_after_the_other(store: clusterdb.Store, path: Path) -> None:
    """What a former volume has left in the file is of no version of the next one."""
    prod = store.create_cluster("prod")
    before = _commit(prod)[0]
    former = prod.clone("former")
    assert _commit(former, 20)[0] > before + 15
    serial = (path / "history" / _files(path)[-1]).stat().st_ino
    former.delete()
    for name in ("a", "b"):
        clone = prod.clone(name)
        versions = _commit(clone, 2)
        assert (path / "history" / _files(path)[-1]).stat().st_ino == serial
        assert len(_files(path)) == 2
        assert len(versions) == 3
        assert versions == sorted(versions, reverse=True)
        with closing(clone.connect(at=versions[-1])) as connection:
            assert connection.execute("SELECT count(*) FROM t").get == 1
        with closing(clone.connect(at=versions[0])) as connection:
            assert connection.execute("SELECT count(*) FROM t").get == 3
        assert_clean(store)
        clone.delete()
    assert len(pages_of(store).history.open_files()) == 1
    store.close()
    assert _files(path) == ["1"]


def test_large_history_file_goes_with_its_volume(store: clusterdb.Store, path: Path) -> None:
    prod = store.create_cluster("prod")
    clone = prod.clone("dev")
    _commit(clone, history._SPARE_BYTES // HISTORY_RECORD_BYTES + 1)
    clone.delete()
    assert _files(path) == []


def test_spare_that_a_sweep_has_removed_is_made_again(open_store: Opener, path: Path) -> None:
    """The files of removed volumes are anybody's to remove, so also those that a process keeps (H5)."""
    store, other = open_store(), open_store()
    prod = store.create_cluster("prod")
    for name in ("a", "b"):
        _commit(prod.clone(name))
    for name in ("a", "b"):
        store.cluster(name).delete()
    assert len(_files(path)) == 2
    remove_unowned_histories(other.context.pages)
    assert _files(path) == []
    assert len(_commit(prod.clone("c"))) == 3
    assert_clean(other)


@pytest.mark.parametrize("size_bytes", [0, HISTORY_RECORD_BYTES])
def test_history_without_the_record_of_the_base_gets_it(store: clusterdb.Store, path: Path, size_bytes: int) -> None:
    """Its maker died, or a power failure has kept the size of a file and not what was written to it."""
    prod = store.create_cluster("prod")
    _commit(prod, 3)
    clone = prod.clone("dev")
    row = catalog_of(store).volumes.volume_of_cluster("dev")
    assert row is not None
    with open(path / "history" / str(row.volume), "wb") as file:
        file.truncate(row.base.version * HISTORY_RECORD_BYTES + size_bytes)
    _commit(clone)
    assert pages_of(store).history.find(row.volume, row.base.version) == row.base


def test_spares_are_kept_by_who_removes_the_volume_only(open_store: Opener, path: Path) -> None:
    """And not by another process that sweeps, and has the file open: it may have another name by then."""
    store, other = open_store(), open_store()
    prod = store.create_cluster("prod")
    _commit(prod.clone("dev"), 3)
    assert len(other.cluster("dev").log()) == 5
    store.cluster("dev").delete()
    assert len(_files(path)) == 1
    remove_unowned_histories(other.context.pages)
    assert _files(path) == []
    assert pages_of(other).history._spares == []


def test_processes_with_one_spare_in_common_write_to_files_of_their_own(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As parent and child of a fork have: a file may get a name between two steps of the other one."""
    store, other = open_store(), open_store()
    prod = store.create_cluster("prod")
    _commit(prod)
    _commit(prod.clone("dev"), 3)
    store.cluster("dev").delete()
    spares = pages_of(store).history._spares
    pages_of(other).history._spares[:] = [(volume, os.dup(fd)) for volume, fd in spares]
    first = prod.clone("first")
    _commit(prod)
    second = other.cluster("prod").clone("second")
    versions: list[int] = []
    write = history._write

    def write_late(*arguments: Any) -> None:
        monkeypatch.setattr(history, "_write", write)
        if not versions:
            versions.extend(_commit(first, 8))
        write(*arguments)

    monkeypatch.setattr(history, "_write", write_late)
    _commit(second)
    assert len(versions) == 9
    assert [moment.version for moment in first.versions(99)] == versions
    assert_clean(store)


def test_absorption_waits_for_room_and_a_delete_does_not(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the base needs a place on the device (A3)."""
    prod = store.create_cluster("prod")
    _commit(prod, 3)
    clone = prod.clone("dev")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", _full())
        prod.delete()
        store.reclaim()
        row = catalog_of(store).volumes.volume_of_cluster("dev")
        assert row is not None and row.parent is not None
        with closing(clone.connect()) as connection, pytest.raises(apsw.FullError):
            connection.execute("INSERT INTO t VALUES (9)")
    _commit(clone)
    row = catalog_of(store).volumes.volume_of_cluster("dev")
    assert row is not None and row.parent is None
    assert_clean(store)


def _full() -> Callable[..., int]:
    """``os.open`` where there is no room for another file."""
    open_file = os.open

    def open_if_there(path: Any, flags: int, *arguments: Any, **settings: Any) -> int:
        if flags & os.O_CREAT and "dir_fd" in settings:
            raise OSError(errno.ENOSPC, "no space left on device")
        return open_file(path, flags, *arguments, **settings)

    return open_if_there


def test_absorption_has_the_record_of_the_base_on_the_device(
    store: clusterdb.Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prod = store.create_cluster("prod")
    _commit(prod, 3)
    prod.clone("dev")
    synced: list[str] = []
    monkeypatch.setattr(
        device.CALLS, "fdatasync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())) or os.fsync(fd)
    )
    prod.delete()
    row = catalog_of(store).volumes.volume_of_cluster("dev")
    assert row is not None and row.parent is None
    assert str(path / "history" / str(row.volume)) in synced


@pytest.mark.parametrize("commit_count", [0, 1])
def test_heir_keeps_the_version_that_was_its_base(store: clusterdb.Store, commit_count: int) -> None:
    """The catalog does not have its record any more when the source is absorbed (A3)."""
    prod = store.create_cluster("prod")
    _commit(prod, 3)
    clone = prod.clone("dev")
    _commit(clone, commit_count)
    row = catalog_of(store).volumes.volume_of_cluster("dev")
    assert row is not None
    prod.delete()
    store.reclaim()
    heir = catalog_of(store).volumes.volume_of_cluster("dev")
    assert heir is not None and heir.base.version < row.base.version
    _commit(clone, 12)  # the sectors of the head have other records by now
    oldest = clone.versions(99)[-1].version
    assert oldest == row.base.version
    with closing(clone.connect(at=oldest)) as connection:
        assert connection.execute("SELECT count(*) FROM t").get == 3
    assert_clean(store)


def test_past_is_kept_if_another_process_turns_it_on_while_it_is_given_up(
    open_store: Opener, store: clusterdb.Store
) -> None:
    """The other process sees that it is still kept, and returns before it is not."""
    cluster, same = store.create_cluster("prod", backtrack_window_s=3600), open_store().cluster("prod")

    def turn_on() -> None:
        failpoints.armed.clear()
        same.modify(backtrack_window_s=3600)

    failpoints.armed["past: slots kept"] = turn_on
    cluster.modify(backtrack_window_s=0, backup_retention_days=0)
    assert not failpoints.armed
    with closing(cluster.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (1)")
    assert len(cluster.versions(9)) == 3


def test_lent_versions_need_no_lock_of_who_drops_the_last_volume_of_a_row(store: clusterdb.Store) -> None:
    """That one waits for the catalog, which a new volume is being added to."""
    prod = store.create_cluster("prod")
    oldest = _commit(prod, 3)[-1]
    pages = pages_of(store)
    with pages.session() as session, session.locks.lock(locks.builder(pages.tables.header.volume_hint)):
        prod.connect(at=oldest).close()
    assert_clean(store)


def test_files_of_volumes_that_another_process_removes_are_closed(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long-lived process, which writes to one clone after the other, would run out of descriptors."""
    monkeypatch.setattr(history, "_OPEN_MIN", 4)
    store, other = open_store(), open_store()
    prod = store.create_cluster("prod")
    versions = _commit(prod, 3)
    for number in range(20):
        _commit(prod.clone(f"c{number}"))
        other.cluster(f"c{number}").delete()
    assert len(pages_of(store).history.open_files()) <= 6
    kept = [prod.clone(f"kept{number}") for number in range(8)]
    for clone in kept:
        assert len(_commit(clone)) == 2
    assert len(pages_of(store).history.open_files()) >= 9
    assert [moment.version for moment in prod.versions(9999)] == versions
    assert all(len(_commit(clone)) == 3 for clone in kept)
    assert_clean(store)
