"""Resolves a point in the past of a cluster to a version.

The data of a cluster is a volume; a reset or a backtrack switches the cluster to another one, and the former volume is
one of its *pasts* for as long as its settings retain the past.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from clusterdb.catalog.rows import ClusterRow, SnapshotRow, snapshot_holder
from clusterdb.core.context import Context
from clusterdb.core.volumes import VersionRef
from clusterdb.errors import InvalidArgumentError, InvalidRestoreTimeError, SnapshotNotFoundError
from clusterdb.rules.names import check_name, suggestion
from clusterdb.rules.points import Point, time_ns_of
from vfs.format.layout import Version
from vfs.registry import VolumeRow
from vfs.storage.heads import current_head, find_record, newest_at, published_version

__all__ = [
    "Moment",
    "find",
    "newest",
    "ref_of_snapshot",
    "is_of",
    "record_of",
    "require_snapshot",
    "restorable",
    "retained_range",
    "utc",
    "volumes_of",
]

_SKEW_NS_MAX = 1_000_000_000
"""The amount by which a store's clock may be ahead of the system clock because the latter is slewed."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A version of a cluster, and the time when it was committed (UTC)."""

    version: int
    time: datetime


def utc(time_ns: int) -> datetime:
    """A time in nanoseconds since 1970 as a datetime in UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, tz=timezone.utc)


def find(context: Context, row: ClusterRow, at: Point | None) -> VersionRef:
    """The volume and version at a point in the past of a cluster; None: its head.

    Raises InvalidRestoreTimeError, SnapshotNotFoundError, InvalidArgumentError.
    """
    if at is None:
        text = f"cluster '{row.name}'"
        return VersionRef(context.require_in_use(row.volume, text), None, text)
    if isinstance(at, str):
        return ref_of_snapshot(context, require_snapshot(context, at))
    if isinstance(at, bool) or not isinstance(at, int | datetime | timedelta):
        raise InvalidArgumentError(
            f"invalid point in time {at!r}: use a version number, a datetime, a timedelta or the name of a snapshot"
        )
    if isinstance(at, int):
        return _find_version(context, row, at)
    return _find_time(context, row, at)


def ref_of_snapshot(context: Context, snapshot: SnapshotRow) -> VersionRef:
    """The version that a snapshot keeps.  Raises SnapshotNotFoundError, CorruptStoreError."""
    volume = context.require_volume(snapshot.volume)
    return VersionRef(volume, snapshot.version, f"snapshot '{snapshot.name}'", record_of(context, snapshot))


def require_snapshot(context: Context, name: str) -> SnapshotRow:
    """The snapshot of that name.  Raises SnapshotNotFoundError, InvalidNameError."""
    row = context.catalog.snapshots.named(check_name(name, "snapshot or point in time"))
    if row is None:
        names = [snapshot.name for snapshot in context.catalog.snapshots.all()]
        raise SnapshotNotFoundError(f"store '{context.path}' has no snapshot '{name}'{suggestion(name, names)}")
    return row


def record_of(context: Context, row: SnapshotRow) -> Version:
    """The version record of a snapshot's pin.  Raises SnapshotNotFoundError."""
    pin = context.catalog.volumes.pin_of(row.volume, row.version, snapshot_holder(row.snapshot))
    if pin is not None:
        return pin.version._replace(volume=row.volume)
    raise SnapshotNotFoundError(f"snapshot '{row.name}' has lost its pin: run `clusterdb check`")


def is_of(context: Context, row: ClusterRow, ref: VersionRef) -> bool:
    """Whether a version belongs to a cluster itself: a snapshot may belong to another."""
    return ref.volume.volume in {volume.volume for volume, _ in volumes_of(context, row)}


def volumes_of(context: Context, row: ClusterRow) -> list[tuple[VolumeRow, int]]:
    """The past volumes and the present volume of a cluster as (volume, end of its use in ns), oldest first."""
    volumes = []
    for volume, until_ns in [*context.catalog.clusters.pasts(row.cluster), (row.volume, 1 << 62)]:
        volume_row = context.catalog.volumes.volume_row(volume)
        if volume_row is not None:
            volumes.append((volume_row, until_ns))
    return volumes


