"""Headers and rows of ``map`` and ``readers`` that cannot be."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import clusterdb
from tests.core.distrust.family import NAMED, assert_is_the_family, copy_of, in_child, put_word, quick, survives
from tests.core.distrust.pools import words64
from tests.support.stores import assert_clean, rows
from vfs.format import shared
from vfs.format.shared import (
    SESSION_TABLE_BYTE,
    VOLUME_TABLE_BYTE,
    MapHeader,
    ReadersHeader,
    SessionRecord,
    VolumeRecord,
)

MAP_WORDS = 12
READERS_WORDS = [
    *range(4),
    *range(VOLUME_TABLE_BYTE // 8, VOLUME_TABLE_BYTE // 8 + 6 * shared.ROW_WORDS),
    *range(SESSION_TABLE_BYTE // 8, SESSION_TABLE_BYTE // 8 + 3 * shared.ROW_WORDS),
]
near = st.integers(0, 300)
absurd_words = st.one_of(
    near, near.map(lambda n: (1 << 64) - 1 - n), words64, st.sampled_from([1 << bit for bit in range(64)])
)
damaged_words = st.lists(
    st.one_of(
        st.tuples(st.just("map"), st.integers(0, MAP_WORDS - 1), absurd_words),
        st.tuples(st.just("readers"), st.sampled_from(READERS_WORDS), absurd_words),
    ),
    min_size=1,
    max_size=4,
)


WORD_CASES = [
    ("map", MapHeader.word("magic"), "map magic"),
    ("map", MapHeader.word("boot_low"), "boot"),
    ("map", MapHeader.word("inode"), "inode"),
    ("map", MapHeader.word("slot_count"), "slot count"),
    ("map", MapHeader.word("hint"), "hint"),
    ("map", MapHeader.word("epoch"), "epoch"),
    ("map", MapHeader.word("leaks"), "leaks"),
    ("map", MapHeader.word("sweeping"), "sweeping"),
    ("readers", ReadersHeader.word("magic"), "readers magic"),
    ("readers", ReadersHeader.word("session_high"), "session high"),
    ("readers", ReadersHeader.word("volume_hint"), "volume hint"),
    ("readers", VOLUME_TABLE_BYTE // 8 + VolumeRecord.word("id"), "volume id"),
    ("readers", VOLUME_TABLE_BYTE // 8 + VolumeRecord.word("version"), "volume version"),
    ("readers", VOLUME_TABLE_BYTE // 8 + VolumeRecord.word("durable"), "volume durable"),
    ("readers", VOLUME_TABLE_BYTE // 8 + VolumeRecord.word("pins"), "volume pins"),
    ("readers", VOLUME_TABLE_BYTE // 8 + VolumeRecord.word("cleanup"), "volume chores"),
]


@pytest.mark.parametrize(("file", "at", "what"), [pytest.param(*case, id=case[2]) for case in WORD_CASES])
def test_absurd_word_in_map_or_readers_is_refused_rebuilt_or_harmless(
    family: Path, file: str, at: int, what: str
) -> None:
    """An impossible word of ``map`` or ``readers`` is refused, rebuilt, or harmless."""
    for word in (0, 1, 1 << 32, (1 << 64) - 1):
        with copy_of(family) as path:
            put_word(path, file, at, word)
            try:
                survives(path)
            except AssertionError as error:
                raise AssertionError(f"{what} = {word:#x}") from error


SESSION_CASES = {
    "session volume": SessionRecord.word("volume"),
    "session pin": SessionRecord.word("pin"),
    "session flag": SessionRecord.word("publishing"),
}


@pytest.mark.parametrize("field", [pytest.param(value, id=name) for name, value in SESSION_CASES.items()])
def test_absurd_row_of_a_dead_session_is_removed(family: Path, field: int) -> None:
    """A session row without an owner is removed, whatever it contains."""
    for word in (1, 9, 1 << 32, (1 << 64) - 1):
        with copy_of(family) as path:
            at = SESSION_TABLE_BYTE // 8 + 2 * shared.ROW_WORDS
            put_word(path, "readers", ReadersHeader.word("session_high"), 3)
            put_word(path, "readers", at + SessionRecord.word("owner"), 4711)
            put_word(path, "readers", at + field, word)
            survives(path)


def test_sweep_killed_at_its_beginning_is_repeated(own: Path) -> None:
    """A process that is killed at the beginning of the first sweep of a boot does no harm."""
    put_word(own, "map", MapHeader.word("epoch"), 0)
    put_word(own, "map", MapHeader.word("sweeping"), 1)
    assert_is_the_family(own)


def test_pool_is_never_truncated_by_a_damaged_map(tmp_path: Path) -> None:
    """A map with too short a pool length is not believed: the data behind it remains."""
    with clusterdb.open(tmp_path / "store") as store:
        connection = store.create_cluster("big").connect()
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(3000000)), ('last')")
        connection.close()
    size = (tmp_path / "store" / "pool").stat().st_size
    put_word(tmp_path / "store", "map", MapHeader.word("slot_count"), 64)

    def write_more() -> None:
        with contextlib.suppress(*NAMED), clusterdb.open(tmp_path / "store") as store:
            connection = store.create_cluster("new").connect()
            connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(100000))")

    def read() -> None:
        with clusterdb.open(tmp_path / "store") as store:
            assert rows(store.cluster("big").connect(), "SELECT x FROM t WHERE x = 'last'") == [("last",)]
            assert_clean(store)

    in_child(write_more)
    assert (tmp_path / "store" / "pool").stat().st_size >= size
    in_child(read)


def use_with_damaged_words(family: Path, words: list[tuple[str, int, int]]) -> None:
    """Overwrite the words of a copy, and use it."""
    with copy_of(family) as path:
        for word in words:
            put_word(path, *word)
        survives(path)


@settings(quick, max_examples=25)
@given(words=damaged_words)
@example(words=[("map", MapHeader.word("epoch"), (1 << 64) - 1)])
def test_any_words_in_map_and_readers_give_right_data_or_a_named_error(
    family: Path, words: list[tuple[str, int, int]]
) -> None:
    """Any words in the headers and rows of ``map`` and ``readers`` give right data or a named error."""
    use_with_damaged_words(family, words)


@pytest.mark.slow
@settings(quick, max_examples=250)
@given(words=damaged_words)
@example(words=[("map", MapHeader.word("epoch"), (1 << 64) - 1)])
def test_any_words_in_map_and_readers_at_length(family: Path, words: list[tuple[str, int, int]]) -> None:
    """More examples of the test above."""
    use_with_damaged_words(family, words)
