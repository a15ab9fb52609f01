"""Clusters of SQLite databases that clone in constant time.

    import clusterdb
    store = clusterdb.open("./store")
    prod = store.create_cluster("prod", from_file="app.db")
    dev = prod.clone("dev")
    connection = clusterdb.connect(dev)

The module is a DB-API 2.0 module too (PEP 249), see :mod:`clusterdb.dbapi2`.

See README.md, and ``clusterdb/ARCHITECTURE.md`` for how it is built.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clusterdb.public import *  # noqa: F403

    implementation: str
    """The data plane with which stores are opened: ``"c"`` or ``"python"``; ``CLUSTERDB_IMPL`` chooses another."""

__version__ = "0.1.0"


_MODULES = frozenset(name.partition(".")[0] for name in os.listdir(os.path.dirname(__file__)))  # noqa: PTH120, PTH208


def __getattr__(name: str) -> Any:
    """Import a name of :mod:`clusterdb.public` when it is first used, so that importing the package is fast."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name == "implementation":  # not kept: the environment may change
        return import_module("clusterdb.access.build").implementation()
    if name.startswith("SQLITE_"):
        return getattr(import_module("clusterdb.dbapi2"), name)
    if not name.startswith("_") or name == "__all__":
        value = getattr(import_module("clusterdb.public"), name, None)
        if value is not None:
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "implementation", *import_module("clusterdb.public").__all__})
