"""The version of a repository that a cluster began with, kept in the catalog."""

from __future__ import annotations

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from vfs.format.layout import VERSION_RECORD_BYTES, Version, pack_version, unpack_version

__all__ = ["keep_origin", "origin_of"]

_KIND = "remote"


def keep_origin(context: Context, row: ClusterRow, url: str, name: str, record: Version) -> None:
    """Keep the version that a new cluster begins with, in the running catalog transaction."""
    body = {"url": url, "name": name, "record": pack_version(record)[:VERSION_RECORD_BYTES].hex()}
    context.catalog.documents.put(row.cluster, _KIND, "", body)


def origin_of(context: Context, row: ClusterRow) -> Version | None:
    """The version that a cluster began with; None if that was not one of a repository."""
    body = context.catalog.documents.get(row.cluster, _KIND)
    return unpack_version(bytes.fromhex(str(body["record"]))) if body is not None else None
