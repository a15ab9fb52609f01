"""The entries of the log that a storage node keeps of a cluster, as bytes: pure functions.

A *batch* has the pages that commits have changed since the batch before it, and a number (``sequence``) that counts
from 1.  A large one has several *parts*, which are entries with numbers of their own; it counts when its last part is
there.  A *claim* states that a writer has begun an epoch: nothing of an older epoch follows it.

An entry is a line of header with the checksum of the next one, a line with a JSON document, the numbers, checksums and
bytes of the pages, and a crc32 of everything before it.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clusterdb.errors import RemoteDamagedError, RemoteFormatError
from clusterdb.zones.segment import ENTRY_MAGIC
from vfs.format.layout import SLOT_BYTES

__all__ = [
    "HEAD_BYTES_MAX",
    "Batch",
    "Claim",
    "Entry",
    "Packed",
    "Start",
    "begins",
    "belongs",
    "newest_beginning",
    "pack",
    "packed",
    "unpack",
    "unpack_head",
    "valid_until",
]

_HEADER = ENTRY_MAGIC
_STARTS_MAX = 64
HEAD_BYTES_MAX = 8192
"""A document and the line before it are not longer."""
_FIELDS = ("sequence", "store", "volume", "base", "version", "size_bytes", "time_ns", "part", "is_last", "parent")


class Start(NamedTuple):
    """Where an epoch of a writer begins in the log: its first batch follows the batch ``after``."""

    epoch: int
    writer: str
    after: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The first entry of an epoch on a node.

    :ivar writer: a nonce of the writer
    :ivar after: the number of the last entry whose content this node has: it voids what follows that
    :ivar starts: of the epochs to which the log up to ``after`` belongs, the oldest first
    """

    epoch: int
    writer: str
    after: int
    starts: tuple[Start, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed between two versions of a volume, or a part of it.

    :ivar epoch, writer: of who has appended it here
    :ivar starts: of the epochs to which the log up to this entry belongs; the last one is that of its first writer
    :ivar store: the identity of the store, in hex
    :ivar base: the version it changes; 0: the empty database
    :ivar version: the version it results in
    :ivar time_ns: when that was committed
    :ivar part: counts the parts from 0
    :ivar is_last: whether it is the last part
    :ivar pages: their numbers, ascending
    :ivar crcs: the crc32 of the pages
    :ivar data: the pages, each of 4096 bytes
    :ivar parent: the log, and the number of its batch, that has what this first batch of a log changes; None: nothing
    """

    epoch: int
    writer: str
    sequence: int
    starts: tuple[Start, ...]
    store: str
    volume: int
    base: int
    version: int
    size_bytes: int
    time_ns: int
    part: int
    is_last: bool
    pages: array[int]
    crcs: array[int]
    data: bytes
    parent: tuple[str, int] | None = None

    @property
    def identity(self) -> tuple[int, str, int]:
        """What tells it from any other batch: the epoch of its first writer, and its number."""
        first = self.starts[-1]
        return first.epoch, first.writer, self.sequence

    @property
    def begins(self) -> bool:
        """Whether nothing before it in this log is needed."""
        return begins({"part": self.part, "base": self.base, "parent": self.parent})

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What the parts of a batch have in common."""
        return self.store, self.volume, self.base, self.version

    def page(self, index: int) -> bytes:
        """The bytes of the page at an index of ``pages``."""
        return self.data[index * SLOT_BYTES : (index + 1) * SLOT_BYTES]


Entry = Claim | Batch


def begins(head: Mapping[str, Any]) -> bool:
    """Whether the batch of a document begins the content anew, or continues another log."""
    return not head["part"] and (not head["base"] or head["parent"] is not None)


class Packed(NamedTuple):
    """A batch as bytes."""

    sequence: int
    begins: bool
    data: bytes


def packed(batch: Batch) -> Packed:
    """The bytes of a batch, and what has to be known of it."""
    return Packed(batch.sequence, batch.begins, pack(batch))


def newest_beginning(numbers: Iterable[int], last: int, batch: Callable[[int], Batch | None]) -> int | None:
    """The greatest of the numbers of batches that begin anew whose parts are all there, up to a number; None: none.

    ``batch`` returns the batch of a number.
    """
    for number in sorted(numbers, reverse=True):
        parts = 0
        while number + parts <= last:
            part = batch(number + parts)
            if part is None or part.part != parts or (not parts and not part.begins):
                break  # what an index has may be void
            if part.is_last:
                return number
            parts += 1
    return None


def pack(entry: Entry) -> bytes:
    """The bytes of an entry."""
    head: dict[str, Any] = {"epoch": entry.epoch, "writer": entry.writer, "starts": entry.starts[-_STARTS_MAX:]}
    body = b""
    if isinstance(entry, Claim):
        head["after"] = entry.after
    else:
        head |= {name: getattr(entry, name) for name in _FIELDS} | {"count": len(entry.pages)}
        body = _words(entry.pages) + _words(entry.crcs) + entry.data
    document = json.dumps(head, separators=(",", ":")).encode()
    data = b"".join((_HEADER, b"%08x\n" % zlib.crc32(document), document, b"\n", body))
    return data + struct.pack("<I", zlib.crc32(data))


def unpack(data: bytes, where: str) -> Entry:
    """The entry that bytes are of; ``where`` names them in errors.  Raises RemoteDamagedError, RemoteFormatError."""
    head, at = unpack_head(data, where)
    if len(data) < at + 4 or zlib.crc32(memoryview(data)[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise RemoteDamagedError(f"{where} fails its checksum")
    if "after" in head:
        return Claim(**head)
    count = head.pop("count")
    head["parent"] = tuple(head["parent"]) if head["parent"] is not None else None
    pages, crcs = _array(data[at : at + 4 * count]), _array(data[at + 4 * count : at + 8 * count])
    return Batch(**head, pages=pages, crcs=crcs, data=data[at + 8 * count : -4])


def unpack_head(data: bytes, where: str) -> tuple[dict[str, Any], int]:
    """The document of an entry, compared with its own checksum, and where it ends.

    Raises RemoteDamagedError, RemoteFormatError.
    """
    if not data.startswith(_HEADER):
        if data.startswith(b"clusterdb-entry "):
            raise RemoteFormatError(f"{where} has a newer format than this release reads: upgrade clusterdb")
        raise RemoteDamagedError(f"{where} is no entry of a log")
    try:
        start = len(_HEADER) + 9
        end = data.index(b"\n", start)
        document = data[start:end]
        if data[len(_HEADER) : start] != b"%08x\n" % zlib.crc32(document):
            raise ValueError
        head: dict[str, Any] = json.loads(document)
        head["starts"] = tuple(Start(*begin) for begin in head["starts"])
    except (ValueError, KeyError, TypeError):
        raise RemoteDamagedError(f"{where} is damaged") from None
    return head, end + 1


def valid_until(starts: Sequence[Start], last: int, chain: Sequence[Start]) -> int | None:
    """How far a log is a beginning of another: the number of its last entry that both have; None: that is unknown.

    ``starts`` and ``last`` are the epochs and the last number of the log; ``chain`` are the epochs of the other.

    Both agree on the epochs that they have in common, up to where the first epoch begins that only one of them has.
    """
    mine, theirs = list(starts), list(chain)
    is_whole = not any(side and side[0].after for side in (mine, theirs))
    while not is_whole and mine and theirs and mine[0] != theirs[0]:  # one has dropped its oldest epochs
        (mine if mine[0] < theirs[0] else theirs).pop(0)
    if (starts and not mine) or (chain and not theirs):
        return None
    common = 0
    while common < min(len(mine), len(theirs)) and mine[common] == theirs[common]:
        common += 1
    limits = [side[common].after for side in (mine, theirs) if common < len(side)]
    return min([last, *limits])


def belongs(batch: Batch, chain: Sequence[Start]) -> bool:
    """Whether a batch is one of the log with these epochs, and not of a writer that was late."""
    return valid_until(batch.starts, batch.sequence, chain) in (batch.sequence, None)


def _words(words: array[int]) -> bytes:
    return _little(words).tobytes()


def _array(data: bytes) -> array[int]:
    words = array("I")
    words.frombytes(data)
    return _little(words)


def _little(words: array[int]) -> array[int]:
    if sys.byteorder == "big":
        words = words[:]
        words.byteswap()
    return words
