"""The services of a server: one line for each, by the name in the credential scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clusterdb.server.call import Operation

__all__ = ["SERVICES", "Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """A service: botocore's name of its model, and the function that imports its operations on first use."""

    model: str
    operations: Callable[[], Mapping[str, Operation]]


def _monitoring() -> Mapping[str, Operation]:
    from clusterdb.server.monitoring import OPERATIONS

    return OPERATIONS


def _rds() -> Mapping[str, Operation]:
    from clusterdb.server.rds import OPERATIONS

    return OPERATIONS


def _rds_data() -> Mapping[str, Operation]:
    from clusterdb.server.data import OPERATIONS

    return OPERATIONS


def _sts() -> Mapping[str, Operation]:
    from clusterdb.server.sts import OPERATIONS

    return OPERATIONS


SERVICES: dict[str, Service] = {
    "monitoring": Service("cloudwatch", _monitoring),
    "rds": Service("rds", _rds),
    "rds-data": Service("rds-data", _rds_data),
    "sts": Service("sts", _sts),
}
