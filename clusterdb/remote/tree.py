"""Page tables whose slots are remote: which nodes and pages a repository lacks, and the nodes that name them.

Two page tables of one lineage are compared by births.  Let both descend from version c: then entries at the same
position whose births are equal, and not above c, name the same content, since an entry changes whenever its content
does, and gets the birth of the version that changed it (T1 and T2 of :mod:`vfs.storage.page_table`).  If one of them
*is* version c, the births of the other suffice: what was not written after c has the content that it had in c.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from clusterdb.errors import RemoteDamagedError
from vfs.errors import CorruptionError
from vfs.format.layout import FANOUT, FANOUT_SHIFT, HOLE, SLOT_BYTES, Entry, Version, pack_entry, unpack_entry
from vfs.storage.walk import Reached, nodes, position, read_node

__all__ = ["Known", "Plan", "Side", "differing_leaves", "leaves", "nowhere", "plan"]

ReadSlot = Callable[[int], memoryview]
_NO_NODE = memoryview(bytes(SLOT_BYTES))
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
    :ivar hot_count: the slots that are sent first, with what every query needs, after :meth:`order`
    """

    nodes: list[_Node] = field(default_factory=list)
    pages: array[int] = field(default_factory=lambda: array("I"))
    crcs: array[int] = field(default_factory=lambda: array("I"))
    births: array[int] = field(default_factory=lambda: array("Q"))
    root: Entry | None = None
    hot_count: int = 0

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
        self.hot_count = len(self.nodes) + len(hot)
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


class Known(NamedTuple):
    """A version that a repository has, and what is known about it here.

    Versions up to ``common`` are those of one lineage.  ``is_ancestor``: version ``common`` here has its content, so
    what was not written after ``common`` here is the same there; otherwise births are compared too.
    """

    side: Side
    common: int
    is_ancestor: bool

    def has(self, entry: Entry, other: Entry) -> bool:
        """Whether an entry here and one there, at the same position, name the same content."""
        is_old = bool(other.slot) and entry.birth <= self.common
        return is_old and (self.is_ancestor or entry.birth == other.birth)


def nowhere(page: Entry) -> int:
    """No page of these is elsewhere."""
    return 0


def plan(local: Side, known: Known | None, elsewhere: Callable[[Entry], int] = nowhere) -> Plan:
    """What a repository lacks of a version.

    ``known``: a version that the repository has; ``elsewhere``: the remote slot that the repository has of the page of
    an entry here, 0 if none is known.

    Raises CorruptionError for a node here that fails its checksum, RemoteDamagedError for one there.
    """
    wanted = Plan()
    if not local.version.depth:
        wanted.root = HOLE
        return wanted
    top = Reached(local.version.depth - 1, 0, local.version.root)
    there = _entry_at(known.side if known is not None else None, top.level)
    child = _planned(wanted, local.read_slot, known, elsewhere, top, there)
    if isinstance(child, _Kept):
        wanted.root = child.entry
    return wanted


def _planned(
    wanted: Plan,
    read_slot: ReadSlot,
    known: Known | None,
    elsewhere: Callable[[Entry], int],
    at: Reached,
    there: Entry,
) -> int | _Kept:
    """Plan a node and what is below; its place, or the entry that the repository has.

    An entry that is kept gets the birth that it has here: births in the nodes below may be of another lineage.
    """
    if known is not None and known.has(at.entry, there):
        return _Kept(there._replace(birth=at.entry.birth))
    data = read_node(read_slot, at.entry, position(at))
    beside = None
    if known is not None and there.slot:
        beside = _remote_node(known.side, at._replace(entry=there))
    node = _Node(at.level, at.entry.birth)
    for index in range(FANOUT):
        entry = unpack_entry(data, index)
        if not entry.slot:
            continue
        other = unpack_entry(beside, index) if beside is not None else HOLE
        if at.level:
            below = Reached(at.level - 1, (at.number << FANOUT_SHIFT) + index, entry)
            if known is not None and not other.slot and not below.number:  # a shallower tree begins further down
                other = _entry_at(known.side, below.level)
            node.children[index] = _planned(wanted, read_slot, known, elsewhere, below, other)
        elif known is not None and known.has(entry, other):
            node.children[index] = _Kept(other._replace(birth=entry.birth))
        elif remote := elsewhere(entry):
            node.children[index] = _Kept(entry._replace(slot=remote))
        else:
            node.children[index] = len(wanted.pages)
            wanted.pages.append(entry.slot)
            wanted.crcs.append(entry.crc)
            wanted.births.append(entry.birth)
    wanted.nodes.append(node)
    return len(wanted.nodes) - 1


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


def differing_leaves(
    new: Side, old: Side | None, *, is_whole: bool = False
) -> Iterator[tuple[int, memoryview, memoryview]]:
    """The leaves that are not the same node in two versions of a repository, by number, as words of both.

    A leaf that a version lacks has only zeros.  ``is_whole``: all leaves of the new one, and those in their places.
    Raises RemoteDamagedError.
    """
    if new.version.depth:
        top = Reached(new.version.depth - 1, 0, new.version.root)
        yield from _differing(new, old, top, _entry_at(old, top.level), is_whole=is_whole)


def _differing(
    new: Side, old: Side | None, at: Reached, there: Entry, *, is_whole: bool
) -> Iterator[tuple[int, memoryview, memoryview]]:
    if at.entry.slot == there.slot and not is_whole:
        return
    node = _node_of(new, at)
    other = _node_of(old, Reached(at.level, at.number, there)) if old is not None else _NO_NODE
    if not at.level:
        yield at.number, node.cast("I"), other.cast("I")
        return
    for index in range(FANOUT):
        entry, beside = unpack_entry(node, index), unpack_entry(other, index)
        below = Reached(at.level - 1, (at.number << FANOUT_SHIFT) + index, entry)
        if not beside.slot and not below.number:  # a shallower tree begins further down
            beside = _entry_at(old, below.level)
        if entry.slot or beside.slot:
            yield from _differing(new, old, below, beside, is_whole=is_whole)


def _node_of(side: Side, at: Reached) -> memoryview:
    return _remote_node(side, at) if at.entry.slot else _NO_NODE
