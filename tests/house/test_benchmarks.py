"""The benchmarks in their quick form, and the file of past results: additions of a release, comparisons with one."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GROUPS = re.findall(r'^    "(\w+)": \w+,$', (BENCHMARKS / "run.py").read_text(), re.MULTILINE)


def module(name: str) -> Any:
    """A module of the benchmarks, which are not a package."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


history, goals = module("history"), module("goals")


def quick(folder: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """The results of a quick run of the benchmarks, and what it prints."""
    output = folder / "results.json"
    command = [sys.executable, "run.py", "--quick", f"--folder={folder}", f"--output={output}", *arguments]
    answer = subprocess.run(command, cwd=BENCHMARKS, check=True, capture_output=True, text=True)
    return json.loads(output.read_text()), answer.stdout


def record(version: str, **results: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": version,
        "commit date": "2026-01-01",
        "machine": "m",
        "python": "3",
        "sqlite": "4",
        "plane": "p",
        "results": results,
    }


def test_history_names_version_date_and_machine_of_each_release() -> None:
    """The file that is in the repository can be compared with."""
    records = history.load()
    assert len({past["version"] for past in records}) == len(records) >= 1
    for past in records:
        assert list(past) == ["version", "commit date", "machine", "python", "sqlite", "plane", "results"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", past["commit date"])
    assert set(records[-1]["results"]) == set(GROUPS), "the last release was measured in part: run.py --record GROUP..."


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


# --- the benchmarks themselves ----------------------------------------------------------------------------------------
def test_goal_is_a_column_and_no_condition() -> None:
    """A line states its goals and whether it meets them; a reason for which they do not apply takes that place."""
    row = {"what": "scan", "ratio": 0.9, "ms": 3.0}
    assert goals.judged(row, ("ratio", ">=", 0.9)) == row | {"goal": "ratio >= 0.9", "met": "yes"}
    both = goals.judged(row, ("ratio", ">=", 0.5), ("ms", "<", 3))
    assert both == row | {"goal": "ratio >= 0.5, ms < 3", "met": "no"}
    assert goals.judged(row, ("ratio", ">=", 2), unless="one processor")["met"] == "one processor"
    many = {"what": "size", "a": 1, "b": 2, "c": 3}
    assert goals.judged(many, *((name, "<=", 3) for name in "abc"))["goal"] == "every figure <= 3"


def test_run_names_its_data_plane_and_shows_goals(tmp_path: Path) -> None:
    """The results go where they are wanted, and nothing else remains there."""
    results, printed = quick(tmp_path, "opening")
    assert printed.startswith(f"data plane: {results['plane']}\n")
    assert re.search(r"clusterdb / plain file, 64 MB .* ratio <= 1\.3 ", printed)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_data_planes_are_measured_side_by_side(tmp_path: Path) -> None:
    """A child measures the plane; its figures are columns of the common table."""
    results, printed = quick(tmp_path, "--planes=python", "growth")
    assert results["plane"] == ["python"]
    assert "KiB used a clone, python" in printed
    assert results["growth"][0]["slots left after dropping all, python"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_group_can_be_compared_with_the_last_release(tmp_path: Path, group: str) -> None:
    """Every group runs in its quick form; its lines have distinct names, some of which the history knows."""
    results, _ = quick(tmp_path, group)
    names = [next(iter(row.values())) for row in results[group]]
    assert len(set(names)) == len(names) > 0
    is_measured = not str(names[0]).startswith("not measured")
    assert history.compared({group: results[group]}, history.load()[-1]) or not is_measured
