"""The page table against a model: versions as dictionaries of pages, slots as sets."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.vfs.pages import ZEROS
from vfs.errors import (
    CorruptionError,
)
from vfs.format.layout import HOLE, SLOT_BYTES, Entry, Version
from vfs.storage.page_table import Dirty, Editor
from vfs.storage.walk import find_leaf, only_in, reached


class Slots:
    """A pool in a list, for page tables without a store."""

    def __init__(self) -> None:
        self.contents: list[bytes] = [ZEROS]

    def place(self, node: bytes | bytearray) -> int:
        self.contents.append(bytes(node))
        return len(self.contents) - 1

    def read(self, slot: int) -> memoryview:
        return memoryview(self.contents[slot])


table_pages = st.one_of(
    st.integers(0, 5), st.sampled_from([255, 256, 300, 65_535, 65_536, 70_000, 1 << 24, (1 << 24) + 300])
)
table_steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), table_pages),
        st.tuples(st.just("set again"), table_pages),
        st.tuples(st.just("truncate"), table_pages),
        st.tuples(st.just("grow"), table_pages),
    ),
    max_size=8,
)


@dataclass
class Step:
    """A version of a table, and what its pages are by the model."""

    version: Version
    pages: dict[int, Entry]

    def slots(self, pool: Slots, born_after: int = 0) -> set[int]:
        return {at.entry.slot for at in reached(pool.read, self.version, born_after)}


def make_version(number: int, page_count: int, root: Entry) -> Version:
    return Version(1, number, number, page_count * SLOT_BYTES, 1 << 20, 0, 0, root)


def edit(
    pool: Slots, base: Step, number: int, steps: list[tuple[str, int]], recent: dict[Entry, Dirty]
) -> tuple[Step, Editor]:
    """Apply steps to a version with an Editor and to its model with dictionary operations."""
    editor = Editor(pool.read, base.version, number, recent)
    pages, page_count = dict(base.pages), base.version.page_count
    for verb, page in steps:
        if verb in ("set", "set again"):
            own = page in pages and pages[page].birth == number
            slot = pages[page].slot if own and verb == "set again" else pool.place(b"")
            page_count = max(page_count, page + 1)
            editor.grow(page_count)
            editor.set_page(page, slot, slot + 7)
            pages[page] = Entry(slot, slot + 7, number)
        elif verb == "truncate" and page < page_count:
            editor.truncate(page)
            pages = {kept: entry for kept, entry in pages.items() if kept < page}
            page_count = page
        elif verb == "grow":
            page_count = max(page_count, page)
    editor.grow(page_count)
    root = editor.seal(pool.place)
    return Step(make_version(number, page_count, root), pages), editor


def history(pool: Slots, edits: list[list[tuple[str, int]]]) -> Iterator[tuple[Step, Step, Editor]]:
    """(before, after, editor) of one version after the other."""
    before = Step(make_version(1, 0, HOLE), {})
    recent: dict[Entry, Dirty] = {}
    for number, steps in enumerate(edits, 2):
        after, editor = edit(pool, before, number, steps, recent)
        yield before, after, editor
        before, recent = after, editor.published()


histories = st.lists(table_steps, min_size=1, max_size=6)


@settings(deadline=None, max_examples=80)
@given(histories)
def test_table_names_the_pages_that_were_set(edits: list[list[tuple[str, int]]]) -> None:
    """Walks and look-ups find what was set and not truncated since, and nothing else."""
    pool = Slots()
    for _, after, _ in history(pool, edits):
        entries = {at.number: at.entry for at in reached(pool.read, after.version) if at.level < 0}
        assert entries == after.pages
        words = memoryview(b"".join(content.ljust(SLOT_BYTES, b"\0") for content in pool.contents)).cast("I")
        for page, entry in after.pages.items():
            leaf = find_leaf(words, after.version.root.slot, after.version.depth, page >> 8)
            assert leaf and words[(leaf << 10) + ((page & 255) << 2)] == entry.slot


@settings(deadline=None, max_examples=80)
@given(histories)
def test_edit_accounts_for_every_slot(edits: list[list[tuple[str, int]]]) -> None:
    """Superseded is what the new version no longer reaches; counts and leftovers add up."""
    pool = Slots()
    for before, after, editor in history(pool, edits):
        old, new = before.slots(pool), after.slots(pool)
        superseded = [slot for slot, _ in editor.superseded]
        assert len(superseded) == len(set(superseded)) and set(superseded) == old - new
        births = {at.entry.slot: at.entry.birth for at in reached(pool.read, before.version)}
        assert all(births[slot] == birth for slot, birth in editor.superseded)
        assert editor.added_count == len(new) - len(old)
        assert not set(editor.discarded) & (old | new)
        assert len(editor.discarded) == len(set(editor.discarded))


@settings(deadline=None, max_examples=80)
@given(histories)
@example([[("set", 0)], [("set", 300)], [("set", 70_000)], [("truncate", 1)]])
def test_walks_are_set_differences(edits: list[list[tuple[str, int]]]) -> None:
    """``only_in`` gives what no other version of the lineage has, ``born_after`` what is younger; each slot once."""
    pool = Slots()
    steps = [after for _, after, _ in history(pool, edits)]
    for one in steps:
        births = {at.entry.slot: at.entry.birth for at in reached(pool.read, one.version)}
        for born_after in {0, one.version.version // 2, one.version.version}:
            young = {slot for slot, birth in births.items() if birth > born_after}
            assert one.slots(pool, born_after) == young
            for others in ([], *([other] for other in steps), [other for other in steps if other is not one]):
                walk = only_in(pool.read, one.version, [other.version for other in others], born_after)
                slots = [at.entry.slot for at in walk]
                assert len(slots) == len(set(slots))
                assert set(slots) == young.difference(*(other.slots(pool) for other in others))


def test_walk_stops_at_a_damaged_node() -> None:
    """A node that fails its checksum is reported, not followed."""
    pool = Slots()
    ((_, after, _),) = history(pool, [[("set", 0), ("set", 300)]])
    leaf = next(at.entry.slot for at in reached(pool.read, after.version) if at.level == 0)
    pool.contents[leaf] = pool.contents[leaf][:-1] + b"\1"
    with pytest.raises(CorruptionError, match=f"slot {leaf} .* fails its checksum"):
        list(reached(pool.read, after.version))


def test_changed_bytes_change_the_crc() -> None:
    """The model's own premise: entries carry the crc32 of what they name."""
    pool = Slots()
    ((_, after, _),) = history(pool, [[("set", 1)]])
    assert after.version.root.crc == zlib.crc32(pool.contents[after.version.root.slot])
