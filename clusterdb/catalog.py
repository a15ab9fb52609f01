"""The catalog: ``catalog.db``, a stock SQLite database in WAL mode.

It lists the clusters, and the volumes and pins that hold their data; the storage layer accesses the latter two through
:class:`vfs.registry.Registry`.  A committed transaction is durable (synchronous=EXTRA), except one of reclaim's and
those of a disposable store.

Locks: an open store has one connection per process, used under a re-entrant lock; between processes SQLite's locks
apply.  A catalog transaction never waits for a volume's writer.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import apsw

from clusterdb.errors import (
    ClusterExistsError,
    CorruptStoreError,
    EndpointExistsError,
    Error,
    InstanceExistsError,
    InvalidNameError,
    SnapshotExistsError,
    StoreBusyError,
    StoreFormatError,
    StoreFullError,
    TooManyReadersError,
)
from clusterdb.names import check_name
from clusterdb.settings import ClusterSettings
from vfs.failpoints import reach
from vfs.holds import busy
from vfs.interrupts import uninterrupted
from vfs.layout import (
    INSTANCE_ROWS,
    MOVED,
    SLOT_COUNT_MAX,
    VERSION_RECORD_BYTES,
    VOLUME_ROWS,
    Version,
    pack_version,
    unpack_version,
)
from vfs.registry import PinRow, VolumeRow, VolumeState
from vfs.sqlite_vfs import ClusterVFS

__all__ = [
    "AVAILABLE",
    "Catalog",
    "ClusterRow",
    "EndpointRow",
    "EventRow",
    "InstanceRow",
    "SnapshotRow",
    "volume_holder",
]

FORMAT = 2
AVAILABLE = "available"
EVENTS_MAX = 10_000
_APPLICATION_ID = 0x636C7374  # "clst"
_BUSY_TIMEOUT_MS = 30_000
_TIDY_TIMEOUT_MS = 20
_STATES = frozenset(map(str, VolumeState))

_ADDITIONS = """
CREATE INDEX IF NOT EXISTS released_pins ON pins (volume, version) WHERE released;
CREATE TABLE IF NOT EXISTS sealed (
    volume INTEGER PRIMARY KEY,
    version INTEGER NOT NULL                   -- was on the device when the store was closed
);
"""
"""Additions to the format; a store without them gets them when it is opened for writing."""

_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE store (id BLOB NOT NULL, created_ns INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE volumes (
    volume INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
    row INTEGER NOT NULL,                      -- in the volume table, and lock byte
    head_slot INTEGER NOT NULL,
    state TEXT NOT NULL,
    parent INTEGER,                            -- the volume that it was cloned from, pinned at the base's version
    base BLOB NOT NULL,                        -- version record
    retained INTEGER NOT NULL                  -- the oldest past version that is kept; 0: none
);
CREATE TABLE pins (
    volume INTEGER NOT NULL,
    version INTEGER NOT NULL,
    holder TEXT NOT NULL,                      -- 'volume:N' for the base of a clone
    released INTEGER NOT NULL,
    record BLOB NOT NULL,                      -- version record
    PRIMARY KEY (volume, version, holder)
) WITHOUT ROWID;
CREATE TABLE absorbed (
    volume INTEGER PRIMARY KEY,                -- deleted; the clone that was based on it has replaced it
    version INTEGER NOT NULL                   -- the version that the clone was based on
);
CREATE TABLE clusters (
    cluster INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused
    name TEXT NOT NULL UNIQUE,
    volume INTEGER NOT NULL UNIQUE,            -- changes when the cluster is reset or backtracked
    created_ns INTEGER NOT NULL,
    source TEXT,                               -- the name, at that time, of the cluster that it was cloned from
    source_cluster INTEGER,
    clone_group TEXT NOT NULL,                 -- shared by a cluster and all its clones
    status TEXT NOT NULL,
    settings TEXT NOT NULL,                    -- JSON, see settings.py
    used_ns INTEGER NOT NULL                   -- the approximate time of the last connection
);
CREATE TABLE pasts (
    volume INTEGER PRIMARY KEY,                -- was the cluster's until it was reset or backtracked
    cluster INTEGER NOT NULL,
    until_ns INTEGER NOT NULL
);
CREATE TABLE snapshots (
    snapshot INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    cluster TEXT NOT NULL,                     -- its name at that time
    volume INTEGER NOT NULL,                   -- pinned at version by 'snapshot:N'
    version INTEGER NOT NULL,
    taken_ns INTEGER NOT NULL,                 -- the time of the version
    created_ns INTEGER NOT NULL,
    settings TEXT NOT NULL
);
CREATE TABLE instances (
    instance INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    cluster INTEGER NOT NULL,
    is_writer INTEGER NOT NULL,
    class TEXT NOT NULL,
    tier INTEGER NOT NULL,
    zone TEXT NOT NULL,
    lag_ns INTEGER NOT NULL,
    jitter_ns INTEGER NOT NULL,
    row INTEGER NOT NULL UNIQUE                -- in the instance table
);
CREATE TABLE endpoints (
    cluster INTEGER NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    members TEXT NOT NULL,                     -- JSON lists of instance names
    excluded TEXT NOT NULL,
    PRIMARY KEY (cluster, name)
) WITHOUT ROWID;
CREATE TABLE events (
    event INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,                        -- of its source: cluster, instance, snapshot
    source TEXT NOT NULL,                      -- the name of the source
    category TEXT NOT NULL,
    message TEXT NOT NULL
);
{_ADDITIONS}"""


