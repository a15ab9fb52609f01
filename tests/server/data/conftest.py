"""Fixtures: the Data API, and clients of a cluster of each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import clusterdb
from clusterdb.server.data import DataApi, DataSettings
from tests.server.data.calling import ENGINES, KEYS, Caller, Clock


@pytest.fixture
def clock() -> Clock:
    """The clock of the Data API."""
    return Clock()


@pytest.fixture
def api(store: clusterdb.Store, clock: Clock) -> Iterator[DataApi]:
    """A Data API with short timeouts; it is closed before its store."""
    api = DataApi(DataSettings(statement_timeout_s=0.3), clock=clock)
    yield api
    api.close()


@pytest.fixture
def patient(store: clusterdb.Store) -> Iterator[DataApi]:
    """A Data API with AWS's limits."""
    api = DataApi()
    yield api
    api.close()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every engine."""
    return str(request.param)


@pytest.fixture
def clients(store: clusterdb.Store, patient: DataApi) -> Callable[[str], Caller]:
    """Creates a cluster of an engine with the table ``t``, and a client of it."""

    def create(engine: str) -> Caller:
        store.create_cluster("shop", engine=engine)
        client = Caller(patient, store, "shop")
        client.execute(
            f"CREATE TABLE t (id {KEYS[engine]}, name VARCHAR(20) NOT NULL, price DECIMAL(10, 2), ok BOOLEAN)"
        )
        return client

    return create


@pytest.fixture
def client(clients: Callable[[str], Caller], engine: str) -> Caller:
    """A client of a cluster of every engine, with the table ``t``."""
    return clients(engine)
