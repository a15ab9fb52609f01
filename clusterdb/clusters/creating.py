"""Creation of clusters: empty ones, or clusters that are filled before they become visible."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from clusterdb.access import copies, sqlite
from clusterdb.access.copies import Progress
from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from clusterdb.core.volumes import building, drop_volume, new_volume
from clusterdb.errors import InvalidArgumentError
from clusterdb.past.retention import agree_with_settings
from clusterdb.rules.names import check_name
from clusterdb.rules.settings import ClusterSettings
from vfs.registry import VolumeRow, VolumeState

if TYPE_CHECKING:
    from clusterdb.flavours.loaded import LoadedDump

__all__ = ["Also", "create", "create_built", "create_filled", "import_dump", "nothing_else"]

Also = Callable[[ClusterRow], None]
"""What another interface adds about a new cluster, in the catalog transaction that adds the cluster."""


def nothing_else(row: ClusterRow) -> None:
    """Add nothing."""


_PAGE_SIZES = tuple(1 << shift for shift in range(9, 17))


def create(
    context: Context,
    name: str,
    from_file: str | os.PathLike[str] | None,
    page_size: int | None,
    settings: Mapping[str, Any],
    *,
    check: bool,
    progress: Progress | None,
    also: Also = nothing_else,
) -> ClusterRow:
    """Create a cluster: implements :meth:`clusterdb.Store.create_cluster`."""
    context.require_writable()
    context.catalog.clusters.require_free(check_name(name))
    wanted = context.default_settings.changed(settings)
    if page_size is not None and page_size not in _PAGE_SIZES:
        raise InvalidArgumentError(f"page_size={page_size}: use a power of two from 512 to 65536 (bytes)")
    if page_size is not None and from_file is not None:
        raise InvalidArgumentError("page_size and from_file exclude each other: an import keeps the file's page size")

    def fill(connection: sqlite.Connection) -> None:
        if from_file is not None:
            copies.copy_in(Path(from_file), connection, progress, check=check)
        else:
            connection.execute(f"PRAGMA page_size = {page_size}; VACUUM").fetchall()

    if from_file is None and page_size is None:
        row = _create_empty(context, name, wanted, also)
    else:
        row = create_filled(context, name, fill, wanted, None, also)
    if wanted.keeps_past_ns:
        agree_with_settings(context, row.cluster)
    return row


def import_dump(
    context: Context,
    name: str,
    source: str | os.PathLike[str] | IO[bytes],
    settings: Mapping[str, Any],
    *,
    engine: str | None,
    strict: bool,
    progress: Progress | None,
) -> LoadedDump:
    """Create a cluster from a dump: implements :meth:`clusterdb.Store.import_dump`."""
    from clusterdb.flavours.dumps import Dump  # imports sqlglot

    context.require_writable()
    context.catalog.clusters.require_free(check_name(name))
    loaded: list[LoadedDump] = []
    with Dump(source, engine=engine, progress=progress) as dump:
        wanted = context.default_settings.changed({**settings, "engine": dump.engine})
        row = create_filled(
            context, name, lambda connection: loaded.append(dump.load(connection, strict=strict)), wanted, None
        )
    if wanted.keeps_past_ns:
        agree_with_settings(context, row.cluster)
    return loaded[0]


def _create_empty(context: Context, name: str, settings: ClusterSettings, also: Also) -> ClusterRow:
    catalog = context.catalog
    rows: list[ClusterRow] = []

    def add(volume: VolumeRow) -> None:
        catalog.events.add("cluster", name, "creation", f"cluster '{name}' created")
        rows.append(catalog.clusters.add(name, volume.volume, settings))
        also(rows[0])

    with new_volume(context, VolumeState.LIVE, add, keeps_past=settings.keeps_past_ns > 0):
        return rows[0]


def create_filled(
    context: Context,
    name: str,
    fill: Callable[[sqlite.Connection], None],
    settings: ClusterSettings,
    source: ClusterRow | None,
    also: Also = nothing_else,
) -> ClusterRow:
    """Create a cluster that becomes visible when ``fill`` has filled it; ``source`` is the cluster that it copies."""

    def build(volume: VolumeRow) -> None:
        with building(context, volume) as connection:
            fill(connection)

    origin = f"copied from '{source.name}'" if source is not None else "created"
    return create_built(context, name, build, settings, origin, source=source, also=also)


def create_built(
    context: Context,
    name: str,
    build: Callable[[VolumeRow], None],
    settings: ClusterSettings,
    origin: str,
    *,
    source: ClusterRow | None = None,
    also: Also = nothing_else,
) -> ClusterRow:
    """Create a cluster that becomes visible when ``build`` has filled its volume; its event states its ``origin``."""
    catalog = context.catalog
    with new_volume(context, VolumeState.BUILDING) as volume:
        try:
            build(volume)
            with catalog.transaction():
                catalog.volumes.set_volume_state(volume.volume, VolumeState.LIVE)
                row = catalog.clusters.add(name, volume.volume, settings, source)
                catalog.events.add("cluster", name, "creation", f"cluster '{name}' {origin}")
                also(row)
        except BaseException:
            drop_volume(context, volume)
            raise
        return row
