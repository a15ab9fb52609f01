"""Pushing a cluster to a repository: what the repository lacks, then a manifest that names it.

Die before the manifest, and nothing has changed: the segments are orphans, which ``gc`` deletes by their age.  If
another writer was first, the nodes get other slot numbers and are sent again; pages have the same bytes at any number.
"""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import pinned_volume
from clusterdb.errors import (
    CorruptStoreError,
    RemoteConflictError,
    RemoteDamagedError,
    RemoteUnavailableError,
)
from clusterdb.remote.manifest import FIRST_SLOT, Manifest, Ref, Segment, Segments
from clusterdb.remote.objects import Counts
from clusterdb.remote.origin import Origin, ancestors, keep_origin, lineage, origin_of
from clusterdb.remote.places import remote_slots
from clusterdb.remote.repository import DURATION_S_MAX, SEGMENT_SLOTS, Repository, Slots, uptime_s
from clusterdb.remote.tree import Known, Plan, Side, nowhere, plan
from clusterdb.rules.names import check_name
from vfs.failpoints import reach
from vfs.format.layout import SLOT_BYTES, Entry, Version

__all__ = ["Pushed", "push"]

Progress = Callable[[int, int], None]
"""Called with (slots sent, slots to send)."""

_HOT_RUNS_MAX = 16


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
        volume = context.require_in_use(row.volume, f"cluster '{row.name}'")
        self._lineage = dict(lineage(context, volume, version.version))
        self._origins = ancestors(context, volume, version.version)
        self._began_s = uptime_s()
        self._plan: Plan | None = None
        self._planned_for: Ref | None = None
        self._planned_segments: set[Segment] = set()
        self._order: list[int] = []
        self._hot: tuple[tuple[int, int], ...] = ()
        self._names: list[str] = []
        """The names of the segments sent, in order."""

    def sent(self, *, dry_run: bool, progress: Progress | None) -> Pushed | None:
        """One attempt; None if another writer was first."""
        manifest = self._repository.newest()
        ref = manifest.refs.get(self._name) if manifest is not None else None
        if manifest is not None and ref is not None and self._is_here(ref):
            self._repository.settle(manifest)
            self._keep(ref, manifest.number)
            return self._done(0, manifest.number)
        if ref is not None:
            self._require_descendant(ref)
        try:
            planned = self._planned(manifest, ref)
        except RemoteDamagedError:
            if manifest is not None and not self._repository.is_newest(manifest.number):
                return None  # what it read has been replaced, and collected, meanwhile
            raise
        if dry_run:
            return self._done(planned.slot_count, 0, self._costs(planned, manifest))
        first = manifest.next_slot if manifest is not None else FIRST_SLOT
        nodes, root = planned.sealed(first, self._order)
        segments = self._send(planned, nodes, first, progress)
        if uptime_s() - self._began_s > DURATION_S_MAX:
            raise RemoteUnavailableError(
                f"pushing '{self._row.name}' to {self._repository.url} took too long: try again"
            )
        record = self._version._replace(durable=self._version.version, root=root, own_count=self._version.slot_count)
        refs = dict(manifest.refs) if manifest is not None else {}
        now_ns = self._context.pages.clock.now_ns()
        refs[self._name] = Ref(record, self._store, self._row.settings.engine, now_ns, self._hot_after(planned, first))
        added = self._repository.change(manifest, refs, segments, first + planned.slot_count)
        if added is None:
            return None
        self._keep(refs[self._name], added.number)
        return self._done(planned.slot_count, added.number)

    def _hot_after(self, planned: Plan, first: int) -> tuple[tuple[int, int], ...]:
        """The runs with what every query needs, when a plan was sent to slots from ``first`` on."""
        return (*self._hot, (first, planned.hot_count))[-_HOT_RUNS_MAX:] if planned.hot_count else self._hot

    def _keep(self, ref: Ref, number: int) -> None:
        """Keep that the origin of the cluster has its content, if this push went there."""
        origin = origin_of(self._context, self._row)
        if origin is not None and (origin.url, origin.name) == (self._repository.url, self._name):
            with self._context.catalog.transaction():
                mine = self._version
                now = origin._replace(
                    number=number, record=ref.record, store=ref.store, volume=mine.volume, version=mine.version
                )
                keep_origin(self._context, self._row.cluster, now)

    def _costs(self, planned: Plan, manifest: Manifest | None) -> Counts:
        """What sending a plan would ask of the engine, beside what the plan did."""
        costs = self._repository.creation_costs()
        segments = -(-planned.slot_count // SEGMENT_SLOTS)
        named = [Segment(FIRST_SLOT, 1, "0" * 16)] * segments
        hot = self._hot_after(planned, manifest.next_slot if manifest is not None else FIRST_SLOT)
        refs = {self._name: Ref(self._version, self._store, self._row.settings.engine, 10**18, hot)}
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
        if ref.store == self._store and (mine.volume, mine.version) == (theirs.volume, theirs.version):
            return True
        same = [one for one in self._origins if (one.record, one.store) == (theirs, ref.store)]
        return (mine.volume, mine.version) in {(one.volume, one.version) for one in same}

    # --- lineage ----------------------------------------------------------------------------------------------------
    def _require_descendant(self, ref: Ref) -> None:
        """Raise RemoteConflictError if what is here does not descend from what is there, unless that is forced."""
        if not self._force and not self._ancestor(ref):
            raise RemoteConflictError(
                f"'{self._name}' in {self._repository.url} has gone on: cluster '{self._row.name}' does not descend "
                f"from its version {ref.record.version}: push under another name (--as NAME), or replace it (--force)"
            )

    def _ancestor(self, ref: Ref) -> int:
        """The version here that has the content of a ref, and that this one descends from; 0: none is known."""
        common = self._common(ref)
        if common and common == ref.record.version:
            return common
        same = [one.version for one in self._origins if (one.record, one.store) == (ref.record, ref.store)]
        return max(same, default=0)

    def _common(self, ref: Ref) -> int:
        """The newest version from which both what is here and what is there descend, by the lineage of this store."""
        if ref.store != self._store:
            return 0
        return min(self._lineage.get(ref.record.volume, 0), ref.record.version)

    def _known(self, manifest: Manifest, ref: Ref | None) -> Known | None:
        """The version in the repository that is nearest to what is here: of any database, or one that was cloned."""
        slots = Slots(self._repository, manifest)
        known = [(self._ancestor(one), one.record) for one in manifest.refs.values()]
        for origin in self._origins:
            if origin.url == self._repository.url and self._has_all_of(manifest, origin):
                known.append((origin.version, origin.record))
        common, record = max(known, key=itemgetter(0), default=(0, None))
        if common and record is not None:
            return Known(Side(slots.read_slot, record, slots.place_of), common, is_ancestor=True)
        if ref is not None and (common := self._common(ref)):
            return Known(Side(slots.read_slot, ref.record, slots.place_of), common, is_ancestor=False)
        return None

    def _has_all_of(self, manifest: Manifest, origin: Origin) -> bool:
        """Whether a state has all segments of the one that an origin was in."""
        state = self._repository.state(origin.number) if origin.number != manifest.number else manifest
        if state is None:
            return False
        return {*self._repository.all_segments(state)} <= {*self._repository.all_segments(manifest)}

    # --- sending ----------------------------------------------------------------------------------------------------
    def _planned(self, manifest: Manifest | None, ref: Ref | None) -> Plan:
        """The plan for a state; that for an earlier one serves too, if the state still has what the plan keeps."""
        segments = {*self._repository.all_segments(manifest)} if manifest is not None else set()
        if self._plan is None or ref != self._planned_for or not self._planned_segments <= segments:
            read_slot = self._context.pages.read_slot
            with self._context.errors():
                known: Known | None = None
                elsewhere: Callable[[Entry], int] = nowhere
                if manifest is not None:
                    known = self._known(manifest, ref)
                    elsewhere = remote_slots(self._context, self._repository, Segments(segments))
                    sides = [one.hot for one in manifest.refs.values() if known and one.record == known.side.version]
                    self._hot = sides[0] if sides else ()
                self._plan = plan(Side(read_slot, self._version), known, elsewhere)
            self._planned_for, self._planned_segments = ref, segments
            self._order, self._names = self._plan.order(read_slot), []
        return self._plan

    def _send(self, planned: Plan, nodes: list[bytes], first: int, progress: Progress | None) -> tuple[Segment, ...]:
        """Create the segments that are not there yet; those with nodes always, since slot numbers are in them."""
        segments = []
        for number, start in enumerate(range(0, planned.slot_count, SEGMENT_SLOTS)):
            count = min(SEGMENT_SLOTS, planned.slot_count - start)
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
