"""The history of typed entries, in one file for both terminals: an entry per line, newlines as psql keeps them (\\x01).

Every entry is appended at once, so that neither concurrent nor killed shells lose entries.  A history file that cannot
be read or written is ignored.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

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
            self._read(self._path.read_bytes())
            if len(self.entries) > ENTRIES_MAX:
                self._cut()

    def append(self, entry: str) -> None:
        """Add an entry, unless it repeats the last one."""
        entry = entry.rstrip()
        if not entry.strip() or self.entries[-1:] == [entry]:
            return
        self.entries.append(entry)
        with suppress(OSError), self._opened(os.O_WRONLY | os.O_CREAT | os.O_APPEND, "ab") as file:
            file.write(_lines([entry]))

    def _cut(self) -> None:
        """Cut the file to the newest entries, which stay in it throughout, with what other shells append."""
        with self._opened(os.O_RDWR, "r+b") as file:
            self._read(file.read())
            del self.entries[:-ENTRIES_MAX]
            file.seek(0)
            file.write(_lines(self.entries))
            file.truncate()

    def _read(self, content: bytes) -> None:
        lines = content.decode("utf8", "replace").splitlines()
        self.entries = [line.replace(_NEWLINE, "\n") for line in lines if line.strip()]

    @contextmanager
    def _opened(self, flags: int, mode: str) -> Iterator[IO[bytes]]:
        """The file, locked."""
        if self._path is None:
            raise FileNotFoundError
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(self._path, flags | os.O_CLOEXEC, 0o600), mode) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _lines(entries: list[str]) -> bytes:
    return "".join(entry.replace("\n", _NEWLINE) + "\n" for entry in entries).encode("utf8", "replace")
