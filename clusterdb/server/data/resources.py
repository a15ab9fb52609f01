"""From a resourceArn to the cluster that it names."""

from __future__ import annotations

import re

from clusterdb.errors import ClusterNotFoundError, InvalidNameError
from clusterdb.server.call import Call
from clusterdb.server.data.problems import bad_request, endpoint_disabled
from clusterdb.store import Cluster

__all__ = ["cluster_of"]

_ARN = re.compile(r"arn:aws[\w-]*:rds:(?P<region>[\w-]+):(?P<account>\d{12}):cluster:(?P<name>[^:]+)")


def cluster_of(call: Call, resource_arn: str) -> Cluster:
    """The cluster with this ARN.

    Raises Fault: BadRequestException for another kind of text; as AWS does, HttpEndpointNotEnabledException for a
    cluster that does not exist, or is in another region or account.
    """
    match = _ARN.fullmatch(resource_arn)
    if match is None:
        raise bad_request(f"Invalid resource ARN: {resource_arn}")
    if (match["region"], match["account"]) != (call.region, call.account):
        raise endpoint_disabled(resource_arn)
    try:
        return call.store.cluster(match["name"])
    except (ClusterNotFoundError, InvalidNameError):
        raise endpoint_disabled(resource_arn) from None
