"""Metrics of clusters, under Aurora's CloudWatch names."""

from __future__ import annotations

from dataclasses import dataclass

from clusterdb.catalog.rows import snapshot_holder
from clusterdb.clusters.figures import store_stats
from clusterdb.core.context import Context
from clusterdb.past.find import retained_range
from clusterdb.past.retention import past_bytes
from vfs.format.layout import SLOT_BYTES
from vfs.storage.heads import find_record, published_version
from vfs.storage.volumes import reader_count

__all__ = ["Metric", "metrics"]

_DAY_NS = 86_400 * 1_000_000_000


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
    snapshots = _snapshots(context)
    for row in catalog.clusters.all():
        volume = catalog.volumes.volume_row(row.volume)
        if volume is None:
            continue
        head = find_record(pages, volume, published_version(pages, volume))
        if head is None:
            continue
        used = (head.own_count + volume.base.own_count + 1) * SLOT_BYTES
        kept_since_ns = pages.clock.now_ns() - row.settings.backup_retention_days * _DAY_NS
        kept = sum(size for taken_ns, size in snapshots.get(row.name, ()) if taken_ns < kept_since_ns)
        past = past_bytes(context, row)
        samples += [
            Metric("VolumeBytesUsed", row.name, "", used),
            Metric("VolumeReadIOPs", row.name, "", pages.volume(volume).read),
            Metric("VolumeWriteIOPs", row.name, "", pages.volume(volume).written),
            Metric("CommitCount", row.name, "", head.version),
            Metric("DatabaseConnections", row.name, "", reader_count(pages, volume)),
            Metric("BackupRetentionPeriodStorageUsed", row.name, "", past),
            Metric("SnapshotStorageUsed", row.name, "", kept),
            Metric("TotalBackupStorageBilled", row.name, "", max(0, past + kept - used)),
        ]
        if row.settings.backtrack_window_s:
            oldest, newest = retained_range(context, volume)
            samples.append(Metric("BacktrackChangeRecordsStored", row.name, "", max(0, newest - oldest)))
        samples += [
            Metric("AuroraReplicaLag", row.name, instance.name, instance.lag_ns / 1e6)
            for instance in catalog.instances.of(row.cluster)
            if not instance.is_writer
        ]
    return samples


def _snapshots(context: Context) -> dict[str, list[tuple[int, int]]]:
    """When the snapshots of clusters were taken, in ns, and the bytes of the volumes that they keep."""
    sizes: dict[str, list[tuple[int, int]]] = {}
    for row in context.catalog.snapshots.all():
        pin = context.catalog.volumes.pin_of(row.volume, row.version, snapshot_holder(row.snapshot))
        if pin is not None:  # otherwise it is being deleted
            sizes.setdefault(row.cluster, []).append((row.created_ns, pin.version.slot_count * SLOT_BYTES))
    return sizes
