"""The connection to ``catalog.db``, a stock SQLite database in WAL mode.

A transaction is durable when it ends (synchronous=EXTRA), unless it belongs to reclaim or the store is disposable.

Locks: an open store has one connection per process, used under a re-entrant lock; between processes SQLite's locks
apply.  A catalog transaction never waits for a volume's writer.
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

import apsw

from clusterdb.catalog.rows import Values, require
from clusterdb.catalog.schema import ADDITIONS, APPLICATION_ID, FORMAT, SCHEMA
from clusterdb.errors import CorruptStoreError, Error, StoreBusyError, StoreFormatError, StoreFullError
from vfs.failpoints import reach
from vfs.holds import busy
from vfs.interrupts import uninterrupted
from vfs.sqlite.vfs import ClusterVFS

__all__ = ["Database"]

_BUSY_TIMEOUT_MS = 30_000
_TIDY_TIMEOUT_MS = 20


class Database:
    """The connection to ``catalog.db``, and transactions on it."""

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
            if self._db.pragma("user_version") == 0 and not self.query("SELECT 1 FROM sqlite_schema LIMIT 1"):
                with self.transaction():
                    self._db.execute(SCHEMA)
                    self._db.execute("INSERT INTO store VALUES (?, ?, 0)", (store_id, time.time_ns()))
            self._check_format()
            self.has_seals = self._is_complete()
            if not self.has_seals and not read_only:
                with self.transaction():
                    self._db.execute(ADDITIONS)
                self.has_seals = True
            ids = [row[0] for row in self.query("SELECT id FROM store")]
            require(len(ids) == 1 and isinstance(ids[0], bytes) and len(ids[0]) == 16, "the store")
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
        names = {name for (name,) in self.query("SELECT name FROM sqlite_schema")}
        return {"released_pins", "sealed"} <= names

    def _check_format(self) -> None:
        version = self._db.pragma("user_version")
        if self._db.pragma("application_id") != APPLICATION_ID:
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
                f"the store's catalog {self._path} stayed locked by another process: if a process that uses the store "
                "is stopped, resume or kill it"
            ) from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise CorruptStoreError(f"the store's catalog {self._path} is damaged ({error})") from error
        except apsw.FullError as error:
            raise StoreFullError(f"no space left for the store's catalog {self._path}") from error
        except apsw.Error as error:
            raise Error(f"the store's catalog {self._path} failed: {error}") from error

    @property
    def where(self) -> Path | str:
        """The store's directory, for messages."""
        return self._path.parent if self._path else ":memory:"

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is running in this object."""
        return self._depth > 0

    def last_id(self) -> int:
        """The id of the row inserted last."""
        return self._db.last_insert_rowid()

    def change_count(self) -> int:
        """The number of rows that the last statement changed."""
        return self._db.changes()

    def query(self, sql: str, values: Values = ()) -> list[Values]:
        """The rows that a statement returns.  Raises StoreBusyError, CorruptStoreError, StoreFullError, Error."""
        with self._guard:
            try:
                return self._db.execute(sql, values).fetchall()
            except apsw.Error:
                with self._translated():
                    raise

    def change(self, sql: str, values: Values = ()) -> None:
        """Run a statement in the running transaction.  Raises apsw.ConstraintError and the errors of :meth:`query`."""
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
        """Run the body as an atomic and durable change; an inner transaction is part of the outer one.

        Signal handlers run after its end.  Raises StoreBusyError if another process holds the catalog for 30 s, or at
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
        db = self._db
        db.set_busy_timeout(timeout_ms)
        try:
            with self._translated():
                db.execute("BEGIN IMMEDIATE")
        finally:
            db.set_busy_timeout(_BUSY_TIMEOUT_MS)

    def seal(self) -> None:
        """Overwrite the frames that a process which died in its commit may have left in the log."""
        with self.transaction(waits=False):
            self.change("UPDATE store SET seal = seal + 1")

    def _seal(self) -> None:
        """Overwrite the frames that a failed COMMIT may have left in the log, so that they never take effect.

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
        """Run the body as a transaction that a power failure may undo: it only removes rows released durably before."""
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
