"""The past of clusters: points in time, snapshots, going back in place and resetting, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb import backups
from clusterdb.points import parse
from conftest import assert_clean, rows
from test_races import PAST_POINTS
from vfs import expiry
from vfs.layout import LIVE_EVEN, LIVE_ODD, SLOT_BYTES
from vfs.table import reached

KEEPS = {"backup_retention_days": 1, "backtrack_window_s": 3600}


def numbers(connection: apsw.Connection) -> list[int]:
    """What is in the table, which has as many rows as its highest number says."""
    return [n for (n,) in rows(connection, "SELECT n FROM t ORDER BY n")]  # type: ignore[misc]


def numbers_of(cluster: clusterdb.Cluster) -> list[int]:
    connection = cluster.connect(read_only=True)
    try:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return numbers(connection)
    finally:
        connection.close()


def fill(cluster: clusterdb.Cluster, count: int = 10) -> dict[int, list[int]]:
    """Commit 1 to count one by one: what each version has."""
    connection = cluster.connect()
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body)")
    states = {}
    for n in range(1, count + 1):
        connection.execute("INSERT INTO t VALUES (?, randomblob(3000))", (n,))
        states[cluster.stats().version] = numbers(connection)
    connection.close()
    return states


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster that keeps its past."""
    return store.create_cluster("prod", **KEEPS)


