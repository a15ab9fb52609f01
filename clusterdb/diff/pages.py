"""Where rows may differ between two versions, derived from the pages that differ.

This module reads as much of SQLite's file format (https://sqlite.org/fileformat2.html) as leads from a page to its
rows.  The result may have too many rows, since the rows themselves are compared afterwards, but never too few:

    D1  A row that differs lies, in each version that has it, on a leaf that differs, or has overflow pages that do.
        A page that is free in one version differs, whatever its bytes: SQLite does not write free pages.
    D2  Each page that differs is a leaf of a table, a page of an index, a free page, a pointer map, or an overflow page
        of a cell on a page that differs.  If a page has another use (after a write to a blob in place, for
        example), all rows are suspect.
    D3  A leaf belongs to the table whose b-tree leads, for the leaf's first rowid, to that leaf.
    D4  Every cell on a page of a WITHOUT ROWID table is a row of that table, in that version.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import apsw

__all__ = ["Image", "Row", "Suspects", "suspects"]

_TABLE_LEAF, _TABLE_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR = 13, 5, 10, 2
_KINDS = (_TABLE_LEAF, _TABLE_INTERIOR, _INDEX_LEAF, _INDEX_INTERIOR)
_OVERFLOW_MAX = 0x0200_0000
"""With this many pages, the first byte of an overflow page can be the type of a b-tree page."""
_SHORT = 127
"""The largest size that a cell stores in one byte."""
_DEPTH_MAX = 20  # SQLite's BTCURSOR_MAX_DEPTH

Row: TypeAlias = tuple[Any, ...]
"""Values of a row.  Any, as in the type stubs of ``sqlite3``: the reader of a row knows the types of its columns."""


class Cell(NamedTuple):
    """A cell of a b-tree page: its key (0 in an index), its local payload, and its first overflow page (0: none)."""

    rowid: int
    payload: bytes
    overflow: int


@dataclass
class Suspects:
    """Where the rows of one table may differ: rowids in these ranges, or these keys (WITHOUT ROWID)."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    keys: list[Row] = field(default_factory=list)


