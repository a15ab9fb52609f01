"""Pushing a cluster to a repository: what the repository lacks, then a manifest that names it.

Die before the manifest, and nothing has changed: the segments are orphans, which ``gc`` deletes by their age.  If
another writer was first, the nodes get other slot numbers and are sent again; pages have the same bytes at any number.
"""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import pinned_volume
from clusterdb.errors import (
    CorruptStoreError,
    RemoteConflictError,
    RemoteDamagedError,
    RemoteUnavailableError,
)
from clusterdb.remote.manifest import FIRST_SLOT, Manifest, Ref, Segment
from clusterdb.remote.objects import Counts
from clusterdb.remote.origin import origin_of
from clusterdb.remote.repository import Repository, Slots
from clusterdb.remote.tree import Plan, Side, plan
from clusterdb.rules.names import check_name
from vfs.failpoints import reach
from vfs.format.layout import SLOT_BYTES, Version

__all__ = ["Pushed", "push"]

Progress = Callable[[int, int], None]
"""Called with (slots sent, slots to send)."""

_SEGMENT_SLOTS = 2048
_DURATION_S_MAX = 12 * 3600
"""Below the age at which a collection deletes segments that no manifest names (P7)."""


def _uptime_s() -> float:
    """A clock that also runs while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did, or would do.

    :ivar name: the database in the repository
    :ivar url: of the repository
    :ivar version: the version that was pushed
    :ivar slot_count: the slots of 4096 bytes that were sent: pages, and nodes of the page table
    :ivar number: the manifest that names the version; 0 if nothing was sent
    :ivar requests: what was asked of the engine, or would be; some bytes of the manifest depend on the time
    """

    name: str
    url: str
    version: int
    slot_count: int
    number: int
    requests: Counts


def push(
    context: Context,
    cluster: ClusterRef,
    repository: Repository,
    name: str,
    *,
    force: bool,
    dry_run: bool,
    progress: Progress | None = None,
) -> Pushed:
    """Send the newest version of a cluster: implements :meth:`clusterdb.Cluster.push`."""
    check_name(name)
    row = context.row_of(cluster)
    volume = context.require_in_use(row.volume, f"cluster '{row.name}'")
    if not dry_run:
        repository.create()
    with pinned_volume(context, volume, None, f"cluster '{row.name}'") as handle:
        version = handle.version._replace(volume=row.volume)
        sender = _Sender(context, row, version, repository, name, force=force)
        return repository.raced(lambda: sender.sent(dry_run=dry_run, progress=progress), f"push '{row.name}' again")


