"""A request and a reply, independent of the HTTP server; and what a protocol does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from clusterdb.server.faults import Fault
from clusterdb.server.models import OperationModel, ServiceModel

__all__ = ["Codec", "Reply", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request; the names of ``headers`` are in lower case, ``query`` is the raw query string."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response; ``headers`` include the content type."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Codec(Protocol):
    """One protocol of AWS."""

    def action(self, request: Request, model: ServiceModel) -> str:
        """The name of the operation that is called.  Raises Fault if the request does not name one."""
        ...

    def parse(self, request: Request, operation: OperationModel) -> dict[str, Any]:
        """The input of the operation, as boto3 takes it.  Raises Fault if the request is not well-formed."""
        ...

    def answer(self, operation: OperationModel, output: dict[str, Any], request_id: str) -> Reply:
        """The reply with an output."""
        ...

    def refusal(self, fault: Fault, request_id: str, model: ServiceModel | None) -> Reply:
        """The reply with an error; ``model`` is None if the service is not known."""
        ...
