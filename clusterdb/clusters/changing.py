"""Changes of clusters: name, settings, status, and deletion."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import drop_volume
from clusterdb.errors import ClusterNotFoundError, DeletionProtectedError, InvalidArgumentError, StoreBusyError
from clusterdb.ha.instances import restart_all
from clusterdb.past.find import volumes_of
from clusterdb.past.retention import agree_with_settings
from clusterdb.rules import status
from clusterdb.rules.names import check_name
from clusterdb.rules.settings import ClusterSettings
from vfs.registry import VolumeRow
from vfs.storage.volumes import fencing

__all__ = ["change_status", "delete", "modify", "rename"]


def rename(context: Context, cluster: ClusterRef, new_name: str) -> None:
    """Rename a cluster.  Raises InvalidNameError, ClusterExistsError, ClusterNotFoundError."""
    check_name(new_name)
    context.require_writable()
    with context.catalog.transaction():
        former = context.row_of(cluster).name
        if former != new_name:
            context.catalog.clusters.rename(cluster.id, new_name)
            context.catalog.events.add("cluster", new_name, "configuration change", f"renamed from '{former}'")


def modify(context: Context, cluster: ClusterRef, changes: Mapping[str, Any]) -> ClusterSettings:
    """Change settings except the engine, and return all.  Raises InvalidArgumentError, ClusterNotFoundError."""
    context.require_writable()
    catalog = context.catalog
    with catalog.transaction():
        row = context.row_of(cluster)
        settings = row.settings.changed(changes)
        if settings.engine != row.settings.engine:
            raise InvalidArgumentError(f"cluster '{row.name}': the engine of a cluster cannot be changed")
        if settings.zones != row.settings.zones:
            raise InvalidArgumentError(
                f"cluster '{row.name}': its zones cannot be changed: clone it with others (zones=...), and delete it"
            )
        if not changes:
            return settings
        catalog.clusters.set_settings(row.cluster, settings)
        if "idle_s" in changes:
            catalog.clusters.set_used(row.cluster, time.time_ns())
        assignments = ", ".join(f"{name} = {value!r}" for name, value in sorted(changes.items()))
        catalog.events.add("cluster", row.name, "configuration change", f"set {assignments}")
    agree_with_settings(context, cluster.id)
    return settings


def change_status(context: Context, cluster: ClusterRef, verb: str) -> None:
    """Start or stop a cluster; stopping fences its writers.  Raises ClusterStateError, ClusterNotFoundError."""
    context.require_writable()
    volume = context.volume_of(cluster)
    with context.errors(), fencing(context.pages, volume) as fence, context.catalog.transaction():
        row = context.row_of(cluster)
        context.require_same(row, volume.volume)
        context.catalog.clusters.set_status(row.cluster, status.after(row.name, row.status, verb))
        context.catalog.events.add("cluster", row.name, "notification", f"cluster '{row.name}': {verb}")
        if verb == "stop":
            fence()
            restart_all(context, row)
    if verb == "stop":
        restart_all(context, row)  # for connections opened meanwhile


def delete(context: Context, row: ClusterRow, require: Callable[[ClusterRow], None] = lambda current: None) -> None:
    """Delete a cluster, with its pasts; its snapshots stay.

    ``require`` is called with the present row in the catalog transaction, and may refuse it.  Raises
    DeletionProtectedError, ClusterNotFoundError, StoreBusyError.
    """
    catalog = context.catalog
    _require_unprotected(row)
    ends: list[Callable[[], None]] = []
    pasts: list[VolumeRow] = []
    if catalog.clusters.pasts(row.cluster):
        pasts = [volume for volume, _ in volumes_of(context, row) if volume.volume != row.volume]

    def forget() -> None:
        current = catalog.clusters.get(row.cluster)
        if current is None:
            raise context.deleted(f"cluster '{row.name}'")
        _require_unprotected(current)
        if current.volume != row.volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset by another process meanwhile: try again")
        require(current)
        if current.settings.zones:
            ends.append(context.end_copies(current))
        catalog.clusters.remove(row.cluster)
        catalog.events.add("cluster", row.name, "deletion", f"cluster '{row.name}' deleted")

    drop_volume(context, context.require_in_use(row.volume, f"cluster '{row.name}'"), forget)
    for volume in pasts:
        with suppress(ClusterNotFoundError):  # opening the store drops the remaining volumes of a cluster
            drop_volume(context, volume)
    for end in ends:
        end()


def _require_unprotected(row: ClusterRow) -> None:
    if row.settings.deletion_protection:
        raise DeletionProtectedError(
            f"cluster '{row.name}' is protected from deletion: set deletion_protection=False first"
        )
