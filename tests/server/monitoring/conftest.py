"""A store with a writer, a reader and a plain cluster; its server; and CloudWatch's clients in every protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

import clusterdb
from clusterdb.server import Running, running, session
from clusterdb.server.call import Serving
from clusterdb.server.models import service_model
from clusterdb.server.monitoring import KEY, Monitor
from tests.server.monitoring.watching import NOON, Watched

PROTOCOLS = [None, "smithy-rpc-v2-cbor", "json", "query"]


@pytest.fixture
def now() -> list[float]:
    """The time of the monitor's clock, which stands still unless a test sets it."""
    return [NOON]


@pytest.fixture
def served(memory_store: clusterdb.Store, now: list[float]) -> Iterator[Running]:
    """A server whose samples are taken at the time of the fixture ``now``, and only before calls."""
    serving = Serving()
    serving.kept(KEY, lambda: Monitor(interval_s=1e9, clock=lambda: now[0]))
    with running(memory_store, serving=serving) as server:
        yield server


@pytest.fixture
def prod(served: Running) -> clusterdb.Cluster:
    """A cluster with a writer and two readers; another cluster has no instances."""
    served.store.create_cluster("other")
    prod = served.store.create_cluster("prod", engine="aurora-postgresql")
    prod.add_instance("prod-1")
    prod.add_instance("prod-2", replica_lag_ms=20)
    prod.add_instance("prod-3", replica_lag_ms=50)
    return prod


@pytest.fixture(
    params=[pytest.param(protocol, marks=pytest.mark.slow if protocol else ()) for protocol in PROTOCOLS],
    ids=["default", "cbor", "json", "query"],
)
def client_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Running], Any]:
    """Makes boto3's client, as it comes, or with its protocol forced by the model."""
    if request.param is not None:
        from botocore.loaders import Loader

        service_model("cloudwatch")  # the server's own, which stays as it comes
        load = Loader.load_service_model

        def forced(self: Any, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            model = load(self, service_name, type_name, api_version)
            if service_name == "cloudwatch" and type_name == "service-2":
                metadata = {**model["metadata"], "protocol": request.param, "protocols": [request.param]}
                return {**model, "metadata": metadata}
            return model

        monkeypatch.setattr(Loader, "load_service_model", forced)
    return lambda server: session(server).client("cloudwatch", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def watched(client_of: Callable[[Running], Any], served: Running, prod: clusterdb.Cluster) -> Watched:
    """CloudWatch of the server in every protocol."""
    return Watched(client_of(served))


@pytest.fixture
def cloudwatch(served: Running, prod: clusterdb.Cluster) -> Any:
    """boto3's client as it comes."""
    return session(served).client("cloudwatch")
