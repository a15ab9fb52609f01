"""Errors of storage, of SQLite and of the system are raised as errors of clusterdb, of the right class."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.access import translate
from clusterdb.cluster import ClusterVerbs
from clusterdb.store import Synchronous
from tests.support.statements import through
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
def test_error_of_storage_has_its_class(kind: type[storage.StorageError]) -> None:
    """Raised directly, and as the cause of an error of SQLite's."""
    with pytest.raises(clusterdb.Error, match="why") as caught, translate.of_store("s"):
        raise kind("why")
    assert type(caught.value) is EXPECTED[kind]
    with pytest.raises(clusterdb.Error, match="cluster 'prod': why") as caught, translate.of_store("s"):
        raise apsw.IOError("cluster 'prod': why") from kind("why")
    assert type(caught.value) is EXPECTED[kind]


def test_table_has_one_row_for_each_error_of_storage() -> None:
    assert set(translate.STORAGE) == set(CLASSES) == set(EXPECTED)


def test_error_without_a_row_is_raised_unchanged() -> None:

    class NewError(storage.StorageError): ...

    for error in (NewError("new"), ValueError("value"), KeyError("key")):
        with pytest.raises(type(error)) as caught, translate.of_store("s"):
            raise error
        assert caught.value is error


def test_storage_never_raises_the_base_class() -> None:
    for path in ROOT.glob("vfs/**/*.py"):
        assert not re.search(r"raise StorageError\b", path.read_text()), path


