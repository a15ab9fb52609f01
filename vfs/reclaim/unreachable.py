"""The slots that only a pin, only the past, or only the head of a volume still reaches: free once that is given up.

Pure walks; the rules are those of :mod:`vfs.reclaim.queue`.  The caller holds the volume lock, so that the head stands
still.  ``pins`` are the pinned versions of the volume, ascending: a version that ten thousand clones stand on is there
once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice, pairwise

from vfs.abc import FOREVER, Superseded
from vfs.format.layout import Version
from vfs.reclaim.queue import holder_of
from vfs.registry import PinRow, VolumeRow, VolumeState
from vfs.storage.heads import find_record, head_of, retained
from vfs.storage.pool import Pool
from vfs.storage.walk import Reached, only_in, reached

__all__ = ["first_behind", "of_dropped_head", "of_dropped_past", "of_past", "of_pin"]


def of_pin(pool: Pool, row: VolumeRow, pin: PinRow, others: list[int]) -> list[Superseded]:
    """What only this pin still holds; ``others`` are the versions that other pins hold."""
    version = pin.version.version
    if version in others:
        return []
    before = max((other for other in others if other < version), default=row.base.version)
    if 0 < row.retained <= version:
        if find_record(pool, row, version) is not None:
            return []  # the past keeps it, and gives it back
        before = max([before, *(record.version for record in retained(pool, row, version))])
    after = first_behind(pool, row, others, version)
    death = after.version if after else FOREVER
    lost = only_in(pool.read_slot, pin.version, [after] if after else [], max(before, row.base.version))
    return [_superseded(at, death) for at in lost]


def first_behind(pool: Pool, row: VolumeRow, pins: list[int], version: int) -> Version | None:
    """The first version behind one that is kept: pinned, retained, or the head."""
    kept = [pool.registry.pinned_record(row.volume, pin) for pin in pins[bisect_right(pins, version) :][:1]]
    if row.state != VolumeState.DEAD:
        head = head_of(pool, row)
        kept.append(head)
        kept += islice(retained(pool, row, head.version, version + 1), 1)
    return min((record for record in kept if record is not None), key=lambda record: record.version, default=None)


def of_past(pool: Pool, row: VolumeRow, pins: list[int], last: Version) -> Iterator[Superseded]:
    """What only retained versions before ``last`` still hold.

    Pinned versions count as kept even where the record in the history was lost with the power: else what died in one of
    them would seem to die behind it, and be left to a pin that does not reach it.
    """
    kept = {version.version: version for version in retained(pool, row, last.version - 1)}
    retained_versions = set(kept)
    for pin in pins:
        record = pool.registry.pinned_record(row.volume, pin) if pin < last.version and pin not in kept else None
        if record is not None:
            kept[pin] = record
    for version, behind in pairwise([*(kept[number] for number in sorted(kept)), last]):
        if version.version not in retained_versions:
            continue
        for at in only_in(pool.read_slot, version, [behind], row.base.version):
            if holder_of(pins, at.entry.birth, behind.version) is None:
                yield _superseded(at, behind.version)


def of_dropped_past(pool: Pool, row: VolumeRow, pins: list[int]) -> list[Superseded]:
    """What only the past of a dropped volume still holds."""
    return list(of_past(pool, row, pins, head_of(pool, row))) if row.retained else []


def of_dropped_head(pool: Pool, row: VolumeRow, pins: list[int]) -> list[Superseded]:
    """What only the head of a dropped volume still holds, and the head slot."""
    newest = pins[-1] if pins else row.base.version
    lost = reached(pool.read_slot, head_of(pool, row), max(newest, row.base.version))
    return [*(_superseded(at, FOREVER) for at in lost), (row.head_slot, FOREVER - 1, FOREVER)]


def _superseded(at: Reached, death: int) -> Superseded:
    return at.entry.slot, at.entry.birth, death
