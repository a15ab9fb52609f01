"""The databases that are measured: generated files, plain connections to them, and forkdb."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

__all__ = ["Forkdb", "has_forkdb", "in_memory", "plain", "rows_of", "size_text", "source_of"]

_ROW_BYTES = 300
_MMAP_BYTES = 2 << 30  # SQLite reduces it to its limit, slightly below
SOURCES = "sources"
"""The folder beside those of the groups that holds the generated files, which all groups of a run share."""


def rows_of(megabytes: float) -> int:
    """The number of rows in the file of that size; their ids are 1 to this number."""
    return max(1, int(megabytes * (1 << 20) / (_ROW_BYTES + 16)))


def size_text(megabytes: float) -> str:
    """``64 MB``, ``1 GB``."""
    return f"{megabytes / 1024:g} GB" if megabytes >= 1024 else f"{megabytes:g} MB"


def source_of(folder: Path, megabytes: float) -> Path:
    """A plain database of about that size: one table with a blob of 300 bytes a row.  Do not write to it."""
    path = folder.parent / SOURCES / f"{megabytes:g}.db"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with closing(apsw.Connection(str(path))) as database:
            database.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF").fetchall()
            database.execute(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body BLOB);"
                "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ?) "
                "INSERT INTO t SELECT x, x % 1000, randomblob(?) FROM c",
                (rows_of(megabytes), _ROW_BYTES),
            )
    return path


def plain(path: Path, *, mapped: bool = False) -> apsw.Connection:
    """A connection to a plain file in WAL mode, without or with mmap."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    if mapped:
        connection.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}").fetchall()
    return connection


def in_memory(content: bytes) -> apsw.Connection:
    """A private database of SQLite, which has no file and no lock: what SQLite, apsw and Python take themselves."""
    database = apsw.Connection(":memory:")
    database.deserialize("main", content)
    return database


def has_forkdb() -> bool:
    """Whether forkdb, of the ``bench`` extra, is installed.  Without it its lines are left out."""
    return importlib.util.find_spec("forkdb") is not None


class Forkdb:
    """forkdb 0.1.0 through apsw, so that both are driven by the same SQLite and the same Python layer."""

    def __init__(self, path: Path, source: Path) -> None:
        """Create a forkdb store whose branch ``main`` is a copy of the database ``source``."""
        forkdb = importlib.import_module("forkdb")

        self.path = str(path)
        self.host = apsw.Connection(":memory:")
        self.host.enable_load_extension(True)
        self.host.load_extension(forkdb.extension_path())
        self.call("forkdb_init")
        with (
            closing(self.open("main")) as main,
            closing(apsw.Connection(str(source))) as database,
            main.backup("main", database, "main") as backup,
        ):
            backup.step(-1)

    def call(self, function: str, *values: str) -> Any:
        """The value of one of forkdb's SQL functions."""
        marks = ", ".join("?" * (1 + len(values)))
        return self.host.execute(f"SELECT {function}({marks})", (self.path, *values)).get

    def open(self, name: str) -> apsw.Connection:
        """A connection to a branch."""
        uri = self.call("forkdb_open_db", name)
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE)
