"""What the Data API asks the rest of the server: whether a cluster may be used, and with which secret."""

from __future__ import annotations

from typing import Protocol

from clusterdb.server.call import Call
from clusterdb.server.faults import Fault
from clusterdb.server.rds.clusters_seen import KIND
from clusterdb.server.rds.documents import document
from clusterdb.store import Cluster

__all__ = ["Gatekeeper", "OpenGate", "RdsGate"]


class Gatekeeper(Protocol):
    """Decides by what the RDS API has set."""

    def endpoint_enabled(self, call: Call, cluster: Cluster) -> bool:
        """Whether the cluster's HTTP endpoint is enabled.  Raises Fault if there is another reason to refuse."""

    def secret_is_issued(self, call: Call, cluster: Cluster, secret_arn: str) -> bool:
        """Whether this is the secret that was issued as the cluster's MasterUserSecret; asked with strict secrets."""


class OpenGate:
    """Lets everybody in: for a server without the RDS API."""

    def endpoint_enabled(self, call: Call, cluster: Cluster) -> bool:
        """Every endpoint is enabled."""
        return True

    def secret_is_issued(self, call: Call, cluster: Cluster, secret_arn: str) -> bool:
        """Every secret is good."""
        return True


class RdsGate:
    """Lets through what the RDS API has enabled, and clusters that it did not create."""

    def endpoint_enabled(self, call: Call, cluster: Cluster) -> bool:
        """Clusters of the RDS API begin with a disabled endpoint, and without an instance: both must be changed."""
        kept = document(call.store, KIND, cluster=cluster.id)
        if kept is None:
            return True
        is_enabled = bool(kept.get("HttpEndpointEnabled"))
        if is_enabled and not call.store.context.catalog.instances.of(cluster.id):
            raise Fault("DatabaseNotFoundException", "The DB cluster doesn't have a DB instance.", 404)
        return is_enabled

    def secret_is_issued(self, call: Call, cluster: Cluster, secret_arn: str) -> bool:
        """Whether the cluster has this MasterUserSecret."""
        kept = document(call.store, KIND, cluster=cluster.id) or {}
        secret = kept.get("MasterUserSecret") or {}
        return bool(secret) and secret.get("SecretArn") == secret_arn
