"""Where rows may differ between two versions, told from the pages that differ.

Of SQLite's file format (https://sqlite.org/fileformat2.html) this reads as much as leads from a page to the rows on it.
What it finds may be too much, for the rows themselves are compared afterwards; it must never be too little:

    D1  Every row that differs lies, in each version that has it, on a leaf that differs, or has overflow pages that do.
        A page that one version has among its free pages differs, whatever its bytes: SQLite does not write them.
    D2  Each page that differs is accounted for: a leaf of a table, a page of an index, a free page, a pointer map, or
        overflow of a cell on a page that differs.  If one is not (a blob written in place, say), all rows are suspect.
    D3  A leaf belongs to the table in whose b-tree the way to its first row ends at it.
    D4  Every cell on a page of a WITHOUT ROWID table is a row of it, in that version.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Image", "Suspects", "suspects"]

_TABLE_LEAF, _TABLE_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR = 13, 5, 10, 2
_KINDS = (_TABLE_LEAF, _TABLE_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR)
_OVERFLOW_MAX = 0x0200_0000
"""From so many pages on, the first byte of an overflow page can look like that of a b-tree page."""
_SHORT = 127
"""The largest size that is one byte in a cell."""
_DEPTH_MAX = 20  # BTCURSOR_MAX_DEPTH of SQLite's


class Cell(NamedTuple):
    """A cell of a b-tree page: its key (0 in an index), its local payload, and its first overflow page (0: none)."""

    rowid: int
    payload: bytes
    overflow: int


@dataclass
class Suspects:
    """Where the rows of one table may differ: on rowids of these ranges, or under these keys (WITHOUT ROWID)."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    keys: list[tuple[Any, ...]] = field(default_factory=list)


