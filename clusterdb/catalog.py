"""The catalog: ``catalog.db``, a stock SQLite database in WAL mode.

It says which clusters exist and which volumes and pins stand behind them; the storage layer sees the latter two through
:class:`vfs.registry.Registry`.  A transaction that ends is durable (synchronous=EXTRA) unless it is one of reclaim's.

Who guards what: one connection per open store and process, used under a re-entrant lock; between processes SQLite's own
locks.  A catalog transaction never waits for a volume's writer.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import apsw

from clusterdb.errors import (
    ClusterExistsError,
    CorruptStoreError,
    Error,
    InvalidNameError,
    StoreBusyError,
    StoreFormatError,
    StoreFullError,
)
from clusterdb.names import check_name
from vfs.failpoints import reach
from vfs.layout import (
    DAMAGED,
    SLOT_COUNT_MAX,
    VERSION_RECORD_BYTES,
    VOLUME_ROWS,
    Version,
    pack_version,
    unpack_version,
)
from vfs.registry import PinRow, VolumeRow, VolumeState

__all__ = ["Catalog", "ClusterRow", "volume_holder"]

FORMAT = 1
_APPLICATION_ID = 0x636C7374  # "clst"
_BUSY_TIMEOUT_MS = 30_000
_TIDY_TIMEOUT_MS = 20

_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE store (id BLOB NOT NULL, created_ns INTEGER NOT NULL, seal INTEGER NOT NULL);
CREATE TABLE volumes (
    volume INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
    row INTEGER NOT NULL,                      -- in the volume table, and lock byte
    head_slot INTEGER NOT NULL,
    state TEXT NOT NULL,
    parent INTEGER,                            -- the volume it was cloned from, pinned at the base's version
    base BLOB NOT NULL                         -- version record
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
    volume INTEGER PRIMARY KEY,                -- gone; the clone that stood on it has its place
    version INTEGER NOT NULL                   -- where the clone stood
);
CREATE TABLE clusters (
    volume INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_ns INTEGER NOT NULL,
    source TEXT                                -- the cluster it was cloned from, as it was named then
);
"""


class ClusterRow(NamedTuple):
    """A cluster as the catalog has it."""

    name: str
    volume: int
    created_ns: int
    source: str | None


def volume_holder(volume: int) -> str:
    """How a clone signs the pin on its base."""
    return f"volume:{volume}"


def _record(version: Version) -> bytes:
    return pack_version(version)[:VERSION_RECORD_BYTES]


def _version(record: object, what: str) -> Version:
    version = unpack_version(record) if isinstance(record, bytes) else None
    if version is None:
        raise CorruptStoreError(f"the catalog's version record of {what} fails its checksum")
    return version


def _require(holds: bool, what: str) -> None:
    """Nothing the catalog says is believed unchecked."""
    if not holds:
        raise CorruptStoreError(f"the catalog's row of {what} makes no sense")


def _is_int(value: object, low: int, end: int) -> bool:
    return type(value) is int and low <= value < end


def _require_name(name: str) -> str:
    try:
        return check_name(name)
    except InvalidNameError as error:
        raise CorruptStoreError(f"the catalog has a cluster with an illegal name: {error}") from error


def _cluster_row(values: tuple[Any, ...]) -> ClusterRow:
    name, volume, created_ns, source = values
    _require_name(name)
    is_right = _is_int(volume, 1, DAMAGED) and _is_int(created_ns, 0, 1 << 63)
    _require(is_right and (source is None or isinstance(source, str)), f"cluster '{name}'")
    return ClusterRow(name, volume, created_ns, source)


def _volume_row(values: tuple[Any, ...]) -> VolumeRow:
    volume, index, head_slot, state, parent, base = values
    _require(
        _is_int(volume, 1, DAMAGED)
        and _is_int(index, 0, VOLUME_ROWS)
        and _is_int(head_slot, 1, SLOT_COUNT_MAX)
        and state in list(VolumeState)
        and (parent is None or _is_int(parent, 1, volume)),  # sources are older: no circles
        f"volume {volume!r}",
    )
    version = _version(base, f"volume {volume}")._replace(volume=volume)
    return VolumeRow(volume, index, head_slot, VolumeState(state), parent, version)


def _pin_row(values: tuple[Any, ...]) -> PinRow:
    volume, version, holder, released, record = values
    _require(
        _is_int(volume, 1, DAMAGED)
        and _is_int(version, 0, 1 << 62)
        and isinstance(holder, str)
        and holder.removeprefix("volume:").isdecimal()
        and _is_int(released, 0, 2),
        f"a pin on volume {volume!r}",
    )
    kind, _, number = holder.partition(":")
    holder_volume = int(number) if kind == "volume" else None
    what = f"the pin of {holder} on version {version} of volume {volume}"
    pinned = _version(record, what)
    _require(pinned.version == version, what)
    return PinRow(volume, holder, holder_volume, bool(released), pinned)


