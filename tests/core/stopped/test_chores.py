"""Reclaim work beside stopped processes: what is put off, and what waits in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.core.stopped.stopper import (
    DROP,
    DROPS,
    HOLDERS,
    READ_OWN,
    RENAME,
    Starter,
    ids_of,
    in_time,
    rewrite,
    while_stopped,
)
from tests.support.inside import catalog_of
from tests.support.stores import rows
from vfs import failpoints

RENAMING = (RENAME, "catalog: before commit")
"""Somebody who has nothing to do with 'other' and is stopped with the catalog in hand."""

STILL_LOCKED = [case for case in HOLDERS if case[0] == DROP and case[1] != "drop: closed to readers"] + DROPS


@pytest.mark.parametrize(("work", "point"), STILL_LOCKED, ids=ids_of(STILL_LOCKED))
def test_stopped_drop_makes_writers_of_its_relatives_busy(
    store: clusterdb.Store, start: Starter, work: str, point: str
) -> None:
    """A drop holds the writer lock of its source or of its clones: other writers get BUSY."""
    relative = "own" if work == DROP else "own-dev"
    with while_stopped(start(work, point)), pytest.raises(apsw.BusyError):
        in_time(lambda: rewrite(store, relative, "w"))
    rewrite(store, relative, "w")


@contextlib.contextmanager
def dropped_clone_left(store: clusterdb.Store, _: Starter) -> Iterator[None]:
    """A clone of 'other' was dropped while 'other' published: what it held is left to the next writer."""

    def drop() -> None:
        del failpoints.armed["commit: pages written"]
        store.cluster("other-dev").delete()

    with contextlib.closing(store.cluster("other").connect()) as connection:
        failpoints.armed["commit: pages written"] = drop
        connection.execute("CREATE TABLE extra (x)")
        assert "commit: pages written" not in failpoints.armed
        yield


@contextlib.contextmanager
def dead_reader_left(_: clusterdb.Store, start: Starter) -> Iterator[None]:
    """A process was killed in the middle of reading 'other'."""
    start(READ_OWN.replace("own.", "store.cluster('other').")).go().kill()
    yield


def write_on(store: clusterdb.Store, _: Path) -> None:
    """Write 'other' until what was superseded is looked at."""
    with contextlib.closing(store.cluster("other").connect()) as connection:
        for letter in "abcdefgh":
            connection.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?)", (letter,))


def read_and_close(store: clusterdb.Store, _: Path) -> None:
    """Open a connection to 'other' for reading only, and close it."""
    with contextlib.closing(store.cluster("other").connect(read_only=True)) as connection:
        assert rows(connection, "SELECT count(*) FROM t") == [(60,)]


def read_through_many(store: clusterdb.Store, _: Path) -> None:
    """Open more connections than there are idle sessions."""
    with contextlib.ExitStack() as connections:
        for _number in range(20):
            connections.enter_context(contextlib.closing(store.cluster("other").connect(read_only=True)))


def open_and_close(_: clusterdb.Store, path: Path) -> None:
    """Open the store once more."""
    clusterdb.open(path).close()


Left = Callable[[clusterdb.Store, Starter], contextlib.AbstractContextManager[None]]
Deed = Callable[[clusterdb.Store, Path], None]


@pytest.mark.parametrize(
    ("left", "deed"),
    [
        (dropped_clone_left, write_on),
        (dropped_clone_left, read_and_close),
        (dropped_clone_left, open_and_close),
        (dead_reader_left, write_on),
        (dead_reader_left, open_and_close),
    ],
)
def test_reclaim_work_is_put_off_while_the_catalog_is_taken(
    store: clusterdb.Store, path: Path, start: Starter, left: Left, deed: Deed
) -> None:
    """Where somebody left work, others write, read and open nevertheless; it is done another time."""
    stopper = start(*RENAMING)
    with left(store, start), while_stopped(stopper):
        in_time(lambda: deed(store, path))
    store.reclaim()


def test_store_can_be_opened_after_a_sweep_that_met_a_stopped_process(
    store: clusterdb.Store, path: Path, start: Starter
) -> None:
    """A reclaim that could not have the catalog keeps nobody from opening the store."""
    with while_stopped(start(*RENAMING)):
        with contextlib.suppress(clusterdb.StoreBusyError):
            in_time(store.reclaim)
        in_time(lambda: open_and_close(store, path))


def test_postponed_work_is_done_by_the_next_writer(store: clusterdb.Store, start: Starter) -> None:
    """A writer that met a stopped process on its first try brings the space of a dropped clone back on its next."""
    stopper = start(*RENAMING)
    with dropped_clone_left(store, start), contextlib.closing(store.cluster("other").connect()) as connection:
        with while_stopped(stopper), contextlib.suppress(clusterdb.StoreBusyError):
            in_time(lambda: connection.execute("UPDATE t SET v = upper(v)"))
        connection.execute("UPDATE t SET v = lower(v)")
        assert [pin for pin in catalog_of(store).volumes.all_pin_rows() if pin.released] == []


DROPPING = [case for case in HOLDERS if case[0] == DROP]


@pytest.mark.parametrize(("work", "point"), DROPPING, ids=ids_of(DROPPING))
def test_store_can_be_checked_beside_a_stopped_drop(
    store: clusterdb.Store, start: Starter, work: str, point: str
) -> None:
    """check and dump leave out the cluster that is being dropped."""
    with while_stopped(start(work, point)):
        assert in_time(store.check).problems == []


GROW_THE_POOL = """
from vfs.storage import device
c = own.connect()
ftruncate = device.CALLS.ftruncate
def stop_in_it(fd, size):
    device.CALLS.ftruncate = ftruncate
    ftruncate(fd, size)
    stop()
device.CALLS.ftruncate = stop_in_it
c.execute("CREATE TABLE u AS SELECT randomblob(3000000) AS v")
c.close()
"""
OPEN_AGAIN = """
from clusterdb.catalog.database import Database
check_format = Database._check_format
def stop_in_it(self):
    Database._check_format = check_format
    stop()
    check_format(self)
Database._check_format = stop_in_it
clusterdb.open(path).close()
"""


@pytest.mark.parametrize(
    ("work", "deed"),
    [(GROW_THE_POOL, write_on), (GROW_THE_POOL, read_through_many), (OPEN_AGAIN, open_and_close)],
    ids=["growing the pool - write", "growing the pool - connect", "opening - open"],
)
def test_waiters_for_a_stopped_process_time_out_with_an_error(
    store: clusterdb.Store, path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch, work: str, deed: Deed
) -> None:
    """A process that waits for a lock of the whole store gets an error in the end."""
    stopper = start(work)
    monkeypatch.setattr("vfs.storage.device.LOCK_PATIENCE_S", 0.5)
    errors = (clusterdb.StoreBusyError, apsw.BusyError, apsw.IOError)  # the last from a commit
    with while_stopped(stopper), pytest.raises(errors, match="a lock of the store"):
        in_time(lambda: deed(store, path))