class Image:
    """One version of a database as a sequence of pages; ``read(size_bytes, offset)`` returns bytes of it."""

    def __init__(self, read: Callable[[int, int], bytes | memoryview], size_bytes: int) -> None:
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
        """The bytes of a page; the first page has the number 1."""
        return bytes(self._read(self.page_size, (number - 1) * self.page_size))

    def numbers(self, first_byte: int, byte_count: int) -> range:
        """The numbers of the pages that a range of bytes lies on."""
        return range(first_byte // self.page_size + 1, (first_byte + byte_count - 1) // self.page_size + 2)

    def kind(self, number: int, page: bytes) -> int:
        """The type of a b-tree page; 0 for other pages."""
        kind = page[100 if number == 1 else 0]
        return kind if kind in _KINDS and not self.is_special(number) else 0

    def is_special(self, number: int) -> bool:
        """Whether a page can only be a pointer map, or is the lock-byte page."""
        if number == (1 << 30) // self.page_size + 1:
            return True
        return self._has_pointer_map and number >= 2 and (number - 2) % (self.usable // 5 + 1) == 0

    def cells(self, number: int, page: bytes) -> Iterator[Cell]:
        """The cells of a b-tree page with payload."""
        return self._cells(page, *self._pointers(number, page))

    def overflows(self, number: int, page: bytes) -> list[int]:
        """The first overflow page of each cell of a b-tree page with payload."""
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
        """The lowest and the highest rowid on a leaf of a table; None for an empty leaf."""
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
        """The size of the part of a payload that is on the b-tree page."""
        usable = self.usable
        most = (usable - 12) * 64 // 255 - 23 if is_index else usable - 35
        if size <= most:
            return size
        least = (usable - 12) * 32 // 255 - 23
        wanted = least + (size - least) % (usable - 4)
        return wanted if wanted <= most else least

    def leaf_of(self, root: int, rowid: int) -> int:
        """The leaf where a rowid is, or would be, in the b-tree of a table; 0 if the b-tree does not lead to a leaf."""
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
        """The keys and children of an interior page; None for other pages."""
        page = self.page(number)
        if self.kind(number, page) != _TABLE_INTERIOR:
            return None
        _, pointers = self._pointers(number, page)
        at = 108 if number == 1 else 8
        keys = [_signed(_varint(page, pointer + 4)[0]) for pointer in pointers]
        children = [int.from_bytes(page[pointer : pointer + 4], "big") for pointer in pointers]
        return keys, [*children, int.from_bytes(page[at : at + 4], "big")]

    def chain(self, first: int) -> Iterator[int]:
        """The overflow pages of a cell, in order."""
        number = first
        for _ in range(self.page_count):
            if not 0 < number <= self.page_count:
                return
            yield number
            number = int.from_bytes(self._read(4, (number - 1) * self.page_size), "big")

    def free_pages(self) -> set[int]:
        """The pages of the free list."""
        free: set[int] = set()
        for trunk in self.chain(self._first_trunk):
            if trunk in free:
                break
            page = self.page(trunk)
            count = min(int.from_bytes(page[4:8], "big"), self.usable // 4 - 2)
            free.add(trunk)
            free.update(struct.unpack_from(f">{count}I", page, 8))
        return free

    def fields(self, cell: Cell, count: int) -> tuple[int, Row]:
        """The number of values in the record of a cell, and the first ``count`` of them."""
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

    def _value(self, kind: int, payload: bytes, at: int) -> tuple[apsw.SQLiteValue, int]:
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
    """A variable-length integer, and the offset of its end."""
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
    """The arguments of :func:`suspects`, and its results so far."""

    image: Image
    roots: dict[str, int]
    keyed: dict[str, tuple[int, int]]
    exists: Callable[[str, Row], bool]
    suspects: dict[str, Suspects] = field(default_factory=dict)
    overflows: list[int] = field(default_factory=list)

    def examine(self, number: int) -> bool:
        """Add the rows and the overflow pages of a page; False if the purpose of the page is unknown."""
        page = self.image.page(number)
        kind = self.image.kind(number, page)
        if kind == _TABLE_LEAF:
            rows = self.image.first_and_last(number, page)
            if rows is None:
                return True
            owner = next((name for name in self.roots if self.image.leaf_of(self.roots[name], rows[0]) == number), None)
            if owner is None:
                return False
            self.suspects.setdefault(owner, Suspects()).ranges.append(rows)
        elif kind in (_INDEX_LEAF, _INDEX_INTERIOR):
            self._examine_keys(number, page)
        if kind in _KINDS and kind != _TABLE_INTERIOR:
            self.overflows += self.image.overflows(number, page)
        return bool(kind)

    def _examine_keys(self, number: int, page: bytes) -> None:
        """Add the keys on a page of a WITHOUT ROWID table: one that has a row for the page's first cell (D4)."""
        first = next(self.image.cells(number, page), None) if self.keyed else None
        if first is None:
            return
        for name, (column_count, key_count) in self.keyed.items():
            count, key = self.image.fields(first, key_count)
            if key_count <= count <= column_count and self.exists(name, key):
                keys = self.suspects.setdefault(name, Suspects()).keys
                keys += [self.image.fields(cell, key_count)[1] for cell in self.image.cells(number, page)]


def suspects(
    image: Image,
    changed: set[int],
    roots: dict[str, int],
    keyed: dict[str, tuple[int, int]],
    exists: Callable[[str, Row], bool],
) -> dict[str, Suspects] | None:
    """Where rows may differ from another version's, by table; None if all rows may (D2).

    ``changed``: the numbers of the pages that differ.  ``roots``: the root page of each table with rowids.  ``keyed``:
    the numbers of columns and of key columns of each WITHOUT ROWID table; ``exists(name, key)`` is whether such a table
    has a row in this version.
    """
    if image.page_count >= _OVERFLOW_MAX:
        return None
    search = _Search(image, roots, keyed, exists)
    loose: set[int] = set()
    for number in sorted(changed):
        if number > image.page_count or image.is_special(number):
            continue
        try:
            if not search.examine(number):
                loose.add(number)
        except (IndexError, struct.error, UnicodeDecodeError):
            loose.add(number)  # not a b-tree page, though its first byte is that of one
    if loose:
        loose -= image.free_pages()
    for first in search.overflows if loose else ():
        loose.difference_update(image.chain(first))
    return None if loose else search.suspects
