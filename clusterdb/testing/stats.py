"""The cost of clones and templates in a run, over all its processes, and its summary."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from clusterdb.views.text import bytes_text

__all__ = ["Stats"]


@dataclass
class Stats:
    """The clones and templates of one process; workers send theirs as plain values."""

    clone_ms: list[float] = field(default_factory=list)
    clone_bytes: list[int] = field(default_factory=list)
    built: dict[str, float] = field(default_factory=dict)
    cloned: dict[str, float] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As plain values, to send to another process."""
        return asdict(self)

    def add(self, other: dict[str, Any]) -> None:
        """Add the numbers of another process."""
        self.clone_ms += other["clone_ms"]
        self.clone_bytes += other["clone_bytes"]
        self.built |= other["built"]
        self.cloned |= other["cloned"]
        self.reused += other["reused"]
        self.kept += other["kept"]

    def lines(self) -> list[str]:
        """The lines of the summary."""
        lines = [_clones_line(self.clone_ms, self.clone_bytes)]
        for title, seconds in sorted(self.built.items()):
            lines.append(f"template built in {seconds:.2f} s: {title}")
        for title, seconds in sorted(self.cloned.items()):
            lines.append(f"template cloned from its repository in {seconds:.2f} s: {title}")
        for title in sorted(set(self.reused) - set(self.built) - set(self.cloned)):
            lines.append(f"template found: {title}")
        if self.kept:
            lines.append(f"clones kept: {', '.join(sorted(self.kept))}")
        return lines


def _clones_line(clone_ms: list[float], clone_bytes: list[int]) -> str:
    if not clone_ms:
        return "no clones made"
    line = f"clones made: {len(clone_ms)}, in {statistics.median(clone_ms):.2f} ms (p50), {max(clone_ms):.2f} ms (max)"
    if clone_bytes:
        line += f"; a clone wrote {bytes_text(round(statistics.median(clone_bytes)))} (p50)"
        line += f", {bytes_text(max(clone_bytes))} (max), all {bytes_text(sum(clone_bytes))}"
    return line
