"""What a page of the documentation shows, compared with what a command prints.

A page shows values as a run printed them.  Those that another run prints otherwise (``VARYING``) are compared by their
kind only, so a page needs no masks; everything else is compared as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["HOME", "MASK", "comparable"]

HOME = "/home/ada/shop"
"""The folder of the commands, as pages show it."""

VARYING = {
    "TIME": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{6})?(?:[+-]\d\d:\d\d)?",
    "DURATION": r"\d+\.\d+ ?m?s\b",
    "UUID": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "CLONE": r"\btest-[0-9a-f]{8}-\d+\b",
    "BUILD": r"(?<=^clusterdb )[\d.]+ \(data plane: \w+; SQLite [\d.]+; apsw [\d.]+\)",
    "SIZES": r"[\d.]+ \w+ in use, [\d.]+ \w+ on disk",
}
"""Regular expressions for what differs from run to run, by what they match."""

_COMBINED = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in VARYING.items()), re.MULTILINE)

MASK = re.compile(r"(?<![A-Z.])\.\.\.(?!\.*\s+\[ *\d+%\]$)", re.MULTILINE)
"""An ellipsis in an output, apart from the arguments of a usage line and the progress of pytest."""


def comparable(text: str, folder: Path | None = None) -> str:
    """An output without the ends of lines and with names for what varies; a folder is shown as ``HOME``."""
    if folder is not None:
        text = text.replace(str(folder), HOME)
    lines = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    return _COMBINED.sub(_kind, lines)


def _kind(match: re.Match[str]) -> str:
    """What stands for a value: the name of its kind, and of a time also its format."""
    digits = re.sub(r"-(?=\d\d:\d\d$)", "+", match[0])  # of any time zone
    return re.sub(r"\d", "0", digits) if match.lastgroup == "TIME" else str(match.lastgroup)
