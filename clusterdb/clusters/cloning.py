"""Cloning of clusters, in the present or the past, and restoring of snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clusterdb.access import copies
from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.creating import Also, create_filled, nothing_else
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import VersionRef, create_clone, lent
from clusterdb.errors import CloneLimitError, InvalidArgumentError
from clusterdb.past.find import find, is_of, ref_of_snapshot, require_snapshot
from clusterdb.past.retention import agree_with_settings
from clusterdb.rules import status
from clusterdb.rules.names import check_name
from clusterdb.rules.points import Point
from clusterdb.rules.settings import ClusterSettings
from vfs.registry import VolumeRow

__all__ = ["clone", "require_restore_options", "restore_snapshot"]


def clone(
    context: Context,
    source: ClusterRef,
    name: str,
    at: Point | None,
    copy_type: str,
    settings: Mapping[str, Any],
    also: Also = nothing_else,
) -> ClusterRow:
    """Clone a cluster: implements :meth:`clusterdb.Cluster.clone`."""
    context.require_writable()
    if copy_type not in ("copy-on-write", "full-copy"):
        raise InvalidArgumentError(f"copy_type={copy_type!r}: use 'copy-on-write' or 'full-copy'")
    row = context.row_of(source)
    status.after(row.name, row.status, "clone")
    wanted = row.settings.inherited().changed(settings)
    check_name(name)
    if at is not None or copy_type != "copy-on-write" or row.settings.clone_limit is not None:
        context.catalog.clusters.require_free(name)  # otherwise adding the cluster is the first step that can fail
    version = find(context, row, at)
    origin = row if at is None or is_of(context, row, version) else None
    try:
        if copy_type == "full-copy":
            raise CloneLimitError
        return _clone_found(context, version, origin, name, wanted, f"cloned from {version.text}", also)
    except CloneLimitError:
        with lent(context, version) as (_, pages):
            cloned = create_filled(context, name, lambda target: copies.copy(pages, target, None), wanted, row, also)
    if wanted.keeps_past_ns:
        agree_with_settings(context, cloned.cluster)
    return cloned


def _clone_found(
    context: Context,
    ref: VersionRef,
    source: ClusterRow | None,
    name: str,
    settings: ClusterSettings,
    how: str,
    also: Also,
) -> ClusterRow:
    """Create a cluster from a version of a volume, which retains its past from then on if the settings require it.

    Raises CloneLimitError if its clone group has reached its limit.
    """
    catalog = context.catalog
    rows: list[ClusterRow] = []

    def add(volume: VolumeRow) -> None:
        if source is not None and _has_all_clones(context, source):
            raise CloneLimitError(f"the clone group of cluster '{source.name}' has reached its limit")
        catalog.events.add("cluster", name, "creation", f"cluster '{name}' {how}")
        rows.append(catalog.clusters.add(name, volume.volume, settings, source))
        also(rows[0])

    create_clone(context, ref, add, keeps_past=settings.keeps_past_ns > 0)
    return rows[0]


def _has_all_clones(context: Context, row: ClusterRow) -> bool:
    """Whether the group of a cluster has as many clones as its limit allows (in addition to the first cluster)."""
    limit = row.settings.clone_limit
    return limit is not None and context.catalog.clusters.clone_count(row.clone_group) > limit


def restore_snapshot(
    context: Context, snapshot: str, name: str, changes: Mapping[str, Any], also: Also = nothing_else
) -> ClusterRow:
    """Create a cluster from a snapshot: implements :meth:`clusterdb.Store.restore_snapshot`."""
    context.require_writable()
    row = require_snapshot(context, snapshot)
    settings = row.settings.inherited().changed(changes)
    context.catalog.clusters.require_free(check_name(name))
    version = ref_of_snapshot(context, row)
    return _clone_found(context, version, None, name, settings, f"restored from {version.text}", also)


def require_restore_options(
    source: str, restore_type: str, restore_to_time: datetime | None, use_latest_restorable_time: bool
) -> None:
    """Check the parameters of RestoreDBClusterToPointInTime.

    Raises InvalidArgumentError (Aurora: InvalidParameterCombination).
    """
    if not isinstance(restore_to_time, datetime | None) or not isinstance(use_latest_restorable_time, bool):
        raise InvalidArgumentError("restore_to_time: use a datetime; use_latest_restorable_time: use True or False")
    if (restore_to_time is None) != use_latest_restorable_time:
        raise InvalidArgumentError(f"cluster '{source}': use either restore_to_time or use_latest_restorable_time=True")
    if restore_type == "copy-on-write" and restore_to_time is not None:
        raise InvalidArgumentError(
            f"cluster '{source}': restore_to_time cannot be specified with restore_type='copy-on-write': use the "
            "latest restorable time, or Cluster.clone(at=...), which has no such limit"
        )
