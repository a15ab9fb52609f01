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
    _CLUSTER_BY_ID = f"{_CLUSTER} WHERE cluster = ?"

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

    def clones(self, cluster: int) -> list[ClusterRow]:
        """The clones of a cluster, by name."""
        return [
            cluster_row(row)
            for row in self._database.query(f"{self._CLUSTER} WHERE source_cluster = ? ORDER BY name", (cluster,))
        ]

    def named(self, name: str) -> ClusterRow | None:
        """The cluster with a name; None if there is none."""
        rows = self._database.query(f"{self._CLUSTER} WHERE name = ?", (name,))
        return cluster_row(rows[0]) if rows else None

    def get(self, cluster: int) -> ClusterRow | None:
        """The cluster with an id; None if it was deleted."""
        return self._database.row(("cluster", cluster), self._read, cluster)

    def _read(self, cluster: int) -> ClusterRow | None:
        rows = self._database.query(self._CLUSTER_BY_ID, (cluster,))
        return cluster_row(rows[0]) if rows else None

    def add(self, name: str, volume: int, settings: ClusterSettings, source: ClusterRow | None = None) -> ClusterRow:
        """Add a cluster with a volume.  Raises ClusterExistsError."""
        now = time.time_ns()
        group = source.clone_group if source is not None else str(uuid.uuid4())
        values = (name, volume, now, source.name if source else None, source.cluster if source else None, group)
        try:
            self._database.insert(
                "INSERT INTO clusters VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, AVAILABLE, settings.to_json(), now),
            )
        except apsw.ConstraintError:
            raise self._taken(name) from None
        row = ClusterRow(self._database.last_id(), *values, AVAILABLE, settings, now)
        self._database.remember(("cluster", row.cluster), row)
        self._database.remember(("plain", row.cluster), row)
        return row

    def rename(self, cluster: int, name: str) -> bool:
        """Rename a cluster; returns whether it exists.  Raises ClusterExistsError."""
        try:
            self._database.change(
                "UPDATE clusters SET name = ? WHERE cluster = ?", (name, cluster), ("cluster", cluster)
            )
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return self._database.change_count() > 0

    def switch(self, cluster: int, volume: int) -> None:
        """Replace the volume of a cluster."""
        self._database.change(
            "UPDATE clusters SET volume = ? WHERE cluster = ?", (volume, cluster), ("cluster", cluster)
        )

    def set_status(self, cluster: int, status: str) -> None:
        self._database.change(
            "UPDATE clusters SET status = ? WHERE cluster = ?", (status, cluster), ("cluster", cluster)
        )

    def set_settings(self, cluster: int, settings: ClusterSettings) -> None:
        self._database.change(
            "UPDATE clusters SET settings = ? WHERE cluster = ?", (settings.to_json(), cluster), ("cluster", cluster)
        )

    def set_used(self, cluster: int, time_ns: int) -> None:
        self._database.change(
            "UPDATE clusters SET used_ns = ? WHERE cluster = ?", (time_ns, cluster), ("cluster", cluster)
        )

    def _taken(self, name: str) -> ClusterExistsError:
        return ClusterExistsError(f"store '{self._database.where}' has a cluster '{name}' already: choose another name")

    def require_free(self, name: str) -> None:
        """Raise ClusterExistsError if a cluster has this name."""
        if self.named(name) is not None:
            raise self._taken(name)

    def remove(self, cluster: int) -> None:
        """Delete a cluster, with the rows that belong to it."""
        database = self._database
        if not self.is_plain(cluster):
            for table in ("pasts", "instances", "endpoints", "documents"):
                database.change(f"DELETE FROM {table} WHERE cluster = ?", (cluster,), ("instances", cluster))
        database.change("DELETE FROM clusters WHERE cluster = ?", (cluster,), ("cluster", cluster), ("plain", cluster))

    def is_plain(self, cluster: int) -> bool:
        """Whether a cluster is known to have neither pasts, instances, custom endpoints nor documents."""
        return self._database.row(("plain", cluster), self._read_plain, cluster) is not None

    def _read_plain(self, cluster: int) -> int | None:
        others = self._database.query(self._BELONGING, (cluster,))
        return None if others else cluster

    _BELONGING = (
        "SELECT 1 FROM pasts WHERE cluster = ?1 UNION ALL SELECT 1 FROM instances WHERE cluster = ?1 "
        "UNION ALL SELECT 1 FROM endpoints WHERE cluster = ?1 UNION ALL SELECT 1 FROM documents WHERE cluster = ?1 "
        "LIMIT 1"
    )

    # --- pasts ---------------------------------------------------------------------------------------------------
    def pasts(self, cluster: int) -> list[tuple[int, int]]:
        """The past volumes of a cluster, as (volume, end of its use in ns), oldest first."""
        if self._database.recall(("plain", cluster)):
            return []
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
