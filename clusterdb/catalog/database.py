"""The connection to ``catalog.db``, a stock SQLite database in WAL mode.

A transaction is durable when it ends (synchronous=EXTRA), unless it belongs to reclaim or the store is disposable.

Locks: an open store has one connection per process, used under a re-entrant lock; between processes SQLite's locks
apply.  A catalog transaction never waits for a volume's writer.

Remembered rows.  A process remembers rows that it has read, and that it has written, under the *generation* of the
catalog: two words of the shared tables, ``catalog_begun`` and ``catalog_settled``.  A transaction holds the catalog's
write lock; it moves ``begun`` before its commit can become visible, commits, and then sets ``settled`` to the same
number.

    G1  Rows are remembered only if ``begun`` and ``settled`` were equal before the read, and ``begun`` is the same
        after it.  While a transaction is between its two steps they differ: nobody remembers a row that was read before
        the commit, under the number that the commit has moved to.  It is not enough that they are equal after the read:
        the commit may have become visible in between.
    G2  Remembered rows are used only while ``begun`` is their number.  A commit that is visible has moved ``begun``
        before, so the rows of the former number are as new as the last commit that anybody can have seen.
    G3  In a transaction, rows remembered under the present ``begun`` are up to date: the process that moved it had the
        write lock, and has committed or died.  A statement that changes rows forgets those that it names first, or all
        of them.  The rows that the transaction has written are remembered after its commit.
    G4  A process that dies between the two steps leaves them different: rows are read by SQL until the next transaction
        sets both.  The same happens when a slow process sets ``settled`` to a number that ``begun`` has left behind.
        They differ for a moment after every commit, too, since its lock is released before ``settled`` is set.
    G5  A process that dies in its commit may have written all of its frames to the log, where nobody sees them until
        the log is recovered.  A process that begins a transaction and finds the words different for long seals
        the catalog before: it commits durably, which overwrites the frames.  Nobody acts on what the catalog holds, in
        a transaction, while the commit of a dead process may still take effect.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from clusterdb.catalog.rows import Values, require
from clusterdb.catalog.schema import ADDITIONS, APPLICATION_ID, FORMAT, SCHEMA
from clusterdb.errors import CorruptStoreError, Error, StoreBusyError, StoreFormatError, StoreFullError
from vfs.failpoints import reach
from vfs.format.shared import ReadersHeader
from vfs.holds import begin_busy, end_busy
from vfs.interrupts import uninterrupted
from vfs.sqlite.vfs import ClusterVFS

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

__all__ = ["Database"]

_BUSY_TIMEOUT_MS = 30_000
_TIDY_TIMEOUT_MS = 20
_PAUSES_S = (0, 0.001, 0.005, 0.01)
"""When it is looked again whether a process has settled its commit, before it is taken for dead."""
_SEALS_MAX = 100
_REMEMBERED_MAX = 65_536
_LOG_BYTES = 1 << 20
"""A little more than a thousand frames, after which SQLite makes a checkpoint and begins the log again."""
_ZEROS_BYTES = 1 << 16
_SEAL = "UPDATE store SET seal = seal + 1"
_R = TypeVar("_R")
Key = tuple[str, int | str]
"""What a remembered row is of: a kind, and a number or a name."""


def _not_connected(*_: object) -> object:
    raise AssertionError("BUG: the catalog is not connected")


class Database:
    """The connection to ``catalog.db``, and transactions on it."""

    def __init__(
        self,
        path: Path | None,
        connect: Callable[[str], apsw.Connection],
        *,
        store_id: bytes,
        read_only: bool = False,
        disposable: bool = False,
    ) -> None:
        """Open the catalog, or create an empty one with this identity.

        ``path`` is None for a catalog in memory.  ``connect`` opens a plain database: not through a store's own VFS,
        which refuses the files of stores.
        ``read_only``: nothing is written; recovery works in a temporary copy, which is deleted with this object.
        ``disposable``: no transaction is synced; a power failure may undo the last ones.

        Raises StoreFormatError, CorruptStoreError, StoreBusyError.
        """
        self._guard = threading.RLock()
        self._depth = 0
        self._path = path
        self._connect = connect
        # EXTRA also syncs the deletion of the rollback journal, which could otherwise reappear after a power failure
        self._synchronous = self._mode = "NORMAL" if disposable else "EXTRA"
        self._copy = _copy_of(path) if read_only and path is not None else None
        self._connection: apsw.Connection | None = None
        self._run: Callable[..., object] = _not_connected
        """Runs the statements of a transaction, by one cursor: to create another one costs as much as a statement."""
        self.is_uncertain = False
        self._is_sealing = False
        self._timeout_ms = _BUSY_TIMEOUT_MS
        timeouts_ms = {True: _BUSY_TIMEOUT_MS, False: _TIDY_TIMEOUT_MS}  # by whether a transaction waits
        self._durable, self._quick = (
            {waits: _Transaction(self, mode, timeout_ms) for waits, timeout_ms in timeouts_ms.items()}
            for mode in (self._synchronous, "NORMAL")
        )
        self._words: ReadersHeader | None = None  # None: nothing is remembered
        self._generation = -1
        self._rows: dict[Key, Any] = {}
        self._written: dict[Key, Any] = {}
        with self._translated():
            if self._db.pragma("user_version") == 0 and not self.query("SELECT 1 FROM sqlite_schema LIMIT 1"):
                with self.transaction():
                    self._db.execute(SCHEMA)
                    self._extend_log()
                    self._db.execute("INSERT INTO store VALUES (?, ?, 0)", (store_id, time.time_ns()))
            self._check_format()
            self._note_additions()
            if not (self.has_seals and self.has_documents) and not read_only:
                with self.transaction():
                    self._db.execute(ADDITIONS)
                self._note_additions()
            if not read_only and self._log_bytes() < _LOG_BYTES:
                with suppress(StoreBusyError), self.transaction(waits=False):
                    self._extend_log()
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
            connection = self._connect(str(path) if path else ":memory:")
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            self._timeout_ms = _BUSY_TIMEOUT_MS
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._mode = self._synchronous
            connection.pragma("page_size", 1024)
            connection.pragma("journal_mode", "wal")
            # Keep the -wal file when the last connection closes: syncing writes into existing blocks is faster.
            wanted = ctypes.c_int(1)
            connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(wanted))
            self._connection, self._run = connection, connection.cursor().execute
        return self._connection

    def before_fork(self) -> None:
        """Close the connection, which a child must not inherit (https://sqlite.org/howtocorrupt.html, section 2.6)."""
        self._guard.acquire()
        if self._path is not None and not self._depth and self._connection is not None:
            self._connection.close()
            self._connection, self._run = None, _not_connected

    def after_fork(self) -> None:
        """Release the lock, in the parent and in the child."""
        self._guard.release()

    # --- the log ----------------------------------------------------------------------------------------------------
    def _log_bytes(self) -> int:
        """The size of the log; that of a catalog which is never synced counts as large enough."""
        if self._path is None or self._synchronous == "NORMAL":
            return _LOG_BYTES
        with suppress(FileNotFoundError):
            return self._path.with_name(f"{self._path.name}-wal").stat().st_size
        return 0

    def _extend_log(self) -> None:
        """Extend the log with zeros to the size that it has after some time (in a transaction: nobody else writes).

        Syncing a write into allocated blocks is faster than syncing one that makes the file longer.  A frame of zeros
        ends the recovery of the log, as the end of the file does: no frame is for page 0, and its salts do not match
        (https://sqlite.org/fileformat2.html, section 4.1).  The log remains when the last connection closes
        (PERSIST_WAL), and checkpoints do not truncate it, but restart it at its beginning.
        """
        size = self._log_bytes()
        if size >= _LOG_BYTES:
            return
        flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW, 0]
        log = apsw.VFSFile(ClusterVFS.plain_name(), f"{self._path}-wal", flags)
        try:
            for offset in range(size, _LOG_BYTES, _ZEROS_BYTES):  # SQLite writes less than 128 KiB at once
                log.xWrite(bytes(min(_ZEROS_BYTES, _LOG_BYTES - offset)), offset)
            log.xSync(apsw.SQLITE_SYNC_NORMAL)
        except (apsw.FullError, apsw.IOError):
            log.xTruncate(size)  # a full disk: the log grows as it is needed
        finally:
            log.xClose()

    def _note_additions(self) -> None:
        """Note which additions to the format the catalog has."""
        names = {name for (name,) in self.query("SELECT name FROM sqlite_schema")}
        self.has_seals = {"released_pins", "sealed"} <= names
        self.has_documents = "documents" in names

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
        if mode != self._mode:
            self._mode = ""  # unknown, if this fails
            self._db.execute(f"PRAGMA synchronous = {mode}")
            self._mode = mode

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
        assert self._connection is not None, "BUG: nothing was inserted"
        return self._connection.last_insert_rowid()

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

    def change(self, sql: str, values: Values = (), *touched: Key) -> None:
        """Run a statement in the running transaction; ``touched``: the remembered rows that it changes, by default all.

        Raises apsw.ConstraintError and the errors of :meth:`query`.
        """
        self.forget(*touched)
        self.insert(sql, values)

    def insert(self, sql: str, values: Values = ()) -> None:
        """Run a statement that changes no remembered row in the running transaction.

        Raises apsw.ConstraintError and the errors of :meth:`query`.
        """
        connection = self._connection
        assert self._depth and connection is not None, "BUG: a change outside a catalog transaction"
        if not connection.in_transaction:  # SQLite rolls back by itself on some errors (lang_transaction.html)
            raise Error(f"the store's catalog {self._path} has rolled back the transaction: try again")
        try:
            self._run(sql, values)
        except apsw.ConstraintError:
            raise
        except apsw.Error:
            with self._translated():
                raise

    # --- remembered rows --------------------------------------------------------------------------------------------
    def remember_under(self, words: ReadersHeader) -> None:
        """Remember rows from now on, under the generation in these words."""
        self._words = words

    def _forget_words(self) -> None:
        """Remember nothing any more: the shared tables will be unmapped."""
        with self._guard:
            self._words = None
            self._rows.clear()

    def row(self, key: Key, read: Callable[[Any], _R | None], argument: object) -> _R | None:
        """The remembered row of a key, or the result of ``read(argument)``, which is remembered unless it is None.

        Raises the errors of :meth:`query`.
        """
        row: _R | None = self.recall(key)
        return self._read_row(key, read, argument) if row is None else row

    def _read_row(self, key: Key, read: Callable[[Any], _R | None], argument: object) -> _R | None:
        with self._guard:
            words = self._words
            if words is None or self._depth:
                return read(argument)
            begun = words.catalog_begun
            is_settled = begun == words.catalog_settled
            row = read(argument)
            if row is not None and is_settled and begun == words.catalog_begun:  # G1
                if begun != self._generation or len(self._rows) >= _REMEMBERED_MAX:
                    self._rows.clear()
                    self._generation = begun
                self._rows[key] = row
            return row

    def recall(self, key: Key) -> Any | None:
        """The remembered row of a key, if it is up to date; otherwise None.

        Takes no lock: while another thread is in a transaction, the rows that it has not forgotten are up to date too.
        """
        words = self._words
        if words is not None and (self._depth or words.catalog_begun == self._generation):  # G2, G3
            return self._rows.get(key)
        return None

    def forget(self, *keys: Key) -> None:
        """Forget rows that the running transaction is about to change; without keys: all rows."""
        for key in keys:
            self._rows.pop(key, None)
            self._written.pop(key, None)
        if not keys:
            self._rows.clear()
            self._written.clear()

    def remember(self, key: Key, row: object) -> None:
        """Remember a row that the running transaction has written, once it is committed."""
        if self._words is not None:
            self._written[key] = row

    # --- transactions -----------------------------------------------------------------------------------------------
    def transaction(self, *, waits: bool = True) -> AbstractContextManager[None]:
        """Run the body as an atomic and durable change; an inner transaction is part of the outer one.

        Signal handlers run after its end.  Raises StoreBusyError if another process holds the catalog for 30 s, or at
        once unless it ``waits``.
        """
        return self._durable[waits]

    def reclaiming(self, *, waits: bool = False) -> AbstractContextManager[None]:
        """Run the body as a transaction that a power failure may undo: it only removes rows released durably before."""
        return self._quick[waits]

    def begin(self, mode: str, timeout_ms: int) -> None:
        """Begin a transaction, or a part of the running one; each call needs one of :meth:`end`."""
        uninterrupted.__enter__()
        try:
            self._guard.acquire()
            try:
                if not self._depth:
                    self._begin(mode, timeout_ms)
                self._depth += 1
            except BaseException:
                self._guard.release()
                raise
        except BaseException:
            uninterrupted.__exit__()
            raise

    def _begin(self, mode: str, timeout_ms: int) -> None:
        if self.is_uncertain:
            raise Error(f"the store's catalog {self._path} could not be written: close the store and open it again")
        begin_busy(self)
        try:
            db = self._db
            if timeout_ms != self._timeout_ms:
                db.set_busy_timeout(timeout_ms)
                self._timeout_ms = timeout_ms
            words = self._words
            try:
                for _ in range(_SEALS_MAX):
                    self._set_synchronous(mode)
                    self._run("BEGIN IMMEDIATE")
                    if words is None or not _has_died(words):
                        break
                    self._run("ROLLBACK")
                    self._seal_after_death()  # G5
                else:
                    raise StoreBusyError(
                        f"processes die in their commits of the store's catalog {self._path}: try again"
                    )
            except apsw.Error:
                with self._translated():
                    raise
            if words is not None and words.catalog_begun != self._generation:  # G3
                self._rows.clear()
                self._generation = words.catalog_begun
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Undo the transaction, unless it is committed."""
        try:
            connection = self._connection
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        finally:
            end_busy(self)

    def end(self, *, commits: bool) -> None:
        """End a part of a transaction, and commit or undo the transaction with its last part."""
        try:
            try:
                if self._depth == 1:
                    try:
                        if commits:
                            self._commit()
                    finally:
                        self._written.clear()
                        self._undo()
            finally:
                self._depth -= 1
                self._guard.release()
        finally:
            uninterrupted.__exit__()

    def _commit(self) -> None:
        reach("catalog: before commit")
        words = self._words
        number = 0
        if words is not None:
            number = words.catalog_begun + 1
            words.catalog_begun = number  # G2
            reach("catalog: number moved")
        try:
            self._run("COMMIT")
        except BaseException:
            self._rows.clear()
            if not self._is_sealing:
                self._seal()
            with self._translated():
                raise
        if words is not None:
            if words.catalog_begun == number:
                words.catalog_settled = number
            self._rows.update(self._written)
            self._generation = number
        reach("catalog: committed")

    def seal(self) -> None:
        """Overwrite the frames that a process which died in its commit may have left in the log.

        Raises StoreBusyError at once if another process is in a transaction, and in a transaction of this object: until
        that commits, and if it does not, the frames stay.
        """
        with self._guard:  # another thread's transaction is waited for
            if self._depth:
                raise StoreBusyError(f"the store's catalog {self._path} cannot be sealed in a transaction")
            with uninterrupted, self._sealing(), self.transaction(waits=False):
                self.change(_SEAL)

    def _seal_after_death(self) -> None:
        """Do the same before a transaction, durably, although that may not be (G5).

        Raises apsw.Error, and the errors of :meth:`query`.
        """
        self._rows.clear()
        with self._sealing():
            self._set_synchronous(self._synchronous)
            try:
                self._run("BEGIN IMMEDIATE")
                self._run(_SEAL)
                self._commit()
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _sealing(self) -> Iterator[None]:
        """Nothing becomes uncertain if the commit in the body fails: it makes no change."""
        former, self._is_sealing = self._is_sealing, True
        try:
            yield
        finally:
            self._is_sealing = former

    def _seal(self) -> None:
        """Overwrite the frames that a failed COMMIT may have left in the log, so that they never take effect.

        SQLite treats a commit whose sync failed as not committed, but recovery of the log would apply it.  If the
        overwrite fails too, the outcome of the transaction is unknown until the store is opened again.
        """
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._set_synchronous(self._synchronous)
            self._db.execute(f"BEGIN IMMEDIATE; {_SEAL}; COMMIT")
        except apsw.Error:
            self.is_uncertain = True

    def close(self) -> None:
        """Close the connection."""
        self._forget_words()
        with self._guard, self._translated():
            if self._connection is not None:
                self._connection.close()
                self._connection, self._run = None, _not_connected
            if self._copy is not None:
                self._copy.cleanup()


class _Transaction:
    """The body of a ``with`` as a transaction, or as a part of the running one; has no state, so bodies may be nested.

    Signal handlers are deferred from before the first step until after the last one.
    """

    __slots__ = ("_begin", "_end", "_mode", "_timeout_ms")

    def __init__(self, database: Database, mode: str, timeout_ms: int) -> None:
        self._begin = database.begin
        self._end = database.end
        self._mode = mode
        self._timeout_ms = timeout_ms

    def __enter__(self) -> None:
        self._begin(self._mode, self._timeout_ms)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(commits=kind is None)


def _has_died(words: ReadersHeader) -> bool:
    """Whether the process that has begun the last commit has died in it; the caller holds the write lock (G5)."""
    for pause_s in _PAUSES_S:
        if words.catalog_begun == words.catalog_settled:
            return False
        time.sleep(pause_s)
    return words.catalog_begun != words.catalog_settled


def _copy_of(path: Path) -> TemporaryDirectory[str]:
    """A temporary directory with a copy of the catalog and of its log."""
    import shutil  # rarely needed
    from tempfile import TemporaryDirectory

    copy = TemporaryDirectory(prefix="clusterdb-catalog-")
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), Path(copy.name, name))
    return copy
