"""Expiry of clusters, and of the past that their settings do not retain any more."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from clusterdb.errors import ClusterNotFoundError, ClusterStateError, StoreBusyError
from clusterdb.past.retention import agree_with_settings, expire_past, retained_ns
from clusterdb.rules.settings import ClusterSettings
from vfs.storage.heads import find_record, published_version
from vfs.storage.volumes import reader_count

__all__ = ["expire", "expire_at_opening"]

_TENDED_NS = 3_600_000_000_000


def expire(context: Context) -> list[str]:
    """Delete expired clusters, and expire pasts; returns the names: implements :meth:`clusterdb.Store.expire`."""
    context.require_writable()
    return _expire(context, with_past=True)


def expire_at_opening(context: Context, *, thoroughly: bool) -> None:
    """Delete expired clusters; expire pasts too, ``thoroughly`` or if no process of this boot has lately.

    So opening a store does not depend on the number of its clusters, except once an hour: writers expire the past of
    their own clusters meanwhile.
    """
    header, now_ns = context.pages.tables.header, context.pages.clock.now_ns()
    is_time = not header.tended_ns <= now_ns < header.tended_ns + _TENDED_NS
    _expire(context, with_past=thoroughly or is_time)


def _expire(context: Context, *, with_past: bool) -> list[str]:
    if with_past:
        context.pages.tables.header.tended_ns = context.pages.clock.now_ns()

    def require_expired(current: ClusterRow) -> None:
        if not _is_expired(context, current):
            raise ClusterStateError(f"cluster '{current.name}' has not expired")

    deleted = []
    for row in context.catalog.clusters.that_expire(partial(_may_expire, with_past=with_past), with_past=with_past):
        if _is_expired(context, row):
            from clusterdb.clusters.changing import delete

            with suppress(ClusterNotFoundError, ClusterStateError, StoreBusyError):
                delete(context, row, require_expired)
                deleted.append(row.name)
            continue
        agree_with_settings(context, row.cluster)  # the process that changed the settings may have died
        if retained_ns(context, row) or context.catalog.clusters.pasts(row.cluster):
            expire_past(context, row.cluster)
    return deleted


def _may_expire(settings: ClusterSettings, *, with_past: bool) -> bool:
    """Whether a cluster with these settings can expire, or its past."""
    return settings.ttl_s is not None or settings.idle_s is not None or (with_past and settings.keeps_past_ns > 0)


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
