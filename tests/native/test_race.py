"""Threads of several processes use the data plane in C without a data race, and see whole versions."""

from __future__ import annotations

import pytest

from tests.native.race import compiler, run


@pytest.mark.slow
def test_threads_of_several_processes_do_not_race() -> None:
    name = compiler()
    if name is None:
        pytest.skip("no C compiler with ThreadSanitizer")
    assert len(run(name, seconds=10)) == 2, "a line of figures for each process"
