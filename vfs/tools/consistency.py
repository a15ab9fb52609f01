"""Whether the volumes and the pins of a catalog agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from vfs.registry import Registry, VolumeState

__all__ = ["contradictions"]


def contradictions(registry: Registry, name_of: Callable[[int], str]) -> Iterator[str]:
    """Where volumes and pins of the catalog do not go together; ``name_of`` is what people call a volume."""
    rows, pins = {row.volume: row for row in registry.volume_rows()}, registry.all_pin_rows()
    for what, keys in (
        ("row of the volume table", [row.table_index for row in rows.values()]),
        ("head slot", [row.head_slot for row in rows.values() if row.state != VolumeState.DEAD]),
    ):
        yield from (f"{what} {key} belongs to several volumes" for key, count in Counter(keys).items() if count > 1)
    held = {(pin.volume, pin.version.version, pin.holder_volume) for pin in pins}
    for row in rows.values():
        if row.parent is not None and (row.parent, row.base.version, row.volume) not in held:
            yield f"{name_of(row.volume)} has no pin on version {row.base.version} of volume {row.parent}, its base"
    yield from registry.unpinned()
    for pin in pins:
        if pin.volume not in rows:
            yield f"the pin of {pin.holder} refers to volume {pin.volume}, which does not exist"
