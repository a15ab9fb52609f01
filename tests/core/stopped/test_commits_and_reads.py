"""Processes stopped in a commit, in an open transaction, or in a read."""

from __future__ import annotations

from pathlib import Path

import pytest

import clusterdb
from tests.core.stopped.stopper import (
    COMMIT,
    COMMIT_WITH_CHORES,
    READ_DEV,
    READ_OWN,
    WRITERS,
    Starter,
    assert_others,
    change_the_store,
    fill,
    in_time,
    letter_of,
    names,
    rewrite,
    use_own,
    while_stopped,
    work_in_others,
)
from tests.support.points import COMMIT_POINTS

SYNCED_IN_NORMAL = ("commit: synced", "NORMAL")
"""Such a commit makes no sync."""


STOPS = [(*case, mode) for case in WRITERS for mode in ("FULL", "NORMAL") if (case[1], mode) != SYNCED_IN_NORMAL]


@pytest.mark.parametrize(
    ("work", "point", "seen", "synchronous"),
    STOPS,
    ids=[f"{mode} - {point or 'transaction open'}" for _, point, _, mode in STOPS],
)
def test_stopped_writer_blocks_only_writers_of_its_cluster(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str, seen: str, synchronous: str
) -> None:
    """Everything works in other clusters and in the store; its own can be read and cloned, writing it says BUSY."""
    with while_stopped(start(work, point, synchronous)):
        letter = in_time(lambda: use_own(store, is_written=True))
        assert letter in seen
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert letter_of(store, "own") == "b"
    assert letter_of(store, "own-new") == letter
    assert ("own-dev" in names(store)) == (work != COMMIT_WITH_CHORES)
    assert_others(store)


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_cluster_of_a_stopped_commit_can_be_deleted(store: clusterdb.Store, start: Starter, point: str) -> None:
    """The deletion does not wait; the commit succeeds or fails, clones stay whole, the space comes back."""
    with while_stopped(start(COMMIT, point)):
        in_time(store.cluster("own").delete)
        in_time(lambda: rewrite(store, "own-dev", "d"))
        in_time(lambda: fill(store, "filler", "f", 300))
    assert names(store) == {"own-dev", "other", "other-dev", "spare", "filler"}
    assert letter_of(store, "own-dev") == "d"


def test_stopped_reader_blocks_no_other_process(store: clusterdb.Store, path: Path, start: Starter) -> None:
    """With a SELECT half-way everything works, writing its cluster too; it reads on in the version it began with."""
    with while_stopped(start(READ_OWN)):
        assert in_time(lambda: use_own(store, is_written=False)) == "a"
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: [rewrite(store, "own", letter) for letter in "defgh"])
        in_time(lambda: change_the_store(store))
    assert letter_of(store, "own") == "h"
    assert letter_of(store, "own-new") == letter_of(store, "own-dev") == "a"
    assert_others(store)


def test_version_of_a_stopped_reader_survives_many_commits(store: clusterdb.Store, start: Starter) -> None:
    """A version that nothing but the stopped reader holds stays whole, however often others commit."""
    for letter in "za":
        rewrite(store, "own", letter)
    with while_stopped(start(READ_OWN)):
        in_time(lambda: [rewrite(store, "own", letter) for letter in "defgh"])
        in_time(lambda: fill(store, "filler", "f", 300))  # it would take what is free too early
    assert letter_of(store, "own") == "h"


@pytest.mark.parametrize("dropped", [["own"], ["own-dev"], ["own", "own-dev"], ["own-dev", "own"]], ids=" then ".join)
def test_clones_and_sources_of_a_stopped_reader_can_be_deleted(
    store: clusterdb.Store, path: Path, start: Starter, dropped: list[str]
) -> None:
    """Clones with readers can be dropped, and so can their sources; the reader sees all of it nevertheless."""
    in_time(lambda: rewrite(store, "own", "z"))
    with while_stopped(start(READ_DEV)):
        for name in dropped:
            in_time(store.cluster(name).delete)
        in_time(lambda: fill(store, "filler", "f", 300))  # it would take what is free too early
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert not names(store) & set(dropped)
    assert_others(store)
