"""What lists show of each record, for the command line and its shell: columns, and text tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clusterdb.format import bytes_text, table

if TYPE_CHECKING:
    from clusterdb.clusters.figures import ClusterStats

__all__ = ["CLUSTERS", "ENDPOINTS", "INSTANCES", "SNAPSHOTS", "Columns", "listing", "local", "sizes"]

Columns = Mapping[str, Callable[[Any], Any]]
"""The header of each column, and what it shows of a record."""


def local(time: datetime | None) -> str:
    """A time as people here say it; nothing for none."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time is not None else ""


CLUSTERS: Columns = {
    "cluster": lambda each: each.name,
    "cloned from": lambda each: each.source,
    "version": lambda each: each.version,
    "logical": lambda each: bytes_text(each.logical_bytes),
    "own": lambda each: bytes_text(each.own_bytes),
    "shared": lambda each: bytes_text(each.shared_bytes),
    "created": lambda each: local(each.created_at),
}
SNAPSHOTS: Columns = {
    "snapshot": lambda each: each.name,
    "cluster": lambda each: each.cluster,
    "version": lambda each: each.version,
    "shows": lambda each: local(each.taken_at),
    "logical": lambda each: bytes_text(each.logical_bytes),
}
INSTANCES: Columns = {
    "instance": lambda each: each.name,
    "role": lambda each: each.role,
    "class": lambda each: each.instance_class,
    "tier": lambda each: each.promotion_tier,
    "zone": lambda each: each.availability_zone,
    "lag ms": lambda each: each.replica_lag_ms,
    "jitter ms": lambda each: each.lag_jitter_ms,
}
ENDPOINTS: Columns = {
    "endpoint": lambda each: each.name,
    "kind": lambda each: each.kind,
    "type": lambda each: each.type,
    "leads to": lambda each: ", ".join(each.members),
}


def listing(records: Iterable[Any], columns: Columns) -> str:
    """Records as a text table."""
    return table([[show(record) for show in columns.values()] for record in records], list(columns))


def sizes(stats: ClusterStats) -> list[tuple[str, str]]:
    """What a cluster holds, in all, alone and with others, as rows of a name and a size."""
    return [
        ("logical", bytes_text(stats.logical_bytes)),
        ("own", bytes_text(stats.own_bytes)),
        ("shared", bytes_text(stats.shared_bytes)),
    ]