_PINNED_VERSIONS = """
WITH RECURSIVE pinned(version) AS (
    SELECT (SELECT version FROM pins WHERE volume = ?1 {0} ORDER BY version LIMIT 1)
    UNION ALL
    SELECT (SELECT version FROM pins WHERE volume = ?1 AND version > pinned.version {0} ORDER BY version LIMIT 1)
    FROM pinned WHERE pinned.version IS NOT NULL
) SELECT version FROM pinned WHERE version IS NOT NULL
"""
"""The distinct pinned versions: a search in the index for each version, instead of a scan of all its pins."""


class ClusterRow(NamedTuple):
    """A row of ``clusters``."""

    cluster: int
    name: str
    volume: int
    created_ns: int
    source: str | None
    source_cluster: int | None
    clone_group: str
    status: str
    settings: ClusterSettings
    used_ns: int


class SnapshotRow(NamedTuple):
    """A row of ``snapshots``."""

    snapshot: int
    name: str
    cluster: str
    volume: int
    version: int
    taken_ns: int
    created_ns: int
    settings: ClusterSettings


class InstanceRow(NamedTuple):
    """A row of ``instances``; ``row`` is its row in the instance table."""

    instance: int
    name: str
    cluster: int
    is_writer: bool
    instance_class: str
    tier: int
    zone: str
    lag_ns: int
    jitter_ns: int
    row: int


class EndpointRow(NamedTuple):
    """A row of ``endpoints``: a custom endpoint."""

    name: str
    type: str
    members: tuple[str, ...]
    excluded: tuple[str, ...]


class EventRow(NamedTuple):
    """A row of ``events``."""

    event: int
    time_ns: int
    kind: str
    source: str
    category: str
    message: str


def snapshot_holder(snapshot: int) -> str:
    """The holder of a snapshot's pin."""
    return f"snapshot:{snapshot}"


def volume_holder(volume: int) -> str:
    """The holder of the pin that a clone has on its base."""
    return f"volume:{volume}"


def _record(version: Version) -> bytes:
    return pack_version(version)[:VERSION_RECORD_BYTES]


_unpack_version = lru_cache(maxsize=4096)(unpack_version)


def _version(record: object, subject: str) -> Version:
    version = _unpack_version(record) if isinstance(record, bytes) else None
    if version is None:
        raise CorruptStoreError(f"the catalog's version record of {subject} fails its checksum")
    return version


def _require(holds: bool, subject: str) -> None:
    """Raises CorruptStoreError unless a value of a row is valid; every row is checked when it is read."""
    if not holds:
        raise CorruptStoreError(f"the catalog's row of {subject} is invalid")


def _is_int(value: object, low: int, end: int) -> bool:
    return type(value) is int and low <= value < end


def _require_name(name: str) -> str:
    try:
        return check_name(name)
    except InvalidNameError as error:
        raise CorruptStoreError(f"the catalog has an invalid name: {error}") from error


def _cluster_row(values: tuple[Any, ...]) -> ClusterRow:
    cluster, name, volume, created_ns, source, source_cluster, clone_group, status, settings, used_ns = values
    _require_name(name)
    _require(
        _is_int(cluster, 1, 1 << 62)
        and _is_int(volume, 1, MOVED)
        and _is_int(created_ns, 0, 1 << 63)
        and (source is None or isinstance(source, str))
        and (source_cluster is None or _is_int(source_cluster, 1, 1 << 62))
        and isinstance(clone_group, str)
        and isinstance(status, str)
        and isinstance(settings, str)
        and _is_int(used_ns, 0, 1 << 63),
        f"cluster '{name}'",
    )
    return ClusterRow(
        cluster,
        name,
        volume,
        created_ns,
        source,
        source_cluster,
        clone_group,
        status,
        ClusterSettings.from_json(settings),
        used_ns,
    )


def _snapshot_row(values: tuple[Any, ...]) -> SnapshotRow:
    snapshot, name, cluster, volume, version, taken_ns, created_ns, settings = values
    _require_name(name)
    _require(
        _is_int(snapshot, 1, 1 << 62)
        and isinstance(cluster, str)
        and _is_int(volume, 1, MOVED)
        and _is_int(version, 1, 1 << 62)
        and _is_int(taken_ns, 0, 1 << 63)
        and _is_int(created_ns, 0, 1 << 63)
        and isinstance(settings, str),
        f"snapshot '{name}'",
    )
    return SnapshotRow(
        snapshot, name, cluster, volume, version, taken_ns, created_ns, ClusterSettings.from_json(settings)
    )


