"""Metrics of clusters, under Aurora's CloudWatch names."""

from __future__ import annotations

from dataclasses import dataclass

from clusterdb.clusters.figures import store_stats
from clusterdb.core.context import Context
from vfs.format.layout import SLOT_BYTES
from vfs.storage.heads import find_record, published_version
from vfs.storage.volumes import reader_count

__all__ = ["Metric", "metrics"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A value with its CloudWatch name, of a cluster or of an instance of it; both empty: of the whole store."""

    name: str
    cluster: str
    instance: str
    value: float


def metrics(context: Context) -> list[Metric]:
    """All present metrics.  The cost does not grow with the sizes of the clusters."""
    samples = [Metric("PoolBytesUsed", "", "", store_stats(context).used_bytes)]
    pages, catalog = context.pages, context.catalog
    for row in catalog.clusters.all():
        volume = catalog.volumes.volume_row(row.volume)
        if volume is None:
            continue
        head = find_record(pages, volume, published_version(pages, volume))
        if head is None:
            continue
        own_count = head.own_count + volume.base.own_count + 1
        samples += [
            Metric("VolumeBytesUsed", row.name, "", own_count * SLOT_BYTES),
            Metric("VolumeReadIOPs", row.name, "", pages.volume(volume).read),
            Metric("VolumeWriteIOPs", row.name, "", pages.volume(volume).written),
            Metric("CommitCount", row.name, "", head.version),
            Metric("DatabaseConnections", row.name, "", reader_count(pages, volume)),
        ]
        samples += [
            Metric("AuroraReplicaLag", row.name, instance.name, instance.lag_ns / 1e6)
            for instance in catalog.instances.of(row.cluster)
            if not instance.is_writer
        ]
    return samples
