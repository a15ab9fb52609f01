"""Backtrack and reset: a cluster switches to another volume, a clone of the version that it goes back to.

The former volume is kept as one of the cluster's *pasts* for as long as its settings retain the past, and dropped
otherwise.  Open connections follow: what they read in a transaction stays as it is until that ends.
"""

from __future__ import annotations

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import Found, clone_volume, drop_volume
from clusterdb.errors import (
    BacktrackDisabledError,
    InvalidArgumentError,
    InvalidRestoreTimeError,
    NoSourceError,
    StoreBusyError,
)
from clusterdb.past.find import find, volumes_of
from clusterdb.past.retention import retained_ns
from clusterdb.rules import status
from clusterdb.rules.points import Point
from vfs.reclaim.retention import keep_past
from vfs.registry import VolumeState
from vfs.sqlite.header import continue_from
from vfs.storage.heads import find_record
from vfs.storage.volumes import moving

__all__ = ["backtrack", "reset"]


def backtrack(context: Context, cluster: ClusterRef, to: Point) -> None:
    """Let a cluster go back (or forward again) in place.

    Raises BacktrackDisabledError, InvalidRestoreTimeError, InvalidArgumentError, ClusterNotFoundError.
    """
    context.require_writable()
    row = context.row_of(cluster)
    status.after(row.name, row.status, "backtrack")
    if not row.settings.backtrack_window_s:
        raise BacktrackDisabledError(f"cluster '{row.name}' has no backtrack window: set backtrack_window_s first")
    if to is None or isinstance(to, str):
        raise InvalidArgumentError(f"cluster '{row.name}': backtrack to a version or a time, reset to a snapshot")
    found = find(context, row, to)
    _require_in_window(context, row, found)
    _switch(context, row, found, "backtrack", f"cluster '{row.name}' went back to {found.text}")


def _require_in_window(context: Context, row: ClusterRow, found: Found) -> None:
    """The backtrack window may be shorter than what is retained for clones: until when was the version the newest?"""
    window_s = row.settings.backtrack_window_s
    begins_ns = context.pages.clock.now_ns() - window_s * 1_000_000_000
    behind = find_record(context.pages, found.volume, (found.version or 0) + 1)
    until_ns = [behind.time_ns] if behind is not None else []
    until_ns += [until for volume, until in volumes_of(context, row) if volume.volume == found.volume.volume]
    if min(until_ns, default=begins_ns) < begins_ns:
        raise InvalidRestoreTimeError(
            f"{found.text} lies before the backtrack window of {window_s} seconds: clone it instead"
        )


def reset(context: Context, cluster: ClusterRef, to: Point | None) -> None:
    """Give a clone its source's present state, or any cluster that of a snapshot, under its own name.

    Raises NoSourceError, SnapshotNotFoundError, InvalidArgumentError, ClusterNotFoundError.
    """
    context.require_writable()
    row = context.row_of(cluster)
    status.after(row.name, row.status, "reset")
    if to is not None and not isinstance(to, str):
        raise InvalidArgumentError(f"cluster '{row.name}': reset to a snapshot, backtrack to a version or a time")
    if to is not None:
        found = find(context, row, to)
    else:
        source = context.catalog.clusters.get(row.source_cluster) if row.source_cluster is not None else None
        if source is None:
            why = "is not a clone" if row.source is None else f"has lost its source '{row.source}'"
            raise NoSourceError(f"cluster '{row.name}' {why}: reset it to a snapshot, or make a new clone")
        found = find(context, source, None)
    _switch(context, row, found, "recovery", f"cluster '{row.name}' reset to {found.text}")


def _switch(context: Context, row: ClusterRow, found: Found, category: str, message: str) -> None:
    """The cluster switches to a clone of a version."""
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

    with clone_volume(context, found, VolumeState.BUILDING) as new:
        try:
            with context.errors():
                continue_from(pages, new, old)
                if retained_ns(context, row):
                    with pages.session() as session, session.volume_locked(new.table_index):
                        keep_past(pages, context.require_in_use(new.volume))
            if retained_ns(context, row):
                with context.errors(), moving(pages, old), catalog.transaction():
                    change_and_keep()
            else:
                drop_volume(context, old, change)
        except BaseException:
            built = catalog.volumes.volume_row(new.volume)
            if built is not None and built.state == VolumeState.BUILDING:
                drop_volume(context, built)
            raise
