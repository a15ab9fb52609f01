"""URLs of repositories, which stand where names of clusters can."""

from __future__ import annotations

import re

__all__ = ["is_url"]

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_url(text: str) -> bool:
    """Whether a text names a repository, or a database in one, rather than a cluster."""
    return _URL.match(text) is not None
