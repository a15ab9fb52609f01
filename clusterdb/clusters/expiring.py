"""Expiry of clusters, and of the past that their settings do not retain any more."""

from __future__ import annotations

import time
from contextlib import suppress

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.changing import delete
from clusterdb.core.context import Context
from clusterdb.errors import ClusterNotFoundError, ClusterStateError, StoreBusyError
from clusterdb.past.retention import agree_with_settings, expire_past, retained_ns
from clusterdb.rules.settings import ClusterSettings
from vfs.storage.heads import find_record, published_version
from vfs.storage.volumes import reader_count

__all__ = ["expire"]


def expire(context: Context) -> list[str]:
    """Delete expired clusters, and expire pasts; returns the names: implements :meth:`clusterdb.Store.expire`."""
    context.require_writable()

    def require_expired(current: ClusterRow) -> None:
        if not _is_expired(context, current):
            raise ClusterStateError(f"cluster '{current.name}' has not expired")

    deleted = []
    for row in context.catalog.clusters.with_past(_may_expire):
        if _is_expired(context, row):
            with suppress(ClusterNotFoundError, ClusterStateError, StoreBusyError):
                delete(context, row, require_expired)
                deleted.append(row.name)
            continue
        agree_with_settings(context, row.cluster)  # the process that changed the settings may have died
        if retained_ns(context, row) or context.catalog.clusters.pasts(row.cluster):
            expire_past(context, row.cluster)
    return deleted


def _may_expire(settings: ClusterSettings) -> bool:
    """Whether a cluster with these settings, or its past, can expire."""
    return settings.ttl_s is not None or settings.idle_s is not None or settings.keeps_past_ns > 0


def _is_expired(context: Context, row: ClusterRow) -> bool:
    """Whether a cluster's time to live or idle time is over, it has no connections, and it is not protected."""
    settings, now = row.settings, time.time_ns()
    over = settings.ttl_s is not None and now > row.created_ns + settings.ttl_s * 1e9
    idle = settings.idle_s is not None and now > row.used_ns + settings.idle_s * 1e9
    if not (over or idle) or settings.deletion_protection:
        return False
    pages = context.pages
    volume = context.catalog.volumes.volume_row(row.volume)
    if volume is None or reader_count(pages, volume):
        return False
    head = find_record(pages, volume, published_version(pages, volume))
    written_ns = head.time_ns if head is not None and head.version != volume.base.version else 0
    return over or pages.clock.now_ns() > written_ns + (settings.idle_s or 0) * 1e9
