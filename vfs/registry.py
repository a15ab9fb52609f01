"""What the storage layer needs to know of the catalog: volumes and durable pins.

The catalog is a SQL database and belongs to the layer above; this contract is all that storage sees of it.  A *pin*
row keeps a version's slots from being reclaimed for as long as the row stands; a *released* pin is one nobody needs
any more, whose row still stands because its slots have not been given back yet.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol

from vfs.format.layout import Version

__all__ = ["IN_USE", "PinRow", "Registry", "VolumeRow", "VolumeState"]


class VolumeState(StrEnum):
    """Life of a volume, in order.

    building  being filled; nobody can open it by name; if its builder dies it is dropped
    live      in use
    past      its cluster has gone over to another volume; kept so that one can go back to its versions
    dropped   nobody may open it; its head still holds slots
    dead      its head is reclaimed; it stands only because pins on its versions do
    """

    BUILDING = "building"
    LIVE = "live"
    PAST = "past"
    DROPPED = "dropped"
    DEAD = "dead"


IN_USE = (VolumeState.BUILDING, VolumeState.LIVE, VolumeState.PAST)


class VolumeRow(NamedTuple):
    """A volume as the catalog has it.

    ``table_index`` is its row in the volume table and its lock byte, ``head_slot`` the slot of its heads, ``base`` the
    version it began with: for a clone the version of ``parent`` that it holds a pin on, else an empty version 1.
    ``retained`` is the oldest of the past versions that it keeps; 0 if it keeps none.
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
        """One volume."""

    def pin_rows(self, volume: int) -> list[PinRow]:
        """The pins on a volume, released ones included, by version."""

    def all_pin_rows(self) -> list[PinRow]:
        """The pins on all volumes."""

    def pinned_versions(self, volume: int, *, released: bool = True) -> list[int]:
        """The distinct pinned versions of a volume, ascending; ``released``: those that only released pins hold, too.

        The cost follows the versions, not the pins.
        """

    def unpinned(self) -> list[str]:
        """What else should have a pin and has none, a text for each."""

    def note_sealed(self, versions: dict[int, int]) -> None:
        """The versions of volumes that were sealed (in the running transaction)."""

    def sealed_version(self, volume: int) -> int:
        """The version of a volume that was sealed last; 0 if none was."""

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
        """A catalog transaction that need not be durable when it ends: a power loss may undo it.

        What tidies up waits for nobody: RegistryBusyError if another process is in a transaction, unless ``waits``.
        """

    def transaction(self, *, waits: bool = True) -> AbstractContextManager[None]:
        """A catalog transaction, durable when it ends.  Raises RegistryBusyError."""

    def seal(self) -> None:
        """Commit something, durably: what a process that died in its commit left in the log is written over.

        Else it could come to life when the log is recovered, after others have acted as if it had never been.  Raises
        RegistryBusyError at once if another process is in a transaction.
        """

    def remove_pin(self, volume: int, version: int, holder: str) -> None:
        """Forget a released pin."""

    def set_retained(self, volume: int, version: int) -> None:
        """The oldest past version that the volume keeps; 0: none."""

    def set_dead(self, volume: int) -> None:
        """The head of a dropped volume is reclaimed."""

    def remove_volume(self, volume: int) -> None:
        """Forget a dead volume without pins."""

    def absorb(self, source: VolumeRow, heir: VolumeRow, base: Version) -> None:
        """Forget a dead volume and the only pin on it, the base of ``heir``, which from now on has this ``base``.

        The pin that the source's own base held passes to the heir.
        """

    def absorbed_at(self, volume: int) -> int | None:
        """If the volume was absorbed: the version that the heir stood on."""

    def forget_absorbed(self) -> None:
        """Nobody will ask that any more: no process has the store open."""

    def add_volume(self, row: VolumeRow) -> VolumeRow:
        """Add a volume (whose id is still open); the row with its id."""

    def pin_base(self, row: VolumeRow, base: Version) -> None:
        """Pin the version of its source that a new volume begins with (in the running transaction)."""

    def may_have_volume(self, volume: int) -> bool:
        """Whether the catalog has a volume, or may have it: a commit whose outcome is unknown added it."""

    def drop_volume(self, volume: int) -> list[VolumeRow]:
        """Mark a volume dropped, and the pins that stood only for its sake released (in the running transaction).

        Returns the volumes on which pins were released.
        """
