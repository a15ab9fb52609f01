"""The past after a boot, a power failure and the death or stop of a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
from tests.past.numbers import KEEPS, fill, numbers, numbers_of
from tests.support.inside import pages_of, pinned_head
from tests.support.points import PAST_POINTS
from tests.support.stores import assert_clean
from vfs.storage.walk import reached


def test_past_survives_a_boot(tmp_path: Path) -> None:
    """Past versions are there in the next boot; those whose records were lost are not, and cost no space."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        states = fill(store.create_cluster("prod", **KEEPS))
        store.cluster("prod").backtrack(list(states)[4])
    (path / "map").unlink()
    shutil.copytree(path, tmp_path / "lost")
    with clusterdb.open(path) as store:
        prod = store.cluster("prod")
        assert {version: numbers_of(prod.clone(f"at-{version}", at=version)) for version in states} == states
        assert_clean(store)
    for file in (tmp_path / "lost" / "history").iterdir():
        os.truncate(file, 0)
    with clusterdb.open(tmp_path / "lost") as store:
        assert_clean(store)
        assert numbers_of(store.cluster("prod")) == [1, 2, 3, 4, 5]
        store.cluster("prod").delete()
        assert store.stats().used_bytes == 4096


@pytest.mark.parametrize("read_only", [False, True])
def test_unsynced_past_version_is_gone_after_a_power_failure(tmp_path: Path, read_only: bool) -> None:
    """Its pages were not synced, those of the version after it reached the device all the same: it is gone, no more."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", **KEEPS)
        fill(prod, 2)
        reached_by = []
        connection = prod.connect()
        connection.execute("PRAGMA synchronous = NORMAL")
        for _ in range(2):
            connection.execute("UPDATE t SET body = randomblob(3000)")
            with pinned_head(store, prod.name) as volume:
                version = volume.version
                reached_by.append({at.entry.slot for at in reached(pages_of(store).read_slot, version, 0)})
        connection.close()
        before = version.version - 1
    (path / "map").unlink()
    with (path / "pool").open("r+b") as pool:
        for slot in reached_by[0] - reached_by[1]:
            pool.seek(slot * 4096)
            pool.write(b"x" * 4096)
    with clusterdb.open(path, read_only=read_only) as store:
        assert_clean(store)
        assert numbers_of(store.cluster("prod")) == [1, 2]
        if not read_only:
            with pytest.raises(clusterdb.InvalidRestoreTimeError, match=f"version {before}"):
                store.cluster("prod").clone("gone", at=before)
            assert numbers_of(store.cluster("prod").clone("kept", at=before - 1)) == [1, 2]


DYING = """
import os, sys
import clusterdb
from vfs import failpoints
from vfs.reclaim import retention
def die(): os.kill(os.getpid(), {signal})
store = clusterdb.open(sys.argv[1])
prod, dev = store.cluster("prod"), store.cluster("dev")
failpoints.armed[{point!r}] = die
c = prod.connect()
c.execute("INSERT INTO t VALUES (11, NULL)")
c.close()
row = store.context.volume_of(prod)
with store.context.pages.session() as session, session.volume_locked(row.table_index):
    retention.give_up_past(store.context.pages.queue, session, row, 8)
dev.backtrack(5)
failpoints.armed.clear()
"""


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """A closed store with 'prod', numbers 1 to 10, its clone 'dev', both keeping their past, and 'other'."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", **KEEPS)
        fill(prod)
        dev = prod.clone("dev", at=5, **KEEPS)
        connection = dev.connect()
        connection.execute("DELETE FROM t")
        connection.close()
        fill(store.create_cluster("other"), 2)
    return path


@pytest.mark.parametrize("point", PAST_POINTS)
def test_death_in_a_verb_of_the_past_leaves_a_committed_state(family: Path, point: str) -> None:
    """Wherever a process dies that records, gives up, or goes back: every cluster is before or behind that."""
    with clusterdb.open(family) as store:
        connections = {name: store.cluster(name).connect() for name in ("prod", "dev")}
        script = DYING.format(signal=int(signal.SIGKILL), point=point)
        process = subprocess.run([sys.executable, "-c", script, str(family)], stdout=subprocess.DEVNULL)
        assert process.returncode == -signal.SIGKILL, f"it did not come to '{point}'"
        for name, allowed in (("prod", (10, 11)), ("dev", (0, 3))):
            count = len(numbers(connections[name]))
            assert count in allowed
            assert len(numbers_of(store.cluster(name))) == count
            connections[name].execute("INSERT INTO t VALUES (99, NULL)")
            assert len(numbers_of(store.cluster(name))) == count + 1
            connections[name].close()
        assert store.reclaim().put_off == ""
        assert_clean(store)
    (family / "map").unlink()
    with clusterdb.open(family) as store:
        assert_clean(store)
        for cluster in store.clusters():
            cluster.delete()
        assert store.stats().used_bytes == 4096


@contextlib.contextmanager
def stopped_at(path: Path, point: str) -> Iterator[None]:
    """In the body another process is stopped at a point."""
    script = DYING.format(signal=int(signal.SIGSTOP), point=point)
    process = subprocess.Popen([sys.executable, "-c", script, str(path)])
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"it did not come to '{point}'"
    try:
        yield
    finally:
        while process.poll() is None:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        assert process.returncode == 0


@pytest.mark.parametrize("point", PAST_POINTS)
def test_process_stopped_in_a_verb_of_the_past_blocks_no_other(family: Path, point: str) -> None:
    """Other clusters are read and written beside a process stopped there, and its own are read."""
    with clusterdb.open(family) as store, stopped_at(family, point):
        connection = store.cluster("other").connect()
        for n in range(100, 150):
            connection.execute("INSERT INTO t VALUES (?, NULL)", (n,))
        connection.close()
        assert len(numbers_of(store.cluster("other"))) == 52
        assert len(numbers_of(store.cluster("prod"))) in (10, 11)
