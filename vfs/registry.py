"""The contract between the storage layer and the catalog: volumes and durable pins.

The catalog is a SQL database and belongs to the layer above; storage uses it only through this contract.  A *pin* row
protects a version's slots from reclaim for as long as the row exists; a *released* pin is not needed any more, but its
row still exists because its slots have not been freed yet.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol

from vfs.format.layout import Version

__all__ = ["IN_USE", "PinRow", "Registry", "VolumeRow", "VolumeState"]


class VolumeState(StrEnum):
    """The states of a volume, in order.

    building  being filled; cannot be opened by name; dropped if its builder dies
    live      in use
    past      its cluster has switched to another volume; kept so that the cluster can go back to its versions
    dropped   cannot be opened; its head still holds slots
    dead      its head is reclaimed; the row exists only because there are pins on its versions
    """

    BUILDING = "building"
    LIVE = "live"
    PAST = "past"
    DROPPED = "dropped"
    DEAD = "dead"


IN_USE = (VolumeState.BUILDING, VolumeState.LIVE, VolumeState.PAST)


class VolumeRow(NamedTuple):
    """The catalog row of a volume.

    ``table_index`` is its row in the volume table and its lock byte, ``head_slot`` the slot of its heads, ``base`` the
    version it began with: for a clone the version of ``parent`` that it holds a pin on, otherwise an empty version 1.
    ``retained`` is the oldest retained past version; 0 if the volume does not retain its past.
    """

    volume: int
    table_index: int
    head_slot: int
    state: VolumeState
    parent: int | None
    base: Version
    retained: int = 0


class PinRow(NamedTuple):
    """A durable pin: ``holder`` (free text, unique per volume and version) keeps ``version`` of ``volume``.

    ``holder_volume`` is the volume that began with this version, if that is what the pin is for.
    """

    volume: int
    holder: str
    holder_volume: int | None
    released: bool
    version: Version


class Registry(Protocol):
    """The storage layer's view of the catalog."""

    def volume_rows(self) -> list[VolumeRow]:
        """All volumes, in any state."""

    def volume_row(self, volume: int) -> VolumeRow | None:
        """A volume by its id; None if it does not exist."""

    def pin_rows(self, volume: int) -> list[PinRow]:
        """The pins on a volume, released ones included, by version."""

    def all_pin_rows(self) -> list[PinRow]:
        """The pins on all volumes."""

    def pinned_versions(self, volume: int, *, released: bool = True) -> list[int]:
        """The distinct pinned versions of a volume, ascending; ``released`` includes those of released pins only.

        The cost is proportional to the number of versions, not of pins.
        """

    def unpinned(self) -> list[str]:
        """Describe the rows above storage that should have a pin but have none."""

    def note_sealed(self, versions: dict[int, int]) -> None:
        """Record the versions of volumes that were sealed (in the running transaction)."""

    def sealed_version(self, volume: int) -> int:
        """The version of a volume that was sealed last; 0 if there is none."""

    def pinned_record(self, volume: int, version: int) -> Version | None:
        """The record of a pinned version."""

    def first_pins(self, volume: int, count: int) -> list[PinRow]:
        """The first pins on a volume, by version, up to ``count``."""

    def released_pins(self, volume: int) -> list[PinRow]:
        """The released pins on a volume, by version."""

    def volumes_with_released_pins(self) -> set[int]:
        """The volumes that have released pins."""

    def volumes_in(self, *states: VolumeState) -> list[VolumeRow]:
        """The volumes in one of these states."""

    def reclaiming(self, *, waits: bool = False) -> AbstractContextManager[None]:
        """A catalog transaction that need not be durable when it ends: a power failure may undo it.

        Reclaim does not wait: raises RegistryBusyError if another process is in a transaction, unless ``waits``.
        """

    def transaction(self, *, waits: bool = True) -> AbstractContextManager[None]:
        """A catalog transaction, durable when it ends.  Raises RegistryBusyError.

        Where a process has died in its commit, which could take effect later, the catalog is sealed before it begins;
        so it is before a transaction of :meth:`reclaiming`.
        """

    def seal(self) -> None:
        """Commit durably, which overwrites the frames that a process which died in its commit left in the log.

        Otherwise its commit could take effect when the log is recovered, after others have acted as if it had never
        happened.  Raises RegistryBusyError at once if another process is in a transaction.
        """

    def remove_pin(self, volume: int, version: int, holder: str) -> None:
        """Remove a released pin."""

    def set_retained(self, volume: int, version: int) -> None:
        """Set the oldest retained version of a volume; 0: retain no past."""

    def set_dead(self, volume: int) -> None:
        """Mark a dropped volume as dead, since its head is reclaimed."""

    def remove_volume(self, volume: int) -> None:
        """Remove a dead volume without pins."""

    def absorb(self, source: VolumeRow, heir: VolumeRow, base: Version) -> None:
        """Remove a dead volume and the only pin on it, that of ``heir``, and set the base of ``heir`` to ``base``.

        The pin that the source's own base held passes to the heir.
        """

    def absorbed_at(self, volume: int) -> int | None:
        """The version of an absorbed volume that was the base of its heir; None if it was not absorbed."""

    def forget_absorbed(self) -> None:
        """Delete the records of :meth:`absorbed_at`, when no process has the store open."""

    def add_volume(self, row: VolumeRow, table_index: int) -> VolumeRow:
        """Add a volume, assign its id, and return the row with the id and the table row."""

    def pin_base(self, row: VolumeRow, base: Version) -> None:
        """Pin the version of its source that a new volume begins with (in the running transaction)."""

    def unpin_base(self, row: VolumeRow) -> None:
        """Remove the pin of a volume on its base, with the volume (in the running transaction)."""

    def has_pins(self, volume: int) -> bool:
        """Whether there are pins on a volume, released ones included."""

    def is_pinned_at(self, volume: int, version: int) -> bool:
        """Whether there are pins on a version of a volume, released ones included."""

    def is_bare(self, volume: int) -> bool:
        """Whether the catalog never had pins on a volume, a seal or a past of it, as far as this process knows."""

    def may_have_volume(self, row: VolumeRow) -> bool:
        """Whether the catalog has a volume, or may have it because the outcome of the commit is unknown.

        The number alone says nothing: that of a volume whose transaction was undone is the next volume's.
        """

    def drop_volume(self, volume: int) -> list[VolumeRow]:
        """Mark a volume as dropped, and the pins that only it needed as released (in the running transaction).

        Returns the volumes on which pins were released.
        """
