"""CBOR (RFC 8949), as far as smithy-rpc-v2-cbor uses it."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Any

from clusterdb.server.protocol.scalars import unix_of

__all__ = ["decoded", "encoded"]

_DEPTH_MAX = 64
_END = object()


def encoded(value: Any) -> bytes:
    """A value of None, bool, int, float, str, bytes, datetime (tag 1), list and dict as CBOR."""
    parts: list[bytes] = []
    _append(value, parts)
    return b"".join(parts)


def _append(value: Any, parts: list[bytes]) -> None:
    if value is None:
        parts.append(b"\xf6")
    elif isinstance(value, bool):
        parts.append(b"\xf5" if value else b"\xf4")
    elif isinstance(value, int):
        parts.append(_head(0, value) if value >= 0 else _head(1, -1 - value))
    elif isinstance(value, float):
        parts.append(b"\xfb" + struct.pack(">d", value))
    elif isinstance(value, str):
        content = value.encode("utf-8")
        parts += (_head(3, len(content)), content)
    elif isinstance(value, bytes):
        parts += (_head(2, len(value)), value)
    elif isinstance(value, datetime):
        parts.append(_head(6, 1))
        _append(float(unix_of(value)), parts)
    elif isinstance(value, dict):
        parts.append(_head(5, len(value)))
        for key, item in value.items():
            _append(key, parts)
            _append(item, parts)
    else:
        parts.append(_head(4, len(value)))
        for item in value:
            _append(item, parts)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for size, (code, width) in enumerate((("B", 8), ("H", 16), ("I", 32), ("Q", 64))):
        if number < 1 << width:
            return bytes([major << 5 | 24 + size]) + struct.pack(f">{code}", number)
    raise ValueError(f"{number} has more than 64 bits")


def decoded(content: bytes) -> Any:
    """A value of CBOR; timestamps (tag 1) are numbers.  Raises ValueError."""
    reader = _Reader(content)
    try:
        value = reader.value(0)
    except (struct.error, IndexError, UnicodeDecodeError, TypeError, OverflowError) as error:
        raise ValueError(f"invalid CBOR: {error}") from None
    if value is _END or reader.at != len(content):
        raise ValueError("invalid CBOR: more than one value")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def _take(self, count: int) -> bytes:
        taken = self.content[self.at : self.at + count]
        if len(taken) != count:
            raise ValueError("invalid CBOR: it ends too early")
        self.at += count
        return taken

    def value(self, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise ValueError("invalid CBOR: nested too deeply")
        major, info = divmod(self._take(1)[0], 32)
        if major == 7:
            return self._simple(info)
        if info == 31:
            return self._indefinite(major, depth)
        number = self._number(info)
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == 2:
            return self._take(number)
        if major == 3:
            return self._take(number).decode("utf-8")
        if major == 4:
            return [self._item(depth) for _ in range(number)]
        if major == 5:
            return {self._key(depth): self._item(depth) for _ in range(number)}
        return self._item(depth)  # a tag: the value itself

    def _number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise ValueError("invalid CBOR: reserved length")
        width = 1 << info - 24
        return int.from_bytes(self._take(width), "big")

    def _item(self, depth: int) -> Any:
        value = self.value(depth + 1)
        if value is _END:
            raise ValueError("invalid CBOR: unexpected end")
        return value

    def _key(self, depth: int) -> str:
        key = self._item(depth)
        if not isinstance(key, str):
            raise ValueError("invalid CBOR: a key that is not text")
        return key

    def _simple(self, info: int) -> Any:
        if info in (20, 21):
            return info == 21
        if info in (22, 23):
            return None
        if info == 25:
            return struct.unpack(">e", self._take(2))[0]
        if info == 26:
            return struct.unpack(">f", self._take(4))[0]
        if info == 27:
            return struct.unpack(">d", self._take(8))[0]
        if info == 31:
            return _END
        raise ValueError("invalid CBOR: unknown simple value")

    def _indefinite(self, major: int, depth: int) -> Any:
        if major == 5:
            pairs: dict[str, Any] = {}
            while (key := self.value(depth + 1)) is not _END:
                if not isinstance(key, str):
                    raise ValueError("invalid CBOR: a key that is not text")
                pairs[key] = self._item(depth)
            return pairs
        items: list[Any] = []
        while (item := self.value(depth + 1)) is not _END:
            items.append(item)
        if major == 4:
            return items
        if major == 2 and all(isinstance(item, bytes) for item in items):
            return b"".join(items)
        if major == 3 and all(isinstance(item, str) for item in items):
            return "".join(items)
        raise ValueError("invalid CBOR: an indefinite value of another type")
