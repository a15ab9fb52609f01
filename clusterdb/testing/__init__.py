"""Tests on clones: every test gets a private copy of the whole database, whatever its size.

    from clusterdb.testing import clone_fixture, template_fixture     # for a conftest.py
    from clusterdb.testing import ClusterTestCase                     # for unittest

A *template* is a cluster that is built once from *seeds* (SQL, functions).  Its name is derived from the seeds, so that
every worker and every later run reuses it.  A test gets a *clone* of it, and may commit, change the schema, use threads
and processes: nothing is patched.  The fixtures are in :mod:`clusterdb.pytest_plugin`.

Importing this package is cheap: the engine is imported when the first of these names is used.
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

_MODULES = {
    "Clone": "clones",
    "ClusterTestCase": "cases",
    "SeedError": "seeds",
    "clone_fixture": "fixtures",
    "template_fixture": "fixtures",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
