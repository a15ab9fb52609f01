"""History files: there before the catalog has the volume, gone with it, kept while the settings require it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import assert_clean
from vfs import failpoints
from vfs.registry import VolumeRow
from vfs.storage.volumes import remove_unowned_histories


def _past_is_kept(store: clusterdb.Store, path: Path, name: str) -> None:
    """A cluster's versions are in the file that other processes open."""
    cluster = store.cluster(name)
    cluster.connect().execute("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None and (path / "history" / str(row.volume)).exists()


def test_sweep_leaves_the_history_of_a_volume_that_is_being_added(open_store: Opener, path: Path) -> None:
    store, other = open_store(), open_store()
    store.create_cluster("prod")
    removed: list[bool] = []

    def sweep() -> None:
        failpoints.armed.clear()
        remove_unowned_histories(other.context.pages)
        removed.append(True)

    failpoints.armed["catalog: before commit"] = sweep
    store.cluster("prod").clone("dev")
    assert removed
    _past_is_kept(store, path, "dev")


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


def test_deleted_clones_leave_no_history(store: clusterdb.Store, path: Path) -> None:
    """Neither its file nor a descriptor, also if nobody else has used the store."""
    prod = store.create_cluster("prod")
    prod.clone("dev").delete()
    for _ in range(3):
        prod.clone("dev").delete()
    assert len(pages_of(store).history.open_files()) == 1
    assert [file.name for file in (path / "history").iterdir()] == ["1"]


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
