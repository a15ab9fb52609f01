"""A small synced commit writes its pages and nodes to one place of the device, where the pool has one."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from tests.support.stores import assert_clean
from tests.torture.record import Event, Recorder
from vfs.format.layout import SLOT_BYTES
from vfs.plane import available
from vfs.storage.device import CALLS

ROWS = 2000
SCHEMA = f"""
    CREATE TABLE t (id INTEGER PRIMARY KEY, n, body);
    WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < {ROWS})
    INSERT INTO t SELECT x, 0, randomblob(300) FROM c
"""


@pytest.fixture(params=available())
def dev(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[clusterdb.Cluster]:
    """A clone in a store on disk that keeps no past, by data plane."""
    monkeypatch.setenv("CLUSTERDB_IMPL", request.param)
    with clusterdb.open(tmp_path / "store") as store:
        prod = store.create_cluster("prod", backup_retention_days=0)
        with closing(prod.connect()) as connection:
            connection.execute(SCHEMA)
        yield prod.clone("dev", backup_retention_days=0)
        store.reclaim()
        assert_clean(store)


def commit(dev: clusterdb.Cluster, count: int, *, statement: str = "UPDATE t SET n = n + 1 WHERE id = ?") -> None:
    """Commit one-row changes at synchronous=FULL."""
    rng = random.Random(count)
    with closing(dev.connect()) as connection:
        connection.execute("PRAGMA synchronous = FULL").fetchall()
        for _ in range(count):
            connection.execute(statement, (rng.randrange(1, ROWS),))


def by_sync(events: list[Event]) -> Iterator[list[Event]]:
    """The writes to the pool before each sync, without the zeros that are written where the pool grows."""
    writes: list[Event] = []
    for event in events:
        if event.kind == "sync":
            yield writes
            writes = []
        elif event.kind == "write" and event.file == "pool" and event.data.strip(b"\0"):
            writes.append(event)


def take_all_but(dev: clusterdb.Cluster, count: int, is_free: Callable[[int], bool]) -> None:
    """Take ``count`` slots of the pool, and all that are free behind them, but for some of them."""
    pages = dev.store.context.pages
    session = pages.session().__enter__()
    slots = session.take_slots(count)
    slots += session.take_slots(pages.slot_map.free_count())
    pages.queue.leak(session, [slot for at, slot in enumerate(slots) if not is_free(at)])
    session.give_back([slot for at, slot in enumerate(slots) if is_free(at)])
    session.release_slots()


def test_pages_and_nodes_of_a_small_commit_are_written_together(dev: clusterdb.Cluster, tmp_path: Path) -> None:
    """One write for all of them, and one for the record, also when old slots are used again."""
    commit(dev, 1)
    recorder = Recorder(tmp_path / "store")
    with recorder.recording():
        commit(dev, 300)
    commits = [writes for writes in by_sync(recorder.events) if writes]
    assert len(commits) >= 300
    for writes in commits:
        slots, record = writes
        assert len(slots.data) == 2 * SLOT_BYTES and len(record.data) < SLOT_BYTES  # a page and the node of all pages


def test_larger_commits_keep_their_pages_apart_from_the_nodes(dev: clusterdb.Cluster, tmp_path: Path) -> None:
    """The next commit supersedes the nodes, but not the pages: their slots would leave no run."""
    commit(dev, 1)
    recorder = Recorder(tmp_path / "store")
    with recorder.recording():
        commit(dev, 1, statement="UPDATE t SET n = n + ?")
    writes = max(by_sync(recorder.events), key=len)
    assert len([event for event in writes if len(event.data) >= SLOT_BYTES]) > 1


def test_slots_that_are_apart_are_used_where_many_are_free(dev: clusterdb.Cluster) -> None:
    """A pool of which every second slot is free does not grow."""
    take_all_but(dev, 20_000, lambda at: at % 2 == 0)
    slot_count = dev.store.context.pages.slot_map.slot_count
    commit(dev, 200)
    assert dev.store.context.pages.slot_map.slot_count == slot_count


def test_full_device_has_room_where_single_slots_are_free(
    dev: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool would grow for a run; it cannot, and its last free slots are used."""
    take_all_but(dev, 4000, lambda at: at % 20 == 0)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CALLS, "ftruncate", fail)
    commit(dev, 100)
