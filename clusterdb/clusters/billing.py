"""Who pays for which slots of the pool.

The rule is Aurora's for clones (Amazon Aurora User Guide, "Cloning a volume for an Aurora DB cluster"): what a cluster
has written is its own to pay for as long as it reaches it, whoever shares it.  What its writer does not reach any more,
or what is left of a deleted cluster, is paid by the clusters that reach it, or stand on a version that does, in equal
parts; if there is none, by the snapshots.  So the parts add up to the live bytes of the pool.
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
    """What one party pays for: ``own_bytes`` it has written itself, ``shared_bytes`` its part of what nobody else owns.

    ``kind`` is 'cluster', 'snapshot', or 'other' (what is being dropped or built).
    """

    kind: str
    name: str
    own_bytes: int
    shared_bytes: Fraction

    @property
    def bytes(self) -> Fraction:
        """All of it."""
        return self.own_bytes + self.shared_bytes


@dataclass(slots=True)
class _Party:
    kind: str
    name: str
    versions: list[tuple[VolumeRow | None, Version]]  # of a snapshot without its volume: nothing there is its own
    heads: list[int]
    own_count: int = 0
    shared: Fraction = Fraction(0)
    newest: dict[int, int] = field(default_factory=dict)  # by volume the version that was its head


def bills(context: Context) -> list[Bill]:
    """One bill for every cluster and snapshot, by a walk of all that they reach.

    What commits, clones and drops meanwhile makes it begin again.  If that goes on, the last walk holds the catalog, so
    that nothing is cloned or dropped, and pins what it reads; what is committed during that one may be on no bill, or
    on two.  Raises CorruptStoreError, StoreBusyError.
    """
    for _ in range(_TRIES):
        before = _moment(context)
        try:
            found = _bills(context, _as_it_is)
        except (CorruptStoreError, ClusterNotFoundError):  # slots that were free, and used again, look damaged
            if _moment(context) == before:
                raise
        else:
            if _moment(context) == before:
                return found
    with context.catalog.transaction():
        return _bills(context, _pinned)


_TRIES = 3

_Reading = Callable[[Context, "_Party"], AbstractContextManager[None]]
"""How a party's versions are kept while they are read."""


def _moment(context: Context) -> object:
    """What differs whenever a slot may have been freed: volumes, their versions, and who stands on them."""
    catalog = context.catalog
    rows = catalog.volumes.volume_rows()
    versions = [published_version(context.pages, row) for row in rows]
    return (
        rows,
        versions,
        [row.snapshot for row in catalog.snapshots.all()],
        [row.volume for row in catalog.clusters.all()],
    )


def _as_it_is(context: Context, party: _Party) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def _pinned(context: Context, party: _Party) -> Iterator[None]:
    """The present heads of a party, pinned; the catalog, which the caller holds, keeps all else that it stands on."""
    with ExitStack() as pins:
        for at, (row, version) in enumerate(party.versions):
            if row is not None and row.state in IN_USE and version.version >= party.newest.get(row.volume, 0):
                head = pins.enter_context(pinned(context.pages, row)).version
                party.versions[at] = row, head
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
                        own.update(at.entry.slot for at in reached(read, version, volume.base.version))
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
    """Clusters with their pasts, snapshots, and what is being dropped or built."""
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
                        "does not exist"
                    )
                stood_on = _stood_on(source, all_rows) if source.state == VolumeState.DEAD else []
                yield _Party("snapshot", snapshot.name, [(None, version) for version in [pin.version, *stood_on]], [])
    pages.refresh_mapping()


def _stood_on(row: VolumeRow, rows: dict[int, VolumeRow]) -> list[Version]:
    """The versions that are kept whole for a volume's sake: its base, and those of dead volumes below."""
    kept, parent = [row.base], rows.get(row.parent or 0)
    while parent is not None and parent.state == VolumeState.DEAD:
        kept.append(parent.base)
        parent = rows.get(parent.parent or 0)
    return kept


def _add(context: Context, party: _Party, row: VolumeRow, rows: dict[int, VolumeRow]) -> None:
    head = current_head(context.pages, row)
    party.heads.append(row.head_slot)
    party.versions.append((row, head))
    party.newest[row.volume] = head.version
    party.versions += [(None, version) for version in _stood_on(row, rows)]
    if row.state in IN_USE:
        party.versions += [(row, version) for version in retained(context.pages, row, head.version - 1)]


def _reach(context: Context, versions: list[Version]) -> set[int]:
    """Every slot that some versions of one party reach, each subtree walked once."""
    slots: set[int] = set()

    def enter(at: Reached) -> bool:
        return at.entry.slot not in slots

    for version in versions:
        for node in nodes(context.pages.read_slot, version, enter=enter):
            slots.add(node.at.entry.slot)
            if not node.at.level:
                slots.update(child.entry.slot for child in node.children())
    return slots
