"""What the first argument of ``connect()`` stands for, and how it is opened.

"prod"                              a cluster of the default store, or of ``store=``
"clusterdb:prod?store=./s&mode=ro"  the same as a URI; ``file:`` does too, with ``uri=True``
":memory:", "file:x?mode=memory"    an anonymous cluster, gone with its last connection
"./app.db", "app.db", a Path        a plain SQLite file: whatever has a slash or a dot in it, as in ATTACH
a Cluster                           that one
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import apsw

from clusterdb.cluster import Cluster
from clusterdb.errors import (
    ClusterExistsError,
    ClusterNotFoundError,
    Error,
    InvalidArgumentError,
    InvalidNameError,
    NotAStoreError,
)
from clusterdb.names import check_name
from clusterdb.store import Store, default_path

__all__ = ["Mode", "Opened", "opened", "shared_store"]

Mode = Literal["ro", "rw", "rwc", "memory"]
_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database: how to let go of it, and the cluster that it is (None: a plain file)."""

    db: apsw.Connection
    close: Callable[[], None]
    cluster: Cluster | None = None


# --- stores that this process has open --------------------------------------------------------------------------------
_guard = threading.RLock()
_stores: dict[str, Store] = {}
_shared: dict[str, tuple[Cluster, int]] = {}
_numbers = itertools.count(1)


def shared_store(path: str | os.PathLike[str] | None = None, *, create: bool = False) -> Store:
    """The store at a path (None: the default one), opened once in a process and closed when that ends.

    Raises NotAStoreError if there is none and ``create`` is false, and what :func:`clusterdb.open` raises.
    """
    path = os.fspath(path) if path is not None else str(default_path())
    key = path if path == _MEMORY else str(Path(path).absolute())
    with _guard:
        store = _stores.get(key)
        if store is None or store._closed or store._pid != os.getpid():
            store = _stores[key] = Store(
                path, create=create, synchronous="OFF" if path == _MEMORY else "FULL", verify_reads=False
            )
            if len(_stores) == 1:
                atexit.register(_close_stores)
        return store


def _close_stores() -> None:
    with _guard:
        while _stores:
            _, store = _stores.popitem()
            with suppress(Error):  # somebody still uses it: the end of the process closes it
                store.close()


# --- opening ----------------------------------------------------------------------------------------------------------
def opened(
    database: Any,
    *,
    uri: bool,
    store: Store | str | os.PathLike[str] | None,
    endpoint: str,
    create: bool,
    mode: Mode | None,
    cached_statements: int,
) -> Opened:
    """Open what ``database`` stands for.  Raises the errors of PEP 249, TypeError for what is no name."""
    if isinstance(database, Cluster):
        return _of_cluster(database, endpoint, mode, cached_statements)
    if isinstance(database, bytes | os.PathLike):
        name = os.fsdecode(database)
        return _plain(name if "/" in name else f"./{name}", 0, cached_statements)
    if not isinstance(database, str):
        raise TypeError(f"connect() argument 1 must be a name, a path or a Cluster, not {type(database).__name__}")
    if database.startswith("clusterdb:") or (uri and database.startswith("file:")):
        scheme, _, rest = database.partition(":")
        parts = urlsplit(rest)
        options = _options(
            database, parts.query, ["store", "endpoint", "create", "mode", "cache"], scheme == "clusterdb"
        )
        name = unquote(parts.path)
        mode = options.get("mode", mode)
        if mode == "memory" or name == _MEMORY:
            return _shared_memory(name, cached_statements) if options.get("cache") == "shared" else _memory()
        if scheme == "file" and _is_path(name):
            return _plain(database, apsw.SQLITE_OPEN_URI, cached_statements)
        store = options.get("store", store)
        endpoint = options.get("endpoint", endpoint)
        create = create or options.get("create", "0") in ("1", "true", "yes")
        database = name
    if database == _MEMORY or mode == "memory":
        return _memory()
    if store is None and _is_path(database):
        return _plain(database, 0, cached_statements)
    return _named(database, store, endpoint, create, mode, cached_statements)


def _is_path(name: str) -> bool:
    return not name or "/" in name or "." in name


def _options(text: str, query: str, known: list[str], is_strict: bool) -> dict[str, Any]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if is_strict and name not in known:
            raise InvalidArgumentError(f"'{text}': there is no option '{name}', use {', '.join(known)}")
    return options


def _plain(name: str, flags: int, cached_statements: int) -> Opened:
    db = apsw.Connection(
        name,
        flags | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        statementcachesize=max(0, cached_statements),
    )
    return Opened(db, db.close)


def _named(
    name: str,
    store: Store | str | os.PathLike[str] | None,
    endpoint: str,
    create: bool,
    mode: Mode | None,
    cached_statements: int,
) -> Opened:
    """A cluster by name; created if that is wished, and it is not there."""
    if mode not in (None, "ro", "rw", "rwc"):
        raise InvalidArgumentError(f"mode={mode!r}: use 'ro', 'rw', 'rwc' or 'memory'")
    try:
        check_name(name)
    except InvalidNameError as error:
        raise InvalidNameError(f"{error}; a path of a plain file has a slash or a dot in it, as './{name}'") from None
    create = create or mode == "rwc"
    try:
        opened_store = store if isinstance(store, Store) else shared_store(store, create=create)
    except NotAStoreError as error:
        raise NotAStoreError(f"no cluster '{name}': {error}") from None
    try:
        cluster = opened_store.cluster(name)
    except ClusterNotFoundError:
        if not create:
            raise
        try:
            cluster = opened_store.create_cluster(name)
        except ClusterExistsError:  # somebody else was faster
            cluster = opened_store.cluster(name)
    return _of_cluster(cluster, endpoint, mode, cached_statements)


def _of_cluster(cluster: Cluster, endpoint: str, mode: Mode | None, cached_statements: int) -> Opened:
    db = cluster.store._connect(cluster, endpoint, read_only=mode == "ro", cached_statements=cached_statements)
    return Opened(db, db.close, cluster)


# --- anonymous clusters -----------------------------------------------------------------------------------------------
def _memory() -> Opened:
    store = shared_store(_MEMORY, create=True)
    cluster = store.create_cluster(f"anonymous-{next(_numbers)}")
    db = store._connect(cluster, "writer", read_only=False)

    def close() -> None:
        db.close()
        _forget(cluster)

    return Opened(db, close, cluster)


def _shared_memory(name: str, cached_statements: int) -> Opened:
    """An anonymous cluster that has a name for this process, and lives as long as one of its connections."""
    with _guard:
        known = _shared.get(name)
        if known is None or known[0].store._closed or known[0].store._pid != os.getpid():
            store = shared_store(_MEMORY, create=True)
            known = store.create_cluster(f"anonymous-{next(_numbers)}"), 0
        cluster, count = known
        _shared[name] = cluster, count + 1
    db = cluster.store._connect(cluster, "writer", read_only=False, cached_statements=cached_statements)

    def close() -> None:
        db.close()
        with _guard:
            cluster, count = _shared.pop(name)
            if count > 1:
                _shared[name] = cluster, count - 1
            else:
                _forget(cluster)

    return Opened(db, close, cluster)


def _forget(cluster: Cluster) -> None:
    with suppress(ClusterNotFoundError):
        if not cluster.store._closed and cluster.store._pid == os.getpid():
            cluster.delete()
