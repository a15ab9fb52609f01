"""What a pin, the past or the head of a volume still holds, and nothing else does: loose as soon as it is given up.

Pure walks; the rule is that of reclaim.py.  The caller holds the volume lock, so that the head stands still.  ``pins``
are the pinned versions of the volume, ascending: a version that ten thousand clones stand on is there once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from vfs.layout import Version
from vfs.reclaim import FOREVER, Superseded, holder_of
from vfs.registry import PinRow, VolumeRow, VolumeState
from vfs.table import Reached, only_in, reached

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["first_behind", "of_dropped_head", "of_dropped_past", "of_past", "of_pin"]


def of_pin(store: PageStore, row: VolumeRow, pin: PinRow, others: list[int]) -> list[Superseded]:
    """What only this pin still holds; ``others`` are the versions that other pins hold."""
    version = pin.version.version
    if version in others:
        return []
    before = max((other for other in others if other < version), default=row.base.version)
    if 0 < row.retained <= version:
        if store.find_record(row, version) is not None:
            return []  # the past keeps it, and gives it back
        before = max([before, *(each.version for each in store.retained(row, version))])
    after = first_behind(store, row, others, version)
    death = after.version if after else FOREVER
    lost = only_in(store.read_slot, pin.version, [after] if after else [], max(before, row.base.version))
    return [_superseded(at, death) for at in lost]


def first_behind(store: PageStore, row: VolumeRow, pins: list[int], version: int) -> Version | None:
    """The first version behind one that is kept: pinned, retained, or the head."""
    kept = [store.registry.pinned_record(row.volume, pin) for pin in pins[bisect_right(pins, version) :][:1]]
    if row.state != VolumeState.DEAD:
        head = store.head_of(row)
        kept.append(head)
        kept += islice(store.retained(row, head.version, version + 1), 1)
    return min((each for each in kept if each is not None), key=lambda each: each.version, default=None)


def of_past(store: PageStore, row: VolumeRow, pins: list[int], last: Version) -> Iterator[Superseded]:
    """What only retained versions before ``last`` still hold.

    Pinned versions count as kept even where the record in the history was lost with the power: else what died in one of
    them would seem to die behind it, and be left to a pin that does not reach it.
    """
    kept = {version.version: version for version in store.retained(row, last.version - 1)}
    retained = set(kept)
    for pin in pins:
        record = store.registry.pinned_record(row.volume, pin) if pin < last.version and pin not in kept else None
        if record is not None:
            kept[pin] = record
    for version, behind in pairwise([*(kept[number] for number in sorted(kept)), last]):
        if version.version not in retained:
            continue
        for at in only_in(store.read_slot, version, [behind], row.base.version):
            if holder_of(pins, at.entry.birth, behind.version) is None:
                yield _superseded(at, behind.version)


def of_dropped_past(store: PageStore, row: VolumeRow, pins: list[int]) -> list[Superseded]:
    """What only the past of a dropped volume still holds."""
    return list(of_past(store, row, pins, store.head_of(row))) if row.retained else []


def of_dropped_head(store: PageStore, row: VolumeRow, pins: list[int]) -> list[Superseded]:
    """What only the head of a dropped volume still holds, and the head slot."""
    newest = pins[-1] if pins else row.base.version
    lost = reached(store.read_slot, store.head_of(row), max(newest, row.base.version))
    return [*(_superseded(at, FOREVER) for at in lost), (row.head_slot, FOREVER - 1, FOREVER)]


def _superseded(at: Reached, death: int) -> Superseded:
    return at.entry.slot, at.entry.birth, death
