"""What is kept of samples: the series, their bound, the clock; the thread that takes them."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clusterdb
from clusterdb.errors import InvalidArgumentError
from clusterdb.server import running
from clusterdb.server.call import Serving
from clusterdb.server.monitoring import Monitor, monitor_of
from clusterdb.server.monitoring.series import MINUTES, Datum, Series

PLACE = ("123456789012", "us-east-1")
CLUSTER = (("DBClusterIdentifier", "prod"),)


@given(steps=st.lists(st.tuples(st.sampled_from([0, 0, 1, 1, 2, 150, 400]), st.integers(0, 2)), max_size=60))
def test_series_has_the_values_of_the_last_three_hours(steps: list[tuple[int, int]]) -> None:
    """Compared with all values by the minute."""
    series, all_values, minute = Series(), dict[int, list[float]](), 1000
    for later, value in steps:
        minute += later
        series.add(minute, value)
        all_values.setdefault(minute, []).append(value)
    for present in (minute, minute + 10, minute + MINUTES):
        assert dict(series.data(present)) == {
            at: Datum(len(values), sum(values), min(values), max(values))
            for at, values in all_values.items()
            if present - MINUTES < at <= present
        }


def test_equal_minutes_take_no_memory() -> None:
    """Ten years of an idle cluster are one entry."""
    series = Series()
    for minute in range(100_000):
        series.grow(minute, 0)
    assert series.run_count == 1
    assert len(list(series.data(99_999))) == MINUTES


def test_many_minutes_take_bounded_memory() -> None:
    series = Series()
    for minute in range(10_000):
        series.add(minute, minute)
    assert series.run_count == MINUTES


def test_minutes_after_the_present_are_forgotten_when_the_clock_is_set_back() -> None:
    series = Series()
    for minute in (5, 6, 7, 6):
        series.add(minute, 1)
    assert dict(series.data(6)) == {5: Datum(1, 1, 1, 1), 6: Datum(2, 2, 1, 1)}
    series.add(2, 1)
    assert dict(series.data(9)) == {2: Datum(1, 1, 1, 1)}


def test_growth_within_a_minute_is_one_value() -> None:
    series = Series()
    for minute, value in ((1, 3), (1, 4), (2, 5)):
        series.grow(minute, value)
    assert dict(series.data(2)) == {1: Datum(1, 7, 7, 7), 2: Datum(1, 5, 5, 5)}


def test_samples_are_taken_in_the_background(memory_store: clusterdb.Store) -> None:
    """Without any call; at the start, and at every interval."""
    enough = threading.Semaphore(0)

    def clock() -> float:
        enough.release()
        return time.time()

    memory_store.create_cluster("prod")
    monitor = Monitor(interval_s=0.01, clock=clock)
    monitor.start(lambda: {PLACE: memory_store})
    for _ in range(5):
        assert enough.acquire(timeout=60)
    monitor.close()
    assert monitor.selected(PLACE, "VolumeBytesUsed", CLUSTER)
    assert all(thread.name != "clusterdb-metrics" for thread in threading.enumerate())


def test_server_samples_from_its_start(memory_store: clusterdb.Store) -> None:
    memory_store.create_cluster("prod")
    serving = Serving(metrics_interval_s=3600)
    with running(memory_store, serving=serving):
        assert monitor_of(serving).selected(PLACE, "VolumeBytesUsed", CLUSTER)


def test_unreadable_store_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    store = clusterdb.open(":memory:")
    store.close()
    reads = threading.Semaphore(0)

    def stores() -> dict[tuple[str, str], clusterdb.Store]:
        reads.release()
        return {PLACE: store}

    monitor = Monitor(interval_s=0.01)
    with caplog.at_level(logging.WARNING, "clusterdb.server"):
        monitor.start(stores)
        for _ in range(4):
            assert reads.acquire(timeout=60)
        monitor.close()
    assert len(caplog.records) == 1
    assert "were not sampled" in caplog.text


def test_places_that_clients_name_take_no_memory(memory_store: clusterdb.Store) -> None:
    monitor = Monitor()
    for number in range(100):
        monitor.sample((f"{number:012}", "us-east-1"), memory_store)
    assert monitor.place_count == 0


@pytest.mark.parametrize("interval_s", [0, -1, float("nan"), float("inf")])
def test_intervals_are_positive(interval_s: float, memory_store: clusterdb.Store) -> None:
    with (
        pytest.raises(InvalidArgumentError, match="metrics_interval_s"),
        running(memory_store, metrics_interval_s=interval_s),
    ):
        pass


def test_threads_may_sample_and_read_at_once(memory_store: clusterdb.Store) -> None:
    memory_store.create_cluster("prod")
    monitor = Monitor()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                monitor.sample(PLACE, memory_store)
                assert monitor.metrics(PLACE)
                assert monitor.selected(PLACE, "VolumeBytesUsed", CLUSTER)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
