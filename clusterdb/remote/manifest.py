"""The records of a repository, as bytes: pure functions.

A *manifest* states everything that a repository holds: for each name (a *ref*) the version record of a database, whose
root is a remote slot, and where the remote slots are.  Remote slots are numbered like those of a pool, from
:data:`FIRST_SLOT` on, so the nodes of page tables name pages in the repository and have the format of the pool
(``vfs/format/layout.py``).  A *segment* is an object that holds a run of slots; a *table* is a folded list of segments.

Every record is one line of header and a JSON document: ``clusterdb-manifest 1 CRC32``.
"""

from __future__ import annotations

import json
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from clusterdb.errors import RemoteDamagedError, RemoteFormatError
from vfs.format.layout import VERSION_RECORD_BYTES, Version, pack_version, unpack_version

__all__ = [
    "FIRST_SLOT",
    "FORMAT",
    "SEGMENTS_MAX",
    "Manifest",
    "Ref",
    "Segment",
    "Segments",
    "pack",
    "pack_table",
    "unpack",
    "unpack_table",
]

FORMAT = 1
FIRST_SLOT = 1 << 31
"""Slots of pools are below, those of repositories are from here on."""
_LAST_SLOT = 1 << 32
_NAME = re.compile(r"[0-9a-f]{16}")
SEGMENTS_MAX = 1024
"""Segments in a manifest; more are folded into a table."""


class Segment(NamedTuple):
    """A run of ``length`` slots, from slot ``first`` on, in an object, ``segment/NAME``, behind ``offset`` others."""

    first: int
    length: int
    name: str
    offset: int = 0

    def row(self) -> list[int | str]:
        """The segment in a record, without an offset of 0."""
        return [self.first, self.length, self.name, *([self.offset] if self.offset else [])]


@dataclass(frozen=True, slots=True)
class Ref:
    """A database of a repository.

    :ivar record: its version; ``volume`` is that of the pushing store, slots of the root are remote
    :ivar store: the identity of the store that pushed it, in hex
    :ivar engine: the SQL that its cluster accepts
    :ivar pushed_ns: when it was pushed, by the clock of who pushed it
    :ivar hot: runs of slots with what every query needs, as (first, count): nodes, and interior pages of b-trees
    """

    record: Version
    store: str
    engine: str
    pushed_ns: int
    hot: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The state of a repository after ``number`` changes.

    :ivar number: counts from 1; no number is ever used twice
    :ivar previous_crc: the crc32 of the manifest before, 0 for the first
    :ivar writer: a nonce of its writer, so that a writer recognises its own
    :ivar time_ns: the writer's clock, but later than the manifest before
    :ivar next_slot: the first remote slot that is not used
    :ivar tables: the names of tables, whose segments come before ``segments``
    :ivar oldest: the states before this number have expired, or are about to, unless they are pinned
    """

    number: int
    previous_crc: int
    writer: str
    time_ns: int
    next_slot: int = FIRST_SLOT
    refs: Mapping[str, Ref] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    tables: tuple[str, ...] = ()
    oldest: int = 1

    def without(self, name: str) -> Manifest:
        """The same without a ref."""
        return replace(self, refs={other: ref for other, ref in self.refs.items() if other != name})


class Segments:
    """Where slots are; the runs must not overlap."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._runs = sorted(segments)
        self._firsts = [run.first for run in self._runs]

    def find(self, slot: int) -> Segment:
        """The segment that has a slot.  Raises RemoteDamagedError."""
        if not self.has(slot):
            raise RemoteDamagedError(f"no segment has remote slot {slot - FIRST_SLOT}")
        return self._runs[bisect_right(self._firsts, slot) - 1]

    def parts(self, first: int, count: int) -> Iterator[Segment]:
        """The parts of segments that have slots ``first`` to ``first + count``, as far as they have them."""
        at = max(bisect_right(self._firsts, first) - 1, 0)
        while at < len(self._runs) and self._runs[at].first < first + count:
            run = self._runs[at]
            start, end = max(run.first, first), min(run.first + run.length, first + count)
            if start < end:
                yield run._replace(first=start, length=end - start, offset=run.offset + start - run.first)
            at += 1

    def has(self, slot: int) -> bool:
        """Whether a segment has a slot."""
        at = bisect_right(self._firsts, slot) - 1
        return at >= 0 and slot < self._runs[at].first + self._runs[at].length


