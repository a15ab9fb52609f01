"""Nothing acknowledged is lost, and every state is whole, in random histories over storage that fails."""

from __future__ import annotations

import pytest

from tests.remote.histories import run


@pytest.mark.parametrize("seed", range(12))
def test_nothing_acknowledged_is_lost(seed: int) -> None:
    run(range(seed, seed + 1))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 600, 50))
def test_nothing_acknowledged_is_lost_in_many_histories(start: int) -> None:
    run(range(10_000 + start, 10_000 + start + 50))
