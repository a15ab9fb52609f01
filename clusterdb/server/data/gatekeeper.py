"""What the Data API asks the rest of the server: whether a cluster may be used, and with which secret."""

from __future__ import annotations

from typing import Protocol

from clusterdb.server.call import Call
from clusterdb.store import Cluster

__all__ = ["Gatekeeper", "OpenGate"]


class Gatekeeper(Protocol):
    """Decides by what the RDS API has set."""

    def endpoint_enabled(self, call: Call, cluster: Cluster) -> bool:
        """Whether the cluster's HTTP endpoint is enabled."""

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
