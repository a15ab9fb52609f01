"""Fenced writers publish nothing."""

from __future__ import annotations

import threading

import apsw
import pytest

import clusterdb
from tests.core.races.family import PROD, UNPUBLISHED, Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import (
    at,
    filled,
    letters,
    letters_of,
    rewrite,
)
from tests.support.stores import extended_result
from vfs.storage.volumes import fence_writers


def fence(store: clusterdb.Store, name: str) -> None:
    """Begin a new epoch of a cluster, as a failover does."""
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None
    fence_writers(pages_of(store), row)


def test_fenced_writer_does_not_block_the_next_one(open_store: Opener) -> None:
    """A writer fenced in the middle of a transaction: the next one writes at once, nothing of the old is seen."""
    store, other = open_store(), open_store()
    old = filled(store, PROD, 60, "a")
    old.execute("BEGIN IMMEDIATE; UPDATE t SET v = replace(v, 'a', 'x')")
    fence(other, PROD)
    new = other.cluster(PROD).connect()
    new.set_busy_timeout(0)
    rewrite(new, "b")
    with pytest.raises(apsw.IOError, match="failover"):
        old.execute("COMMIT")
    rewrite(new, "c")
    with pytest.raises(apsw.ReadOnlyError, match="failover") as caught:
        old.execute("SELECT * FROM t")
    assert extended_result(caught.value) == apsw.SQLITE_READONLY_DBMOVED
    old.close()
    rewrite(new, "d")
    new.close()
    assert letters_of(store, PROD) == {"d": 60}


@pytest.mark.parametrize("point", UNPUBLISHED)
def test_fence_waits_for_a_commit_that_is_being_published(open_store: Opener, point: str) -> None:
    """A failover waits for a commit that is being published: it counts, and the new writer builds on it (V5)."""
    store, other = open_store(), open_store()
    old = filled(store, PROD, 60, "a")
    fencing = threading.Thread(target=lambda: fence(other, PROD))

    def meanwhile() -> None:
        fencing.start()
        fencing.join(0.05)
        assert fencing.is_alive()

    with at(point, meanwhile):
        rewrite(old, "b")
    fencing.join()
    new = other.cluster(PROD).connect()
    assert letters(new) == {"b": 60}
    rewrite(new, "c")
    with pytest.raises(apsw.ReadOnlyError, match="failover"):
        rewrite(old, "x")
    old.close()
    new.close()
    assert letters_of(store, PROD) == {"c": 60}


def test_readers_are_not_fenced(store: clusterdb.Store) -> None:
    """A read-only connection reads on through a failover."""
    filled(store, PROD, 60, "a").close()
    reader = store.cluster(PROD).connect(read_only=True)
    fence(store, PROD)
    assert letters(reader) == {"a": 60}
    reader.close()
