"""The inside of a store, for tests of what no public call shows: the only module that reaches into a store."""

from __future__ import annotations

import clusterdb
from clusterdb.catalog import Catalog
from vfs.sqlite_vfs import ClusterVFS
from vfs.store import PageStore

__all__ = ["catalog_of", "pages_of", "vfs_of"]


def pages_of(store: clusterdb.Store) -> PageStore:
    """The pages of a store."""
    return store._pages


def catalog_of(store: clusterdb.Store) -> Catalog:
    """The catalog of a store."""
    return store._catalog


def vfs_of(store: clusterdb.Store) -> ClusterVFS:
    """The VFS of a store."""
    return store._vfs
