"""The inside of a store, for tests of what no public call shows: the only module that reaches into a store."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from typing import Any

import apsw

import clusterdb
from clusterdb.catalog.catalog import Catalog
from clusterdb.core.volumes import pinned_volume
from vfs.abc import StoreVFS
from vfs.storage.volume import Volume
from vfs.store import PageStore

__all__ = ["catalog_of", "open_file_count", "pages_of", "pinned_head", "vfs_of"]


def pages_of(store: clusterdb.Store) -> PageStore:
    """The pages of a store."""
    return store.context.pages


def catalog_of(store: clusterdb.Store) -> Catalog:
    """The catalog of a store."""
    return store.context.catalog


class VFSView(apsw.VFS):
    """The methods of a registered VFS, called as SQLite calls them; it passes everything to that VFS."""

    _numbers = itertools.count()

    def __init__(self, vfs: StoreVFS) -> None:
        self._vfs = vfs
        super().__init__(f"view-{next(self._numbers)}", base=vfs.name)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return apsw.VFSFile(self._vfs.name, name, flags)


def vfs_of(store: clusterdb.Store) -> VFSView:
    """The VFS of a store, whichever data plane has registered it."""
    return VFSView(store.context.vfs)


def open_file_count(store: clusterdb.Store) -> int:
    """The number of files that connections have open through the VFS of a store."""
    return store.context.vfs.open_count()


def pinned_head(store: clusterdb.Store, name: str) -> AbstractContextManager[Volume]:
    """The head of a cluster, pinned."""
    cluster = store.cluster(name)
    return pinned_volume(store.context, store.context.volume_of(cluster), None, f"cluster '{name}'")
