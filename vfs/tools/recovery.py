"""Recovery, after a boot, a copy or damage: chooses the head of each volume and rebuilds the derived files.

No other process has the store open while this runs.

Choosing a head.  Candidates are the records in the head sectors, the durable pins and the base, newest first.  A
candidate counts if everything born after the version it names as durable matches its crcs; then its pages, nodes and
record all reached the device.  The *floor* is the newest version that a record or the base names as durable or that a
durable pin holds: an older candidate does not count, since slots of it may have been reused.  Therefore damage in a
version that a clean close has sealed (K2 of seals.py) is not mistaken for an unfinished commit: the volume is damaged.
If a record states that nothing was durable (synchronous=OFF), only records count, and everything they reach is checked;
the seal written when that began (K3) is among them, and part of the floor.
A candidate that reaches the head slot of a volume does not count either: the catalog has assigned that slot, although
it may not have been written to yet.  Nor does a candidate which reaches, through slots born since, a slot that another
volume reaches: that slot was freed and rewritten, by chance with the same bytes.  A volume without a candidate is
damaged: its slots stay, and opening it raises an error.

Rebuilding the map.  Dropped volumes and released pins are removed; then everything that a head or a pin reaches is
live, and everything else is free.
"""

from __future__ import annotations

from collections.abc import Collection

from vfs.abc import FOREVER
from vfs.errors import CorruptionError
from vfs.format.layout import COMMIT_SECTORS, Version
from vfs.format.shared import DAMAGED, DROPPED, LIVE_EVEN, MOVED
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.heads import head_records, retained, wipe_sector, write_record
from vfs.storage.pool import Pool
from vfs.storage.verify import damage_in
from vfs.storage.volumes import remove_unowned_histories
from vfs.storage.walk import Reached, nodes, reached
from vfs.tools.consistency import contradictions

__all__ = ["choose_head", "damage_of", "rebuild"]

_SOMEBODY = 0
"""The owner of a slot that another volume certainly reaches; no volume has this id."""


def rebuild(pool: Pool) -> None:
    """Fill the empty volume table and map from heads and pins.

    Raises CorruptionError if volumes and pins of the catalog contradict each other, OSError, StoreFailedError.
    """
    _require_consistent(pool)
    pool.sync()  # in the same boot, the data to be trusted may still be in the page cache only
    if not pool.read_only:
        pool.registry.seal()  # and so may the state of the catalog, by which slots become free (R7)
    _forget_what_is_released(pool)
    marks = pool.slot_map.states
    rows = pool.registry.volume_rows()
    heads = {row.head_slot for row in rows if row.state != VolumeState.DEAD}
    chosen = _choose_heads(pool, [row for row in rows if row.state != VolumeState.DEAD], heads)
    for row in rows:
        if row.state == VolumeState.DEAD:
            pool.tables.set_volume(row.table_index, row.volume | DROPPED, row.base.version, 0, row.base.version)
            continue
        flag = MOVED if row.state == VolumeState.PAST else 0
        if row.head_slot < len(marks):
            marks[row.head_slot] = LIVE_EVEN
        head = chosen[row.volume]
        if head is None:
            pool.tables.set_volume(row.table_index, row.volume | DAMAGED, row.base.version, 0, row.base.version)
            for record in _records(pool, row):
                _mark(pool, record, marks)
            continue
        if pool.read_only:
            pool.chosen[row.volume] = head
        else:
            _install(pool, row, head)
        pool.tables.set_volume(
            row.table_index, row.volume | flag, head.version, head.version, row.base.version, row.retained
        )
        _mark(pool, head, marks)
        _keep_past(pool, row, head, heads, marks)
    for pin in pool.registry.all_pin_rows():
        _mark(pool, pin.version, marks)
    pool.clock.begin_behind(max((head.time_ns for head in chosen.values() if head is not None), default=0))
    remove_unowned_histories(pool)
    pool.sync()


def _require_consistent(pool: Pool) -> None:
    """Refuse a catalog that has lost pins: volumes could fall back to versions older than the bases of their clones."""
    problem = next(contradictions(pool.registry, lambda volume: f"volume {volume}"), None)
    if problem is not None:
        raise CorruptionError(f"its catalog contradicts itself: {problem}; restore catalog.db and pool from one backup")


def _keep_past(pool: Pool, row: VolumeRow, head: Version, heads: set[int], marks: memoryview) -> None:
    """Mark everything that retained versions reach, and complete their records, including the head's (H4).

    Records of versions that are not whole on the device are erased (H1).
    """
    if not row.retained:
        return
    if not pool.read_only:
        pool.history.erase_after(row.volume, head.version)
    written = 0
    for record in retained(pool, row, head.version):
        written = pool.history.written(row.volume, record.version, record.version) or written
        if record.version <= head.durable or _is_whole(pool, record, head.durable, heads):
            _mark(pool, record, marks)
            completes = not pool.read_only and head.version > row.base.version
            if completes and pool.history.find(row.volume, record.version) != record:
                pool.history.append(row, record, written)  # a head sector had it
        elif pool.read_only:
            pool.lost.add((row.volume, record.version))
        else:
            pool.history.erase(row.volume, record.version)
            _wipe_records(pool, row, range(record.version, record.version + 1))
    pool.volume(row).written = written  # H7


