"""What became of a dump that was loaded, for Python and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LoadedDump"]


@dataclass(frozen=True)
class LoadedDump:
    """What became of a dump.

    ``statements``: how many were loaded.  ``skipped``: how many of each kind were not, in the order of their first.
    ``dangling``: how many rows of each table refer to rows that do not exist.
    """

    statements: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    dangling: Mapping[str, int] = field(default_factory=dict)

    def summary(self) -> list[str]:
        """Lines for people; none if all is loaded."""
        lines = []
        if self.skipped:
            counts = ", ".join(
                f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in self.skipped.items()
            )
            lines.append(f"skipped: {counts}")
        if self.dangling:
            counts = ", ".join(f"{count} of {table}" for table, count in self.dangling.items())
            lines.append(f"rows that refer to rows that do not exist: {counts}")
        return lines


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else kind + ("es" if kind.endswith("x") else "s")
