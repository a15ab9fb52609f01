"""Typed lines through Python's readline: history, and completion with Tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdb.shell.history import History

if TYPE_CHECKING:
    from clusterdb.shell.commands import ClusterShell

__all__ = ["PlainTerminal"]

_DELIMITERS = " \t\n\"'`()[]=<>+*/,;@|"  # a hyphen is part of cluster names


class PlainTerminal:
    """A terminal, through readline if Python has it."""

    def __init__(self, shell: ClusterShell, history: History | None = None) -> None:
        self._shell = shell
        self._history = history or History()
        try:
            import readline
        except ImportError:
            self._readline = None
            return
        self._readline = readline
        readline.set_auto_history(False)
        readline.set_completer(shell.complete)
        readline.set_completer_delims(_DELIMITERS)
        readline.parse_and_bind("tab: complete")
        for entry in self._history.entries:
            readline.add_history(entry)

    def read(self, prompt: str) -> str:
        """A line, without its end.  Raises EOFError, KeyboardInterrupt."""
        colour = self._shell.colour
        begin, end = colour.prompt, colour.prompt_
        if begin and self._readline is not None:
            begin, end = f"\x01{begin}\x02", f"\x01{end}\x02"  # readline: characters of no width
        try:
            return input(f"{begin}{prompt}{end}")
        except KeyboardInterrupt:
            print()
            raise

    def remember(self, entry: str) -> None:
        """Add an entry, with all its lines, to the history."""
        if self._readline is not None and entry.strip():
            self._readline.add_history(entry.rstrip())
        self._history.append(entry)
