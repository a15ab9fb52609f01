"""The query protocol: form parameters in, XML out.

Members of structures are joined by dots; members of lists have numbers from 1: ``Tags.Tag.1.Key=a``.  Parameters that
the model does not know are ignored, as AWS does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from clusterdb.server.faults import Fault
from clusterdb.server.models import OperationModel, ServiceModel, Shape
from clusterdb.server.protocol.messages import Reply, Request
from clusterdb.server.protocol.scalars import blob_of, double_of, integer_of, time_of
from clusterdb.server.protocol.xml import escaped, members

__all__ = ["QueryCodec"]

_Tree: TypeAlias = "dict[str, _Tree | str]"
_FORM = "application/x-www-form-urlencoded"
_XML = {"content-type": "text/xml"}
_FIELDS_MAX = 20_000
_TRUE, _FALSE = ("true", "1"), ("false", "0")


class QueryCodec:
    """See the module; implements :class:`~.messages.Codec`."""

    def action(self, request: Request, model: ServiceModel) -> str:
        """The parameter ``Action``.  Raises Fault."""
        action = dict(_fields(request)).get("Action", "")
        if not action:
            raise Fault("MissingAction", "The request must contain the parameter Action", 400)
        return action

    def parse(self, request: Request, operation: OperationModel) -> dict[str, Any]:
        """The input.  Raises Fault ``MalformedInput`` for values that are not of the type of their member."""
        shape = operation.input_shape
        if shape is None:
            return {}
        value = _value(shape, _tree(_fields(request)), "")
        return value if isinstance(value, dict) else {}

    def answer(self, operation: OperationModel, output: dict[str, Any], request_id: str) -> Reply:
        """The XML of an output, in the element that the model names."""
        name = operation.name
        namespace = operation.service_model.metadata.get("xmlNamespace", "")
        parts = [f'<{name}Response xmlns="{namespace}">']
        shape = operation.output_shape
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper")
            parts.append(f"<{wrapper}>" if wrapper else "")
            members(shape, output, parts)
            parts.append(f"</{wrapper}>" if wrapper else "")
        parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>")
        return Reply(200, "".join(parts).encode(), {**_XML, "x-amzn-requestid": request_id})

    def refusal(self, fault: Fault, request_id: str, model: ServiceModel | None) -> Reply:
        """The XML of an error."""
        namespace = model.metadata.get("xmlNamespace", "") if model is not None else ""
        kind = "Sender" if fault.status < 500 else "Receiver"
        text = (
            f'<ErrorResponse xmlns="{namespace}"><Error><Type>{kind}</Type><Code>{escaped(fault.code)}</Code>'
            f"<Message>{escaped(fault.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Reply(fault.status, text.encode(), {**_XML, "x-amzn-requestid": request_id})


def _fields(request: Request) -> list[tuple[str, str]]:
    """The fields of the form, in order.  Raises Fault."""
    if request.headers.get("content-type", _FORM).partition(";")[0].strip().lower() != _FORM:
        raise Fault("MalformedInput", f"the content type of a query is {_FORM}", 400)
    try:
        return parse_qsl(
            request.body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX
        )
    except ValueError:  # UnicodeDecodeError is one
        raise Fault("MalformedInput", "the body is not a form in UTF-8", 400) from None


def _tree(fields: list[tuple[str, str]]) -> _Tree:
    """The fields by the parts of their names; of two fields with the same name the last counts."""
    root: _Tree = {}
    for name, text in fields:
        *parents, last = name.split(".")
        node = root
        for part in parents[:32]:
            below = node.get(part)
            if not isinstance(below, dict):
                below = node[part] = {}
            node = below
        if not isinstance(node.get(last), dict):
            node[last] = text
    return root


def _value(shape: Shape, node: _Tree | str, name: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, node, name)
    if kind == "list":
        return _list(shape, node, name)
    if kind == "map":
        return _map(shape, node, name)
    if isinstance(node, dict):
        raise _malformed(name, "a single value")
    return _scalar(kind, node, name)


def _structure(shape: Shape, node: _Tree | str, name: str) -> dict[str, Any]:
    if isinstance(node, str):
        if node:
            raise _malformed(name, "a structure")
        return {}
    values: dict[str, Any] = {}
    for member_name, member in shape.members.items():
        key = member.serialization.get("name", member_name)
        if member.type_name in ("list", "map") and member.serialization.get("flattened") and member.type_name == "list":
            key = member.member.serialization.get("name", key)
        below = node.get(key)
        if below is not None:
            values[member_name] = _value(member, below, f"{name}.{member_name}" if name else member_name)
    return values


def _list(shape: Shape, node: _Tree | str, name: str) -> list[Any]:
    if isinstance(node, str):
        if node:
            raise _malformed(name, "a list")
        return []  # how clients write an empty list
    if not shape.serialization.get("flattened"):
        inner = node.get(shape.member.serialization.get("name", "member"), node.get("member", node))
        if isinstance(inner, str):
            raise _malformed(name, "a list")
        node = inner
    return [_value(shape.member, below, f"{name}.{number}") for number, below in _numbered(node, name)]


def _map(shape: Shape, node: _Tree | str, name: str) -> dict[str, Any]:
    if isinstance(node, str):
        if node:
            raise _malformed(name, "a map")
        return {}
    entries = node if shape.serialization.get("flattened") else node.get("entry", node)
    if isinstance(entries, str):
        raise _malformed(name, "a map")
    values: dict[str, Any] = {}
    for number, entry in _numbered(entries, name):
        if isinstance(entry, str):
            raise _malformed(f"{name}.{number}", "a key and a value")
        key = entry.get(shape.key.serialization.get("name", "key"))
        if not isinstance(key, str):
            raise _malformed(f"{name}.{number}", "a key and a value")
        below = entry.get(shape.value.serialization.get("name", "value"), "")
        values[key] = _value(shape.value, below, f"{name}.{key}")
    return values


def _numbered(node: Mapping[str, _Tree | str], name: str) -> Iterator[tuple[int, _Tree | str]]:
    try:
        numbers = sorted((integer_of(key), key) for key in node)
    except ValueError:
        raise _malformed(name, "a list, whose members have numbers") from None
    return ((number, node[key]) for number, key in numbers)


def _scalar(kind: str, text: str, name: str) -> Any:
    try:
        if kind == "string":
            return text
        if kind == "boolean":
            if text.lower() in _TRUE:
                return True
            if text.lower() in _FALSE:
                return False
            raise ValueError
        if kind in ("integer", "long"):
            return integer_of(text)
        if kind in ("double", "float"):
            return double_of(text)
        if kind == "timestamp":
            return time_of(text)
        return blob_of(text)
    except ValueError:
        raise _malformed(name, f"of type {kind}") from None


def _malformed(name: str, expected: str) -> Fault:
    return Fault("MalformedInput", f"The value of the parameter {name} must be {expected}", 400)
