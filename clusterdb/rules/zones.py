"""Where the six copies of a cluster are: two storage nodes in each of three availability zones."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.settings import Zones
from clusterdb.rules.urls import is_url, require_no_secrets

__all__ = ["ZONES", "arrange", "node_url", "parse", "with_zones"]

ZONES = ("a", "b", "c")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


def arrange(zones: int | Mapping[str, str | Sequence[str]], store: str) -> Zones:
    """The nodes of a cluster: for each zone its name and the URLs of two nodes.

    ``zones``: 3 for directories beside the store (``STORE-zones/a1`` to ``c2``), which rehearse failures but add no
    durability; or for each of three zones a directory or a URL of object storage, below which its two nodes are, or
    those of both nodes.

    Raises InvalidArgumentError.
    """
    if isinstance(zones, int):
        if zones != len(ZONES) or isinstance(zones, bool):
            raise InvalidArgumentError(f"zones={zones!r}: use 3: six copies, two in each of three zones")
        if store == ":memory:":
            raise InvalidArgumentError("zones=3 needs a store on disk: name the places of the zones instead")
        zones = {zone: [f"{os.path.abspath(store)}-zones/{zone}{at}" for at in (1, 2)] for zone in ZONES}  # noqa: PTH100
    if not isinstance(zones, Mapping) or len(zones) != len(ZONES):
        raise InvalidArgumentError(f"zones={zones!r}: name three zones and their places")
    arranged = tuple(_zone(name, places) for name, places in sorted(zones.items()))
    urls = [url for _, *urls in arranged for url in urls]
    for url in urls:
        if urls.count(url) > 1:
            raise InvalidArgumentError(f"'{url}' is the place of two storage nodes: a node holds one copy")
    return arranged


def with_zones(settings: Mapping[str, Any], store: str) -> Mapping[str, Any]:
    """Settings whose ``zones`` are arranged, if there are any.  Raises InvalidArgumentError."""
    return {**settings, "zones": arrange(settings["zones"], store)} if settings.get("zones") else settings


def parse(text: str) -> int | dict[str, list[str]]:
    """The zones that an option names: ``3``, or ``a=/disk1,b=/disk2,c=s3://BUCKET/PATH``; a zone twice: its nodes.

    ``none``: no zones, for a clone that shall have no copies.  Raises InvalidArgumentError.
    """
    if text == "none":
        return {}
    if text.isdigit():
        return int(text)
    zones: dict[str, list[str]] = {}
    for part in text.split(","):
        name, separator, place = part.partition("=")
        if not separator or not place:
            break
        zones.setdefault(name, []).append(place)
    if len(zones) != len(ZONES):
        raise InvalidArgumentError(f"'{text}': use 3, or name three zones and their places: a=PLACE,b=PLACE,c=PLACE")
    return zones


def _zone(name: str, places: Any) -> tuple[str, str, str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgumentError(f"zone {name!r}: use up to 63 letters, digits and hyphens")
    places = [places] if isinstance(places, str | os.PathLike) else list(places)
    if len(places) == 1:
        url, mark, settings = node_url(places[0]).partition("?")
        places = [f"{url}/{number}{mark}{settings}" for number in (1, 2)]
    if len(places) != 2:
        raise InvalidArgumentError(f"zone '{name}' has {len(places)} places: name one or two")
    first, second = map(node_url, places)
    return name, first, second


def node_url(place: str | os.PathLike[str]) -> str:
    """The URL of a storage node, from a directory or a URL.  Raises InvalidArgumentError."""
    text = os.fspath(place).rstrip("/")
    if not text or "\0" in text:
        raise InvalidArgumentError(f"{place!r} is no place of a storage node: use a directory or a URL")
    if is_url(text):
        require_no_secrets(text)
        return text
    return f"file://{quote(os.path.abspath(text))}"  # noqa: PTH100
