"""Walks of page tables, read-only: the walk of one version, and the walk of the slots that several do not share.

A page table is a radix tree, see :mod:`vfs.storage.page_table`, whose invariants T1 to T3 hold here too.  T2 keeps
walks cheap: nothing below an entry born at or before version v was written after v.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, islice
from typing import NamedTuple

from vfs.errors import CorruptionError
from vfs.format.layout import (
    ENTRY_BYTES,
    FANOUT,
    FANOUT_SHIFT,
    HOLE,
    SLOT_BYTES,
    SLOT_COUNT_MAX,
    WORDS_PER_ENTRY,
    Entry,
    Version,
    unpack_entry,
)

__all__ = [
    "Node",
    "Reached",
    "count_born_after",
    "entry_at",
    "find_leaf",
    "nodes",
    "only_in",
    "reached",
    "read_node",
    "verify_path",
]

ReadSlot = Callable[[int], memoryview]
_INDEXES = range(FANOUT)
_FEW_VERSIONS = 4
_FEW_ENTRIES = 16
_FAR, _NEAR = 512, 64
"""The stretches of a node that are compared at once, in bytes."""


class Reached(NamedTuple):
    """A slot of a walk, and its position: level -1 is a page, 0 a leaf, higher an inner node."""

    level: int
    number: int
    entry: Entry


class Node(NamedTuple):
    """A node of a walk, and its bytes."""

    at: Reached
    data: memoryview

    def slots(self) -> list[int]:
        """The slots of all 256 children, 0 for holes."""
        return self.data.cast("I")[::WORDS_PER_ENTRY].tolist()

    def young(self, born_after: int) -> list[int]:
        """The indexes of the children that were born after a version."""
        return _young_entries(self.data, born_after, self.at.entry.birth)

    def children(self, indexes: Iterable[int] = _INDEXES) -> Iterator[Reached]:
        """The children at these indexes that are not holes."""
        (level, number, _), data = self.at, self.data
        first = number << FANOUT_SHIFT
        for index in indexes:
            entry = unpack_entry(data, index)
            if entry.slot:
                yield Reached(level - 1, first + index, entry)


def position(at: Reached) -> str:
    """Describe the position of a node, for error messages."""
    return f"page table, level {at.level}, number {at.number}"


def read_node(read_slot: ReadSlot, entry: Entry, where: str) -> memoryview:
    """Read the node that an entry names.

    Raises CorruptionError if the bytes do not match the crc of the entry.
    """
    node = read_slot(entry.slot)
    if zlib.crc32(node) != entry.crc:
        raise CorruptionError(f"slot {entry.slot} ({where}, born in version {entry.birth}) fails its checksum")
    return node


# --- one version ------------------------------------------------------------------------------------------------------
def nodes(
    read_slot: ReadSlot,
    version: Version,
    born_after: int = 0,
    *,
    enter: Callable[[Reached], bool] | None = None,
    damaged: Callable[[Reached, CorruptionError], None] | None = None,
) -> Iterator[Node]:
    """Walk the nodes of a version that were born after ``born_after``: parents before children, from left to right.

    ``enter`` decides, before a node is read, whether it and its subtree are walked; it is called once for each node
    that the walk meets, and has to stop the walk of a damaged table that contains itself.  Without it such a table
    raises CorruptionError.  Each node is checked against its crc.  ``damaged`` is called for a node that cannot be
    read, whose subtree is then skipped; without it such a node raises CorruptionError.
    """
    if not version.depth or not version.root.slot or version.root.birth <= born_after:
        return
    remaining_count = min(version.slot_count, SLOT_COUNT_MAX)
    stack = [Reached(version.depth - 1, 0, version.root)]
    while stack:
        at = stack.pop()
        if enter is None:
            if not remaining_count:
                raise _too_many(version)
            remaining_count -= 1
        elif not enter(at):
            continue
        try:
            node = Node(at, read_node(read_slot, at.entry, position(at)))
        except CorruptionError as error:
            if damaged is None:
                raise
            damaged(at, error)
            continue
        yield node
        if at.level:
            indexes = node.young(born_after) if born_after else _INDEXES
            stack += reversed([*node.children(indexes)])


def reached(read_slot: ReadSlot, version: Version, born_after: int = 0) -> Iterator[Reached]:
    """Every slot a version reaches that was born after ``born_after``, parents first.

    Nodes are checked against their crcs on the way (pages are not read).  Raises CorruptionError.
    """
    yield from _bounded(_reached(read_slot, version, born_after), version)


def _reached(read_slot: ReadSlot, version: Version, born_after: int) -> Iterator[Reached]:
    for node in nodes(read_slot, version, born_after):
        yield node.at
        if not node.at.level:
            yield from node.children(node.young(born_after))


def _bounded(walk: Iterator[Reached], version: Version) -> Iterator[Reached]:
    """The same walk, which raises CorruptionError after more slots than the version has: the table contains itself."""
    yield from islice(walk, min(version.slot_count, SLOT_COUNT_MAX))
    if next(walk, None) is not None:
        raise _too_many(version)


def _too_many(version: Version) -> CorruptionError:
    return CorruptionError(f"version {version.version} reaches more than its {version.slot_count} slots")


def _young_entries(node: memoryview, born_after: int, newest: int) -> list[int]:
    """The indexes of the entries of a node, itself born in ``newest``, that were born after ``born_after``."""
    if newest - born_after > _FEW_VERSIONS:
        return list(compress(_INDEXES, map(born_after.__lt__, node.cast("Q")[1::2].tolist())))
    data, indexes = bytes(node), []
    for birth in range(born_after + 1, newest + 1):  # T2: no other births exist; a search is faster than a scan
        pattern = birth.to_bytes(8, "little")
        at = data.find(pattern)
        while at >= 0:
            if at & (ENTRY_BYTES - 1) == ENTRY_BYTES // 2:
                indexes.append(at // ENTRY_BYTES)
            at = data.find(pattern, at + 1)
    indexes.sort()
    return indexes


def count_born_after(read_slot: ReadSlot, version: Version, born_after: int) -> int:
    """The number of slots a version reaches that were born after ``born_after``; reads only the nodes among them.

    Raises CorruptionError.
    """
    count = 0
    for node in nodes(read_slot, version, born_after):
        count += 1
        if not node.at.level:
            count += len(node.young(born_after))
        if count > version.slot_count:
            raise _too_many(version)
    return count


# --- one page ---------------------------------------------------------------------------------------------------------
def find_leaf(words: memoryview, root: int, depth: int, leaf_number: int) -> int:
    """The slot of a leaf (0: a hole), given the pool as 32-bit words."""
    slot = root
    for level in range(depth - 1, 0, -1):
        if not slot:
            return 0
        index = (leaf_number >> ((level - 1) << 3)) & 255
        slot = words[(slot << 10) + (index << 2)]
    return slot


def verify_path(read_slot: ReadSlot, version: Version, leaf_number: int) -> None:
    """Check the nodes on the path to a leaf, and the leaf, against their crcs.  Raises CorruptionError."""
    entry = version.root
    for level in range(version.depth - 1, -1, -1):
        if not entry.slot:
            return
        at = Reached(level, leaf_number >> (level << 3), entry)
        node = read_node(read_slot, entry, position(at))
        if level:
            entry = unpack_entry(node, (leaf_number >> ((level - 1) << 3)) & (FANOUT - 1))


# --- several versions -------------------------------------------------------------------------------------------------
def only_in(read_slot: ReadSlot, version: Version, others: list[Version], born_after: int = 0) -> Iterator[Reached]:
    """The slots born after ``born_after`` that ``version`` reaches and none of ``others`` reaches.

    All versions must belong to one lineage, so that they share nodes at the same position.  Subtrees that any of the
    others has too are skipped unread: the cost is proportional to the difference, not to the size.
    """
    if not version.depth:
        return
    level = version.depth - 1
    rivals = [entry_at(read_slot, rival, level) for rival in others]
    walk = _only_in(read_slot, Reached(level, 0, version.root), rivals, others, born_after)
    yield from _bounded(walk, version)


def entry_at(read_slot: ReadSlot, version: Version, level: int) -> Entry:
    """The entry of a version at position (level, 0); a hole if its tree is less deep.  Raises CorruptionError."""
    if version.depth <= level:
        return HOLE
    entry = version.root
    for step in range(version.depth - 1, level, -1):  # a deeper tree: its first child has the same span
        if not entry.slot:
            return HOLE
        entry = unpack_entry(read_node(read_slot, entry, position(Reached(step, 0, entry))), 0)
    return entry


def _only_in(
    read_slot: ReadSlot, at: Reached, rivals: list[Entry], shallower: list[Version], born_after: int
) -> Iterator[Reached]:
    entry = at.entry
    if not entry.slot or entry.birth <= born_after or any(rival.slot == entry.slot for rival in rivals):
        return
    yield at
    if at.level < 0:
        return
    node = read_node(read_slot, entry, position(at))
    rival_nodes = [read_node(read_slot, rival, position(at)) for rival in rivals if rival.slot]
    first = at.number << FANOUT_SHIFT
    for index in _unshared(node, rival_nodes, born_after, at.entry.birth):
        child = unpack_entry(node, index)
        against = [unpack_entry(rival, index) for rival in rival_nodes]
        if at.number == 0 and index == 0:  # a shallower tree begins further down
            against += [rival.root for rival in shallower if rival.depth == at.level]
        below = Reached(at.level - 1, first + index, child)
        yield from _only_in(read_slot, below, against, shallower, born_after)


def _unshared(node: memoryview, rivals: list[memoryview], born_after: int, newest: int) -> list[int]:
    """The indexes at which no rival has the node's own entry; without those born before, if there are many."""
    if not rivals:
        return _young_entries(node, born_after, newest)
    data = bytes(node)
    indexes = _differing(data, bytes(rivals[0]))
    for rival in rivals[1:]:
        indexes = sorted({*indexes}.intersection(_differing(data, bytes(rival))))
    if len(indexes) > _FEW_ENTRIES:
        indexes = sorted({*indexes}.intersection(_young_entries(node, born_after, newest)))
    return indexes


def _differing(one: bytes, other: bytes) -> list[int]:
    """The indexes of the entries in which two nodes differ: few, as a rule, so equal stretches are skipped at once."""
    indexes = []
    for far in range(0, SLOT_BYTES, _FAR):
        if one[far : far + _FAR] != other[far : far + _FAR]:
            for near in range(far, far + _FAR, _NEAR):
                if one[near : near + _NEAR] != other[near : near + _NEAR]:
                    for at in range(near, near + _NEAR, ENTRY_BYTES):
                        if one[at : at + ENTRY_BYTES] != other[at : at + ENTRY_BYTES]:
                            indexes.append(at // ENTRY_BYTES)
    return indexes
