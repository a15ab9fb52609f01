"""A repository as callers use it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from time import time_ns

from clusterdb.errors import RemoteDamagedError
from clusterdb.remote.manifest import Manifest
from clusterdb.remote.objects import Counts, open_objects
from clusterdb.remote.repacking import Repacked, repack
from clusterdb.remote.repository import TOMBSTONE, Repository, Slots, manifest_path
from clusterdb.remote.states import require_ref
from clusterdb.remote.tree import Side, leaves
from vfs.errors import CorruptionError
from vfs.storage.walk import nodes

__all__ = ["Collected", "Remote", "RemoteDatabase"]

_ORPHANS_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RemoteDatabase:
    """A database of a repository.

    :ivar name: its name there
    :ivar engine: the SQL that its cluster accepts
    :ivar version: the version that was pushed
    :ivar size_bytes: its size
    :ivar pushed_at: when it was pushed
    """

    name: str
    engine: str
    version: int
    size_bytes: int
    pushed_at: datetime


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection deleted: objects with their bytes, and the states that expired."""

    object_count: int
    object_bytes: int
    state_count: int


class Remote:
    """The repository at a URL.  Nothing is kept open.

    ``url``: ``s3://BUCKET/PATH``, ``gs://``, ``az://``, ``file:///DIRECTORY`` or ``memory://NAME``; parameters of its
    query are settings of the engine, as ``?endpoint=http://localhost:9000``.

    All methods raise RemoteError and its subclasses, and RemoteDamagedError.
    """

    def __init__(self, url: str) -> None:
        self.repository = Repository(open_objects(url))

    def __repr__(self) -> str:
        return f"<clusterdb.Remote {self.url}>"

    @property
    def url(self) -> str:
        """Where it is, without the settings of the engine."""
        return self.repository.url

    @property
    def requests(self) -> Counts:
        """What was asked of the engine through this handle."""
        return replace(self.repository.objects.counts)

    def databases(self) -> list[RemoteDatabase]:
        """The databases, by name.  Raises RemoteNotFoundError if there is no repository."""
        manifest = self.repository.require_newest()
        return [
            RemoteDatabase(
                name,
                ref.engine,
                ref.record.version,
                ref.record.size_bytes,
                datetime.fromtimestamp(ref.pushed_ns / 1e9, timezone.utc),
            )
            for name, ref in sorted(manifest.refs.items())
        ]

    def remove(self, name: str) -> None:
        """Remove a database; :meth:`collect` frees what only it held.  Raises RemoteNotFoundError."""

        def attempt() -> Manifest | None:
            manifest = self.repository.require_newest()
            require_ref(self.repository, manifest, name)
            return self.repository.change(manifest, manifest.without(name).refs)

        self.repository.raced(attempt, f"remove '{name}' again")

    def check(self) -> list[str]:
        """Read everything that the newest state names, and compare it with its checksums; returns the problems."""
        problems: list[str] = []
        manifest = self.repository.require_newest()
        slots = Slots(self.repository, manifest)
        for name, ref in sorted(manifest.refs.items()):
            try:
                for leaf, entries in leaves(Side(slots.read_slot, ref.record)):
                    for index, entry in entries:
                        if zlib.crc32(slots.read_slot(entry.slot)) != entry.crc:
                            problems.append(f"'{name}': page {(leaf << 8) + index} fails its checksum")
            except (CorruptionError, RemoteDamagedError) as error:
                problems.append(f"'{name}': {error}")
        return problems

    def repack(self, *, dry_run: bool = False) -> Repacked:
        """Copy what is left of objects of which less than half is still reachable to new ones, and name these instead.

        A later :meth:`collect` deletes the old ones, once no state that it keeps needs them.  Pins and running pushes
        are not disturbed.  ``dry_run``: copy nothing, and return what would be done.
        """
        return repack(self.repository, dry_run=dry_run)

    def collect(self, keep: timedelta = timedelta(days=7)) -> Collected:
        """Delete what no state needs that is younger than ``keep``, nor the newest: other states expire.

        Objects younger than a day stay: a push that is still running may be about to name them.
        """
        manifest = self.repository.raced(self._without_dead_segments, "collect again")
        oldest_ns = time_ns() - int(keep.total_seconds() * 1e9)
        states = list(self._states(manifest, oldest_ns))
        pinned = self.repository.pinned(time_ns())
        oldest = states[-1].number
        states += [state for number in pinned if (state := self.repository.state(number)) is not None]
        needed = {f"segment/{segment.name}" for state in states for segment in self.repository.all_segments(state)}
        needed |= {f"table/{table}" for state in states for table in state.tables}
        expired = self._expire(oldest, pinned)
        count = size = 0
        youngest = datetime.now(timezone.utc) - _ORPHANS_AGE
        for folder in ("segment", "table", "probe"):
            for listed in self.repository.objects.list(folder):
                if listed.path not in needed and listed.changed_at < youngest:
                    self.repository.objects.delete(listed.path)
                    count, size = count + 1, size + listed.size_bytes
        return Collected(count, size, expired)

    def _states(self, newest: Manifest, oldest_ns: int) -> Iterator[Manifest]:
        """The states that stay, from the newest to the oldest."""
        state: Manifest | None = newest
        while state is not None:
            yield state
            if state.time_ns < oldest_ns or state.number == 1:  # this one was the newest when the time began
                return
            state = self.repository.state(state.number - 1)

    def _expire(self, oldest_number: int, pinned: set[int]) -> int:
        """Make tombstones of the states before a number that are not pinned (P1); returns how many."""
        count = 0
        least = min(pinned, default=oldest_number)
        for number in range(oldest_number - 1, 0, -1):
            if number in pinned:
                continue
            if self.repository.is_expired(number):
                if number < least:
                    break  # and so are all before
                continue
            self.repository.objects.put(manifest_path(number), TOMBSTONE)
            count += 1
        return count

    def _without_dead_segments(self) -> Manifest | None:
        """The newest state without the segments that no database of it reaches; None if another writer was first."""
        manifest = self.repository.require_newest()
        segments, reached = list(self.repository.all_segments(manifest)), self._reached(manifest)
        alive = tuple(segment for segment in segments if segment.name in reached)
        if len(alive) == len(segments):
            return manifest
        return self.repository.change(manifest, manifest.refs, alive, keeps=False)

    def _reached(self, manifest: Manifest) -> set[str]:
        """The names of the segments that the databases of a state reach."""
        slots = Slots(self.repository, manifest)
        names: set[str] = set()
        for name, ref in manifest.refs.items():
            try:
                for node in nodes(slots.read_slot, ref.record):
                    names.add(slots.segment_of(node.at.entry.slot).name)
                    if not node.at.level:
                        names.update(slots.segment_of(child.entry.slot).name for child in node.children())
            except CorruptionError as error:
                raise RemoteDamagedError(
                    f"'{name}' in {self.url} is damaged, so nothing was deleted: {error}"
                ) from None
        return names
