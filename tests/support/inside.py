"""The inside of a store, for tests of what no public call shows: the only module that reaches into a store."""

from __future__ import annotations

from contextlib import AbstractContextManager

import clusterdb
from clusterdb.catalog.catalog import Catalog
from clusterdb.core.volumes import pinned_volume
from vfs.sqlite.vfs import ClusterVFS
from vfs.storage.volume import Volume
from vfs.store import PageStore

__all__ = ["catalog_of", "pages_of", "pinned_head", "vfs_of"]


def pages_of(store: clusterdb.Store) -> PageStore:
    """The pages of a store."""
    return store.context.pages


def catalog_of(store: clusterdb.Store) -> Catalog:
    """The catalog of a store."""
    return store.context.catalog


def vfs_of(store: clusterdb.Store) -> ClusterVFS:
    """The VFS of a store."""
    vfs = store.context.vfs
    assert isinstance(vfs, ClusterVFS)
    return vfs


def pinned_head(store: clusterdb.Store, name: str) -> AbstractContextManager[Volume]:
    """The head of a cluster, pinned."""
    cluster = store.cluster(name)
    return pinned_volume(store.context, store.context.volume_of(cluster), None, f"cluster '{name}'")
