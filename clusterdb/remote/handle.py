"""A repository as callers use it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from clusterdb.errors import RemoteDamagedError
from clusterdb.remote.manifest import Manifest
from clusterdb.remote.objects import NEW, Counts, Listed, open_objects
from clusterdb.remote.repacking import Repacked, repack
from clusterdb.remote.repository import TOMBSTONE, Repository, Slots, manifest_path
from clusterdb.remote.states import require_ref
from clusterdb.remote.tree import Side, leaves
from vfs.errors import CorruptionError
from vfs.failpoints import reach
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


class _Plan(NamedTuple):
    """The numbers of states that expire unless they are pinned, and the objects that only those may need."""

    expiring: set[int]
    orphans: list[Listed]


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
        """Read everything that the newest state names, and compare it with its checksums; returns the problems.

        The states before it, as far as they have not expired, are compared with the checksums of their successors.
        """
        return self.repository.raced(self._problems, "check again")

    def _problems(self) -> list[str] | None:
        """The problems of the newest state; None if there are some, and it is not the newest any more."""
        problems: list[str] = []
        manifest = self.repository.require_newest()
        state: Manifest | None = manifest
        try:
            while state is not None:
                state = self.repository.before(state)
        except RemoteDamagedError as error:
            problems.append(str(error))
        for name, ref in sorted(manifest.refs.items()):
            try:
                slots = Slots(self.repository, manifest)
                for leaf, entries in leaves(Side(slots.read_slot, ref.record, slots.place_of)):
                    for index, entry in entries:
                        if zlib.crc32(slots.read_slot(entry.slot)) != entry.crc:
                            problems.append(f"'{name}': page {(leaf << 8) + index} fails its checksum")
            except (CorruptionError, RemoteDamagedError) as error:
                problems.append(f"'{name}': {error}")
        return problems if not problems or self.repository.is_newest(manifest.number) else None

    def repack(self, *, dry_run: bool = False) -> Repacked:
        """Copy what is left of objects of which less than half is still reachable to new ones, and name these instead.

        A later :meth:`collect` deletes the old ones, once no state that it keeps needs them.  Pins and running pushes
        are not disturbed.  ``dry_run``: copy nothing, and return what would be done.
        """
        return repack(self.repository, dry_run=dry_run)

    def collect(self, keep: timedelta = timedelta(days=7)) -> Collected:
        """Delete what no state needs that was the newest within the time ``keep``: other states expire.

        Objects younger than a day stay: a push that is still running may be about to name them.  All ages are by the
        clock of the storage.
        """
        self.repository.require_newest()  # before anything is written
        now = self.repository.objects.now()
        now_ns = int(now.timestamp() * 1e9)
        plan = self.repository.raced(lambda: self._planned(now, now_ns, keep), "collect again")
        pins = self.repository.pins()  # again: ``oldest`` has moved (P6)
        pinned = {pin.number for pin in pins if pin.until_ns > now_ns}
        expired = 0
        for number in sorted(plan.expiring - pinned):
            self.repository.objects.put(manifest_path(number), TOMBSTONE)
            reach("collect: state expired")
            expired += 1
        for pin in pins:
            if pin.until_ns <= now_ns:
                self.repository.unpin(pin.name)
        needed = self._needed(self._states(pinned))
        orphans = [listed for listed in plan.orphans if listed.path not in needed]
        for listed in orphans:
            self.repository.objects.delete(listed.path)
            reach("collect: object deleted")
        return Collected(len(orphans), sum(listed.size_bytes for listed in orphans), expired)

    def _planned(self, now: datetime, now_ns: int, keep: timedelta) -> _Plan | None:
        """What is to be deleted, after a manifest that forbids to name it (P7); None if another writer was first."""
        objects, newest = self.repository.objects, self.repository.require_newest()
        there = {int(listed.path[-12:]): listed for listed in objects.list("manifest")}
        whole = {number for number, listed in there.items() if listed.size_bytes != len(TOMBSTONE)}
        kept = {
            number
            for number in whole
            if number >= newest.oldest and number + 1 in there and there[number + 1].changed_at > now - keep
        }
        try:
            segments, reached = list(self.repository.all_segments(newest)), self._reached(newest)
        except RemoteDamagedError:
            if not self.repository.is_newest(newest.number):
                return None  # what only it needed has been collected meanwhile
            raise
        alive = tuple(segment for segment in segments if segment.name in reached)
        has_dead = len(alive) < len(segments)
        pinned = self.repository.pinned(now_ns)
        stays = replace(newest, segments=alive, tables=()) if has_dead and not keep else newest
        needed = self._needed([stays, *self._states(kept | pinned, newest)])
        orphans = [
            listed
            for folder in ("segment", "table", "probe", NEW)
            for listed in objects.list(folder)
            if listed.path not in needed and listed.changed_at < now - _ORPHANS_AGE
        ]
        oldest = min(kept, default=newest.number if keep else newest.number + 1)
        expiring = {number for number in whole if number < oldest} - pinned
        if not expiring - {newest.number} and not orphans and not has_dead:
            return _Plan(set(), [])
        alive = alive if has_dead else ()
        added = self.repository.change(newest, newest.refs, alive, keeps=not has_dead, oldest=oldest)
        return _Plan(expiring, orphans) if added is not None else None

    def _states(self, numbers: set[int], following: Manifest | None = None) -> list[Manifest]:
        """The states of numbers that have not expired, compared with those that follow them, as far as those stay.

        ``following``: the newest state.  Raises RemoteDamagedError.
        """
        states: list[Manifest] = []
        for number in sorted(numbers, reverse=True):
            if following is not None and following.number == number + 1:
                state = self.repository.before(following)
            else:
                state = self.repository.state(number)
            if state is not None:
                states.append(state)
                following = state
        return states

    def _needed(self, states: list[Manifest]) -> set[str]:
        """The objects that states name."""
        names = {f"segment/{segment.name}" for state in states for segment in self.repository.all_segments(state)}
        return names | {f"table/{table}" for state in states for table in state.tables}

    def _reached(self, manifest: Manifest) -> set[str]:
        """The names of the segments that the databases of a state reach."""
        slots = Slots(self.repository, manifest)
        names: set[str] = set()
        for name, ref in manifest.refs.items():
            try:
                side = Side(slots.read_slot, ref.record, slots.place_of)
                for node in nodes(side.read_slot, side.version, damaged=side.damaged):
                    names.add(slots.segment_of(node.at.entry.slot).name)
                    if not node.at.level:
                        names.update(slots.segment_of(child.entry.slot).name for child in node.children())
            except (CorruptionError, RemoteDamagedError) as error:
                raise RemoteDamagedError(
                    f"'{name}' in {self.url} is damaged, so nothing was deleted: {error}"
                ) from None
        return names
