"""Values to XML, by the shape of an output.  What is None or absent is not written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clusterdb.server.models import Shape
from clusterdb.server.protocol.scalars import blob_text, double_text, iso_text, unix_of

__all__ = ["element", "escaped", "members"]

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}
_SPECIAL = re.compile(r'[&<>"\r]')
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot express."""


def escaped(text: str) -> str:
    """Text as content of an element; what XML cannot express becomes U+FFFD."""
    if not text.isprintable():
        text = _ILLEGAL.sub("\ufffd", text)
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)


def members(shape: Shape, value: Mapping[str, Any], parts: list[str]) -> None:
    """Append the members of a structure, each as an element."""
    for name, member in shape.members.items():
        item = value.get(name)
        if item is not None:
            element(member, member.serialization.get("name", name), item, parts)


def element(shape: Shape, name: str, value: Any, parts: list[str]) -> None:
    """Append an element, or several for a flattened list or map."""
    kind = shape.type_name
    if kind == "structure":
        parts.append(f"<{name}>")
        members(shape, value, parts)
        parts.append(f"</{name}>")
    elif kind == "list":
        _list(shape, name, value, parts)
    elif kind == "map":
        _map(shape, name, value, parts)
    else:
        parts.append(f"<{name}>{_scalar(shape, kind, value)}</{name}>")


def _list(shape: Shape, name: str, values: list[Any], parts: list[str]) -> None:
    if shape.serialization.get("flattened"):
        inner = shape.member.serialization.get("name", name)
        for value in values:
            element(shape.member, inner, value, parts)
        return
    inner = shape.member.serialization.get("name", "member")
    parts.append(f"<{name}>")
    for value in values:
        element(shape.member, inner, value, parts)
    parts.append(f"</{name}>")


def _map(shape: Shape, name: str, values: Mapping[str, Any], parts: list[str]) -> None:
    is_flat = bool(shape.serialization.get("flattened"))
    entry = name if is_flat else "entry"
    if not is_flat:
        parts.append(f"<{name}>")
    for key, value in values.items():
        parts.append(f"<{entry}>")
        element(shape.key, shape.key.serialization.get("name", "key"), key, parts)
        element(shape.value, shape.value.serialization.get("name", "value"), value, parts)
        parts.append(f"</{entry}>")
    if not is_flat:
        parts.append(f"</{name}>")


def _scalar(shape: Shape, kind: str, value: Any) -> str:
    if kind == "string":
        return escaped(value)
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        is_unix = shape.serialization.get("timestampFormat") == "unixTimestamp"
        return str(unix_of(value)) if is_unix else iso_text(value)
    if kind == "blob":
        return blob_text(value)
    if kind in ("double", "float"):
        return double_text(value)
    return str(int(value))
