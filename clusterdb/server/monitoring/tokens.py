"""The tokens of pages: where a page ended, and the request that it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["digest_of", "position_of", "token_of"]


def digest_of(values: Mapping[str, Any], *ignored: str) -> str:
    """A short text that identifies a request, without the members that may differ from page to page."""
    members = {key: value for key, value in values.items() if key not in (*ignored, "NextToken")}
    return hashlib.sha256(repr(_canonical(members)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    """A value whose text does not depend on the order of members."""
    if isinstance(value, Mapping):
        return [(key, _canonical(value[key])) for key in sorted(value)]
    return [_canonical(item) for item in value] if isinstance(value, list) else value


def token_of(digest: str, *position: str | int) -> str:
    """A token for a position in the answer to a request."""
    return base64.urlsafe_b64encode(json.dumps([digest, *position]).encode()).decode()


def position_of(token: str, digest: str, kinds: tuple[type, ...]) -> list[Any] | None:
    """The position in a token, whose parts are of these types; None for a token of another request, or of nobody."""
    try:
        parts = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(parts, list) or tuple(map(type, parts)) != (str, *kinds) or parts[0] != digest:
        return None
    return parts[1:]
