"""The pager of a terminal: output that does not fit the screen goes through ``less``, or another program.

:class:`Page` is a stream in place of standard output while a command runs.  It keeps what is written until that exceeds
the screen, then starts the pager and writes to it; what fits is printed at the end.  A pager that the user leaves early
ends the command (:class:`PagerLeft`).
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import time
from contextlib import suppress
from typing import TextIO

from clusterdb.shell.interrupts import ignored
from clusterdb.views.grid import width_of

__all__ = ["Page", "PagerLeft", "default_pager", "screen_lines"]

_LESS_OPTIONS = "-SRX"
"""Long lines are not wrapped but scrolled, colours are shown, and the last screen stays when ``less`` ends."""


class PagerLeft(Exception):
    """The user has left the pager; nothing more needs to be written."""


def default_pager() -> str:
    """The command in ``$CLUSTERDB_PAGER`` or ``$PAGER``, else ``less``."""
    return os.environ.get("CLUSTERDB_PAGER") or os.environ.get("PAGER") or "less"


def screen_lines(text: str, columns: int) -> int:
    """The number of lines that a text takes on a screen that wraps long ones."""
    return sum(max(1, -(-width_of(line) // columns)) for line in text.split("\n")[:-1])


class Page(io.TextIOBase):
    """A stream that shows what is written to it on a terminal, through a pager if it exceeds the screen."""

    def __init__(self, terminal: TextIO, command: str, size: os.terminal_size) -> None:
        self._terminal = terminal
        self._command = command
        self._size = size
        self.columns = size.columns
        self._kept: list[str] = []
        self._line_count = 0
        self._process: subprocess.Popen[str] | None = None
        self._pipe: TextIO | None = None
        self.waited_s = 0.0
        """Seconds spent in writing: a pager that is full waits for its reader."""

    def isatty(self) -> bool:
        """The terminal's answer: colours and widths are those of the terminal."""
        return self._terminal.isatty()

    def fileno(self) -> int:
        """The terminal's."""
        return self._terminal.fileno()

    def writable(self) -> bool:
        """True."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The terminal's."""
        return self._terminal.encoding

    def write(self, text: str) -> int:
        """Keep the text, or show it.  Raises PagerLeft."""
        begin = time.perf_counter()
        try:
            if self._pipe is None:
                self._kept.append(text)
                self._line_count += screen_lines(text, max(self._size.columns, 1))
                if self._line_count >= self._size.lines:
                    self.start()
            else:
                self._send(text)
        finally:
            self.waited_s += time.perf_counter() - begin
        return len(text)

    def flush(self) -> None:
        """Does nothing: what fits the screen is shown at the end."""

    def start(self) -> None:
        """Start the pager, for a text that is too wide or too long.  Raises PagerLeft."""
        if self._pipe is not None:
            return
        self._terminal.flush()
        settings = {"LESS": _LESS_OPTIONS, **os.environ}
        try:
            self._process = subprocess.Popen(
                shlex.split(self._command),
                stdin=subprocess.PIPE,
                env=settings,
                text=True,
                encoding=self._terminal.encoding,
                errors="replace",
            )
        except (OSError, ValueError):  # not installed: the terminal itself shows it
            self._pipe = self._terminal
        else:
            assert self._process.stdin is not None
            self._pipe = self._process.stdin  # type: ignore[assignment]
        kept, self._kept = "".join(self._kept), []
        self._send(kept)

    def _send(self, text: str) -> None:
        assert self._pipe is not None
        try:
            self._pipe.write(text)
        except BrokenPipeError:
            if self._process is None:
                raise
            raise PagerLeft from None

    def finish(self) -> None:
        """Show what is kept, and wait until the user leaves the pager."""
        if self._pipe is None:
            self._terminal.write("".join(self._kept))
            self._terminal.flush()
            self._kept.clear()
        elif self._process is not None:
            with ignored():
                with suppress(BrokenPipeError):
                    self._pipe.close()
                self._process.wait()
        self._process = self._pipe = None
        self._line_count = 0
