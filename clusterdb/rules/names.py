"""Cluster names: which are legal, and which one was meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from clusterdb.errors import InvalidNameError

__all__ = ["check_name", "suggestion"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")


def check_name(name: str, kind: str = "cluster") -> str:
    """Return ``name`` if it is a legal name, of a cluster or of what else has one (``kind``, for the error's text).

    A letter, then up to 62 letters, digits, hyphens and underscores.  Aurora's DBClusterIdentifier forbids some of what
    is allowed here: underscores, a hyphen at the end, two hyphens in a row.  Raises InvalidNameError.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidNameError(
            f"invalid {kind} name {name!r}: use a letter followed by up to 62 letters, digits, hyphens or underscores"
        )
    return name


def suggestion(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known name, or an empty text."""
    if not isinstance(name, str):
        return ""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