# --- points in time -------------------------------------------------------------------------------------------------
def test_a_clone_of_every_version(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Any version that is kept can be cloned, and is what it was; the clone outlives the cluster."""
    states = fill(prod)
    clones = {version: prod.clone(f"at-{version}", at=version) for version in states}
    prod.delete()
    assert {version: numbers_of(clone) for version, clone in clones.items()} == states


def test_a_clone_of_a_time(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A time stands for the version that was the newest then."""
    fill(prod, 3)
    time.sleep(0.002)
    between = datetime.now(timezone.utc)
    time.sleep(0.002)
    connection = prod.connect()
    connection.execute("DELETE FROM t")
    connection.close()
    assert numbers_of(prod.clone("then", at=between)) == [1, 2, 3]
    assert numbers_of(prod.clone("now", at=datetime.now().astimezone())) == []
    ago = datetime.now(timezone.utc) - between
    assert numbers_of(prod.clone("ago", at=ago)) == [1, 2, 3]
    earliest, latest = prod.restorable()
    assert earliest < between < latest


def test_what_is_out_of_reach_is_refused(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Versions and times outside of what is kept are refused, and the error says what there is."""
    fill(prod, 3)
    plain = store.create_cluster("plain")
    for at in (0, 10**9, datetime(2000, 1, 1, tzinfo=timezone.utc), timedelta(days=30)):
        with pytest.raises(clusterdb.InvalidRestoreTimeError, match="what can be restored begins at"):
            prod.clone("new", at=at)
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="in the future"):
        prod.clone("new", at=timedelta(seconds=-60))
    with pytest.raises(clusterdb.InvalidRestoreTimeError, match="keeps no past"):
        plain.clone("new", at=timedelta(seconds=60))
    with pytest.raises(clusterdb.SnapshotNotFoundError, match="no snapshot 'nightly'"):
        prod.clone("new", at="nightly")
    with pytest.raises(clusterdb.InvalidArgumentError, match="invalid point in time"):
        prod.clone("new", at=1.5)  # type: ignore[arg-type]
    with pytest.raises(clusterdb.BacktrackDisabledError, match="no backtrack window"):
        plain.backtrack(2)
    assert [cluster.name for cluster in store.clusters()] == ["plain", "prod"]


def test_a_connection_to_the_past(store: clusterdb.Store) -> None:
    """It shows a version, whatever becomes of the cluster, cannot write, and leaves nothing behind."""
    prod = store.create_cluster("prod", **KEEPS)
    connection = prod.connect()
    connection.execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    version = prod.stats().version
    past = prod.connect(at=version)
    connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    assert numbers(past) == [1]
    with pytest.raises(apsw.ReadOnlyError):
        past.execute("DELETE FROM t")
    prod.modify(backup_retention_days=0, backtrack_window_s=0)
    prod.delete()
    assert numbers(past) == [1]
    past.close()
    past.close()
    store.reclaim()
    assert store.stats().used_bytes <= SLOT_BYTES
    assert_clean(store)
    with pytest.raises(clusterdb.ClusterNotFoundError):
        prod.connect(at=version)


def test_a_connection_to_the_past_has_no_endpoint(store: clusterdb.Store) -> None:
    """Instances show the present; a connection that is left open is closed with the store."""
    prod = store.create_cluster("prod", **KEEPS)
    with pytest.raises(clusterdb.InvalidArgumentError, match="instances show the present"):
        prod.connect("reader", at=1)
    with pytest.raises(clusterdb.InvalidRestoreTimeError):
        prod.connect(at=timedelta(days=3))
    prod.connect(at=timedelta())
    store.close()


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("1234", 1234),
        ("5 minutes ago", timedelta(minutes=5)),
        ("1.5 hours ago", timedelta(minutes=90)),
        ("2 days ago", timedelta(days=2)),
        ("90s ago", timedelta(seconds=90)),
        ("2026-01-31T12:00:00", datetime(2026, 1, 31, 12)),
        ("nightly", "nightly"),
    ],
)
def test_points_as_people_write_them(text: str, point: object) -> None:
    """Versions, times and snapshots are told apart."""
    assert parse(text) == point


@pytest.mark.parametrize("text", ["5 parsecs ago", "2026-13-01", "12:00 yesterday"])
def test_what_is_no_point_in_time(text: str) -> None:
    """What begins like a time but is none is refused."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="invalid point in time"):
        parse(text)


# --- snapshots ------------------------------------------------------------------------------------------------------
def test_a_snapshot_outlives_its_cluster(store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path) -> None:
    """Taken, copied, listed, restored, exported and deleted, with the cluster long gone; then all space is back."""
    states = fill(prod, 5)
    third = list(states)[2]
    prod.snapshot("head")
    prod.snapshot("third", at=third)
    prod.delete()
    store.copy_snapshot("third", "copy")
    store.delete_snapshot("third")
    assert [(each.name, each.cluster, each.version) for each in store.snapshots()] == [
        ("copy", "prod", third),
        ("head", "prod", max(states)),
    ]
    again = store.restore_snapshot("copy", "again")
    assert numbers_of(again) == [1, 2, 3]
    assert numbers_of(store.restore_snapshot("head", "prod")) == [1, 2, 3, 4, 5]
    store.export_snapshot("copy", tmp_path / "plain.db")
    assert numbers(apsw.Connection(str(tmp_path / "plain.db"))) == [1, 2, 3]
    assert_clean(store)
    for name in ("copy", "head"):
        store.delete_snapshot(name)
    for cluster in store.clusters():
        cluster.delete()
    assert store.stats().used_bytes == 4096


def test_snapshots_have_names_of_their_own(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A name is given once, must be legal, and the nearest is suggested for one that there is not."""
    prod.snapshot("nightly")
    with pytest.raises(clusterdb.SnapshotExistsError, match="has a snapshot 'nightly' already"):
        prod.snapshot("nightly")
    with pytest.raises(clusterdb.SnapshotExistsError):
        store.copy_snapshot("nightly", "nightly")
    with pytest.raises(clusterdb.InvalidNameError):
        prod.snapshot("no name")
    with pytest.raises(clusterdb.SnapshotNotFoundError, match="did you mean 'nightly'"):
        store.delete_snapshot("nightli")
    assert [each.name for each in store.snapshots()] == ["nightly"]


# --- going over to another volume -----------------------------------------------------------------------------------
def test_back_and_forward_again(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Within its window a cluster goes back in place, goes on from there, and forward again to what it had left."""
    states = fill(prod)
    versions = list(states)
    connection = prod.connect()
    prod.backtrack(versions[2])
    assert numbers(connection) == [1, 2, 3]
    connection.execute("INSERT INTO t VALUES (100, NULL)")
    prod.backtrack(versions[-1])
    assert numbers(connection) == states[versions[-1]]
    prod.backtrack(versions[0])
    assert numbers(connection) == [1]
    connection.close()


def test_a_reset_clone_is_its_source_again(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """reset() brings a clone to its source's present state, under its name, with its connections."""
    fill(prod, 3)
    dev = prod.clone("dev")
    connection = dev.connect()
    for n in range(10, 15):
        connection.execute("INSERT INTO t VALUES (?, NULL)", (n,))
        connection.execute(f"CREATE TABLE more{n} (x)")
        source = prod.connect()
        source.execute("INSERT INTO t VALUES (?, NULL)", (n + 100,))
        source.close()
        dev.reset()
        assert numbers(connection) == numbers_of(prod)
        assert rows(connection, "SELECT name FROM sqlite_schema") == [("t",)]
    connection.close()


def test_reset_needs_a_source(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Who is no clone, or has lost the source, can be reset to a snapshot only."""
    fill(prod, 2)
    with pytest.raises(clusterdb.NoSourceError, match="'prod' is no clone"):
        prod.reset()
    dev = prod.clone("dev")
    dev.snapshot("clean")
    prod.delete()
    with pytest.raises(clusterdb.NoSourceError, match="has lost its source 'prod'"):
        dev.reset()
    connection = dev.connect()
    connection.execute("DELETE FROM t")
    dev.reset("clean")
    assert numbers(connection) == [1, 2]
    connection.close()


@pytest.mark.parametrize("keeps", [KEEPS, {}], ids=["keeping the past", "not keeping it"])
def test_transactions_across_a_reset(store: clusterdb.Store, keeps: dict[str, int]) -> None:
    """What is read in a transaction stays as it is; what was written in one cannot be committed; then all is new."""
    prod = store.create_cluster("prod")
    fill(prod, 3)
    dev = prod.clone("dev", **{**KEEPS, **dict.fromkeys(KEEPS, 0)} | keeps)
    reader, writer, idle = dev.connect(), dev.connect(), dev.connect()
    idle.execute("INSERT INTO t VALUES (50, NULL); CREATE TABLE own (x)")
    prepared = idle.cursor().execute("SELECT count(*) FROM own")
    prepared.fetchall()
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    writer.execute("BEGIN IMMEDIATE; DELETE FROM t")
    dev.reset()
    assert numbers(idle) == [1, 2, 3]
    with pytest.raises(apsw.SQLError, match="no such table: own"):
        idle.execute("SELECT count(*) FROM own")
    idle.execute("INSERT INTO t VALUES (60, NULL)")  # nobody waits for the writer of what was
    assert numbers(reader) == [1, 2, 3, 50]
    with pytest.raises(apsw.Error, match=r"was reset|dropped"):
        writer.execute("COMMIT")
    reader.execute("COMMIT")
    assert numbers(reader) == numbers(writer) == [1, 2, 3, 60]
    for connection in (reader, writer, idle):
        connection.close()


# --- giving the past up -----------------------------------------------------------------------------------------------
def test_the_past_is_given_up_in_order(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """As the past is given up from its beginning, its space comes back; what clones and snapshots hold stays."""
    connection = prod.connect()
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body); INSERT INTO t VALUES (1, NULL)")
    for _ in range(30):
        connection.execute("UPDATE t SET body = randomblob(20000)")
    connection.close()
    head = prod.stats().version
    fifth = prod.clone("fifth", at=5)
    prod.snapshot("tenth", at=10)
    used = [store.stats().used_bytes]
    for before in (5, 11, 20, head):
        give_up(store, prod, before)
        used.append(store.stats().used_bytes)
        assert_clean(store)
    assert used == sorted(used, reverse=True)
    assert used[-1] < used[0] / 5
    with pytest.raises(clusterdb.InvalidRestoreTimeError):
        prod.clone("new", at=12)
    assert numbers_of(fifth) == numbers_of(store.restore_snapshot("tenth", "again")) == [1]


def give_up(store: clusterdb.Store, cluster: clusterdb.Cluster, before: int | None) -> None:
    """As if everything before that version were too old."""
    row = store._volume_of(cluster)
    with store._pages.session() as session, session.volume_locked(row.table_index):
        expiry.give_up_past(store._pages, session, store._volume_of(cluster), before)


def test_a_reader_of_what_is_given_up(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A pinned past version stays readable until its reader lets go (H2, H3)."""
    states = fill(prod)
    first = min(states)
    with store._pages.pinned(store._volume_of(prod), first) as volume:
        give_up(store, prod, max(states))
        store.create_cluster("filler").connect().execute("CREATE TABLE x AS SELECT randomblob(900000)")
        assert bytes(volume.read(16, 0)) == b"SQLite format 3\0"
        assert volume.page(volume.version.page_count - 1)
        walk = store._pages.read_slot
        assert all(walk(at.entry.slot) for at in __import__("vfs.table").table.reached(walk, volume.version))
    assert_clean(store)


def test_settings_turn_the_past_on_and_off(store: clusterdb.Store) -> None:
    """A cluster keeps its past from when it is told to, until it is told not to."""
    plain = store.create_cluster("plain")
    fill(plain, 3)
    plain.modify(backtrack_window_s=60)
    since = plain.stats().version
    connection = plain.connect()
    connection.execute("DELETE FROM t")
    connection.close()
    plain.backtrack(since)
    assert numbers_of(plain) == [1, 2, 3]
    plain.modify(backtrack_window_s=0)
    with pytest.raises(clusterdb.BacktrackDisabledError):
        plain.backtrack(since)
    plain.delete()
    assert store.stats().used_bytes == 4096


# --- boots, deaths ----------------------------------------------------------------------------------------------------
def test_the_past_in_another_boot(tmp_path: Path) -> None:
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
def test_a_past_version_that_the_power_took(tmp_path: Path, read_only: bool) -> None:
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
            with store._pinned(prod) as volume:
                version = volume.version
                reached_by.append({at.entry.slot for at in reached(store._pages.read_slot, version, 0)})
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
from vfs import failpoints, expiry
def die(): os.kill(os.getpid(), {signal})
store = clusterdb.open(sys.argv[1])
prod, dev = store.cluster("prod"), store.cluster("dev")
failpoints.armed[{point!r}] = die
c = prod.connect()
c.execute("INSERT INTO t VALUES (11, NULL)")
c.close()
row = store._volume_of(prod)
with store._pages.session() as session, session.volume_locked(row.table_index):
    expiry.give_up_past(store._pages, session, row, 8)
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
def test_a_death_in_the_past(family: Path, point: str) -> None:
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
def test_who_is_stopped_in_the_past_keeps_nobody(family: Path, point: str) -> None:
    """Other clusters are read and written beside a process stopped there, and its own are read."""
    with clusterdb.open(family) as store, stopped_at(family, point):
        connection = store.cluster("other").connect()
        for n in range(100, 150):
            connection.execute("INSERT INTO t VALUES (?, NULL)", (n,))
        connection.close()
        assert len(numbers_of(store.cluster("other"))) == 52
        assert len(numbers_of(store.cluster("prod"))) in (10, 11)


def assert_bills_add_up(store: clusterdb.Store) -> None:
    """The bills of all clusters and snapshots are the live bytes of the pool (but its header)."""
    states = store._pages.slot_map.states[: store._pages.slot_map.slot_count].tolist()
    live_count = sum(state in (LIVE_EVEN, LIVE_ODD) for state in states) - 1
    assert sum(bill.bytes for bill in store.bills()) == live_count * 4096


# --- random histories -------------------------------------------------------------------------------------------------
class World:
    """Clusters, snapshots and their contents by the model."""

    def __init__(self, store: clusterdb.Store, seed: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.serial = 0
        self.now: dict[str, frozenset[int]] = {}
        self.past: dict[str, dict[datetime, frozenset[int]]] = {}
        self.snapshots: dict[str, frozenset[int]] = {}

    def fresh(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"

    def name(self) -> str:
        return self.rng.choice(sorted(self.now))

    def note(self, name: str, content: frozenset[int]) -> None:
        time.sleep(0.00001)
        self.now[name] = content
        self.past.setdefault(name, {})[datetime.now(timezone.utc)] = content
        time.sleep(0.00001)

    def step(self) -> None:
        verbs = ["commit"] * 6 + ["clone", "clone_past", "backtrack", "backtrack", "reset", "snapshot", "restore"]
        verbs += ["delete", "delete_snapshot", "give_up", "reclaim"]
        getattr(self, self.rng.choice(verbs) if len(self.now) > 1 else "create")()

    def create(self) -> None:
        name = self.fresh("c")
        connection = self.store.create_cluster(name, **KEEPS).connect()
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body)")
        connection.close()
        self.note(name, frozenset())

    def commit(self) -> None:
        name = self.name()
        n = self.rng.randrange(1000)
        connection = self.store.cluster(name).connect()
        connection.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(?))", (n, self.rng.randrange(6000)))
        connection.close()
        self.note(name, self.now[name] | {n})

    def clone(self) -> None:
        source, name = self.name(), self.fresh("c")
        self.store.cluster(source).clone(name, **KEEPS)
        self.note(name, self.now[source])

    def clone_past(self) -> None:
        source, name = self.name(), self.fresh("c")
        at = self.rng.choice(sorted(self.past[source]))
        self.store.cluster(source).clone(name, at=at, **KEEPS)
        self.note(name, self.past[source][at])

    def backtrack(self) -> None:
        name = self.name()
        at = self.rng.choice(sorted(self.past[name]))
        self.store.cluster(name).backtrack(at)
        self.note(name, self.past[name][at])

    def reset(self) -> None:
        name = self.name()
        with contextlib.suppress(clusterdb.NoSourceError):
            self.store.cluster(name).reset()
            source = self.store._catalog.cluster(name).source  # type: ignore[union-attr]
            self.note(name, self.now[str(source)])

    def snapshot(self) -> None:
        source, name = self.name(), self.fresh("s")
        self.store.cluster(source).snapshot(name)
        self.snapshots[name] = self.now[source]

    def restore(self) -> None:
        if self.snapshots:
            snapshot, name = self.rng.choice(sorted(self.snapshots)), self.fresh("c")
            self.store.restore_snapshot(snapshot, name, **KEEPS)
            self.note(name, self.snapshots[snapshot])

    def delete(self) -> None:
        name = self.name()
        self.store.cluster(name).delete()
        del self.now[name], self.past[name]

    def delete_snapshot(self) -> None:
        if self.snapshots:
            name = self.rng.choice(sorted(self.snapshots))
            self.store.delete_snapshot(name)
            del self.snapshots[name]

    def give_up(self) -> None:
        """All of the past that is in the cluster's present volume, and its former volumes."""
        name = self.name()
        cluster = self.store.cluster(name)
        give_up(self.store, cluster, cluster.stats().version)
        for volume, _ in self.store._catalog.pasts(cluster.id):
            backups._drop_past(self.store, self.store._require_known(volume))
        self.past[name] = {}
        self.commit_to(name)

    def commit_to(self, name: str) -> None:
        connection = self.store.cluster(name).connect()
        connection.execute("INSERT OR REPLACE INTO t VALUES (5000, NULL)")
        connection.close()
        self.note(name, self.now[name] | {5000})

    def reclaim(self) -> None:
        assert self.store.reclaim().put_off == ""

    def verify(self) -> None:
        assert_clean(self.store)
        assert_bills_add_up(self.store)
        for name, content in self.now.items():
            assert frozenset(numbers_of(self.store.cluster(name))) == content, name


def play(store: clusterdb.Store, seed: int, steps: int) -> None:
    """Random steps, verified; then everything goes, and all space is back."""
    world = World(store, seed)
    for _ in range(steps):
        world.step()
        if world.rng.random() < 0.2:
            world.verify()
    world.verify()
    for name in world.snapshots:
        store.delete_snapshot(name)
    for name in world.now:
        store.cluster(name).delete()
    assert store.stats().used_bytes == 4096


@pytest.mark.parametrize("seed", range(4))
def test_random_pasts(store: clusterdb.Store, seed: int) -> None:
    """Random histories with a past against a model."""
    play(store, seed, 60)


def test_bills_add_up_at_every_step() -> None:
    """Accounting is exact after each of many random operations."""
    with clusterdb.open(":memory:") as store:
        world = World(store, 7)
        for _ in range(150):
            world.step()
            assert_bills_add_up(store)


@pytest.mark.slow
def test_bills_add_up_at_each_of_ten_thousand_steps() -> None:
    """The same, for ten thousand operations; clusters and snapshots beyond a dozen go, so that it ends."""
    with clusterdb.open(":memory:") as store:
        world = World(store, 8)
        for _ in range(10_000):
            world.step()
            while len(world.now) > 12:
                world.delete()
            while len(world.snapshots) > 6:
                world.delete_snapshot()
            assert_bills_add_up(store)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_random_pasts(store: clusterdb.Store, seed: int) -> None:
    """The same, longer."""
    play(store, seed, 200)
