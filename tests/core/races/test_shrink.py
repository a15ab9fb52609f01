"""Shrinking the pool while others work."""

from __future__ import annotations

from pathlib import Path

import clusterdb
from tests.core.races.family import Opener
from tests.support.mishaps import (
    at,
    fill,
    filled,
    letters,
    letters_of,
    rewrite,
)
from tests.support.stores import assert_clean, rows


def test_shrink_frees_space_while_others_work(open_store: Opener) -> None:
    """The pool takes less room on the disk, everything is as it was, and nobody had to wait (M3)."""
    store, other = open_store(), open_store()
    neighbour = filled(store, "first", 50, "a")
    filled(store, "hole", 2000, "h").close()
    filled(store, "second", 50, "b").close()
    filled(store, "tail", 2000, "t").close()
    elsewhere = other.cluster("second").connect()
    assert letters(elsewhere) == {"b": 50}
    for name in ("hole", "tail"):
        store.cluster(name).delete()
    assert rows(neighbour, "BEGIN; SELECT count(*) FROM t") == [(50,)]
    before = store.stats().pool_bytes
    with at("shrink: tail cut", lambda: [rewrite(elsewhere, "c"), fill(elsewhere, 600, "d")]):
        given_back = store.shrink()
    after = store.stats().pool_bytes
    assert given_back > 0 and after < before // 2
    assert letters(neighbour) == {"a": 50}
    neighbour.execute("COMMIT")
    assert letters_of(store, "second") == {"d": 600} == letters(elsewhere)
    filled(other, "new", 3000, "n").close()  # where there was nothing a moment ago
    assert letters_of(store, "new") == {"n": 3000}
    assert letters_of(store, "first") == {"a": 50}
    assert_clean(store)


def test_shrink_truncates_free_space_at_the_end_of_the_pool(path: Path, store: clusterdb.Store) -> None:
    """Free space at the end shortens the file; a second time there is nothing left to give."""
    filled(store, "prod", 50, "a").close()
    length = (path / "pool").stat().st_size
    filled(store, "big", 2000, "b").close()
    store.cluster("big").delete()
    assert store.shrink() > 0
    assert (path / "pool").stat().st_size <= length
    assert store.shrink() == 0
    assert letters_of(store, "prod") == {"a": 50}
