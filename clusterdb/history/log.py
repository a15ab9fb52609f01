"""The log of a cluster: the versions that it retains, newest first."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from clusterdb.catalog.rows import ClusterRow, snapshot_holder
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import VersionRef
from clusterdb.diff.clusters import Change, change_between
from clusterdb.errors import InvalidArgumentError, InvalidRestoreTimeError
from clusterdb.past.find import find, ref_of_volume_base, retained_range, store_time_ns, utc, volumes_of
from clusterdb.rules.points import Point
from vfs.format.layout import Version
from vfs.registry import VolumeRow
from vfs.storage.heads import find_record

__all__ = ["LogEntry", "RetainedVersion", "log", "retained_versions"]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A version of a cluster.

    ``version``, ``time``: its number, and when it was committed.  ``is_left``: a backtrack or a reset has left it.
    ``page_count``: the pages of 4096 bytes that it changed; ``tables``: the tables with rows on these pages;
    ``definitions``: the tables, indexes, views and triggers that it created, dropped or altered.  These are None if the
    version before it cannot be read any more; ``tables`` also if the pages do not tell them.  ``notes``: what refers to
    it: snapshots, clones that began with it, a backtrack or a reset that it stands for.
    """

    version: int
    time: datetime
    is_left: bool
    page_count: int | None
    tables: tuple[str, ...] | None
    definitions: tuple[str, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetainedVersion:
    """A version of a cluster that can be read; ``before``: the version that it changed, if that can be read too."""

    record: Version
    ref: VersionRef
    before: VersionRef | None
    is_left: bool
    switch: str | None
    """What the cluster went back to with this version, for the first version after a backtrack or a reset."""


def retained_versions(context: Context, row: ClusterRow) -> Iterator[RetainedVersion]:
    """The versions of a cluster that can be read, newest first, including those that it has left by a backtrack."""
    volumes = [volume for volume, _ in volumes_of(context, row)]
    used_to = _line(row, volumes)
    for index, volume in reversed(list(enumerate(volumes))):
        oldest, head = retained_range(context, volume)
        switched_at = retained_range(context, volumes[index - 1])[1] + 1 if index else None
        for number in range(head, oldest - 1, -1):
            record = find_record(context.pages, volume, number)
            if record is None:  # lost in a power failure
                continue
            switch, before = None, None
            if number == switched_at:
                switch = _origin(context, volumes, volume)
                before = ref_of_volume_base(context, volume, f"the beginning of version {number}")
            elif number > oldest:
                before = _ref(row, volume, number - 1)
            is_left = number > used_to.get(volume.volume, 0)
            yield RetainedVersion(record, _ref(row, volume, number), before, is_left, switch)


def _line(row: ClusterRow, volumes: list[VolumeRow]) -> dict[int, int]:
    """By volume, the newest version that the present state of a cluster descends from."""
    own = {volume.volume: volume for volume in volumes}
    volume, used_to = own[row.volume], {row.volume: 1 << 62}
    while volume.parent in own:
        used_to[volume.parent] = volume.base.version
        volume = own[volume.parent]
    return used_to


def _origin(context: Context, volumes: list[VolumeRow], volume: VolumeRow) -> str:
    """What a cluster went back to when it switched to a volume."""
    if volume.parent in {other.volume for other in volumes}:
        return f"back to version {volume.base.version}"
    cluster = next((other for other in context.catalog.clusters.all() if other.volume == volume.parent), None)
    source = f"'{cluster.name}'" if cluster is not None else "another cluster's data"
    return f"reset to {source} at version {volume.base.version}"


def _ref(row: ClusterRow, volume: VolumeRow, version: int) -> VersionRef:
    return VersionRef(volume, version, f"cluster '{row.name}' at version {version}")


def log(context: Context, cluster: ClusterRef, since: Point | None, limit: int | None) -> list[LogEntry]:
    """The versions of a cluster, newest first; see :meth:`clusterdb.Cluster.log`."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidArgumentError(f"limit={limit!r}: use a positive number, or None for all versions")
    row = context.row_of(cluster)
    first_ns = _time_of(context, row, since)
    notes = _notes(context, row)
    entries: list[LogEntry] = []
    for version in retained_versions(context, row):
        if version.record.time_ns < first_ns or len(entries) == limit:
            break
        change, number = _change(context, version), version.record.version
        about = [version.switch] if version.switch else []
        entries.append(
            LogEntry(
                version=number,
                time=utc(version.record.time_ns),
                is_left=version.is_left,
                page_count=change.page_count if change is not None else None,
                tables=change.tables if change is not None else None,
                definitions=change.definitions if change is not None else None,
                notes=(*about, *notes[version.ref.volume.volume, number]),
            )
        )
    return entries


def _time_of(context: Context, row: ClusterRow, since: Point | None) -> int:
    """The time of the oldest version to show, in nanoseconds."""
    if since is None:
        return 0
    if isinstance(since, datetime | timedelta):
        return store_time_ns(context, row, since, time.time_ns())
    ref = find(context, row, since)
    record = ref.record or find_record(context.pages, ref.volume, ref.version or 0)
    return record.time_ns if record is not None else 0


def _change(context: Context, version: RetainedVersion) -> Change | None:
    """What a version changed; None if the version before it cannot be read, or no temporary clones can be created."""
    if version.before is None or context.read_only:
        return None
    try:
        return change_between(context, version.before, version.ref)
    except InvalidRestoreTimeError:
        return None  # it expired meanwhile


def _notes(context: Context, row: ClusterRow) -> dict[tuple[int, int], list[str]]:
    """The snapshots of a cluster and the clones that began with its versions, by volume and version."""
    notes: dict[tuple[int, int], list[str]] = defaultdict(list)
    catalog = context.catalog
    volumes = [volume for volume, _ in volumes_of(context, row)]
    own = {volume.volume for volume in volumes}
    if volumes[0].parent is not None and row.source is not None:
        notes[volumes[0].volume, volumes[0].base.version].append(f"cloned from '{row.source}'")
    clusters = {cluster.volume: cluster.name for cluster in catalog.clusters.all()}
    snapshots = {snapshot_holder(snapshot.snapshot): snapshot.name for snapshot in catalog.snapshots.all()}
    for volume in volumes:
        for pin in catalog.volumes.pin_rows(volume.volume):
            place = volume.volume, pin.version.version
            if pin.holder in snapshots:
                notes[place].append(f"snapshot '{snapshots[pin.holder]}'")
            elif pin.holder_volume in clusters and pin.holder_volume not in own and not pin.released:
                notes[place].append(f"clone '{clusters[pin.holder_volume]}'")
    return notes
