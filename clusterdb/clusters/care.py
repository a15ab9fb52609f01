"""Maintenance of a store: checking, dumping, reclaiming and shrinking it."""

from __future__ import annotations

from collections.abc import Iterable

from clusterdb.access.copies import Progress
from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from vfs.reclaim.sweep import SweepReport
from vfs.reclaim.sweep import shrink as shrink_pool
from vfs.reclaim.sweep import sweep as sweep_pool
from vfs.registry import VolumeState
from vfs.tools.check import CheckReport
from vfs.tools.check import check as check_pool
from vfs.tools.dump import slot_text, volume_text

__all__ = ["check", "dump", "reclaim", "shrink"]


def check(context: Context, progress: Progress | None, *, repair: bool = False) -> CheckReport:
    """Check the store: implements :meth:`clusterdb.Store.check`."""
    context.require_open()
    names = {row.volume: f"cluster '{row.name}'" for row in context.catalog.clusters.all()}
    with context.errors():
        report = check_pool(
            context.pages, progress, lambda volume: names.get(volume, f"dropped volume {volume}"), mends=repair
        )
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