class Image:
    """One version of a database as a sequence of pages.

    ``read(amount, offset)`` gives bytes of it.
    """

    def __init__(self, read: Callable[[int, int], Any], size_bytes: int) -> None:
        self._read = read
        header = bytes(read(100, 0)) if size_bytes else bytes(100)
        stored = int.from_bytes(header[16:18], "big")
        self.page_size = 65536 if stored == 1 else stored or 4096
        self.usable = self.page_size - header[20]
        self.page_count = size_bytes // self.page_size
        self._first_trunk = int.from_bytes(header[32:36], "big")
        self._has_pointer_map = header[52:56] != bytes(4)
        self.encoding = {2: "utf-16-le", 3: "utf-16-be"}.get(int.from_bytes(header[56:60], "big"), "utf-8")
        self._interiors: dict[int, tuple[list[int], list[int]] | None] = {}

    def page(self, number: int) -> bytes:
        """The bytes of a page, the first being number 1."""
        return bytes(self._read(self.page_size, (number - 1) * self.page_size))

    def numbers(self, first_byte: int, byte_count: int) -> range:
        """The pages that some bytes of the database lie on."""
        return range(first_byte // self.page_size + 1, (first_byte + byte_count - 1) // self.page_size + 2)

    def kind(self, number: int, page: bytes) -> int:
        """The type of a b-tree page; 0 for other pages."""
        kind = page[100 if number == 1 else 0]
        return kind if kind in _KINDS and not self.is_special(number) else 0

    def is_special(self, number: int) -> bool:
        """Whether a page can only be a pointer map, or is the one that is never used."""
        if number == (1 << 30) // self.page_size + 1:
            return True
        return self._has_pointer_map and number >= 2 and (number - 2) % (self.usable // 5 + 1) == 0

    def cells(self, number: int, page: bytes) -> Iterator[Cell]:
        """The cells of a b-tree page that holds payload."""
        return self._cells(page, *self._pointers(number, page))

    def overflows(self, number: int, page: bytes) -> list[int]:
        """The first overflow pages of the cells of a b-tree page that holds payload."""
        kind, pointers = self._pointers(number, page)
        if self._local_size(_SHORT, is_index=kind != _TABLE_LEAF) == _SHORT:
            size_at = 4 if kind == _INDEX_INTERIOR else 0
            pointers = tuple([at for at in pointers if page[at + size_at] > _SHORT])
        return [cell.overflow for cell in self._cells(page, kind, pointers) if cell.overflow]

    def _cells(self, page: bytes, kind: int, pointers: Iterable[int]) -> Iterator[Cell]:
        for at in pointers:
            if kind == _INDEX_INTERIOR:
                at += 4
            size, at = _varint(page, at)
            rowid = 0
            if kind == _TABLE_LEAF:
                rowid, at = _varint(page, at)
            local = self._local_size(size, is_index=kind != _TABLE_LEAF)
            overflow = int.from_bytes(page[at + local : at + local + 4], "big") if local < size else 0
            yield Cell(_signed(rowid), page[at : at + local], overflow)

    def first_and_last(self, number: int, page: bytes) -> tuple[int, int] | None:
        """The lowest and the highest rowid on a leaf of a table; None if there is no row on it."""
        _, pointers = self._pointers(number, page)
        if not pointers:
            return None
        lowest, highest = (_signed(_varint(page, _varint(page, at)[1])[0]) for at in (pointers[0], pointers[-1]))
        return lowest, highest

    def _pointers(self, number: int, page: bytes) -> tuple[int, tuple[int, ...]]:
        at = 100 if number == 1 else 0
        kind = page[at]
        count = int.from_bytes(page[at + 3 : at + 5], "big")
        at += 12 if kind in (_TABLE_INTERIOR, _INDEX_INTERIOR) else 8
        return kind, struct.unpack_from(f">{count}H", page, at)

    def _local_size(self, size: int, *, is_index: bool) -> int:
        """How much of a payload is on its b-tree page."""
        usable = self.usable
        most = (usable - 12) * 64 // 255 - 23 if is_index else usable - 35
        if size <= most:
            return size
        least = (usable - 12) * 32 // 255 - 23
        wanted = least + (size - least) % (usable - 4)
        return wanted if wanted <= most else least

    def leaf_of(self, root: int, rowid: int) -> int:
        """The leaf where a rowid is, or would be, in the b-tree of a table; 0 if the way ends nowhere."""
        number = root
        for _ in range(_DEPTH_MAX):
            if not 0 < number <= self.page_count:
                return 0
            if number not in self._interiors:
                self._interiors[number] = self._interior(number)
            node = self._interiors[number]
            if node is None:
                return number
            keys, children = node
            number = children[bisect_left(keys, rowid)]
        return 0

    def _interior(self, number: int) -> tuple[list[int], list[int]] | None:
        """Keys and children of an interior page; None for another page."""
        page = self.page(number)
        if self.kind(number, page) != _TABLE_INTERIOR:
            return None
        _, pointers = self._pointers(number, page)
        at = 108 if number == 1 else 8
        keys = [_signed(_varint(page, pointer + 4)[0]) for pointer in pointers]
        children = [int.from_bytes(page[pointer : pointer + 4], "big") for pointer in pointers]
        return keys, [*children, int.from_bytes(page[at : at + 4], "big")]

    def chain(self, first: int) -> Iterator[int]:
        """The overflow pages of a cell, one after the other."""
        number = first
        for _ in range(self.page_count):
            if not 0 < number <= self.page_count:
                return
            yield number
            number = int.from_bytes(self._read(4, (number - 1) * self.page_size), "big")

    def free_pages(self) -> set[int]:
        """The pages of the free list."""
        found: set[int] = set()
        for trunk in self.chain(self._first_trunk):
            if trunk in found:
                break
            page = self.page(trunk)
            count = min(int.from_bytes(page[4:8], "big"), self.usable // 4 - 2)
            found.add(trunk)
            found.update(struct.unpack_from(f">{count}I", page, 8))
        return found

    def fields(self, cell: Cell, count: int) -> tuple[int, tuple[Any, ...]]:
        """How many values the record in a cell has, and the first of them."""
        payload = b"".join((cell.payload, *self._overflowing(cell)))
        header_end, at = _varint(payload, 0)
        types = []
        while at < header_end:
            kind, at = _varint(payload, at)
            types.append(kind)
        values, at = [], header_end
        for kind in types[:count]:
            value, at = self._value(kind, payload, at)
            values.append(value)
        return len(types), tuple(values)

    def _overflowing(self, cell: Cell) -> Iterator[bytes]:
        for number in self.chain(cell.overflow):
            yield self.page(number)[4 : self.usable]

    def _value(self, kind: int, payload: bytes, at: int) -> tuple[Any, int]:
        if kind >= 12:
            end = at + (kind - 12) // 2
            value = payload[at:end]
            return (value.decode(self.encoding) if kind & 1 else value), end
        if kind in (8, 9):
            return kind - 8, at
        if kind == 7:
            return struct.unpack_from(">d", payload, at)[0], at + 8
        size = (0, 1, 2, 3, 4, 6, 8)[kind] if kind < 7 else 0
        return (int.from_bytes(payload[at : at + size], "big", signed=True) if size else None), at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer, and where it ends."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for index in range(at + 1, at + 8):
        byte = data[index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, index + 1
    return value << 8 | data[at + 8], at + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@dataclass
class _Search:
    """What :func:`suspects` looks at, and what it has found."""

    image: Image
    roots: dict[str, int]
    keyed: dict[str, tuple[int, int]]
    exists: Callable[[str, tuple[Any, ...]], bool]
    found: dict[str, Suspects] = field(default_factory=dict)
    chained: list[int] = field(default_factory=list)

    def look_at(self, number: int) -> bool:
        """Add what is on a page, and the overflow of its cells; False if it is not known what the page is for."""
        page = self.image.page(number)
        kind = self.image.kind(number, page)
        if kind == _TABLE_LEAF:
            rows = self.image.first_and_last(number, page)
            if rows is None:
                return True
            owner = next((name for name in self.roots if self.image.leaf_of(self.roots[name], rows[0]) == number), None)
            if owner is None:
                return False
            self.found.setdefault(owner, Suspects()).ranges.append(rows)
        elif kind in (_INDEX_LEAF, _INDEX_INTERIOR):
            self._look_for_keys(number, page)
        if kind in _KINDS and kind != _TABLE_INTERIOR:
            self.chained += self.image.overflows(number, page)
        return bool(kind)

    def _look_for_keys(self, number: int, page: bytes) -> None:
        """A page of an index or of a WITHOUT ROWID table: of the latter, if that has a row for its first cell (D4)."""
        first = next(self.image.cells(number, page), None) if self.keyed else None
        if first is None:
            return
        for name, (column_count, key_count) in self.keyed.items():
            count, key = self.image.fields(first, key_count)
            if key_count <= count <= column_count and self.exists(name, key):
                keys = self.found.setdefault(name, Suspects()).keys
                keys += [self.image.fields(cell, key_count)[1] for cell in self.image.cells(number, page)]


def suspects(
    image: Image,
    changed: set[int],
    roots: dict[str, int],
    keyed: dict[str, tuple[int, int]],
    exists: Callable[[str, tuple[Any, ...]], bool],
) -> dict[str, Suspects] | None:
    """Where rows of the tables may differ from another version's; None if they may everywhere (D2).

    ``changed`` are the pages that differ.  ``roots`` has the first page of each table with rowids, ``keyed`` how many
    columns each WITHOUT ROWID table has, and how many of them are its key; ``exists(name, key)`` tells whether it has
    a row in this version.
    """
    if image.page_count >= _OVERFLOW_MAX:
        return None
    search = _Search(image, roots, keyed, exists)
    loose: set[int] = set()
    for number in sorted(changed):
        if number > image.page_count or image.is_special(number):
            continue
        try:
            if not search.look_at(number):
                loose.add(number)
        except (IndexError, struct.error, UnicodeDecodeError):
            loose.add(number)  # no b-tree page, though it looks like one
    if loose:
        loose -= image.free_pages()
    for first in search.chained if loose else ():
        loose.difference_update(image.chain(first))
    return None if loose else search.found
