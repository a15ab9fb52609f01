"""Walks everything that a store reaches, and compares it with its checksums and its map.

The walk of a volume runs on a pinned version.  Slots that others free or write between the walk and the comparison with
the map can be reported as false problems or leaks: check a store that nobody writes to.

Invariant
    E1  A slot is written, with a page that is elsewhere or damaged, only while the version that reaches it is kept: it
        is pinned by this session, or the lock of its volume is held since the version was looked up (R4 of
        :mod:`vfs.reclaim.queue`).  Otherwise the slot could be another volume's by then.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from vfs.errors import CorruptionError, RegistryBusyError, VolumeDroppedError
from vfs.format.layout import POOL_HEADER_SLOT, Version
from vfs.format.shared import FLAGS, FREE, LIVE
from vfs.interrupts import deliver
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.storage.heads import head_of, published_version, retained
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session
from vfs.storage.volumes import pinned
from vfs.storage.walk import Reached, nodes
from vfs.tools.consistency import contradictions

__all__ = ["CheckReport", "check"]

Progress = Callable[[int, int], None]
Naming = Callable[[int], str]
"""The name of a volume in messages."""


@dataclass(slots=True)
class CheckReport:
    """The result of a check.

    ``problems`` describes the damage, a line for each problem.  ``slot_count`` counts the slots of the pool,
    ``checked_count`` the slots in use, which were compared with their checksums.  ``leaked_count`` counts slots that no
    version reaches and no process will free: they cost space until the next sweep, no data.  ``mended`` describes the
    damage that was repaired from copies, a line for each page.
    """

    slot_count: int = 0
    checked_count: int = 0
    leaked_count: int = 0
    problems: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no damage."""
        return not self.problems


def check(pool: Pool, progress: Progress | None, name_of: Naming, *, mends: bool = False) -> CheckReport:
    """Check every volume, pin and slot.  ``progress`` is called with (slots checked, slots in use).

    ``mends``: put the bytes of damaged pages back, of which there are copies.
    """
    with pool.session() as session:
        walk = _Walk(pool, session, progress, name_of, mends=mends)
        _check(pool, walk, name_of)
        return walk.finish()


def _check(pool: Pool, walk: _Walk, name_of: Naming) -> None:
    walk.report.problems += contradictions(pool.registry, name_of)
    for row in pool.registry.volume_rows():
        if row.state in IN_USE:
            try:
                with pinned(pool, row) as volume:
                    walk.claim(row.head_slot, (-2, 0, row.volume, 0, 0), name_of(row.volume))
                    walk.version(volume.version, row.volume, name_of(row.volume), is_pinned=True)
                    for version in retained(pool, row, volume.version.version - 1):
                        walk.version(version, row.volume, name_of(row.volume))
            except CorruptionError as error:
                walk.report.problems.append(f"{name_of(row.volume)}: {error}")
            except (VolumeDroppedError, RegistryBusyError):  # it was dropped, or another process is changing it
                if _has_lost_its_row(pool, row):
                    walk.report.problems.append(
                        f"{name_of(row.volume)}: its row of the shared tables belongs to another volume: close the "
                        "store in all processes and repair it"
                    )
        elif row.state == VolumeState.DROPPED:
            walk.claim(row.head_slot, (-2, 0, row.volume, 0, 0), name_of(row.volume))
            head = head_of(pool, row)
            walk.version(head, row.volume, name_of(row.volume))
            for version in retained(pool, row, head.version - 1):
                walk.version(version, row.volume, name_of(row.volume))
    for pin in pool.registry.all_pin_rows():
        holder = pin.holder if pin.holder_volume is None else name_of(pin.holder_volume)
        walk.version(pin.version, pin.volume, f"{name_of(pin.volume)}, pinned for {holder}")


def _has_lost_its_row(pool: Pool, row: VolumeRow) -> bool:
    """Whether the catalog has a volume in use whose row of the volume table is free, or another volume's (S5)."""
    id_word = pool.volume(row).id
    present = pool.registry.volume_row(row.volume)
    return id_word & ~FLAGS != row.volume and present is not None and present.state in IN_USE


_Place = tuple[int, int, int, int, int]
"""The use of a slot: level, number, the volume it was born in, birth and crc.  All entries for it must agree."""


