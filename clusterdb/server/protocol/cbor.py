"""smithy-rpc-v2-cbor: the operation is in the path, ``/service/NAME/operation/NAME``; CBOR in and out."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from clusterdb.server.faults import Fault
from clusterdb.server.models import OperationModel, ServiceModel, Shape, error_name
from clusterdb.server.protocol.encoding import decoded, encoded
from clusterdb.server.protocol.json import query_error_header
from clusterdb.server.protocol.messages import Reply, Request
from clusterdb.server.protocol.scalars import time_of

__all__ = ["CborCodec"]

_PATH = re.compile(r"/service/[^/]+/operation/([A-Za-z0-9]+)/?\Z")
_HEADERS = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}


class CborCodec:
    """See the module; implements :class:`~.messages.Codec`."""

    def action(self, request: Request, model: ServiceModel) -> str:
        """The operation in the path.  Raises Fault."""
        match = _PATH.match(request.path)
        if match is None:
            raise Fault("UnknownOperationException", f"no operation has the path {request.path}", 404)
        return match[1]

    def parse(self, request: Request, operation: OperationModel) -> dict[str, Any]:
        """The input.  Raises Fault ``SerializationException``."""
        try:
            document = decoded(request.body) if request.body else {}
        except ValueError as error:
            raise Fault("SerializationException", str(error), 400) from None
        shape = operation.input_shape
        value = _parsed(shape, document, "") if shape is not None else {}
        return value if isinstance(value, dict) else {}

    def answer(self, operation: OperationModel, output: dict[str, Any], request_id: str) -> Reply:
        """The CBOR of an output."""
        shape = operation.output_shape
        document = _written(shape, output) if shape is not None else {}
        return Reply(200, encoded(document), {**_HEADERS, "x-amzn-requestid": request_id})

    def refusal(self, fault: Fault, request_id: str, model: ServiceModel | None) -> Reply:
        """The CBOR of an error."""
        document = {"__type": error_name(model, fault.code), "message": fault.message}
        headers = {**_HEADERS, "x-amzn-requestid": request_id, **query_error_header(fault, model)}
        return Reply(fault.status, encoded(document), headers)


def _parsed(shape: Shape, value: Any, name: str) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        return {
            key: _parsed(member, value[key], f"{name}.{key}" if name else key)
            for key, member in shape.members.items()
            if value.get(key) is not None
        }
    if kind == "list" and isinstance(value, list):
        return [_parsed(shape.member, item, f"{name}[{at}]") for at, item in enumerate(value)]
    if kind == "map" and isinstance(value, dict):
        return {key: _parsed(shape.value, item, f"{name}.{key}") for key, item in value.items()}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        if kind == "timestamp" and is_number:
            return time_of(value)
        if kind in ("double", "float") and is_number:
            return float(value)
        if kind in ("integer", "long") and is_number and int(value) == value:
            return int(value)
    except (ValueError, OverflowError):
        pass
    expected = {"string": str, "blob": bytes, "boolean": bool}.get(kind)
    if expected is not None and isinstance(value, expected):
        return value
    raise Fault("SerializationException", f"{name or 'the body'} must be of type {kind}", 400)


def _written(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return {
            key: _written(member, value[key]) for key, member in shape.members.items() if value.get(key) is not None
        }
    if kind == "list":
        return [_written(shape.member, item) for item in value]
    if kind == "map":
        return {key: _written(shape.value, item) for key, item in value.items()}
    if kind in ("double", "float"):
        return float(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value