def pack(manifest: Manifest) -> bytes:
    """A manifest as bytes."""
    refs = {
        name: {
            "record": pack_version(ref.record)[:VERSION_RECORD_BYTES].hex(),
            "store": ref.store,
            "engine": ref.engine,
            "pushed_ns": ref.pushed_ns,
            "hot": [list(run) for run in ref.hot],
        }
        for name, ref in sorted(manifest.refs.items())
    }
    return _pack(
        "manifest",
        {
            "number": manifest.number,
            "previous_crc": manifest.previous_crc,
            "writer": manifest.writer,
            "time_ns": manifest.time_ns,
            "next_slot": manifest.next_slot,
            "refs": refs,
            "segments": [segment.row() for segment in manifest.segments],
            "tables": list(manifest.tables),
            "oldest": manifest.oldest,
        },
    )


def unpack(data: bytes, where: str) -> Manifest:
    """The manifest in the bytes of the object ``where``.  Raises RemoteDamagedError, RemoteFormatError."""
    document = _unpack("manifest", data, where)
    try:
        refs = {}
        for name, ref in document["refs"].items():
            record = unpack_version(bytes.fromhex(ref["record"]))
            if record is None:
                raise RemoteDamagedError(f"{where} is damaged: the version record of '{name}' fails its checksum")
            hot = tuple((int(first), int(count)) for first, count in ref.get("hot", ()))
            refs[str(name)] = Ref(record, str(ref["store"]), str(ref["engine"]), int(ref["pushed_ns"]), hot)
        return Manifest(
            int(document["number"]),
            int(document["previous_crc"]),
            str(document["writer"]),
            int(document["time_ns"]),
            int(document["next_slot"]),
            refs,
            _segments(document["segments"]),
            tuple(map(_name, document["tables"])),
            int(document["oldest"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteDamagedError(f"{where} is damaged: {type(error).__name__} {error}") from None


def pack_table(segments: Iterable[Segment]) -> bytes:
    """A table of segments as bytes."""
    return _pack("table", {"segments": [segment.row() for segment in segments]})


def unpack_table(data: bytes, where: str) -> tuple[Segment, ...]:
    """The segments of a table.  Raises RemoteDamagedError, RemoteFormatError."""
    try:
        return _segments(_unpack("table", data, where)["segments"])
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteDamagedError(f"{where} is damaged: {type(error).__name__} {error}") from None


def _segments(rows: Any) -> tuple[Segment, ...]:
    segments = tuple(
        Segment(int(first), int(length), _name(name), *map(int, offset)) for first, length, name, *offset in rows
    )
    for segment in segments:
        if segment.length < 1 or segment.offset < 0 or not FIRST_SLOT <= segment.first <= _LAST_SLOT - segment.length:
            raise ValueError(f"segment {segment.name} has impossible slots")
    return segments


def _name(name: object) -> str:
    """The name of an object, which becomes a part of a path."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r:.40} is no name of an object")
    return name


def _pack(kind: str, document: dict[str, Any]) -> bytes:
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return b"clusterdb-%s %d %08x\n" % (kind.encode(), FORMAT, zlib.crc32(body)) + body


def _unpack(kind: str, data: bytes, where: str) -> dict[str, Any]:
    head, _, body = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 3 or words[0] != b"clusterdb-" + kind.encode() or not words[1].isdigit():
        raise RemoteDamagedError(f"{where} is not a {kind} of a repository, or is damaged")
    if int(words[1]) > FORMAT:
        raise RemoteFormatError(
            f"{where} has format {int(words[1])}; this release reads format {FORMAT}: upgrade clusterdb"
        )
    if words[2] != b"%08x" % zlib.crc32(body):
        raise RemoteDamagedError(f"{where} fails its checksum")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise RemoteDamagedError(f"{where} is damaged: it is no document")
    return document
