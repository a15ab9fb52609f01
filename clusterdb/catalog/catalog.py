"""The catalog of one open store."""

from __future__ import annotations

from clusterdb.catalog.clusters import Clusters
from clusterdb.catalog.database import Database
from clusterdb.catalog.documents import Documents
from clusterdb.catalog.events import Events
from clusterdb.catalog.instances import Instances
from clusterdb.catalog.snapshots import Snapshots
from clusterdb.catalog.volumes import Volumes

__all__ = ["Catalog"]


class Catalog:
    """The clusters of a store, and their volumes and pins, by table.

    ``volumes`` implements the contract with the storage layer (:class:`vfs.registry.Registry`).
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store_id = database.store_id
        self.transaction = database.transaction
        self.volumes = Volumes(database)
        self.clusters = Clusters(database)
        self.instances = Instances(database)
        self.snapshots = Snapshots(database, self.volumes)
        self.events = Events(database)
        self.documents = Documents(database)

    def close(self) -> None:
        """Close the connection."""
        self.database.close()
