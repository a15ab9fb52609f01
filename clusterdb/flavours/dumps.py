"""Load dumps of mysqldump, mariadb-dump and pg_dump into an empty database.

A dump is read as a stream.  Statements for objects that clusters lack (triggers, routines, owners, grants, comments)
are skipped and counted by kind, or refused by a ``strict`` load; partitioned tables are loaded without partitions.  Any
other error ends the load and names the line.  Foreign keys are checked after the last row, since rows can refer to
later ones; rows that refer to missing rows, which dumps of MySQL can contain, are counted.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn, cast

import apsw

from clusterdb.errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InvalidArgumentError,
    NotADatabaseError,
    NotSupportedError,
    OperationalError,
    StoreFullError,
)
from clusterdb.flavours import session_of
from clusterdb.flavours.flavour import Translation
from clusterdb.flavours.loaded import LoadedDump
from clusterdb.flavours.partitions import Partitions
from clusterdb.flavours.scripts import Statement
from clusterdb.flavours.session import run
from clusterdb.flavours.skipped import kind_of

__all__ = ["Dump", "Progress"]

Progress = Callable[[int, int], None]
"""Called with the number of bytes read and the size in bytes, 0 if it is unknown."""

_PIECE_BYTES = 1 << 20
_COMMIT_BYTES = 64 << 20
_BETWEEN_PROGRESS_S = 0.1
_HEADS = {
    re.compile(r"-- (?:MySQL|MariaDB) dump\b"): "aurora-mysql",
    re.compile(r"--\s*\n-- PostgreSQL database dump\b"): "aurora-postgresql",
}
_ENGINES = "aurora-mysql or aurora-postgresql"
_ENDS = {"aurora-mysql": "-- Dump completed", "aurora-postgresql": "-- PostgreSQL database dump complete"}
_OTHERS = {
    b"PGDMP": "is in pg_dump's custom format: dump it again with pg_dump --format=plain, or write it as a script with "
    "pg_restore --file=dump.sql",
    b"SQLite format 3\0": "is a SQLite database: import it without --dump",
}
_CONTROL = re.compile(r"(?:BEGIN|COMMIT|ROLLBACK|END|START\s+TRANSACTION)\b", re.IGNORECASE)


# --- reading ----------------------------------------------------------------------------------------------------------
class Dump:
    """A dump to load: a path, ``-`` for standard input, or a binary stream, optionally compressed by gzip.

    ``engine``: the engine to load for; by default the one that the dump's first comment names.  Bytes that are not
    UTF-8 are kept as lone surrogates, since they can be the content of binary columns.
    """

    def __init__(self, source: Any, *, engine: str | None = None, progress: Progress | None = None) -> None:
        """Open the dump and read its head.  Raises NotADatabaseError or InvalidArgumentError."""
        self._closes = not hasattr(source, "read") and str(source) != "-"
        self.name = str(source) if not hasattr(source, "read") else str(getattr(source, "name", "the dump"))
        try:
            self._raw: IO[bytes] = (
                open(source, "rb") if self._closes else sys.stdin.buffer if str(source) == "-" else source
            )
            self._total_bytes = os.fstat(self._raw.fileno()).st_size if self._closes else 0
        except OSError as error:
            raise NotADatabaseError(f"'{source}' cannot be read: {error.strerror}") from error
        self._progress, self._next_progress = progress, 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")
        self._tail = ""
        try:
            self._stream = self._uncompressed()
            self._head = self._read()
            self.engine = self._engine(engine)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; a stream of the caller's stays open."""
        if self._closes:
            self._raw.close()

    def __enter__(self) -> Dump:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, db: apsw.Connection, *, strict: bool = False) -> LoadedDump:
        """Load the dump into an empty database, which is to be discarded after an error.

        ``strict``: refuse what is skipped otherwise.  Raises NotADatabaseError for a truncated dump,
        NotSupportedError, and the errors of statements with their line.
        """
        return _Loading(db, self, strict).run()

    def _uncompressed(self) -> IO[bytes]:
        stream: Any = self._raw if hasattr(self._raw, "peek") else io.BufferedReader(self._raw)
        is_compressed = stream.peek(2)[:2] == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream) if is_compressed else stream)

    def _read(self) -> str:
        try:
            data = self._stream.read(_PIECE_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise NotADatabaseError(f"'{self.name}' cannot be read: {error}") from error
        for magic, description in _OTHERS.items():
            if data.startswith(magic):
                raise NotADatabaseError(f"'{self.name}' {description}")
        return self._decoder.decode(data, final=not data)

    def _engine(self, engine: str | None) -> str:
        """The engine to load for.  Raises InvalidArgumentError if it is unknown or not the dump's."""
        written_by = self._written_by()
        if engine is None and written_by is None:
            raise InvalidArgumentError(
                f"'{self.name}' has no comment that names its engine: specify the engine, {_ENGINES}"
            )
        if engine is not None and written_by is not None and engine != written_by:
            raise InvalidArgumentError(f"'{self.name}' is a dump of {written_by}, not of {engine}")
        if engine is not None and engine not in _ENDS:
            raise InvalidArgumentError(f"cannot load dumps for engine '{engine}': use {_ENGINES}")
        return engine or written_by or ""

    def _written_by(self) -> str | None:
        return next((engine for pattern, engine in _HEADS.items() if pattern.search(self._head[:4096])), None)

    def pieces(self) -> Iterator[str]:
        """The dump's text, piece by piece.  Raises NotADatabaseError at its end if only the last comment is missing."""
        piece = self._head
        while piece:
            self._tail = (self._tail + piece)[-4096:]
            yield piece
            self._report_progress()
            piece = self._read()
        engine = self._written_by()
        if engine is not None and _ENDS[engine] not in self._tail:
            raise NotADatabaseError(f"'{self.name}' is truncated: the line '{_ENDS[engine]}' is missing at its end")

    def _report_progress(self) -> None:
        if self._progress is None or time.monotonic() < self._next_progress:
            return
        done = self._raw.tell() if self._total_bytes else 0
        self._progress(done, self._total_bytes)
        self._next_progress = time.monotonic() + _BETWEEN_PROGRESS_S


# --- loading ----------------------------------------------------------------------------------------------------------
class _Loading:
    """The loading of one dump into a database."""

    def __init__(self, db: apsw.Connection, dump: Dump, strict: bool) -> None:
        self._db = db
        self._dump = dump
        self._session = session_of(dump.engine, db)
        self._strict = strict
        self._skipped: Counter[str] = Counter()
        self._statements = 0
        self._partitions = Partitions(dump.engine)
        self._uncommitted_bytes = 0

    def run(self) -> LoadedDump:
        db = self._db
        db.execute("PRAGMA foreign_keys = OFF; BEGIN")
        for statement in self._split():
            try:
                self._load(statement)
            except (Error, apsw.Error, UnicodeError, MemoryError) as error:
                self._fail(statement, error)
            self._uncommitted_bytes += len(statement.text)
            if self._uncommitted_bytes > _COMMIT_BYTES:
                db.execute("COMMIT; BEGIN")
                self._uncommitted_bytes = 0
        dangling = self._dangling()
        db.execute("COMMIT")
        return LoadedDump(self._statements, dict(self._skipped), dangling)

    def _split(self) -> Iterator[Statement]:
        splitter = self._session.flavour.splitter(whole_copies=False)
        for piece in self._dump.pieces():
            for statement in splitter.feed(piece):
                yield statement
                splitter.obey(self._session.flavour)
        yield from splitter.finish()

    def _load(self, statement: Statement) -> None:
        kind = kind_of(statement.text, self._session.flavour.engine)
        if kind is not None:
            self._skip(kind, statement)
            return
        text, kind = self._partitions.routed(statement.text)
        if kind is not None:
            self._skip(kind, statement)
        if text and not _CONTROL.match(text):
            self._run(text)
            self._statements += 1

    def _skip(self, kind: str, statement: Statement) -> None:
        if not kind:
            return
        if self._strict:
            article = "an" if kind[0] in "aeiou" else "a"
            raise NotSupportedError(
                f"{article} {kind} is not supported by {self._session.flavour.engine} clusters: "
                f"{self._session.flavour.quoted(statement.text)}"
            )
        self._skipped[kind] += 1

    def _run(self, text: str) -> None:
        flavour, schema = self._session.flavour, self._session.schema()
        sql = flavour.rows.translated(text, schema, self._generated if flavour.engine == "aurora-mysql" else None)
        translation = Translation(sql) if sql is not None else flavour.translate(text, schema)
        for step in (*translation.before, translation.sql, *translation.after):
            run(step, self._session)

    def _generated(self, table: str) -> frozenset[str]:
        """The generated columns of a table in lower case: dumps of MariaDB have values for them."""
        columns = self._session.schema().tables.get(table.lower(), {})
        return frozenset(name for name, column in columns.items() if column.is_generated)

    def _fail(self, statement: Statement, error: BaseException) -> NoReturn:
        where = f"'{self._dump.name}', line {statement.line}"
        if isinstance(error, UnicodeError):
            raise DataError(
                f"{where}: text is not UTF-8: dump it again with the character set utf8mb4 or UTF8"
            ) from None
        if isinstance(error, apsw.FullError):
            raise StoreFullError(f"{where}: {error}") from error
        kinds: dict[type[BaseException], type[Error]] = {
            apsw.ConstraintError: IntegrityError,
            apsw.MismatchError: IntegrityError,
            apsw.TooBigError: DataError,
        }
        if isinstance(error, apsw.Error):
            kind = kinds.get(type(error), OperationalError)
            raise kind(f"{where}: {error}: {self._session.flavour.quoted(statement.text)}") from error
        if isinstance(error, DatabaseError):
            raise type(error)(f"{where}: {error}") from error.__cause__
        raise error

    def _dangling(self) -> dict[str, int]:
        """By table, the number of rows that refer to missing rows.  Raises IntegrityError in a strict load."""
        try:
            dangling = Counter(str(table) for table, *_ in self._db.execute("PRAGMA foreign_key_check"))
        except apsw.Error as error:
            raise IntegrityError(f"'{self._dump.name}': {error}") from error
        if dangling and self._strict:
            table, count = next(iter(dangling.items()))
            raise IntegrityError(f"'{self._dump.name}': {count} rows of {table} refer to missing rows")
        return dict(dangling)
