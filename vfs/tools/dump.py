"""The content of a store as text, for debugging and bug reports."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress

from vfs.errors import CorruptionError, StorageError
from vfs.format.layout import POOL_HEADER_SLOT, SEAL_SECTOR, Version
from vfs.format.shared import FREE, LIVE, LIVE_EVEN, RESERVED
from vfs.registry import IN_USE, VolumeRow
from vfs.storage.heads import head_records
from vfs.storage.pool import Pool
from vfs.storage.volumes import pinned
from vfs.storage.walk import Node, Reached, nodes, reached

__all__ = ["slot_text", "volume_text"]


def version_text(version: Version) -> str:
    """A version record in one line."""
    root = version.root
    return (
        f"version {version.version} of volume {version.volume}: {version.size_bytes} bytes, depth {version.depth}, "
        f"root slot {root.slot} born {root.birth}, {version.slot_count} slots, {version.own_count} own, "
        f"durable {version.durable}"
    )


def slot_text(pool: Pool, slot: int) -> Iterator[str]:
    """A slot: its state, and what it seems to hold.  Raises CorruptionError past the end of the pool."""
    data = pool.read_slot(slot)
    yield f"slot {slot}: {_state_text(pool.slot_map.states[slot])}, crc32 {zlib.crc32(data):08x}"
    if slot == POOL_HEADER_SLOT:
        yield "  the pool header"
    for row in pool.registry.volume_rows():
        if row.head_slot == slot:
            yield f"  the head of volume {row.volume}"
            yield from _records_text(pool, row)
    yield from _users_text(pool, slot)
    for at in range(0, 64, 16):
        line = bytes(data[at : at + 16])
        yield f"  {at:04x}  {line.hex(' ')}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in line)}"


def _users_text(pool: Pool, slot: int) -> Iterator[str]:
    """What heads and pins use a slot for (a walk of all they reach)."""
    versions = [
        (f"the pin of {pin.holder} on volume {pin.volume}", pin.version) for pin in pool.registry.all_pin_rows()
    ]
    for row in pool.registry.volume_rows():
        if row.state in IN_USE:
            with suppress(StorageError), pinned(pool, row) as volume:
                versions.append((f"volume {row.volume}", volume.version))
    for who, version in versions:
        try:
            at = next((at for at in reached(pool.read_slot, version) if at.entry.slot == slot), None)
        except CorruptionError as error:
            yield f"  {who}: {error}"
            continue
        if at is not None:
            what = f"page {at.number}" if at.level < 0 else f"node {at.number} of level {at.level}"
            yield f"  {what} of {who}, born in version {at.entry.birth}, crc32 {at.entry.crc:08x}"


def _state_text(state: int) -> str:
    if state == FREE:
        return "free"
    if state in LIVE:
        return f"live ({'even' if state == LIVE_EVEN else 'odd'})"
    return f"reserved by session {state - RESERVED}" if state >= RESERVED else f"in no known state ({state:#06x})"


def volume_text(pool: Pool, row: VolumeRow) -> Iterator[str]:
    """A volume: its catalog row, its records, its pins, and the nodes of its page table."""
    source = f", cloned from volume {row.parent}" if row.parent is not None else ""
    yield f"volume {row.volume}: {row.state}, row {row.table_index}, head slot {row.head_slot}{source}"
    yield f"  base: {version_text(row.base)}"
    yield from _records_text(pool, row)
    for pin in pool.registry.pin_rows(row.volume):
        yield f"  pin of {pin.holder}{' (released)' if pin.released else ''}: {version_text(pin.version)}"
    with pinned(pool, row) as volume:
        yield f"  published: {version_text(volume.version)}"
        yield from _tree_text(pool, volume.version)


def _records_text(pool: Pool, row: VolumeRow) -> Iterator[str]:
    for sector, record in enumerate(head_records(pool, row)):
        name = "seal" if sector == SEAL_SECTOR else f"sector {sector}"
        yield f"  {name}: {version_text(record) if record is not None else 'no record of this volume'}"


def _tree_text(pool: Pool, version: Version) -> Iterator[str]:
    lines: list[str] = []
    seen: set[int] = set()

    def where(at: Reached) -> str:
        indent = "  " * (version.depth - at.level)
        return f"  {indent}level {at.level} node {at.number}: slot {at.entry.slot} born {at.entry.birth}"

    def enter(at: Reached) -> bool:
        is_new = at.entry.slot not in seen
        if not is_new:
            lines.append(f"level {at.level} node {at.number}: slot {at.entry.slot} is another node already")
        seen.add(at.entry.slot)
        return is_new

    def damaged(at: Reached, error: CorruptionError) -> None:
        lines.append(f"{where(at)}: {error}")

    def text(node: Node) -> str:
        children = [*node.children()]
        young_count = sum(child.entry.birth == node.at.entry.birth for child in children)
        return f"{where(node.at)}, {len(children)} children, {young_count} born with it"

    for node in nodes(pool.read_slot, version, enter=enter, damaged=damaged):
        yield from lines
        lines.clear()
        yield text(node)
    yield from lines
