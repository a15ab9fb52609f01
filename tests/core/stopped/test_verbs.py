"""Processes stopped in a verb of the control plane or of the store."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

import clusterdb
from tests.core.stopped.stopper import (
    CLONE,
    DROP,
    DROPS,
    FREE_VERBS,
    HOLDERS,
    WRITERS,
    Starter,
    assert_others,
    change_the_store,
    ids_of,
    in_time,
    letter_of,
    names,
    use_own,
    while_stopped,
    work_in_others,
)
from tests.support.points import HALT_POINT, PAST_POINTS, REMOTE_POINTS, UPGRADE_POINT, ZONE_POINTS, named_points
from tests.support.stores import rows


@pytest.mark.parametrize(("work", "point"), FREE_VERBS, ids=ids_of(FREE_VERBS))
def test_stopped_verb_blocks_no_other_process(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str
) -> None:
    """Stopped outside of a catalog transaction, a verb lets everything work, also on the cluster it is about."""
    with while_stopped(start(work, point)):
        in_time(lambda: use_own(store, is_written=False))
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert (letter_of(store, "own"), letter_of(store, "own-new")) == ("y", "a")
    if work == CLONE:
        assert letter_of(store, "new") == "a"
    assert_others(store)


def test_stopped_import_blocks_no_other_process(
    store: clusterdb.Store, path: Path, start: Starter, sample: Path
) -> None:
    """A cluster that is being filled from a file is in nobody's way, and is whole in the end."""
    work = f"store.create_cluster('new', from_file={str(sample)!r}, progress=lambda *_: stop())"
    with while_stopped(start(work)):
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
        assert "new" not in names(store)
    connection = store.cluster("new").connect()
    assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
    connection.close()
    assert_others(store)


@pytest.mark.parametrize(("work", "point"), DROPS, ids=ids_of(DROPS))
def test_stopped_drop_blocks_only_its_relatives(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str
) -> None:
    """The dropped one is gone for everybody, its relatives can be read and cloned, others know nothing of it."""
    left = "own" if work == DROP else "own-dev"
    with while_stopped(start(work, point)):
        assert names(store) & {"own", "own-dev"} == {left}
        assert in_time(lambda: letter_of(store, left)) == "a"
        in_time(lambda: store.cluster(left).clone("own-new"))
        in_time(lambda: work_in_others(store, path))
        in_time(lambda: change_the_store(store))
    assert letter_of(store, left) == letter_of(store, "own-new") == "a"
    assert_others(store)


@pytest.mark.parametrize(("work", "point"), HOLDERS, ids=ids_of(HOLDERS))
def test_process_stopped_in_a_catalog_transaction_blocks_only_verbs(
    store: clusterdb.Store, path: Path, start: Starter, work: str, point: str
) -> None:
    """Reading, writing and opening go on; what changes the catalog gives up with an error, and changes nothing."""
    with while_stopped(start(work, point)):
        before = names(store)
        in_time(lambda: work_in_others(store, path))
        assert in_time(lambda: letter_of(store, "own")) in "ac"
        for verb in CATALOG_VERBS:
            with pytest.raises(clusterdb.StoreBusyError, match="if a process that uses the store is stopped"):
                in_time(lambda: verb(store))  # noqa: B023
        assert names(store) == before
        with contextlib.suppress(clusterdb.StoreBusyError):
            assert in_time(store.reclaim).put_off != ""
    change_the_store(store)
    assert_others(store)


CATALOG_VERBS: list[Callable[[clusterdb.Store], object]] = [
    lambda store: store.create_cluster("made", backup_retention_days=0),
    lambda store: store.cluster("other").clone("made"),
    lambda store: store.cluster("other-dev").delete(),
    lambda store: store.cluster("other").rename("made"),
]
"""What has to write to the catalog."""


WATCHED = [case for case in HOLDERS if case[0] != DROP]


@pytest.mark.parametrize(("work", "point"), WATCHED, ids=ids_of(WATCHED))
def test_store_can_be_checked_beside_a_stopped_verb(
    store: clusterdb.Store, start: Starter, work: str, point: str
) -> None:
    """check and dump need no lock that the stopped process holds."""
    with while_stopped(start(work, point)):
        assert in_time(store.check).problems == []
        assert "cluster other" in in_time(store.dump)


def test_every_named_point_has_a_case() -> None:
    """Every named point is among the cases of this package."""
    assert named_points() - {*PAST_POINTS, *REMOTE_POINTS, *ZONE_POINTS, HALT_POINT, UPGRADE_POINT} == {
        point for _, point, *_ in [*WRITERS, *FREE_VERBS, *DROPS, *HOLDERS]
    } - {""}
