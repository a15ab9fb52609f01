"""Accounts and regions are separate namespaces: each has a store of its own.

The *home* namespace is the store that is served.  Another one is a store in the directory of that store
(``namespaces/ACCOUNT/REGION``), or in memory if that one is in memory.  It is created by the first call that creates
something; other calls see an empty one.
"""

from __future__ import annotations

import threading
from pathlib import Path

from clusterdb.store import Store
from clusterdb.store import open as open_store

__all__ = ["Namespaces"]

_CREATING = ("Create", "Restore", "Copy")


class Namespaces:
    """The stores of a server, by account and region; :meth:`close` closes all but the home store."""

    def __init__(self, home: Store, account: str, region: str) -> None:
        self._home = home
        self._key = (account, region)
        self._stores: dict[tuple[str, str], Store] = {}
        self._empty: Store | None = None
        self._guard = threading.Lock()

    def store(self, account: str, region: str, action: str) -> Store:
        """The store for a call of an operation.  Raises the errors of :func:`clusterdb.open`."""
        key = (account, region)
        if key == self._key:
            return self._home
        with self._guard:
            store = self._stores.get(key) or self._opened(key, create=action.startswith(_CREATING))
            if store is not None:
                self._stores[key] = store
                return store
            if self._empty is None:
                self._empty = open_store(":memory:")
            return self._empty

    def stores(self) -> dict[tuple[str, str], Store]:
        """The stores that are open, by account and region; the home store is among them."""
        with self._guard:
            return {self._key: self._home, **self._stores}

    def _opened(self, key: tuple[str, str], *, create: bool) -> Store | None:
        create = create and not self._home.read_only
        if self._home.path == ":memory:":
            return open_store(":memory:") if create else None
        path = Path(self._home.path, "namespaces", *key)
        if not create and not path.exists():
            return None
        if create:
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
        return open_store(path, create=create, read_only=self._home.read_only)

    def close(self) -> None:
        """Close the stores that were opened here."""
        with self._guard:
            for store in self._stores.values():
                store.close()
            if self._empty is not None:
                self._empty.close()
            self._stores.clear()
            self._empty = None