def retained_range(context: Context, volume: VolumeRow) -> tuple[int, int]:
    """The oldest retained version of a volume (or its head, if it retains no past), and its head."""
    head = published_version(context.pages, volume)
    return volume.retained or head, head


def _find_version(context: Context, row: ClusterRow, version: int) -> VersionRef:
    for volume, _ in reversed(volumes_of(context, row)):
        oldest, head = retained_range(context, volume)
        if oldest <= version <= head:
            return VersionRef(volume, version, f"cluster '{row.name}' at version {version}")
    raise InvalidRestoreTimeError(f"cluster '{row.name}' has no version {version}: {_available(context, row)}")


def _find_time(context: Context, row: ClusterRow, at: datetime | timedelta) -> VersionRef:
    now_ns = time.time_ns()
    time_ns = time_ns_of(at, now_ns)
    shown = utc(time_ns).isoformat(" ", "milliseconds") if time_ns >= 0 else "?"
    if time_ns > now_ns:
        raise InvalidRestoreTimeError(f"cluster '{row.name}': {shown} is in the future")
    if isinstance(at, timedelta):
        time_ns += context.pages.clock.skew_ns()  # a time span is measured by the store's clock
    else:
        time_ns = _by_store_clock(context, row, time_ns)
    newest = _newest_at(context, row, time_ns)
    if newest is None:
        raise InvalidRestoreTimeError(f"cluster '{row.name}' cannot go back to {shown}: {_available(context, row)}")
    volume, version = newest
    return VersionRef(volume, version.version, f"cluster '{row.name}' as of {shown}")


def _newest_at(context: Context, row: ClusterRow, time_ns: int) -> tuple[VolumeRow, Version] | None:
    """The newest version of a cluster at a time of the store's clock."""
    for volume, until_ns in volumes_of(context, row):
        if time_ns < until_ns:
            oldest, head = retained_range(context, volume)
            version = newest_at(context.pages, volume, time_ns, oldest, head)
            return (volume, version) if version is not None else None
    return None


def _by_store_clock(context: Context, row: ClusterRow, time_ns: int) -> int:
    """Convert a time of the system clock to the store's clock, which dates commits (:mod:`vfs.storage.clock`).

    After the system clock was set ahead and back, later commits are dated ahead of it by the skew.  Earlier commits are
    not: a time before the newest commit that is not ahead of the system clock is not adjusted.
    """
    skew_ns = context.pages.clock.skew_ns()
    if skew_ns > _SKEW_NS_MAX:
        newest = _newest_at(context, row, time.time_ns())
        if newest is not None and time_ns < newest[1].time_ns:
            return time_ns
    return time_ns + skew_ns


def _available(context: Context, row: ClusterRow) -> str:
    earliest, latest = restorable(context, row)
    if not row.settings.keeps_past_ns:
        return "it retains no past (set backup_retention_days or backtrack_window_s)"
    return f"the restorable range is {earliest} to {latest}"


def newest(context: Context, row: ClusterRow, count: int) -> list[Moment]:
    """The newest retained versions of a cluster, at most ``count``, the newest first; they begin with its head."""
    moments: list[Moment] = []
    for volume, _ in reversed(volumes_of(context, row)):
        oldest, head = retained_range(context, volume)
        for version in range(head, max(oldest, head - count + len(moments) + 1) - 1, -1):
            record = find_record(context.pages, volume, version)
            if record is not None:
                moments.append(Moment(version, utc(record.time_ns)))
    return moments[:count]


def restorable(context: Context, row: ClusterRow) -> tuple[datetime, datetime]:
    """The earliest and the latest time that a cluster can be restored to."""
    times = []
    for volume, _ in volumes_of(context, row):
        times.append(current_head(context.pages, volume).time_ns)
        oldest = find_record(context.pages, volume, volume.retained) if volume.retained else None
        if oldest is not None:
            times.append(oldest.time_ns)
    now_ns = time.time_ns()
    return utc(min(*times, now_ns)), utc(min(max(times), now_ns))
