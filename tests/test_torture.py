"""A seeded sample of each brute-force proof; ``make torture`` runs them for as long as one likes."""

from __future__ import annotations

import pytest

from torture import crash, damage, faults, kills, steady


@pytest.mark.parametrize("seed", [1, 2])
def test_crash_images(seed: int) -> None:
    """From every point of a short scenario, one image of what a power failure could leave comes back as promised."""
    assert crash.run_seed(seed, per_point=1) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(10, 21), 50_000_005])  # the last: a head slot that an unsynced version had
def test_crash_images_of_every_kind(seed: int) -> None:
    """The same with all kinds of images: everything kept, nothing, some, torn, reordered, growth lost."""
    assert crash.run_seed(seed) > 300


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
