"""``/metrics``, read by a strict parser of Prometheus' text format 0.0.4."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import pytest

import clusterdb
from clusterdb.metrics import Metric, prometheus
from clusterdb.server import Running, guard, running
from clusterdb.server.monitoring.page import CONTENT_TYPE

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)\Z")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|\Z)')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass
class Family:
    """A metric of a page: its type, its help, and its samples by their labels."""

    help: str
    type: str = ""
    samples: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)


def parsed(text: str) -> dict[str, Family]:
    """The metrics of a page.  Raises ValueError for whatever the format does not allow."""
    families: dict[str, Family] = {}
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current, _, help_text = line.removeprefix("# HELP ").partition(" ")
            if current in families or not re.fullmatch(_NAME, current) or not help_text:
                raise ValueError(line)
            if re.search(r"\\(?![\\n])", help_text):
                raise ValueError(line)
            families[current] = Family(help_text)
        elif line.startswith("# TYPE "):
            name, _, kind = line.removeprefix("# TYPE ").partition(" ")
            if name != current or families[name].type or families[name].samples:
                raise ValueError(line)
            if kind not in ("counter", "gauge", "histogram", "summary", "untyped"):
                raise ValueError(line)
            families[name].type = kind
        else:
            match = _SAMPLE.match(line)
            if match is None or match[1] != current or not families[current].type:
                raise ValueError(line)
            labels = labels_of(match[2] or "")
            if labels in families[current].samples:
                raise ValueError(f"twice: {line}")
            families[current].samples[labels] = number_of(match[3])
    return families


def labels_of(text: str) -> tuple[tuple[str, str], ...]:
    labels: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if match is None or match[1] in labels:
            raise ValueError(text)
        labels[match[1]] = re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], match[2])
        at = match.end()
    return tuple(sorted(labels.items()))


def number_of(text: str) -> float:
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf)|NaN", text):
        raise ValueError(text)
    return float(text)


def page_of(server: Running, **headers: str) -> tuple[int, str, str]:
    request = urllib.request.Request(f"{server.url}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers["content-type"], response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


def test_page_has_the_present_metrics_of_the_store(server: Running) -> None:
    prod = server.store.create_cluster("prod")
    prod.add_instance("prod-1")
    prod.add_instance("prod-2", replica_lag_ms=20)
    status, kind, text = page_of(server)
    assert (status, kind) == (200, CONTENT_TYPE)
    families = parsed(text)
    assert families["clusterdb_volume_bytes_used"].samples[("cluster", "prod"),] == prod.stats().own_bytes
    lag = families["clusterdb_aurora_replica_lag"]
    assert (lag.type, lag.samples[("cluster", "prod"), ("instance", "prod-2")]) == ("gauge", 20)
    assert families["clusterdb_pool_bytes_used"].samples[()] > 0
    writes = families["clusterdb_volume_write_iops"]
    assert writes.type == families["clusterdb_commit_count"].type == "counter"
    connection = prod.connect()
    connection.execute("CREATE TABLE t (x)")
    again = parsed(page_of(server)[2])
    assert again["clusterdb_volume_write_iops"].samples[("cluster", "prod"),] > writes.samples[("cluster", "prod"),]
    assert again["clusterdb_database_connections"].samples[("cluster", "prod"),] == 1
    connection.close()


def test_page_is_guarded_as_others(server: Running) -> None:
    assert page_of(server)[0] == 200
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert page_of(server, **headers)[0] == 403
    request = urllib.request.Request(f"{server.url}/metrics", data=b"", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405") as caught:
        urllib.request.urlopen(request)
    caught.value.close()


def test_page_needs_an_access_key_where_others_do(memory_store: clusterdb.Store) -> None:
    with running(memory_store, credentials={"AKID": guard.Credential("secret")}) as server:
        assert page_of(server)[0] == 401
        key = base64.b64encode(b"AKID:secret").decode()
        assert page_of(server, Authorization=f"Basic {key}")[0] == 200


def test_read_only_store_has_a_page(memory_store: clusterdb.Store) -> None:
    with running(memory_store, read_only=True) as server:
        assert parsed(page_of(server)[2])["clusterdb_pool_bytes_used"].samples


def test_closed_store_has_a_line() -> None:
    with clusterdb.open(":memory:") as store, running(store) as server:
        store.close()
        status, _, text = page_of(server)
        assert (status, text.count("\n")) == (503, 1)


@pytest.mark.parametrize("name", ["prod", 'a"b', "a\\b", "a\nb", 'a\\"\n\\n', "é,{}="])
@pytest.mark.parametrize("value", [0.0, 1.0, 2.5, 1e300, -1.0, float("inf"), float("-inf")])
def test_any_name_and_number_survive(name: str, value: float) -> None:
    family = parsed(prometheus([Metric("AuroraReplicaLag", name, name, value)]))["clusterdb_aurora_replica_lag"]
    assert family.samples == {(("cluster", name), ("instance", name)): value}


def test_nan_is_written_as_such() -> None:
    family = parsed(prometheus([Metric("PoolBytesUsed", "", "", float("nan"))]))["clusterdb_pool_bytes_used"]
    assert family.samples[()] != family.samples[()]
