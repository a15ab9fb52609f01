"""Numbers about clusters, with Aurora's CloudWatch names, and as a Prometheus text page.

(https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clusterdb.clusters.figures import store_stats
from clusterdb.core.context import Context
from vfs.format.layout import SLOT_BYTES
from vfs.storage.heads import find_record, published_version
from vfs.storage.volumes import reader_count

__all__ = ["Metric", "metrics", "prometheus"]

_HELP = {
    "VolumeBytesUsed": "Bytes of the pool that the cluster has written and still reaches.",
    "VolumeReadIOPs": "Reads that SQLite has made since the shared tables were last rebuilt.",
    "VolumeWriteIOPs": "Slots (4096 bytes) written since the shared tables were last rebuilt.",
    "CommitCount": "Versions published along the lineage of the cluster.",
    "AuroraReplicaLag": "Milliseconds that a reader is set to lag behind its writer.",
    "DatabaseConnections": "Connections open on the cluster, in any process.",
    "PoolBytesUsed": "Bytes of the pool in use.",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A number: its CloudWatch name, what it is about, and the value."""

    name: str
    cluster: str
    instance: str
    value: float


def metrics(context: Context) -> list[Metric]:
    """All metrics now; they cost nothing that grows with the clusters' sizes."""
    found = [Metric("PoolBytesUsed", "", "", store_stats(context).used_bytes)]
    pages, catalog = context.pages, context.catalog
    for row in catalog.clusters.all():
        volume = catalog.volumes.volume_row(row.volume)
        if volume is None:
            continue
        head = find_record(pages, volume, published_version(pages, volume))
        if head is None:
            continue
        own_count = head.own_count + volume.base.own_count + 1
        found += [
            Metric("VolumeBytesUsed", row.name, "", own_count * SLOT_BYTES),
            Metric("VolumeReadIOPs", row.name, "", pages.volume(volume).read),
            Metric("VolumeWriteIOPs", row.name, "", pages.volume(volume).written),
            Metric("CommitCount", row.name, "", head.version),
            Metric("DatabaseConnections", row.name, "", reader_count(pages, volume)),
        ]
        found += [
            Metric("AuroraReplicaLag", row.name, instance.name, instance.lag_ns / 1e6)
            for instance in catalog.instances.of(row.cluster)
            if not instance.is_writer
        ]
    return found


def prometheus(found: list[Metric]) -> str:
    """The metrics as a text page."""
    lines = []
    for name, text in _HELP.items():
        series = "clusterdb_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        lines += [f"# HELP {series} {text}", f"# TYPE {series} gauge"]
        for metric in found:
            if metric.name == name:
                parts = [f'{key}="{value}"' for key, value in _labels(metric) if value]
                labels = f"{{{','.join(parts)}}}" if parts else ""
                value = int(metric.value) if metric.value == int(metric.value) else metric.value
                lines.append(f"{series}{labels} {value}")
    return "\n".join(lines) + "\n"


def _labels(metric: Metric) -> list[tuple[str, str]]:
    return [("cluster", metric.cluster), ("instance", metric.instance)]
