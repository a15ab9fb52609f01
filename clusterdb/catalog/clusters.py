"""Clusters, and their former volumes (their pasts)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

import apsw

from clusterdb.catalog.database import Database
from clusterdb.catalog.rows import ClusterRow, cluster_row
from clusterdb.errors import ClusterExistsError
from clusterdb.rules.settings import ClusterSettings
from clusterdb.rules.status import AVAILABLE

__all__ = ["Clusters"]


class Clusters:
    """Clusters, and their former volumes (their pasts)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    _CLUSTER = (
        "SELECT cluster, name, volume, created_ns, source, source_cluster, clone_group, status, settings, used_ns "
        "FROM clusters"
    )

    def all(self) -> list[ClusterRow]:
        """All clusters, by name."""
        return [cluster_row(row) for row in self._database.query(f"{self._CLUSTER} ORDER BY name")]

    def count(self) -> int:
        """The number of clusters."""
        return int(self._database.query("SELECT count(*) FROM clusters")[0][0])

    def clone_count(self, clone_group: str) -> int:
        """The number of clusters in a clone group."""
        return int(self._database.query("SELECT count(*) FROM clusters WHERE clone_group = ?", (clone_group,))[0][0])

    def with_past(self, expires: Callable[[ClusterSettings], bool]) -> list[ClusterRow]:
        """The clusters with settings that expire, with a past, or with instances; by name."""
        texts = [text for (text,) in self._database.query("SELECT DISTINCT settings FROM clusters")]
        wanted = [text for text in texts if not isinstance(text, str) or expires(ClusterSettings.from_json(text))]
        sql = (
            f"{self._CLUSTER} WHERE settings IN (SELECT value FROM json_each(?)) "
            "OR cluster IN (SELECT cluster FROM pasts UNION SELECT cluster FROM instances) "
            "OR volume IN (SELECT volume FROM volumes WHERE retained) ORDER BY name"
        )
        return [cluster_row(row) for row in self._database.query(sql, (json.dumps(wanted),))]

    def named(self, name: str) -> ClusterRow | None:
        """The cluster with a name; None if there is none."""
        rows = self._database.query(f"{self._CLUSTER} WHERE name = ?", (name,))
        return cluster_row(rows[0]) if rows else None

    def get(self, cluster: int) -> ClusterRow | None:
        """The cluster with an id; None if it was deleted."""
        rows = self._database.query(f"{self._CLUSTER} WHERE cluster = ?", (cluster,))
        return cluster_row(rows[0]) if rows else None

    def add(self, name: str, volume: int, settings: ClusterSettings, source: ClusterRow | None = None) -> ClusterRow:
        """Add a cluster with a volume.  Raises ClusterExistsError."""
        now = time.time_ns()
        group = source.clone_group if source is not None else str(uuid.uuid4())
        values = (name, volume, now, source.name if source else None, source.cluster if source else None, group)
        try:
            self._database.change(
                "INSERT INTO clusters VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, AVAILABLE, settings.to_json(), now),
            )
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return ClusterRow(self._database.last_id(), *values, AVAILABLE, settings, now)

    def rename(self, cluster: int, name: str) -> bool:
        """Rename a cluster; returns whether it exists.  Raises ClusterExistsError."""
        try:
            self._database.change("UPDATE clusters SET name = ? WHERE cluster = ?", (name, cluster))
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return self._database.change_count() > 0

    def switch(self, cluster: int, volume: int) -> None:
        """Replace the volume of a cluster."""
        self._database.change("UPDATE clusters SET volume = ? WHERE cluster = ?", (volume, cluster))

    def set_status(self, cluster: int, status: str) -> None:
        self._database.change("UPDATE clusters SET status = ? WHERE cluster = ?", (status, cluster))

    def set_settings(self, cluster: int, settings: ClusterSettings) -> None:
        self._database.change("UPDATE clusters SET settings = ? WHERE cluster = ?", (settings.to_json(), cluster))

    def set_used(self, cluster: int, time_ns: int) -> None:
        self._database.change("UPDATE clusters SET used_ns = ? WHERE cluster = ?", (time_ns, cluster))

    def _taken(self, name: str) -> ClusterExistsError:
        return ClusterExistsError(f"store '{self._database.where}' has a cluster '{name}' already: choose another name")

    def require_free(self, name: str) -> None:
        """Raise ClusterExistsError if a cluster has this name."""
        if self.named(name) is not None:
            raise self._taken(name)

    def remove(self, cluster: int) -> None:
        self._database.change("DELETE FROM clusters WHERE cluster = ?", (cluster,))
        for table in ("pasts", "instances", "endpoints"):
            self._database.change(f"DELETE FROM {table} WHERE cluster = ?", (cluster,))

    # --- pasts ---------------------------------------------------------------------------------------------------
    def pasts(self, cluster: int) -> list[tuple[int, int]]:
        """The past volumes of a cluster, as (volume, end of its use in ns), oldest first."""
        rows = self._database.query(
            "SELECT volume, until_ns FROM pasts WHERE cluster = ? ORDER BY until_ns, volume", (cluster,)
        )
        return [(volume, until_ns) for volume, until_ns in rows]

    def is_owned(self, volume: int) -> bool:
        """Whether a volume is the present or a past volume of a cluster."""
        return bool(
            self._database.query(
                "SELECT 1 FROM clusters WHERE volume = ? UNION ALL SELECT 1 FROM pasts WHERE volume = ?",
                (volume, volume),
            )
        )

    def add_past(self, volume: int, cluster: int, until_ns: int) -> None:
        self._database.change("INSERT INTO pasts VALUES (?, ?, ?)", (volume, cluster, until_ns))

    def remove_past(self, volume: int) -> None:
        self._database.change("DELETE FROM pasts WHERE volume = ?", (volume,))
