"""Parsers of bytes: any bytes are a record, or refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.distrust.pools import sizes, words64
from vfs.errors import StorageError
from vfs.format import layout
from vfs.format.layout import (
    SLOT_BYTES,
    Version,
    pack_version,
    unpack_entries,
    unpack_entry,
    unpack_head,
    unpack_version,
)


@given(st.binary(max_size=600))
@example(b"clsthead")
@example(b"clsthead" + bytes(504))
def test_any_bytes_are_a_version_record_or_none(data: bytes) -> None:
    """Bytes without a right checksum are no version record, however many they are."""
    assert unpack_version(data) is None
    assert unpack_version(memoryview(data)) is None
    assert unpack_version(b"clsthead" + data) is None


@given(st.binary(max_size=600))
@example(b"clstpool")
@example(struct.pack("<8sII16sI", b"clstpool", layout.FORMAT, SLOT_BYTES, bytes(16), 1))
def test_any_bytes_are_a_pool_header_or_refused(data: bytes) -> None:
    """Bytes without a right checksum are no pool header; they are refused by name."""
    for header in (data, b"clstpool" + data, b"clstpool" + layout.FORMAT.to_bytes(4, "little") + data):
        with pytest.raises(StorageError):
            layout.unpack_pool_header(header)


@given(st.binary(max_size=64), st.integers(0, SLOT_BYTES - 64))
def test_any_slot_can_be_read_as_a_node(part: bytes, at: int) -> None:
    """A slot of any bytes has 256 entries; those other than holes are listed by index."""
    data = (bytes(at) + part).ljust(SLOT_BYTES, b"\0")
    listed = unpack_entries(data)
    assert [index for index, _ in listed] == sorted({index for index, _ in listed})
    assert listed == [(at, unpack_entry(data, at)) for at in range(256) if unpack_entry(data, at).slot]


@given(st.binary(max_size=SLOT_BYTES), words64, st.booleans())
def test_any_slot_can_be_read_as_a_head(data: bytes, volume: int, right: bool) -> None:
    """A slot of any bytes, also a short one, has sectors with a record of this volume, or none."""
    record = Version(volume if right else volume ^ 1, 1, 1, 1, 1, 1, 1, layout.HOLE)
    assert unpack_head(memoryview(data), volume) == [None] * layout.HEAD_SECTORS
    records = unpack_head(memoryview(pack_version(record) + data), volume)
    assert records == [record if right else None, *[None] * (layout.HEAD_SECTORS - 1)]


@given(sizes)
def test_page_table_depth_is_small_for_any_size(size_bytes: int) -> None:
    """The depth for any size of a volume is a small number that fits it."""
    page_count = layout.page_count_of(size_bytes)
    depth = layout.depth_of(page_count)
    assert depth <= 7
    assert page_count <= 256**depth
