"""History files: made for the first commit, gone with the volume, kept while the settings require it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import assert_clean
from vfs import failpoints
from vfs.format.layout import HISTORY_RECORD_BYTES
from vfs.registry import VolumeRow
from vfs.storage.history import _SPARE_BYTES
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
    _commit(clone, _SPARE_BYTES // HISTORY_RECORD_BYTES + 1)
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


def test_history_whose_maker_died_has_the_record_of_the_base(store: clusterdb.Store, path: Path) -> None:
    """It may have died between the file and the record, which an absorbed source would be missed in."""
    prod = store.create_cluster("prod")
    _commit(prod, 3)
    clone = prod.clone("dev")
    row = catalog_of(store).volumes.volume_of_cluster("dev")
    assert row is not None
    (path / "history" / str(row.volume)).touch()
    _commit(clone)
    assert pages_of(store).history.find(row.volume, row.base.version) == row.base


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
