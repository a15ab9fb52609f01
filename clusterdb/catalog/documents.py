"""Documents: what other interfaces keep about clusters and stores, as JSON objects.

A document has a kind, a name, and the cluster that it belongs to; 0 stands for the store.  The documents of a cluster
are deleted with it.
"""

from __future__ import annotations

import json
from typing import Any

from clusterdb.catalog.database import Database
from clusterdb.catalog.rows import require
from clusterdb.errors import ClusterNotFoundError

__all__ = ["STORE", "Documents"]

STORE = 0
"""The cluster number of documents that belong to no cluster."""


class Documents:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, cluster: int, kind: str, name: str = "") -> dict[str, Any] | None:
        """The body of a document; None if there is none."""
        sql = "SELECT body FROM documents WHERE cluster = ? AND kind = ? AND name = ?"
        rows = self._query(sql, (cluster, kind, name))
        return _body(rows[0][0]) if rows else None

    def all(self, kind: str, cluster: int | None = None) -> list[tuple[int, str, dict[str, Any]]]:
        """The documents of a kind, as (cluster, name, body), by cluster and name; those of one cluster or of all."""
        sql = "SELECT cluster, name, body FROM documents WHERE kind = ?1 AND (?2 IS NULL OR cluster = ?2) ORDER BY 1, 2"
        return [(cluster, name, _body(body)) for cluster, name, body in self._query(sql, (kind, cluster))]

    def put(self, cluster: int, kind: str, name: str, body: dict[str, Any]) -> None:
        """Add or replace a document, in the running transaction.

        Raises ClusterNotFoundError if another process has deleted the cluster: its documents would stay for ever.
        """
        self._database.change(
            "INSERT OR REPLACE INTO documents SELECT ?1, ?2, ?3, ?4 "
            "WHERE ?1 = 0 OR EXISTS (SELECT 1 FROM clusters WHERE cluster = ?1)",
            (cluster, kind, name, json.dumps(body, sort_keys=True)),
            ("plain", cluster),
        )
        if not self._database.change_count():
            raise ClusterNotFoundError(f"cluster {cluster} was deleted meanwhile")

    def remove(self, cluster: int, kind: str, name: str = "") -> bool:
        """Delete a document, in the running transaction; returns whether it existed."""
        self._database.insert(
            "DELETE FROM documents WHERE cluster = ? AND kind = ? AND name = ?", (cluster, kind, name)
        )
        return self._database.change_count() > 0

    def _query(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._database.query(sql, values) if self._database.has_documents else []


def _body(text: object) -> dict[str, Any]:
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        body = None
    require(isinstance(body, dict), "a document")
    assert isinstance(body, dict)
    return body
