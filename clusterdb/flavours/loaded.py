"""The result of loading a dump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LoadedDump"]


@dataclass(frozen=True)
class LoadedDump:
    """The result of loading a dump.

    ``statements``: the number of statements loaded.  ``skipped``: the number of skipped statements by kind, in the
    order of first occurrence.  ``dangling``: by table, the number of rows whose foreign keys refer to missing rows.
    """

    statements: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    dangling: Mapping[str, int] = field(default_factory=dict)

    def summary(self) -> list[str]:
        """Lines that describe what was skipped and dangling rows; empty if there is nothing to report."""
        lines = []
        if self.skipped:
            counts = ", ".join(
                f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in self.skipped.items()
            )
            lines.append(f"skipped: {counts}")
        if self.dangling:
            counts = ", ".join(f"{count} of {table}" for table, count in self.dangling.items())
            lines.append(f"rows whose foreign keys refer to missing rows: {counts}")
        return lines


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else kind + ("es" if kind.endswith("x") else "s")