# --- through the public methods ---------------------------------------------------------------------------------------
def test_failed_sync_fails_the_store(disk_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_connections_are_limited(disk_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Cluster.connect() and by the DB-API; closing one makes room."""
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


# --- every public method ----------------------------------------------------------------------------------------------
Verb = Callable[[clusterdb.Store, Path], object]


def close(connection: apsw.Connection) -> None:
    """Close a connection, which raises apsw's errors itself."""
    with suppress(apsw.Error):
        connection.close()


def zoned(store: clusterdb.Store, tmp: Path) -> clusterdb.Cluster:
    """A new cluster with six copies, in new directories."""
    folder = tmp / secrets.token_hex(8)
    return store.create_cluster("new", zones={zone: [folder / zone / "1", folder / zone / "2"] for zone in "abc"})


VERBS: dict[str, Verb] = {
    "create": lambda store, _: store.create_cluster("new"),
    "create with a page size": lambda store, _: store.create_cluster("new", page_size=512),
    "import": lambda store, tmp: store.create_cluster("new", from_file=tmp / "sample.db"),
    "import a dump": lambda store, tmp: store.import_dump("new", tmp / "dump.sql", engine="aurora-mysql"),
    "clusters": lambda store, _: store.clusters(),
    "clone": lambda store, _: store.cluster("a").clone("new"),
    "push": lambda store, tmp: store.cluster("a").push(f"memory://{tmp}"),
    "clone of a pushed database": lambda store, tmp: (
        store.cluster("a").push(f"memory://{tmp}"),
        store.clone(f"memory://{tmp}/a", "new"),
    ),
    "fetch": lambda store, _: store.cluster("a").fetch(),
    "pull": lambda store, tmp: (
        store.cluster("a").push(f"memory://{tmp}"),
        store.clone(f"memory://{tmp}/a", "new").pull(),
    ),
    "evict": lambda store, _: store.cluster("a").evict(),
    "full copy": lambda store, _: store.cluster("a").clone("new", copy_type="full-copy"),
    "clone of the past": lambda store, _: store.cluster("a").clone("new", at="s"),
    "restore to a time": lambda store, _: store.restore_to_point_in_time("a", "new", use_latest_restorable_time=True),
    "delete": lambda store, _: store.cluster("b").delete(),
    "delete a source": lambda store, _: store.cluster("a").delete(),
    "rename": lambda store, _: store.cluster("a").rename("new"),
    "modify": lambda store, _: store.cluster("a").modify(backup_retention_days=2),
    "settings": lambda store, _: store.cluster("a").settings,
    "status": lambda store, _: store.cluster("a").status,
    "clone group": lambda store, _: store.cluster("a").clone_group_id,
    "stop": lambda store, _: store.cluster("a").stop(),
    "start": lambda store, _: store.cluster("stopped").start(),
    "snapshot": lambda store, _: store.cluster("a").snapshot("t"),
    "snapshots": lambda store, _: (store.snapshots(), store.snapshot("s")),
    "copy a snapshot": lambda store, _: store.copy_snapshot("s", "t"),
    "delete a snapshot": lambda store, _: store.delete_snapshot("s"),
    "restore": lambda store, _: store.restore_snapshot("s", "new"),
    "restorable": lambda store, _: store.cluster("a").restorable(),
    "reset": lambda store, _: store.cluster("b").reset(),
    "backtrack": lambda store, _: store.cluster("a").backtrack(2),
    "export": lambda store, tmp: store.cluster("a").export(tmp / "out.db", overwrite=True),
    "export a snapshot": lambda store, tmp: store.export_snapshot("s", tmp / "out.db", overwrite=True),
    "connect": lambda store, _: close(store.cluster("a").connect()),
    "connect to a reader": lambda store, _: close(store.cluster("served").connect("reader")),
    "connect to the past": lambda store, _: close(store.cluster("a").connect(at="s")),
    "diff": lambda store, _: store.diff("a", "b").sql(),
    "log": lambda store, _: store.cluster("a").log(),
    "versions": lambda store, _: store.cluster("a").versions(),
    "origin": lambda store, _: store.cluster("a").origin,
    "source": lambda store, _: store.cluster("a").source,
    "clones": lambda store, _: store.cluster("a").clones(),
    "bisect": lambda store, _: store.cluster("a").bisect("SELECT 1"),
    "apply": lambda store, _: store.cluster("a").apply(store.diff("a", "b").changeset(), on_conflict="replace"),
    "cluster stats": lambda store, _: store.cluster("a").stats(),
    "stats": lambda store, _: store.stats(),
    "bills": lambda store, _: store.bills(),
    "metrics": lambda store, _: store.metrics(),
    "events": lambda store, _: store.events(),
    "expire": lambda store, _: store.expire(),
    "check": lambda store, _: store.check(),
    "dump": lambda store, _: store.dump(),
    "reclaim": lambda store, _: store.reclaim(),
    "shrink": lambda store, _: store.shrink(),
    "create with zones": lambda store, tmp: zoned(store, tmp),
    "look at nodes": lambda store, tmp: zoned(store, tmp).nodes(),
    "lose nodes": lambda store, tmp: (
        zoned(store, tmp).lose_node(1),
        store.cluster("new").lose_zone("b"),
        store.cluster("new").slow_node(5, 0.001),
        store.cluster("new").return_node("b"),
        store.lose_zone("c"),
        store.return_zone("c"),
    ),
    "repair nodes": lambda store, tmp: zoned(store, tmp).repair_nodes(),
    "recover": lambda store, tmp: store.recover([node.url for node in zoned(store, tmp).nodes()], "new", "again"),
    "add an instance": lambda store, _: store.cluster("a").add_instance("i"),
    "instances": lambda store, _: store.cluster("served").instances(),
    "modify an instance": lambda store, _: store.cluster("served").modify_instance("r", replica_lag_ms=5),
    "delete an instance": lambda store, _: store.cluster("served").delete_instance("w"),
    "fail over": lambda store, _: store.cluster("served").failover(),
    "crash an instance": lambda store, _: store.cluster("served").crash_instance("w"),
    "replica status": lambda store, _: store.cluster("served").replica_status(),
    "endpoints": lambda store, _: store.cluster("served").endpoints(),
    "add an endpoint": lambda store, _: store.cluster("served").add_endpoint("f"),
    "delete an endpoint": lambda store, _: store.cluster("served").delete_endpoint("e"),
}
WITHOUT_STORAGE = {"vfs", "path", "read_only", "upgraded_from", "close"}
"""Public names that do not touch storage; close() is called after each verb."""


QUICK = ("clone", "delete", "export", "connect", "backtrack", "fail over")
EACH_VERB = [verb if verb in QUICK else pytest.param(verb, marks=pytest.mark.slow) for verb in VERBS]
"""Every verb, most of them among the slow tests: each is run once for every call that may fail."""


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every verb has work to do."""
    path = tmp_path_factory.mktemp("translate") / "family"
    with clusterdb.open(path, synchronous="OFF") as store:
        cluster = store.create_cluster("a", backtrack_window_s=3600)
        with closing(clusterdb.connect(cluster)) as connection, connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT)")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(at, at % 97, f"row {at}") for at in range(3000)])
        cluster.connect().execute("UPDATE t SET n = 1 WHERE id < 500")
        cluster.snapshot("s")
        clone = cluster.clone("b")
        clone.connect().execute("UPDATE t SET n = 2 WHERE id = 7")
        cluster.connect().execute("UPDATE t SET n = 3 WHERE id = 9")
        store.create_cluster("stopped").stop()
        served = store.create_cluster("served")
        served.add_instance("w")
        served.add_instance("r")
        served.add_endpoint("e")
    return path


@contextmanager
def copied(family: Path, synchronous: Synchronous = "OFF") -> Iterator[clusterdb.Store]:
    """A copy of the store, open; it is closed, as far as that works, and deleted."""
    copy = family.with_name("copy")
    subprocess.run(["cp", "-r", "--sparse=always", family, copy], check=True)
    store = clusterdb.open(copy, synchronous=synchronous)
    try:
        yield store
    finally:
        with suppress(clusterdb.Error):
            store.close()
        shutil.rmtree(copy)


@pytest.fixture
def files(tmp_path: Path, sample: Path) -> Path:
    """The directory of the files that verbs read and write."""
    (tmp_path / "dump.sql").write_text("CREATE TABLE t (id INT PRIMARY KEY);\nINSERT INTO t VALUES (1);\n")
    return sample.parent


def test_every_public_method_is_a_verb(family: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new method of Store or Cluster needs a verb, or does not touch storage."""
    called: set[str] = set()

    def recorded(function: Callable[..., object], name: str) -> Callable[..., object]:
        @wraps(function)
        def call(*arguments: object, **options: object) -> object:
            called.add(name)
            return function(*arguments, **options)

        return call

    methods: set[str] = set()
    for kind in (clusterdb.Store, ClusterVerbs):
        for name, value in list(vars(kind).items()):
            if name.startswith("_") or name in WITHOUT_STORAGE:
                continue
            if isinstance(value, property) and value.fget is not None:
                monkeypatch.setattr(kind, name, property(recorded(value.fget, f"{kind.__name__}.{name}")))
            elif callable(value):
                monkeypatch.setattr(kind, name, recorded(value, f"{kind.__name__}.{name}"))
            else:
                continue
            methods.add(f"{kind.__name__}.{name}")
    for verb in VERBS.values():
        with copied(family) as store:
            verb(store, files)
    assert methods - called == set()


CALLS = ("pwritev", "fdatasync", "ftruncate", "allocate", "punch")
FAULTS_MAX = 60


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("verb", EACH_VERB)
def test_failed_system_call_raises_a_public_error(
    family: Path, files: Path, monkeypatch: pytest.MonkeyPatch, verb: str, code: int
) -> None:
    """The n-th system call fails, for every n: the verb raises an error of clusterdb, or succeeds."""
    for at in range(1, FAULTS_MAX):
        count = 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def run(*arguments: object) -> object:
                nonlocal count
                count += 1
                if count == at:  # noqa: B023
                    raise OSError(code, os.strerror(code))
                return call(*arguments)

            return run

        with copied(family, "NORMAL") as store:
            with monkeypatch.context() as patch:
                for name in CALLS:
                    patch.setattr(device.CALLS, name, counted(getattr(device.CALLS, name)))
                try:
                    VERBS[verb](store, files)
                except clusterdb.Error as error:
                    assert str(error) not in ("", "not an error")
            try:
                store.close()
            except clusterdb.Error:
                assert count >= at
        if count < at:
            return


class Faults:
    """Calls of functions by name, of which those of one name raise an error."""

    def __init__(self, kind: type[Exception]) -> None:
        self.called: set[str] = set()
        self.failing = ""
        self._kind = kind

    def wrapped(self, function: Callable[..., object], name: str) -> Callable[..., object]:
        @wraps(function)
        def call(*arguments: object, **options: object) -> object:
            self.called.add(name)
            if name == self.failing:
                raise self._kind("injected")
            return function(*arguments, **options)

        return call


def storage_classes(store: clusterdb.Store) -> set[type]:
    """The classes of the storage layer that Store and Cluster call."""
    pages = store.context.pages
    return {
        *type(pages).__mro__[:-1],
        *(type(part) for part in vars(pages).values() if type(part).__module__.startswith("vfs.")),
    }


@pytest.mark.parametrize("verb", EACH_VERB)
def test_error_of_storage_raises_a_public_error(
    family: Path, files: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Each method of storage that the verb calls raises: the verb raises an error of clusterdb, or succeeds."""
    faults = Faults(storage.CorruptionError)
    with copied(family) as store:
        for kind in storage_classes(store):
            for name, value in list(vars(kind).items()):
                if not name.startswith("_") and isinstance(value, FunctionType):
                    monkeypatch.setattr(kind, name, faults.wrapped(value, f"{kind.__name__}.{name}"))
        VERBS[verb](store, files)
        names = sorted(faults.called)
    for name in names:
        with copied(family) as store:
            faults.failing = name
            try:
                VERBS[verb](store, files)
            except clusterdb.Error as error:
                assert str(error) not in ("", "not an error")
            finally:
                faults.failing = ""


class FailingCatalog:
    """The catalog's connection to its database, of which the n-th statement fails."""

    def __init__(self, connection: apsw.Connection, at: int) -> None:
        self._connection = connection
        self._at = at
        self.count = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, *arguments: Any) -> apsw.Cursor:
        self.count += 1
        if self.count == self._at:
            raise apsw.IOError("injected")
        return self._connection.execute(*arguments)


@pytest.mark.parametrize("verb", EACH_VERB)
def test_error_of_the_catalog_raises_a_public_error(family: Path, files: Path, verb: str) -> None:
    """The n-th statement of the catalog fails, for every n: the verb raises an error of clusterdb, or succeeds."""
    for at in range(1, FAULTS_MAX):
        with copied(family) as store:
            catalog = FailingCatalog(store.context.catalog.database._db, at)
            with through(store, catalog):
                try:
                    VERBS[verb](store, files)
                except clusterdb.Error as error:
                    assert str(error) not in ("", "not an error")
        if catalog.count < at:
            return
