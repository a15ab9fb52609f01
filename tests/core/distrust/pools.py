"""Pools of a few slots of any bytes, nodes with right checksums, and strategies for their numbers."""

from __future__ import annotations

import struct
import zlib

from hypothesis import strategies as st

from vfs.errors import CorruptionError
from vfs.format import layout
from vfs.format.layout import Entry

words32, words64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
sizes = st.one_of(st.integers(0, 1 << 22), words64, st.sampled_from([1 << 44, (1 << 44) + 1, 1 << 63, (1 << 64) - 1]))


READS_MAX = 1_000
POOL_SLOTS = 8


class Pool:
    """A few slots of any bytes."""

    def __init__(self, slots: list[bytes]) -> None:
        self.slots = slots
        self.read_count = 0

    def read(self, slot: int) -> memoryview:
        """As PageStore.read_slot; a walk that reads thousands of times from a few slots will not end."""
        self.read_count += 1
        assert self.read_count <= READS_MAX, "the walk does not end"
        if slot >= len(self.slots):
            raise CorruptionError(f"slot {slot} lies past the end of the pool")
        return memoryview(self.slots[slot])

    def entry(self, slot: int, birth: int) -> Entry:
        """An entry that names a slot with its right checksum."""
        return Entry(slot, zlib.crc32(self.slots[slot]) if slot < len(self.slots) else 0, birth)


def node_of(entries: dict[int, Entry]) -> bytes:
    """A node with these entries by index."""
    return b"".join(struct.pack("<IIQ", *entries.get(index, layout.HOLE)) for index in range(256))


def forge(data: bytes, crc: int, at: int) -> bytes:
    """The bytes with the four at ``at`` chosen so that the crc32 of all is as wanted (crc32 is linear)."""
    start = zlib.crc32(data[:at] + bytes(4) + data[at + 4 :])
    basis: dict[int, tuple[int, int]] = {}  # highest bit -> (effect, four bytes that have it)
    for bit in range(32):
        cause = 1 << bit
        effect = zlib.crc32(data[:at] + cause.to_bytes(4, "little") + data[at + 4 :]) ^ start
        while effect and effect.bit_length() in basis:
            other = basis[effect.bit_length()]
            effect, cause = effect ^ other[0], cause ^ other[1]
        if effect:
            basis[effect.bit_length()] = (effect, cause)
    wanted, chosen = start ^ crc, 0
    while wanted:
        effect, cause = basis[wanted.bit_length()]
        wanted, chosen = wanted ^ effect, chosen ^ cause
    return data[:at] + chosen.to_bytes(4, "little") + data[at + 4 :]


def node_that_contains_itself(slot: int, birth: int, count: int) -> tuple[bytes, Entry]:
    """A node with a right checksum whose first ``count`` (< 256) entries name itself; its entry."""
    entry = Entry(slot, 0x600DC0DE, birth)
    spare = 255 * 16 + 4  # the crc of a hole
    return forge(node_of(dict.fromkeys(range(count), entry)), entry.crc, spare), entry