def _instance_row(values: tuple[Any, ...]) -> InstanceRow:
    instance, name, cluster, is_writer, instance_class, tier, zone, lag_ns, jitter_ns, row = values
    _require_name(name)
    _require(
        _is_int(instance, 1, 1 << 62)
        and _is_int(cluster, 1, 1 << 62)
        and _is_int(is_writer, 0, 2)
        and isinstance(instance_class, str)
        and _is_int(tier, 0, 16)
        and isinstance(zone, str)
        and _is_int(lag_ns, 0, 1 << 62)
        and _is_int(jitter_ns, 0, 1 << 62)
        and _is_int(row, 0, INSTANCE_ROWS),
        f"instance '{name}'",
    )
    return InstanceRow(instance, name, cluster, bool(is_writer), instance_class, tier, zone, lag_ns, jitter_ns, row)


def _endpoint_row(values: tuple[Any, ...]) -> EndpointRow:
    name, kind, members, excluded = values
    _require_name(name)
    try:
        lists = tuple(tuple(check_name(member) for member in json.loads(text)) for text in (members, excluded))
    except (TypeError, ValueError, InvalidNameError) as error:
        raise CorruptStoreError(f"the catalog's row of endpoint '{name}' is invalid") from error
    _require(kind in ("WRITER", "READER", "ANY"), f"endpoint '{name}'")
    return EndpointRow(name, kind, *lists)


def _volume_row(values: tuple[Any, ...]) -> VolumeRow:
    volume, index, head_slot, state, parent, base, retained = values
    _require(
        _is_int(volume, 1, MOVED)
        and _is_int(index, 0, VOLUME_ROWS)
        and _is_int(head_slot, 1, SLOT_COUNT_MAX)
        and _is_int(retained, 0, 1 << 62)
        and state in _STATES
        and (parent is None or _is_int(parent, 1, volume)),  # sources are older, so there are no cycles
        f"volume {volume!r}",
    )
    version = _version(base, f"volume {volume}")._replace(volume=volume)
    return VolumeRow(volume, index, head_slot, VolumeState(state), parent, version, retained)


def _pin_row(values: tuple[Any, ...]) -> PinRow:
    volume, version, holder, released, record = values
    _require(
        _is_int(volume, 1, MOVED)
        and _is_int(version, 0, 1 << 62)
        and isinstance(holder, str)
        and holder.partition(":")[0] in ("volume", "snapshot")
        and holder.partition(":")[2].isdecimal()
        and _is_int(released, 0, 2),
        f"a pin on volume {volume!r}",
    )
    kind, _, number = holder.partition(":")
    holder_volume = int(number) if kind == "volume" else None
    subject = f"the pin of {holder} on version {version} of volume {volume}"
    pinned = _version(record, subject)
    _require(pinned.version == version, subject)
    return PinRow(volume, holder, holder_volume, bool(released), pinned)


