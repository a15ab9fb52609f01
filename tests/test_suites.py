"""Suites that nobody here wrote: clusterdb passes as many tests of them as it is sold with."""

from __future__ import annotations

from pathlib import Path

import pytest

from suites.__main__ import SUITES


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_suite(name: str, tmp_path: Path) -> None:
    """As many as sqlite3 (97 % of CPython's own suite, each miss with a reason)."""
    count = SUITES[name](tmp_path)
    assert count.is_enough, count
    if name == "cpython":
        assert not [note for note in count.notes if "Traceback" in note], "a miss without a reason"
