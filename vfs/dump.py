"""What is in a store, in words: for people who look for the reason of something, and for bug reports."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress

from vfs.errors import CorruptionError, StorageError
from vfs.layout import FREE, LIVE_EVEN, LIVE_ODD, POOL_HEADER_SLOT, RESERVED, SEAL_SECTOR, Version, unpack_entries
from vfs.registry import IN_USE, VolumeRow
from vfs.store import PageStore
from vfs.table import Reached, reached

__all__ = ["slot_text", "volume_text"]


def version_text(version: Version) -> str:
    """A version record in one line."""
    root = version.root
    return (
        f"version {version.version} of volume {version.volume}: {version.size_bytes} bytes, depth {version.depth}, "
        f"root slot {root.slot} born {root.birth}, {version.slot_count} slots, {version.own_count} own, "
        f"durable {version.durable}"
    )


def slot_text(store: PageStore, slot: int) -> Iterator[str]:
    """A slot: its state, and what it seems to hold.  Raises CorruptionError past the end of the pool."""
    data = store.read_slot(slot)
    yield f"slot {slot}: {_state_text(store.slot_map.states[slot])}, crc32 {zlib.crc32(data):08x}"
    if slot == POOL_HEADER_SLOT:
        yield "  the pool header"
    for row in store.registry.volume_rows():
        if row.head_slot == slot:
            yield f"  the head of volume {row.volume}"
            yield from _records_text(store, row)
    yield from _users_text(store, slot)
    for at in range(0, 64, 16):
        line = bytes(data[at : at + 16])
        yield f"  {at:04x}  {line.hex(' ')}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in line)}"


def _users_text(store: PageStore, slot: int) -> Iterator[str]:
    """What heads and pins use a slot for (a walk of all they reach)."""
    versions = [
        (f"the pin of {pin.holder} on volume {pin.volume}", pin.version) for pin in store.registry.all_pin_rows()
    ]
    for row in store.registry.volume_rows():
        if row.state in IN_USE:
            with suppress(StorageError), store.pinned(row) as volume:
                versions.append((f"volume {row.volume}", volume.version))
    for who, version in versions:
        try:
            at = next((at for at in reached(store.read_slot, version) if at.entry.slot == slot), None)
        except CorruptionError as error:
            yield f"  {who}: {error}"
            continue
        if at is not None:
            what = f"page {at.number}" if at.level < 0 else f"node {at.number} of level {at.level}"
            yield f"  {what} of {who}, born in version {at.entry.birth}, crc32 {at.entry.crc:08x}"


def _state_text(state: int) -> str:
    if state == FREE:
        return "free"
    if state in (LIVE_EVEN, LIVE_ODD):
        return f"live ({'even' if state == LIVE_EVEN else 'odd'})"
    return f"reserved by session {state - RESERVED}" if state >= RESERVED else f"in no known state ({state:#06x})"


def volume_text(store: PageStore, row: VolumeRow) -> Iterator[str]:
    """A volume: its catalog row, its records, its pins, and the nodes of its page table."""
    source = f", cloned from volume {row.parent}" if row.parent is not None else ""
    yield f"volume {row.volume}: {row.state}, row {row.table_index}, head slot {row.head_slot}{source}"
    yield f"  base: {version_text(row.base)}"
    yield from _records_text(store, row)
    for pin in store.registry.pin_rows(row.volume):
        yield f"  pin of {pin.holder}{' (released)' if pin.released else ''}: {version_text(pin.version)}"
    with store.pinned(row) as volume:
        yield f"  published: {version_text(volume.version)}"
        yield from _tree_text(store, volume.version)


def _records_text(store: PageStore, row: VolumeRow) -> Iterator[str]:
    for sector, record in enumerate(store.head_records(row)):
        name = "seal" if sector == SEAL_SECTOR else f"sector {sector}"
        yield f"  {name}: {version_text(record) if record is not None else 'no record of this volume'}"


def _tree_text(store: PageStore, version: Version) -> Iterator[str]:
    if not version.depth:
        return
    stack, seen = [Reached(version.depth - 1, 0, version.root)], set[int]()
    while stack:
        level, number, entry = stack.pop()
        if entry.slot in seen:
            yield f"level {level} node {number}: slot {entry.slot}, which is another node already"
            continue
        seen.add(entry.slot)
        where = f"  {'  ' * (version.depth - level)}level {level} node {number}: slot {entry.slot} born {entry.birth}"
        try:
            node = store.read_slot(entry.slot)
        except CorruptionError as error:
            yield f"{where}, {error}"
            continue
        if zlib.crc32(node) != entry.crc:
            yield f"{where}, FAILS its checksum"
            continue
        children = unpack_entries(node)
        young = sum(child.birth == entry.birth for _, child in children)
        yield f"{where}, {len(children)} children, {young} born with it"
        if level:
            first = number << 8
            stack += reversed([Reached(level - 1, first + index, child) for index, child in children])
