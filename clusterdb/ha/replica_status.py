"""Aurora's ``aurora_replica_status()`` and ``aurora_show_volume_status()``."""

from __future__ import annotations

import time
from dataclasses import dataclass

from clusterdb.core.context import ClusterRef, Context
from vfs.storage.heads import durable_version, newest_at, published_version

__all__ = ["ReplicaStatus", "VolumeStatus", "status"]

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """The status of an instance: the columns of Aurora's ``aurora_replica_status()`` that have a meaning here.

    LSNs are versions.
    """

    server_id: str
    session_id: str
    durable_lsn: int
    highest_lsn_rcvd: int | None
    current_read_lsn: int | None
    cur_replay_latency_in_usec: int | None
    is_current: bool
    last_update_timestamp: float
    replica_lag_in_msec: float | None


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    """The row of Aurora's ``aurora_show_volume_status()``: a storage node has one disk; 0 without zones."""

    disks: int
    nodes: int


def status(context: Context, cluster: ClusterRef) -> list[ReplicaStatus]:
    """The rows of Aurora's ``aurora_replica_status()``: one for each instance."""
    row = context.row_of(cluster)
    volume = context.require_in_use(row.volume)
    head, durable = published_version(context.pages, volume), durable_version(context.pages, volume)
    now = time.time()
    rows = []
    for instance in context.catalog.instances.of(row.cluster):
        if instance.is_writer:
            rows.append(ReplicaStatus(instance.name, "MASTER_SESSION_ID", durable, None, None, None, True, now, None))
            continue
        oldest = volume.retained or head
        visible = newest_at(context.pages, volume, context.pages.clock.now_ns() - instance.lag_ns, oldest, head)
        lag_ms = instance.lag_ns / _MS
        shown = visible.version if visible is not None else oldest
        rows.append(
            ReplicaStatus(
                instance.name,
                f"{instance.name}-{instance.instance}",
                durable,
                head,
                shown,
                instance.lag_ns // 1000,
                True,
                now,
                lag_ms,
            )
        )
    return rows
