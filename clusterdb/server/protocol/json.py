"""rest-json and awsJson: one JSON object in, one out.

An error is named by the header ``x-amzn-errortype`` and the member ``__type``.  Members that the model does not know
are ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from clusterdb.server.faults import Fault
from clusterdb.server.models import OperationModel, ServiceModel, Shape, error_name
from clusterdb.server.protocol.messages import Reply, Request
from clusterdb.server.protocol.scalars import blob_of, blob_text, time_of, unix_of

__all__ = ["JsonCodec", "RestJsonCodec", "from_json", "query_error_header", "to_json"]

_DEPTH_MAX = 64
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class RestJsonCodec:
    """The operation is named by method and path; implements :class:`~.messages.Codec`."""

    content_type = "application/json"

    def action(self, request: Request, model: ServiceModel) -> str:
        """The operation with this method and path.  Raises Fault."""
        for name in model.operation_names:
            http = model.operation_model(name).http
            if http["requestUri"].rstrip("/") == request.path.rstrip("/") and http["method"] == request.method:
                return str(name)
        raise Fault("UnknownOperationException", f"no operation has the path {request.path}", 404)

    def parse(self, request: Request, operation: OperationModel) -> dict[str, Any]:
        """The input.  Raises Fault ``SerializationException``."""
        document = _document(request.body)
        shape = operation.input_shape
        value = from_json(shape, document, "") if shape is not None else {}
        return value if isinstance(value, dict) else {}

    def answer(self, operation: OperationModel, output: dict[str, Any], request_id: str) -> Reply:
        """The JSON of an output."""
        shape = operation.output_shape
        document = to_json(shape, output) if shape is not None else {}
        return self._reply(200, document, {"x-amzn-requestid": request_id})

    def refusal(self, fault: Fault, request_id: str, model: ServiceModel | None) -> Reply:
        """The JSON of an error."""
        document = {"__type": error_name(model, fault.code), "message": fault.message}
        headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": error_name(model, fault.code)}
        return self._reply(fault.status, document, headers | query_error_header(fault, model))

    def _reply(self, status: int, document: object, headers: dict[str, str]) -> Reply:
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        return Reply(status, body, {"content-type": self.content_type, **headers})


class JsonCodec(RestJsonCodec):
    """The operation is named by the header ``X-Amz-Target``: ``Target.Operation``."""

    content_type = "application/x-amz-json-1.0"

    def action(self, request: Request, model: ServiceModel) -> str:
        """The operation in the header.  Raises Fault."""
        target, _, name = request.headers.get("x-amz-target", "").rpartition(".")
        if target != model.metadata.get("targetPrefix") or not name:
            raise Fault("UnknownOperationException", f"no operation has the target {target}.{name}", 404)
        return name


def query_error_header(fault: Fault, model: ServiceModel | None) -> dict[str, str]:
    """The header by which clients of a service that had the query protocol get the error's code of that protocol."""
    if model is None or "awsQueryCompatible" not in model.metadata:
        return {}
    return {"x-amzn-query-error": f"{fault.code};{'Sender' if fault.status < 500 else 'Receiver'}"}


def _document(body: bytes) -> Any:
    if not body:
        return {}
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse)
        body.decode("utf-8").encode("utf-8")
    except (ValueError, RecursionError):
        raise _malformed("", "a JSON object in UTF-8") from None
    if not isinstance(document, dict):
        raise _malformed("", "a JSON object")
    return document


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def from_json(shape: Shape, value: Any, name: str, depth: int = 0) -> Any:
    """A value of JSON as boto3 has it.  Raises Fault."""
    kind = shape.type_name
    if depth > _DEPTH_MAX:
        raise _malformed(name, "nested less deeply")
    if kind == "structure":
        if not isinstance(value, dict):
            raise _malformed(name, "an object")
        return {
            key: from_json(member, value[wire], f"{name}.{key}" if name else key, depth + 1)
            for key, member in shape.members.items()
            if value.get(wire := member.serialization.get("name", key)) is not None
        }
    if kind == "list":
        if not isinstance(value, list):
            raise _malformed(name, "a list")
        return [from_json(shape.member, item, f"{name}[{at}]", depth + 1) for at, item in enumerate(value)]
    if kind == "map":
        if not isinstance(value, dict):
            raise _malformed(name, "an object")
        return {key: from_json(shape.value, item, f"{name}.{key}", depth + 1) for key, item in value.items()}
    return _scalar(kind, value, name)


def _scalar(kind: str, value: Any, name: str) -> Any:
    try:
        if kind == "timestamp":
            return time_of(value)
        if kind == "blob" and isinstance(value, str):
            return blob_of(value)
        if kind in ("double", "float") and isinstance(value, int | float | str) and not isinstance(value, bool):
            return _SPECIAL[value] if isinstance(value, str) else float(value)
        if kind in ("integer", "long") and isinstance(value, int | float) and not isinstance(value, bool):
            if int(value) == value and -(1 << 63) <= value < 1 << 63:
                return int(value)
        elif kind == "boolean" and isinstance(value, bool):
            return value
        elif kind == "string" and isinstance(value, str):
            value.encode("utf-8")  # no lone surrogate
            return value
    except (ValueError, KeyError, OverflowError):
        pass
    raise _malformed(name, f"of type {kind}")


def to_json(shape: Shape, value: Any) -> Any:
    """A value of boto3 as JSON; what is None is left out of structures."""
    kind = shape.type_name
    if kind == "structure":
        return {
            member.serialization.get("name", key): to_json(member, value[key])
            for key, member in shape.members.items()
            if value.get(key) is not None
        }
    if kind == "list":
        return [to_json(shape.member, item) for item in value]
    if kind == "map":
        return {key: to_json(shape.value, item) for key, item in _items(value)}
    if kind == "timestamp":
        return unix_of(value)
    if kind == "blob":
        return blob_text(value)
    if kind in ("double", "float") and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _items(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(value.items())


def _malformed(name: str, expected: str) -> Fault:
    return Fault("SerializationException", f"{name or 'the body'} must be {expected}", 400)
