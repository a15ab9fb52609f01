"""Times that are shown mean the same instant when they are pasted, in any time zone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner

import clusterdb
from clusterdb.cli import cli
from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.durations import seconds_of
from clusterdb.rules.points import parse, time_text
from clusterdb.rules.sizes import bytes_of


@pytest.fixture(params=["UTC0", "EST5EDT,M3.2.0,M11.1.0", "IST-5:30"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The local time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def invoked(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(cli, ["--store", str(folder), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_pasted_times_select_the_same_version(tmp_path: Path, zone: str) -> None:
    """The times of snapshots, events and of the restorable range, from tables and from JSON."""
    invoked(tmp_path, "create", "prod", "--backtrack-window", "1h")
    for number in range(4):
        invoked(tmp_path, "sql", "prod", f"CREATE TABLE t{number} (x)")
        invoked(tmp_path, "snapshot", "prod", f"s{number}")
    rows = [line.split() for line in invoked(tmp_path, "snapshots").splitlines()[2:]]
    records = json.loads(invoked(tmp_path, "snapshots", "--json"))
    assert [row[3] for row in rows] == [record["taken_at"] for record in records]
    for record, row in zip(records, rows, strict=True):
        invoked(tmp_path, "clone", f"prod@{row[3]}", f"at-{row[0]}")
        clone = json.loads(
            invoked(tmp_path, "sql", f"at-{row[0]}", "SELECT count(*) AS n FROM sqlite_schema", "--json")
        )
        assert clone == [{"n": int(row[0][1:]) + 1}], record
    details = json.loads(invoked(tmp_path, "show", "prod", "--json"))
    shown = next(line for line in invoked(tmp_path, "show", "prod").splitlines() if line.startswith("restorable"))
    assert shown.split()[1:] == [details["earliest_restorable_time"], "to", details["latest_restorable_time"]]
    invoked(tmp_path, "clone", f"prod@{details['earliest_restorable_time']}", "earliest")
    invoked(tmp_path, "backtrack", "prod", details["latest_restorable_time"])
    for event in json.loads(invoked(tmp_path, "events", "prod", "--json")):
        assert event["time"] in invoked(tmp_path, "events", "prod")


def test_text_of_a_time_is_parsed_to_it(zone: str) -> None:
    """Also around the end of summer time, when local times repeat."""
    begin = datetime(2026, 11, 1, 4, tzinfo=timezone.utc)
    for minutes in range(0, 240, 10):
        moment = begin + timedelta(minutes=minutes, microseconds=minutes)
        assert parse(time_text(moment)) == moment
    assert parse(time_text(datetime.max.replace(tzinfo=timezone.utc))) == datetime.max.replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5h", 5400), ("30m", 1800), ("2d", 172_800), ("2 days", 172_800), ("1W", 604_800)],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "1 fortnight", "1h30", "nan", "1e3", "ss", "1ss"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid duration"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("90", 90),
        ("90 bytes", 90),
        ("64k", 65_536),
        ("500MB", 500 << 20),
        ("1.5GiB", 3 << 29),
        ("2 t", 2 << 40),
    ],
)
def test_sizes_have_units(text: str, size_bytes: int) -> None:
    assert bytes_of(text) == size_bytes


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1e3", "1kk", "inf", "1 mib ib"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid size"):
        bytes_of(text)


def test_points_in_time_have_the_same_units() -> None:
    assert parse("1.5 hours ago") == parse("90 minutes ago") == parse("90m ago") == timedelta(minutes=90)


def test_default_store_is_one_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds the same store as the command line."""
    monkeypatch.delenv("CLUSTERDB_STORE", raising=False)
    clusterdb.open(tmp_path / ".clusterdb").close()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    with clusterdb.open(create=False) as store:
        assert store.path == str(tmp_path / ".clusterdb")
