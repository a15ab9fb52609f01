"""Metrics as a Prometheus text page.

(https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.)
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterdb.clusters.metrics import Metric

__all__ = ["COUNTERS", "HELP", "prometheus", "series_name"]

HELP = {
    "VolumeBytesUsed": "Bytes of the pool that the cluster has written and still reaches.",
    "VolumeReadIOPs": "Reads that SQLite has made since the shared tables were last rebuilt.",
    "VolumeWriteIOPs": "Slots (4096 bytes) written since the shared tables were last rebuilt.",
    "CommitCount": "Versions published along the lineage of the cluster.",
    "AuroraReplicaLag": "Milliseconds that a reader is set to lag behind its writer.",
    "DatabaseConnections": "Connections open on the cluster, in any process.",
    "BackupRetentionPeriodStorageUsed": "Bytes, at most, of the past that the cluster retains.",
    "SnapshotStorageUsed": "Bytes of the volumes that snapshots keep which are older than the retention period.",
    "TotalBackupStorageBilled": "Bytes of both, without as many as the cluster itself uses.",
    "BacktrackChangeRecordsStored": "Versions before the present one, for clusters with a backtrack window.",
    "StorageNodesAvailable": "Storage nodes, of six, that can be reached, for clusters with zones.",
    "StorageBatchesBehind": "Batches that the storage node lacks which is furthest behind, of those in reach.",
    "PoolBytesUsed": "Bytes of the pool in use.",
}
"""The metrics by their CloudWatch names, in the order of the page, with their descriptions."""
COUNTERS = frozenset(("VolumeReadIOPs", "VolumeWriteIOPs", "CommitCount"))
"""Those that grow, until they begin again; the others are gauges."""


def prometheus(metrics: Iterable[Metric]) -> str:
    """The metrics as a text page, one series for each name in ``HELP``."""
    by_name: dict[str, list[Metric]] = {name: [] for name in HELP}
    for metric in metrics:
        if metric.name in by_name:
            by_name[metric.name].append(metric)
    lines: list[str] = []
    for name, samples in by_name.items():
        series = series_name(name)
        kind = "counter" if name in COUNTERS else "gauge"
        lines += [f"# HELP {series} {HELP[name]}", f"# TYPE {series} {kind}"]
        lines += [f"{series}{_labels(metric)} {_number(metric.value)}" for metric in samples]
    return "\n".join(lines) + "\n"


def series_name(name: str) -> str:
    """``VolumeBytesUsed`` as ``clusterdb_volume_bytes_used``."""
    return "clusterdb_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _labels(metric: Metric) -> str:
    pairs = [f'{key}="{_escaped(value)}"' for key, value in _label_pairs(metric) if value]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _label_pairs(metric: Metric) -> Iterator[tuple[str, str]]:
    yield "cluster", metric.cluster
    yield "instance", metric.instance


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value) if value == int(value) else value)
