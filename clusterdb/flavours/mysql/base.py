"""MySQL's flavour as the modules of its statements see it: with SQL modes, and without the rules."""

from __future__ import annotations

from abc import abstractmethod

from clusterdb.flavours.flavour import Flavour
from clusterdb.flavours.mysql.modes import Modes

__all__ = ["MySQLBase"]


class MySQLBase(Flavour):
    """A flavour in some SQL modes, of those that its translations depend on."""

    modes: Modes

    @property
    def has_escapes(self) -> bool:
        """Whether a backslash in a text starts an escape sequence."""
        return "NO_BACKSLASH_ESCAPES" not in self.modes

    @abstractmethod
    def in_modes(self, modes: Modes) -> MySQLBase:
        """The flavour in other SQL modes."""
