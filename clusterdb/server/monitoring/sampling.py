"""Samples of stores: taken by a thread while the server runs, and before an operation reads them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from clusterdb.errors import InvalidArgumentError
from clusterdb.server.call import Call, Serving
from clusterdb.server.monitoring.names import (
    READER,
    WRITER,
    Dimensions,
    Roles,
    Sample,
    SeriesKey,
    dimensions_of,
    samples_of,
)
from clusterdb.server.monitoring.series import Datum, Series
from clusterdb.store import Store

__all__ = ["KEY", "Monitor", "Place", "monitor_of", "sampled"]

KEY = "monitoring"
"""The key of the monitor among what a server keeps."""
Place: TypeAlias = tuple[str, str]
"""An account and a region."""

_INTERVAL_MAX_S = 1_000_000_000

_log = logging.getLogger("clusterdb.server")


class _History:
    """The series of a place."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.series: dict[SeriesKey, Series] = {}
        self.minute = 0
        self._counts: dict[tuple[str, str], float] | None = None
        self._began_at = 0.0

    def sample(self, store: Store, clock: Callable[[], float], *, arrived_at: float) -> None:
        """Take a sample, unless one was begun after a time of the monotonic clock.  Raises the errors of the store."""
        with self.guard:
            if self._began_at > arrived_at:
                return
            began_at = time.monotonic()
            samples = list(samples_of(store.metrics(), _roles(store)))
            self._add(int(clock() // 60), samples)
            self._began_at = began_at

    def _add(self, minute: int, samples: list[Sample]) -> None:
        before = self._counts
        self._counts = {}
        for sample in samples:
            series = self.series.setdefault(sample.key, Series())
            if not sample.is_counter:
                series.add(minute, sample.value)
                continue
            name = sample.key.name, sample.key.cluster
            self._counts[name] = sample.value
            former = before.get(name) if before is not None else sample.value
            series.grow(minute, _growth(sample, former) / sample.divisor)
        self.minute = minute
        for key, series in list(self.series.items()):
            if next(series.data(minute), None) is None:
                del self.series[key]

    def selected(self, name: str, dimensions: Dimensions) -> dict[int, Datum]:
        """The data of a metric by the minute, in order."""
        merged: dict[int, Datum] = {}
        with self.guard:
            for key, series in self.series.items():
                if key.name == name and dimensions in dimensions_of(key):
                    for minute, datum in series.data(self.minute):
                        merged[minute] = merged[minute].merged(datum) if minute in merged else datum
        return dict(sorted(merged.items()))


def _growth(sample: Sample, former: float | None) -> float:
    """By how much a counter has grown; it began again if it is less than before."""
    if former is not None and sample.value >= former:
        return sample.value - former
    return sample.value if sample.starts_at_zero else 0


def _roles(store: Store) -> Roles:
    catalog = store.context.catalog
    return {
        (row.name, instance.name): WRITER if instance.is_writer else READER
        for row in catalog.clusters.all()
        for instance in catalog.instances.of(row.cluster)
    }


class Monitor:
    """The samples of the stores of a server; threads may share it.

    ``interval_s``: the time between samples; ``clock``: seconds since 1970.  Raises InvalidArgumentError.
    """

    def __init__(self, *, interval_s: float = 60, clock: Callable[[], float] = time.time) -> None:
        if not 0 < interval_s <= _INTERVAL_MAX_S:
            raise InvalidArgumentError(
                f"metrics_interval_s={interval_s}: must be more than 0, at most {_INTERVAL_MAX_S}"
            )
        self._interval_s = interval_s
        self._clock = clock
        self._histories: dict[Place, _History] = {}
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures: dict[Place, str] = {}

    def start(self, stores: Callable[[], Mapping[Place, Store]]) -> None:
        """Take a sample of the stores that are open, now and at every interval, in a thread, until :meth:`close`."""
        self._sample_all(stores())
        with self._guard:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, args=(stores,), name="clusterdb-metrics", daemon=True)
                self._thread.start()

    def _run(self, stores: Callable[[], Mapping[Place, Store]]) -> None:
        while not self._closing.wait(self._interval_s - time.time() % self._interval_s):
            self._sample_all(stores())

    def _sample_all(self, stores: Mapping[Place, Store]) -> None:
        for place, store in stores.items():
            try:
                self._history(place, create=True).sample(store, self._clock, arrived_at=time.monotonic())
            except Exception as error:  # a store that is busy, damaged or closed: perhaps not at the next interval
                text = f"{type(error).__name__}: {error}"
                if text != self._failures.get(place):
                    _log.warning("metrics of account %s in %s were not sampled: %s", *place, text)
                self._failures[place] = text

    def sample(self, place: Place, store: Store) -> None:
        """Take a sample of a store.  Raises the errors of the store."""
        has_clusters = store.context.catalog.clusters.count() > 0  # clients name any place: others take no memory
        arrived_at = time.monotonic()
        self._history(place, create=has_clusters).sample(store, self._clock, arrived_at=arrived_at)

    def _history(self, place: Place, *, create: bool = False) -> _History:
        """The history of a place; an empty one if there is none."""
        with self._guard:
            history = self._histories.get(place) or _History()
            if create:
                self._histories[place] = history
            return history

    @property
    def place_count(self) -> int:
        """The number of places whose samples are kept."""
        return len(self._histories)

    def metrics(self, place: Place) -> list[tuple[str, Dimensions]]:
        """The metrics that have data, as names and dimensions, in order."""
        history = self._history(place)
        with history.guard:
            return sorted({(key.name, dimensions) for key in history.series for dimensions in dimensions_of(key)})

    def selected(self, place: Place, name: str, dimensions: Dimensions) -> dict[int, Datum]:
        """The data of a metric by minutes since 1970, in order."""
        return self._history(place).selected(name, tuple(sorted(dimensions)))

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        with self._guard:  # another thread may be about to start it
            thread = self._thread
        if thread is not None:
            thread.join()


def monitor_of(serving: Serving) -> Monitor:
    """The monitor of a server."""
    return serving.kept(KEY, lambda: Monitor(interval_s=serving.metrics_interval_s))


def sampled(call: Call, token: str | None = None) -> tuple[Monitor, Place]:
    """The monitor with a sample of the present moment, and the place of a call.  Raises the errors of the store.

    ``token``: that of a page, which continues what was sampled for the first one.
    """
    monitor, place = monitor_of(call.serving), (call.account, call.region)
    if not token:
        monitor.sample(place, call.store)
    return monitor, place
