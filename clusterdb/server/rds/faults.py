"""The errors of Amazon RDS that several operations raise, with AWS's codes and, where known, its messages."""

from __future__ import annotations

from clusterdb.errors import InvalidNameError
from clusterdb.rules.names import check_rds_identifier
from clusterdb.server import models
from clusterdb.server.faults import Fault

__all__ = ["checked_identifier", "combination", "fault", "invalid", "no_cluster", "no_instance", "no_snapshot"]


def fault(code: str, message: str) -> Fault:
    """An error with the status of botocore's model."""
    return models.fault("rds", code, message)


def invalid(message: str) -> Fault:
    return fault("InvalidParameterValue", message)


def combination(message: str) -> Fault:
    return fault("InvalidParameterCombination", message)


def no_cluster(name: str) -> Fault:
    return fault("DBClusterNotFoundFault", f"DBCluster {name} not found.")


def no_instance(name: str) -> Fault:
    return fault("DBInstanceNotFound", f"DBInstance {name} not found.")


def no_snapshot(name: str) -> Fault:
    return fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {name} not found.")


def checked_identifier(text: str, parameter: str) -> str:
    """A new identifier in lower case, as RDS stores it.  Raises Fault."""
    try:
        return check_rds_identifier(text, parameter).lower()
    except InvalidNameError as error:
        raise invalid(str(error)) from None
