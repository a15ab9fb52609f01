"""AWS STS: the identity of the caller, which clients ask for before they begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation

__all__ = ["OPERATIONS"]


def get_caller_identity(call: Call, values: dict[str, Any]) -> dict[str, Any]:
    """The root user of the account, for any access key."""
    return {"UserId": call.account, "Account": call.account, "Arn": f"arn:aws:iam::{call.account}:root"}


OPERATIONS: Mapping[str, Operation] = {"GetCallerIdentity": get_caller_identity}
