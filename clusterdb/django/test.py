"""For tests that commit: reset to a snapshot instead of emptying every table."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connections

from clusterdb.django.base import DatabaseWrapper

__all__ = ["SnapshotMixin"]


class SnapshotMixin:
    """For a ``TransactionTestCase``: after each test its databases are as they were before the first.

        class OrderTests(SnapshotMixin, TransactionTestCase): ...

    The time does not depend on the number of tables, and rows that migrations have inserted stay.  Databases of other
    backends are flushed as usual.
    """

    _snapshots: dict[str, str]

    @classmethod
    def setUpClass(cls) -> None:
        """Take the snapshots."""
        super().setUpClass()  # type: ignore[misc]
        cls._snapshots = {}
        for alias in cls._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
            connection: Any = connections[alias]
            if isinstance(connection, DatabaseWrapper) and not connection.is_in_memory_db():
                name = f"test-{uuid.uuid4().hex}"
                connection.cluster.snapshot(name)
                cls._snapshots[alias] = name

    @classmethod
    def tearDownClass(cls) -> None:
        """Delete the snapshots."""
        for alias, name in cls._snapshots.items():
            connections[alias].store.delete_snapshot(name)
        super().tearDownClass()  # type: ignore[misc]

    def _fixture_teardown(self) -> None:
        for alias, name in self._snapshots.items():
            connections[alias].cluster.reset(name)
        if len(self._snapshots) < len(list(self._databases_names(include_mirrors=False))):  # type: ignore[attr-defined]
            super()._fixture_teardown()  # type: ignore[misc]