def _choose_heads(pool: Pool, rows: list[VolumeRow], heads: set[int]) -> dict[int, Version | None]:
    """The head of every volume that has one, so that no two of them reach a slot that was born in one of them."""
    chosen = {row.volume: choose_head(pool, row, heads) for row in rows}
    unsure = {row.volume: _unsure_slots(pool, row, chosen[row.volume]) for row in rows}
    owners: dict[int, int] = {}
    if any(unsure.values()):
        sure = _sure_slots(pool, rows, chosen, unsure)
        owners = {slot: _SOMEBODY for slot in set[int]().union(*unsure.values()) if sure[slot]}
    for row in rows:
        while any(owners.get(slot, row.volume) != row.volume for slot in unsure[row.volume]):
            head = chosen[row.volume]
            chosen[row.volume] = head = choose_head(pool, row, heads, before=head.version if head else 0)
            unsure[row.volume] = _unsure_slots(pool, row, head)
        owners |= dict.fromkeys(unsure[row.volume], row.volume)
    return chosen


def _unsure_slots(pool: Pool, row: VolumeRow, head: Version | None) -> set[int]:
    """The slots of a head that are accepted only because their bytes match: born after the last durable version.

    Such a slot may have been freed and written for another volume with identical bytes.
    """
    if head is None:
        return set()
    durable = [version for version in pool.registry.pinned_versions(row.volume) if version <= head.version]
    sure_to = max([head.durable, row.base.version, *durable])
    return {at.entry.slot for at in reached(pool.read_slot, head, sure_to)}


def _sure_slots(
    pool: Pool, rows: list[VolumeRow], chosen: dict[int, Version | None], unsure: dict[int, set[int]]
) -> memoryview:
    """Mark the slots that heads and pins reach, except the unsure slots of each head."""
    marks = memoryview(bytearray(2 * pool.slot_map.slot_count)).cast("H")
    for row in rows:
        head = chosen[row.volume]
        if head is not None:
            _mark(pool, head, marks, unsure[row.volume])
    for pin in pool.registry.all_pin_rows():
        _mark(pool, pin.version, marks)
    return marks


def _forget_what_is_released(pool: Pool) -> None:
    registry = pool.registry
    with registry.reclaiming(waits=True):
        registry.forget_absorbed()
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


def _records(pool: Pool, row: VolumeRow) -> list[Version]:
    """The complete records in a volume's head sectors."""
    if row.head_slot >= pool.slot_map.slot_count:
        return []
    return [record for record in head_records(pool, row) if record is not None]


def choose_head(pool: Pool, row: VolumeRow, heads: set[int], before: int = FOREVER) -> Version | None:
    """The newest version of the volume, older than ``before``, that is whole on the device; None if there is none.

    ``heads``: the head slots of all volumes.
    """
    if row.head_slot >= pool.slot_map.slot_count:
        return None
    records = _records(pool, row)
    versions = pool.registry.pinned_versions(row.volume)
    pins = [pin for pin in (pool.registry.pinned_record(row.volume, version) for version in versions) if pin]
    floor = max((record.durable for record in records), default=0)
    sealed = pool.registry.sealed_version(row.volume)
    floor = max([floor, row.base.durable, row.retained, sealed, *(pin.version for pin in pins)])
    nothing_durable = any(record.durable == 0 for record in records)
    candidates = [*records, *pins]
    if not nothing_durable or floor <= row.base.version:  # K3: no slot of the base was reused
        candidates.append(row.base)
    unsealed = {record.version: record.durable for record in records if record.durable < record.version}
    for candidate in sorted(candidates, key=lambda version: -version.version):
        durable = candidate.durable
        if durable == candidate.version:  # a seal, or the base: the durable version from before it was sealed
            durable = unsealed.get(candidate.version, row.base.version)
        if nothing_durable and candidate.version != row.base.version:
            durable = 0
        if floor <= candidate.version < before and _is_whole(pool, candidate, durable, heads):
            return candidate._replace(volume=row.volume)
    return None


def _is_whole(pool: Pool, version: Version, durable: int, heads: set[int]) -> bool:
    return not damage_in(pool, version, durable, heads)


def damage_of(pool: Pool, row: VolumeRow) -> str:
    """Describe the damage in the newest version of a volume that recovery found damaged."""
    newest = max(_records(pool, row), key=lambda record: record.version, default=None)
    if newest is None:
        return f"head slot {row.head_slot} has no version record"
    return damage_in(pool, newest, row.base.version) or f"version {newest.version} is not the newest durable one"


def _install(pool: Pool, row: VolumeRow, head: Version) -> None:
    """Wipe records newer than the chosen head, and write the record of the head if it has none."""
    records = _wipe_records(pool, row, range(head.version + 1, FOREVER))
    recorded = {record.version for record in records[:COMMIT_SECTORS] if record}
    if head.version != row.base.version and head.version not in recorded:
        free = next((sector for sector, record in enumerate(records[:COMMIT_SECTORS]) if record is None), 0)
        write_record(pool, row, free, head)


def _wipe_records(pool: Pool, row: VolumeRow, versions: range) -> list[Version | None]:
    """Wipe the head sectors of the given versions, and return the records that remain, by sector."""
    records = head_records(pool, row)
    for sector, record in enumerate(records):
        if record is not None and record.version in versions:
            wipe_sector(pool, row, sector)
            records[sector] = None
    return records


def _mark(pool: Pool, version: Version, marks: memoryview, unmarked: Collection[int] = ()) -> None:
    """Mark everything that a version reaches, except the slots ``unmarked``; skips subtrees that are marked already.

    Of a damaged table, everything that can be read is marked; check reports the damage.
    """

    def enter(at: Reached) -> bool:
        slot = at.entry.slot
        if slot >= len(marks) or marks[slot]:
            return False
        if slot not in unmarked:
            marks[slot] = LIVE_EVEN
        return True

    for node in nodes(pool.read_slot, version, enter=enter, damaged=lambda at, error: None):
        if not node.at.level:
            for slot in node.slots():
                if 0 < slot < len(marks) and slot not in unmarked:
                    marks[slot] = LIVE_EVEN
