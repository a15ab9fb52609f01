"""The cleanup when a store is opened: what dead processes left, clusters that have expired, leaked slots."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from clusterdb.clusters.expiring import expire_at_opening
from clusterdb.core.context import Context
from clusterdb.core.volumes import drop_volume
from clusterdb.errors import ClusterNotFoundError, CorruptStoreError, StoreBusyError
from vfs.format import locks
from vfs.reclaim import retention
from vfs.registry import VolumeState
from vfs.storage.sessions import Session

__all__ = ["tidy"]


def tidy(context: Context) -> None:
    """Bury dead sessions, drop unfinished volumes and orphans, reclaim, expire, and free leaked slots."""
    pages, volumes = context.pages, context.catalog.volumes
    died = False
    with context.errors(), pages.session() as session:
        with suppress(StoreBusyError):  # left to the next process that opens the store
            if died := bool(pages.queue.bury_all(session)):
                # a process died, perhaps between the catalog and the volume table
                with volumes.reclaiming(), session.pool_locked():
                    pages.tables.forget_unknown_volumes({row.table_index: row.volume for row in volumes.volume_rows()})
                retention.agree_on_past(pages, session)
        _drop_unfinished(context, session)
        pages.cleanup.tidy_all(session)
    _drop_orphans(context)
    expire_at_opening(context, thoroughly=died)
    if pages.has_leaks():
        from vfs.reclaim.sweep import sweep

        with suppress(CorruptStoreError), context.errors():  # damage of a cluster must not prevent access to the others
            sweep(pages, pages.cleanup)


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
