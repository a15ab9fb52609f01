"""The version of a repository that a cluster has the content of, kept in the catalog, and the lineage of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from vfs.format.layout import VERSION_RECORD_BYTES, Version, pack_version, unpack_version
from vfs.registry import VolumeRow

__all__ = ["Origin", "ancestors", "keep_origin", "lineage", "origin_of"]

_KIND = "remote"


class Origin(NamedTuple):
    """What a cluster was cloned from, pulled, or pushed last.

    :ivar address: the URL of the repository with the settings of the engine
    :ivar url: the one without
    :ivar name: the database there
    :ivar number: the state that has it
    :ivar record: its version there
    :ivar store: who pushed it
    :ivar volume, version: what has its content here
    :ivar is_lazy: whether the pages of the cluster come when they are read
    """

    address: str
    url: str
    name: str
    number: int
    record: Version
    store: str
    volume: int
    version: int
    is_lazy: bool


def keep_origin(context: Context, cluster: int, origin: Origin) -> None:
    """Keep the origin of a cluster, in the running catalog transaction."""
    body = {**origin._asdict(), "record": pack_version(origin.record)[:VERSION_RECORD_BYTES].hex()}
    context.catalog.documents.put(cluster, _KIND, "", body)


def origin_of(context: Context, row: ClusterRow) -> Origin | None:
    """The origin of a cluster; None if it was not cloned from a repository."""
    body = context.catalog.documents.get(row.cluster, _KIND)
    return _unpack(body) if body is not None else None


def _unpack(body: dict[str, Any]) -> Origin | None:
    record = unpack_version(bytes.fromhex(str(body["record"])))
    if record is None or not {*Origin._fields} <= {*body}:
        return None
    return Origin(**{**{field: body[field] for field in Origin._fields}, "record": record})


def lineage(context: Context, volume: VolumeRow, version: int) -> Iterator[tuple[int, int]]:
    """The volumes that a version of a volume descends from, itself first, with the newest version of it there."""
    row: VolumeRow | None = volume
    while row is not None:
        yield row.volume, version
        version = min(version, row.base.version)
        row = context.catalog.volumes.volume_row(row.parent) if row.parent is not None else None


def ancestors(context: Context, volume: VolumeRow, version: int) -> list[Origin]:
    """The origins, of any cluster, of versions that a version of a volume descends from."""
    newest = dict(lineage(context, volume, version))
    origins = [_unpack(body) for _, _, body in context.catalog.documents.all(_KIND)]
    return [one for one in origins if one is not None and one.version <= newest.get(one.volume, 0)]
