"""Chooses the data plane that serves a store, by ``CLUSTERDB_IMPL``; and finds the library for other programs.

    c       in C, the extension module: the default where the build has it and it loads
    python  in Python: the reference, and the default elsewhere
    mixed   one of the two for each open file, alternately: for tests

All planes read and write the same files, and processes that use different ones may share a store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from vfs.abc import Durability, Handle, Resolver, StoreVFS
from vfs.errors import UnknownDataPlaneError
from vfs.registry import VolumeRow
from vfs.sqlite.vfs import ClusterVFS, PlainConnection
from vfs.storage.pool import Pool
from vfs.storage.reader import Follow
from vfs.storage.volumes import open_volume

__all__ = ["DataPlane", "Native", "PythonPlane", "available", "chosen", "library", "native", "notice"]


class DataPlane(Protocol):
    """An implementation of the contract in :mod:`vfs.abc` over an open pool."""

    @property
    def name(self) -> str:
        """The name of the data plane in ``CLUSTERDB_IMPL``."""

    def vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a VFS under ``name``; ``durability`` is the initial setting of its connections."""

    def connect_plain(self, path: str) -> PlainConnection:
        """Open a plain database with a write-ahead log, such as the catalog.  Raises apsw.Error."""

    def open_volume(
        self, pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None
    ) -> Handle:
        """Open a handle on a volume, with a session of its own."""


class PythonPlane:
    """The data plane in Python.  Implements :class:`DataPlane`."""

    name = "python"

    def vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a :class:`vfs.sqlite.vfs.ClusterVFS`."""
        return ClusterVFS(name, pool, resolve, durability)

    def connect_plain(self, path: str) -> PlainConnection:
        """Open a plain database by the VFS for plain files."""
        return ClusterVFS.connect_plain(path)

    def open_volume(
        self, pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None
    ) -> Handle:
        """Open a :class:`vfs.storage.volume.Volume`."""
        return open_volume(pool, row, read_only=read_only, follow=follow)


class MixedPlane:
    """Both planes in turns.  Implements :class:`DataPlane`."""

    name = "mixed"

    def __init__(self, native: Any) -> None:
        self._native = native
        self._turns: tuple[DataPlane, ...] = (PythonPlane(), native)
        self._turn = 0

    def vfs(self, name: str, pool: Pool, resolve: Resolver, durability: Durability) -> StoreVFS:
        """Register a VFS that opens every other file in C."""
        vfs: StoreVFS = self._native.mixed_vfs(name, pool, resolve, durability)
        return vfs

    def connect_plain(self, path: str) -> PlainConnection:
        """Open a plain database as the plane in C does."""
        connection: PlainConnection = self._native.connect_plain(path)
        return connection

    def open_volume(
        self, pool: Pool, row: VolumeRow, *, read_only: bool = False, follow: Follow | None = None
    ) -> Handle:
        """Open a handle of each plane in turns."""
        self._turn += 1
        return self._turns[self._turn % 2].open_volume(pool, row, read_only=read_only, follow=follow)


_MODULE = "vfs.native"
"""The module of the plane in C.  ``plane()`` returns the plane, or raises an error where it cannot work."""
_EXTENSION = "vfs._native"
"""The extension module that it uses."""


@dataclass(frozen=True, slots=True)
class Native:
    """The planes that use the extension module, by name; none, and the reason, where it cannot be used."""

    planes: Mapping[str, DataPlane]
    reason: str | None = None


@cache
def native() -> Native:
    """Load the plane in C, on the first call; whatever goes wrong then is a reason not to use it."""
    if find_spec(_MODULE) is None:
        return Native({}, "this version of clusterdb has no data plane in C")
    if find_spec(_EXTENSION) is None:
        return Native(
            {}, f"the extension module {_EXTENSION} was not built: install a C compiler and reinstall clusterdb"
        )
    try:
        plane = import_module(_MODULE).plane()
    except Exception as error:
        return Native({}, f"the data plane in C failed to load: {type(error).__name__}: {error}")
    return Native({"c": plane, "mixed": MixedPlane(plane)})


def available() -> list[str]:
    """The names of the data planes of this build."""
    return ["python", *native().planes]


def notice() -> str | None:
    """Why the plane in C is not in use; None if it is, or if ``CLUSTERDB_IMPL`` names the plane in Python."""
    return None if os.environ.get("CLUSTERDB_IMPL") == "python" else native().reason


def chosen() -> DataPlane:
    """The data plane that ``CLUSTERDB_IMPL`` names, else the default.  Raises UnknownDataPlaneError."""
    name = os.environ.get("CLUSTERDB_IMPL")
    if name == "python":
        return PythonPlane()
    planes = {"python": PythonPlane(), **native().planes}
    if not name:
        return planes.get("c") or planes["python"]
    if name in planes:
        return planes[name]
    reason = native().reason
    if name in ("c", "mixed") and reason is not None:
        raise UnknownDataPlaneError(f"CLUSTERDB_IMPL={name}: {reason}")
    raise UnknownDataPlaneError(
        f"CLUSTERDB_IMPL={name}: this build has no such data plane: use {' or '.join(planes)}, or unset it"
    )


def library() -> Path | None:
    """The loadable extension of SQLite that reads clusters without Python, without its suffix; None if not built."""
    path = Path(__file__).parent / "clusterdb_vfs"
    return path if path.with_suffix(".so").exists() else None
