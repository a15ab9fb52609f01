"""A directory of objects on a device that loses its power: what was not synced is lost, or there in part."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from clusterdb.remote import objects

__all__ = ["Disk"]

Image = dict[str, bytes]


@dataclass
class _Names:
    """The names of a directory: those on the device, and what happened to them since, in order."""

    synced: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[str, int | None]] = field(default_factory=list)
    """A name and the file that it has; None: it has none any more."""


class Disk:
    """What the device has of the directories below a path: files by their numbers, and names.

    A file has its bytes when it was synced; before that any part of them.  A name is there, or not any more, when its
    directory was synced; before that, or not.  The names of a directory that itself is not there are lost.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._data: list[bytes] = []
        self._synced: set[int] = set()
        self._directories: set[int] = set()
        self._names: dict[Path, _Names] = {}
        self.call_count = 0

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the calls of the body."""
        calls = objects.CALLS
        own = objects.Calls(
            self._recorded(calls.mkdir, self._mkdir),
            self._recorded(calls.write, self._write),
            self._recorded(calls.sync_file, self._sync_file),
            self._recorded(calls.link, self._link),
            self._recorded(calls.replace, self._replace),
            self._recorded(calls.unlink, self._unlink),
            self._recorded(calls.sync_directory, self._sync_directory),
        )
        with mock.patch.object(objects, "CALLS", own):
            yield

    def _recorded(self, call: Any, note: Any) -> Any:
        def both(*arguments: Any) -> None:
            call(*arguments)
            note(*arguments)
            self.call_count += 1

        return both

    # --- calls --------------------------------------------------------------------------------------------------------
    def _in(self, path: Path) -> _Names:
        return self._names.setdefault(path.parent, _Names())

    def _file(self, path: Path) -> int:
        names = self._in(path)
        for name, file in reversed(names.waiting):
            if name == path.name and file is not None:
                return file
        return names.synced[path.name]

    def _mkdir(self, path: Path) -> None:
        self._write(path, b"")
        self._directories.add(len(self._data) - 1)

    def _write(self, path: Path, data: bytes) -> None:
        self._data.append(data)
        self._in(path).waiting.append((path.name, len(self._data) - 1))

    def _sync_file(self, path: Path) -> None:
        self._synced.add(self._file(path))

    def _link(self, source: Path, target: Path) -> None:
        self._in(target).waiting.append((target.name, self._file(source)))

    def _replace(self, source: Path, target: Path) -> None:
        self._link(source, target)
        self._unlink(source)

    def _unlink(self, path: Path) -> None:
        self._in(path).waiting.append((path.name, None))

    def _sync_directory(self, path: Path) -> None:
        names = self._names.setdefault(path, _Names())
        for name, file in names.waiting:
            _apply(names.synced, name, file)
        names.waiting.clear()

    # --- a power failure ----------------------------------------------------------------------------------------------
    def image(self, rng: random.Random, rate: float) -> Image:
        """What is below the root after a power failure now; ``rate``: of what was not synced and is there."""
        return dict(self._below(self.root, self.root.parent, rng, rate))

    def _below(self, root: Path, directory: Path, rng: random.Random, rate: float) -> Iterator[tuple[str, bytes]]:
        names = self._names.get(directory, _Names())
        there = dict(names.synced)
        for name, file in names.waiting:
            if rng.random() < rate:
                _apply(there, name, file)
        for name, file in there.items():
            path = directory / name
            if directory == root.parent and path != root:
                continue
            if file in self._directories:
                yield from self._below(root, path, rng, rate)
            else:
                data = self._data[file]
                whole = file in self._synced or rng.random() < rate
                yield path.relative_to(root).as_posix(), data if whole else data[: rng.randrange(len(data) + 1)]


def _apply(names: dict[str, int], name: str, file: int | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file
