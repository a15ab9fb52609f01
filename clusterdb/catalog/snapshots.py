"""Snapshots, each with the pin that keeps its version."""

from __future__ import annotations

import time

import apsw

from clusterdb.catalog.database import Database
from clusterdb.catalog.rows import SnapshotRow, snapshot_holder, snapshot_row
from clusterdb.catalog.volumes import Volumes
from clusterdb.errors import SnapshotExistsError
from clusterdb.rules.settings import ClusterSettings
from vfs.format.layout import Version
from vfs.registry import VolumeRow

__all__ = ["Snapshots"]


class Snapshots:
    """Snapshots, each with the pin that keeps its version."""

    def __init__(self, database: Database, volumes: Volumes) -> None:
        self._database = database
        self._volumes = volumes

    _SNAPSHOT = "SELECT snapshot, name, cluster, volume, version, taken_ns, created_ns, settings FROM snapshots"

    def all(self) -> list[SnapshotRow]:
        """All snapshots, by name."""
        return [snapshot_row(row) for row in self._database.query(f"{self._SNAPSHOT} ORDER BY name")]

    def named(self, name: str) -> SnapshotRow | None:
        """The snapshot with a name; None if there is none."""
        rows = self._database.query(f"{self._SNAPSHOT} WHERE name = ?", (name,))
        return snapshot_row(rows[0]) if rows else None

    def require_free(self, name: str) -> None:
        """Raise SnapshotExistsError if a snapshot has this name."""
        if self.named(name) is not None:
            raise self._taken(name)

    def _taken(self, name: str) -> SnapshotExistsError:
        return SnapshotExistsError(
            f"store '{self._database.where}' has a snapshot '{name}' already: choose another name"
        )

    def add(self, name: str, cluster: str, version: Version, settings: ClusterSettings) -> SnapshotRow:
        """Add a snapshot of a version, with the pin that keeps it.  Raises SnapshotExistsError."""
        values = (name, cluster, version.volume, version.version, version.time_ns, time.time_ns())
        try:
            self._database.change(
                "INSERT INTO snapshots VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", (*values, settings.to_json())
            )
        except apsw.ConstraintError:
            raise self._taken(name) from None
        row = SnapshotRow(self._database.last_id(), *values, settings)
        self._volumes.add_pin(version.volume, snapshot_holder(row.snapshot), version)
        return row

    def remove(self, row: SnapshotRow) -> list[VolumeRow]:
        """Remove a snapshot and release its pin; returns the volumes on which pins were released, nearest first."""
        self._database.change("DELETE FROM snapshots WHERE snapshot = ?", (row.snapshot,))
        return self._volumes.release_pin(row.volume, row.version, snapshot_holder(row.snapshot))
