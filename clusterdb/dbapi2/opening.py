"""What the first argument of ``connect()`` names, and how it is opened.

"prod"                              a cluster of the default store, or of ``store=``
"clusterdb:prod?store=./s&mode=ro"  the same as a URI; ``file:`` as well, with ``uri=True``
":memory:", "file:x?mode=memory"    an anonymous cluster, deleted with its last connection
"./app.db", "app.db", a Path        a plain SQLite file: any name with a slash or a dot, as in ATTACH
a Cluster                           that cluster
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast
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

__all__ = [
    "Database",
    "Mode",
    "OpenOptions",
    "Opened",
    "StoreLike",
    "close_collected",
    "open_database",
    "share",
    "shared_store",
]

Database: TypeAlias = str | bytes | os.PathLike[str] | Cluster
"""The first argument of ``connect()``."""
Mode = Literal["ro", "rw", "rwc", "memory"]
StoreLike: TypeAlias = Store | str | os.PathLike[str]

_CHOICES = {
    "mode": ("ro", "rw", "rwc", "memory"),
    "create": ("1", "true", "yes", "0", "false", "no"),
    "cache": ("shared", "private"),
}
_URI_OPTIONS = ("store", "endpoint", *_CHOICES)
_PLAIN_FLAGS = {"ro": apsw.SQLITE_OPEN_READONLY, "rw": apsw.SQLITE_OPEN_READWRITE}
_MEMORY = ":memory:"


@dataclass(slots=True, kw_only=True)  # not frozen: that makes it six times as slow, for every connection
class OpenOptions:
    """The options of ``connect()`` that decide what is opened, and how; see :func:`clusterdb.connect`.

    Treated as immutable: the options in a URI go into a copy.
    """

    uri: bool = False
    store: StoreLike | None = None
    endpoint: str = "writer"
    create: bool = False
    mode: Mode | None = None
    cached_statements: int = 128
    trusted: bool = True
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An open database, the function that closes it, and its cluster (None: a plain file)."""

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
"""Connections that were garbage-collected in a thread that was busy in a store: closed by the next ``connect()``."""


def shared_store(path: str | os.PathLike[str] | None = None, *, create: bool = False) -> Store:
    """The store at ``path`` (None: the default store), opened once per process and closed at its end.

    Raises NotAStoreError if it does not exist and ``create`` is false, and the errors of :func:`clusterdb.open`.
    """
    path = os.fspath(path) if path is not None else str(default_path())
    with _guard, busy():
        store = _open_already(path)
        if store is None:
            store = Store(path, create=create, synchronous="OFF" if path == _MEMORY else "FULL", verify_reads=False)
            _remember(store)
        return store


def share(store: Store) -> None:
    """Let connections that are opened by this store's path reuse it until it is closed."""
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
    """Close a connection that was garbage-collected: later, if this thread is busy in a store."""
    if is_busy():
        _collected.append(opened)
    else:
        opened.close()


def _close_pending() -> None:
    while _collected:
        with suppress(IndexError):  # another thread was faster
            _collected.popleft().close()


def _close_stores() -> None:
    _close_pending()
    with _guard, busy():
        while _stores:
            _, store = _stores.popitem()
            with suppress(Error):  # still in use: the end of the process closes it
                store.close()


# --- opening ----------------------------------------------------------------------------------------------------------
def open_database(database: Database, options: OpenOptions) -> Opened:
    """Open what ``database`` names, for trusted or untrusted SQL.

    Raises the errors of PEP 249 (InvalidArgumentError, before anything is opened, for options that contradict each
    other), TypeError for an argument of another type.
    """
    check_options(trusted=options.trusted, limits=options.limits)
    _check_choice("mode", options.mode)
    _close_pending()
    opened = _open_trusted(database, options)
    try:
        prepared(opened.db, trusted=options.trusted, limits=options.limits)
    except BaseException:
        opened.close()
        raise
    return opened


def _open_trusted(database: object, options: OpenOptions) -> Opened:
    if isinstance(database, Cluster):
        if options.mode == "memory":
            raise InvalidArgumentError("mode='memory' is for anonymous clusters: use 'ro' or 'rw' with a Cluster")
        return _open_cluster(database, options)
    if isinstance(database, bytes | os.PathLike):
        path = os.fsdecode(database)
        return _open_plain(path if "/" in path else f"./{path}", options)
    if not isinstance(database, str):
        raise TypeError(f"connect() argument 1 must be a name, a path or a Cluster, not {type(database).__name__}")
    if database.startswith("clusterdb:") or (options.uri and database.startswith("file:")):
        return _open_uri(database, options)
    if database == _MEMORY or options.mode == "memory":
        return _open_anonymous(options)
    if options.store is None and _is_path(database):
        return _open_plain(database, options)
    return _open_named(database, options)


