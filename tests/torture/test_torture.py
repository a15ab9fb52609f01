"""A seeded sample of each brute-force proof; ``make torture`` runs them for as long as one likes."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.torture import copies, crash, damage, deaths, faults, kills, signals, steady


@pytest.mark.parametrize("seed", [1, 2])
def test_crash_images_come_back_as_promised(seed: int) -> None:
    """From many points of a short scenario, one image of what a power failure could leave comes back as promised."""
    assert crash.run_seed(seed, per_point=1, every=3) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10, 11, 15, 50_000_005])  # the last: a head slot that an unsynced version had
def test_every_kind_of_crash_image_comes_back_as_promised(seed: int) -> None:
    """Images with all, none, some, torn and reordered writes, and with lost growth."""
    assert crash.run_seed(seed) > 300


def test_crash_images_after_deaths_and_sweeps_come_back_as_promised() -> None:
    """Processes die in all kinds of places, openers sweep behind them, and then the power fails."""
    tried = Counter[str]()
    for seed in (5, 7):
        tried += deaths.run_seed(seed, every=8)
    assert tried["deaths"] > 5
    assert tried[deaths.COMBINED] > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", [13, 32, *range(100, 107)])
def test_more_crash_images_after_deaths_and_sweeps_come_back_as_promised(seed: int) -> None:
    """The same for longer; a sweep once freed what was durable, and replaced by what was not (13, 32)."""
    assert deaths.run_seed(seed, per_point=2)["images"] > 80


def test_crash_images_cover_every_named_point() -> None:
    """Deaths come to every point that the storage layer and the catalog name."""
    assert {"commit: synced", "sweep: marked", "absorb: slots kept", "catalog: committed"} <= set(deaths.POINTS)


def test_sampled_faults_leave_the_store_clean() -> None:
    """A sample of the faults that can befall each operation."""
    assert faults.run_all(every=7) > 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_fault_leaves_the_store_clean(seed: int) -> None:
    """Every I/O call of every operation fails once, in every way."""
    assert faults.run_all(seed=seed) > 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_processes_lose_no_acknowledged_transfer(seed: int) -> None:
    """Forty processes are killed at random while others work; the books balance and nothing acknowledged is lost."""
    killed, acknowledged = kills.run(40, seed)
    assert killed == 40
    assert acknowledged > 100


def test_damaged_bytes_give_right_data_or_a_named_error() -> None:
    """Damaged bytes are answered with right data or a named error, and check reports what it must."""
    outcomes = damage.run(120, seed=1)
    assert outcomes["reported"] > 5
    assert outcomes["fine"] > 5


def test_backup_copied_over_a_closed_store_is_the_store() -> None:
    """A backup copied over a closed store is the store, whatever the derived files say."""
    assert copies.run(12, seed=0).total() == 12


@pytest.mark.slow
def test_many_backups_copied_over_closed_stores_are_the_store() -> None:
    """More copies of the same kind."""
    assert copies.run(200, seed=1).total() == 200


@pytest.mark.parametrize("seed", [1, 2])
def test_exceptions_at_random_moments_leave_nothing_behind(seed: int) -> None:
    """Exceptions at random moments leave no lock, no pin, and no half of anything."""
    assert signals.run(100, seed).total() >= 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 7))
def test_exceptions_at_more_random_moments_leave_nothing_behind(seed: int) -> None:
    """More signals of the same kind."""
    assert signals.run(500, seed).total() >= 500


def test_steady_load_does_not_grow_the_pool() -> None:
    """A few thousand updates, commits beside a reader and rounds of clone, write, drop leave the pool as it was."""
    assert steady.updates(5_000) < 2.5
    steady.pinned_reader(500)
    steady.rounds(100)


@pytest.mark.slow
def test_steady_load_does_not_grow_the_pool_at_length() -> None:
    """More rounds of the same kind."""
    steady.updates(60_000)
    steady.updates(60_000, "FULL")
    steady.pinned_reader(10_000)
    steady.rounds(2_000)
