"""Repacking: what is left of segments that are mostly unreachable is copied to new ones, so that they can be deleted.

Slot numbers stay, so no node changes, and other writers need not know: a repack is one more state, which names other
objects for the same slots (P5 of :mod:`clusterdb.remote.repository`).  If another writer was first, everything is
looked at again, since that one may have named slots that nothing reached before; what was copied serves if it still
suffices.
States that are pinned, or younger than a collection spares, keep the old objects.
"""

from __future__ import annotations

import secrets
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from clusterdb.errors import RemoteDamagedError, RemoteUnavailableError
from clusterdb.remote.manifest import SEGMENTS_MAX, Manifest, Segment, Segments
from clusterdb.remote.objects import Counts
from clusterdb.remote.repository import DURATION_S_MAX, SEGMENT_SLOTS, Repository, Slots, uptime_s
from clusterdb.remote.tree import Side
from vfs.errors import CorruptionError
from vfs.format.layout import SLOT_BYTES
from vfs.storage.walk import nodes

__all__ = ["Repacked", "repack", "runs_left"]

_RUNS_MAX = 64
"""Runs that are left of a segment: more are joined, with the slots between them."""


@dataclass(frozen=True, slots=True)
class Repacked:
    """What a repack did, or would do.

    :ivar segment_count: the segments of which less than half is reachable, and that are not named any more
    :ivar new_count: the segments that take their place
    :ivar copied_bytes: of these
    :ivar freed_bytes: what a collection can free of the former segments, once no state needs them
    :ivar requests: what was asked of the engine; for a dry run, what will be
    """

    segment_count: int
    new_count: int
    copied_bytes: int
    freed_bytes: int
    requests: Counts


def repack(repository: Repository, *, dry_run: bool) -> Repacked:
    """Copy what is left of segments: implements :meth:`clusterdb.remote.Remote.repack`."""
    packer = _Packer(repository)
    if dry_run:
        return packer.estimate()
    return repository.raced(packer.packed, "repack again")


