"""Volumes and the pins on them; implements :class:`vfs.registry.Registry`."""

from __future__ import annotations

from clusterdb.catalog.database import Database
from clusterdb.catalog.rows import is_int, packed, pin_row, require, volume_holder, volume_row
from clusterdb.catalog.schema import PINNED_VERSIONS
from clusterdb.errors import CorruptStoreError
from vfs.format.layout import Version
from vfs.registry import PinRow, VolumeRow, VolumeState

__all__ = ["Volumes"]


class Volumes:
    """Volumes and the pins on them; implements :class:`vfs.registry.Registry`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.transaction = database.transaction
        self.reclaiming = database.reclaiming
        self.seal = database.seal

    _VOLUME = "SELECT volume, row, head_slot, state, parent, base, retained FROM volumes"
    _VOLUME_BY_ID = f"{_VOLUME} WHERE volume = ?"

    def volume_rows(self) -> list[VolumeRow]:
        return [volume_row(row) for row in self._database.query(self._VOLUME)]

    def volumes_in(self, *states: VolumeState) -> list[VolumeRow]:
        wanted = ", ".join("?" * len(states))
        return [
            volume_row(row) for row in self._database.query(f"{self._VOLUME} WHERE state IN ({wanted})", tuple(states))
        ]

    def orphans(self) -> list[VolumeRow]:
        """The live and past volumes that do not belong to a cluster."""
        sql = (
            f"{self._VOLUME} AS v WHERE state IN ('live', 'past') "
            "AND NOT EXISTS (SELECT 1 FROM clusters WHERE volume = v.volume) "
            "AND NOT EXISTS (SELECT 1 FROM pasts WHERE volume = v.volume)"
        )
        return [volume_row(row) for row in self._database.query(sql)]

    def volume_row(self, volume: int) -> VolumeRow | None:
        return self._database.row(("volume", volume), self._read_volume, volume)

    def _read_volume(self, volume: int) -> VolumeRow | None:
        rows = self._database.query(self._VOLUME_BY_ID, (volume,))
        return volume_row(rows[0]) if rows else None

    def volume_of_cluster(self, name: str) -> VolumeRow | None:
        """The volume of the cluster with a name."""
        rows = self._database.query(
            f"{self._VOLUME} WHERE volume = (SELECT volume FROM clusters WHERE name = ?)", (name,)
        )
        return volume_row(rows[0]) if rows else None

    def volume_of(self, cluster: int) -> VolumeRow | None:
        """The present volume of a cluster."""
        rows = self._database.query(
            f"{self._VOLUME} WHERE volume = (SELECT volume FROM clusters WHERE cluster = ?)", (cluster,)
        )
        return volume_row(rows[0]) if rows else None

    def add_volume(self, row: VolumeRow, table_index: int) -> VolumeRow:
        """See :meth:`vfs.registry.Registry.add_volume`."""
        database = self._database
        database.insert(
            "INSERT INTO volumes VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            (table_index, row.head_slot, row.state.value, row.parent, packed(row.base), row.retained),
        )
        volume = database.last_id()
        base = Version(volume, *row.base[1:])
        row = VolumeRow(volume, table_index, row.head_slot, row.state, row.parent, base, row.retained)
        database.remember(("volume", volume), row)
        database.remember(("bare", volume), row)
        return row

    def may_have_volume(self, row: VolumeRow) -> bool:
        """See :meth:`vfs.registry.Registry.may_have_volume`."""
        present = self.volume_row(row.volume)
        is_same = present is not None and (present.table_index, present.head_slot) == (row.table_index, row.head_slot)
        return self._database.is_uncertain or is_same

    def pin_base(self, row: VolumeRow, base: Version) -> None:
        """See :meth:`vfs.registry.Registry.pin_base`."""
        self.add_pin(base.volume, volume_holder(row.volume), base)

    def unpin_base(self, row: VolumeRow) -> None:
        """See :meth:`vfs.registry.Registry.unpin_base`."""
        assert row.parent is not None, f"BUG: volume {row.volume} has no source"
        self.remove_pin(row.parent, row.base.version, volume_holder(row.volume))

    def has_pins(self, volume: int) -> bool:
        """See :meth:`vfs.registry.Registry.has_pins`."""
        return not self.is_bare(volume) and bool(
            self._database.query("SELECT 1 FROM pins WHERE volume = ? LIMIT 1", (volume,))
        )

    def is_pinned_at(self, volume: int, version: int) -> bool:
        """See :meth:`vfs.registry.Registry.is_pinned_at`."""
        sql = "SELECT 1 FROM pins WHERE volume = ? AND version = ? LIMIT 1"
        return bool(self._database.query(sql, (volume, version)))

    def is_bare(self, volume: int) -> bool:
        """See :meth:`vfs.registry.Registry.is_bare`: it was created here, and no other process has changed anything."""
        return self._database.recall(("bare", volume)) is not None

    def set_volume_state(self, volume: int, state: VolumeState) -> None:
        self._database.change("UPDATE volumes SET state = ? WHERE volume = ?", (str(state), volume), ("volume", volume))

    def set_dead(self, volume: int) -> None:
        self._database.change(
            "UPDATE volumes SET state = ?, retained = 0 WHERE volume = ?",
            (str(VolumeState.DEAD), volume),
            ("volume", volume),
        )

    def set_retained(self, volume: int, version: int) -> None:
        self._database.change(
            "UPDATE volumes SET retained = ? WHERE volume = ?", (version, volume), ("volume", volume), ("bare", volume)
        )

    def remove_volume(self, volume: int) -> None:
        database = self._database
        if not self.is_bare(volume):
            database.insert("DELETE FROM sealed WHERE volume = ?", (volume,))
        database.change(
            "DELETE FROM volumes WHERE volume = ?1 AND NOT EXISTS (SELECT 1 FROM pins WHERE volume = ?1)",
            (volume,),
            ("volume", volume),
            ("bare", volume),
        )
        self._require_changed(f"volume {volume} is to be removed, but is pinned, or gone already")

    def note_sealed(self, versions: dict[int, int]) -> None:
        """See :meth:`vfs.registry.Registry.note_sealed`."""
        for volume, version in versions.items():
            self._database.change(
                "INSERT OR REPLACE INTO sealed SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM volumes WHERE volume = ?1)",
                (volume, version),
                ("bare", volume),
            )

    def sealed_version(self, volume: int) -> int:
        """See :meth:`vfs.registry.Registry.sealed_version`."""
        rows = (
            self._database.query("SELECT version FROM sealed WHERE volume = ?", (volume,))
            if self._database.has_seals
            else []
        )
        for (version,) in rows:
            require(is_int(version, 0, 1 << 62), f"the sealed version of volume {volume}")
        return next((version for (version,) in rows), 0)

    def absorb(self, source: VolumeRow, heir: VolumeRow, base: Version) -> None:
        """See :meth:`vfs.registry.Registry.absorb`."""
        self._database.change(
            "UPDATE pins SET holder = ? WHERE volume = ? AND version = ? AND holder = ?",
            (volume_holder(heir.volume), source.parent, source.base.version, volume_holder(source.volume)),
        )
        self.remove_pin(source.volume, heir.base.version, volume_holder(heir.volume))
        self.remove_volume(source.volume)
        self._database.change("INSERT INTO absorbed VALUES (?, ?)", (source.volume, heir.base.version))
        self._database.change(
            "UPDATE volumes SET parent = ?, base = ? WHERE volume = ?", (source.parent, packed(base), heir.volume)
        )

    def absorbed_at(self, volume: int) -> int | None:
        """See :meth:`vfs.registry.Registry.absorbed_at`."""
        rows = self._database.query("SELECT version FROM absorbed WHERE volume = ?", (volume,))
        return int(rows[0][0]) if rows else None

    def forget_absorbed(self) -> None:
        """Delete the records of absorbed volumes, when no session has work left for them."""
        self._database.change("DELETE FROM absorbed")

    def drop_volume(self, volume: int) -> list[VolumeRow]:
        """Mark a volume dropped and release the pins that only it needs.

        Returns the volumes on which pins were released, nearest first.
        """
        self.set_volume_state(volume, VolumeState.DROPPED)
        return self._release_for(volume)

    def release_pin(self, volume: int, version: int, holder: str) -> list[VolumeRow]:
        """Release a pin, and the pins that only its volume needs.

        Returns the volumes on which pins were released, nearest first.  Raises CorruptStoreError.
        """
        self._database.change(
            "UPDATE pins SET released = 1 WHERE volume = ? AND version = ? AND holder = ?",
            (volume, version, holder),
            ("bare", volume),
        )
        row = self.volume_row(volume)
        if row is None:
            former = "was absorbed" if self.absorbed_at(volume) is not None else "is not there"
            raise CorruptStoreError(
                f"the catalog contradicts itself: {holder} pins volume {volume}, which {former}: restore a backup"
            )
        if row.state in (VolumeState.DROPPED, VolumeState.DEAD):
            return [row, *self._release_for(volume)]
        return [row]

    def _release_for(self, volume: int) -> list[VolumeRow]:
        """Release the pin of a dropped volume on its source, unless the volume is still pinned."""
        dropped = self.volume_row(volume)
        if dropped is None or dropped.parent is None or self._is_needed(volume):
            return []
        return self.release_pin(dropped.parent, dropped.base.version, volume_holder(volume))

    def _is_needed(self, volume: int) -> bool:
        return bool(self._database.query("SELECT 1 FROM pins WHERE volume = ? AND NOT released LIMIT 1", (volume,)))

    # --- pins -------------------------------------------------------------------------------------------------------
    _PIN = "SELECT volume, version, holder, released, record FROM pins"

    def pin_rows(self, volume: int) -> list[PinRow]:
        return [
            pin_row(row) for row in self._database.query(f"{self._PIN} WHERE volume = ? ORDER BY version", (volume,))
        ]

    def all_pin_rows(self) -> list[PinRow]:
        return [pin_row(row) for row in self._database.query(self._PIN)]

    def pinned_versions(self, volume: int, *, released: bool = True) -> list[int]:
        rows = self._database.query(PINNED_VERSIONS.format("" if released else "AND NOT released"), (volume,))
        return [version for (version,) in rows]

    def unpinned(self) -> list[str]:
        """A message for each snapshot whose pin is missing."""
        sql = (
            "SELECT name, volume, version FROM snapshots s WHERE NOT EXISTS (SELECT 1 FROM pins p WHERE "
            "p.volume = s.volume AND p.version = s.version AND p.holder = 'snapshot:' || s.snapshot AND NOT released)"
        )
        return [
            f"snapshot '{name}' has no pin on version {version} of volume {volume}"
            for name, volume, version in self._database.query(sql)
        ]

    def pinned_record(self, volume: int, version: int) -> Version | None:
        rows = self._database.query(f"{self._PIN} WHERE volume = ? AND version = ? LIMIT 1", (volume, version))
        return pin_row(rows[0]).version if rows else None

    def first_pins(self, volume: int, count: int) -> list[PinRow]:
        rows = self._database.query(f"{self._PIN} WHERE volume = ? ORDER BY version, holder LIMIT ?", (volume, count))
        return [pin_row(row) for row in rows]

    def released_pins(self, volume: int) -> list[PinRow]:
        rows = self._database.query(
            f"{self._PIN} INDEXED BY released_pins WHERE released AND volume = ? ORDER BY version", (volume,)
        )
        return [pin_row(row) for row in rows]

    def volumes_with_released_pins(self) -> set[int]:
        return {
            volume
            for (volume,) in self._database.query(
                "SELECT DISTINCT volume FROM pins INDEXED BY released_pins WHERE released"
            )
        }

    def pin_of(self, volume: int, version: int, holder: str) -> PinRow | None:
        """The pin of a holder on a version; None if there is none."""
        sql = f"{self._PIN} WHERE volume = ? AND version = ? AND holder = ?"
        rows = self._database.query(sql, (volume, version, holder))
        return pin_row(rows[0]) if rows else None

    def is_pinned(self, volume: int, version: int) -> bool:
        """Whether a version has a pin that is not released."""
        sql = "SELECT 1 FROM pins WHERE volume = ? AND version = ? AND NOT released LIMIT 1"
        return bool(self._database.query(sql, (volume, version)))

    def newest_pinned(self, volume: int) -> int:
        """The newest version with a pin that is not released; 0 if there is none."""
        sql = "SELECT version FROM pins WHERE volume = ? AND NOT released ORDER BY version DESC LIMIT 1"
        return next((version for (version,) in self._database.query(sql, (volume,))), 0)

    def is_shared(self, volume: int) -> bool:
        """Whether a volume has more than one pin that is not released."""
        return len(self._database.query("SELECT 1 FROM pins WHERE volume = ? AND NOT released LIMIT 2", (volume,))) > 1

    def add_pin(self, volume: int, holder: str, version: Version) -> None:
        """Pin a version for a holder."""
        self._database.change(
            "INSERT INTO pins SELECT ?1, ?2, ?3, 0, ?4 WHERE EXISTS (SELECT 1 FROM volumes WHERE volume = ?1)",
            (volume, version.version, holder, packed(version)),
            ("bare", volume),
        )
        self._require_changed(f"{holder} is to pin volume {volume}, which is not there")

    def _require_changed(self, contradiction: str) -> None:
        """Undo the transaction, by CorruptStoreError, unless its last statement has changed a row."""
        if not self._database.change_count():
            raise CorruptStoreError(f"the catalog contradicts itself: {contradiction}: restore a backup")

    def remove_pin(self, volume: int, version: int, holder: str) -> None:
        self._database.insert(
            "DELETE FROM pins WHERE volume = ? AND version = ? AND holder = ?", (volume, version, holder)
        )
