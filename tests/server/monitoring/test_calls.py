"""CloudWatch by unmodified clients, in every protocol: values that follow the store, pages, errors."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError

import clusterdb
from clusterdb.server import Running, session
from clusterdb.server.monitoring import listing
from tests.server.monitoring.watching import NOON, Watched, at, dimensions, query


def write(cluster: clusterdb.Cluster, *statements: str) -> None:
    connection = cluster.connect()
    for statement in statements:
        connection.execute(statement)
    connection.close()


def written(store: clusterdb.Store, name: str, cluster: str = "prod") -> float:
    """A metric of a store."""
    return next(metric.value for metric in store.metrics() if (metric.name, metric.cluster) == (name, cluster))


# --- protocols --------------------------------------------------------------------------------------------------------
def test_clients_speak_the_protocol_that_a_test_names(watched: Watched, request: pytest.FixtureRequest) -> None:
    """In the default of boto3 too, whichever it is."""
    kinds: list[str] = []
    watched.client.meta.events.register(
        "before-sign.*.*", lambda request, **_: kinds.append(request.headers["Content-Type"].partition(";")[0])
    )
    watched.client.list_metrics()
    expected = {
        "cbor": "application/cbor",
        "json": "application/x-amz-json-1.0",
        "query": "application/x-www-form-urlencoded",
    }
    name = request.node.callspec.id
    assert kinds in ([[kind] for kind in expected.values()] if name == "default" else [[expected[name]]])


# --- ListMetrics ------------------------------------------------------------------------------------------------------
def test_metrics_are_listed_with_awss_dimensions(watched: Watched) -> None:
    metrics = watched.client.list_metrics(Namespace="AWS/RDS")["Metrics"]
    assert {metric["Namespace"] for metric in metrics} == {"AWS/RDS"}
    listed = {
        (metric["MetricName"], *((pair["Name"], pair["Value"]) for pair in metric["Dimensions"])) for metric in metrics
    }
    assert len(listed) == len(metrics)
    assert ("VolumeBytesUsed", ("DBClusterIdentifier", "prod")) in listed
    assert ("VolumeBytesUsed", ("DBClusterIdentifier", "other")) in listed
    assert ("AuroraReplicaLag", ("DBInstanceIdentifier", "prod-2")) in listed
    assert ("AuroraReplicaLag", ("DBClusterIdentifier", "prod"), ("Role", "READER")) in listed
    assert ("CommitThroughput", ("DBInstanceIdentifier", "prod-1")) in listed
    assert not any(metric[0] in ("PoolBytesUsed", "CommitCount") for metric in listed)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"Namespace": "AWS/EC2"}, set()),
        ({"MetricName": "VolumeBytesUsed"}, {"VolumeBytesUsed"}),
        ({"MetricName": "CPUUtilization"}, set()),
        ({"Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "prod-3"}]}, {"AuroraReplicaLag"}),
        (
            {"Dimensions": [{"Name": "Role"}], "RecentlyActive": "PT3H"},
            {"AuroraReplicaLag", "AuroraReplicaLagMaximum", "AuroraReplicaLagMinimum", "CommitThroughput"},
        ),
        ({"Dimensions": [{"Name": "Role", "Value": "x"}]}, set()),
        ({"OwningAccount": "111122223333"}, set()),
    ],
)
def test_lists_are_filtered(cloudwatch: Any, filters: dict[str, Any], names: set[str]) -> None:
    assert {metric["MetricName"] for metric in cloudwatch.list_metrics(**filters)["Metrics"]} == names


def test_lists_have_pages(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = watched.client.list_metrics()["Metrics"]
    monkeypatch.setattr(listing, "PAGE", 3)
    pages = list(watched.client.get_paginator("list_metrics").paginate(IncludeLinkedAccounts=True))
    assert len(pages) == -(-len(whole) // 3)
    assert [metric for page in pages for metric in page["Metrics"]] == whole
    assert all(page["OwningAccounts"] == ["123456789012"] * len(page["Metrics"]) for page in pages)


# --- values -----------------------------------------------------------------------------------------------------------
def test_sizes_follow_writes(watched: Watched, prod: clusterdb.Cluster, now: list[float]) -> None:
    (before,) = watched.points("VolumeBytesUsed", "Average")
    assert before["Average"] == prod.stats().own_bytes
    now[0] += 60
    write(prod, "CREATE TABLE t (x TEXT)", "INSERT INTO t VALUES (randomblob(200000))")
    first, second = watched.points("VolumeBytesUsed", "Average", "Maximum", "SampleCount")
    assert first["Average"] == before["Average"]
    assert second["Average"] == second["Maximum"] == prod.stats().own_bytes > first["Average"] + 190_000
    assert (first["Timestamp"], second["Timestamp"]) == (at(0), at(1))
    assert (second["SampleCount"], second["Unit"]) == (1, "Bytes")


def test_operations_are_counted_by_the_time_in_which_they_are_done(
    watched: Watched, served: Running, prod: clusterdb.Cluster, now: list[float]
) -> None:
    write(prod, "CREATE TABLE t (x INT)")
    base = written(served.store, "VolumeWriteIOPs")
    assert watched.values(query("VolumeWriteIOPs"))["a"] == [base]
    write(prod, *[f"INSERT INTO t VALUES ({number})" for number in range(5)])
    assert watched.values(query("VolumeWriteIOPs"))["a"] == [written(served.store, "VolumeWriteIOPs")]
    now[0] += 60
    before = written(served.store, "VolumeWriteIOPs")
    write(prod, "INSERT INTO t VALUES (6)")
    grown = written(served.store, "VolumeWriteIOPs") - before
    assert grown > 0
    assert watched.values(query("VolumeWriteIOPs"))["a"] == [before, grown]
    assert watched.values(query("VolumeWriteIOPs", period=300))["a"] == [before + grown]
    assert watched.values(query("VolumeWriteIOPs", "SampleCount", period=300))["a"] == [2]
    assert watched.values(query("VolumeReadIOPs", period=300))["a"] == [written(served.store, "VolumeReadIOPs")]


def test_commits_are_per_second_and_of_the_writer(watched: Watched, prod: clusterdb.Cluster, now: list[float]) -> None:
    write(prod, "CREATE TABLE t (x INT)")
    watched.values(query("CommitThroughput"))
    now[0] += 60
    write(prod, *[f"INSERT INTO t VALUES ({number})" for number in range(6)])
    for instance, role in (("", ""), ("prod-1", ""), ("", "WRITER")):
        asked = query("CommitThroughput", "Average", instance=instance, role=role)
        assert watched.values(asked)["a"][-1] == pytest.approx(0.1)
    assert watched.values(query("CommitThroughput", instance="prod-2"))["a"] == []


def test_past_and_backups_are_metrics_of_the_cluster(watched: Watched, served: Running, now: list[float]) -> None:
    kept = served.store.create_cluster("kept", backup_retention_days=1, backtrack_window_s=3600)
    watched.client.list_metrics()
    write(kept, "CREATE TABLE t (x)", "INSERT INTO t VALUES (randomblob(100000))", "DELETE FROM t")
    kept.snapshot("s")
    values = watched.values(
        query("BacktrackChangeRecordsStored", "Maximum", id="records", cluster="kept"),
        query("BacktrackChangeRecordsCreationRate", id="rate", cluster="kept"),
        query("BackupRetentionPeriodStorageUsed", "Maximum", id="past", cluster="kept"),
        query("SnapshotStorageUsed", "Maximum", id="snapshots", cluster="kept"),
        query("TotalBackupStorageBilled", "Maximum", id="billed", cluster="kept"),
        query("BacktrackChangeRecordsStored", id="none"),
    )
    assert values == {
        "records": [3],
        "rate": [3],
        "past": [written(served.store, "BackupRetentionPeriodStorageUsed", "kept")],
        "snapshots": [0],
        "billed": [written(served.store, "TotalBackupStorageBilled", "kept")],
        "none": [],
    }
    assert values["past"][0] > 0


def test_lags_are_by_instance_role_and_cluster(watched: Watched, prod: clusterdb.Cluster) -> None:
    values = watched.values(
        query("AuroraReplicaLag", "Average", id="one", instance="prod-2"),
        query("AuroraReplicaLag", "Average", id="readers", cluster="prod", role="READER"),
        query("AuroraReplicaLag", "SampleCount", id="cluster", cluster="prod"),
        query("AuroraReplicaLagMaximum", "Average", id="highest", instance="prod-1"),
        query("AuroraReplicaLagMinimum", "Average", id="lowest", cluster="prod"),
        query("AuroraReplicaLag", "Average", id="writers", cluster="prod", role="WRITER"),
        query("AuroraReplicaLag", "Average", id="others", cluster="other"),
    )
    assert values["one"] == [20]
    assert values["readers"] == [35]
    assert values["cluster"][0] % 2 == 0
    assert (values["highest"], values["lowest"]) == ([50], [20])
    assert values["writers"] == values["others"] == []


def test_failover_moves_the_metrics_of_the_writer(cloudwatch: Any, prod: clusterdb.Cluster, now: list[float]) -> None:
    watched = Watched(cloudwatch)
    watched.values(query("AuroraReplicaLag"))
    now[0] += 60
    prod.failover("prod-3")
    assert len(watched.points("AuroraReplicaLagMaximum", "Maximum", instance="prod-3")) == 1
    assert len(watched.points("AuroraReplicaLagMaximum", "Maximum")) == 2
    assert [point["Timestamp"] for point in watched.points("AuroraReplicaLag", "Sum", instance="prod-3")] == [at(0)]


def test_connections_are_counted(watched: Watched, prod: clusterdb.Cluster) -> None:
    connection = prod.connect()
    connection.execute("SELECT 1").fetchall()
    (point,) = watched.points("DatabaseConnections", "Maximum")
    assert point["Maximum"] == 1
    connection.close()


def test_deleted_cluster_keeps_its_metrics_for_three_hours(
    cloudwatch: Any, served: Running, prod: clusterdb.Cluster, now: list[float]
) -> None:
    watched = Watched(cloudwatch)
    watched.points("VolumeBytesUsed", "Sum")
    prod.delete()
    now[0] += 30 * 60
    assert len(watched.points("VolumeBytesUsed", "Sum")) == 1
    now[0] += 150 * 60
    assert watched.points("VolumeBytesUsed", "Sum") == []
    assert not cloudwatch.list_metrics(Dimensions=[{"Name": "DBClusterIdentifier", "Value": "prod"}])["Metrics"]


def test_cluster_with_a_former_name_begins_again(cloudwatch: Any, served: Running, now: list[float]) -> None:
    watched = Watched(cloudwatch)
    served.store.create_cluster("again")
    write(served.store.cluster("again"), "CREATE TABLE t (x)", "INSERT INTO t VALUES (randomblob(100000))")
    watched.values(query("VolumeWriteIOPs", cluster="again"))
    served.store.cluster("again").delete()
    now[0] += 60
    served.store.create_cluster("again")
    write(served.store.cluster("again"), "CREATE TABLE t (x)")
    values = watched.values(query("VolumeWriteIOPs", cluster="again"))["a"]
    assert values[-1] == written(served.store, "VolumeWriteIOPs", "again") < values[0]


# --- periods, order, pages --------------------------------------------------------------------------------------------
def fill(watched: Watched, now: list[float], count: int) -> None:
    """A sample in each of some minutes, the first at noon."""
    for number in range(count):
        now[0] += 60 * (number > 0)
        watched.client.list_metrics()


def test_periods_begin_at_the_start(cloudwatch: Any, prod: clusterdb.Cluster, now: list[float]) -> None:
    watched = Watched(cloudwatch)
    fill(watched, now, 10)
    asked = {"StartTime": at(1.5), "EndTime": at(8), "ScanBy": "TimestampAscending"}
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=[query("VolumeBytesUsed", period=180)], **asked)[
        "MetricDataResults"
    ]
    assert result["Timestamps"] == [at(1), at(4), at(7)]
    counts = watched.values(query("VolumeBytesUsed", "SampleCount", period=180), **asked)["a"]
    assert counts[:2] == [3, 3]
    assert len(watched.points("VolumeBytesUsed", "Sum", period=1800)) == 1


def test_newest_values_come_first_unless_stated(cloudwatch: Any, now: list[float]) -> None:
    watched = Watched(cloudwatch)
    fill(watched, now, 4)
    for order, first in ((None, 3), ("TimestampDescending", 3), ("TimestampAscending", 0)):
        options = {} if order is None else {"ScanBy": order}
        (result,) = cloudwatch.get_metric_data(
            MetricDataQueries=[query("VolumeBytesUsed")], StartTime=at(-1), EndTime=at(60), **options
        )["MetricDataResults"]
        assert result["Timestamps"][0] == at(first)
        assert (result["Label"], result["StatusCode"]) == ("VolumeBytesUsed", "Complete")


@pytest.mark.parametrize("order", ["TimestampAscending", "TimestampDescending"])
@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_data_have_pages(watched: Watched, now: list[float], order: str, size: int) -> None:
    fill(watched, now, 4)
    asked: dict[str, Any] = {
        "MetricDataQueries": [
            query("VolumeBytesUsed", "Maximum"),
            query("None", id="nothing"),
            {**query("VolumeBytesUsed", id="hidden"), "ReturnData": False},
            {**query("DatabaseConnections", "Maximum", id="b"), "Label": "named ${LABEL}"},
        ],
        "StartTime": at(-60),
        "EndTime": at(4),
        "ScanBy": order,
        "LabelOptions": {"Timezone": "+0130"},
    }
    whole = watched.client.get_metric_data(**asked)["MetricDataResults"]
    assert [(result["Id"], len(result["Values"])) for result in whole] == [("a", 4), ("nothing", 0), ("b", 4)]
    assert whole[-1]["Label"] == "named ${LABEL}"
    pages = watched.client.get_paginator("get_metric_data").paginate(**asked, PaginationConfig={"PageSize": size})
    merged: dict[str, list[Any]] = {}
    for page in pages:
        assert sum(len(result["Values"]) for result in page["MetricDataResults"]) <= size
        for result in page["MetricDataResults"]:
            merged.setdefault(result["Id"], []).extend(zip(result["Timestamps"], result["Values"], strict=True))
    assert merged == {result["Id"]: list(zip(result["Timestamps"], result["Values"], strict=True)) for result in whole}


def test_another_unit_namespace_or_account_has_no_data(cloudwatch: Any) -> None:
    base = query("VolumeBytesUsed")
    stat = base["MetricStat"]
    other = {"Id": "b", "MetricStat": {**stat, "Metric": {**stat["Metric"], "Namespace": "AWS/EC2"}}}
    values = Watched(cloudwatch).values(
        {**base, "MetricStat": {**stat, "Unit": "Count"}}, other, {**base, "Id": "c", "AccountId": "111122223333"}
    )
    assert values == {"a": [], "b": [], "c": []}
    bytes_used = Watched(cloudwatch).values({**base, "MetricStat": {**stat, "Unit": "Bytes"}})
    assert len(bytes_used["a"]) == 1


def test_other_regions_have_their_own_metrics(served: Running, prod: clusterdb.Cluster) -> None:
    there = {"region_name": "eu-west-1"}
    cloudwatch = session(served).client("cloudwatch", **there)
    assert cloudwatch.list_metrics()["Metrics"] == []
    session(served).client("rds", **there).create_db_cluster(
        DBClusterIdentifier="abroad", Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword="secret99"
    )
    listed = cloudwatch.list_metrics(MetricName="VolumeBytesUsed")["Metrics"]
    assert [metric["Dimensions"] for metric in listed] == [dimensions("abroad")]


def posted(server: Running, body: str, path: str = "/", **headers: str) -> tuple[int, str]:
    """The status and text of a request that no SDK made."""
    scope = "Credential=a/20260131/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0"
    headers = {"authorization": f"AWS4-HMAC-SHA256 {scope}", **{key.replace("_", "-"): headers[key] for key in headers}}
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


JSON = {"content_type": "application/x-amz-json-1.0"}


def test_requests_as_the_sdk_for_javascript_writes_them(served: Running, prod: clusterdb.Cluster) -> None:
    """Version 3 in JSON, with times in seconds; version 2 as a form."""
    target = "GraniteServiceVersion20100801.GetMetricStatistics"
    body = {
        "Namespace": "AWS/RDS",
        "MetricName": "VolumeBytesUsed",
        "Dimensions": [{"Name": "DBClusterIdentifier", "Value": "prod"}],
        "StartTime": NOON - 60,
        "EndTime": NOON + 60.5,
        "Period": 60,
        "Statistics": ["Maximum", "SampleCount"],
    }
    status, text = posted(served, json.dumps(body), x_amz_target=target, **JSON)
    point = {"Timestamp": NOON, "Unit": "Bytes", "Maximum": prod.stats().own_bytes, "SampleCount": 1}
    assert (status, json.loads(text)) == (200, {"Label": "VolumeBytesUsed", "Datapoints": [point]})
    form = (
        "Action=GetMetricStatistics&Version=2010-08-01&Namespace=AWS%2FRDS&MetricName=VolumeBytesUsed"
        "&Dimensions.member.1.Name=DBClusterIdentifier&Dimensions.member.1.Value=prod&Period=60"
        "&StartTime=2026-01-01T11%3A59%3A00.000Z&EndTime=2026-01-01T12%3A01%3A00.000Z&Statistics.member.1=Maximum"
    )
    status, text = posted(served, form, content_type="application/x-www-form-urlencoded")
    assert status == 200
    assert f"<Maximum>{prod.stats().own_bytes}.0</Maximum>" in text
    assert "<Timestamp>2026-01-01T12:00:00.000Z</Timestamp>" in text


@pytest.mark.parametrize("start", [-62_135_596_800, 0, "0001-01-01T00:00:00+14:00", 253_402_300_799, 1e300])
@pytest.mark.parametrize("end", [-62_135_596_799, "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("period", [60, (1 << 31) - 8])
def test_extreme_times_are_answered_or_refused(
    served: Running, prod: clusterdb.Cluster, start: object, end: object, period: int
) -> None:
    for name, body in (
        ("GetMetricStatistics", {**query("VolumeBytesUsed")["MetricStat"]["Metric"], "Statistics": ["Sum"]}),
        ("GetMetricData", {"MetricDataQueries": [query("VolumeBytesUsed", period=period)]}),
    ):
        values = {**body, "StartTime": start, "EndTime": end, "Period": period}
        target = f"GraniteServiceVersion20100801.{name}"
        status, text = posted(served, json.dumps(values), x_amz_target=target, **JSON)
        assert status in (200, 400), text
        assert status == 200 or json.loads(text)["message"]


# --- errors -----------------------------------------------------------------------------------------------------------
def refused(call: Any, **values: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**values)
    response = caught.value.response
    assert response["Error"]["Message"]
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


STATISTICS = {
    "Namespace": "AWS/RDS",
    "MetricName": "VolumeBytesUsed",
    "StartTime": at(0),
    "EndTime": at(60),
    "Period": 60,
    "Statistics": ["Sum"],
}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"EndTime": at(0)}, "InvalidParameterValue"),
        ({"EndTime": at(-1)}, "InvalidParameterValue"),
        ({"Period": 61}, "InvalidParameterValue"),
        ({"Period": 2}, "InvalidParameterValue"),
        ({"StartTime": at(-10_000)}, "InvalidParameterCombination"),
        ({"Statistics": ["Median"]}, "InvalidParameterValue"),
        ({"Statistics": None}, "InvalidParameterCombination"),
        ({"ExtendedStatistics": ["p99"]}, "InvalidParameterCombination"),
        ({"Statistics": None, "ExtendedStatistics": ["p99"]}, "InvalidParameterValue"),
        ({"Unit": "Pounds"}, "InvalidParameterValue"),
    ],
)
def test_wrong_statistics_have_awss_codes(cloudwatch: Any, changes: dict[str, Any], code: str) -> None:
    values = {key: value for key, value in {**STATISTICS, **changes}.items() if value is not None}
    assert refused(cloudwatch.get_metric_statistics, **values) == (code, 400)


def without(metric: str) -> dict[str, Any]:
    """A query without a member of its metric."""
    changed = query("VolumeBytesUsed")
    del changed["MetricStat"]["Metric"][metric]
    return changed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MetricDataQueries": []}, "ValidationError"),
        ({"MetricDataQueries": [{"Id": "e", "Expression": "SUM(METRICS())"}]}, "ValidationError"),
        ({"MetricDataQueries": [{"Id": "e"}]}, "ValidationError"),
        ({"MetricDataQueries": [{**query("VolumeBytesUsed"), "Expression": "a"}]}, "ValidationError"),
        ({"MetricDataQueries": [{**query("VolumeBytesUsed"), "Period": 60}]}, "ValidationError"),
        ({"MetricDataQueries": [{**query("VolumeBytesUsed"), "ReturnData": False}]}, "ValidationError"),
        ({"MetricDataQueries": [query("VolumeBytesUsed"), query("VolumeBytesUsed")]}, "ValidationError"),
        ({"MetricDataQueries": [query("VolumeBytesUsed", id="A")]}, "ValidationError"),
        ({"MetricDataQueries": [query("VolumeBytesUsed", "p99")]}, "ValidationError"),
        ({"MetricDataQueries": [query("VolumeBytesUsed", period=45)]}, "ValidationError"),
        ({"MetricDataQueries": [without("MetricName")]}, "ValidationError"),
        ({"MetricDataQueries": [without("Namespace")]}, "ValidationError"),
        ({"MetricDataQueries": [query("VolumeBytesUsed", id=f"q{n}") for n in range(501)]}, "ValidationError"),
        ({"EndTime": at(0)}, "ValidationError"),
        ({"EndTime": at(-1)}, "ValidationError"),
        ({"MaxDatapoints": 0}, "ValidationError"),
        ({"MaxDatapoints": 100_801}, "ValidationError"),
        ({"LabelOptions": {"Timezone": "Berlin"}}, "ValidationError"),
        ({"ScanBy": "Random"}, "InvalidParameterValue"),
        ({"NextToken": "nonsense"}, "InvalidNextToken"),
        ({"NextToken": "WzFd"}, "InvalidNextToken"),
    ],
)
def test_wrong_queries_have_awss_codes(cloudwatch: Any, changes: dict[str, Any], code: str) -> None:
    asked = {"MetricDataQueries": [query("VolumeBytesUsed")], "StartTime": at(0), "EndTime": at(60), **changes}
    assert refused(cloudwatch.get_metric_data, **asked) == (code, 400)


def test_tokens_of_other_requests_are_refused(
    cloudwatch: Any, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(Watched(cloudwatch), now, 2)
    asked = {"MetricDataQueries": [query("VolumeBytesUsed")], "StartTime": at(0), "EndTime": at(60)}
    token = cloudwatch.get_metric_data(**asked, MaxDatapoints=1)["NextToken"]
    again = cloudwatch.get_metric_data(**asked, NextToken=token)["MetricDataResults"]
    assert [result["Timestamps"] for result in again] == [[at(0)]]
    asked["StartTime"] = at(-1)
    assert refused(cloudwatch.get_metric_data, **asked, NextToken=token) == ("InvalidNextToken", 400)
    monkeypatch.setattr(listing, "PAGE", 1)
    token = cloudwatch.list_metrics()["NextToken"]
    assert refused(cloudwatch.list_metrics, Namespace="AWS/RDS", NextToken=token) == ("InvalidParameterValue", 400)


def test_errors_are_in_the_protocol_that_is_asked(watched: Watched) -> None:
    """Other operations are refused; codes are the same in every protocol, and name boto3's exceptions."""
    client = watched.client
    assert refused(client.get_metric_statistics, **{**STATISTICS, "Period": 61}) == ("InvalidParameterValue", 400)
    asked = {"MetricDataQueries": [query("VolumeBytesUsed")], "StartTime": at(0), "EndTime": at(60)}
    with pytest.raises(client.exceptions.InvalidNextToken):
        client.get_metric_data(**asked, NextToken="nonsense")
    asked["MetricDataQueries"] = [{"Id": "e", "Expression": "SUM(METRICS())"}]
    assert refused(client.get_metric_data, **asked) == ("ValidationError", 400)
    data = [{"MetricName": "mine", "Value": 1}]
    assert refused(watched.client.put_metric_data, Namespace="mine", MetricData=data) == ("InvalidAction", 400)
    assert refused(watched.client.describe_alarms) == ("InvalidAction", 400)
