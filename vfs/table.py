"""The copy-on-write page table: pure functions over immutable nodes, plus the editor of one write transaction.

A page table is a radix tree.  A node is one slot of 256 entries; entry ``i`` of a leaf names page ``i`` of the 256
pages that the leaf spans.  Level 0 are the leaves.  A position in the tree is (level, number): the node covering
pages ``number << 8*(level+1)`` and following.  Trees of one lineage share nodes, always at the same position.

Invariants
    T1  A published node is never written again.
    T2  ``birth`` of an entry is the version of the volume that wrote the child; it never exceeds the version of the
        root it is reached from, and a node is at least as young as everything below it.
    T3  Entries past the page count are holes.

T2 is what makes walks cheap: nothing below an entry born at or before version v was written after v.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import compress, islice
from operator import itemgetter
from typing import NamedTuple

from vfs.errors import CorruptionError
from vfs.layout import (
    DEPTH_MAX,
    ENTRY_BYTES,
    FANOUT,
    FANOUT_SHIFT,
    HOLE,
    SLOT_BYTES,
    SLOT_COUNT_MAX,
    SLOT_SHIFT,
    WORDS_PER_ENTRY,
    Entry,
    Version,
    depth_of,
    unpack_entry,
)

__all__ = [
    "Dirty",
    "Editor",
    "Reached",
    "count_born_after",
    "find_leaf",
    "only_in",
    "read_node",
    "reached",
    "verify_path",
]

ReadSlot = Callable[[int], memoryview]
_INDEXES = range(FANOUT)
_RECENT_NODES_MAX = 64
_FEW_VERSIONS = 4


def find_leaf(words: memoryview, root: int, depth: int, leaf_number: int) -> int:
    """The slot of a leaf (0: a hole), given the pool as 32-bit words."""
    slot = root
    for level in range(depth - 1, 0, -1):
        if not slot:
            return 0
        index = (leaf_number >> ((level - 1) << 3)) & 255
        slot = words[(slot << 10) + (index << 2)]
    return slot


def read_node(read_slot: ReadSlot, entry: Entry, where: str) -> memoryview:
    """The node an entry names, checked against its crc.

    Raises CorruptionError if the bytes do not match.
    """
    node = read_slot(entry.slot)
    if zlib.crc32(node) != entry.crc:
        raise CorruptionError(f"slot {entry.slot} ({where}, born in version {entry.birth}) fails its checksum")
    return node


def verify_path(read_slot: ReadSlot, version: Version, leaf_number: int) -> None:
    """Check the nodes on the way to a leaf, and the leaf, against their crcs.  Raises CorruptionError."""
    entry = version.root
    for level in range(version.depth - 1, -1, -1):
        if not entry.slot:
            return
        number = leaf_number >> (level << 3)
        node = read_node(read_slot, entry, f"page table, level {level}, number {number}")
        if level:
            entry = unpack_entry(node, (leaf_number >> ((level - 1) << 3)) & (FANOUT - 1))


class Reached(NamedTuple):
    """One slot of a walk: level -1 is a page, 0 a leaf, higher an inner node."""

    level: int
    number: int
    entry: Entry


def reached(read_slot: ReadSlot, version: Version, born_after: int = 0) -> Iterator[Reached]:
    """Every slot a version reaches that was born after ``born_after``, parents first.

    Nodes are checked against their crcs on the way (pages are not read).  Raises CorruptionError.
    """
    if version.depth:
        walk = _reached(read_slot, Reached(version.depth - 1, 0, version.root), born_after)
        yield from _bounded(walk, version)


def _bounded(walk: Iterator[Reached], version: Version) -> Iterator[Reached]:
    """The same, but a version reaches no more slots than it says: what unfolds to more contains itself."""
    yield from islice(walk, min(version.slot_count, SLOT_COUNT_MAX))
    if next(walk, None) is not None:
        raise CorruptionError(f"version {version.version} reaches more than its {version.slot_count} slots")


def _reached(read_slot: ReadSlot, at: Reached, born_after: int) -> Iterator[Reached]:
    if not at.entry.slot or at.entry.birth <= born_after:
        return
    yield at
    if at.level < 0:
        return
    node = read_node(read_slot, at.entry, f"page table, level {at.level}, number {at.number}")
    first = at.number << FANOUT_SHIFT
    for index in _young_entries(node, born_after, at.entry.birth):
        child = Reached(at.level - 1, first + index, unpack_entry(node, index))
        if at.level:
            yield from _reached(read_slot, child, born_after)
        elif child.entry.slot:
            yield child


def _young_entries(node: memoryview, born_after: int, newest: int) -> list[int]:
    """The indexes of the entries of a node, itself born in ``newest``, that were born after ``born_after``."""
    if newest - born_after > _FEW_VERSIONS:
        return list(compress(_INDEXES, map(born_after.__lt__, node.cast("Q")[1::2].tolist())))
    data, found = bytes(node), []
    for birth in range(born_after + 1, newest + 1):  # T2: there are no others; finding them beats looking at all
        pattern = birth.to_bytes(8, "little")
        at = data.find(pattern)
        while at >= 0:
            if at & (ENTRY_BYTES - 1) == ENTRY_BYTES // 2:
                found.append(at // ENTRY_BYTES)
            at = data.find(pattern, at + 1)
    found.sort()
    return found


def count_born_after(read_slot: ReadSlot, version: Version, born_after: int) -> int:
    """How many slots a version reaches that were born after ``born_after``; reads only the nodes among them.

    Raises CorruptionError.
    """
    if not version.depth or not version.root.slot or version.root.birth <= born_after:
        return 0
    count = 1
    stack = [Reached(version.depth - 1, 0, version.root)]
    while stack:
        level, number, entry = stack.pop()
        node = read_node(read_slot, entry, f"page table, level {level}, number {number}")
        young = _young_entries(node, born_after, entry.birth)
        count += len(young)
        if count > version.slot_count:
            raise CorruptionError(f"version {version.version} reaches more than its {version.slot_count} slots")
        if level:
            first = number << FANOUT_SHIFT
            stack += [Reached(level - 1, first + index, unpack_entry(node, index)) for index in young]
    return count


def only_in(read_slot: ReadSlot, version: Version, others: list[Version], born_after: int = 0) -> Iterator[Reached]:
    """The slots that ``version`` reaches, born after ``born_after``, and none of ``others`` does.

    All versions must be of one lineage (so that what they share, they share at the same position).  Subtrees that any
    of the others has too are skipped unread: the cost follows the difference, not the size.
    """
    if not version.depth:
        return
    level = version.depth - 1
    rivals = [entry for other in others for entry in _lift(read_slot, other, level)]
    walk = _only_in(read_slot, Reached(level, 0, version.root), rivals, others, born_after)
    yield from _bounded(walk, version)


def _lift(read_slot: ReadSlot, other: Version, level: int) -> list[Entry]:
    """The entries of ``other`` that can stand at position (level, 0)."""
    if other.depth <= level:
        return []
    entry = other.root
    for step in range(other.depth - 1, level, -1):  # a deeper tree: its first child has the same span
        if not entry.slot:
            return []
        entry = unpack_entry(read_node(read_slot, entry, f"page table, level {step}, number 0"), 0)
    return [entry]


def _only_in(
    read_slot: ReadSlot, at: Reached, rivals: list[Entry], shallower: list[Version], born_after: int
) -> Iterator[Reached]:
    entry = at.entry
    if not entry.slot or entry.birth <= born_after or any(rival.slot == entry.slot for rival in rivals):
        return
    yield at
    if at.level < 0:
        return
    node = read_node(read_slot, entry, f"page table, level {at.level}, number {at.number}")
    rival_nodes = [
        read_node(read_slot, rival, f"page table, level {at.level}, number {at.number}")
        for rival in rivals
        if rival.slot
    ]
    first = at.number << FANOUT_SHIFT
    for index in _unshared(node, rival_nodes, _young_entries(node, born_after, at.entry.birth)):
        child = unpack_entry(node, index)
        against = [unpack_entry(rival, index) for rival in rival_nodes]
        if at.number == 0 and index == 0:  # a shallower tree begins further down
            against += [other.root for other in shallower if other.depth == at.level]
        below = Reached(at.level - 1, first + index, child)
        yield from _only_in(read_slot, below, against, shallower, born_after)


def _unshared(node: memoryview, rivals: list[memoryview], indexes: list[int]) -> list[int]:
    """Those of the indexes where no rival has the node's own slot."""
    slots = node.cast("I")[::WORDS_PER_ENTRY].tolist()
    for rival in rivals:
        others = rival.cast("I")[::WORDS_PER_ENTRY].tolist()
        indexes = [index for index in indexes if slots[index] != others[index]]
    return indexes


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
