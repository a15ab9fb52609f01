"""xRead, xWrite, xTruncate and xFileSize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import clusterdb
from tests.support.inside import vfs_of
from tests.support.stores import assert_clean
from tests.vfs.contract.files import (
    MAIN,
    MAIN_READONLY,
    NONE,
    SHARED,
    Open,
    commit,
    pattern,
    roll_back,
    store_bytes,
    stored,
    write_locked,
)


# --- reading ----------------------------------------------------------------------------------------------------------
def test_new_cluster_is_an_empty_file(opened: Open) -> None:
    """Size zero, and nothing to read anywhere."""
    file = opened()
    file.xLock(SHARED)
    assert file.xFileSize() == 0
    assert bytes(file.xRead(100, 0)) == b""
    assert bytes(file.xRead(16, 24)) == b""
    file.xUnlock(NONE)


@pytest.mark.parametrize("size", [1, 511, 4095, 4096, 4097, 3 * 4096 + 5])
def test_reads_are_short_at_the_end_only(opened: Open, size: int) -> None:
    """A read gives what there is: all of it before the end, the rest across it, nothing beyond."""
    file, data = opened(), pattern(size)[:-1] + b"\xff"  # apsw cannot tell zeros at the end of a short read from none
    store_bytes(file, data)
    file.xLock(SHARED)
    assert file.xFileSize() == size
    for offset in {0, 1, size // 2, size - 1, size, size + 1, size + 5000}:
        for amount in (1, 16, 4096, 10000):
            assert bytes(file.xRead(amount, offset)) == data[offset : offset + amount], (amount, offset)
    file.xUnlock(NONE)


@pytest.mark.parametrize("gap", [1, 4096, 5000, 300 * 4096])
def test_holes_read_as_zeros(opened: Open, gap: int) -> None:
    """Bytes skipped by a write beyond the end read as zeros, staged and stored."""
    file = opened()
    write_locked(file)
    file.xWrite(b"first", 0)
    file.xWrite(b"last", 5 + gap)
    expected = b"first" + bytes(gap) + b"last"
    assert file.xFileSize() == len(expected)
    assert bytes(file.xRead(len(expected), 0)) == expected
    commit(file)
    assert stored(file) == expected


def test_reader_keeps_its_version_while_others_commit(opened: Open) -> None:
    """From SHARED to NONE nothing that a reader sees changes."""
    reader, writer = opened(), opened()
    store_bytes(writer, pattern(5 * 4096, seed=1))
    reader.xLock(SHARED)
    for seed in range(2, 12):
        store_bytes(writer, pattern(4 * 4096 + 100 * seed, seed), 0)
        write_locked(writer)
        writer.xTruncate(4096 * (seed % 3 + 1))
        commit(writer)
        assert reader.xFileSize() == 5 * 4096
        assert bytes(reader.xRead(5 * 4096, 0)) == pattern(5 * 4096, seed=1)
    reader.xUnlock(NONE)
    assert stored(reader) == pattern(4 * 4096 + 1100, 11)[: 3 * 4096]


# --- writing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("offset", [0, 1, 24, 4000, 4095, 4096, 6000, 8192, 12287])
def test_write_changes_exactly_its_bytes(opened: Open, offset: int) -> None:
    """Less than a page, more than one, straddling: exactly the bytes written change."""
    file, reader, expected = opened(), opened(), pattern(3 * 4096)
    store_bytes(file, expected)
    for amount in (1, 16, 512, 4096, 4097, 9000):
        expected = expected[:offset] + pattern(amount, seed=99 + amount) + expected[offset + amount :]
        write_locked(file)
        file.xWrite(pattern(amount, seed=99 + amount), offset)
        assert bytes(file.xRead(len(expected), 0)) == expected
        commit(file)
        assert stored(file) == stored(reader) == expected


def test_write_does_not_keep_the_buffer_it_was_given(opened: Open) -> None:
    """SQLite reuses its page buffers; what was written stays what it was."""
    file, buffer = opened(), bytearray(pattern(4096))
    write_locked(file)
    file.xWrite(bytes(buffer), 0)
    buffer[:] = bytes(4096)
    commit(file)
    assert stored(file) == pattern(4096)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 5000, 8192])
def test_truncated_bytes_are_zeros_after_growing(opened: Open, size: int) -> None:
    """After a truncation growing again brings zeros, not the old bytes."""
    file, data = opened(), pattern(3 * 4096)
    store_bytes(file, data)
    write_locked(file)
    file.xTruncate(size)
    assert file.xFileSize() == size
    assert bytes(file.xRead(3 * 4096, 0)) == data[:size]
    commit(file)
    assert stored(opened()) == data[:size]
    write_locked(file)
    file.xTruncate(3 * 4096)
    commit(file)
    assert stored(opened()) == data[:size] + bytes(3 * 4096 - size)


def test_bytes_truncated_and_grown_in_a_transaction_are_zeros(opened: Open) -> None:
    """Cut and grown in one transaction, the cut part is zeros."""
    file, data = opened(), pattern(600 * 4096)
    store_bytes(file, data)
    write_locked(file)
    file.xTruncate(300 * 4096 + 10)
    file.xTruncate(500 * 4096)
    file.xTruncate(2 * 4096 + 1)
    file.xTruncate(600 * 4096)
    commit(file)
    assert stored(opened()) == data[: 2 * 4096 + 1] + bytes(598 * 4096 - 1)


Change = tuple[str, int, int, int]
changes = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40_000), st.integers(1, 9000), st.integers(0, 255)),
        st.tuples(st.just("truncate"), st.integers(0, 40_000), st.just(0), st.just(0)),
        st.tuples(st.sampled_from(["commit", "roll back"]), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def _play(file: Any, reader: Any, steps: list[Change]) -> None:
    committed, now = stored(file), bytearray(stored(file))
    write_locked(file)
    for what, offset, amount, seed in steps:
        if what == "write":
            now.extend(bytes(max(0, offset - len(now))))
            now[offset : offset + amount] = pattern(amount, seed)
            file.xWrite(pattern(amount, seed), offset)
        elif what == "truncate":
            now.extend(bytes(max(0, offset - len(now))))
            del now[offset:]
            file.xTruncate(offset)
        else:
            if what == "commit":
                committed = bytes(now)
                commit(file)
            else:
                now = bytearray(committed)
                roll_back(file)
            assert stored(file) == stored(reader) == committed
            write_locked(file)
        assert file.xFileSize() == len(now)
        # apsw cannot tell zeros at the end of a short read from none
        assert bytes(file.xRead(len(now) + 1, 0)).ljust(len(now), b"\0") == now
    roll_back(file)
    assert stored(reader) == committed


CUT_AND_GROWN: list[Change] = [
    ("write", 0, 1, 1),
    ("truncate", 2, 0, 0),
    ("commit", 0, 0, 0),
    ("truncate", 0, 0, 0),
    ("truncate", 2, 0, 0),
    ("commit", 0, 0, 0),
]
WRITTEN_AHEAD_TWICE: list[Change] = [("write", 0, 8193, 0), ("write", 0, 1, 1), ("commit", 0, 0, 0)]


@pytest.mark.parametrize("staged_max", [2, 2048])
@pytest.mark.parametrize("where", [":memory:", "disk"])
def test_file_behaves_like_an_array_of_bytes(
    where: str, staged_max: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any sequence of writes, truncations, commits and rollbacks, also with pages written ahead of the commit."""
    monkeypatch.setattr("vfs.storage.writer.STAGED_PAGES_MAX", staged_max)

    @settings(max_examples=25, deadline=None)
    @given(changes)
    @example(CUT_AND_GROWN)
    @example(WRITTEN_AHEAD_TWICE)
    def play(steps: list[Change]) -> None:
        cluster = store.create_cluster("prod")
        file, reader = vfs_of(store).xOpen("prod", [MAIN, 0]), vfs_of(store).xOpen("prod", [MAIN_READONLY, 0])
        try:
            _play(file, reader, steps)
        finally:
            file.xClose()
            reader.xClose()
            cluster.delete()
        assert_clean(store)

    with clusterdb.open(where if where == ":memory:" else tmp_path / "store") as store:
        play()


def test_page_written_ahead_twice_takes_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that left memory before the commit and then changed again leave no slot behind."""
    monkeypatch.setattr("vfs.storage.writer.STAGED_PAGES_MAX", 2)
    with clusterdb.open(":memory:") as store:
        store.create_cluster("prod")
        file = vfs_of(store).xOpen("prod", [MAIN, 0])
        store_bytes(file, bytes(8193))
        write_locked(file)
        for seed in range(20):
            file.xWrite(pattern(5 * 4096, seed), 0)
        commit(file)
        file.xClose()
        assert_clean(store)


def test_file_truncated_to_nothing_and_grown_is_all_zeros(opened: Open) -> None:
    """A transaction that ends with the size it began with has still changed what was cut off."""
    file = opened()
    store_bytes(file, pattern(4096))
    write_locked(file)
    file.xTruncate(0)
    file.xTruncate(4096)
    commit(file)
    assert stored(opened()) == bytes(4096)
