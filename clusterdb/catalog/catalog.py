"""The catalog of one open store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdb.catalog.clusters import Clusters
from clusterdb.catalog.database import Database
from clusterdb.catalog.documents import Documents
from clusterdb.catalog.events import Events
from clusterdb.catalog.instances import Instances
from clusterdb.catalog.snapshots import Snapshots
from clusterdb.catalog.volumes import Volumes

if TYPE_CHECKING:
    import apsw

__all__ = ["Catalog"]


class Catalog:
    """The clusters of a store, and their volumes and pins, by table.

    ``volumes`` implements the contract with the storage layer (:class:`vfs.registry.Registry`).
    """

    def __init__(
        self,
        path: Path | None,
        connect: Callable[[str], apsw.Connection],
        *,
        store_id: bytes,
        read_only: bool = False,
        disposable: bool = False,
    ) -> None:
        """Open the catalog, or create an empty one with this identity.

        ``path`` is None for a catalog in memory; ``connect`` opens a plain database.  ``read_only``: nothing is
        written; recovery works in a temporary copy, which is deleted with this object.  ``disposable``: no transaction
        is synced; a power failure may undo the last ones.

        Raises StoreFormatError, CorruptStoreError, StoreBusyError.
        """
        self.database = Database(path, connect, store_id=store_id, read_only=read_only, disposable=disposable)
        self.store_id = self.database.store_id
        self.transaction = self.database.transaction
        self.volumes = Volumes(self.database)
        self.clusters = Clusters(self.database)
        self.instances = Instances(self.database)
        self.snapshots = Snapshots(self.database, self.volumes)
        self.events = Events(self.database)
        self.documents = Documents(self.database)

    def close(self) -> None:
        """Close the connection."""
        self.database.close()
