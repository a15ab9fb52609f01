"""Results of past releases: ``benchmarks/history.json``, one record for each version, the oldest first.

A record names its version, the date of the commit that was measured, the machine, Python, SQLite and the data plane,
and holds the results by group as ``run.py`` prints them.  Absolute times of two runs say little, even on one machine;
so a comparison shows ratios only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["HISTORY", "compared", "load", "recorded", "save"]

HISTORY = Path(__file__).parent / "history.json"
MEASURED_WITH = ("machine", "python", "sqlite", "plane")

Record = dict[str, Any]
Results = list[dict[str, Any]]


def load(path: Path = HISTORY) -> list[Record]:
    """All records, the oldest first."""
    records: list[Record] = json.loads(path.read_text())
    return records


def save(records: list[Record], path: Path = HISTORY) -> None:
    """Write all records."""
    path.write_text(json.dumps(records, indent=1) + "\n")


def recorded(records: list[Record], record: Record) -> list[Record]:
    """The records with one more, its figures rounded; if its version has a record, its groups go into that one.

    Raises ValueError if the version was measured with another machine, Python, SQLite or data plane: its groups could
    not be compared with each other.
    """
    version = record["version"]
    record = record | {"results": _rounded(record["results"])}
    before = next((past for past in records if past["version"] == version), None)
    if before is None:
        return [*records, record]
    for name in MEASURED_WITH:
        if before[name] != record[name]:
            raise ValueError(
                f"release {version} was measured with {name} {before[name]!r}, this run has {record[name]!r}: "
                "remove its record from history.json and measure all groups again"
            )
    merged = record | {"results": before["results"] | record["results"]}
    return [merged if past is before else past for past in records]


def compared(results: dict[str, Results], past: Record) -> Results:
    """The figures of both this run and a past release, as ratios: this run's to the release's."""
    before = dict(_figures(past["results"]))
    return [
        {
            "group": place[0],
            "what": place[1],
            "figure": place[2],
            f"this run / {past['version']}": value / before[place],
        }
        for place, value in _figures(results)
        if before.get(place)
    ]


def _rounded(value: Any) -> Any:
    """Floats with four significant digits: more are noise, and make changes of the file hard to read."""
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {key: _rounded(inner) for key, inner in value.items()}
        case list():
            return [_rounded(inner) for inner in value]
    return value


def _figures(results: dict[str, Results]) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Group, row and column of each number.  The first column of a row names it."""
    for group, rows in results.items():
        for row in rows:
            (first, name), *cells = row.items()
            what = str(name) if isinstance(name, str) else f"{first}: {name}"
            for column, value in cells:
                if isinstance(value, int | float):
                    yield (group, what, column), value
