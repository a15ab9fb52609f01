"""Who pays for which slots of the pool.

The rule is Aurora's for clones (Amazon Aurora User Guide, "Cloning a volume for an Aurora DB cluster"): what a cluster
has written is its own to pay for as long as it reaches it, whoever shares it.  What its writer does not reach any more,
or what is left of a deleted cluster, is paid by the clusters that reach it, or stand on a version that does, in equal
parts; if there is none, by the snapshots.  So the parts add up to the live bytes of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from clusterdb.errors import CorruptStoreError
from vfs.layout import SLOT_BYTES, Version, unpack_entries
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.table import Reached, reached, read_node

if TYPE_CHECKING:
    from clusterdb.store import Store

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


def bills(store: Store) -> list[Bill]:
    """One bill for every cluster and snapshot, by a walk of all that they reach.

    Writers that commit meanwhile make it begin again, some times.  Raises CorruptStoreError.
    """
    for _ in range(20):
        versions = _versions(store)
        try:
            found = _bills(store)
        except CorruptStoreError:
            if versions == _versions(store):
                raise
        else:
            if versions == _versions(store):
                return found
    return _bills(store)


def _versions(store: Store) -> list[int]:
    return [store._pages.published_version(row) for row in store._catalog.volume_rows()]


def _bills(store: Store) -> list[Bill]:
    with store._errors():
        parties = list(_parties(store))
        owned: set[int] = set()
        for party in parties:
            own = set(party.heads)
            for volume, version in party.versions:
                if volume is not None:
                    read = store._pages.read_slot
                    own.update(at.entry.slot for at in reached(read, version, volume.base.version))
            party.own_count = len(own)
            owned |= own
        sharers: dict[int, list[_Party]] = {}
        for party in parties:
            for slot in _reach(store, [version for _, version in party.versions]) - owned:
                sharers.setdefault(slot, []).append(party)
        for sharing in sharers.values():
            clusters = [party for party in sharing if party.kind == "cluster"] or sharing
            for party in clusters:
                party.shared += Fraction(1, len(clusters))
    return [Bill(p.kind, p.name, p.own_count * SLOT_BYTES, p.shared * SLOT_BYTES) for p in parties]


def _parties(store: Store) -> Iterator[_Party]:
    """Clusters with their pasts, snapshots, and what is being dropped or built."""
    catalog, pages = store._catalog, store._pages
    rows = {row.volume: row for row in catalog.volume_rows()}
    all_rows = dict(rows)
    for cluster in catalog.clusters():
        party = _Party("cluster", cluster.name, [], [])
        for volume in (cluster.volume, *(past for past, _ in catalog.pasts(cluster.cluster))):
            row = rows.pop(volume, None)
            if row is not None:
                _add(store, party, row, all_rows)
        yield party
    for row in rows.values():
        if row.state != VolumeState.DEAD:
            party = _Party("other", f"volume {row.volume} ({row.state})", [], [])
            _add(store, party, row, all_rows)
            yield party
    for snapshot in catalog.snapshots():
        for pin in catalog.pin_rows(snapshot.volume):
            if pin.holder == f"snapshot:{snapshot.snapshot}":
                source = all_rows[snapshot.volume]
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


def _add(store: Store, party: _Party, row: VolumeRow, rows: dict[int, VolumeRow]) -> None:
    head = store._pages.current_head(row)
    party.heads.append(row.head_slot)
    party.versions.append((row, head))
    party.versions += [(None, version) for version in _stood_on(row, rows)]
    if row.state in IN_USE:
        party.versions += [(row, version) for version in store._pages.retained(row, head.version - 1)]


def _reach(store: Store, versions: list[Version]) -> set[int]:
    """Every slot that some versions of one party reach, each subtree walked once."""
    seen: set[int] = set()
    for version in versions:
        if not version.depth or not version.root.slot:
            continue
        stack = [Reached(version.depth - 1, 0, version.root)]
        while stack:
            level, number, entry = stack.pop()
            if entry.slot in seen:
                continue
            seen.add(entry.slot)
            node = read_node(store._pages.read_slot, entry, f"page table, level {level}, number {number}")
            if level == 0:
                seen.update(child.slot for _, child in unpack_entries(node))
            else:
                first = number << 8
                stack += [Reached(level - 1, first + index, child) for index, child in unpack_entries(node)]
    return seen
