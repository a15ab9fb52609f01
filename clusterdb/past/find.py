"""Resolves a point in the past of a cluster to a version.

The data of a cluster is a volume; a reset or a backtrack switches the cluster to another one, and the former volume is
one of its *pasts* for as long as its settings retain the past.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from clusterdb.catalog.rows import ClusterRow, SnapshotRow, snapshot_holder, volume_holder
from clusterdb.core.context import Context
from clusterdb.core.volumes import VersionRef
from clusterdb.errors import CorruptStoreError, InvalidArgumentError, InvalidRestoreTimeError, SnapshotNotFoundError
from clusterdb.rules.names import check_name, suggestion
from clusterdb.rules.points import BASE, Point, time_ns_of, time_text
from vfs.format.layout import Version
from vfs.registry import VolumeRow
from vfs.storage.heads import current_head, find_record, newest_at, published_version

__all__ = [
    "Moment",
    "find",
    "newest",
    "ref_of_base",
    "ref_of_snapshot",
    "ref_of_volume_base",
    "is_of",
    "record_of",
    "require_snapshot",
    "restorable",
    "retained_range",
    "store_time_ns",
    "utc",
    "volumes_of",
]

_NO_PAST = "retains no past (set backup_retention_days or backtrack_window_s)"

_SKEW_NS_MAX = 1_000_000_000
"""The amount by which a store's clock may be ahead of the system clock because the latter is slewed."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A version of a cluster, and the time when it was committed (UTC)."""

    version: int
    time: datetime


