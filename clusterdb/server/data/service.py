"""The operations of a running server, whose Data API begins with its first call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clusterdb.server.call import Call, Operation, Serving
from clusterdb.server.data.api import ACTIONS, DataApi
from clusterdb.server.data.gatekeeper import RdsGate
from clusterdb.server.data.settings import DataSettings

__all__ = ["OPERATIONS", "data_api"]


def data_api(serving: Serving) -> DataApi:
    """The Data API of a server."""
    return serving.kept("rds-data", lambda: DataApi(_settings(serving), gatekeeper=RdsGate()))


def _settings(serving: Serving) -> DataSettings:
    return DataSettings(strict_secrets=serving.strict_secrets, read_only=serving.read_only)


def _operation(action: str) -> Operation:
    def operation(call: Call, input: dict[str, Any]) -> dict[str, Any]:
        return data_api(call.serving).operations[action](call, input)

    return operation


OPERATIONS: Mapping[str, Operation] = {action: _operation(action) for action in ACTIONS}
