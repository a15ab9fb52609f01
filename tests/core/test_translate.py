"""What goes wrong below is an error of clusterdb, of the right class, whatever it was."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.access import translate
from vfs import errors as storage
from vfs.storage import device

ROOT = Path(__file__).parents[2]
CLASSES = [getattr(storage, name) for name in storage.__all__ if name != "StorageError"]

EXPECTED: dict[type[storage.StorageError], type[clusterdb.Error]] = {
    storage.CorruptionError: clusterdb.CorruptStoreError,
    storage.FencedError: clusterdb.InstanceRestartedError,
    storage.ForkedError: clusterdb.ForkedStoreError,
    storage.FormatError: clusterdb.StoreFormatError,
    storage.DisconnectedError: clusterdb.InstanceRestartedError,
    storage.NotAPoolError: clusterdb.NotAStoreError,
    storage.PastVersionGoneError: clusterdb.InvalidRestoreTimeError,
    storage.PoolFullError: clusterdb.StoreFullError,
    storage.ReadOnlyError: clusterdb.StoreReadOnlyError,
    storage.RegistryBusyError: clusterdb.StoreBusyError,
    storage.InjectedFaultError: clusterdb.OperationalError,
    storage.SnapshotMovedError: clusterdb.StoreBusyError,
    storage.StoreFailedError: clusterdb.StoreFailedError,
    storage.StoreInUseError: clusterdb.StoreInUseError,
    storage.TooManySessionsError: clusterdb.TooManyConnectionsError,
    storage.TooManyVolumesError: clusterdb.TooManyClustersError,
    storage.UnknownDataPlaneError: clusterdb.InvalidArgumentError,
    storage.UnsupportedFileSystemError: clusterdb.UnsupportedFileSystemError,
    storage.VolumeDroppedError: clusterdb.ClusterNotFoundError,
    storage.WriterBusyError: clusterdb.StoreBusyError,
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_storage_error_is_translated_to_its_class(kind: type[storage.StorageError]) -> None:
    """Raised as it is, and carried by an error of SQLite's."""
    with pytest.raises(clusterdb.Error, match="why") as caught, translate.of_store("s"):
        raise kind("why")
    assert type(caught.value) is EXPECTED[kind]
    with pytest.raises(clusterdb.Error, match="cluster 'prod': why") as caught, translate.of_store("s"):
        raise apsw.IOError("cluster 'prod': why") from kind("why")
    assert type(caught.value) is EXPECTED[kind]


def test_unknown_errors_pass_untranslated() -> None:
    """Nothing is called something that it is not."""

    class NewError(storage.StorageError): ...

    for error in (NewError("new"), ValueError("value"), KeyError("key")):
        with pytest.raises(type(error)) as caught, translate.of_store("s"):
            raise error
        assert caught.value is error


def test_storage_raises_only_subclasses_of_storage_error() -> None:
    """StorageError is a base only."""
    for path in ROOT.glob("vfs/**/*.py"):
        assert not re.search(r"raise StorageError\b", path.read_text()), path


