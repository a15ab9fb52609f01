"""Metrics of clusters, under Aurora's CloudWatch names; :func:`prometheus` prints them as a text page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterdb.views.prometheus import prometheus
from vfs.layout import SLOT_BYTES

if TYPE_CHECKING:
    from clusterdb.store import Store

__all__ = ["Metric", "metrics", "prometheus"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A value under its CloudWatch name, of a cluster or of one of its instances (empty texts: of the whole store)."""

    name: str
    cluster: str
    instance: str
    value: float


def metrics(store: Store) -> list[Metric]:
    """All metrics now.  The cost does not grow with the sizes of the clusters."""
    samples = [Metric("PoolBytesUsed", "", "", store.stats().used_bytes)]
    pages = store._pages
    for row in store._catalog.clusters():
        volume = store._catalog.volume_row(row.volume)
        if volume is None:
            continue
        head = pages.find_record(volume, pages.published_version(volume))
        if head is None:
            continue
        own_count = head.own_count + volume.base.own_count + 1
        samples += [
            Metric("VolumeBytesUsed", row.name, "", own_count * SLOT_BYTES),
            Metric("VolumeReadIOPs", row.name, "", pages.read_count(volume)),
            Metric("VolumeWriteIOPs", row.name, "", pages.written_count(volume)),
            Metric("CommitCount", row.name, "", head.version),
            Metric("DatabaseConnections", row.name, "", pages.reader_count(volume)),
        ]
        samples += [
            Metric("AuroraReplicaLag", row.name, instance.name, instance.lag_ns / 1e6)
            for instance in store._catalog.instances(row.cluster)
            if not instance.is_writer
        ]
    return samples
