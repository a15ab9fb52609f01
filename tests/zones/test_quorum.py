"""Random histories of writers on six nodes, in memory and in directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterdb.zones import quorum
from tests.zones.histories import run_histories
from tests.zones.simulated_directories import simulated_directories


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "_AGAIN_S", 0)


@pytest.mark.parametrize("start", range(0, 200, 100))
def test_histories_lose_nothing_acknowledged(start: int) -> None:
    run_histories(range(start, start + 100))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 3000, 500))
def test_many_histories_lose_nothing_acknowledged(start: int) -> None:
    run_histories(range(start, start + 500))


def test_histories_of_directories_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Requests are held up in the middle, processes die, and the power fails."""
    with simulated_directories(tmp_path) as create_node:
        run_histories(range(30), create_node)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 1500, 250))
def test_many_histories_of_directories_lose_nothing_acknowledged(tmp_path: Path, start: int) -> None:
    with simulated_directories(tmp_path) as create_node:
        run_histories(range(start, start + 250), create_node)
