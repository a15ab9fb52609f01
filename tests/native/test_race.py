"""Races of the data plane in C, under ThreadSanitizer: see ``race.py``."""

from __future__ import annotations

import pytest

from tests.native import race


@pytest.mark.slow
def test_threads_of_several_processes_see_whole_versions_and_no_race() -> None:
    """``make race`` does the same for longer."""
    name = race.compiler()
    if name is None:
        pytest.skip("no C compiler with ThreadSanitizer")
    assert len(race.run(name, seconds=10)) == 2
