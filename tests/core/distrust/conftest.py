"""Fixtures: the family's store, and copies of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.distrust.family import copy_of, make_family


@pytest.fixture(scope="module")
def family() -> Iterator[Path]:
    """The family's store, closed.  Damage copies of it."""
    memory = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="distrust-", dir=memory if memory.is_dir() else None))
    make_family(base / "family")
    yield base / "family"
    shutil.rmtree(base)


@pytest.fixture
def own(family: Path) -> Iterator[Path]:
    """A copy of the family to damage."""
    with copy_of(family) as path:
        yield path