class _Packer:
    """A repack: what it has copied stays usable if another writer is first."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._copies: dict[Segment, list[Segment]] = {}
        self._crcs: dict[Segment, dict[int, int]] = {}
        self._began_s = uptime_s()

    def estimate(self) -> Repacked:
        """What :meth:`packed` would do."""
        manifest = self._repository.require_newest()
        left = self._left(manifest)
        kept = sum(run.length for runs in left.values() for run in runs)
        new_count = sum(any(together.values()) for together in _together(left))
        counts = replace(self._repository.objects.counts)
        if left:
            spans = [runs[-1].first + runs[-1].length - runs[0].first for runs in left.values() if runs]
            run_count = len(self._remaining(manifest, left)) + sum(map(len, left.values()))
            counts.gets += len(spans)
            counts.received_bytes += sum(spans) * SLOT_BYTES
            counts.puts += new_count + 2 + (run_count > SEGMENTS_MAX)
            counts.sent_bytes += kept * SLOT_BYTES
        return _result(left, new_count, kept, counts)

    def packed(self) -> Repacked | None:
        """One attempt; None if another writer was first."""
        manifest = self._repository.require_newest()
        try:
            left = self._left(manifest)
            for together in _together({source: runs for source, runs in left.items() if source not in self._copies}):
                self._copy(manifest, together)
        except RemoteDamagedError:
            if self._repository.is_newest(manifest.number):
                raise
            return None  # what it read has been replaced, and collected, meanwhile
        if not left:
            return _result(left, 0, 0, self._repository.objects.counts)
        if uptime_s() - self._began_s > DURATION_S_MAX:
            raise RemoteUnavailableError(f"repacking {self._repository.url} took too long: try again")
        copies = [run for source in left for run in self._copies[source]]
        segments = (*self._remaining(manifest, left), *copies)
        if self._repository.change(manifest, manifest.refs, segments, keeps=False) is None:
            return None
        new_count, kept = len({run.name for run in copies}), sum(run.length for run in copies)
        return _result(left, new_count, kept, self._repository.objects.counts)

    def _remaining(self, manifest: Manifest, left: dict[Segment, list[Segment]]) -> list[Segment]:
        return [segment for segment in self._repository.all_segments(manifest) if segment not in left]

    # --- what is left -----------------------------------------------------------------------------------------------
    def _left(self, manifest: Manifest) -> dict[Segment, list[Segment]]:
        """The segments of a state that are to be repacked, with the runs that are left of them."""
        try:
            reached = self._reached(manifest)
        except (CorruptionError, RemoteDamagedError) as error:
            raise RemoteDamagedError(f"{self._repository.url} is damaged, so nothing was repacked: {error}") from None
        objects: dict[str, list[Segment]] = {}
        for segment in self._repository.all_segments(manifest):
            objects.setdefault(segment.name, []).append(segment)
        left: dict[Segment, list[Segment]] = {}
        for segments in objects.values():
            count = sum(segment.length for segment in segments)
            kept = {segment: runs_left(segment, reached.get(segment, {})) for segment in segments}
            alive = sum(len(reached.get(segment, {})) for segment in segments)
            if 2 * alive < count and 4 * sum(run.length for runs in kept.values() for run in runs) < 3 * count:
                left |= kept
        self._forget_copies(left, reached)
        self._crcs = reached
        return left

    def _reached(self, manifest: Manifest) -> dict[Segment, dict[int, int]]:
        """The slots that the databases of a state reach, with their checksums, by segment."""
        slots = Slots(self._repository, manifest)
        reached: dict[Segment, dict[int, int]] = {}
        for ref in manifest.refs.values():
            side = Side(slots.read_slot, ref.record, slots.place_of)
            for node in nodes(side.read_slot, side.version, damaged=side.damaged):
                below = [child.entry for child in node.children()] if not node.at.level else []
                for entry in (node.at.entry, *below):
                    reached.setdefault(slots.segment_of(entry.slot), {})[entry.slot] = entry.crc
        return reached

    def _forget_copies(self, left: dict[Segment, list[Segment]], reached: dict[Segment, dict[int, int]]) -> None:
        """Forget copies that lack what is reached by now."""
        for source, runs in list(self._copies.items()):
            has = Segments(runs).has
            if source in left and not all(has(slot) for slot in reached.get(source, {})):
                del self._copies[source]

    # --- copying ----------------------------------------------------------------------------------------------------
    def _copy(self, manifest: Manifest, together: dict[Segment, list[Segment]]) -> None:
        """Create an object with the runs of some segments."""
        slots, name = Slots(self._repository, manifest), secrets.token_hex(8)
        parts: list[memoryview] = []
        copies: dict[Segment, list[Segment]] = {source: [] for source in together}
        offset = 0
        for source, runs in together.items():
            if not runs:
                continue
            first, end = runs[0].first, runs[-1].first + runs[-1].length
            data = slots.read_run(source, first, end - first)
            for run in runs:
                part = data[(run.first - first) * SLOT_BYTES :][: run.length * SLOT_BYTES]
                self._compare(source, run.first, part)
                parts.append(part)
                copies[source].append(Segment(run.first, run.length, name, offset))
                offset += run.length
        if parts:
            self._repository.objects.create(f"segment/{name}", b"".join(parts))
        self._copies |= copies

    def _compare(self, source: Segment, first: int, data: memoryview) -> None:
        """Compare reached slots with their checksums.  Raises RemoteDamagedError."""
        crcs = self._crcs[source]
        for at in range(len(data) // SLOT_BYTES):
            crc = crcs.get(first + at)
            if crc is not None and zlib.crc32(data[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]) != crc:
                where = f"{self._repository.url}/segment/{source.name}"
                raise RemoteDamagedError(f"{where} is damaged, so nothing was repacked: a checksum fails")


def _result(left: dict[Segment, list[Segment]], new_count: int, kept: int, counts: Counts) -> Repacked:
    freed = (sum(source.length for source in left) - kept) * SLOT_BYTES
    return Repacked(len({source.name for source in left}), new_count, kept * SLOT_BYTES, freed, replace(counts))


def runs_left(segment: Segment, reached: dict[int, int]) -> list[Segment]:
    """The runs of a segment that have its reached slots: few, and with few others between them."""
    slots = array("I", sorted(reached))
    gaps = sorted((later - slot for slot, later in pairwise(slots)), reverse=True)
    longest = gaps[_RUNS_MAX - 1] if len(gaps) >= _RUNS_MAX else 1
    runs: list[Segment] = []
    for slot in slots:
        last = runs[-1] if runs else None
        if last is not None and slot - (last.first + last.length - 1) <= longest:
            runs[-1] = last._replace(length=slot - last.first + 1)
        else:
            runs.append(Segment(slot, 1, segment.name, segment.offset + slot - segment.first))
    return runs


def _together(left: dict[Segment, list[Segment]]) -> Iterator[dict[Segment, list[Segment]]]:
    """The segments whose runs fit into one object."""
    together: dict[Segment, list[Segment]] = {}
    count = 0
    for source, runs in left.items():
        length = sum(run.length for run in runs)
        if together and count + length > SEGMENT_SLOTS:
            yield together
            together, count = {}, 0
        together[source] = runs
        count += length
    if together:
        yield together