class _Walk:
    def __init__(
        self, pool: Pool, session: Session, progress: Progress | None, name_of: Naming, *, mends: bool
    ) -> None:
        self._pool = pool
        self._session = session
        self._busy: set[int] = set()  # the volumes whose lock could not be had
        self._mends = mends
        self._name_of = name_of
        self._progress = progress
        self._used_count = pool.slot_map.used_count()
        self._places: dict[int, _Place] = {POOL_HEADER_SLOT: (-3, 0, 0, 0, 0)}
        self._rows = {row.volume: row for row in pool.registry.volume_rows()}
        self.report = CheckReport(slot_count=pool.slot_map.slot_count)

    def _born_in(self, volume: int, birth: int) -> int:
        """The volume of the lineage that wrote the slots born in version ``birth``."""
        row = self._rows.get(volume)
        while row is not None and row.parent is not None and birth <= row.base.version:
            row = self._rows.get(row.parent)
        return row.volume if row is not None else 0

    def claim(self, slot: int, place: _Place, where: str) -> bool:
        """Record that ``place`` uses the slot; False if that was recorded before, or contradicts another use."""
        recorded = self._places.setdefault(slot, place)
        if recorded is not place and recorded != place:
            self.report.problems.append(f"{where}: slot {slot} is {self._text(place)}, and also {self._text(recorded)}")
            return False
        if recorded is not place:
            return False
        self.report.checked_count += 1
        deliver()
        if self._progress is not None and self.report.checked_count % 4096 == 0:
            self._progress(self.report.checked_count, max(self._used_count, self.report.checked_count))
        return True

    def version(self, version: Version, volume: int, where: str, *, is_pinned: bool = False) -> None:
        """Check everything that a version reaches and that was not checked before; ``is_pinned``: by the caller."""
        self._pool.refresh_mapping()
        where = f"{where}, version {version.version}"

        def enter(at: Reached) -> bool:
            entry = at.entry
            place = (at.level, at.number, self._born_in(volume, entry.birth), entry.birth, entry.crc)
            if not self.claim(entry.slot, place, where):
                return False
            if entry.birth > version.version:
                self.report.problems.append(f"{where}: slot {entry.slot} was born later, in {entry.birth}")
            return True

        def damaged(at: Reached, error: CorruptionError) -> None:
            self.report.problems.append(f"{where}: {error}")

        for node in nodes(self._pool.read_slot, version, enter=enter, damaged=damaged):
            if not node.at.level:
                for page in filter(enter, node.children()):
                    self._page(page, version._replace(volume=volume), where, is_pinned=is_pinned)

    def _page(self, at: Reached, version: Version, where: str, *, is_pinned: bool) -> None:
        slot, crc = at.entry.slot, at.entry.crc
        try:
            if zlib.crc32(self._pool.read_slot(slot)) == crc or (version.volume in self._busy and not is_pinned):
                return
            with nullcontext(True) if is_pinned else self._keeping(version) as is_kept:
                if is_kept:
                    self._complete(at, version.volume, where)
        except CorruptionError as error:
            self.report.problems.append(f"{where}: {error}")
        except RegistryBusyError as error:
            self._busy.add(version.volume)
            self.report.problems.append(f"{where}: pages could not be checked: {error}")

    @contextmanager
    def _keeping(self, version: Version) -> Iterator[bool]:
        """Whether a version is still kept; then nobody frees what it reaches while the body runs (E1)."""
        registry = self._pool.registry
        row = registry.volume_row(version.volume)
        if row is None:
            yield False
            return
        with self._session.volume_locked(row.table_index):
            row = registry.volume_row(version.volume)
            is_kept = row is not None and registry.is_pinned_at(version.volume, version.version)
            if row is not None and row.state != VolumeState.DEAD and not is_kept:
                head = published_version(self._pool, row)
                is_kept = version.version == head or 0 < row.retained <= version.version < head
            yield is_kept

    def _complete(self, at: Reached, volume: int, where: str) -> None:
        """Fetch a page that is elsewhere; of one that is damaged, mend it if that is wanted, and report it (E1)."""
        slot, crc = at.entry.slot, at.entry.crc
        if zlib.crc32(self._pool.read_page(slot, crc)) != crc:
            text = f"{where}: page {at.number} (slot {slot}) fails its checksum"
            is_mended = self._mends and self._pool.mend(volume, at.number, slot, crc)
            (self.report.mended if is_mended else self.report.problems).append(text)

    def finish(self) -> CheckReport:
        """Compare the slots in use with the map, and return the report."""
        states = self._pool.slot_map.states[: self._pool.slot_map.slot_count].tolist()
        for slot, place in self._places.items():
            if slot >= len(states):
                self.report.problems.append(f"slot {slot} is past the end of the map")
            elif states[slot] == FREE:
                self.report.problems.append(f"slot {slot} ({self._text(place)}) is in use, but free in the map")
        self.report.leaked_count = sum(
            1 for slot, state in enumerate(states) if state in LIVE and slot not in self._places
        )
        return self.report

    def _text(self, place: _Place) -> str:
        level, number, volume, birth, crc = place
        places = {-3: "the pool header", -2: "the head", -1: f"page {number}"}
        use = places.get(level, f"node {number} of level {level}")
        if level == -3:
            return use
        content = f", born in {birth}, crc32 {crc:08x}" if level >= -1 else ""
        return f"{use} of {self._name_of(volume)}{content}"
