"""A seeded sample of each brute-force proof; ``make torture`` runs them for as long as one likes."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.torture import copies, crash, damage, deaths, faults, kills, signals, steady


@pytest.mark.parametrize("seed", [1, 2])
def test_crash_images(seed: int) -> None:
    """From many points of a short scenario, one image of what a power failure could leave comes back as promised."""
    assert crash.run_seed(seed, per_point=1, every=3) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(10, 21), 50_000_005])  # the last: a head slot that an unsynced version had
def test_crash_images_of_every_kind(seed: int) -> None:
    """The same with all kinds of images: everything kept, nothing, some, torn, reordered, growth lost."""
    assert crash.run_seed(seed) > 300


def test_crash_images_behind_deaths_and_sweeps() -> None:
    """Processes die in all kinds of places, openers sweep behind them, and then the power fails."""
    tried = Counter[str]()
    for seed in (5, 7):
        tried += deaths.run_seed(seed, every=8)
    assert tried["deaths"] > 5
    assert tried[deaths.COMBINED] > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", [13, 32, *range(100, 110)])
def test_more_crash_images_behind_deaths_and_sweeps(seed: int) -> None:
    """The same for longer; a sweep once freed what was durable, and replaced by what was not (13, 32)."""
    assert deaths.run_seed(seed, per_point=2)["images"] > 100


def test_every_named_point_is_known_to_the_crash_images() -> None:
    """Deaths come to every point that the storage layer and the catalog name."""
    assert {"commit: synced", "sweep: marked", "absorb: slots kept", "catalog: committed"} <= set(deaths.POINTS)


def test_faults() -> None:
    """A sample of the faults that can befall each operation."""
    assert faults.run_all(every=7) > 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_fault(seed: int) -> None:
    """Every I/O call of every operation fails once, in every way."""
    assert faults.run_all(seed=seed) > 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_kills(seed: int) -> None:
    """Forty processes are killed at random while others work; the books balance and nothing acknowledged is lost."""
    killed, acknowledged = kills.run(40, seed)
    assert killed == 40
    assert acknowledged > 100


def test_damage() -> None:
    """Damaged bytes are answered with right data or a named error, and check reports what it must."""
    outcomes = damage.run(120, seed=1)
    assert outcomes["reported"] > 5
    assert outcomes["fine"] > 5


def test_copied_files() -> None:
    """A backup copied over a closed store is the store, whatever the derived files say."""
    assert copies.run(12, seed=0).total() == 12


@pytest.mark.slow
def test_more_copied_files() -> None:
    """The same for longer."""
    assert copies.run(200, seed=1).total() == 200


@pytest.mark.parametrize("seed", [1, 2])
def test_signals(seed: int) -> None:
    """Exceptions at random moments leave no lock, no pin, and no half of anything."""
    assert signals.run(100, seed).total() >= 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 9))
def test_more_signals(seed: int) -> None:
    """The same for longer."""
    assert signals.run(500, seed).total() >= 500


def test_steady_state_in_short() -> None:
    """A few thousand updates, commits beside a reader and rounds of clone, write, drop leave the pool as it was."""
    assert steady.updates(5_000) < 2.5
    steady.pinned_reader(500)
    steady.rounds(100)


@pytest.mark.slow
def test_steady_state() -> None:
    """The same for longer."""
    steady.updates(60_000)
    steady.pinned_reader(10_000)
    steady.rounds(2_000)
