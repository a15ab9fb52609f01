"""The data planes of this build: which one is measured, and several of them side by side.

The plane of a process is chosen by ``CLUSTERDB_IMPL`` when it starts, so other planes are measured in children, which
take turns group by group.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import clusterdb
from timing import Results
from vfs import plane

__all__ = ["available", "joined", "measured", "name"]


def available() -> list[str]:
    """The names of the planes of this build."""
    return plane.available()


def name() -> str:
    """The plane that this process measures."""
    return str(getattr(clusterdb, "implementation", None) or plane.chosen().name)


def measured(other: str, command: list[str], output: Path) -> dict[str, Any]:
    """What another run of the benchmarks writes to ``output``, with the given plane."""
    environment = os.environ | {"CLUSTERDB_IMPL": other}
    subprocess.run([sys.executable, *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    everything: dict[str, Any] = json.loads(output.read_text())
    if everything["plane"] != other:
        sys.exit(f"CLUSTERDB_IMPL={other} was not obeyed: the run measured {everything['plane']}")
    return everything


def joined(by_plane: dict[str, Results]) -> Results:
    """One table with the figures of all planes; those of plain files are left out, but for their ratios to a clone."""
    rows: dict[str, dict[str, Any]] = {}
    for of_plane, results in by_plane.items():
        for row in results:
            (first, title), *cells = row.items()
            into = rows.setdefault(str(title), {first: title})
            into |= {f"{key}, {of_plane}": value for key, value in cells if _is_shown(key)}
            if "goal" in row:
                into["goal"] = row["goal"]
    return [{key: row[key] for key in sorted(row, key="goal".__eq__)} for row in rows.values()]


def _is_shown(column: str) -> bool:
    return not column.startswith("plain") and column != "goal"
