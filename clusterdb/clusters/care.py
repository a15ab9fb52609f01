"""Maintenance of a store: checking, dumping, reclaiming and shrinking it, and the cleanup when it is opened."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from clusterdb.access.copies import Progress
from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.expiring import expire_at_opening
from clusterdb.core.context import Context
from clusterdb.core.volumes import drop_volume
from clusterdb.errors import ClusterNotFoundError, CorruptStoreError, StoreBusyError
from vfs.format import locks
from vfs.reclaim import retention
from vfs.reclaim.sweep import SweepReport
from vfs.reclaim.sweep import shrink as shrink_pool
from vfs.reclaim.sweep import sweep as sweep_pool
from vfs.registry import VolumeState
from vfs.storage.sessions import Session
from vfs.tools.check import CheckReport
from vfs.tools.check import check as check_pool
from vfs.tools.dump import slot_text, volume_text

__all__ = ["check", "dump", "reclaim", "shrink", "tidy"]


def check(context: Context, progress: Progress | None) -> CheckReport:
    """Check the store: implements :meth:`clusterdb.Store.check`."""
    context.require_open()
    names = {row.volume: f"cluster '{row.name}'" for row in context.catalog.clusters.all()}
    with context.errors():
        report = check_pool(context.pages, progress, lambda volume: names.get(volume, f"dropped volume {volume}"))
        for volume, name in names.items():
            row = context.catalog.volumes.volume_row(volume)
            if row is None or row.state != VolumeState.LIVE:
                report.problems.append(f"{name} has no volume in use")
        return report


def dump(context: Context, clusters: Iterable[ClusterRow], slot: int | None) -> str:
    """Describe the content of a slot, or of clusters.  Raises ClusterNotFoundError, CorruptStoreError."""
    with context.errors():
        if slot is not None:
            return "\n".join(slot_text(context.pages, slot))
        lines: list[str] = []
        for row in clusters:
            volume = context.require_in_use(row.volume, f"cluster '{row.name}'")
            lines += [f"cluster {row.name}", *volume_text(context.pages, volume)]
        return "\n".join(lines)


def reclaim(context: Context) -> SweepReport:
    """Free the slots that killed processes leaked."""
    context.require_writable()
    with context.errors():
        return sweep_pool(context.pages, context.pages.cleanup)


def shrink(context: Context) -> int:
    """Return the pool's free space to the file system; returns the number of bytes."""
    context.require_writable()
    with context.errors():
        return shrink_pool(context.pages)


# --- opening ----------------------------------------------------------------------------------------------------------
def tidy(context: Context) -> None:
    """Bury dead sessions, drop unfinished volumes and orphans, reclaim, expire, and free leaked slots."""
    pages, volumes = context.pages, context.catalog.volumes
    died = False
    with context.errors(), pages.session() as session:
        with suppress(StoreBusyError):  # left to the next process that opens the store
            if died := bool(pages.queue.bury_all(session)):
                # a process died, perhaps between the catalog and the volume table
                with volumes.reclaiming(), session.pool_locked():
                    pages.tables.forget_unknown_volumes({row.volume for row in volumes.volume_rows()})
                retention.agree_on_past(pages, session)
        _drop_unfinished(context, session)
        pages.cleanup.tidy_all(session)
    _drop_orphans(context)
    expire_at_opening(context, thoroughly=died)
    if pages.has_leaks():
        with suppress(CorruptStoreError):  # a damaged cluster must not prevent access to the others
            reclaim(context)


def _drop_unfinished(context: Context, session: Session) -> None:
    """Drop the volumes whose builders died."""
    volumes = context.catalog.volumes
    for row in volumes.volumes_in(VolumeState.BUILDING):
        hold = session.locks.try_lock(locks.builder(row.table_index))
        if hold is None:
            continue
        with hold:
            current = volumes.volume_row(row.volume)  # it may be complete by now
            if current is not None and current.state == VolumeState.BUILDING:
                with suppress(StoreBusyError):
                    drop_volume(context, current, waits=False)


def _drop_orphans(context: Context) -> None:
    """Drop volumes that no cluster has any more, because a process died while it deleted or reset the cluster."""
    for row in context.catalog.volumes.orphans():
        with suppress(StoreBusyError, ClusterNotFoundError):
            drop_volume(context, row, partial(_require_orphan, context, row.volume), waits=False)


def _require_orphan(context: Context, volume: int) -> None:
    if context.catalog.clusters.is_owned(volume):
        raise StoreBusyError(f"volume {volume} belongs to a cluster")
