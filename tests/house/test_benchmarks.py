"""The file of past benchmark results: what a release adds to it, and what a comparison shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPEC = importlib.util.spec_from_file_location("history", BENCHMARKS / "history.py")
assert SPEC is not None
assert SPEC.loader is not None
history = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(history)


def record(version: str, **results: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": version,
        "commit date": "2026-01-01",
        "machine": "m",
        "python": "3",
        "sqlite": "4",
        "results": results,
    }


def test_history_names_version_date_and_machine_of_each_release() -> None:
    """The file that is in the repository can be compared with."""
    records = history.load()
    assert len({past["version"] for past in records}) == len(records) >= 1
    groups = set(re.findall(r'^    "(\w+)": \w+,$', (BENCHMARKS / "run.py").read_text(), re.MULTILINE))
    for past in records:
        assert list(past) == ["version", "commit date", "machine", "python", "sqlite", "results"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", past["commit date"])
    assert set(records[-1]["results"]) == groups, "the last release was measured in part: run.py --record GROUP..."


def test_release_is_appended_with_rounded_figures(tmp_path: Path) -> None:
    """A new version comes last, and the file can be read again."""
    records = history.recorded([record("0.1.0")], record("0.2.0", clone=[{"what": "clone", "ms": 0.123456}]))
    assert [past["version"] for past in records] == ["0.1.0", "0.2.0"]
    assert records[-1]["results"] == {"clone": [{"what": "clone", "ms": 0.1235}]}
    history.save(records, tmp_path / "history.json")
    assert history.load(tmp_path / "history.json") == records


def test_groups_of_a_recorded_version_are_replaced() -> None:
    """A release may be measured in several runs, on one machine."""
    records = [record("0.1.0", clone=[{"what": "clone", "ms": 1}], past=[{"what": "past", "ms": 2}])]
    (merged,) = history.recorded(records, record("0.1.0", clone=[{"what": "clone", "ms": 3}]))
    assert merged["results"] == {"clone": [{"what": "clone", "ms": 3}], "past": [{"what": "past", "ms": 2}]}
    with pytest.raises(ValueError, match=r"0\.1\.0 was measured with machine 'm', this run has 'other'"):
        history.recorded(records, record("0.1.0") | {"machine": "other"})


def test_comparison_is_by_ratio_and_skips_what_only_one_run_has() -> None:
    """Rows are matched by their first column, which may be a number; a release's zero has no ratio."""
    past = record("0.1.0", clone=[{"what": "a", "ms": 2.0, "left": 0}, {"what": "b", "ms": 1}], many=[{"n": 7, "s": 4}])
    now = {"clone": [{"what": "a", "ms": 3.0, "left": 1}, {"what": "c", "ms": 1}], "many": [{"n": 7, "s": 1}]}
    assert history.compared(now, past) == [
        {"group": "clone", "what": "a", "figure": "ms", "this run / 0.1.0": 1.5},
        {"group": "many", "what": "n: 7", "figure": "s", "this run / 0.1.0": 0.25},
    ]
