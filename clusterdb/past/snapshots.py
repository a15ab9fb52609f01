"""Manual snapshots, which keep a version until the snapshot is deleted, and outlive their cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clusterdb.access import copies
from clusterdb.access.copies import Progress
from clusterdb.catalog.rows import SnapshotRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import durably_pinned, lent, require_kept
from clusterdb.errors import InvalidNameError, SnapshotNotFoundError
from clusterdb.past.find import find, is_present, record_of, ref_of_snapshot, require_snapshot, utc
from clusterdb.rules.names import check_name
from clusterdb.rules.points import BASE, Point
from clusterdb.rules.settings import ClusterSettings
from vfs.format.layout import Version

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A manual snapshot.

    ``cluster`` is the name of its cluster at that time; ``version`` and ``taken_at`` are those of the kept state;
    ``logical_bytes`` is the size of its database.
    """

    name: str
    cluster: str
    version: int
    taken_at: datetime
    created_at: datetime
    logical_bytes: int


def _snapshot(context: Context, row: SnapshotRow) -> Snapshot:
    size_bytes = record_of(context, row).size_bytes
    return Snapshot(row.name, row.cluster, row.version, utc(row.taken_ns), utc(row.created_ns), size_bytes)


def all_snapshots(context: Context) -> list[Snapshot]:
    """All snapshots, by name."""
    context.require_open()
    snapshots = []
    for row in context.catalog.snapshots.all():
        try:
            snapshots.append(_snapshot(context, row))
        except SnapshotNotFoundError:
            if is_present(context, row):
                raise  # else it was deleted meanwhile
    return snapshots


def get(context: Context, name: str) -> Snapshot:
    """A snapshot by its name.  Raises SnapshotNotFoundError, InvalidNameError."""
    context.require_open()
    return _snapshot(context, require_snapshot(context, name))


def take(context: Context, cluster: ClusterRef, name: str, at: Point | None) -> Snapshot:
    """Take a snapshot of a cluster's head, or of a past version of it.

    Raises InvalidNameError, SnapshotExistsError, ClusterNotFoundError, InvalidRestoreTimeError.
    """
    context.require_writable()
    context.catalog.snapshots.require_free(_new_name(name))
    row = context.row_of(cluster)
    version = find(context, row, at)
    if version.record is not None and at == BASE:  # the pin of the base keeps it
        return _keep(context, name, row.name, version.record, row.settings, is_pinned=False)
    if version.record is not None:
        original = require_snapshot(context, str(at))
        return _keep(context, name, original.cluster, version.record, original.settings, is_pinned=False)
    with durably_pinned(context, version) as record:
        return _keep(context, name, row.name, record, row.settings, is_pinned=True)


def _new_name(name: str) -> str:
    """Check the name of a new snapshot.  Raises InvalidNameError."""
    if check_name(name, "snapshot") == BASE:
        raise InvalidNameError(f"a snapshot cannot be called '{BASE}': that is the point at which a clone began")
    return name


def _keep(
    context: Context, name: str, cluster: str, version: Version, settings: ClusterSettings, *, is_pinned: bool
) -> Snapshot:
    catalog = context.catalog
    with catalog.transaction():
        require_kept(context, version, f"cluster '{cluster}'", is_pinned=is_pinned)
        row = catalog.snapshots.add(name, cluster, version, settings)
        catalog.events.add("snapshot", name, "creation", f"snapshot '{name}' of cluster '{cluster}' taken")
    return _snapshot(context, row)


def copy(context: Context, name: str, new_name: str) -> Snapshot:
    """Copy a snapshot: the copy keeps the same version, and stays when the first is deleted.

    Raises SnapshotNotFoundError, SnapshotExistsError, InvalidNameError.
    """
    catalog = context.catalog
    context.require_writable()
    catalog.snapshots.require_free(_new_name(new_name))
    with catalog.transaction():
        row = require_snapshot(context, name)
        copied = catalog.snapshots.add(new_name, row.cluster, record_of(context, row), row.settings)
        catalog.events.add("snapshot", new_name, "creation", f"snapshot '{new_name}' copied from '{name}'")
    return _snapshot(context, copied)


def delete(context: Context, name: str) -> None:
    """Delete a snapshot; the slots that only it kept become free.  Raises SnapshotNotFoundError."""
    catalog, cleanup = context.catalog, context.pages.cleanup
    context.require_writable()
    with catalog.transaction():
        released = catalog.snapshots.remove(require_snapshot(context, name))
        catalog.events.add("snapshot", name, "deletion", f"snapshot '{name}' deleted")
    with context.errors(), context.pages.session() as session:
        for volume in released:
            cleanup.request(volume)
        cleanup.tidy(session, released)


def export(
    context: Context, name: str, path: Path, *, overwrite: bool = False, progress: Progress | None = None
) -> tuple[str, ...]:
    """Write a snapshot as a plain database file, whole or not at all; returns the collations that it needs."""
    with lent(context, ref_of_snapshot(context, require_snapshot(context, name))) as (_, connection):
        return copies.copy_out(connection, path, overwrite=overwrite, progress=progress)
