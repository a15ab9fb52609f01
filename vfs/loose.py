"""What a pin, the past or the head of a volume still holds, and nothing else does: loose as soon as it is given up.

Pure walks; the rule is that of reclaim.py.  The caller holds the volume lock, so that the head stands still.
"""

from __future__ import annotations

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


def of_pin(store: PageStore, row: VolumeRow, pin: PinRow, pins: list[PinRow]) -> list[Superseded]:
    """What only this pin (of the volume's ``pins``) still holds."""
    version = pin.version.version
    if sum(other.version.version == version for other in pins) > 1:
        return []
    before = max((p.version.version for p in pins if p.version.version < version), default=row.base.version)
    if 0 < row.retained <= version:
        if store.find_record(row, version) is not None:
            return []  # the past keeps it, and gives it back
        before = max([before, *(each.version for each in store.retained(row, version))])
    after = first_behind(store, row, pins, version)
    death = after.version if after else FOREVER
    lost = only_in(store.read_slot, pin.version, [after] if after else [], max(before, row.base.version))
    return [_superseded(at, death) for at in lost]


def first_behind(store: PageStore, row: VolumeRow, pins: list[PinRow], version: int) -> Version | None:
    """The first version behind one that is kept: pinned, retained, or the head."""
    kept = [pin.version for pin in pins if pin.version.version > version]
    if row.state != VolumeState.DEAD:
        head = store.head_of(row)
        kept.append(head)
        kept += islice(store.retained(row, head.version, version + 1), 1)
    return min(kept, key=lambda each: each.version, default=None)


def of_past(store: PageStore, row: VolumeRow, pins: list[PinRow], last: Version) -> Iterator[Superseded]:
    """What only retained versions before ``last`` still hold.

    Pinned versions count as kept even where the record in the history was lost with the power: else what died in one of
    them would seem to die behind it, and be left to a pin that does not reach it.
    """
    held = sorted({pin.version.version for pin in pins})
    retained = {version.version: version for version in store.retained(row, last.version - 1)}
    pinned = {pin.version.version: pin.version for pin in pins if pin.version.version < last.version}
    kept = pinned | retained
    for version, behind in pairwise([*(kept[number] for number in sorted(kept)), last]):
        if version.version not in retained:
            continue
        for at in only_in(store.read_slot, version, [behind], row.base.version):
            if holder_of(held, at.entry.birth, behind.version) is None:
                yield _superseded(at, behind.version)


def of_dropped_past(store: PageStore, row: VolumeRow, pins: list[PinRow]) -> list[Superseded]:
    """What only the past of a dropped volume still holds."""
    return list(of_past(store, row, pins, store.head_of(row))) if row.retained else []


def of_dropped_head(store: PageStore, row: VolumeRow, pins: list[PinRow]) -> list[Superseded]:
    """What only the head of a dropped volume still holds, and the head slot."""
    newest = max((pin.version.version for pin in pins), default=row.base.version)
    lost = reached(store.read_slot, store.head_of(row), max(newest, row.base.version))
    return [*(_superseded(at, FOREVER) for at in lost), (row.head_slot, FOREVER - 1, FOREVER)]


def _superseded(at: Reached, death: int) -> Superseded:
    return at.entry.slot, at.entry.birth, death
