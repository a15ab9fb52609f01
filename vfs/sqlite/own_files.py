"""Recognises paths that lead to a file of a store.

SQL names files (ATTACH, VACUUM INTO), and so do the journals of attached files.  A database connection must not open
the files of a store: writing to ``catalog.db`` or ``pool`` without the storage layer destroys clusters.  Paths are
compared by the files they lead to, not by spelling: symbolic links are followed, hard links and descriptors in
``/proc`` are recognised by device and inode.
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

    ``directory`` is the directory of the open store, or None if there is none or it is in memory; ``fds`` are its open
    files.
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
    except OSError:  # it does not exist yet, or is not accessible, which SQLite reports
        return False
    store_files = {_identity_of(os.fstat(fd)) for fd in fds}
    if directory is not None and status.st_nlink > 1:
        store_files |= set(_identities(directory))
    return _identity_of(status) in store_files


def _identity_of(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _identity(path: Path) -> _Identity | None:
    try:
        return _identity_of(path.stat())
    except OSError:
        return None


def _identities(directory: Path) -> Iterator[_Identity]:
    """The identities of the files in a store's directory."""
    for folder in (directory, directory / _HISTORY):
        if folder.is_dir():
            for path in folder.iterdir():
                identity = _identity(path)
                if identity is not None:
                    yield identity
