"""Endpoints of clusters, and the choice of the instance for a connection."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clusterdb.catalog.rows import ClusterRow, EndpointRow, InstanceRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.errors import EndpointExistsError, EndpointNotFoundError, InvalidArgumentError
from clusterdb.ha.instances import require
from clusterdb.rules.names import check_name, suggestion

__all__ = ["Endpoint", "EndpointType", "add_endpoint", "choose", "endpoints", "remove_endpoint"]

EndpointType = Literal["WRITER", "READER", "ANY"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint: ``kind`` is CLUSTER, READER, INSTANCE or CUSTOM; ``members`` are its present instances.

    ``type`` is the role that these may have: WRITER, READER, or ANY.
    """

    name: str
    kind: str
    type: str
    members: tuple[str, ...]


def add_endpoint(
    context: Context,
    cluster: ClusterRef,
    name: str,
    type: EndpointType,
    members: Sequence[str],
    excluded: Sequence[str],
) -> Endpoint:
    """Add a custom endpoint for the ``members``, or for all instances except the ``excluded``."""
    context.require_writable()
    check_name(name, "endpoint")
    if type not in ("WRITER", "READER", "ANY"):
        raise InvalidArgumentError(f"type={type!r}: use 'WRITER', 'READER' or 'ANY'")
    if not (_are_names(members) and _are_names(excluded)):
        raise InvalidArgumentError("members= and excluded=: use lists of instance names")
    if members and excluded:
        raise InvalidArgumentError("members= and excluded=: use at most one of them")
    with context.catalog.transaction():
        row = context.row_of(cluster)
        for member in (*members, *excluded):
            require(context, row, member)
        names = {"writer", "reader"} | {instance.name for instance in context.catalog.instances.of(row.cluster)}
        if name in names:
            raise EndpointExistsError(f"cluster '{row.name}' has an endpoint '{name}' already: choose another name")
        endpoint = context.catalog.instances.add_endpoint(
            row.cluster, row.name, name, type, tuple(members), tuple(excluded)
        )
        context.catalog.events.add("cluster", row.name, "configuration change", f"endpoint '{name}' added")
    return _endpoint(endpoint, context.catalog.instances.of(row.cluster))


def _are_names(names: object) -> bool:
    return isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)


def remove_endpoint(context: Context, cluster: ClusterRef, name: str) -> None:
    """Delete a custom endpoint."""
    context.require_writable()
    with context.catalog.transaction():
        row = context.row_of(cluster)
        if not context.catalog.instances.remove_endpoint(row.cluster, name):
            raise _no_endpoint(context, row, name)
        context.catalog.events.add("cluster", row.name, "configuration change", f"endpoint '{name}' deleted")


def endpoints(context: Context, cluster: ClusterRef) -> list[Endpoint]:
    """All endpoints of a cluster."""
    row = context.row_of(cluster)
    instances = context.catalog.instances.of(row.cluster)
    writers = tuple(instance.name for instance in instances if instance.is_writer)
    readers = tuple(instance.name for instance in instances if not instance.is_writer)
    return [
        Endpoint("writer", "CLUSTER", "WRITER", writers),
        Endpoint("reader", "READER", "READER", readers or writers),
        *(Endpoint(instance.name, "INSTANCE", "ANY", (instance.name,)) for instance in instances),
        *(_endpoint(instance, instances) for instance in context.catalog.instances.endpoints(row.cluster)),
    ]


def _endpoint(row: EndpointRow, instances: Sequence[InstanceRow]) -> Endpoint:
    return Endpoint(row.name, "CUSTOM", row.type, tuple(instance.name for instance in choices(row, instances)))


def choices(row: EndpointRow, instances: Sequence[InstanceRow]) -> list[InstanceRow]:
    """The instances that a custom endpoint can choose now."""
    return [
        instance
        for instance in instances
        if instance.name not in row.excluded
        and (not row.members or instance.name in row.members)
        and (row.type == "ANY" or instance.is_writer == (row.type == "WRITER"))
    ]


def _no_endpoint(context: Context, row: ClusterRow, name: str) -> EndpointNotFoundError:
    instances = ["writer", "reader", *(instance.name for instance in context.catalog.instances.of(row.cluster))]
    instances += [instance.name for instance in context.catalog.instances.endpoints(row.cluster)]
    return EndpointNotFoundError(f"cluster '{row.name}' has no endpoint '{name}'{suggestion(name, instances)}")


def choose(context: Context, row: ClusterRow, endpoint: str) -> InstanceRow | None:
    """The instance for a connection to an endpoint; None if there is no instance, and the implicit writer serves.

    Chooses among several instances at random.  Raises EndpointNotFoundError.
    """
    instances = context.catalog.instances.of(row.cluster)
    writer = next((instance for instance in instances if instance.is_writer), None)
    if endpoint == "writer":
        return writer
    if endpoint == "reader":
        readers = [instance for instance in instances if not instance.is_writer]
        return random.choice(readers) if readers else writer
    for instance in instances:
        if instance.name == endpoint:
            return instance
    for custom in context.catalog.instances.endpoints(row.cluster):
        if custom.name == endpoint:
            members = choices(custom, instances)
            if not members:
                raise EndpointNotFoundError(f"endpoint '{endpoint}' of cluster '{row.name}' has no instance now")
            return random.choice(members)
    raise _no_endpoint(context, row, endpoint)
