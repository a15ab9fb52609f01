"""Names of clusters and other objects: validation, and a suggestion for an unknown name.

A name is a letter followed by up to 62 letters, digits, hyphens or underscores, all of ASCII; upper and lower case
differ.  Every identifier that the RDS API accepts is such a name.  The rule of the RDS API is stricter:
:func:`check_rds_identifier` is for code that implements this API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from clusterdb.errors import InvalidNameError

__all__ = ["check_name", "check_rds_identifier", "suggestion"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")
_RDS_IDENTIFIER = re.compile(r"(?=.{1,63}\Z)[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*\Z")


def check_name(name: str, kind: str = "cluster") -> str:
    """Return ``name`` if it is valid: a letter followed by up to 62 letters, digits, hyphens or underscores.

    ``kind``: the kind of the named object, for the error.  Raises InvalidNameError.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise InvalidNameError(
            f"invalid {kind} name {name!r}: use a letter followed by up to 62 letters, digits, hyphens or underscores"
        )
    return name


def check_rds_identifier(identifier: str, parameter: str = "DBClusterIdentifier") -> str:
    """Return ``identifier`` if the RDS API accepts it: 1 to 63 letters, digits and hyphens.

    The first character is a letter, the last is not a hyphen, no two hyphens follow each other, and underscores are not
    accepted.  ``parameter``: the parameter of the API that has this value, for the error.  RDS stores identifiers in
    lower case; this function does not convert them.  Raises InvalidNameError with RDS's own text.
    """
    if not isinstance(identifier, str) or not _RDS_IDENTIFIER.match(identifier):
        raise InvalidNameError(
            f"The parameter {parameter} is not a valid identifier. Identifiers must begin with a letter; must contain "
            "only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two "
            "consecutive hyphens."
        )
    return identifier


def suggestion(name: str, existing: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` with the nearest of the existing names; empty if no name is near."""
    if not isinstance(name, str):
        return ""
    import difflib  # only errors need it

    near = difflib.get_close_matches(name, list(existing), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
