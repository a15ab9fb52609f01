"""Page tables whose slots are remote: which nodes and pages a repository lacks, and the nodes that name them.

Two page tables of one lineage are compared by births.  Let both descend from version c: then entries at the same
position whose births are equal, and not above c, name the same content, since an entry changes whenever its content
does, and gets the birth of the version that changed it (T1 and T2 of :mod:`vfs.storage.page_table`).
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from clusterdb.errors import RemoteDamagedError
from vfs.errors import CorruptionError
from vfs.format.layout import FANOUT, HOLE, SLOT_BYTES, Entry, Version, pack_entry, unpack_entry
from vfs.storage.walk import Reached, nodes, position, read_node

__all__ = ["Plan", "Side", "leaves", "plan"]

ReadSlot = Callable[[int], memoryview]
_INTERIOR = (2, 5)
"""The first byte of SQLite's interior pages of indexes and tables (https://sqlite.org/fileformat2.html#b_tree_pages)."""


class Side(NamedTuple):
    """A version, and the way to its slots; ``place_of`` names the object that has a remote slot."""

    read_slot: ReadSlot
    version: Version
    place_of: Callable[[int], str] = str

    def damaged(self, at: Reached, error: CorruptionError) -> NoReturn:
        """Raise RemoteDamagedError for a node that fails its checksum."""
        raise RemoteDamagedError(f"{self.place_of(at.entry.slot)} is damaged: {error}") from None


class _Kept(NamedTuple):
    """A child that the repository has: its entry there."""

    entry: Entry


@dataclass
class _Node:
    """A node that the repository lacks: its birth, and its children by index.

    A child of a leaf is the place of a page in :attr:`Plan.pages`, one of an inner node the place of a node in
    :attr:`Plan.nodes`, unless the repository has it.
    """

    level: int
    birth: int
    children: dict[int, int | _Kept] = field(default_factory=dict)


@dataclass
class Plan:
    """What a push sends: nodes, children first, and pages by number.

    :ivar nodes: the nodes that the repository lacks; the last one is the root, unless the repository has that
    :ivar pages: the slots of the pages in the pool
    :ivar crcs, births: of the pages
    :ivar root: the root's entry, if the repository has it
    """

    nodes: list[_Node] = field(default_factory=list)
    pages: array[int] = field(default_factory=lambda: array("I"))
    crcs: array[int] = field(default_factory=lambda: array("I"))
    births: array[int] = field(default_factory=lambda: array("Q"))
    root: Entry | None = None

    @property
    def slot_count(self) -> int:
        """The slots that it sends."""
        return len(self.nodes) + len(self.pages)

    def order(self, read_slot: ReadSlot) -> list[int]:
        """The places of the pages as they are sent: the first, interior pages of b-trees, then the others.

        What every query needs comes with few requests.
        """
        hot = [at for at, slot in enumerate(self.pages) if not at or read_slot(slot)[0] in _INTERIOR]
        chosen = set(hot)
        return hot + [at for at in range(len(self.pages)) if at not in chosen]

    def sealed(self, first: int, order: list[int]) -> tuple[list[bytes], Entry]:
        """The bytes of the nodes, with slots from ``first`` on, and the root's entry; pages follow in ``order``."""
        slots = array("I", bytes(4 * len(self.pages)))
        for number, at in enumerate(order):
            slots[at] = first + len(self.nodes) + number
        sealed: list[bytes] = []
        entries: list[Entry] = []
        for node in self.nodes:
            data = bytearray(SLOT_BYTES)
            for index, child in node.children.items():
                if isinstance(child, _Kept):
                    entry = child.entry
                elif node.level:
                    entry = entries[child]
                else:
                    entry = Entry(slots[child], self.crcs[child], self.births[child])
                pack_entry(data, index, entry)
            entries.append(Entry(first + len(sealed), zlib.crc32(data), node.birth))
            sealed.append(bytes(data))
        root = self.root if self.root is not None else entries[-1] if entries else HOLE
        return sealed, root


def plan(local: Side, remote: Side | None, common: int) -> Plan:
    """What a repository lacks of a version.

    ``remote``: the version of the same name that the repository has; ``common``: the newest version from which both
    descend, 0 if they have no lineage in common.

    Raises CorruptionError for a node here that fails its checksum, RemoteDamagedError for one there.
    """
    wanted = Plan()
    if not local.version.depth:
        wanted.root = HOLE
        return wanted
    top = Reached(local.version.depth - 1, 0, local.version.root)
    child = _planned(wanted, local.read_slot, remote, common, top, _entry_at(remote, top.level))
    if isinstance(child, _Kept):
        wanted.root = child.entry
    return wanted


def _planned(
    wanted: Plan, read_slot: ReadSlot, remote: Side | None, common: int, at: Reached, there: Entry
) -> int | _Kept:
    """Plan a node and what is below; its place, or the entry that the repository has."""
    if _is_same(at.entry, there, common):
        return _Kept(there)
    data = read_node(read_slot, at.entry, position(at))
    beside = None
    if remote is not None and there.slot:
        beside = _remote_node(remote, at._replace(entry=there))
    node = _Node(at.level, at.entry.birth)
    for index in range(FANOUT):
        entry = unpack_entry(data, index)
        if not entry.slot:
            continue
        other = unpack_entry(beside, index) if beside is not None else HOLE
        if at.level:
            below = Reached(at.level - 1, (at.number << 8) + index, entry)
            if not other.slot and not below.number:  # a shallower tree begins further down
                other = _entry_at(remote, below.level)
            node.children[index] = _planned(wanted, read_slot, remote, common, below, other)
        elif _is_same(entry, other, common):
            node.children[index] = _Kept(other)
        else:
            node.children[index] = len(wanted.pages)
            wanted.pages.append(entry.slot)
            wanted.crcs.append(entry.crc)
            wanted.births.append(entry.birth)
    wanted.nodes.append(node)
    return len(wanted.nodes) - 1


def _is_same(entry: Entry, other: Entry, common: int) -> bool:
    return bool(other.slot) and entry.birth == other.birth <= common


def _remote_node(side: Side, at: Reached) -> memoryview:
    """The bytes of a remote node.  Raises RemoteDamagedError."""
    try:
        return read_node(side.read_slot, at.entry, position(at))
    except CorruptionError as error:
        side.damaged(at, error)


def _entry_at(side: Side | None, level: int) -> Entry:
    """The entry of a remote version at position (level, 0), as :func:`vfs.storage.walk.entry_at` finds it."""
    if side is None or side.version.depth <= level:
        return HOLE
    entry = side.version.root
    for step in range(side.version.depth - 1, level, -1):
        if not entry.slot:
            return HOLE
        entry = unpack_entry(_remote_node(side, Reached(step, 0, entry)), 0)
    return entry


def leaves(side: Side) -> Iterator[tuple[int, list[tuple[int, Entry]]]]:
    """The leaves of a remote version, by number: (number, the (index, entry) of its pages).

    Raises RemoteDamagedError for a node that fails its checksum, CorruptionError if the table contains itself.
    """
    for node in nodes(side.read_slot, side.version, damaged=side.damaged):
        if not node.at.level:
            yield node.at.number, [(child.number & (FANOUT - 1), child.entry) for child in node.children()]
