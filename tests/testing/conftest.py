"""Fixtures: runs of pytest with the plugin, in this process or in another."""

from __future__ import annotations

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

from tests.testing.plugin import PLUGIN, Runner


@pytest.fixture
def run(pytester: pytest.Pytester) -> Runner:
    """Run pytest with the plugin, in this process."""
    return lambda *arguments: pytester.runpytest_inprocess(*PLUGIN, "-p", "no:xdist", *arguments)


@pytest.fixture
def run_apart(pytester: pytest.Pytester) -> Runner:
    """Run pytest with the plugin, in processes of its own."""
    return lambda *arguments: pytester.runpytest_subprocess(*PLUGIN, *arguments)
