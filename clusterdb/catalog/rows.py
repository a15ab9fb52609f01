"""Rows of the catalog, checked as they are read: a damaged catalog is reported, never trusted."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

from clusterdb.errors import CorruptStoreError, InvalidNameError
from clusterdb.rules.names import check_name
from clusterdb.rules.settings import ClusterSettings
from vfs.format.layout import SLOT_COUNT_MAX, VERSION_RECORD_BYTES, Version, pack_version, unpack_version
from vfs.format.shared import GATE_ROWS, HALTED, VOLUME_ROWS
from vfs.registry import PinRow, VolumeRow, VolumeState

__all__ = [
    "ClusterRow",
    "EndpointRow",
    "EventRow",
    "InstanceRow",
    "SnapshotRow",
    "cluster_row",
    "endpoint_row",
    "instance_row",
    "is_int",
    "packed",
    "pin_row",
    "require",
    "snapshot_holder",
    "snapshot_row",
    "volume_holder",
    "volume_row",
]

_STATES = frozenset(map(str, VolumeState))
Values = tuple[Any, ...]
"""A row as SQLite returns it."""
_remembered = lru_cache(maxsize=4096)
"""A row that was checked need not be checked again."""


class ClusterRow(NamedTuple):
    """A row of ``clusters``."""

    cluster: int
    name: str
    volume: int
    created_ns: int
    source: str | None
    source_cluster: int | None
    clone_group: str
    status: str
    settings: ClusterSettings
    used_ns: int


class SnapshotRow(NamedTuple):
    """A row of ``snapshots``."""

    snapshot: int
    name: str
    cluster: str
    volume: int
    version: int
    taken_ns: int
    created_ns: int
    settings: ClusterSettings


class InstanceRow(NamedTuple):
    """A row of ``instances``; ``row`` is its row in the instance table."""

    instance: int
    name: str
    cluster: int
    is_writer: bool
    instance_class: str
    tier: int
    zone: str
    lag_ns: int
    jitter_ns: int
    row: int


class EndpointRow(NamedTuple):
    """A row of ``endpoints``: a custom endpoint."""

    name: str
    type: str
    members: tuple[str, ...]
    excluded: tuple[str, ...]


class EventRow(NamedTuple):
    """A row of ``events``."""

    event: int
    time_ns: int
    kind: str
    source: str
    category: str
    message: str


def snapshot_holder(snapshot: int) -> str:
    """The holder of a snapshot's pin."""
    return f"snapshot:{snapshot}"


def volume_holder(volume: int) -> str:
    """The holder of the pin on a clone's base."""
    return f"volume:{volume}"


@lru_cache(maxsize=1024)
def packed(version: Version) -> bytes:
    """The record of a version; the base of many clones is packed once."""
    return pack_version(version)[:VERSION_RECORD_BYTES]


_unpack_version = lru_cache(maxsize=4096)(unpack_version)


def _version(record: object, subject: str) -> Version:
    version = _unpack_version(record) if isinstance(record, bytes) else None
    if version is None:
        raise CorruptStoreError(f"the catalog's version record of {subject} fails its checksum")
    return version


def require(holds: bool, subject: str) -> None:
    """Check a condition on a row that was read.  Raises CorruptStoreError."""
    if not holds:
        raise CorruptStoreError(f"the catalog's row of {subject} is invalid")


def is_int(value: object, low: int, end: int) -> bool:
    return type(value) is int and low <= value < end


def _require_name(name: str) -> str:
    try:
        return check_name(name)
    except InvalidNameError as error:
        raise CorruptStoreError(f"the catalog has an invalid name: {error}") from error


