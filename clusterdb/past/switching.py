"""Backtrack and reset: a cluster switches to another volume, a clone of the version that it goes back to.

The former volume is kept as one of the cluster's *pasts* for as long as its settings retain the past, and dropped
otherwise.  Open connections follow, but a running transaction reads the same version until it ends.

A connection that follows compares versions and schema cookies with those that it knows.  Therefore the new volume
continues those of the former one, which nobody commits to from the look at it until the switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import VersionRef, clone_volume, drop_volume, writers_held_off
from clusterdb.errors import (
    BacktrackDisabledError,
    InvalidArgumentError,
    InvalidRestoreTimeError,
    NoSourceError,
    StoreBusyError,
)
from clusterdb.past.find import find, utc, volumes_of
from clusterdb.past.retention import retained_ns
from clusterdb.rules import status
from clusterdb.rules.points import Point
from vfs.reclaim.retention import keep_past
from vfs.registry import VolumeState
from vfs.sqlite.header import continue_from
from vfs.storage.heads import find_record, published_version
from vfs.storage.volumes import moving

__all__ = ["Switched", "backtrack", "reset"]


@dataclass(frozen=True, slots=True)
class Switched:
    """What a backtrack or a reset has done.

    The cluster was at ``former_version``, and has the content of ``version``, which was committed at ``time`` (UTC).
    After a reset this is a version of its source or of a snapshot.  Its own numbers continue: its present version is
    greater than the former one, unless it is empty now.
    """

    former_version: int
    version: int
    time: datetime


def backtrack(context: Context, cluster: ClusterRef, to: Point) -> Switched:
    """Backtrack a cluster in place (or forward again).

    Raises BacktrackDisabledError, InvalidRestoreTimeError, InvalidArgumentError, ClusterNotFoundError.
    """
    context.require_writable()
    row = context.row_of(cluster)
    status.after(row.name, row.status, "backtrack")
    if not row.settings.backtrack_window_s:
        raise BacktrackDisabledError(f"cluster '{row.name}' has no backtrack window: set backtrack_window_s first")
    if to is None or isinstance(to, str):
        raise InvalidArgumentError(f"cluster '{row.name}': backtrack to a version or a time, or reset to a snapshot")
    target = find(context, row, to)
    _require_in_window(context, row, target)
    return _switch(context, row, target, "backtrack", f"cluster '{row.name}' backtracked to {target.text}")


def _require_in_window(context: Context, row: ClusterRow, target: VersionRef) -> None:
    """Check that a version was the newest at some time in the backtrack window, which may be shorter than the past."""
    window_s = row.settings.backtrack_window_s
    begins_ns = context.pages.clock.now_ns() - window_s * 1_000_000_000
    following = find_record(context.pages, target.volume, (target.version or 0) + 1)
    until_ns = [following.time_ns] if following is not None else []
    until_ns += [until for volume, until in volumes_of(context, row) if volume.volume == target.volume.volume]
    if min(until_ns, default=begins_ns) < begins_ns:
        raise InvalidRestoreTimeError(
            f"{target.text} is before the backtrack window of {window_s} seconds: clone it instead"
        )


def reset(context: Context, cluster: ClusterRef, to: Point | None) -> Switched:
    """Reset a clone to its source's present state, or any cluster to a snapshot, under its own name.

    Raises NoSourceError, SnapshotNotFoundError, InvalidArgumentError, ClusterNotFoundError.
    """
    context.require_writable()
    row = context.row_of(cluster)
    status.after(row.name, row.status, "reset")
    if to is not None and not isinstance(to, str):
        raise InvalidArgumentError(f"cluster '{row.name}': reset to a snapshot, or backtrack to a version or a time")
    if to is not None:
        target = find(context, row, to)
    else:
        source = context.catalog.clusters.get(row.source_cluster) if row.source_cluster is not None else None
        if source is None:
            why = "is not a clone" if row.source is None else f"has lost its source '{row.source}'"
            raise NoSourceError(f"cluster '{row.name}' {why}: reset it to a snapshot, or create a new clone")
        target = find(context, source, None)
    return _switch(context, row, target, "recovery", f"cluster '{row.name}' reset to {target.text}")


def _switch(context: Context, row: ClusterRow, target: VersionRef, category: str, message: str) -> Switched:
    """Switch a cluster to a clone of a version."""
    catalog, pages = context.catalog, context.pages
    old = context.require_in_use(row.volume)

    def change() -> None:
        current = catalog.clusters.get(row.cluster)
        if current is None or current.volume != old.volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset or deleted by another process meanwhile: try again")
        status.after(current.name, current.status, "reset")
        catalog.volumes.set_volume_state(new.volume, VolumeState.LIVE)
        catalog.clusters.switch(row.cluster, new.volume)
        catalog.events.add("cluster", row.name, category, message)

    def change_and_keep() -> None:
        change()
        catalog.volumes.set_volume_state(old.volume, VolumeState.PAST)
        catalog.clusters.add_past(old.volume, row.cluster, pages.clock.now_ns())

    keeps = retained_ns(context, row) > 0
    with clone_volume(context, target, VolumeState.BUILDING) as new:
        try:
            with writers_held_off(context, old):
                former_version = published_version(pages, old)
                continue_from(pages, new, old)
                if keeps:
                    with pages.session() as other, other.volume_locked(new.table_index):
                        keep_past(pages, context.require_in_use(new.volume))
                    with moving(pages, old):
                        change_and_keep()
                else:
                    drop_volume(context, old, change)
        except BaseException:
            built = catalog.volumes.volume_row(new.volume)
            if built is not None and built.state == VolumeState.BUILDING:
                drop_volume(context, built)
            raise
        return Switched(former_version, new.base.version, utc(new.base.time_ns))
