"""A process dies at each named point; the others go on and get its space back."""

from __future__ import annotations

from pathlib import Path

import pytest

import clusterdb
from tests.core.races.family import COMMIT, DEV, PROD, WORKS, Opener, assert_family, make_family
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import (
    at,
    fill,
    filled,
    letters_of,
    rewrite,
    run_until_killed,
)
from tests.support.points import (
    ABSORB_POINTS,
    COMMIT_POINTS,
    HALT_POINT,
    PAST_POINTS,
    REMOTE_POINTS,
    UPGRADE_POINT,
    ZONE_POINTS,
    named_points,
)
from tests.support.stores import assert_clean

DEATHS: list[tuple[str, str, set[str], set[str]]] = [
    *((point, "commit", {state}, {"dev", "prod"}) for point, state in COMMIT_POINTS.items()),
    ("drain: before pins are read", "many commits", set("cdefghijb"), {"dev", "prod"}),
    ("drain: readers read", "many commits", set("cdefghijb"), {"dev", "prod"}),
    ("volume: head slot taken", "clone", {"a"}, {"dev", "prod"}),
    ("catalog: before commit", "clone", {"a"}, {"dev", "prod"}),
    ("catalog: number moved", "clone", {"a"}, {"dev", "prod"}),
    ("catalog: committed", "clone", {"a"}, {"dev", "new", "prod"}),
    ("drop: closed to readers", "delete", {"a"}, {"dev", "prod"}),
    ("reclaim: slots kept", "delete", {"a"}, {"dev", "prod"}),
    ("catalog: before commit", "delete", {"a"}, {"dev", "prod"}),
    ("catalog: number moved", "delete", {"a"}, {"dev", "prod"}),
    ("catalog: committed", "delete", {"a"}, {"prod"}),
    ("drop: committed", "delete", {"a"}, {"prod"}),
    ("reclaim: catalog has forgotten", "delete", {"a"}, {"prod"}),
    ("reclaim: rows removed", "delete", {"a"}, {"prod"}),
    ("sweep: epoch moved", "reclaim", {"a"}, {"dev", "prod"}),
    ("sweep: marked", "reclaim", {"a"}, {"dev", "prod"}),
    ("sweep: heads synced", "reclaim", {"a"}, {"dev", "prod"}),
    ("sweep: freed", "reclaim", {"a"}, {"dev", "prod"}),
    ("shrink: tail cut", "shrink", {"a"}, {"dev", "prod"}),
]
"""Where a process dies, what it was doing, which letters 'prod' may have then, and which clusters there are."""


def test_every_named_point_has_a_case() -> None:
    """Every named point is among the cases of this package."""
    elsewhere = {*ABSORB_POINTS, *PAST_POINTS, *REMOTE_POINTS, *ZONE_POINTS, HALT_POINT, UPGRADE_POINT}
    assert named_points() == {point for point, _, _, _ in DEATHS} | elsewhere


@pytest.mark.parametrize(
    ("point", "work", "prod", "clusters"),
    DEATHS,
    ids=[f"{work} - {point}" for point, work, _, _ in DEATHS],
)
def test_reclaim_frees_the_slots_of_a_killed_process(
    path: Path, store: clusterdb.Store, point: str, work: str, prod: set[str], clusters: set[str]
) -> None:
    """Wherever a process is killed, the others go on, find a committed state, and get its space back (W1-W5, R2-R6)."""
    neighbour = make_family(store)
    run_until_killed(path, point, WORKS[work])
    fill(neighbour, 40, "o")
    assert_family(store, prod, clusters)
    writer = store.cluster(PROD).connect()  # the dead one's pins must be heard of (S3, R9)
    for letter in "vwx":
        rewrite(writer, letter)
    filled(store, "filler", 100, "f").close()
    store.cluster("filler").delete()
    with (
        at("sweep: epoch moved", lambda: rewrite(neighbour, "p")),
        at("sweep: marked", lambda: [rewrite(neighbour, "q"), rewrite(writer, "y")]),
    ):
        assert store.reclaim().put_off == ""
    neighbour.close()
    writer.close()
    assert store.reclaim().put_off == ""
    assert_clean(store)
    assert_family(store, {"y"}, clusters)
    assert letters_of(store, "neighbour") == {"q": 40}
    if "new" in clusters:
        assert letters_of(store, "new") == {"a": 60}


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_open_frees_the_slots_of_a_killed_process(path: Path, open_store: Opener, point: str) -> None:
    """Opening the store frees the slots of a killed writer for all processes."""
    store = open_store()
    neighbour = make_family(store)
    run_until_killed(path, point, COMMIT)
    rewrite(neighbour, "o")
    with at("sweep: marked", lambda: rewrite(neighbour, "p")):
        other = open_store()
    neighbour.close()
    assert_clean(other)
    assert_family(store, {COMMIT_POINTS[point]}, {DEV, PROD})
    assert letters_of(other, "neighbour") == {"p": 30}


def test_dead_session_is_not_buried_in_a_transaction(path: Path, store: clusterdb.Store) -> None:
    """Its commit may take effect until the seal of the catalog is committed, which may come to nothing (S3)."""
    filled(store, "prod", 10, "a").close()
    run_until_killed(path, "volume: head slot taken", "kill(); store.cluster('prod').clone('new')")
    pages, database = pages_of(store), catalog_of(store).database
    with pages.session() as session:
        dead = [row for row, _ in pages.tables.sessions() if session.is_dead(row)]
        assert dead
        with database.transaction():
            assert not any(pages.queue.bury(session, row) for row in dead)
        assert all(session.is_dead(row) for row in dead)
        assert all(pages.queue.bury(session, row) for row in dead)
