"""Bills: the cluster or snapshot that pays for each slot of the pool.

The rule is Aurora's for clones (Amazon Aurora User Guide, "Cloning a volume for an Aurora DB cluster"): a cluster pays
for the slots that it has written and still reaches, even if others share them.  A slot that its writer no longer
reaches, or that a deleted cluster has left, is paid for in equal parts by the clusters that reach it, directly or
through a version that they are based on; without such a cluster, by the snapshots that do.  The bills add up to the
live bytes of the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction

from clusterdb.catalog.rows import snapshot_holder
from clusterdb.core.context import Context
from clusterdb.errors import ClusterNotFoundError, CorruptStoreError
from vfs.format.layout import SLOT_BYTES, Version
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.storage.heads import current_head, published_version, retained
from vfs.storage.volumes import pinned
from vfs.storage.walk import Reached, nodes, reached

__all__ = ["Bill", "bills"]


@dataclass(frozen=True, slots=True)
class Bill:
    """The bytes that a party pays for: ``own_bytes`` that it has written, and its part of slots that no cluster owns.

    ``kind`` is 'cluster', 'snapshot', or 'other' (a volume that is being dropped or built).
    """

    kind: str
    name: str
    own_bytes: int
    shared_bytes: Fraction

    @property
    def bytes(self) -> Fraction:
        """The sum of both."""
        return self.own_bytes + self.shared_bytes


@dataclass(slots=True)
class _Party:
    kind: str
    name: str
    versions: list[tuple[VolumeRow | None, Version]]  # a version without its volume: the party owns none of its slots
    heads: list[int]
    own_count: int = 0
    shared: Fraction = Fraction(0)
    newest: dict[int, int] = field(default_factory=dict)  # by volume, the newest head that was read


def bills(context: Context) -> list[Bill]:
    """Compute a bill for every cluster and snapshot, from a walk over all slots that they reach.

    A commit, clone or drop during the walk restarts it.  The last attempt holds the catalog, so that nothing is cloned
    or dropped, and pins the versions that it reads; a slot that is committed meanwhile may be on no bill or on two.
    Raises CorruptStoreError, StoreBusyError.
    """
    for _ in range(_TRIES):
        before = _state(context)
        try:
            result = _bills(context, _unpinned)
        except (CorruptStoreError, ClusterNotFoundError):  # a slot that was freed and reused meanwhile looks damaged
            if _state(context) == before:
                raise
        else:
            if _state(context) == before:
                return result
    with context.catalog.transaction():
        return _bills(context, _pinned)


_TRIES = 3

_Reading = Callable[[Context, "_Party"], AbstractContextManager[None]]
"""A context manager that keeps a party's versions while they are read."""


def _state(context: Context) -> object:
    """A value that changes whenever a slot may have been freed: volumes, their versions, snapshots and clusters."""
    catalog = context.catalog
    rows = catalog.volumes.volume_rows()
    versions = [published_version(context.pages, row) for row in rows]
    return (
        rows,
        versions,
        [row.snapshot for row in catalog.snapshots.all()],
        [row.volume for row in catalog.clusters.all()],
    )


def _unpinned(context: Context, party: _Party) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def _pinned(context: Context, party: _Party) -> Iterator[None]:
    """Pin the current heads of a party; the caller holds the catalog, which keeps its other versions."""
    with ExitStack() as pins:
        for index, (row, version) in enumerate(party.versions):
            if row is not None and row.state in IN_USE and version.version >= party.newest.get(row.volume, 0):
                head = pins.enter_context(pinned(context.pages, row)).version
                party.versions[index] = row, head
                party.newest[row.volume] = head.version
        yield


def _bills(context: Context, reading: _Reading) -> list[Bill]:
    with context.errors():
        parties = list(_parties(context))
        owned: set[int] = set()
        for party in parties:
            own = set(party.heads)
            with reading(context, party):
                for volume, version in party.versions:
                    if volume is not None:
                        read = context.pages.read_slot
                        own.update(node.entry.slot for node in reached(read, version, volume.base.version))
            party.own_count = len(own)
            owned |= own
        sharers: dict[int, list[_Party]] = {}
        for party in parties:
            with reading(context, party):
                for slot in _reach(context, [version for _, version in party.versions]) - owned:
                    sharers.setdefault(slot, []).append(party)
        for sharing in sharers.values():
            clusters = [party for party in sharing if party.kind == "cluster"] or sharing
            for party in clusters:
                party.shared += Fraction(1, len(clusters))
    return [Bill(p.kind, p.name, p.own_count * SLOT_BYTES, p.shared * SLOT_BYTES) for p in parties]


def _parties(context: Context) -> Iterator[_Party]:
    """Clusters with their pasts, snapshots, and volumes that are being dropped or built."""
    catalog, pages = context.catalog, context.pages
    rows = {row.volume: row for row in catalog.volumes.volume_rows()}
    all_rows = dict(rows)
    for cluster in catalog.clusters.all():
        party = _Party("cluster", cluster.name, [], [])
        for volume in (cluster.volume, *(past for past, _ in catalog.clusters.pasts(cluster.cluster))):
            row = rows.pop(volume, None)
            if row is not None:
                _add(context, party, row, all_rows)
        yield party
    for row in rows.values():
        if row.state != VolumeState.DEAD:
            party = _Party("other", f"volume {row.volume} ({row.state})", [], [])
            _add(context, party, row, all_rows)
            yield party
    for snapshot in catalog.snapshots.all():
        for pin in catalog.volumes.pin_rows(snapshot.volume):
            if pin.holder == snapshot_holder(snapshot.snapshot):
                source = all_rows.get(snapshot.volume)
                if source is None:
                    raise CorruptStoreError(
                        f"store '{context.path}': snapshot '{snapshot.name}' refers to volume {snapshot.volume}, which "
                        f"does not exist: run {context.hint('check')}"
                    )
                bases = _bases(source, all_rows) if source.state == VolumeState.DEAD else []
                yield _Party("snapshot", snapshot.name, [(None, version) for version in [pin.version, *bases]], [])
    pages.refresh_mapping()


def _bases(row: VolumeRow, rows: dict[int, VolumeRow]) -> list[Version]:
    """The versions that a volume keeps whole: its base, and the bases of dead volumes below."""
    bases, parent = [row.base], rows.get(row.parent or 0)
    while parent is not None and parent.state == VolumeState.DEAD:
        bases.append(parent.base)
        parent = rows.get(parent.parent or 0)
    return bases


def _add(context: Context, party: _Party, row: VolumeRow, rows: dict[int, VolumeRow]) -> None:
    head = current_head(context.pages, row)
    party.heads.append(row.head_slot)
    party.versions.append((row, head))
    party.newest[row.volume] = head.version
    party.versions += [(None, version) for version in _bases(row, rows)]
    if row.state in IN_USE:
        party.versions += [(row, version) for version in retained(context.pages, row, head.version - 1)]


def _reach(context: Context, versions: list[Version]) -> set[int]:
    """The slots that the versions of one party reach; each subtree is walked once."""
    slots: set[int] = set()

    def enter(at: Reached) -> bool:
        return at.entry.slot not in slots

    for version in versions:
        for node in nodes(context.pages.read_slot, version, enter=enter):
            slots.add(node.at.entry.slot)
            if not node.at.level:
                slots.update(filter(None, node.slots()))
    return slots
