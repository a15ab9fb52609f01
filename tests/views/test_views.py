"""Views: records as rows, as JSON and as text, without a command line."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from fractions import Fraction

import pytest

import clusterdb
from clusterdb.clusters.figures import cluster_details
from clusterdb.metrics import Metric
from clusterdb.views import columns
from clusterdb.views.checks import report_json, report_line
from clusterdb.views.cluster import details_json, details_rows
from clusterdb.views.columns import BILLS, records_table, row_of
from clusterdb.views.json import json_text, object_of, to_json
from clusterdb.views.prometheus import HELP, prometheus, series_name
from clusterdb.views.rows import rows_csv, rows_json
from clusterdb.views.text import time_text

BILL = clusterdb.Bill("cluster", "prod", 4096, Fraction(8192, 3))


def test_values_as_json() -> None:
    """Times are ISO 8601, blobs hexadecimal, fractions numbers, records objects."""
    time = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    assert to_json([time, b"\xff", Fraction(1, 2), (1, None), {1: True}]) == [
        "2026-01-31T12:00:00+00:00",
        {"blob": "ff"},
        0.5,
        [1, None],
        {"1": True},
    ]
    assert object_of(BILL) == {"kind": "cluster", "name": "prod", "own_bytes": 4096, "shared_bytes": 8192 / 3}
    assert json.loads(json_text(to_json([BILL]))) == [object_of(BILL)]


def test_value_without_a_json_form_is_refused() -> None:
    """Instead of a text that no client expects."""
    with pytest.raises(TypeError, match="BUG: timedelta"):
        to_json(timedelta(1))


def test_records_as_rows() -> None:
    """A cell for each column; a table without records is its header."""
    assert row_of(BILL, BILLS) == ["cluster", "prod", "4.0 KiB", "2.7 KiB", "6.7 KiB"]
    assert records_table([BILL], BILLS).splitlines()[0].split() == [
        "kind",
        "name",
        "written",
        "part",
        "of",
        "shared",
        "pays",
    ]
    assert len(records_table([], BILLS).splitlines()) == 2


def test_every_kind_of_record_has_columns(store: clusterdb.Store) -> None:
    """Every column makes a cell of the records that the store returns."""
    prod = store.create_cluster("prod")
    prod.add_instance("w1")
    prod.snapshot("nightly")
    tables = [
        records_table([prod.stats()], columns.CLUSTERS),
        records_table(store.snapshots(), columns.SNAPSHOTS),
        records_table(prod.instances(), columns.INSTANCES),
        records_table(prod.endpoints(), columns.ENDPOINTS),
        records_table(prod.replica_status(), columns.REPLICAS),
        records_table(store.events(), columns.EVENTS),
        records_table(store.bills(), columns.BILLS),
    ]
    assert all(len(table.splitlines()) > 2 for table in tables)


def test_details_of_a_cluster(store: clusterdb.Store) -> None:
    """The fields of statistics and settings in one object; the same values as rows."""
    details = cluster_details(store.context, store.create_cluster("prod", ttl_s=60, tags={"team": "red"}))
    record = details_json(details)
    for kind in (clusterdb.ClusterStats, clusterdb.ClusterSettings):
        assert {field.name for field in fields(kind)} <= set(record)
    assert (record["status"], record["ttl_s"], record["tags"]) == ("available", 60, {"team": "red"})
    rows = dict(details_rows(details))
    assert (rows["time to live"], rows["idle time"], rows["tag team"]) == ("60 s", "unlimited", "red")


def test_rows_of_a_query() -> None:
    """JSON objects by column, and CSV, in which NULL is empty and a blob hexadecimal."""
    rows, headers = [(1, None), (2, b"\xff")], ["id", "v"]
    assert rows_json(rows, headers) == [{"id": 1, "v": None}, {"id": 2, "v": {"blob": "ff"}}]
    assert rows_csv(rows, headers) == "id,v\n1,\n2,ff\n"


def test_report_of_a_check() -> None:
    """Damage is in the line and in ``ok``; leaks are mentioned only if there are any."""
    sound = clusterdb.CheckReport(slot_count=9, checked_count=5)
    assert (report_line(sound), report_json(sound)["ok"]) == ("5 slots checked: no damage", True)
    damaged = clusterdb.CheckReport(slot_count=9, checked_count=5, leaked_count=2, problems=["slot 3 ..."])
    assert report_line(damaged) == "5 slots checked, 2 leaked: damaged"
    assert report_json(damaged)["problems"] == ["slot 3 ..."]


def test_prometheus_page() -> None:
    """Every metric is described; samples stand under their own series, whole numbers without a point."""
    page = prometheus([Metric("PoolBytesUsed", "", "", 8192.0), Metric("AuroraReplicaLag", "prod", "r1", 2.5)])
    lines = page.splitlines()
    assert len(lines) == 2 * len(HELP) + 2
    assert "clusterdb_pool_bytes_used 8192" in lines
    assert 'clusterdb_aurora_replica_lag{cluster="prod",instance="r1"} 2.5' in lines
    assert series_name("VolumeReadIOPs") == "clusterdb_volume_read_iops"


def test_missing_time_is_empty() -> None:
    """A record may have no time yet."""
    assert time_text(None) == ""