class Catalog:
    """The catalog of one open store.  Implements :class:`vfs.registry.Registry`."""

    def __init__(
        self, path: Path | None, *, store_id: bytes, read_only: bool = False, disposable: bool = False
    ) -> None:
        """Open the catalog, or create an empty one with this identity.

        ``read_only``: nothing is written; recovery works in a temporary copy, which is deleted with this object.
        ``disposable``: no transaction is synced; a power failure may undo the last ones.

        Raises StoreFormatError, CorruptStoreError, StoreBusyError.
        """
        self._guard = threading.RLock()
        self._depth = 0
        self._path = path
        # EXTRA also syncs the deletion of the rollback journal, which could otherwise reappear after a power failure
        self._synchronous = "NORMAL" if disposable else "EXTRA"
        self._copy = _copy_of(path) if read_only and path is not None else None
        self._connection: apsw.Connection | None = None
        self.is_uncertain = False
        with self._translated():
            if self._db.pragma("user_version") == 0 and not self._query("SELECT 1 FROM sqlite_schema LIMIT 1"):
                with self.transaction():
                    self._db.execute(_SCHEMA)
                    self._db.execute("INSERT INTO store VALUES (?, ?, 0)", (store_id, time.time_ns()))
            self._check_format()
            self._has_seals = self._is_complete()
            if not self._has_seals and not read_only:
                with self.transaction():
                    self._db.execute(_ADDITIONS)
                self._has_seals = True
            ids = [row[0] for row in self._query("SELECT id FROM store")]
            _require(len(ids) == 1 and isinstance(ids[0], bytes) and len(ids[0]) == 16, "the store")
            self.store_id: bytes = ids[0]

    @property
    def _db(self) -> apsw.Connection:
        """The connection, opened on first use."""
        if self._connection is None:
            path = Path(self._copy.name, "catalog.db") if self._copy is not None else self._path
            if path is not None:  # readable by its owner only, and never opened through a link
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            # Not through a store's own VFS, which may be the default VFS: it refuses the files of stores.
            connection = apsw.Connection(str(path) if path else ":memory:", vfs=ClusterVFS.plain_name())
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.pragma("page_size", 1024)
            connection.pragma("journal_mode", "wal")
            # Keep the -wal file when the last connection closes: syncing writes into existing blocks is faster.
            wanted = ctypes.c_int(1)
            connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(wanted))
            self._connection = connection
        return self._connection

    def before_fork(self) -> None:
        """Close the connection, which a child must not inherit (https://sqlite.org/howtocorrupt.html, section 2.6)."""
        self._guard.acquire()
        if self._path is not None and not self._depth and self._connection is not None:
            self._connection.close()
            self._connection = None

    def after_fork(self) -> None:
        """Release the lock, in the parent and in the child."""
        self._guard.release()

    def _is_complete(self) -> bool:
        """Whether the catalog has the additions to the format."""
        names = {name for (name,) in self._query("SELECT name FROM sqlite_schema")}
        return {"released_pins", "sealed"} <= names

    def _check_format(self) -> None:
        version = self._db.pragma("user_version")
        if self._db.pragma("application_id") != _APPLICATION_ID:
            raise CorruptStoreError(f"{self._path} is a SQLite database, but not a clusterdb catalog")
        if version != FORMAT:
            raise StoreFormatError(
                f"the store has catalog format {version}, this release of clusterdb reads format {FORMAT}: "
                "use the release that wrote it"
            )

    def _set_synchronous(self, mode: str) -> None:
        self._db.execute(f"PRAGMA synchronous = {mode}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.BusyError, apsw.LockedError) as error:
            raise StoreBusyError(
                f"the store's catalog {self._path} stayed locked by another process: if one that uses the store is "
                "stopped, resume or end it"
            ) from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise CorruptStoreError(f"the store's catalog {self._path} is damaged ({error})") from error
        except apsw.FullError as error:
            raise StoreFullError(f"no space left for the store's catalog {self._path}") from error
        except apsw.Error as error:
            raise Error(f"the store's catalog {self._path} failed: {error}") from error

    def _query(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._guard:
            try:
                return self._db.execute(sql, values).fetchall()
            except apsw.Error:
                with self._translated():
                    raise

    def _change(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        assert self._depth, "BUG: a change outside a catalog transaction"
        try:
            self._db.execute(sql, values)
        except apsw.ConstraintError:
            raise
        except apsw.Error:
            with self._translated():
                raise

    # --- transactions -----------------------------------------------------------------------------------------------
    @contextmanager
    def transaction(self, *, waits: bool = True) -> Iterator[None]:
        """An atomic and durable change; an inner transaction is part of the outer one.

        Signal handlers run after its end.  Raises StoreBusyError if another process holds the catalog for 30 s; at
        once unless it ``waits``.
        """
        with uninterrupted, self._guard, busy():
            if self._depth:
                yield
                return
            if self.is_uncertain:
                raise Error(f"the store's catalog {self._path} could not be written: close the store and open it again")
            try:
                self._begin(_BUSY_TIMEOUT_MS if waits else _TIDY_TIMEOUT_MS)
                self._depth = 1
                yield
                reach("catalog: before commit")
                try:
                    with self._translated():
                        self._db.execute("COMMIT")
                except BaseException:
                    self._seal()
                    raise
                reach("catalog: committed")
            finally:
                self._depth = 0
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _begin(self, timeout_ms: int) -> None:
        self._db.set_busy_timeout(timeout_ms)
        try:
            with self._translated():
                self._db.execute("BEGIN IMMEDIATE")
        finally:
            self._db.set_busy_timeout(_BUSY_TIMEOUT_MS)

    def seal(self) -> None:
        """Overwrite the frames that a process that died in its commit may have left in the log."""
        with self.transaction(waits=False):
            self._change("UPDATE store SET seal = seal + 1")

    def _seal(self) -> None:
        """After a failed COMMIT: overwrite the frames that it may have left in the log, so that they never apply.

        SQLite treats a commit whose sync failed as not committed, but recovery of the log would apply it.  If the
        overwrite fails too, the outcome of the transaction is unknown until the store is opened again.
        """
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._db.execute("BEGIN IMMEDIATE; UPDATE store SET seal = seal + 1; COMMIT")
        except apsw.Error:
            self.is_uncertain = True

    @contextmanager
    def reclaiming(self, *, waits: bool = False) -> Iterator[None]:
        """A transaction that a power failure may undo: it only removes rows that were released durably before."""
        with uninterrupted, self._guard, busy():
            if self._depth:
                yield
                return
            self._set_synchronous("NORMAL")
            try:
                with self.transaction(waits=waits):
                    yield
            finally:
                self._set_synchronous(self._synchronous)

    # --- clusters ---------------------------------------------------------------------------------------------------
    _CLUSTER = (
        "SELECT cluster, name, volume, created_ns, source, source_cluster, clone_group, status, settings, used_ns "
        "FROM clusters"
    )

    def clusters(self) -> list[ClusterRow]:
        """All clusters, by name."""
        return [_cluster_row(row) for row in self._query(f"{self._CLUSTER} ORDER BY name")]

    def cluster_count(self) -> int:
        """The number of clusters."""
        return int(self._query("SELECT count(*) FROM clusters")[0][0])

    def clone_count(self, clone_group: str) -> int:
        """The number of clusters in a clone group."""
        return int(self._query("SELECT count(*) FROM clusters WHERE clone_group = ?", (clone_group,))[0][0])

    def clusters_with_past(self, expires: Callable[[ClusterSettings], bool]) -> list[ClusterRow]:
        """The clusters with settings that expire, with a past, or with instances; by name."""
        texts = [text for (text,) in self._query("SELECT DISTINCT settings FROM clusters")]
        wanted = [text for text in texts if not isinstance(text, str) or expires(ClusterSettings.from_json(text))]
        sql = (
            f"{self._CLUSTER} WHERE settings IN (SELECT value FROM json_each(?)) "
            "OR cluster IN (SELECT cluster FROM pasts UNION SELECT cluster FROM instances) "
            "OR volume IN (SELECT volume FROM volumes WHERE retained) ORDER BY name"
        )
        return [_cluster_row(row) for row in self._query(sql, (json.dumps(wanted),))]

    def cluster(self, name: str) -> ClusterRow | None:
        """The cluster with a name; None if there is none."""
        rows = self._query(f"{self._CLUSTER} WHERE name = ?", (name,))
        return _cluster_row(rows[0]) if rows else None

    def cluster_row(self, cluster: int) -> ClusterRow | None:
        """The cluster with an id; None if it was deleted."""
        rows = self._query(f"{self._CLUSTER} WHERE cluster = ?", (cluster,))
        return _cluster_row(rows[0]) if rows else None

    def add_cluster(
        self, name: str, volume: int, settings: ClusterSettings, source: ClusterRow | None = None
    ) -> ClusterRow:
        """Add a cluster with a volume.  Raises ClusterExistsError."""
        now = time.time_ns()
        group = source.clone_group if source is not None else str(uuid.uuid4())
        values = (name, volume, now, source.name if source else None, source.cluster if source else None, group)
        try:
            self._change(
                "INSERT INTO clusters VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, AVAILABLE, settings.to_json(), now),
            )
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return ClusterRow(self._db.last_insert_rowid(), *values, AVAILABLE, settings, now)

    def rename_cluster(self, cluster: int, name: str) -> bool:
        """Rename a cluster; whether it exists.  Raises ClusterExistsError."""
        try:
            self._change("UPDATE clusters SET name = ? WHERE cluster = ?", (name, cluster))
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return self._db.changes() > 0

    def switch_cluster(self, cluster: int, volume: int) -> None:
        """Replace the volume of a cluster."""
        self._change("UPDATE clusters SET volume = ? WHERE cluster = ?", (volume, cluster))

    def set_status(self, cluster: int, status: str) -> None:
        self._change("UPDATE clusters SET status = ? WHERE cluster = ?", (status, cluster))

    def set_settings(self, cluster: int, settings: ClusterSettings) -> None:
        self._change("UPDATE clusters SET settings = ? WHERE cluster = ?", (settings.to_json(), cluster))

    def set_used(self, cluster: int, time_ns: int) -> None:
        self._change("UPDATE clusters SET used_ns = ? WHERE cluster = ?", (time_ns, cluster))

    def _taken(self, name: str) -> ClusterExistsError:
        return ClusterExistsError(f"store '{self._where}' has a cluster '{name}' already: choose another name")

    @property
    def _where(self) -> Path | str:
        return self._path.parent if self._path else ":memory:"

    def require_free(self, name: str) -> None:
        """Raises ClusterExistsError."""
        if self.cluster(name) is not None:
            raise self._taken(name)

    def remove_cluster(self, cluster: int) -> None:
        self._change("DELETE FROM clusters WHERE cluster = ?", (cluster,))
        for table in ("pasts", "instances", "endpoints"):
            self._change(f"DELETE FROM {table} WHERE cluster = ?", (cluster,))

    # --- instances and endpoints ------------------------------------------------------------------------------------
    def instances(self, cluster: int) -> list[InstanceRow]:
        """The instances of a cluster, the writer first, then by name."""
        rows = self._query("SELECT * FROM instances WHERE cluster = ? ORDER BY NOT is_writer, name", (cluster,))
        return [_instance_row(row) for row in rows]

    def add_instance(
        self,
        name: str,
        cluster: int,
        *,
        is_writer: bool,
        instance_class: str,
        tier: int,
        zone: str,
        lag_ns: int,
        jitter_ns: int,
    ) -> InstanceRow:
        """Add an instance.  Raises InstanceExistsError, TooManyReadersError."""
        taken = {row for (row,) in self._query("SELECT row FROM instances")}
        free = next((row for row in range(INSTANCE_ROWS) if row not in taken), None)
        if free is None:
            raise TooManyReadersError(f"store '{self._where}' has {INSTANCE_ROWS} instances already: delete some first")
        values = (name, cluster, is_writer, instance_class, tier, zone, lag_ns, jitter_ns, free)
        try:
            self._change("INSERT INTO instances VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        except apsw.ConstraintError:
            raise InstanceExistsError(
                f"store '{self._where}' has an instance '{name}' already: choose another name"
            ) from None
        return InstanceRow(self._db.last_insert_rowid(), *values)

    def set_instance(self, row: InstanceRow) -> None:
        """Change the role, the tier and the lag of an instance."""
        self._change(
            "UPDATE instances SET is_writer = ?, tier = ?, lag_ns = ?, jitter_ns = ? WHERE instance = ?",
            (row.is_writer, row.tier, row.lag_ns, row.jitter_ns, row.instance),
        )

    def remove_instance(self, row: InstanceRow) -> None:
        self._change("DELETE FROM instances WHERE instance = ?", (row.instance,))

    def endpoints(self, cluster: int) -> list[EndpointRow]:
        """The custom endpoints of a cluster, by name."""
        sql = "SELECT name, type, members, excluded FROM endpoints WHERE cluster = ? ORDER BY name"
        return [_endpoint_row(row) for row in self._query(sql, (cluster,))]

    def add_endpoint(
        self, cluster: int, cluster_name: str, name: str, kind: str, members: tuple[str, ...], excluded: tuple[str, ...]
    ) -> EndpointRow:
        """Add a custom endpoint.  Raises EndpointExistsError."""
        values = (cluster, name, kind, json.dumps(members), json.dumps(excluded))
        try:
            self._change("INSERT INTO endpoints VALUES (?, ?, ?, ?, ?)", values)
        except apsw.ConstraintError:
            raise EndpointExistsError(
                f"cluster '{cluster_name}' has an endpoint '{name}' already: choose another name"
            ) from None
        return EndpointRow(name, kind, members, excluded)

    def remove_endpoint(self, cluster: int, name: str) -> bool:
        """Delete a custom endpoint; whether it existed."""
        self._change("DELETE FROM endpoints WHERE cluster = ? AND name = ?", (cluster, name))
        return self._db.changes() > 0

    # --- the pasts of clusters --------------------------------------------------------------------------------------
    def pasts(self, cluster: int) -> list[tuple[int, int]]:
        """The past volumes of a cluster, as (volume, time in ns until which it was the cluster's), oldest first."""
        rows = self._query("SELECT volume, until_ns FROM pasts WHERE cluster = ? ORDER BY until_ns, volume", (cluster,))
        return [(volume, until_ns) for volume, until_ns in rows]

    def is_owned(self, volume: int) -> bool:
        """Whether a volume is a cluster's present or past one."""
        return bool(
            self._query(
                "SELECT 1 FROM clusters WHERE volume = ? UNION ALL SELECT 1 FROM pasts WHERE volume = ?",
                (volume, volume),
            )
        )

    def add_past(self, volume: int, cluster: int, until_ns: int) -> None:
        self._change("INSERT INTO pasts VALUES (?, ?, ?)", (volume, cluster, until_ns))

    def remove_past(self, volume: int) -> None:
        self._change("DELETE FROM pasts WHERE volume = ?", (volume,))

    # --- snapshots --------------------------------------------------------------------------------------------------
    _SNAPSHOT = "SELECT snapshot, name, cluster, volume, version, taken_ns, created_ns, settings FROM snapshots"

    def snapshots(self) -> list[SnapshotRow]:
        """All snapshots, by name."""
        return [_snapshot_row(row) for row in self._query(f"{self._SNAPSHOT} ORDER BY name")]

    def snapshot(self, name: str) -> SnapshotRow | None:
        """The snapshot with a name; None if there is none."""
        rows = self._query(f"{self._SNAPSHOT} WHERE name = ?", (name,))
        return _snapshot_row(rows[0]) if rows else None

    def require_free_snapshot(self, name: str) -> None:
        """Raises SnapshotExistsError."""
        if self.snapshot(name) is not None:
            raise self._snapshot_taken(name)

    def _snapshot_taken(self, name: str) -> SnapshotExistsError:
        return SnapshotExistsError(f"store '{self._where}' has a snapshot '{name}' already: choose another name")

    def add_snapshot(self, name: str, cluster: str, version: Version, settings: ClusterSettings) -> SnapshotRow:
        """Add a snapshot of a version, with the pin that keeps it.  Raises SnapshotExistsError."""
        values = (name, cluster, version.volume, version.version, version.time_ns, time.time_ns())
        try:
            self._change("INSERT INTO snapshots VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", (*values, settings.to_json()))
        except apsw.ConstraintError:
            raise self._snapshot_taken(name) from None
        row = SnapshotRow(self._db.last_insert_rowid(), *values, settings)
        self.add_pin(version.volume, snapshot_holder(row.snapshot), version)
        return row

    def remove_snapshot(self, row: SnapshotRow) -> list[VolumeRow]:
        """Remove a snapshot and release its pin; the volumes on which pins were released, nearest first."""
        self._change("DELETE FROM snapshots WHERE snapshot = ?", (row.snapshot,))
        return self.release_pin(row.volume, row.version, snapshot_holder(row.snapshot))

    # --- events -----------------------------------------------------------------------------------------------------
    def add_event(self, kind: str, source: str, category: str, message: str) -> None:
        """Add an event, in the running transaction."""
        self._change(
            "INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?)", (time.time_ns(), kind, source, category, message)
        )
        event = self._db.last_insert_rowid()
        if event % 256 == 0:
            self._change("DELETE FROM events WHERE event <= ?", (event - EVENTS_MAX,))

    def events(self) -> list[EventRow]:
        """The latest events, oldest first."""
        return [EventRow(*row) for row in self._query("SELECT * FROM events ORDER BY event")]

    # --- volumes ----------------------------------------------------------------------------------------------------
    _VOLUME = "SELECT volume, row, head_slot, state, parent, base, retained FROM volumes"

    def volume_rows(self) -> list[VolumeRow]:
        return [_volume_row(row) for row in self._query(self._VOLUME)]

    def volumes_in(self, *states: VolumeState) -> list[VolumeRow]:
        wanted = ", ".join("?" * len(states))
        return [_volume_row(row) for row in self._query(f"{self._VOLUME} WHERE state IN ({wanted})", tuple(states))]

    def orphans(self) -> list[VolumeRow]:
        """The live and past volumes that belong to no cluster."""
        sql = (
            f"{self._VOLUME} AS v WHERE state IN ('live', 'past') "
            "AND NOT EXISTS (SELECT 1 FROM clusters WHERE volume = v.volume) "
            "AND NOT EXISTS (SELECT 1 FROM pasts WHERE volume = v.volume)"
        )
        return [_volume_row(row) for row in self._query(sql)]

    def volume_row(self, volume: int) -> VolumeRow | None:
        rows = self._query(f"{self._VOLUME} WHERE volume = ?", (volume,))
        return _volume_row(rows[0]) if rows else None

    def volume_of_cluster(self, name: str) -> VolumeRow | None:
        """The volume of the cluster with a name."""
        rows = self._query(f"{self._VOLUME} WHERE volume = (SELECT volume FROM clusters WHERE name = ?)", (name,))
        return _volume_row(rows[0]) if rows else None

    def volume_of(self, cluster: int) -> VolumeRow | None:
        """The present volume of a cluster."""
        rows = self._query(f"{self._VOLUME} WHERE volume = (SELECT volume FROM clusters WHERE cluster = ?)", (cluster,))
        return _volume_row(rows[0]) if rows else None

    def add_volume(self, row: VolumeRow) -> VolumeRow:
        """Add a volume, whose id is assigned here; the row with its id."""
        self._change(
            "INSERT INTO volumes VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            (row.table_index, row.head_slot, str(row.state), row.parent, _record(row.base), row.retained),
        )
        volume = self._db.last_insert_rowid()
        return row._replace(volume=volume, base=row.base._replace(volume=volume))

    def set_volume_state(self, volume: int, state: VolumeState) -> None:
        self._change("UPDATE volumes SET state = ? WHERE volume = ?", (str(state), volume))

    def set_dead(self, volume: int) -> None:
        self._change("UPDATE volumes SET state = ?, retained = 0 WHERE volume = ?", (str(VolumeState.DEAD), volume))

    def set_retained(self, volume: int, version: int) -> None:
        self._change("UPDATE volumes SET retained = ? WHERE volume = ?", (version, volume))

    def remove_volume(self, volume: int) -> None:
        self._change("DELETE FROM volumes WHERE volume = ?", (volume,))
        self._change("DELETE FROM sealed WHERE volume = ?", (volume,))

    def note_sealed(self, versions: dict[int, int]) -> None:
        """See :meth:`vfs.registry.Registry.note_sealed`."""
        for volume, version in versions.items():
            self._change(
                "INSERT OR REPLACE INTO sealed SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM volumes WHERE volume = ?1)",
                (volume, version),
            )

    def sealed_version(self, volume: int) -> int:
        """See :meth:`vfs.registry.Registry.sealed_version`."""
        rows = self._query("SELECT version FROM sealed WHERE volume = ?", (volume,)) if self._has_seals else []
        for (version,) in rows:
            _require(_is_int(version, 0, 1 << 62), f"the sealed version of volume {volume}")
        return next((version for (version,) in rows), 0)

    def absorb(self, source: VolumeRow, heir: VolumeRow, base: Version) -> None:
        """See :meth:`vfs.registry.Registry.absorb`."""
        self._change(
            "UPDATE pins SET holder = ? WHERE volume = ? AND version = ? AND holder = ?",
            (volume_holder(heir.volume), source.parent, source.base.version, volume_holder(source.volume)),
        )
        self.remove_pin(source.volume, heir.base.version, volume_holder(heir.volume))
        self.remove_volume(source.volume)
        self._change("INSERT INTO absorbed VALUES (?, ?)", (source.volume, heir.base.version))
        self._change(
            "UPDATE volumes SET parent = ?, base = ? WHERE volume = ?", (source.parent, _record(base), heir.volume)
        )

    def absorbed_at(self, volume: int) -> int | None:
        """See :meth:`vfs.registry.Registry.absorbed_at`."""
        rows = self._query("SELECT version FROM absorbed WHERE volume = ?", (volume,))
        return int(rows[0][0]) if rows else None

    def forget_absorbed(self) -> None:
        """Forget absorbed volumes: no session has work left for them."""
        self._change("DELETE FROM absorbed")

    def drop_volume(self, volume: int) -> list[VolumeRow]:
        """Mark a volume dropped and release the pins that only it needs.

        Returns the volumes on which pins were released, nearest first.
        """
        self.set_volume_state(volume, VolumeState.DROPPED)
        return self._release_for(volume)

    def release_pin(self, volume: int, version: int, holder: str) -> list[VolumeRow]:
        """Release a pin, and the pins that only its volume needs.

        Returns the volumes on which pins were released, nearest first.
        """
        self._change(
            "UPDATE pins SET released = 1 WHERE volume = ? AND version = ? AND holder = ?", (volume, version, holder)
        )
        row = self.volume_row(volume)
        assert row is not None, f"BUG: {holder} pins unknown volume {volume}"
        if row.state in (VolumeState.DROPPED, VolumeState.DEAD):
            return [row, *self._release_for(volume)]
        return [row]

    def _release_for(self, volume: int) -> list[VolumeRow]:
        """Release the pin of a dropped volume on its source, unless the volume is still pinned."""
        dropped = self.volume_row(volume)
        if dropped is None or dropped.parent is None or self._is_needed(volume):
            return []
        return self.release_pin(dropped.parent, dropped.base.version, volume_holder(volume))

    def _is_needed(self, volume: int) -> bool:
        return bool(self._query("SELECT 1 FROM pins WHERE volume = ? AND NOT released LIMIT 1", (volume,)))

    # --- pins -------------------------------------------------------------------------------------------------------
    _PIN = "SELECT volume, version, holder, released, record FROM pins"

    def pin_rows(self, volume: int) -> list[PinRow]:
        return [_pin_row(row) for row in self._query(f"{self._PIN} WHERE volume = ? ORDER BY version", (volume,))]

    def all_pin_rows(self) -> list[PinRow]:
        return [_pin_row(row) for row in self._query(self._PIN)]

    def pinned_versions(self, volume: int, *, released: bool = True) -> list[int]:
        rows = self._query(_PINNED_VERSIONS.format("" if released else "AND NOT released"), (volume,))
        return [version for (version,) in rows]

    def unpinned(self) -> list[str]:
        """A message for each snapshot whose pin is missing."""
        sql = (
            "SELECT name, volume, version FROM snapshots s WHERE NOT EXISTS (SELECT 1 FROM pins p WHERE "
            "p.volume = s.volume AND p.version = s.version AND p.holder = 'snapshot:' || s.snapshot AND NOT released)"
        )
        return [
            f"snapshot '{name}' has no pin on version {version} of volume {volume}"
            for name, volume, version in self._query(sql)
        ]

    def pinned_record(self, volume: int, version: int) -> Version | None:
        rows = self._query(f"{self._PIN} WHERE volume = ? AND version = ? LIMIT 1", (volume, version))
        return _pin_row(rows[0]).version if rows else None

    def first_pins(self, volume: int, count: int) -> list[PinRow]:
        rows = self._query(f"{self._PIN} WHERE volume = ? ORDER BY version, holder LIMIT ?", (volume, count))
        return [_pin_row(row) for row in rows]

    def released_pins(self, volume: int) -> list[PinRow]:
        rows = self._query(
            f"{self._PIN} INDEXED BY released_pins WHERE released AND volume = ? ORDER BY version", (volume,)
        )
        return [_pin_row(row) for row in rows]

    def volumes_with_released_pins(self) -> set[int]:
        return {
            volume
            for (volume,) in self._query("SELECT DISTINCT volume FROM pins INDEXED BY released_pins WHERE released")
        }

    def pin_of(self, volume: int, version: int, holder: str) -> PinRow | None:
        """The pin of a holder on a version; None if there is none."""
        sql = f"{self._PIN} WHERE volume = ? AND version = ? AND holder = ?"
        rows = self._query(sql, (volume, version, holder))
        return _pin_row(rows[0]) if rows else None

    def is_pinned(self, volume: int, version: int) -> bool:
        """Whether a version has a pin that is not released."""
        sql = "SELECT 1 FROM pins WHERE volume = ? AND version = ? AND NOT released LIMIT 1"
        return bool(self._query(sql, (volume, version)))

    def newest_pinned(self, volume: int) -> int:
        """The newest version with a pin that is not released; 0 if there is none."""
        sql = "SELECT version FROM pins WHERE volume = ? AND NOT released ORDER BY version DESC LIMIT 1"
        return next((version for (version,) in self._query(sql, (volume,))), 0)

    def is_shared(self, volume: int) -> bool:
        """Whether a volume has more than one pin that is not released."""
        return len(self._query("SELECT 1 FROM pins WHERE volume = ? AND NOT released LIMIT 2", (volume,))) > 1

    def add_pin(self, volume: int, holder: str, version: Version) -> None:
        """Pin a version for a holder."""
        self._change("INSERT INTO pins VALUES (?, ?, ?, 0, ?)", (volume, version.version, holder, _record(version)))

    def remove_pin(self, volume: int, version: int, holder: str) -> None:
        self._change("DELETE FROM pins WHERE volume = ? AND version = ? AND holder = ?", (volume, version, holder))

    def close(self) -> None:
        """Close the connection."""
        with self._guard, self._translated():
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._copy is not None:
                self._copy.cleanup()


def _copy_of(path: Path) -> TemporaryDirectory[str]:
    """A temporary directory with a copy of the catalog and of its log."""
    copy = TemporaryDirectory(prefix="clusterdb-catalog-")
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), Path(copy.name, name))
    return copy
