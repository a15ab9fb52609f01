"""Evicting the pages of a lazy clone that its origin still has: N4 and N5 of :mod:`clusterdb.remote.absent`."""

from __future__ import annotations

from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import pinned_volume
from clusterdb.remote.absent import AbsentPages
from clusterdb.remote.places import absent_pages_if_any, slots_of
from vfs.format.layout import SLOT_BYTES, ZERO_CRC, ZERO_SLOT, Version
from vfs.registry import VolumeRow
from vfs.storage.volumes import halted
from vfs.storage.walk import nodes

__all__ = ["evict"]

_PATIENCE_S = 1.0
_TOGETHER = 16_384
"""Slots that are cleared while readers wait."""


def evict(context: Context, cluster: ClusterRef) -> int:
    """Evict the cached pages of a cluster: implements :meth:`clusterdb.Cluster.evict`."""
    context.require_writable()
    row = context.row_of(cluster)
    text = f"cluster '{row.name}'"
    volume = context.require_in_use(row.volume, text)
    absent = absent_pages_if_any(context)
    if absent is None:
        return 0
    with pinned_volume(context, volume, None, text) as handle, context.errors():
        cached = _cached(context, absent, handle.version)
        _require_origins(context, cached)
        slots = sorted(cached)
        for start in range(0, len(slots), _TOGETHER):
            part = slots[start : start + _TOGETHER]
            with context.pages.registry.reclaiming(waits=True):
                rows = _connected(context.catalog.volumes.volume_rows(), volume)
                with halted(context.pages, handle.session, rows, _PATIENCE_S):
                    absent.evict(part)
    return len(slots) * SLOT_BYTES


def _cached(context: Context, absent: AbsentPages, version: Version) -> dict[int, tuple[int, int]]:
    """The slots of a version whose pages are here and came from elsewhere: slot -> (place, remote slot)."""
    read_slot, entries = context.pages.read_slot, absent.entries()
    cached: dict[int, tuple[int, int]] = {}
    for node in nodes(read_slot, version):
        if node.at.level:
            continue
        words = node.data.cast("I")
        for slot, crc in zip(words[0::4].tolist(), words[1::4].tolist(), strict=True):
            at = 4 * slot
            if not slot or at + 4 > len(entries) or not entries[at] or entries[at + 1] != crc or crc == ZERO_CRC:
                continue
            if context.pages.pool_words[slot << 10] or read_slot(slot) != ZERO_SLOT:
                cached[slot] = (entries[at + 2], entries[at])
    return cached


def _require_origins(context: Context, cached: dict[int, tuple[int, int]]) -> None:
    """Check that the states from which pages came are pinned, and have them (N4).

    Raises RemoteNotFoundError, RemoteUnavailableError, RemoteDamagedError.
    """
    origins = {place: slots_of(context, place, renews=True) for place in {place for place, _ in cached.values()}}
    for place, remote in cached.values():
        origins[place].segment_of(remote)


def _connected(rows: list[VolumeRow], volume: VolumeRow) -> list[VolumeRow]:
    """The volumes that may share slots with a volume, itself included (N5)."""
    links: dict[int, list[int]] = {}
    for row in rows:
        if row.parent is not None:
            links.setdefault(row.volume, []).append(row.parent)
            links.setdefault(row.parent, []).append(row.volume)
    reached, waiting = {volume.volume}, [volume.volume]
    while waiting:
        for other in links.get(waiting.pop(), ()):
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return [row for row in rows if row.volume in reached]
