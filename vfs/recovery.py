"""After a boot, a copy or damage: choose every volume's head and rebuild what is derived.

Nobody else has the store open while this runs.

Choosing a head.  The records in the head sectors, newest first, then the base.  A record counts if everything born
after the version it knows to be durable checks out against its crcs; then the pages, the nodes and the record of that
version all reached the device.  If a record says that nothing was durable (synchronous=OFF), the slots of older
versions may have been reused, so everything the candidate reaches is checked.

Rebuilding the map.  Dropped volumes and released pins are forgotten; then whatever a head or a pin reaches is live,
and everything else is free.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from vfs.errors import CorruptionError
from vfs.layout import DAMAGED, DROPPED, LIVE_EVEN, SECTOR_BYTES, SLOT_SHIFT, Version, unpack_entries
from vfs.osio import write_at
from vfs.registry import VolumeRow, VolumeState
from vfs.table import Reached, reached, read_node
from vfs.volume import head_records

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["choose_head", "rebuild"]


def rebuild(store: PageStore) -> None:
    """Fill the empty volume table and map from heads and pins.  Raises OSError, StoreFailedError."""
    store.sync()  # in the same boot, what we are going to trust may still be in the page cache only
    _forget_what_is_released(store)
    marks = store.slot_map.states
    for row in store.registry.volume_rows():
        if row.state == VolumeState.DEAD:
            store.tables.set_volume(row.table_index, row.volume | DROPPED, row.base.version, 0)
            continue
        marks[row.head_slot] = LIVE_EVEN
        head = choose_head(store, row)
        if head is None:
            store.tables.set_volume(row.table_index, row.volume | DAMAGED, row.base.version, 0)
            continue
        _forget_newer(store, row, head)
        store.tables.set_volume(row.table_index, row.volume, head.version, head.version)
        _mark(store, head, marks)
    for pin in store.registry.all_pin_rows():
        _mark(store, pin.version, marks)
    store.sync()


def _forget_what_is_released(store: PageStore) -> None:
    registry = store.registry
    with registry.reclaiming():
        for row in registry.volume_rows():
            if row.state == VolumeState.BUILDING:
                registry.drop_volume(row.volume)
        for pin in registry.all_pin_rows():
            if pin.released:
                registry.remove_pin(pin.volume, pin.version.version, pin.holder)
        for row in registry.volume_rows():
            if row.state == VolumeState.DROPPED:
                registry.set_dead(row.volume)
        for row in registry.volume_rows():
            if row.state == VolumeState.DEAD and not registry.pinned_versions(row.volume):
                registry.remove_volume(row.volume)


def choose_head(store: PageStore, row: VolumeRow) -> Version | None:
    """The newest version of the volume that is whole on the device; None if none is."""
    records = [record for record in head_records(store.read_slot(row.head_slot), row.volume) if record is not None]
    candidates = [*sorted(records, key=lambda record: -record.version), row.base]
    reused = any(record.durable == 0 for record in records)
    for candidate in candidates:
        if _is_whole(store, candidate, 0 if reused else candidate.durable):
            return candidate
    return None


def _is_whole(store: PageStore, version: Version, durable: int) -> bool:
    try:
        for at in reached(store.read_slot, version, durable):
            if at.level < 0 and zlib.crc32(store.read_slot(at.entry.slot)) != at.entry.crc:
                return False
    except CorruptionError:
        return False
    return True


def _forget_newer(store: PageStore, row: VolumeRow, head: Version) -> None:
    """Wipe records of versions that did not make it, so that no later recovery meets them."""
    for sector, record in enumerate(head_records(store.read_slot(row.head_slot), row.volume)):
        if record is not None and record.version > head.version:
            at = (row.head_slot << SLOT_SHIFT) + sector * SECTOR_BYTES
            write_at(store.pool_fd, [bytes(SECTOR_BYTES)], at)


def _mark(store: PageStore, version: Version, marks: memoryview) -> None:
    """Mark everything a version reaches, skipping subtrees that are marked already."""
    if not version.depth or not version.root.slot:
        return
    stack = [Reached(version.depth - 1, 0, version.root)]
    while stack:
        level, number, entry = stack.pop()
        if entry.slot >= len(marks):
            continue  # a damaged table: check reports it
        if marks[entry.slot]:
            continue
        marks[entry.slot] = LIVE_EVEN
        try:
            node = read_node(store.read_slot, entry, f"page table, level {level}, number {number}")
        except CorruptionError:
            continue
        if level == 0:
            for slot in node.cast("I").tolist()[::4]:
                if 0 < slot < len(marks):
                    marks[slot] = LIVE_EVEN
        else:
            first = number << 8
            stack += [Reached(level - 1, first + index, child) for index, child in unpack_entries(node)]