class _Sender:
    """A push: what it has prepared and sent stays usable if another writer is first."""

    def __init__(
        self, context: Context, row: ClusterRow, version: Version, repository: Repository, name: str, *, force: bool
    ) -> None:
        self._context, self._row, self._version = context, row, version
        self._repository, self._name, self._force = repository, name, force
        self._store = context.catalog.store_id.hex()
        self._began_s = _uptime_s()
        self._plan: Plan | None = None
        self._planned_for: Ref | None = None
        self._order: list[int] = []
        self._names: list[str] = []
        """The names of the segments sent, in order."""

    def sent(self, *, dry_run: bool, progress: Progress | None) -> Pushed | None:
        """One attempt; None if another writer was first."""
        manifest = self._repository.newest()
        ref = manifest.refs.get(self._name) if manifest is not None else None
        if manifest is not None and ref is not None and self._is_here(ref):
            self._repository.settle(manifest)
            return self._done(0, manifest.number)
        common = self._require_descendant(ref) if ref is not None else 0
        try:
            planned = self._planned(manifest, ref, common)
        except RemoteDamagedError:
            if manifest is not None and not self._repository.is_newest(manifest.number):
                return None  # what it read has been replaced, and collected, meanwhile
            raise
        if dry_run:
            return self._done(planned.slot_count, 0, self._costs(planned, manifest))
        first = manifest.next_slot if manifest is not None else FIRST_SLOT
        nodes, root = planned.sealed(first, self._order)
        segments = self._send(planned, nodes, first, progress)
        if _uptime_s() - self._began_s > _DURATION_S_MAX:
            raise RemoteUnavailableError(
                f"pushing '{self._row.name}' to {self._repository.url} took too long: try again"
            )
        record = self._version._replace(durable=self._version.version, root=root, own_count=self._version.slot_count)
        refs = dict(manifest.refs) if manifest is not None else {}
        refs[self._name] = Ref(record, self._store, self._row.settings.engine, self._context.pages.clock.now_ns())
        added = self._repository.change(manifest, refs, segments, first + planned.slot_count)
        return self._done(planned.slot_count, added.number) if added is not None else None

    def _costs(self, planned: Plan, manifest: Manifest | None) -> Counts:
        """What sending a plan would ask of the engine, beside what the plan did."""
        costs = self._repository.creation_costs()
        segments = -(-planned.slot_count // _SEGMENT_SLOTS)
        named = [Segment(FIRST_SLOT, 1, "0" * 16)] * segments
        refs = {self._name: Ref(self._version, self._store, self._row.settings.engine, 10**18)}
        size = self._repository.size_after(manifest, refs, named)
        costs.add(Counts(puts=segments + 2, sent_bytes=planned.slot_count * SLOT_BYTES + size))
        return costs

    def _done(self, slot_count: int, number: int, more: Counts | None = None) -> Pushed:
        counts = replace(self._repository.objects.counts)
        if more is not None:
            counts.add(more)
        return Pushed(self._name, self._repository.url, self._version.version, slot_count, number, counts)

    def _is_here(self, ref: Ref) -> bool:
        mine, theirs = self._version, ref.record
        return ref.store == self._store and (mine.volume, mine.version) == (theirs.volume, theirs.version)

    # --- lineage ----------------------------------------------------------------------------------------------------
    def _require_descendant(self, ref: Ref) -> int:
        """The newest version from which both what is here and what is there descend; 0: none is known.

        Raises RemoteConflictError if what is here does not descend from what is there, unless that is forced.
        """
        common = self._common(ref)
        if common == ref.record.version or origin_of(self._context, self._row) == ref.record or self._force:
            return common
        raise RemoteConflictError(
            f"'{self._name}' in {self._repository.url} has gone on: cluster '{self._row.name}' does not descend from "
            f"its version {ref.record.version}: push under another name (--as NAME), or replace it (--force)"
        )

    def _common(self, ref: Ref) -> int:
        if ref.store != self._store:
            return 0
        volume, upto = self._context.require_in_use(self._row.volume), self._version.version
        while volume.volume != ref.record.volume:
            parent = self._context.catalog.volumes.volume_row(volume.parent) if volume.parent is not None else None
            if parent is None:
                return 0
            volume, upto = parent, min(upto, volume.base.version)
        return min(upto, ref.record.version)

    # --- sending ----------------------------------------------------------------------------------------------------
    def _planned(self, manifest: Manifest | None, ref: Ref | None, common: int) -> Plan:
        if self._plan is None or ref != self._planned_for:
            remote = None
            if manifest is not None and ref is not None and common:
                slots = Slots(self._repository, manifest)
                remote = Side(slots.read_slot, ref.record, slots.place_of)
            read_slot = self._context.pages.read_slot
            with self._context.errors():
                self._plan = plan(Side(read_slot, self._version), remote, common)
            self._planned_for, self._order, self._names = ref, self._plan.order(read_slot), []
        return self._plan

    def _send(self, planned: Plan, nodes: list[bytes], first: int, progress: Progress | None) -> tuple[Segment, ...]:
        """Create the segments that are not there yet; those with nodes always, since slot numbers are in them."""
        segments = []
        for number, start in enumerate(range(0, planned.slot_count, _SEGMENT_SLOTS)):
            count = min(_SEGMENT_SLOTS, planned.slot_count - start)
            if number >= len(self._names) or start < len(nodes):
                name = secrets.token_hex(8)
                self._repository.objects.create(f"segment/{name}", self._bytes(planned, nodes, start, count))
                self._names[number : number + 1] = [name]
                reach("push: segment sent")
            segments.append(Segment(first + start, count, self._names[number]))
            if progress is not None:
                progress(start + count, planned.slot_count)
        return tuple(segments)

    def _bytes(self, planned: Plan, nodes: list[bytes], start: int, count: int) -> bytes:
        """The bytes of a segment.  Raises CorruptStoreError for a page that fails its checksum."""
        parts: list[bytes | memoryview] = list(nodes[start : start + count])
        first = max(start - len(nodes), 0)
        for at in self._order[first : first + count - len(parts)]:
            page = self._context.pages.read_page(planned.pages[at], planned.crcs[at])
            if zlib.crc32(page) != planned.crcs[at]:
                raise CorruptStoreError(
                    f"slot {planned.pages[at]} of cluster '{self._row.name}' fails its checksum: nothing was pushed"
                )
            parts.append(page)
        data = b"".join(parts)
        assert len(data) == count * SLOT_BYTES
        return data
