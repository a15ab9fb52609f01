"""The system's clock is set ahead and back: no commit is hidden by another, and lags pass as time does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import clusterdb
from tests.support.clocks import set_clocks
from tests.support.mishaps import boot_again, fill, letters, letters_of, rewrite
from tests.support.stores import assert_clean

HOUR_NS = 3_600_000_000_000
TIME_NS = time.time_ns
BOOT_NS = time.clock_gettime_ns


class SetClock:
    """The system's clock and the time since the boot, both moved by hand."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        self.passed_ns = 0

    def time_ns(self) -> int:
        return TIME_NS() + self.ahead_ns + self.passed_ns

    def clock_gettime_ns(self, which: int) -> int:
        return BOOT_NS(which) + self.passed_ns

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time_ns() / 1e9, tz=timezone.utc)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.passed_ns += int(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetClock]:
    """A clock that can be set."""
    clock = SetClock()
    set_clocks(monkeypatch, clock.time_ns, clock.clock_gettime_ns)
    yield clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


def jump(clock: SetClock, store: clusterdb.Store) -> datetime:
    """Commits 'a' before, 'b' while the clock is an hour ahead, 'c' and 'd' after it was set back; when 'c' was."""
    connection = store.cluster("prod").connect()
    fill(connection, 5, "a")
    clock.wait(60)
    clock.ahead_ns = HOUR_NS
    rewrite(connection, "b")
    clock.ahead_ns = 0
    clock.wait(60)
    rewrite(connection, "c")
    time_of_c = clock.now()
    clock.wait(60)
    rewrite(connection, "d")
    connection.close()
    return time_of_c


def test_clone_at_the_present_time_sees_all_commits(clock: SetClock, path: Path) -> None:
    """A commit that was dated ahead hides no later one from who asks for now, or for a span before now."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backtrack_window_s=86_400)
        time_of_c = jump(clock, store)
        clock.wait(1)
        prod.clone("now", at=clock.now())
        prod.clone("second", at=timedelta(seconds=1))
        prod.clone("c", at=time_of_c)
        prod.clone("before", at=timedelta(seconds=30))
        letters_by_clone = {name: letters_of(store, name) for name in ("now", "second", "c", "before")}
        assert letters_by_clone == {"now": {"d": 5}, "second": {"d": 5}, "c": {"c": 5}, "before": {"c": 5}}
        assert_clean(store)


def test_time_before_the_clock_was_set_ahead_is_taken_as_it_is(clock: SetClock, path: Path) -> None:
    """The skew of later commits does not move the times of earlier ones."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backtrack_window_s=86_400)
        connection = prod.connect()
        fill(connection, 5, "x")
        early = clock.now()
        connection.close()
        clock.wait(600)
        jump(clock, store)
        prod.clone("early", at=early)
        assert letters_of(store, "early") == {"x": 5}


def test_backtrack_by_milliseconds_keeps_what_is_older(clock: SetClock, path: Path) -> None:
    """Ten milliseconds ago is ten milliseconds ago, wherever the clock was in between; also after a boot."""
    with clusterdb.open(path) as store:
        store.create_cluster("prod", backtrack_window_s=86_400)
        jump(clock, store)
        clock.wait(1)
        store.cluster("prod").backtrack(timedelta(milliseconds=10))
        assert letters_of(store, "prod") == {"d": 5}
    boot_again(path)
    with clusterdb.open(path) as store:
        clock.wait(1)
        store.cluster("prod").backtrack(timedelta(milliseconds=10))
        assert letters_of(store, "prod") == {"d": 5}
        earliest, latest = store.cluster("prod").restorable()
        assert earliest <= latest <= clock.now()


def test_lagging_reader_follows_after_the_clock_was_set_back(clock: SetClock, path: Path) -> None:
    """A lag is measured by a clock that nobody sets: the reader does not wait until the other has caught up."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
        prod.add_instance("one")
        prod.add_instance("two", replica_lag_ms=100)
        connection = prod.connect()
        fill(connection, 5, "a")
        clock.wait(1)
        clock.ahead_ns = HOUR_NS
        rewrite(connection, "b")
        reader = prod.connect(endpoint="reader")
        assert letters(reader) == {"a": 5}
        clock.ahead_ns = 0
        rewrite(connection, "c")
        assert letters(reader) == {"a": 5}
        clock.wait(0.2)
        assert letters(reader) == {"c": 5}
        clock.wait(1)
        rewrite(connection, "d")
        assert letters(reader) == {"c": 5}
        clock.wait(0.05)
        assert letters(reader) == {"c": 5}
        clock.wait(0.1)
        assert letters(reader) == {"d": 5}
        for opened in (connection, reader):
            opened.close()
