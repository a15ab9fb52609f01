"""One call of an operation: who calls, where, and on which store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from clusterdb.store import Store

__all__ = ["Call", "Operation"]


@dataclass(frozen=True)
class Call:
    """A request that has passed the guards.

    :ivar store: the store of the account and the region
    :ivar account: twelve digits
    :ivar region: e.g. ``us-east-1``
    :ivar service: the service of the credential scope, e.g. ``rds``
    :ivar action: the name of the operation in botocore's model
    :ivar request_id: a UUID, returned to the client
    """

    store: Store
    account: str
    region: str
    service: str
    action: str
    request_id: str


Operation: TypeAlias = Callable[[Call, dict[str, Any]], dict[str, Any]]
"""Takes the input and gives the output of an operation, as boto3 has them; raises :class:`~.faults.Fault`."""
