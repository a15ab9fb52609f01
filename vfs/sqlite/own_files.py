"""Whether a path leads to a file of a store.

SQL names files (ATTACH, VACUUM INTO), and so do the journals of attached files.  The files of a store are none that a
database connection may open: whoever writes to ``catalog.db`` or ``pool`` past the storage layer destroys clusters.
Paths are compared by where they lead, not by how they are spelled: symbolic links are followed, hard links and
descriptors in ``/proc`` are recognised by device and inode.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["is_of_store"]

_MARKS = ("catalog.db", "pool", "locks")
_HISTORY = "history"

_Identity = tuple[int, int]


def is_of_store(path: Path, directory: Path | None = None, fds: Iterable[int] = ()) -> bool:
    """Whether opening ``path`` would open, or create, a file in the directory of a store.

    ``directory`` is that of a store that is open (None: none, or one in memory), ``fds`` are its open files.
    """
    target = Path(os.path.realpath(path))
    home = target.parent.parent if target.parent.name == _HISTORY else target.parent
    if all(os.path.exists(home / mark) for mark in _MARKS):  # noqa: PTH110 - False for names that are too long
        return True
    own = _identity(directory) if directory is not None else None
    if own is not None and own in (_identity(home), _identity(target.parent)):
        return True
    try:
        status = path.stat()
    except OSError:  # it is not there yet, or cannot be looked at: SQLite says so
        return False
    known = {_identity_of(os.fstat(fd)) for fd in fds}
    if directory is not None and status.st_nlink > 1:
        known |= set(_identities(directory))
    return _identity_of(status) in known


def _identity_of(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _identity(path: Path) -> _Identity | None:
    try:
        return _identity_of(path.stat())
    except OSError:
        return None


def _identities(directory: Path) -> Iterator[_Identity]:
    """The files of a store's directory."""
    for folder in (directory, directory / _HISTORY):
        if folder.is_dir():
            for path in folder.iterdir():
                found = _identity(path)
                if found is not None:
                    yield found