def utc(time_ns: int) -> datetime:
    """A time in nanoseconds since 1970 as a datetime in UTC: the beginning of its microsecond."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=time_ns // 1000)


def find(context: Context, row: ClusterRow, at: Point | None) -> VersionRef:
    """The volume and version at a point in the past of a cluster; None: its head.

    Raises InvalidRestoreTimeError, SnapshotNotFoundError, InvalidArgumentError.
    """
    if at is None:
        text = f"cluster '{row.name}'"
        return VersionRef(context.require_in_use(row.volume, text), None, text)
    if at == BASE:
        return ref_of_base(context, row)
    if isinstance(at, str):
        return ref_of_snapshot(context, require_snapshot(context, at))
    if isinstance(at, bool) or not isinstance(at, int | datetime | timedelta):
        raise InvalidArgumentError(
            f"invalid point in time {at!r}: use a version number, a datetime, a timedelta or the name of a snapshot"
        )
    if isinstance(at, int):
        return _find_version(context, row, at)
    return _find_time(context, row, at)


def ref_of_base(context: Context, row: ClusterRow) -> VersionRef:
    """The version that a clone began with, whatever happened to its source since.  Raises InvalidRestoreTimeError."""
    own = {volume.volume: volume for volume, _ in volumes_of(context, row)}
    first = own[row.volume]
    while first.parent in own:  # back from a backtrack
        first = own[first.parent]
    ref = ref_of_volume_base(context, first, f"the {BASE} of cluster '{row.name}'")
    if ref is not None:
        return ref
    if row.source is None:
        raise InvalidRestoreTimeError(f"cluster '{row.name}' is not a clone: it has no {BASE}")
    raise InvalidRestoreTimeError(
        f"cluster '{row.name}' has no {BASE} any more: the version that it began with was given up when its source "
        f"'{row.source}' was deleted, or when a part of its own past expired"
    )


def ref_of_volume_base(context: Context, volume: VolumeRow, text: str) -> VersionRef | None:
    """The version that a volume began with, which its pin keeps; None if it began empty, or owns these pages by now."""
    volumes = context.catalog.volumes
    parent = volumes.volume_row(volume.parent) if volume.parent is not None else None
    if parent is None:
        return None
    pin = volumes.pin_of(parent.volume, volume.base.version, volume_holder(volume.volume))
    if pin is None or pin.released:
        return None
    return VersionRef(parent, volume.base.version, text, volume.base._replace(volume=parent.volume))


def ref_of_snapshot(context: Context, snapshot: SnapshotRow) -> VersionRef:
    """The version that a snapshot keeps.  Raises SnapshotNotFoundError, CorruptStoreError."""
    record = record_of(context, snapshot)
    volume = context.catalog.volumes.volume_row(snapshot.volume)
    if volume is None:
        _require_present(context, snapshot)
        raise CorruptStoreError(
            f"store '{context.path}': snapshot '{snapshot.name}' is of volume {snapshot.volume}, which does not exist"
        )
    return VersionRef(volume, snapshot.version, f"snapshot '{snapshot.name}'", record)


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
    _require_present(context, row)
    raise SnapshotNotFoundError(f"snapshot '{row.name}' has lost its pin: run {context.hint('check')}")


def is_present(context: Context, row: SnapshotRow) -> bool:
    """Whether a snapshot was not deleted since its row was read."""
    current = context.catalog.snapshots.named(row.name)
    return current is not None and current.snapshot == row.snapshot


def _require_present(context: Context, row: SnapshotRow) -> None:
    if not is_present(context, row):
        raise SnapshotNotFoundError(f"snapshot '{row.name}' was deleted from store '{context.path}'")


def is_of(context: Context, row: ClusterRow, ref: VersionRef) -> bool:
    """Whether a version belongs to a cluster itself: a snapshot may belong to another."""
    return ref.volume.volume in {volume.volume for volume, _ in volumes_of(context, row)}


def volumes_of(context: Context, row: ClusterRow) -> list[tuple[VolumeRow, int]]:
    """The past volumes and the present volume of a cluster as (volume, end of its use in ns), oldest first.

    Raises ClusterNotFoundError if the cluster was deleted since its row was read, StoreBusyError if it was reset.
    """
    volumes = []
    for volume, until_ns in [*context.catalog.clusters.pasts(row.cluster), (row.volume, 1 << 62)]:
        volume_row = context.catalog.volumes.volume_row(volume)
        if volume_row is not None:
            volumes.append((volume_row, until_ns))
    if not volumes or volumes[-1][0].volume != row.volume:
        current = context.catalog.clusters.get(row.cluster)
        if current is None:
            raise context.deleted(f"cluster '{row.name}'")
        context.require_same(row, current.volume)
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
    raise InvalidRestoreTimeError(f"cluster '{row.name}' has no version {version}: {_versions(context, row)}")


def _find_time(context: Context, row: ClusterRow, at: datetime | timedelta) -> VersionRef:
    now_ns = time.time_ns()
    time_ns = time_ns_of(at, now_ns)
    shown = time_text(utc(time_ns))
    if time_ns > now_ns:
        raise InvalidRestoreTimeError(f"cluster '{row.name}': {shown} is in the future")
    last_ns = store_time_ns(context, row, at, now_ns)
    if isinstance(at, datetime):
        last_ns += 999  # the end of its microsecond, so that the time of a version selects that version
    newest = _newest_at(context, row, last_ns)
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


def store_time_ns(context: Context, row: ClusterRow, at: datetime | timedelta, now_ns: int) -> int:
    """A time, or a time span before now, by the store's clock, in nanoseconds.  Raises InvalidArgumentError."""
    time_ns = time_ns_of(at, now_ns)
    if isinstance(at, timedelta):
        return time_ns + context.pages.clock.skew_ns()  # a time span is measured by the store's clock
    return _by_store_clock(context, row, time_ns)


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


def _versions(context: Context, row: ClusterRow) -> str:
    """The versions that there are, for an error."""
    ranges = [retained_range(context, volume) for volume, _ in volumes_of(context, row)]
    text = ", ".join(f"{first} to {last}" if first < last else str(last) for first, last in ranges)
    if any(first < last for first, last in ranges):
        return f"it has the versions {text}"
    return f"it is at version {text}, and {_NO_PAST}"


def _available(context: Context, row: ClusterRow) -> str:
    earliest, latest = restorable(context, row)
    if not row.settings.keeps_past_ns:
        return f"it {_NO_PAST}"
    return f"the restorable range is {time_text(earliest)} to {time_text(latest)}"


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
