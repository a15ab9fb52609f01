"""The volume of an open file in the child of a fork."""

from __future__ import annotations

from typing import NoReturn

from vfs.abc import Durability, Handle, Transaction
from vfs.errors import ForkedError

__all__ = ["Orphan"]


class Orphan:
    """Replaces a handle, and its transaction, in a process that opened neither: it can only be closed.

    Implements :class:`vfs.abc.Handle` and :class:`vfs.abc.Transaction`.
    """

    move_count = new_version = size_bytes = 0

    def __init__(self, volume: Handle, transaction: Transaction | None) -> None:
        """``volume`` and ``transaction`` of the parent are kept referenced, so that nothing they hold is released."""
        self._volume = volume
        self._transaction = transaction

    def take_tend_due(self) -> bool:
        return False

    def _refuse(self) -> NoReturn:
        raise ForkedError("the connection was opened before a fork: open a new one in the child process")

    def pin(self) -> None:
        self._refuse()

    def pin_as_of(self, time_ns: int) -> None:
        self._refuse()

    def read(self, amount: int, offset: int) -> bytes:
        self._refuse()

    def begin_write(self) -> Orphan:
        self._refuse()

    def write(self, data: bytes, offset: int) -> None:
        self._refuse()

    def truncate(self, size_bytes: int) -> None:
        self._refuse()

    def publish(self, durability: Durability) -> NoReturn:
        self._refuse()

    def is_unchanged(self) -> bool:
        return False

    def is_being_written(self) -> bool:
        return False

    def unpin(self) -> None:
        """Do nothing: the parent owns the pin."""

    def count_read(self, read_count: int) -> None:
        """Do nothing: the parent counts."""

    def end(self) -> None:
        """Do nothing: the parent owns the writer lock."""

    def close(self) -> None:
        """Close this process's copy of the descriptor, which holds none of the parent's locks."""
        self._volume.abandon()

    def abandon(self) -> None:
        """Close the descriptor in a child of the child."""
        self._volume.abandon()
