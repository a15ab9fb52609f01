"""The slots that only a pin, only the past, or only the head of a volume still reaches: free once it is released.

Pure walks; the rules are those of :mod:`vfs.reclaim.queue`.  The caller holds the volume lock, so that the head cannot
move.  ``pins`` are the distinct pinned versions of the volume, ascending: a version with ten thousand clones appears
once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain, islice, pairwise

from vfs.abc import FOREVER, Superseded
from vfs.format.layout import HOLE, Version
from vfs.reclaim.queue import holder_of
from vfs.registry import PinRow, VolumeRow, VolumeState
from vfs.storage.heads import find_record, head_of, retained
from vfs.storage.pool import Pool
from vfs.storage.walk import only_in

__all__ = ["first_behind", "of_dropped_head", "of_dropped_past", "of_past", "of_pin", "of_removed"]

_NOTHING = Version(0, FOREVER, 0, 0, 0, 0, 0, HOLE)
"""A version, behind all others, that reaches nothing."""


def of_pin(pool: Pool, row: VolumeRow, pin: PinRow, others: list[int]) -> list[Superseded]:
    """The slots that only this pin still holds; ``others`` are the versions that other pins hold."""
    version = pin.version.version
    if version in others:
        return []
    before = max((pinned for pinned in others if pinned < version), default=row.base.version)
    if 0 < row.retained <= version:
        if find_record(pool, row, version) is not None:
            return []  # the past retains the version, and frees its slots later
        before = max([before, *(record.version for record in retained(pool, row, version))])
    after = first_behind(pool, row, others, version)
    death = after.version if after else FOREVER
    return _unshared(pool, pin.version, after, max(before, row.base.version), death)


def first_behind(pool: Pool, row: VolumeRow, pins: list[int], version: int) -> Version | None:
    """The first version after ``version`` that is kept: pinned, retained, or the head."""
    candidates = [pool.registry.pinned_record(row.volume, pin) for pin in pins[bisect_right(pins, version) :][:1]]
    if row.state != VolumeState.DEAD:
        head = head_of(pool, row)
        candidates.append(head)
        candidates += islice(retained(pool, row, head.version, version + 1), 1)
    return min((record for record in candidates if record is not None), key=lambda record: record.version, default=None)


def of_past(pool: Pool, row: VolumeRow, pins: list[int], last: Version) -> Iterator[Superseded]:
    """The slots that only retained versions before ``last`` still hold.

    Pinned versions count as kept even if a power failure lost their record in the history: otherwise a slot superseded
    in one of them would seem to be superseded later, and be left to a pin that does not reach it.
    """
    records = {version.version: version for version in retained(pool, row, last.version - 1)}
    retained_versions = set(records)
    for pin in pins:
        record = pool.registry.pinned_record(row.volume, pin) if pin < last.version and pin not in records else None
        if record is not None:
            records[pin] = record
    kept, born_after = [*(records[number] for number in sorted(records)), last], row.base.version
    items = (
        _unshared_in_turn(pool, kept, born_after)
        if len(records) == len(retained_versions)
        else chain.from_iterable(
            _unshared(pool, version, behind, born_after, behind.version)
            for version, behind in pairwise(kept)
            if version.version in retained_versions
        )
    )
    return (item for item in items if not pins or holder_of(pins, item[1], item[2]) is None)


def _unshared(pool: Pool, version: Version, behind: Version | None, born_after: int, death: int) -> list[Superseded]:
    """The slots that a version reaches and the one behind it, if there is one, does not; in C where that is loaded."""
    if pool.companion is not None:
        return [
            (slot, birth, death)
            for slot, birth, _ in pool.companion.unshared([version, behind or _NOTHING], born_after)
        ]
    walk = only_in(pool.read_slot, version, [behind] if behind is not None else [], born_after)
    return [(at.entry.slot, at.entry.birth, death) for at in walk]


def _unshared_in_turn(pool: Pool, versions: list[Version], born_after: int) -> Iterable[Superseded]:
    """The slots that each of the versions reaches, and the one behind it does not."""
    if pool.companion is not None:
        return pool.companion.unshared(versions, born_after)
    return chain.from_iterable(
        _unshared(pool, version, behind, born_after, behind.version) for version, behind in pairwise(versions)
    )


def of_removed(pool: Pool, row: VolumeRow, head: Version) -> list[Superseded]:
    """The slots that only a volume without pins holds, by its past and its head, and the head slot."""
    past = retained(pool, row, head.version - 1) if row.retained else ()
    items = _unshared_in_turn(pool, [*past, head, _NOTHING], row.base.version)
    return [*items, (row.head_slot, FOREVER - 1, FOREVER)]


def of_dropped_past(pool: Pool, row: VolumeRow, pins: list[int]) -> list[Superseded]:
    """The slots that only the past of a dropped volume still holds."""
    return list(of_past(pool, row, pins, head_of(pool, row))) if row.retained else []


def of_dropped_head(pool: Pool, row: VolumeRow, pins: list[int]) -> list[Superseded]:
    """The slots that only the head of a dropped volume still holds, and the head slot."""
    newest = pins[-1] if pins else row.base.version
    newer = _unshared(pool, head_of(pool, row), None, max(newest, row.base.version), FOREVER)
    return [*newer, (row.head_slot, FOREVER - 1, FOREVER)]
