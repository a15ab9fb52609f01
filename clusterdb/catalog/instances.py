"""Instances and custom endpoints."""

from __future__ import annotations

import json

import apsw

from clusterdb.catalog.database import Database
from clusterdb.catalog.rows import EndpointRow, InstanceRow, endpoint_row, instance_row
from clusterdb.errors import EndpointExistsError, InstanceExistsError, TooManyReadersError
from vfs.format.shared import GATE_ROWS

__all__ = ["Instances"]


class Instances:
    """Instances and custom endpoints."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, cluster: int) -> list[InstanceRow]:
        """The instances of a cluster, the writer first, then by name."""
        if self._database.recall(("plain", cluster)):
            return []
        return list(self._database.row(("instances", cluster), self._read, cluster) or ())

    def _read(self, cluster: int) -> tuple[InstanceRow, ...]:
        rows = self._database.query(
            "SELECT * FROM instances WHERE cluster = ? ORDER BY NOT is_writer, name", (cluster,)
        )
        return tuple(instance_row(row) for row in rows)

    def add(
        self,
        name: str,
        cluster: int,
        *,
        is_writer: bool,
        instance_class: str,
        tier: int,
        zone: str,
        lag_ns: int,
        jitter_ns: int,
    ) -> InstanceRow:
        """Add an instance.  Raises InstanceExistsError, TooManyReadersError."""
        used = {row for (row,) in self._database.query("SELECT row FROM instances")}
        free = next((row for row in range(GATE_ROWS) if row not in used), None)
        if free is None:
            raise TooManyReadersError(
                f"store '{self._database.where}' has {GATE_ROWS} instances already: delete some first"
            )
        values = (name, cluster, is_writer, instance_class, tier, zone, lag_ns, jitter_ns, free)
        try:
            self._database.change("INSERT INTO instances VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return InstanceRow(self._database.last_id(), *values)

    def set(self, row: InstanceRow) -> None:
        """Change the role, the tier and the lag of an instance."""
        self._database.change(
            "UPDATE instances SET is_writer = ?, tier = ?, lag_ns = ?, jitter_ns = ? WHERE instance = ?",
            (row.is_writer, row.tier, row.lag_ns, row.jitter_ns, row.instance),
        )

    def cluster_of(self, name: str) -> int | None:
        """The cluster that has an instance with this name; None if there is none."""
        rows = self._database.query("SELECT cluster FROM instances WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else None

    def describe(self, row: InstanceRow, *, name: str, instance_class: str) -> None:
        """Change the name of an instance, in custom endpoints too, and its class.  Raises InstanceExistsError."""
        try:
            self._database.change(
                "UPDATE instances SET name = ?, class = ? WHERE instance = ?", (name, instance_class, row.instance)
            )
        except apsw.ConstraintError:
            raise self._taken(name) from None
        for endpoint in self.endpoints(row.cluster) if name != row.name else []:
            lists = ([name if other == row.name else other for other in names] for names in endpoint[2:])
            self._database.change(
                "UPDATE endpoints SET members = ?, excluded = ? WHERE cluster = ? AND name = ?",
                (*map(json.dumps, lists), row.cluster, endpoint.name),
            )

    def _taken(self, name: str) -> InstanceExistsError:
        return InstanceExistsError(
            f"store '{self._database.where}' has an instance '{name}' already: choose another name"
        )

    def remove(self, row: InstanceRow) -> None:
        self._database.change("DELETE FROM instances WHERE instance = ?", (row.instance,))

    def endpoints(self, cluster: int) -> list[EndpointRow]:
        """The custom endpoints of a cluster, by name."""
        sql = "SELECT name, type, members, excluded FROM endpoints WHERE cluster = ? ORDER BY name"
        return [endpoint_row(row) for row in self._database.query(sql, (cluster,))]

    def add_endpoint(
        self, cluster: int, cluster_name: str, name: str, kind: str, members: tuple[str, ...], excluded: tuple[str, ...]
    ) -> EndpointRow:
        """Add a custom endpoint.  Raises EndpointExistsError."""
        values = (cluster, name, kind, json.dumps(members), json.dumps(excluded))
        try:
            self._database.change("INSERT INTO endpoints VALUES (?, ?, ?, ?, ?)", values)
        except apsw.ConstraintError:
            raise EndpointExistsError(
                f"cluster '{cluster_name}' has an endpoint '{name}' already: choose another name"
            ) from None
        return EndpointRow(name, kind, members, excluded)

    def remove_endpoint(self, cluster: int, name: str) -> bool:
        """Delete a custom endpoint; returns whether it existed."""
        self._database.change("DELETE FROM endpoints WHERE cluster = ? AND name = ?", (cluster, name))
        return self._database.change_count() > 0
