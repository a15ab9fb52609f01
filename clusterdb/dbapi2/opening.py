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
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import apsw

from clusterdb.access.sqlite import Connection
from clusterdb.access.untrusted import Limits, check_options, prepared
from clusterdb.clusters.connecting import connect
from clusterdb.errors import (
    ClusterExistsError,
    ClusterNotFoundError,
    Error,
    InvalidArgumentError,
    InvalidNameError,
    NotAStoreError,
)
from clusterdb.rules.names import check_name
from clusterdb.store import Cluster, Store, default_path
from vfs.holds import busy, is_busy

__all__ = ["Mode", "Opened", "close_collected", "opened", "share", "shared_store"]

Mode = Literal["ro", "rw", "rwc", "memory"]
_CHOICES = {
    "mode": ("ro", "rw", "rwc", "memory"),
    "create": ("1", "true", "yes", "0", "false", "no"),
    "cache": ("shared", "private"),
}
_PLAIN_FLAGS = {"ro": apsw.SQLITE_OPEN_READONLY, "rw": apsw.SQLITE_OPEN_READWRITE}
_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database: how to let go of it, and the cluster that it is (None: a plain file)."""

    db: Connection
    close: Callable[[], None]
    cluster: Cluster | None = None
    engine: str = "sqlite"


# --- stores that this process has open --------------------------------------------------------------------------------
_guard = threading.RLock()
_stores: dict[str, Store] = {}
_shared: dict[str, tuple[Cluster, int]] = {}
_numbers = itertools.count(1)
_collected: deque[Opened] = deque()
"""What the collector would have closed in a thread that was busy in a store."""


def shared_store(path: str | os.PathLike[str] | None = None, *, create: bool = False) -> Store:
    """The store at a path (None: the default one), opened once in a process and closed when that ends.

    Raises NotAStoreError if there is none and ``create`` is false, and what :func:`clusterdb.open` raises.
    """
    path = os.fspath(path) if path is not None else str(default_path())
    with _guard, busy():
        store = _open_already(path)
        if store is None:
            store = Store(path, create=create, synchronous="OFF" if path == _MEMORY else "FULL", verify_reads=False)
            _remember(store)
        return store


def share(store: Store) -> None:
    """Whoever connects by the path of a store that this process has open goes through it, until it is closed."""
    with _guard, busy():
        if _open_already(store.path) is None:
            _remember(store)


def _open_already(path: str) -> Store | None:
    store = _stores.get(_key(path))
    return store if store is not None and store.context.is_usable else None


def _remember(store: Store) -> None:
    if not _stores:
        atexit.register(_close_stores)
    _stores[_key(store.path)] = store


def _key(path: str) -> str:
    return path if path == _MEMORY else str(Path(path).absolute())


def close_collected(opened: Opened) -> None:
    """Close what nobody closed: now, or, if the collector came to it in the middle of something, a little later."""
    if is_busy():
        _collected.append(opened)
    else:
        opened.close()


def _close_those_collected() -> None:
    while _collected:
        with suppress(IndexError):  # another thread was faster
            _collected.popleft().close()


def _close_stores() -> None:
    _close_those_collected()
    with _guard, busy():
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
    trusted: bool = True,
    limits: Limits | None = None,
) -> Opened:
    """Open what ``database`` stands for, for SQL that is trusted or not.

    Raises as :func:`_opened`.
    """
    check_options(trusted=trusted, limits=limits)
    _close_those_collected()
    found = _opened(
        database,
        uri=uri,
        store=store,
        endpoint=endpoint,
        create=create,
        mode=mode,
        cached_statements=cached_statements,
    )
    try:
        prepared(found.db, trusted=trusted, limits=limits)
    except BaseException:
        found.close()
        raise
    return found


def _opened(
    database: Any,
    *,
    uri: bool,
    store: Store | str | os.PathLike[str] | None,
    endpoint: str,
    create: bool,
    mode: Mode | None,
    cached_statements: int,
) -> Opened:
    """Open what ``database`` stands for.

    Raises the errors of PEP 249 (InvalidArgumentError, before anything is opened, for options that make no sense),
    TypeError for what is no name.
    """
    _check_choice("mode", mode)
    if isinstance(database, Cluster):
        if mode == "memory":
            raise InvalidArgumentError("mode='memory' is for anonymous clusters: use 'ro' or 'rw' with a Cluster")
        return _of_cluster(database, endpoint, mode, cached_statements)
    if isinstance(database, bytes | os.PathLike):
        name = os.fsdecode(database)
        return _plain(name if "/" in name else f"./{name}", 0, endpoint, mode, cached_statements)
    if not isinstance(database, str):
        raise TypeError(f"connect() argument 1 must be a name, a path or a Cluster, not {type(database).__name__}")
    if database.startswith("clusterdb:") or (uri and database.startswith("file:")):
        scheme = database.partition(":")[0]
        name, options = _parsed(database)
        mode = options.get("mode", mode)
        endpoint = options.get("endpoint", endpoint)
        if mode == "memory" or name == _MEMORY:
            _require_writer("an anonymous cluster", endpoint)
            return _shared_memory(name, cached_statements) if options.get("cache") == "shared" else _memory()
        if scheme == "file" and _is_path(name):
            return _plain(database, apsw.SQLITE_OPEN_URI, endpoint, mode, cached_statements)
        store = options.get("store", store)
        create = create or options.get("create") in ("1", "true", "yes")
        database = name
    if database == _MEMORY or mode == "memory":
        _require_writer("an anonymous cluster", endpoint)
        return _memory()
    if store is None and _is_path(database):
        return _plain(database, 0, endpoint, mode, cached_statements)
    return _named(database, store, endpoint, create, mode, cached_statements)


def _is_path(name: str) -> bool:
    return not name or "/" in name or "." in name


def _parsed(uri: str) -> tuple[str, dict[str, Any]]:
    """What a URI names, and its options.  Raises InvalidArgumentError."""
    scheme, _, rest = uri.partition(":")
    try:
        parts = urlsplit(rest)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        form = "clusterdb:NAME?store=PATH&endpoint=NAME&mode=MODE"
        raise InvalidArgumentError(f"'{uri}' is no URI ({error}): use {form}") from None
    known = ("store", "endpoint", *_CHOICES)
    for name, value in options.items():
        if scheme == "clusterdb" and name not in known:
            raise InvalidArgumentError(f"'{uri}': there is no option '{name}', use {', '.join(known)}")
        _check_choice(name, value)
    return unquote(parts.path), options


def _check_choice(option: str, value: str | None) -> None:
    choices = _CHOICES.get(option)
    if choices is not None and value is not None and value not in choices:
        raise InvalidArgumentError(f"{option}={value!r}: use {', '.join(map(repr, choices))}")


def _require_writer(what: str, endpoint: str) -> None:
    if endpoint != "writer":
        raise InvalidArgumentError(f"endpoint={endpoint!r}: {what} has no instances, use 'writer' or leave it out")


def _plain(name: str, flags: int, endpoint: str, mode: Mode | None, cached_statements: int) -> Opened:
    _require_writer("a plain file", endpoint)
    flags |= _PLAIN_FLAGS.get(mode or "rwc", apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    db = Connection(name, flags, statementcachesize=max(0, cached_statements))
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
    db = connect(cluster.context, cluster, endpoint, read_only=mode == "ro", cached_statements=cached_statements)
    return Opened(db, db.close, cluster, cluster.settings.engine)


# --- anonymous clusters -----------------------------------------------------------------------------------------------
def _memory() -> Opened:
    store = shared_store(_MEMORY, create=True)
    cluster = store.create_cluster(f"anonymous-{next(_numbers)}")
    db = connect(cluster.context, cluster, "writer", read_only=False)

    def close() -> None:
        db.close()
        _forget(cluster)

    return Opened(db, close, cluster)


def _shared_memory(name: str, cached_statements: int) -> Opened:
    """An anonymous cluster that has a name for this process, and lives as long as one of its connections."""
    with _guard, busy():
        known = _shared.get(name)
        if known is None or not known[0].context.is_usable:
            store = shared_store(_MEMORY, create=True)
            known = store.create_cluster(f"anonymous-{next(_numbers)}"), 0
        cluster, count = known
        _shared[name] = cluster, count + 1
    db = connect(cluster.context, cluster, "writer", read_only=False, cached_statements=cached_statements)

    def close() -> None:
        db.close()
        with _guard, busy():
            cluster, count = _shared.pop(name)
            if count > 1:
                _shared[name] = cluster, count - 1
            else:
                _forget(cluster)

    return Opened(db, close, cluster)


def _forget(cluster: Cluster) -> None:
    with suppress(ClusterNotFoundError):
        if cluster.context.is_usable:
            cluster.delete()