# --- what users meet --------------------------------------------------------------------------------------------------
def test_failed_sync_is_reported_as_such(disk_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is not taken for a store that other processes hold open."""
    cluster = disk_store.create_cluster("prod")
    cluster.connect().execute("PRAGMA synchronous = NORMAL; CREATE TABLE t (n)")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(device.CALLS, "fdatasync", fail)
        with pytest.raises(
            clusterdb.StoreFailedError, match=r"fdatasync of the page pool failed \(Input/output error\)"
        ):
            cluster.clone("copy")
    with pytest.raises(clusterdb.StoreFailedError, match="until the store is reopened"):
        cluster.clone("copy")


def test_too_many_connections_are_reported_as_such(
    disk_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Cluster.connect() and by the DB-API, and one that is closed makes room."""
    monkeypatch.setattr("vfs.storage.sessions.SESSION_ROWS", 20)
    cluster = disk_store.create_cluster("prod")
    connections = []
    with pytest.raises(clusterdb.TooManyConnectionsError, match="connections are open on this store; close some first"):
        for _ in range(21):
            connections.append(cluster.connect())
    with pytest.raises(clusterdb.TooManyConnectionsError):
        clusterdb.connect(cluster)
    for connection in connections:
        connection.close()
    cluster.connect().close()


VERBS: dict[str, Callable[[clusterdb.Store, Path], object]] = {
    "create": lambda store, _: store.create_cluster("new"),
    "create with a page size": lambda store, _: store.create_cluster("new", page_size=512),
    "import": lambda store, tmp: store.create_cluster("new", from_file=tmp / "sample.db"),
    "clone": lambda store, _: store.cluster("a").clone("new"),
    "full copy": lambda store, _: store.cluster("a").clone("new", copy_type="full-copy"),
    "clone of the past": lambda store, _: store.cluster("a").clone("new", at="s"),
    "delete": lambda store, _: store.cluster("b").delete(),
    "delete a source": lambda store, _: store.cluster("a").delete(),
    "rename": lambda store, _: store.cluster("a").rename("new"),
    "modify": lambda store, _: store.cluster("a").modify(backup_retention_days=2),
    "stop": lambda store, _: store.cluster("a").stop(),
    "snapshot": lambda store, _: store.cluster("a").snapshot("t"),
    "delete a snapshot": lambda store, _: store.delete_snapshot("s"),
    "restore": lambda store, _: store.restore_snapshot("s", "new"),
    "reset": lambda store, _: store.cluster("b").reset(),
    "backtrack": lambda store, _: store.cluster("a").backtrack(2),
    "export": lambda store, tmp: store.cluster("a").export(tmp / "out.db", overwrite=True),
    "export a snapshot": lambda store, tmp: store.export_snapshot("s", tmp / "out.db", overwrite=True),
    "connect": lambda store, _: store.cluster("a").connect().close(),
    "connect to the past": lambda store, _: store.cluster("a").connect(at="s").close(),
    "diff": lambda store, _: store.diff("a", "b").sql(),
    "apply": lambda store, _: store.cluster("a").apply(store.diff("a", "b").changeset(), on_conflict="replace"),
    "stats": lambda store, _: store.cluster("a").stats(),
    "bills": lambda store, _: store.bills(),
    "metrics": lambda store, _: store.metrics(),
    "expire": lambda store, _: store.expire(),
    "reclaim": lambda store, _: store.reclaim(),
    "shrink": lambda store, _: store.shrink(),
    "add an instance": lambda store, _: store.cluster("a").add_instance("i"),
}
CALLS = ("pwritev", "fdatasync", "ftruncate", "allocate", "punch")
FAULTS_MAX = 60


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_raises_an_untranslated_error(
    tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch, verb: str, code: int
) -> None:
    """The n-th call of the system fails, for every n: a caller gets an error of clusterdb, or what it wanted."""
    family = tmp_path / "family"
    with clusterdb.open(family, synchronous="NORMAL") as store:
        cluster = store.create_cluster("a", from_file=sample, backtrack_window_s=3600)
        cluster.connect().execute("UPDATE t SET n = 1 WHERE id < 500")
        cluster.snapshot("s")
        clone = cluster.clone("b")
        clone.connect().execute("UPDATE t SET n = 2 WHERE id = 7")
        cluster.connect().execute("UPDATE t SET n = 3 WHERE id = 9")
    for at in range(1, FAULTS_MAX):
        copy = tmp_path / f"store-{at}"
        subprocess.run(["cp", "-r", "--sparse=always", family, copy], check=True)
        store = clusterdb.open(copy, synchronous="NORMAL")
        count = 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def run(*arguments: object) -> object:
                nonlocal count
                count += 1
                if count == at:  # noqa: B023
                    raise OSError(code, os.strerror(code))
                return call(*arguments)

            return run

        with monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(device.CALLS, name, counted(getattr(device.CALLS, name)))
            try:
                VERBS[verb](store, tmp_path)
            except clusterdb.Error as error:
                assert str(error) not in ("", "not an error")
        try:
            store.close()
        except clusterdb.Error:
            assert count >= at
        if count < at:
            return
