"""The metrics of Amazon RDS that exist here: their units and dimensions, and how they follow from a store's metrics.

A *series* is what is sampled; a metric of CloudWatch, which is a name with dimensions, reads one series or several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from clusterdb.clusters.metrics import Metric

__all__ = [
    "NAMESPACE",
    "READER",
    "UNITS",
    "WRITER",
    "Dimensions",
    "Roles",
    "Sample",
    "SeriesKey",
    "dimensions_of",
    "samples_of",
]

NAMESPACE = "AWS/RDS"
WRITER, READER = "WRITER", "READER"

UNITS = {
    "AuroraReplicaLag": "Milliseconds",
    "AuroraReplicaLagMaximum": "Milliseconds",
    "AuroraReplicaLagMinimum": "Milliseconds",
    "BackupRetentionPeriodStorageUsed": "Bytes",
    "BacktrackChangeRecordsCreationRate": "Count",
    "BacktrackChangeRecordsStored": "Count",
    "CommitThroughput": "Count/Second",
    "DatabaseConnections": "Count",
    "SnapshotStorageUsed": "Bytes",
    "StorageBatchesBehind": "Count",
    "StorageNodesAvailable": "Count",
    "TotalBackupStorageBilled": "Bytes",
    "VolumeBytesUsed": "Bytes",
    "VolumeReadIOPs": "Count",
    "VolumeWriteIOPs": "Count",
}
"""The metrics by their names; RDS has no metrics of storage nodes: those are of clusters with zones here."""

Dimensions: TypeAlias = "tuple[tuple[str, str], ...]"
"""Names and values, in the order of names."""
Roles: TypeAlias = Mapping[tuple[str, str], str]
"""The role of an instance, by the names of its cluster and of itself."""


class SeriesKey(NamedTuple):
    """What a series is of; ``instance`` and ``role`` are empty for the volume of a cluster."""

    name: str
    cluster: str
    instance: str = ""
    role: str = ""


class Sample(NamedTuple):
    """A present value.

    :ivar is_counter: the value is a count since some time before: what counts is by how much it grows
    :ivar starts_at_zero: a counter that is seen for the first time has grown from 0
    :ivar divisor: what growth within a minute is divided by
    """

    key: SeriesKey
    value: float
    is_counter: bool = False
    starts_at_zero: bool = False
    divisor: float = 1


def samples_of(metrics: Sequence[Metric], roles: Roles) -> Iterator[Sample]:
    """The samples that a store's metrics give."""
    writers = {cluster: name for (cluster, name), role in roles.items() if role == WRITER}
    backtracking = {metric.cluster for metric in metrics if metric.name == "BacktrackChangeRecordsStored"}
    lags: dict[str, list[float]] = {}
    for metric in metrics:
        name, cluster, value = metric.name, metric.cluster, metric.value
        writer = writers.get(cluster, "")
        if name in ("VolumeReadIOPs", "VolumeWriteIOPs"):
            yield Sample(SeriesKey(name, cluster), value, is_counter=True, starts_at_zero=True)
        elif name == "CommitCount":
            key = SeriesKey("CommitThroughput", cluster, writer, WRITER if writer else "")
            yield Sample(key, value, is_counter=True, divisor=60)
            if cluster in backtracking:
                yield Sample(SeriesKey("BacktrackChangeRecordsCreationRate", cluster), value, is_counter=True)
        elif name == "AuroraReplicaLag":
            lags.setdefault(cluster, []).append(value)
            yield Sample(SeriesKey(name, cluster, metric.instance, READER), value)
        elif name in UNITS:
            yield Sample(SeriesKey(name, cluster), value)
    for cluster, values in lags.items():
        writer = writers.get(cluster, "")
        role = WRITER if writer else ""
        yield Sample(SeriesKey("AuroraReplicaLagMaximum", cluster, writer, role), max(values))
        yield Sample(SeriesKey("AuroraReplicaLagMinimum", cluster, writer, role), min(values))


def dimensions_of(key: SeriesKey) -> Iterator[Dimensions]:
    """The dimensions of the metrics that read a series."""
    cluster = ("DBClusterIdentifier", key.cluster)
    yield (cluster,)
    if key.instance:
        yield (("DBInstanceIdentifier", key.instance),)
    if key.role:
        yield cluster, ("Role", key.role)
