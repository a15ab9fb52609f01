"""Walks of page tables with absurd entries end."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.distrust.pools import POOL_SLOTS, Pool, node_of, node_that_contains_itself, sizes, words32, words64
from vfs.errors import CorruptionError
from vfs.format import layout
from vfs.format.layout import SLOT_BYTES, Entry, Version
from vfs.storage.walk import only_in, reached, read_node, verify_path


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, Version, Version]:
    """Nodes with any entries, many of them with right checksums, and two versions that begin somewhere."""
    pool = Pool([bytes(SLOT_BYTES)])
    births = st.one_of(st.integers(0, 12), words64)

    def entry() -> Entry:
        slot = draw(st.one_of(st.integers(0, POOL_SLOTS), words32))
        right = pool.entry(slot, draw(births))
        return right if draw(st.integers(0, 9)) else right._replace(crc=draw(words32))

    for _ in range(POOL_SLOTS):
        count = draw(st.integers(0, 4))
        pool.slots.append(node_of({draw(st.integers(0, 255)): entry() for _ in range(count)}))

    def version() -> Version:
        return Version(1, draw(births), draw(births), draw(sizes), draw(words64), draw(words64), 0, entry())

    return pool, version(), version()


def walks_end(pool: Pool, one: Version, other: Version, born_after: int, leaf_number: int) -> None:
    """Every walk of the versions ends, with what is in the pool or with CorruptionError."""
    walks: list[Callable[[], object]] = [
        lambda: all(at.entry.slot and -1 <= at.level < one.depth for at in reached(pool.read, one, born_after)),
        lambda: all(at.entry.slot for at in only_in(pool.read, one, [other], born_after)),
        lambda: verify_path(pool.read, one, leaf_number) is None,
        lambda: zlib.crc32(read_node(pool.read, one.root, "root")) == one.root.crc,
    ]
    for walk in walks:
        with contextlib.suppress(CorruptionError):
            assert walk()


@settings(deadline=None, max_examples=60)
@given(pools(), words64, words64)
def test_walks_of_absurd_page_tables_end(
    drawn: tuple[Pool, Version, Version], born_after: int, leaf_number: int
) -> None:
    """Absurd slots, births, depths: a walk ends, with what is there or with CorruptionError."""
    walks_end(*drawn, born_after % 16, leaf_number)


@pytest.mark.slow
@settings(deadline=None, max_examples=5_000)
@given(pools(), words64, words64)
def test_walks_of_absurd_page_tables_end_at_length(
    drawn: tuple[Pool, Version, Version], born_after: int, leaf_number: int
) -> None:
    """More examples of the test above."""
    walks_end(*drawn, born_after % 16, leaf_number)


def bomb(count: int, size_bytes: int) -> tuple[Pool, Version]:
    """A pool with a root that contains itself so many times."""
    node, entry = node_that_contains_itself(1, 3, count)
    assert zlib.crc32(node) == entry.crc
    return Pool([bytes(SLOT_BYTES), node]), Version(1, 3, 3, size_bytes, 10, 10, 0, entry)


@pytest.mark.parametrize("size_bytes", [1 << 20, 1 << 28, (1 << 64) - 1])
def test_walk_of_a_circular_node_ends_at_the_depth(size_bytes: int) -> None:
    """A circle ends at the depth of the page table."""
    pool, version = bomb(1, size_bytes)
    walks_end(pool, version, version._replace(root=layout.HOLE), 0, 0)


def test_walk_of_a_fully_circular_node_reports_damage() -> None:
    """A few slots cannot unfold to billions of pages: the walk reports damage."""
    pool, version = bomb(255, 1 << 32)
    with pytest.raises(CorruptionError):
        list(reached(pool.read, version))


def test_comparison_with_a_fully_circular_node_reports_damage() -> None:
    """A comparison of two versions reports damage, too."""
    pool, version = bomb(255, 1 << 32)
    with pytest.raises(CorruptionError):
        list(only_in(pool.read, version, []))
