"""The byte layout: what is packed comes out again, and damage is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfs.errors import (
    CorruptionError,
    FormatError,
)
from vfs.format.layout import (
    FORMAT,
    HOLE,
    SECTOR_BYTES,
    SLOT_BYTES,
    SLOT_COUNT_MAX,
    VERSION_MAX,
    VERSION_RECORD_BYTES,
    Entry,
    PoolHeader,
    Version,
    depth_of,
    pack_pool_header,
    pack_version,
    page_count_of,
    unpack_entries,
    unpack_entry,
    unpack_pool_header,
    unpack_version,
)
from vfs.storage.page_table import Dirty

words32, words64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
entries = st.builds(Entry, words32, words32, words64)
signed64 = st.integers(-(1 << 63), (1 << 63) - 1)
sizes, counts = st.integers(0, SLOT_COUNT_MAX * SLOT_BYTES), st.integers(0, SLOT_COUNT_MAX)
versions = st.builds(Version, words64, st.integers(0, VERSION_MAX), words64, sizes, counts, signed64, words64, entries)


@given(versions)
def test_version_records_round_trip(version: Version) -> None:
    """A packed record is unpacked unchanged."""
    sector = pack_version(version)
    assert len(sector) == SECTOR_BYTES
    assert unpack_version(sector) == version
    assert unpack_version(memoryview(sector)[:VERSION_RECORD_BYTES]) == version


@given(versions, st.integers(0, VERSION_RECORD_BYTES - 1), st.integers(1, 255))
def test_damaged_version_record_is_none(version: Version, at: int, flip: int) -> None:
    """A record with a wrong byte, or cut short, is no record."""
    sector = bytearray(pack_version(version))
    sector[at] ^= flip
    assert unpack_version(bytes(sector)) is None
    assert unpack_version(pack_version(version)[:at]) is None


def test_empty_sector_is_no_record() -> None:
    """Zeros are no version."""
    assert unpack_version(bytes(SECTOR_BYTES)) is None


@given(st.binary(min_size=16, max_size=16))
def test_pool_header_round_trips(store_id: bytes) -> None:
    """A pool knows its identity."""
    assert unpack_pool_header(pack_pool_header(store_id)) == PoolHeader(store_id, FORMAT, is_whole=True)
    assert len(pack_pool_header(store_id)) == SLOT_BYTES


@given(st.integers(0, 35), st.integers(1, 255))
def test_damaged_pool_header_is_refused(at: int, flip: int) -> None:
    """Damage to both copies is told from a foreign file and from another format; one copy replaces the other."""
    header = bytearray(pack_pool_header(b"0123456789abcdef"))
    header[at] ^= flip
    assert unpack_pool_header(bytes(header)) == PoolHeader(b"0123456789abcdef", FORMAT, is_whole=False)
    header[SECTOR_BYTES + at] ^= flip
    with pytest.raises(FormatError if at < 12 else CorruptionError):
        unpack_pool_header(bytes(header))


@pytest.mark.parametrize("data", [b"", b"clstpool", b"SQLite format 3\0".ljust(SLOT_BYTES, b"\0")])
def test_foreign_file_is_refused_as_a_pool(data: bytes) -> None:
    """A file that is no pool is refused as one."""
    with pytest.raises(FormatError):
        unpack_pool_header(data)


@given(st.dictionaries(st.integers(0, 255), entries, max_size=20))
def test_node_entries_round_trip(some: dict[int, Entry]) -> None:
    """A node gives back its entries by index; holes are left out of the list of them."""
    node = Dirty(bytearray(SLOT_BYTES), HOLE)
    for index, entry in some.items():
        node.set(index, *entry)
    assert [unpack_entry(node.data, index) for index in range(256)] == [some.get(index, HOLE) for index in range(256)]
    assert unpack_entries(bytes(node.data)) == [(index, some[index]) for index in sorted(some) if some[index].slot]


@pytest.mark.parametrize(
    ("page_count", "depth"), [(0, 0), (1, 1), (256, 1), (257, 2), (1 << 16, 2), ((1 << 16) + 1, 3), (1 << 24, 3)]
)
def test_depth_follows_the_page_count(page_count: int, depth: int) -> None:
    """Each level multiplies by 256."""
    assert depth_of(page_count) == depth


@given(st.integers(0, 1 << 44))
def test_page_count_covers_the_size(size_bytes: int) -> None:
    """No byte without its page, and no page without a byte."""
    count = page_count_of(size_bytes)
    assert (count - 1) * SLOT_BYTES < size_bytes <= count * SLOT_BYTES or count == size_bytes == 0
