"""Which data plane serves a store: ``CLUSTERDB_IMPL=python`` (the default) or ``c``.

All planes read and write the same files, and processes that use different ones may share a store.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from vfs.abc import Durability, Handle, Resolver, StoreVFS
from vfs.errors import UnknownDataPlaneError
from vfs.registry import VolumeRow
from vfs.sqlite.vfs import ClusterVFS
from vfs.storage.pool import Pool
from vfs.storage.reader import Follow
from vfs.storage.volumes import open_volume

__all__ = ["DataPlane", "PythonPlane", "available", "chosen"]


class DataPlane(Protocol):
    """An implementation of the contract in :mod:`vfs.abc` over an open pool."""

    @property
    def name(self) -> str:
        """Its name in ``CLUSTERDB_IMPL``."""

    def vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a VFS under ``name``; ``durability`` is what its connections begin with."""

    def open_volume(
        self, pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None
    ) -> Handle:
        """A handle on a volume, with a session of its own."""


class PythonPlane:
    """The data plane in Python.  Implements :class:`DataPlane`."""

    name = "python"

    def vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a :class:`vfs.sqlite.vfs.ClusterVFS`."""
        return ClusterVFS(name, pool, resolve, durability)

    def open_volume(
        self, pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None
    ) -> Handle:
        """A :class:`vfs.storage.volume.Volume`."""
        return open_volume(pool, row, read_only=read_only, follow=follow)


_NATIVE = "vfs.native"
"""The module of the plane in C, if this build has one: its ``plane()`` returns the implementation."""


def available() -> list[str]:
    """The names of the data planes of this build."""
    return ["python", "c"] if find_spec(_NATIVE) is not None else ["python"]


def chosen() -> DataPlane:
    """The data plane that ``CLUSTERDB_IMPL`` names.  Raises UnknownDataPlaneError."""
    name = os.environ.get("CLUSTERDB_IMPL") or "python"
    if name not in available():
        raise UnknownDataPlaneError(
            f"CLUSTERDB_IMPL={name}: this build has no such data plane: use {' or '.join(available())}, or unset it"
        )
    if name == "c":
        plane: DataPlane = import_module(_NATIVE).plane()
        return plane
    return PythonPlane()
