"""The first page of a SQLite database: the change counter, which is not stored but is the number of the version.

SQLite compares bytes 24 to 39 of the file with those it has cached, to find out whether its cache is still valid.  The
change counter is at 24, and a copy of it at 92 (https://sqlite.org/fileformat2.html, sections 1.3.7 and 1.3.17).  Every
transaction increments it.  Storage keeps the page with a counter of zero, and puts the number of the version into the
bytes that it returns: so a commit need not write the first page, and a connection can tell from any version that it
sees next whether its cache is valid.  The page of a store of format 1 has a counter, which is ignored.

A transaction that only moved the counter must still be published as a version.  Otherwise SQLite's cache would be
marked with the number of a version that another connection publishes later.
"""

from __future__ import annotations

from vfs.format.layout import SLOT_BYTES

__all__ = ["COUNTED_BYTES", "moves_counter", "with_counter", "without_counter"]

_MAGIC = b"SQLite format 3\0"
COUNTED_BYTES = 96
"""The bytes of the first page that may depend on the version."""
_ROLLBACK_JOURNAL = b"\1\1"
"""File format versions (bytes 18 and 19) of a database that is not in WAL mode."""


def _counter(version: int) -> bytes:
    return (version & 0xFFFFFFFF).to_bytes(4, "big")


def with_counter(page: bytes | memoryview, version: int) -> bytes:
    """The first page as a connection that reads ``version`` sees it."""
    data = bytes(page)
    if not data.startswith(_MAGIC):
        return data
    counter = _counter(version)
    return data[:24] + counter + data[28:92] + counter + data[96:]


def moves_counter(page: bytes, version: int) -> bool:
    """Whether a page that SQLite writes has another counter than the version it is based on."""
    return page.startswith(_MAGIC) and page[24:28] != _counter(version)


def without_counter(page: bytes) -> bytes:
    """The first page as it is stored: without counter, and as that of a database that is not in WAL mode.

    ``page`` has 4096 bytes; any other content than that of a database is stored as it is.
    """
    assert len(page) == SLOT_BYTES
    if not page.startswith(_MAGIC):
        return page
    return page[:18] + _ROLLBACK_JOURNAL + page[20:24] + bytes(4) + page[28:92] + bytes(4) + page[96:]
