"""Names of clusters and other objects: validation, and a suggestion for an unknown name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from clusterdb.errors import InvalidNameError

__all__ = ["check_name", "suggestion"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")


def check_name(name: str, kind: str = "cluster") -> str:
    """Return ``name`` if it is valid: a letter followed by up to 62 letters, digits, hyphens or underscores.

    ``kind``: the kind of the named object, for the error.  Aurora's DBClusterIdentifier is stricter: no underscores,
    no hyphen at the end, no two hyphens in a row.  Raises InvalidNameError.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidNameError(
            f"invalid {kind} name {name!r}: use a letter followed by up to 62 letters, digits, hyphens or underscores"
        )
    return name


def suggestion(name: str, existing: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` with the nearest of the existing names; empty if no name is near."""
    if not isinstance(name, str):
        return ""
    near = difflib.get_close_matches(name, list(existing), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
