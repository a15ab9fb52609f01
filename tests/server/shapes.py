"""Random values of botocore's shapes, for hypothesis."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
_XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff") | st.just("\r"),
    max_size=20,
)
_TIMES = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=ms)
)
_DEPTH_MAX = 4


def values_of(shape: Any, *, xml: bool = False, complete: bool = False, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a shape, as boto3 has them.

    ``xml``: only text that XML can express; ``complete``: the required members, and few others.
    """
    kind = shape.type_name

    def below(member: Any) -> st.SearchStrategy[Any]:
        return values_of(member, xml=xml, complete=complete, depth=depth + 1)

    if kind == "structure":
        if getattr(shape, "is_tagged_union", False):
            return _unions(shape, below, depth)
        required = [name for name in shape.members if name in shape.required_members]
        optional = [] if depth >= _DEPTH_MAX else [name for name in shape.members if name not in required]
        chosen = st.lists(st.sampled_from(optional), unique=True, max_size=4) if optional else st.just([])
        return chosen.flatmap(
            lambda names: st.fixed_dictionaries({name: below(shape.members[name]) for name in [*required, *names]})
        )
    if kind == "list":
        return st.just([]) if depth >= _DEPTH_MAX else st.lists(below(shape.member), max_size=3)
    if kind == "map":
        return st.just({}) if depth >= _DEPTH_MAX else st.dictionaries(below(shape.key), below(shape.value), max_size=3)
    return _scalars(shape, kind, xml=xml)


def _unions(shape: Any, below: Any, depth: int) -> st.SearchStrategy[Any]:
    """Structures of exactly one member; deep down, one that does not nest."""
    names = [name for name, member in shape.members.items() if depth < _DEPTH_MAX or member.type_name != "structure"]
    return st.sampled_from(names).flatmap(lambda name: st.fixed_dictionaries({name: below(shape.members[name])}))


def _scalars(shape: Any, kind: str, *, xml: bool) -> st.SearchStrategy[Any]:
    values = shape.metadata.get("enum")
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if kind == "string" and values:
        return st.sampled_from(values)
    if kind == "string":
        text = _XML_TEXT if xml else _TEXT
        return text.map(lambda value: value.ljust(lowest or 0, "x")[:highest])
    if kind == "boolean":
        return st.booleans()
    if kind == "timestamp":
        return _TIMES
    if kind == "blob":
        return st.binary(min_size=lowest or 0, max_size=max(20, lowest or 0))
    if kind in ("double", "float"):
        return st.floats(allow_nan=False, allow_infinity=False, width=32 if kind == "float" else 64)
    bound = 31 if kind == "integer" else 63
    return st.integers(-(1 << bound) if lowest is None else lowest, (1 << bound) - 1 if highest is None else highest)
