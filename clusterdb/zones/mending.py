"""Damaged pages of the pool, whose bytes are taken from a storage node."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from clusterdb.core.context import Context
from clusterdb.errors import Error
from clusterdb.zones.copies import StoreCopies, log_name, nodes_of
from clusterdb.zones.node import Log
from clusterdb.zones.reading import Reading

__all__ = ["find_copy"]


class _Index:
    """Where the pages of a log are: by number and checksum, the number of the newest batch that has them."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, int], int] = {}
        self.parent: str | None = None
        self._indexed = 0

    def extend(self, reading: Reading) -> None:
        """Look at the batches that were added."""
        first = max(self._indexed + 1, reading.start(reading.last))
        for sequence in range(first, reading.last + 1):
            batch = reading.batch(sequence)
            self.parent = self.parent or (batch.parent[0] if batch.parent is not None else None)
            self.places.update(dict.fromkeys(zip(batch.pages, batch.crcs, strict=True), sequence))
        self._indexed = max(self._indexed, reading.last)


_indexes: WeakKeyDictionary[StoreCopies, dict[str, _Index]] = WeakKeyDictionary()
_guard = threading.Lock()


def find_copy(context: Context, copies: StoreCopies, volume: int, page: int, crc: int) -> bytes | None:
    """The bytes of a page, by the number of its volume, its own, and its checksum; None if no node has them."""
    with _guard:
        seen: set[str] = set()
        for name, urls in _logs(context, copies, volume):
            log: str | None = name
            while log is not None and log not in seen:
                seen.add(log)
                try:
                    data, log = _look(copies, log, urls, page, crc)
                except Error:  # too few nodes: another cluster's may have it
                    break
                if data is not None:
                    return data
    return None


def _logs(context: Context, copies: StoreCopies, volume: int) -> Iterator[tuple[str, list[str]]]:
    """The logs of the store's clusters, and the URLs of their nodes; the volume's own first."""
    rows = [row for row in context.catalog.clusters.all() if row.settings.zones]
    for row in sorted(rows, key=lambda row: row.volume != volume):
        yield log_name(context, row.cluster), [url for _, _, url in nodes_of(row.settings.zones)]


def _look(copies: StoreCopies, name: str, urls: list[str], page: int, crc: int) -> tuple[bytes | None, str | None]:
    """The bytes of a page in a log, and the log that it continues."""
    reading = Reading([Log(copies.objects(url), name) for url in urls])
    index = _indexes.setdefault(copies, {}).setdefault(name, _Index())
    index.extend(reading)
    sequence = index.places.get((page, crc))
    if sequence is not None:
        batch = reading.batch(sequence)
        data = batch.page(batch.pages.index(page)) if page in batch.pages else b""
        if zlib.crc32(data) == crc:
            return data, None
    return None, index.parent
