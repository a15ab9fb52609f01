"""Suites that nobody here wrote: clusterdb passes as many tests of them as it is sold with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.suites.__main__ import SUITES


def has_its_tests() -> bool:
    """Whether ``test.test_sqlite3`` of CPython is there."""
    try:
        return find_spec("test.test_sqlite3") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_suite_passes_as_many_tests_as_with_sqlite3(name: str, tmp_path: Path) -> None:
    """As many as sqlite3 (97 % of CPython's own suite, each miss with a reason)."""
    if name == "cpython" and not has_its_tests():
        pytest.skip("this Python comes without its own tests (Debian has them in libpython3-testsuite)")
    count = SUITES[name](tmp_path)
    assert count.is_enough, count
    if name == "cpython":
        assert not [note for note in count.notes if "Traceback" in note], "a miss without a reason"
