"""The copy-on-write page table, and the editor of one write transaction.

A page table is a radix tree.  A node is one slot of 256 entries; entry ``i`` of a leaf names page ``i`` of the 256
pages that the leaf spans.  Level 0 are the leaves.  A position in the tree is (level, number): the node covering
pages ``number << 8*(level+1)`` and following.  Trees of one lineage share nodes, always at the same position.

Invariants
    T1  A published node is never written again.
    T2  ``birth`` of an entry is the version of the volume that wrote the child; it never exceeds the version of the
        root it is reached from, and a node is at least as young as everything below it.
    T3  Entries past the page count are holes.

:mod:`vfs.storage.walk` reads page tables.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from operator import itemgetter

from vfs.format.layout import (
    DEPTH_MAX,
    ENTRY_BYTES,
    FANOUT,
    FANOUT_SHIFT,
    HOLE,
    SLOT_BYTES,
    SLOT_SHIFT,
    WORDS_PER_ENTRY,
    Entry,
    Version,
    depth_of,
    unpack_entry,
)
from vfs.storage.walk import ReadSlot, read_node

__all__ = ["Dirty", "Editor"]

_RECENT_NODES_MAX = 64


class Dirty:
    """A node being edited: its bytes, and views of them as 32- and 64-bit words."""

    __slots__ = ("data", "entry", "longs", "words")

    def __init__(self, data: bytearray, entry: Entry) -> None:
        self.data = data
        self.words = memoryview(data).cast("I")
        self.longs = memoryview(data).cast("Q")
        self.entry = entry  # what names it as published

    def set(self, index: int, slot: int, crc: int, birth: int) -> None:
        self.words[index << 2] = slot
        self.words[(index << 2) + 1] = crc
        self.longs[(index << 1) + 1] = birth


class Editor:
    """The page table of one write transaction: the base version, and dirty copies of the nodes it changes.

    ``superseded`` collects (slot, birth) of everything published that the new version no longer reaches;
    ``discarded`` the slots of this very transaction that it dropped again.  ``added_count`` counts the slots that
    the new version has and the base had not.
    """

    def __init__(self, read_slot: ReadSlot, base: Version, new_version: int, recent: dict[Entry, Dirty]) -> None:
        """``recent``: nodes that this process has just published, by their entries; those used are taken out."""
        self._read_slot = read_slot
        self._recent = recent
        self._new_version = new_version
        self.root = base.root
        self.depth = base.depth
        self.dirty: tuple[dict[int, Dirty], ...] = tuple({} for _ in range(DEPTH_MAX))  # by level, by number
        self.superseded: list[tuple[int, int]] = []
        self.discarded: list[int] = []
        self.added_count = 0

    # --- looking up -------------------------------------------------------------------------------------------------
    def _entry(self, level: int, number: int) -> Entry:
        """The entry that names a node or page within the tree's span, as edited so far."""
        if level == self.depth - 1:
            return self.root
        parent = self.dirty[level + 1].get(number >> FANOUT_SHIFT)
        if parent is not None:
            return unpack_entry(parent.data, number & (FANOUT - 1))
        above = self._entry(level + 1, number >> FANOUT_SHIFT)
        if not above.slot:
            return HOLE
        return unpack_entry(self._node(above), number & (FANOUT - 1))

    def _node(self, entry: Entry) -> memoryview:
        return read_node(self._read_slot, entry, "page table")

    # --- editing ----------------------------------------------------------------------------------------------------
    def leaf(self, number: int) -> Dirty:
        """The leaf, ready to be edited."""
        return self.dirty[0].get(number) or self._edit(0, number)

    def _edit(self, level: int, number: int) -> Dirty:
        """A node ready to be edited, and with it its parents, who will have to name its copy."""
        found = self.dirty[level].get(number)
        if found is not None:
            return found
        if level == self.depth - 1:
            entry = self.root
        else:
            parent = self._edit(level + 1, number >> FANOUT_SHIFT)
            entry = unpack_entry(parent.data, number & (FANOUT - 1))
        found = self._recent.pop(entry, None)
        if found is None:
            if entry.slot:
                where = f"page table, level {level}, number {number}"
                found = Dirty(bytearray(read_node(self._read_slot, entry, where)), entry)
            else:
                found = Dirty(bytearray(SLOT_BYTES), entry)
        self.dirty[level][number] = found
        return found

    def _is_dirty(self, level: int, number: int) -> bool:
        return level >= 0 and number in self.dirty[level]

    def is_unchanged(self) -> bool:
        """Whether nothing was edited."""
        return not any(self.dirty) and not self.superseded

    def grow(self, page_count: int) -> None:
        """Deepen the tree until it spans ``page_count`` pages."""
        depth = depth_of(page_count)
        while self.depth < depth:
            old = self.root
            self.depth += 1
            if self.depth > 1 and (old.slot or 0 in self.dirty[self.depth - 2]):
                top = Dirty(bytearray(SLOT_BYTES), HOLE)
                top.set(0, *old)
                self.dirty[self.depth - 1][0] = top
            self.root = HOLE

    def set_page(self, page: int, slot: int, crc: int) -> None:
        """The page now lives in ``slot`` (a slot of this transaction)."""
        leaf = self.leaf(page >> FANOUT_SHIFT)
        index = page & (FANOUT - 1)
        old = leaf.words[index << 2]
        if old != slot:
            if old:
                self.drop(old, leaf.longs[(index << 1) + 1])
            self.added_count += 1
        leaf.set(index, slot, crc, self._new_version)

    def drop(self, slot: int, birth: int) -> None:
        """The new version no longer reaches ``slot``."""
        if birth == self._new_version:
            self.discarded.append(slot)
        else:
            self.superseded.append((slot, birth))
        self.added_count -= 1

    def truncate(self, page_count: int) -> None:
        """Make everything from page ``page_count`` on a hole and drop levels no longer needed (T3)."""
        self._truncate(self.depth - 1, 0, page_count)
        depth = depth_of(page_count)
        while self.depth > depth:
            self._pop_root()

    def _truncate(self, level: int, number: int, page_count: int) -> None:
        if level < 0:
            return
        span_shift = level << 3
        first = number << FANOUT_SHIFT
        entry = self._entry(level, number)
        if not entry.slot and number not in self.dirty[level]:
            return
        keep_whole = page_count >> span_shift  # children before this number stay whole
        partial = page_count & ((1 << span_shift) - 1) if level else 0
        node: Dirty | None = self.dirty[level].get(number)
        source = node.data if node is not None else self._node(entry)
        for index in range(FANOUT):
            child_number = first + index
            if child_number < keep_whole:
                continue
            if level and child_number == keep_whole and partial:
                self._truncate(level - 1, child_number, page_count)
                continue
            child = unpack_entry(source, index)
            if not child.slot and not self._is_dirty(level - 1, child_number):
                continue
            self._drop_subtree(level - 1, child_number, child)
            if node is None:
                node = self._edit(level, number)
                source = node.data
            node.set(index, *HOLE)

    def _drop_subtree(self, level: int, number: int, entry: Entry) -> None:
        if level >= 0:
            node = self.dirty[level].pop(number, None)
            data = node.data if node is not None else self._node(entry)
            first = number << FANOUT_SHIFT
            for index in range(FANOUT):
                child = unpack_entry(data, index)
                if child.slot or self._is_dirty(level - 1, first + index):
                    self._drop_subtree(level - 1, first + index, child)
            if node is not None:
                entry = node.entry
        if entry.slot:
            self.drop(entry.slot, entry.birth)

    def _pop_root(self) -> None:
        """The root loses its level: its first child is the new root."""
        level = self.depth - 1
        top = self.dirty[level].pop(0, None)
        old = top.entry if top is not None else self.root
        if level == 0:  # an empty volume
            self.root = HOLE
        elif top is not None:
            self.root = unpack_entry(top.data, 0)
        else:
            self.root = unpack_entry(self._node(old), 0) if old.slot else HOLE
        if old.slot:
            self.drop(old.slot, old.birth)
        self.depth -= 1

    # --- sealing ----------------------------------------------------------------------------------------------------
    def node_count(self) -> int:
        """How many nodes :meth:`seal` will place."""
        return sum(map(len, self.dirty))

    def seal(self, place: Callable[[bytearray], int]) -> Entry:
        """Give every dirty node a slot, leaves first, and return the root entry.

        ``place(node)`` takes a slot for the node and remembers to write it.
        """
        for level in range(self.depth):
            for number, node in sorted(self.dirty[level].items(), key=itemgetter(0)):
                if node.entry.slot:
                    self.drop(node.entry.slot, node.entry.birth)
                self.added_count += 1
                entry = node.entry = Entry(place(node.data), zlib.crc32(node.data), self._new_version)
                if level == self.depth - 1:
                    self.root = entry
                else:
                    self._edit(level + 1, number >> FANOUT_SHIFT).set(number & (FANOUT - 1), *entry)
        return self.root

    def published(self) -> dict[Entry, Dirty]:
        """After :meth:`seal`: the nodes of a small transaction, for the next one."""
        if self.node_count() > _RECENT_NODES_MAX:
            return {}
        return {node.entry: node for level in self.dirty for node in level.values()}


assert ENTRY_BYTES == WORDS_PER_ENTRY * 4 and SLOT_BYTES == 1 << SLOT_SHIFT
