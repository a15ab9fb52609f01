"""Numbers about clusters, with Aurora's CloudWatch names, and as a Prometheus text page.

(https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vfs.layout import SLOT_BYTES

if TYPE_CHECKING:
    from clusterdb.store import Store

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


def metrics(store: Store) -> list[Metric]:
    """All metrics now; they cost nothing that grows with the clusters' sizes."""
    found = [Metric("PoolBytesUsed", "", "", store.stats().used_bytes)]
    pages = store._pages
    for row in store._catalog.clusters():
        volume = store._catalog.volume_row(row.volume)
        if volume is None:
            continue
        head = pages.find_record(volume, pages.published_version(volume))
        if head is None:
            continue
        own_count = head.own_count + volume.base.own_count + 1
        found += [
            Metric("VolumeBytesUsed", row.name, "", own_count * SLOT_BYTES),
            Metric("VolumeReadIOPs", row.name, "", pages.read_count(volume)),
            Metric("VolumeWriteIOPs", row.name, "", pages.written_count(volume)),
            Metric("CommitCount", row.name, "", head.version),
            Metric("DatabaseConnections", row.name, "", pages.reader_count(volume)),
        ]
        found += [
            Metric("AuroraReplicaLag", row.name, instance.name, instance.lag_ns / 1e6)
            for instance in store._catalog.instances(row.cluster)
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
