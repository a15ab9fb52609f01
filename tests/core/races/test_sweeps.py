"""Sweeps among writers, cloners and readers, killed or interrupted at each of their points."""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import clusterdb
from tests.core.races.family import COMMIT, DEV, PROD, WORKS, Opener, make_family
from tests.support.inside import pages_of
from tests.support.mishaps import (
    at,
    fill,
    filled,
    letters,
    letters_of,
    press_ctrl_c,
    rewrite,
    run_until_killed,
)
from tests.support.stores import assert_clean, rows
from vfs.format.shared import RESERVED


def test_sweep_waits_for_a_reader_of_an_old_version(path: Path, store: clusterdb.Store) -> None:
    """What leaked may be part of what somebody still reads: it comes back when that reader has gone, not before (W5).

    Here the dead process took with it the knowledge of what it had replaced under the reader.
    """
    neighbour = make_family(store)
    reader = store.cluster(PROD).connect()
    reader.execute("PRAGMA cache_size = 1; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    run_until_killed(path, "", COMMIT)
    put_off = store.reclaim()
    assert put_off.freed_count == 0
    assert str(os.getpid()) in put_off.put_off and "is reading an old version" in put_off.put_off
    fill(neighbour, 300, "o")
    assert letters(reader) == {"a": 60}
    reader.execute("COMMIT")
    done = store.reclaim()
    assert done.put_off == "" and done.freed_count > 10
    assert letters(reader) == {"b": 60}
    assert_clean(store)


def test_store_can_be_opened_after_a_sweep_was_put_off(path: Path, open_store: Opener) -> None:
    """A postponed sweep is left to the next open, and does not prevent it."""
    store = open_store()
    make_family(store)
    reader = store.cluster(PROD).connect()
    reader.execute("BEGIN")
    letters(reader)
    run_until_killed(path, "", COMMIT)
    assert store.reclaim().put_off != ""
    reader.execute("COMMIT")
    assert_clean(open_store())


LEAK = """
with store.context.pages.session() as session:
    store.context.pages.queue.leak(session, session.take_slots(20))
"""
SWEEP_POINTS = ["sweep: epoch moved", "sweep: marked", "sweep: heads synced"]


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_killed_sweep_is_repeated_by_the_next_open(path: Path, open_store: Opener, point: str) -> None:
    """The slots that a killed sweep was about to free are freed by the next one."""
    store = open_store()
    make_family(store)
    run_until_killed(path, point, LEAK + WORKS["reclaim"])
    assert_clean(open_store())


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_interrupted_sweep_can_be_repeated(store: clusterdb.Store, point: str) -> None:
    """A sweep can be interrupted and made again; then it brings back what the first would have."""
    make_family(store)
    exec(LEAK, {"store": store})
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        store.reclaim()
    assert store.reclaim().freed_count >= 20
    assert_clean(store)


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_slots_leaked_during_an_interrupted_sweep_come_back(open_store: Opener, point: str) -> None:
    """It comes back too, by the next sweep or by the one after it, which nobody has to ask for."""
    store = open_store()
    make_family(store)

    def leak_and_interrupt() -> None:
        exec(LEAK, {"store": store})
        press_ctrl_c()

    with at(point, leak_and_interrupt), pytest.raises(KeyboardInterrupt):
        store.reclaim()
    try:
        assert store.reclaim().put_off == ""
        assert_clean(open_store())
    finally:
        store.reclaim()


def test_sweep_waits_for_a_commit_in_progress(store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit between labelling its pages and publishing them loses none of them to a sweep (M2, W1)."""
    monkeypatch.setattr("vfs.reclaim.sweep._ATTEMPTS", 2, raising=False)
    make_family(store)
    is_there, may_go_on = threading.Event(), threading.Event()

    def stop() -> None:
        is_there.set()
        assert may_go_on.wait(60)

    def commit() -> None:
        writer = store.cluster(PROD).connect()
        rewrite(writer, "b")
        writer.close()

    with ThreadPoolExecutor() as pool, at("commit: slots labelled", stop):
        done = pool.submit(commit)
        try:
            assert is_there.wait(60)
            report = store.reclaim()
            assert report.freed_count == 0 and "is stuck in a commit" in report.put_off
        finally:
            may_go_on.set()
        done.result()
    filled(store, "filler", 300, "f")
    assert store.reclaim().put_off == ""
    assert letters_of(store, PROD) == {"b": 60}
    assert_clean(store)


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_sweep_frees_no_slot_of_a_clone_made_meanwhile(open_store: Opener, point: str) -> None:
    """A sweep frees nothing that a clone made meanwhile stands on, and nothing that is freed already (W1, R8)."""
    store, other = open_store(), open_store()
    make_family(store)
    writer = other.cluster(PROD).connect()

    def come_and_go() -> None:
        other.cluster(PROD).clone("new")
        rewrite(writer, "b")
        other.cluster(DEV).delete()
        other.cluster("new").clone("newer")
        other.cluster("new").delete()

    with at(point, come_and_go):
        store.reclaim()
    filled(store, "filler", 300, "f").close()
    assert letters_of(store, "newer") == {"a": 60}
    assert letters_of(store, PROD) == {"b": 60}
    writer.close()
    assert store.reclaim().put_off == ""
    assert_clean(store)


class Crowd:
    """Writers, cloners and sweepers of one store, each in a thread, with a fixed number of things to do."""

    def __init__(self, store: clusterdb.Store, other: clusterdb.Store, seed: int) -> None:
        self.store = store
        self.other = other
        self.seed = seed

    def write(self, name: str) -> None:
        """Change a few rows at a time; n counts the changes."""
        choose = random.Random(f"{self.seed} {name}")
        connection = self.store.cluster(name).connect()
        for number in range(600):
            connection.execute(
                "UPDATE t SET n = n + 1, v = ? WHERE id % 7 = ?", (chr(97 + number % 25) * 900, choose.randrange(7))
            )
        connection.close()

    def read(self, name: str) -> None:
        """See one version, however long it takes."""
        connection = self.other.cluster(name).connect()
        connection.execute("PRAGMA cache_size = 1")
        for _ in range(200):
            connection.execute("BEGIN")
            before = rows(connection, "SELECT sum(n), count(*) FROM t")
            assert letters(connection).keys() <= set("abcdefghijklmnopqrstuvwxy")
            assert rows(connection, "SELECT sum(n), count(*) FROM t") == before
            connection.execute("COMMIT")
        connection.close()

    def clone(self, sources: list[str]) -> None:
        """Make clones of all depths, look at them, write to them, and delete them in any order."""
        choose = random.Random(f"{self.seed} clone")
        names: list[str] = []
        for number in range(120):
            clone = self.other.cluster(choose.choice(sources + names)).clone(f"clone-{number}")
            names.append(clone.name)
            connection = clone.connect()
            before = letters(connection)
            connection.execute("DELETE FROM t WHERE id % 5 = 0 AND v < 'z'; INSERT INTO t VALUES (NULL, 0, 'z')")
            assert letters(connection)["z"] == before.get("z", 0) + 1
            connection.close()
            while len(names) > 4:
                self.other.cluster(names.pop(choose.randrange(len(names)))).delete()

    def sweep(self) -> None:
        """Leak some slots, sweep, and shrink now and then."""
        pages = pages_of(self.other)
        for number in range(150):
            with pages.session() as session:
                pages.queue.leak(session, session.take_slots(5))
            self.other.reclaim()
            if number % 10 == 0:
                self.other.shrink()


def test_sweep_among_writers_cloners_and_readers_frees_nothing_visible(open_store: Opener) -> None:
    """During a sweep other processes work; it frees nothing that any of them can see (W1-W3, R1-R9)."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    crowd = Crowd(open_store(synchronous="NORMAL"), open_store(synchronous="NORMAL"), seed)
    written = ["first", "second"]
    for name in written:
        connection = crowd.store.create_cluster(name, backup_retention_days=0).connect()
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n, v)")
        with connection:
            connection.executemany("INSERT INTO t VALUES (?, 0, ?)", [(number, "a" * 900) for number in range(70)])
        connection.close()
    with ThreadPoolExecutor() as pool:
        works = [pool.submit(crowd.write, name) for name in written]
        works += [pool.submit(crowd.clone, written), pool.submit(crowd.read, "first"), pool.submit(crowd.sweep)]
        for work in works:
            work.result()
    assert crowd.store.reclaim().put_off == ""
    assert_clean(crowd.store)
    for cluster in crowd.store.clusters():
        letters_of(crowd.store, cluster.name)
    for name in written:
        assert rows(crowd.store.cluster(name).connect(), "SELECT sum(n) FROM t") == [(6000,)]


# --- a sweep and a keeper ------------------------------------------------------------------------------------------
def test_slot_superseded_during_a_sweep_is_freed_by_a_later_sweep(store: clusterdb.Store) -> None:
    """A slot whose state a sweep overwrote just as it was superseded is freed once, by another sweep (W2, R5)."""
    writer = filled(store, PROD, 100, "a")
    reader = store.cluster(PROD).connect()
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    rewrite(writer, "b")
    pages = pages_of(store)
    kept = pages.slot_map.slots_in_state(RESERVED + pages.keeper().row)
    assert kept
    pages.slot_map.label_live(kept)  # the unlucky sweep
    reader.execute("COMMIT")
    reader.close()
    assert store.reclaim().freed_count >= len(kept)
    filled(store, "filler", 100, "x").close()
    rewrite(writer, "c")
    writer.close()
    filled(store, "more", 100, "y").close()
    assert [letters_of(store, name) for name in (PROD, "filler", "more")] == [{"c": 100}, {"x": 100}, {"y": 100}]
    store.reclaim()
