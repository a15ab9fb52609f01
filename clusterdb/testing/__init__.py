"""Tests on clones: every test has the whole database for itself, whatever its size.

    from clusterdb.testing import clone_fixture, template_fixture     # for a conftest.py
    from clusterdb.testing import ClusterTestCase                     # for unittest

A *template* is a cluster that is built once from *seeds* (SQL, functions) and found again by every worker and every
later run under a name made of those seeds.  A test gets a *clone* of it, and may commit, change the schema, use threads
and processes: nothing is patched.  The fixtures are in :mod:`clusterdb.pytest_plugin`.

Importing this costs nothing; the engine is imported when the first of these names is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterdb.testing.cases import ClusterTestCase
    from clusterdb.testing.clones import Clone
    from clusterdb.testing.fixtures import clone_fixture, template_fixture
    from clusterdb.testing.seeds import SeedError

__all__ = ["Clone", "ClusterTestCase", "SeedError", "clone_fixture", "template_fixture"]

_HOMES = {
    "Clone": "clones",
    "ClusterTestCase": "cases",
    "SeedError": "seeds",
    "clone_fixture": "fixtures",
    "template_fixture": "fixtures",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