class Catalog:
    """The catalog of one open store.  Implements :class:`vfs.registry.Registry`."""

    def __init__(self, path: Path | None, *, store_id: bytes, read_only: bool = False) -> None:
        """Open the catalog, creating an empty one (with this identity) if there is none.

        ``read_only``: nothing is written; what recovery tidies up, it tidies up in a copy that goes with this object.

        Raises StoreFormatError, CorruptStoreError, StoreBusyError.
        """
        self._guard = threading.RLock()
        self._depth = 0
        self._path = path
        self._copy = _copy_of(path) if read_only and path is not None else None
        self._connection: apsw.Connection | None = None
        self.is_uncertain = False
        with self._translated():
            if self._db.pragma("user_version") == 0 and not self._query("SELECT 1 FROM sqlite_schema LIMIT 1"):
                with self.transaction():
                    self._db.execute(_SCHEMA)
                    self._db.execute("INSERT INTO store VALUES (?, ?, 0)", (store_id, time.time_ns()))
            self._check_format()
            ids = [row[0] for row in self._query("SELECT id FROM store")]
            _require(len(ids) == 1 and isinstance(ids[0], bytes) and len(ids[0]) == 16, "the store")
            self.store_id: bytes = ids[0]

    @property
    def _db(self) -> apsw.Connection:
        """The connection, opened when it is needed."""
        if self._connection is None:
            path = Path(self._copy.name, "catalog.db") if self._copy is not None else self._path
            if path is not None:  # as its owner's only, and never through a link
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            connection = apsw.Connection(str(path) if path else ":memory:")
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            # EXTRA: also the deletion of the rollback journal is synced, or that could come back after a power loss
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.pragma("page_size", 1024)
            connection.pragma("journal_mode", "wal")
            # Leave the -wal file when the last connection closes: syncing writes into existing blocks is faster.
            wanted = ctypes.c_int(1)
            connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(wanted))
            self._connection = connection
        return self._connection

    def before_fork(self) -> None:
        """Close the connection: it must not be carried across (https://sqlite.org/howtocorrupt.html, section 2.6)."""
        self._guard.acquire()
        if self._path is not None and not self._depth and self._connection is not None:
            self._connection.close()
            self._connection = None

    def after_fork(self) -> None:
        """Go on, in the parent as in the child."""
        self._guard.release()

    def _check_format(self) -> None:
        found = self._db.pragma("user_version")
        if self._db.pragma("application_id") != _APPLICATION_ID:
            raise CorruptStoreError(f"{self._path} is a SQLite database, but no clusterdb catalog")
        if found != FORMAT:
            raise StoreFormatError(
                f"the store has catalog format {found}, this release of clusterdb reads format {FORMAT}: "
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
                "stopped, let it go on or end it"
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
        """One atomic and durable change; an inner transaction is part of the outer one.

        Raises StoreBusyError if another process does not end its own for 30 s, or, not to wait, at once.
        """
        with self._guard:
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
        """Write over what a process that died in its commit may have left in the log."""
        with self.transaction(waits=False):
            self._change("UPDATE store SET seal = seal + 1")

    def _seal(self) -> None:
        """After a failed COMMIT: write over what it may have left in the log, which could else come to life later.

        SQLite takes the frames of a commit whose sync failed for not committed, but who recovers the log would not.
        If that cannot be done, nobody knows whether the transaction happened, until the store is opened anew.
        """
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._db.execute("BEGIN IMMEDIATE; UPDATE store SET seal = seal + 1; COMMIT")
        except apsw.Error:
            self.is_uncertain = True

    @contextmanager
    def reclaiming(self, *, waits: bool = False) -> Iterator[None]:
        """A transaction that a power loss may undo: it only tidies up what is durably released already."""
        with self._guard:
            if self._depth:
                yield
                return
            self._set_synchronous("NORMAL")
            try:
                with self.transaction(waits=waits):
                    yield
            finally:
                self._set_synchronous("EXTRA")

    # --- clusters ---------------------------------------------------------------------------------------------------
    def clusters(self) -> list[ClusterRow]:
        """All clusters by name."""
        rows = self._query("SELECT name, volume, created_ns, source FROM clusters ORDER BY name")
        return [_cluster_row(row) for row in rows]

    def cluster(self, name: str) -> ClusterRow | None:
        """The cluster of that name."""
        rows = self._query("SELECT name, volume, created_ns, source FROM clusters WHERE name = ?", (name,))
        return _cluster_row(rows[0]) if rows else None

    def cluster_of_volume(self, volume: int) -> ClusterRow | None:
        """The cluster whose data that volume is."""
        rows = self._query("SELECT name, volume, created_ns, source FROM clusters WHERE volume = ?", (volume,))
        return _cluster_row(rows[0]) if rows else None

    def add_cluster(self, name: str, volume: int, source: str | None) -> None:
        """Name a volume.  Raises ClusterExistsError."""
        try:
            self._change("INSERT INTO clusters VALUES (?, ?, ?, ?)", (volume, name, time.time_ns(), source))
        except apsw.ConstraintError:
            raise self._taken(name) from None

    def rename_cluster(self, volume: int, name: str) -> bool:
        """Rename the cluster of a volume; whether there is one.  Raises ClusterExistsError."""
        try:
            self._change("UPDATE clusters SET name = ? WHERE volume = ?", (name, volume))
        except apsw.ConstraintError:
            raise self._taken(name) from None
        return self._db.changes() > 0

    def _taken(self, name: str) -> ClusterExistsError:
        where = self._path.parent if self._path else ":memory:"
        return ClusterExistsError(f"store '{where}' has a cluster '{name}' already: choose another name")

    def require_free(self, name: str) -> None:
        """Raises ClusterExistsError."""
        if self.cluster(name) is not None:
            raise self._taken(name)

    def remove_cluster(self, volume: int) -> None:
        self._change("DELETE FROM clusters WHERE volume = ?", (volume,))

    # --- volumes ----------------------------------------------------------------------------------------------------
    _VOLUME = "SELECT volume, row, head_slot, state, parent, base FROM volumes"

    def volume_rows(self) -> list[VolumeRow]:
        return [_volume_row(row) for row in self._query(self._VOLUME)]

    def volume_row(self, volume: int) -> VolumeRow | None:
        rows = self._query(f"{self._VOLUME} WHERE volume = ?", (volume,))
        return _volume_row(rows[0]) if rows else None

    _NAMED = (
        "SELECT c.name, v.volume, v.row, v.head_slot, v.state, v.parent, v.base "
        "FROM clusters c JOIN volumes v ON v.volume = c.volume"
    )

    def volume_of_cluster(self, name: str) -> VolumeRow | None:
        """The volume behind a name."""
        rows = self._query(f"{self._NAMED} WHERE c.name = ?", (name,))
        return _volume_row(rows[0][1:]) if rows else None

    def named_volume(self, volume: int) -> tuple[str, VolumeRow] | None:
        """A volume with the name of its cluster, if it has one."""
        rows = self._query(f"{self._NAMED} WHERE c.volume = ?", (volume,))
        if not rows:
            return None
        return _require_name(rows[0][0]), _volume_row(rows[0][1:])

    def add_volume(self, row: VolumeRow) -> VolumeRow:
        """Add a volume (whose id and index are still open); the row with its id."""
        self._change(
            "INSERT INTO volumes VALUES (NULL, ?, ?, ?, ?, ?)",
            (row.table_index, row.head_slot, str(row.state), row.parent, _record(row.base)),
        )
        volume = self._db.last_insert_rowid()
        return row._replace(volume=volume, base=row.base._replace(volume=volume))

    def set_volume_state(self, volume: int, state: VolumeState) -> None:
        self._change("UPDATE volumes SET state = ? WHERE volume = ?", (str(state), volume))

    def set_dead(self, volume: int) -> None:
        self.set_volume_state(volume, VolumeState.DEAD)

    def remove_volume(self, volume: int) -> None:
        self._change("DELETE FROM volumes WHERE volume = ?", (volume,))

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
        """Nobody has anything waiting of volumes that are gone."""
        self._change("DELETE FROM absorbed")

    def drop_volume(self, volume: int) -> list[VolumeRow]:
        """Mark a volume dropped and release every pin that stood only for its sake.

        Returns the volumes on which pins were released, nearest first.
        """
        self.set_volume_state(volume, VolumeState.DROPPED)
        released: list[VolumeRow] = []
        gone = self.volume_row(volume)
        while gone is not None and gone.parent is not None and not self._is_needed(gone.volume):
            self._change(
                "UPDATE pins SET released = 1 WHERE volume = ? AND version = ? AND holder = ?",
                (gone.parent, gone.base.version, volume_holder(gone.volume)),
            )
            parent = self.volume_row(gone.parent)
            assert parent is not None, f"BUG: volume {gone.volume} stands on unknown volume {gone.parent}"
            released.append(parent)
            gone = parent if parent.state in (VolumeState.DROPPED, VolumeState.DEAD) else None
        return released

    def _is_needed(self, volume: int) -> bool:
        return bool(self._query("SELECT 1 FROM pins WHERE volume = ? AND NOT released LIMIT 1", (volume,)))

    # --- pins -------------------------------------------------------------------------------------------------------
    _PIN = "SELECT volume, version, holder, released, record FROM pins"

    def pin_rows(self, volume: int) -> list[PinRow]:
        return [_pin_row(row) for row in self._query(f"{self._PIN} WHERE volume = ? ORDER BY version", (volume,))]

    def all_pin_rows(self) -> list[PinRow]:
        return [_pin_row(row) for row in self._query(self._PIN)]

    def pinned_versions(self, volume: int) -> list[int]:
        rows = self._query("SELECT DISTINCT version FROM pins WHERE volume = ? ORDER BY version", (volume,))
        return [version for (version,) in rows]

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
    """A directory with a copy of the catalog, and of its log if there is one."""
    copy = TemporaryDirectory(prefix="clusterdb-catalog-")
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), Path(copy.name, name))
    return copy
