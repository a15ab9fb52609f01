"""Clusters as the RDS API sees them: the catalog's row with what is kept for AWS; finding them by name or ARN."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clusterdb.catalog.rows import ClusterRow, EndpointRow, InstanceRow
from clusterdb.server.call import Call
from clusterdb.server.rds import engines
from clusterdb.server.rds.documents import all_documents, document
from clusterdb.server.rds.faults import fault, no_cluster
from clusterdb.server.rds.naming import Place, place_of
from clusterdb.server.rds.transitions import transitions_of
from clusterdb.store import Cluster

__all__ = [
    "KIND",
    "Seen",
    "all_seen",
    "handle",
    "require_available",
    "seen",
    "seen_by_resource_id",
    "seen_of",
    "status_key",
]

KIND = "DBCluster"


@dataclass(frozen=True)
class Seen:
    """A cluster.

    :ivar kept: the part of ``DBCluster`` that is kept for it
    :ivar is_made_here: whether the RDS API created it; otherwise defaults are derived
    :ivar clone_group: the id of its clone group if it is a clone or has been cloned
    :ivar status: AWS's status
    """

    place: Place
    row: ClusterRow
    kept: dict[str, Any]
    is_made_here: bool
    clone_group: str | None
    instances: list[InstanceRow]
    status: str
    endpoints: list[EndpointRow] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def engine(self) -> engines.Engine:
        return engines.ENGINES[self.kept.get("Engine") or self.row.settings.engine]

    @property
    def version(self) -> str:
        return self.kept.get("EngineVersion") or engines.default_version(self.engine)

    @property
    def parameter_group(self) -> str:
        return self.kept.get("DBClusterParameterGroup") or f"default.{engines.family_of(self.engine, self.version)}"

    @property
    def arn(self) -> str:
        return self.place.arn("cluster", self.name)

    @property
    def resource_id(self) -> str:
        return self.place.resource_id("cluster", self.row.cluster)

    @property
    def has_http_endpoint(self) -> bool:
        """Whether the Data API may be used: for clusters that other interfaces created, until it is disabled."""
        return bool(self.kept.get("HttpEndpointEnabled", not self.is_made_here))


def status_key(call: Call, number: int) -> tuple[str, int]:
    """The key of a row's status: numbers of rows are unique in a store."""
    return call.store.path if call.store.path != ":memory:" else f":memory:{id(call.store.context)}", number


def all_seen(call: Call) -> list[Seen]:
    """All clusters, by name."""
    catalog = call.store.context.catalog
    call.store.context.require_open()
    rows = catalog.clusters.all()
    kept = {cluster: values for (cluster, _), values in all_documents(call.store, KIND).items()}
    cloned = {row.clone_group for row in rows if row.source_cluster is not None and row.cluster not in kept}
    place = place_of(call)
    return [_seen(call, place, row, kept.get(row.cluster), cloned) for row in rows]


def seen_of(call: Call, row: ClusterRow) -> Seen:
    """A cluster by its row."""
    catalog = call.store.context.catalog
    kept = document(call.store, KIND, cluster=row.cluster)
    cloned: set[str] = set()
    if (kept is None or "CloneGroupId" not in kept) and catalog.clusters.clone_count(row.clone_group) > 1:
        documents = {cluster for (cluster, _) in all_documents(call.store, KIND)}
        rows = [other for other in catalog.clusters.all() if other.clone_group == row.clone_group]
        if any(other.source_cluster is not None and other.cluster not in documents for other in rows):
            cloned.add(row.clone_group)
    return _seen(call, place_of(call), row, kept, cloned)


def _seen(call: Call, place: Place, row: ClusterRow, kept: dict[str, Any] | None, cloned: set[str]) -> Seen:
    catalog = call.store.context.catalog
    values = kept or {}
    is_in_group = row.clone_group in cloned or (kept is None and row.source_cluster is not None)
    return Seen(
        place,
        row,
        values,
        kept is not None,
        values.get("CloneGroupId") or (row.clone_group if is_in_group else None),
        catalog.instances.of(row.cluster),
        transitions_of(call).status("cluster", status_key(call, row.cluster)) or row.status,
        catalog.instances.endpoints(row.cluster),
    )


def seen(call: Call, identifier: str) -> Seen:
    """The cluster with a name or ARN.  Raises Fault ``DBClusterNotFoundFault``."""
    catalog = call.store.context.catalog
    call.store.context.require_open()
    name = place_of(call).name_in(identifier, "cluster")
    row = catalog.clusters.named(name) or catalog.clusters.named(name.lower())
    if row is None:
        raise no_cluster(identifier)
    return seen_of(call, row)


def seen_by_resource_id(call: Call, resource_id: str) -> Seen | None:
    """The cluster with a ``DbClusterResourceId``."""
    return next((found for found in all_seen(call) if found.resource_id == resource_id), None)


def handle(call: Call, found: Seen) -> Cluster:
    """The handle with the verbs of a cluster."""
    return Cluster(call.store, found.row.name, found.row.cluster)


def require_available(found: Seen) -> None:
    """Raise Fault ``InvalidDBClusterStateFault`` unless a cluster is available."""
    if found.status != "available":
        raise fault("InvalidDBClusterStateFault", f"DbCluster {found.name} is not currently in the available state.")
