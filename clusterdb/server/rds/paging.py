"""Pages of lists: ``MaxRecords`` and ``Marker``.  Filters: ``Filters``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from clusterdb.server.rds.faults import invalid

__all__ = ["filtered", "paged"]

_LOWEST, _HIGHEST = 20, 100
_T = TypeVar("_T")


def paged(
    values: Mapping[str, Any], member: str, records: Sequence[_T], key: Callable[[_T], str], *, lowest: int = _LOWEST
) -> tuple[list[_T], dict[str, str]]:
    """A page of records, which are in the order of their keys; and the output's ``Marker`` if more follow.

    A marker holds the key of the last record: records that come and go meanwhile are neither repeated nor skipped.
    Raises Fault.
    """
    size = values.get("MaxRecords", _HIGHEST)
    if not lowest <= size <= _HIGHEST:
        raise invalid(f"Invalid value {size} for MaxRecords. Must be between {lowest} and {_HIGHEST}")
    last = _last(values.get("Marker"), member)
    following = [record for record in records if last is None or key(record) > last]
    page = list(following[:size])
    return page, ({"Marker": _marker(member, key(page[-1]))} if len(following) > size else {})


def _marker(member: str, key: str) -> str:
    return base64.urlsafe_b64encode(f"{member}:{key}".encode()).decode()


def _last(marker: str | None, member: str) -> str | None:
    if not marker:
        return None
    try:
        name, _, key = base64.b64decode(marker, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name = key = ""
    if name != member:
        raise invalid(f"The Marker provided is not valid: {marker:.100}")
    return key


def filtered(
    values: Mapping[str, Any], records: Sequence[_T], names: Mapping[str, Callable[[_T], Sequence[str | None]]]
) -> list[_T]:
    """The records that match all filters; ``names``: the filters that exist, and the values of a record.

    Raises Fault for an unknown filter.
    """
    matching = list(records)
    for criterion in values.get("Filters") or []:
        values_of = names.get(criterion["Name"])
        if values_of is None:
            raise invalid(f"Unrecognized filter name: {criterion['Name']:.100}")
        wanted = set(criterion["Values"])
        matching = [record for record in matching if wanted.intersection(values_of(record))]
    return matching
