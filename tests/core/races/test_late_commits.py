"""Processes that die in a commit of the catalog, whose frames are in the log already: it must not take effect later.

Frames that nobody has written over since are committed when the log is recovered: after a power failure, or when all
other processes have died too.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.clusters import billing
from tests.support.mishaps import POOL_AND_CATALOG
from tests.support.stores import assert_clean

DYING = """
import os, signal, sys, apsw, clusterdb
class LogFile(apsw.VFSFile):
    left = None
    def __init__(self, name, flags):
        super().__init__("unix", name, flags)
    def xSync(self, flags):
        if LogFile.left is not None:
            LogFile.left -= 1
            if LogFile.left < 1:
                os.kill(os.getpid(), signal.SIGKILL)
        super().xSync(flags)
class Dying(apsw.VFS):
    def __init__(self):
        super().__init__("dying", base="", makedefault=True)
    def xOpen(self, name, flags):
        path = name if name is None or isinstance(name, str) else name.filename()
        return LogFile(name, flags) if str(path).endswith("catalog.db-wal") else apsw.VFSFile("unix", name, flags)
vfs = Dying()
store = clusterdb.open(sys.argv[1])
prod = store.cluster("prod")
LogFile.left = int(sys.argv[3])
"""
"""A process that dies when it has written all frames of its n-th commit, and has told nobody of it."""

WORKS = {"delete": "prod.delete()", "backtrack": "prod.backtrack(int(sys.argv[2]))", "rename": "prod.rename('late')"}
DEATHS = [("delete", 1), ("backtrack", 1), ("backtrack", 2), ("backtrack", 3), ("rename", 1)]
"""A verb, and the commit of the catalog in which it dies."""


@pytest.fixture
def version(store: clusterdb.Store) -> int:
    """A version in the past of cluster 'prod'."""
    prod = store.create_cluster("prod", backtrack_window_s=3600)
    with closing(prod.connect()) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES ('old')")
        return prod.stats().version


def die(path: Path, work: str, version: int, commit: int = 1) -> None:
    """Another process opens the store, and dies in a commit of the work."""
    command = [sys.executable, "-c", f"{DYING}{WORKS[work]}", str(path), str(version), str(commit)]
    process = subprocess.run(command, stdout=subprocess.DEVNULL)
    assert process.returncode == -signal.SIGKILL


def after_power_failure(path: Path, copy: Path) -> dict[str, list[str]]:
    """The rows of each cluster, if everything that was written has reached the device."""
    copy.mkdir()
    for name in POOL_AND_CATALOG:
        (copy / name).write_bytes((path / name).read_bytes())
    with clusterdb.open(copy) as store:
        store.reclaim()
        assert_clean(store)
        return {
            cluster.name: [value for (value,) in cluster.connect().execute("SELECT a FROM t")]
            for cluster in store.clusters()
        }


def insert_by_open_connection(store: clusterdb.Store, connection: clusterdb.Connection) -> None:
    """A connection that was open before writes a row."""
    connection.execute("INSERT INTO t VALUES ('new')")


def insert_by_new_connection(store: clusterdb.Store, connection: clusterdb.Connection) -> None:
    """A connection that is opened afterwards writes a row."""
    store.cluster("prod").connect().execute("INSERT INTO t VALUES ('new')")


def insert_after_a_read(store: clusterdb.Store, connection: clusterdb.Connection) -> None:
    """A read-only connection is the first that meets the mark of the dead."""
    reader = store.cluster("prod").connect(read_only=True)
    assert reader.execute("SELECT a FROM t").get == "old"
    connection.execute("INSERT INTO t VALUES ('new')")


@pytest.mark.parametrize("insert", [insert_by_open_connection, insert_by_new_connection, insert_after_a_read])
@pytest.mark.parametrize(("work", "commit"), DEATHS)
def test_commits_after_a_death_survive_a_power_failure(
    path: Path,
    store: clusterdb.Store,
    tmp_path: Path,
    version: int,
    work: str,
    commit: int,
    insert: Callable[[clusterdb.Store, clusterdb.Connection], None],
) -> None:
    """They were acknowledged, so the deletion or the backtrack that came to nothing does not take them away."""
    with closing(store.cluster("prod").connect()) as connection:
        assert connection.execute("SELECT a FROM t").get == "old"
        die(path, work, version, commit)
        insert(store, connection)
        assert list(after_power_failure(path, tmp_path / "copy").values()) == [["old", "new"]]
        connection.execute("INSERT INTO t VALUES ('newer')")
    store.reclaim()
    assert_clean(store)


def test_commits_after_two_deaths_survive_a_power_failure(
    path: Path, store: clusterdb.Store, tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process dies in its commit just before a third one clears the mark of both."""
    with closing(store.cluster("prod").connect()) as connection, closing(clusterdb.open(path)) as third:
        for _ in range(2):
            die(path, "delete", version)
        registry = third.context.pages.registry
        reclaiming = registry.reclaiming

        def reclaiming_late(**options: Any) -> AbstractContextManager[None]:
            monkeypatch.undo()
            die(path, "delete", version)
            return reclaiming(**options)

        monkeypatch.setattr(registry, "reclaiming", reclaiming_late)
        third.cluster("prod").connect().execute("INSERT INTO t VALUES ('new')")
        assert registry.reclaiming == reclaiming, "it did not come to the mark"
        assert after_power_failure(path, tmp_path / "copy") == {"prod": ["old", "new"]}
        connection.execute("INSERT INTO t VALUES ('newer')")


def test_bill_after_a_death_is_made_in_a_transaction(
    path: Path, store: clusterdb.Store, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It pins the versions that it reads, and so clears the mark of the dead."""
    die(path, "delete", version)
    monkeypatch.setattr(billing, "_TRIES", 0)
    assert [bill.name for bill in billing.bills(store.context)] == ["prod"]


def test_reads_after_a_death_on_a_full_device_fail_until_there_is_space(
    path: Path, store: clusterdb.Store, version: int
) -> None:
    """The catalog can be sealed later; nothing is uncertain."""
    with closing(store.cluster("prod").connect(read_only=True)) as reader:
        die(path, "delete", version)
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, former[1]))
        try:
            for _ in range(2):
                with pytest.raises((apsw.Error, clusterdb.Error)):
                    reader.execute("SELECT a FROM t").fetchall()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)
        assert reader.execute("SELECT a FROM t").get == "old"
        store.create_cluster("new")
