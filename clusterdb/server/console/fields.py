"""The fields of a form or of a URL, converted to values; errors name the field as its label does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.durations import seconds_of
from clusterdb.rules.points import Point, parse
from clusterdb.rules.sizes import bytes_of

__all__ = ["Fields", "tags_of", "tags_text"]


class Fields:
    """Texts by name; a name may occur several times, as a checkbox of a list does."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._first: dict[str, str] = {}
        for name, value in self.pairs:
            self._first.setdefault(name, value)

    def text(self, name: str, default: str = "") -> str:
        """A text without blanks at its ends."""
        return self._first.get(name, default).strip()

    def raw(self, name: str) -> str:
        """A text as it was sent, with the line ends of this system."""
        return self._first.get(name, "").replace("\r\n", "\n")

    def has(self, name: str) -> bool:
        """Whether a field was sent: a checkbox is only sent if it is checked."""
        return name in self._first

    def all(self, name: str) -> list[str]:
        """All values of a name that are not empty."""
        return [value for key, value in self.pairs if key == name and value]

    def required(self, name: str, label: str = "") -> str:
        """A text that is not empty.  Raises InvalidArgumentError."""
        value = self.text(name)
        if not value:
            raise InvalidArgumentError(f"{label or name} is missing: fill it in")
        return value

    def whole(self, name: str, label: str, default: int) -> int:
        """A whole number, or the default for an empty field.  Raises InvalidArgumentError."""
        value = self.text(name)
        try:
            return int(value) if value else default
        except ValueError:
            raise InvalidArgumentError(f"{label} '{value:.40}' is not a whole number: use digits") from None

    def number(self, name: str, label: str, default: float) -> float:
        """A finite number, or the default for an empty field.  Raises InvalidArgumentError."""
        value = self.text(name)
        try:
            result = float(value) if value else default
        except ValueError:
            result = math.nan
        if not math.isfinite(result):
            raise InvalidArgumentError(f"{label} '{value:.40}' is not a number: use digits")
        return result

    def duration(self, name: str) -> float | None:
        """Seconds, from ``90s``, ``30m``, ``12h``, ``2d``; None if the field is empty or ``never``."""
        value = self.text(name)
        return None if not value or value == "never" else seconds_of(value)

    def point(self, name: str) -> Point | None:
        """A point in the past; None if the field is empty.  Raises InvalidArgumentError."""
        value = self.text(name)
        return parse(value) if value else None

    def settings(self) -> dict[str, Any]:
        """The settings among the fields, by their names in Python; absent fields are left out.

        A checkbox is left out by browsers if it is not checked, so the form names its checkboxes in ``flags``.
        """
        settings: dict[str, Any] = {}
        if self.has("engine"):
            settings["engine"] = self.text("engine")
        if self.text("retention"):  # empty: the default of the store
            settings["backup_retention_days"] = self.whole("retention", "Days that the past is kept", 0)
        if limit := self.text("retained"):
            settings["backup_retention_bytes"] = None if limit == "none" else bytes_of(limit)
        elif self.text("retention") and self.has("retained"):
            settings["backup_retention_bytes"] = None
        if self.has("backtrack"):
            seconds = self.duration("backtrack") or 0
            settings["backtrack_window_s"] = int(seconds)
        if "protection" in self.all("flags"):
            settings["deletion_protection"] = self.has("protection")
        if self.has("ttl"):
            settings["ttl_s"] = self.duration("ttl")
        if self.has("idle"):
            settings["idle_s"] = self.duration("idle")
        if self.has("limit"):
            settings["clone_limit"] = self.whole("limit", "Limit of clones", 0) if self.text("limit") else None
        if self.has("tags") or self.has("note"):
            tags = tags_of(self.raw("tags"))
            if self.text("note"):
                tags["note"] = self.text("note")
            settings["tags"] = tags
        return settings


def tags_of(text: str) -> dict[str, str]:
    """Tags from lines ``KEY=VALUE``.  Raises InvalidArgumentError."""
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise InvalidArgumentError(f"tag '{line:.80}' has no value: write a line as KEY=VALUE")
        tags[key.strip()] = value.strip()
    return tags


def tags_text(tags: Mapping[str, str]) -> str:
    """The lines of :func:`tags_of`, without the note, which has a field of its own."""
    return "\n".join(f"{key}={value}" for key, value in tags.items() if key != "note")
