"""Events of clusters, instances and snapshots."""

from __future__ import annotations

import time

from clusterdb.catalog.database import Database
from clusterdb.catalog.rows import EventRow

_EVENTS_MAX = 10_000

__all__ = ["Events"]


class Events:
    """Events of clusters, instances and snapshots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, source: str, category: str, message: str) -> None:
        """Add an event, in the running transaction."""
        self._database.insert(
            "INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?)", (time.time_ns(), kind, source, category, message)
        )
        event = self._database.last_id()
        if event % 256 == 0:
            self._database.insert("DELETE FROM events WHERE event <= ?", (event - _EVENTS_MAX,))

    def all(self) -> list[EventRow]:
        """The latest events, oldest first."""
        return [EventRow(*row) for row in self._database.query("SELECT * FROM events ORDER BY event")]
