"""The history of typed entries, in one file for both terminals: an entry per line, newlines as psql keeps them (\\x01).

Every entry is appended at once, so that neither concurrent nor killed shells lose entries.  A history file that cannot
be read or written is ignored.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["History", "default_path"]

ENTRIES_MAX = 5000
_NEWLINE = "\x01"


def default_path() -> Path:
    """``$XDG_STATE_HOME/clusterdb/history``, else ``~/.local/state/clusterdb/history``.  Raises RuntimeError."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path("~/.local/state").expanduser()
    return folder / "clusterdb" / "history"


class History:
    """The entries, the oldest first."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.entries: list[str] = []
        with suppress(OSError, RuntimeError):
            self._path = path or default_path()
            lines = self._path.read_text(encoding="utf8", errors="replace").splitlines()
            self.entries = [line.replace(_NEWLINE, "\n") for line in lines if line.strip()]
            if len(self.entries) > ENTRIES_MAX:
                del self.entries[:-ENTRIES_MAX]
                self._write("w", self.entries)

    def append(self, entry: str) -> None:
        """Add an entry, unless it repeats the last one."""
        entry = entry.rstrip()
        if not entry.strip() or self.entries[-1:] == [entry]:
            return
        self.entries.append(entry)
        with suppress(OSError):
            self._write("a", [entry])

    def _write(self, mode: str, entries: list[str]) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "a" else os.O_TRUNC), 0o600)
        with os.fdopen(fd, mode, encoding="utf8", errors="replace") as file:
            file.writelines(entry.replace("\n", _NEWLINE) + "\n" for entry in entries)