@_remembered
def cluster_row(values: tuple[Any, ...]) -> ClusterRow:
    cluster, name, volume, created_ns, source, source_cluster, clone_group, status, settings, used_ns = values
    _require_name(name)
    require(
        is_int(cluster, 1, 1 << 62)
        and is_int(volume, 1, HALTED)
        and is_int(created_ns, 0, 1 << 63)
        and (source is None or isinstance(source, str))
        and (source_cluster is None or is_int(source_cluster, 1, 1 << 62))
        and isinstance(clone_group, str)
        and isinstance(status, str)
        and isinstance(settings, str)
        and is_int(used_ns, 0, 1 << 63),
        f"cluster '{name}'",
    )
    return ClusterRow(
        cluster,
        name,
        volume,
        created_ns,
        source,
        source_cluster,
        clone_group,
        status,
        ClusterSettings.from_json(settings),
        used_ns,
    )


@_remembered
def snapshot_row(values: tuple[Any, ...]) -> SnapshotRow:
    snapshot, name, cluster, volume, version, taken_ns, created_ns, settings = values
    _require_name(name)
    require(
        is_int(snapshot, 1, 1 << 62)
        and isinstance(cluster, str)
        and is_int(volume, 1, HALTED)
        and is_int(version, 1, 1 << 62)
        and is_int(taken_ns, 0, 1 << 63)
        and is_int(created_ns, 0, 1 << 63)
        and isinstance(settings, str),
        f"snapshot '{name}'",
    )
    return SnapshotRow(
        snapshot, name, cluster, volume, version, taken_ns, created_ns, ClusterSettings.from_json(settings)
    )


@_remembered
def instance_row(values: tuple[Any, ...]) -> InstanceRow:
    instance, name, cluster, is_writer, instance_class, tier, zone, lag_ns, jitter_ns, row = values
    _require_name(name)
    require(
        is_int(instance, 1, 1 << 62)
        and is_int(cluster, 1, 1 << 62)
        and is_int(is_writer, 0, 2)
        and isinstance(instance_class, str)
        and is_int(tier, 0, 16)
        and isinstance(zone, str)
        and is_int(lag_ns, 0, 1 << 62)
        and is_int(jitter_ns, 0, 1 << 62)
        and is_int(row, 0, GATE_ROWS),
        f"instance '{name}'",
    )
    return InstanceRow(instance, name, cluster, bool(is_writer), instance_class, tier, zone, lag_ns, jitter_ns, row)


@_remembered
def endpoint_row(values: tuple[Any, ...]) -> EndpointRow:
    name, kind, members, excluded = values
    _require_name(name)
    try:
        lists = tuple(tuple(check_name(member) for member in json.loads(text)) for text in (members, excluded))
    except (TypeError, ValueError, InvalidNameError) as error:
        raise CorruptStoreError(f"the catalog's row of endpoint '{name}' is invalid") from error
    require(kind in ("WRITER", "READER", "ANY"), f"endpoint '{name}'")
    return EndpointRow(name, kind, *lists)


@_remembered
def volume_row(values: tuple[Any, ...]) -> VolumeRow:
    volume, index, head_slot, state, parent, base, retained = values
    require(
        is_int(volume, 1, HALTED)
        and is_int(index, 0, VOLUME_ROWS)
        and is_int(head_slot, 1, SLOT_COUNT_MAX)
        and is_int(retained, 0, 1 << 62)
        and state in _STATES
        and (parent is None or is_int(parent, 1, volume)),  # sources are older, so there are no cycles
        f"volume {volume!r}",
    )
    version = _version(base, f"volume {volume}")._replace(volume=volume)
    return VolumeRow(volume, index, head_slot, VolumeState(state), parent, version, retained)


@_remembered
def pin_row(values: tuple[Any, ...]) -> PinRow:
    volume, version, holder, released, record = values
    require(
        is_int(volume, 1, HALTED)
        and is_int(version, 0, 1 << 62)
        and isinstance(holder, str)
        and holder.partition(":")[0] in ("volume", "snapshot")
        and holder.partition(":")[2].isdecimal()
        and is_int(released, 0, 2),
        f"a pin on volume {volume!r}",
    )
    kind, _, number = holder.partition(":")
    holder_volume = int(number) if kind == "volume" else None
    subject = f"the pin of {holder} on version {version} of volume {volume}"
    pinned = _version(record, subject)
    require(pinned.version == version, subject)
    return PinRow(volume, holder, holder_volume, bool(released), pinned)