def _open_uri(uri: str, options: OpenOptions) -> Opened:
    """Open what a URI names; its options override those of ``connect()``.  Raises InvalidArgumentError."""
    name, values = _parsed(uri)
    options = replace(
        options,
        mode=cast("Mode | None", values.get("mode", options.mode)),
        endpoint=values.get("endpoint", options.endpoint),
    )
    if options.mode == "memory" or name == _MEMORY:
        return _open_shared(name, options) if values.get("cache") == "shared" else _open_anonymous(options)
    if uri.startswith("file:") and _is_path(name):
        return _open_plain(uri, options, apsw.SQLITE_OPEN_URI)
    options = replace(
        options,
        store=values.get("store", options.store),
        create=options.create or values.get("create") in ("1", "true", "yes"),
    )
    if options.store is None and _is_path(name):
        return _open_plain(name, options)
    return _open_named(name, options)


def _is_path(name: str) -> bool:
    return not name or "/" in name or "." in name


def _parsed(uri: str) -> tuple[str, dict[str, str]]:
    """The name and the options of a URI.  Raises InvalidArgumentError."""
    scheme, _, rest = uri.partition(":")
    try:
        parts = urlsplit(rest)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError as error:
        form = "clusterdb:NAME?store=PATH&endpoint=NAME&mode=MODE"
        raise InvalidArgumentError(f"invalid URI '{uri}' ({error}): use {form}") from None
    for name, value in options.items():
        if scheme == "clusterdb" and name not in _URI_OPTIONS:
            raise InvalidArgumentError(f"unknown option '{name}' in '{uri}': use {', '.join(_URI_OPTIONS)}")
        _check_choice(name, value)
    return unquote(parts.path), options


def _check_choice(option: str, value: str | None) -> None:
    choices = _CHOICES.get(option)
    if choices is not None and value is not None and value not in choices:
        raise InvalidArgumentError(f"{option}={value!r}: use {', '.join(map(repr, choices))}")


def _require_writer(kind: str, endpoint: str) -> None:
    """Raises InvalidArgumentError for an endpoint of a database that has no instances."""
    if endpoint != "writer":
        raise InvalidArgumentError(f"endpoint={endpoint!r}: {kind} has no instances, use 'writer' or omit endpoint=")


def _open_plain(name: str, options: OpenOptions, flags: int = 0) -> Opened:
    _require_writer("a plain file", options.endpoint)
    flags |= _PLAIN_FLAGS.get(options.mode or "rwc", apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    db = Connection(name, flags, statementcachesize=max(0, options.cached_statements))
    return Opened(db, db.close)


def _open_named(name: str, options: OpenOptions) -> Opened:
    """Open a cluster by its name; create it first if the options ask for that and it does not exist."""
    try:
        check_name(name)
    except InvalidNameError as error:
        raise InvalidNameError(f"{error}; a path of a plain file has a slash or a dot in it, as './{name}'") from None
    create = options.create or options.mode == "rwc"
    try:
        store = options.store if isinstance(options.store, Store) else shared_store(options.store, create=create)
    except NotAStoreError as error:
        raise NotAStoreError(f"no cluster '{name}': {error}") from None
    try:
        cluster = store.cluster(name)
    except ClusterNotFoundError:
        if not create:
            raise
        try:
            cluster = store.create_cluster(name)
        except ClusterExistsError:  # another process was faster
            cluster = store.cluster(name)
    return _open_cluster(cluster, options)


def _open_cluster(cluster: Cluster, options: OpenOptions) -> Opened:
    db = connect(
        cluster.context,
        cluster,
        options.endpoint,
        read_only=options.mode == "ro",
        cached_statements=options.cached_statements,
    )
    return Opened(db, db.close, cluster, cluster.settings.engine)


# --- anonymous clusters -----------------------------------------------------------------------------------------------
def _open_anonymous(options: OpenOptions) -> Opened:
    _require_writer("an anonymous cluster", options.endpoint)
    store = shared_store(_MEMORY, create=True)
    cluster = store.create_cluster(f"anonymous-{next(_numbers)}")
    db = connect(cluster.context, cluster, "writer", read_only=False)

    def close() -> None:
        db.close()
        _forget(cluster)

    return Opened(db, close, cluster)


def _open_shared(name: str, options: OpenOptions) -> Opened:
    """Open the anonymous cluster that has this name in this process; its last connection deletes it."""
    _require_writer("an anonymous cluster", options.endpoint)
    with _guard, busy():
        entry = _shared.get(name)
        if entry is None or not entry[0].context.is_usable:
            store = shared_store(_MEMORY, create=True)
            entry = store.create_cluster(f"anonymous-{next(_numbers)}"), 0
        cluster, count = entry
        _shared[name] = cluster, count + 1
    db = connect(cluster.context, cluster, "writer", read_only=False, cached_statements=options.cached_statements)

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
