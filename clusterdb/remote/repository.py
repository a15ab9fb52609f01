"""A repository: databases on object storage, which many writers change and many readers copy.

    format                the identity, created once
    manifest/NNNNNNNNNNNN the state after that many changes, created once (:mod:`clusterdb.remote.manifest`)
    pin/RANDOM            keeps a state until a time, for a lazy clone
    latest                a hint to the newest manifest, which may be behind
    segment/RANDOM        runs of slots, created once; a repacked one has the runs that were left of several
    table/RANDOM          folded lists of segments, created once

Invariants
    P1  Everything but ``latest`` and pins is created and never changed, except that an expired manifest becomes a
        tombstone: its number stays taken, so a writer that was stopped cannot create it again.
    P2  A manifest names only objects that were complete before it was created.
    P3  The newest manifest is the one before the first number that is free.  ``latest`` is only where the search
        begins.
    P4  A manifest keeps every ref of the one before but the one that its writer changes, and that moves to a descendant
        unless the writer forces it.
    P5  A slot number is never used for other content: ``next_slot`` only grows.
    P6  A state before ``oldest`` of the newest manifest gets no new pin that counts: a store that pins a state reads
        the newest manifest afterwards.  A collection moves ``oldest``, lists the pins afterwards, and then deletes.  So
        it sees the pin, or the store sees ``oldest``.
    P7  A collection that deletes objects adds a manifest first, and deletes those that were a day old before that.  A
        writer gives up if its objects are half a day old when it has read the newest manifest.  So a writer that was
        stopped for any time, and is about to name what was deleted, finds that its number is taken.
    P8  A manifest has the checksum of the one before, which :meth:`Repository.before` compares.

Clocks: ages are by the clock of the storage, so P7 relies on no other.  A pin lasts for its life from when the storage
has created it, and until the time that its owner has written, if that is later.  Its owner renews it when half of its
life is over by its own clock, which may be off, and be set by two weeks meanwhile.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, TypeVar

from clusterdb.errors import (
    RemoteConflictError,
    RemoteDamagedError,
    RemoteError,
    RemoteFormatError,
    RemoteNotFoundError,
    RemoteUnavailableError,
    StoreBusyError,
)
from clusterdb.remote.manifest import (
    SEGMENTS_MAX,
    Manifest,
    Ref,
    Segment,
    Segments,
    pack,
    pack_table,
    unpack,
    unpack_table,
)
from clusterdb.remote.objects import CONDITIONAL, Counts, Objects
from vfs.failpoints import reach
from vfs.format.layout import SLOT_BYTES

__all__ = ["DURATION_S_MAX", "SEGMENT_SLOTS", "TOMBSTONE", "Pin", "Repository", "Slots", "uptime_s"]

TOMBSTONE = b"clusterdb-tombstone: this state of the repository has expired\n"
_IDENTITY = b"clusterdb-repository 1 "
_LATEST = "latest"
SEGMENT_SLOTS = 4096
DURATION_S_MAX = 12 * 3600
"""The time that a writer may take: below the age at which a collection deletes segments that no manifest names (P7)."""
_READ_SLOTS, _READ_SLOTS_MAX = 4, 256
_READ_THREADS = 4
_HOT_SLOTS_MAX = 4096
"""Prefetched of a run."""
_KEPT_SLOTS = 8192
_LOOKS_MAX = 5
_CREATION = Counts(puts=3, gets=1, deletes=1, sent_bytes=len(_IDENTITY) + 44, received_bytes=5)
"""What :meth:`Repository.create` asks of the engine at a place without a repository, after a look."""
_RACES_MAX = 100
_T = TypeVar("_T")


def uptime_s() -> float:
    """A clock that also runs while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def manifest_path(number: int) -> str:
    """The object of a manifest."""
    return f"manifest/{number:012}"


class Pin(NamedTuple):
    """A pin: the number of the state that it keeps, and until when."""

    name: str
    number: int
    until_ns: int


class _Expired:
    """What a tombstone stands for."""


class Repository:
    """The databases below a URL."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._tables: dict[str, tuple[Segment, ...]] = {}

    @property
    def url(self) -> str:
        """Where it is."""
        return self.objects.url

    def create(self) -> None:
        """Make a repository of the place, unless it is one.

        Checks first that the engine never replaces an object that is created twice: one that does would lose data.

        Raises RemoteConflictError (something else is there, or the engine replaces objects), RemoteFormatError.
        """
        if self._is_repository():
            return
        probe = f"probe/{secrets.token_hex(8)}"
        is_create_only = self.objects.create(probe, b"first") and not self.objects.create(probe, b"second")
        self.objects.delete(probe)
        if not is_create_only:
            raise RemoteConflictError(
                f"{self.url} replaces objects that are created twice (it ignores If-None-Match), so two writers could "
                f"lose data there: use {CONDITIONAL}"
            )
        if not self.objects.create("format", _IDENTITY + secrets.token_hex(16).encode() + b"\n"):
            self._is_repository()  # another writer was first

    def creation_costs(self) -> Counts:
        """What :meth:`create` would ask of the engine, beside the look that this takes too."""
        return Counts() if self._is_repository() else replace(_CREATION)

    def _is_repository(self) -> bool:
        content = self.objects.get("format")
        if content is None:
            return False
        if not content.startswith(b"clusterdb-repository "):
            raise RemoteConflictError(f"{self.url} has an object 'format' that is not clusterdb's: choose another path")
        if not content.startswith(_IDENTITY):
            raise RemoteFormatError(f"{self.url} has a newer format than this release reads: upgrade clusterdb")
        return True

    # --- pins -------------------------------------------------------------------------------------------------------
    def pin(self, name: str, number: int, until_ns: int) -> None:
        """Keep a state until a time; a pin of the same name is replaced."""
        body = {"number": number, "until_ns": until_ns, "life_ns": until_ns - time.time_ns()}
        self.objects.put(f"pin/{name}", json.dumps(body).encode())

    def unpin(self, name: str) -> None:
        """Delete a pin, if there is one."""
        self.objects.delete(f"pin/{name}")

    def pins(self) -> list[Pin]:
        """All pins, expired ones too.  Raises RemoteDamagedError.

        A pin lives from when the engine created it as well: the clock of who pinned may have been slow.
        """
        pins = []
        for listed in self.objects.list("pin"):
            data = self.objects.get(listed.path)
            if data is not None:
                try:
                    body = json.loads(data)
                    created_ns = int(listed.changed_at.timestamp() * 1e9)
                    until_ns = max(int(body["until_ns"]), created_ns + int(body.get("life_ns", 0)))
                    number = int(body["number"])
                except (ValueError, KeyError, TypeError):
                    raise RemoteDamagedError(f"{self.url}/{listed.path} is damaged: no pin can be trusted") from None
                pins.append(Pin(listed.path.partition("/")[2], number, until_ns))
        return pins

    def pinned(self, now_ns: int) -> set[int]:
        """The numbers of the states that pins keep at a time.  Raises RemoteDamagedError."""
        return {pin.number for pin in self.pins() if pin.until_ns > now_ns}

    # --- states -----------------------------------------------------------------------------------------------------
    def newest(self) -> Manifest | None:
        """The newest manifest; None in a repository without one, and where there is no repository.

        Raises RemoteDamagedError, RemoteFormatError, RemoteUnavailableError.
        """
        hint = self.objects.get(_LATEST) or b""
        number = int(hint) if hint.isdigit() and len(hint) <= 12 else 0
        for _ in range(_LOOKS_MAX):
            state = self._look(number) if number else None
            if number and state is None:  # the hint does not come from here
                number = max((int(listed.path[-12:]) for listed in self.objects.list("manifest")), default=0)
                state = self._look(number) if number else None
            while (following := self._look(number + 1)) is not None:
                number, state = number + 1, following
            if not isinstance(state, _Expired):
                return state  # else it is not the newest any more: states expire when there is a newer one
        raise RemoteDamagedError(f"{self.url}/{manifest_path(number)} has expired, and it is the newest")

    def require_newest(self) -> Manifest:
        """The newest manifest.  Raises RemoteNotFoundError, and the errors of :meth:`newest`."""
        state = self.newest()
        if state is None:
            raise RemoteNotFoundError(f"{self.url} is no repository, or an empty one: push a cluster there first")
        return state

    def state(self, number: int) -> Manifest | None:
        """The manifest of a number; None if there is none, or it has expired.  Raises RemoteDamagedError."""
        state = self._look(number)
        return None if isinstance(state, _Expired) else state

    def before(self, state: Manifest) -> Manifest | None:
        """The state before another; None if there is none, or it has expired.  Raises RemoteDamagedError (P8)."""
        previous = self.state(state.number - 1) if state.number > 1 else None
        if previous is not None and zlib.crc32(pack(previous)) != state.previous_crc:
            raise RemoteDamagedError(
                f"{self.url}/{manifest_path(previous.number)} is not the state that "
                f"{manifest_path(state.number)} follows: somebody has replaced it"
            )
        return previous

    def is_expired(self, number: int) -> bool:
        """Whether the manifest of a number has become a tombstone."""
        return isinstance(self._look(number), _Expired)

    def may_expire(self, number: int) -> bool:
        """Whether a state may be about to expire, if it has no pin (P6)."""
        if self.is_newest(number):
            return False
        newest = self.newest()
        return newest is None or number < newest.oldest

    def is_newest(self, number: int) -> bool:
        """Whether no manifest follows that of a number."""
        return self._look(number + 1) is None

    def settle(self, manifest: Manifest) -> None:
        """Have a state that was read survive a power failure.  Raises RemoteError."""
        self.objects.settle(manifest_path(manifest.number))

    def _look(self, number: int) -> Manifest | _Expired | None:
        """What a number has; None if it is free.  Raises RemoteDamagedError."""
        path = manifest_path(number)
        data = self.objects.get(path)
        if data is None:
            return None
        if data == TOMBSTONE:
            return _Expired()
        manifest = unpack(data, f"{self.url}/{path}")
        if manifest.number != number:
            raise RemoteDamagedError(f"{self.url}/{path} is manifest {manifest.number}")
        return manifest

    def change(
        self,
        before: Manifest | None,
        refs: Mapping[str, Ref],
        segments: tuple[Segment, ...] = (),
        next_slot: int | None = None,
        *,
        keeps: bool = True,
        oldest: int = 1,
    ) -> Manifest | None:
        """Add a state after ``before``; None if another writer has added one, and the caller has to look again.

        ``segments`` are added to those of ``before`` (or take their place: ``keeps`` false); their slots end before
        ``next_slot``.  ``oldest``: states before it expire.
        """
        manifest = self._following(before, refs, segments, next_slot, keeps=keeps, oldest=oldest)
        if before is not None:  # whose writer may not have come to sync it: what follows it must not outlive it (P8)
            self.objects.settle(manifest_path(before.number))
        reach("state: before it is created")
        if len(manifest.segments) > SEGMENTS_MAX:
            table = secrets.token_hex(8)
            self.objects.create(f"table/{table}", pack_table(manifest.segments))
            manifest = replace(manifest, segments=(), tables=(*manifest.tables, table))
        if not self.objects.create(manifest_path(manifest.number), pack(manifest)):
            return None
        reach("state: created")
        with suppress(RemoteError):  # it is only where a search begins
            self.objects.put(_LATEST, b"%d" % manifest.number)
        return manifest

    @staticmethod
    def _following(
        before: Manifest | None,
        refs: Mapping[str, Ref],
        segments: tuple[Segment, ...],
        next_slot: int | None,
        *,
        keeps: bool,
        oldest: int = 1,
    ) -> Manifest:
        base = before if before is not None else Manifest(0, 0, "", 0)
        previous = zlib.crc32(pack(base)) if before is not None else 0
        return Manifest(
            base.number + 1,
            previous,
            secrets.token_hex(8),
            max(time.time_ns(), base.time_ns + 1),
            base.next_slot if next_slot is None else next_slot,
            dict(refs),
            base.segments + segments if keeps else segments,
            base.tables if keeps else (),
            max(base.oldest, oldest),
        )

    def size_after(self, before: Manifest | None, refs: Mapping[str, Ref], segments: Iterable[Segment]) -> int:
        """The bytes of the manifest after ``before`` and of the hint, with more refs and segments."""
        known = before.refs if before is not None else {}
        manifest = self._following(before, {**known, **refs}, tuple(segments), None, keeps=True)
        return len(pack(manifest)) + len(str(manifest.number))

    def raced(self, attempt: Callable[[], _T | None], again: str) -> _T:
        """The result of the first attempt that is not None: before it, other writers were first.

        ``again`` names what to do.  Raises StoreBusyError after too many attempts, and the errors of ``attempt``.
        """
        for _ in range(_RACES_MAX):
            result = attempt()
            if result is not None:
                return result
        raise StoreBusyError(f"{self.url}: other writers were first {_RACES_MAX} times: {again}")

    def segments(self, manifest: Manifest) -> Segments:
        """Where the slots of a state are.  Raises RemoteDamagedError."""
        return Segments(self.all_segments(manifest))

    def all_segments(self, manifest: Manifest) -> Iterator[Segment]:
        """The segments of a state.  Raises RemoteDamagedError."""
        for table in manifest.tables:
            if table not in self._tables:
                where = f"{self.url}/table/{table}"
                data = self.objects.get(f"table/{table}")
                if data is None:
                    raise RemoteDamagedError(f"{where} is missing")
                self._tables[table] = unpack_table(data, where)
            yield from self._tables[table]
        yield from manifest.segments


class Slots:
    """Reads single slots of a state, and keeps what it read; threads may share it, and read nothing twice.

    A miss reads some slots that follow, sequential misses further ahead, and then the next ones are read beside.  A
    miss in a run of ``hot`` slots, which every query needs, reads a large part of it.
    """

    def __init__(self, repository: Repository, manifest: Manifest, hot: tuple[tuple[int, int], ...] = ()) -> None:
        self._repository = repository
        self.counts = repository.objects.counts
        """What was asked of the engine through the repository."""
        self.before_read: Callable[[], None] = lambda: None
        """Called before a slot is read that is not kept."""
        self._segments = repository.segments(manifest)
        self._hot = hot
        self._kept: OrderedDict[int, memoryview] = OrderedDict()
        self._coming: dict[int, Future[None]] = {}
        self._guard = threading.Lock()
        self._ahead, self._next = _READ_SLOTS, 0
        self._threads: ThreadPoolExecutor | None = None
        self._prefetched: list[Future[None]] = []

    def read_slot(self, slot: int) -> memoryview:
        """The bytes of a slot.  Raises RemoteDamagedError, RemoteUnavailableError."""
        while True:
            with self._guard:
                data = self._kept.get(slot)
                if data is not None:
                    return data
                coming, run, following = self._coming.get(slot), None, None
                if coming is None:
                    run = self._run_of(slot)
                    coming = self._announce(run)
                    following = self._following(run)
                    later = self._announce(following) if following is not None else None
            if following is not None and later is not None:
                self._beside(following, later)
            if run is None:
                coming.result()
            else:
                self.before_read()
                self._fetch(run, coming)

    def begin_prefetch(self) -> None:
        """Begin to read the hot runs, in parallel, if they are not large."""
        left = _HOT_SLOTS_MAX
        for first, count in self._hot:
            for part in self._segments.parts(first, min(count, left)):
                for start in range(0, part.length, _READ_SLOTS_MAX):
                    length = min(_READ_SLOTS_MAX, part.length - start)
                    run = part._replace(first=part.first + start, length=length, offset=part.offset + start)
                    with self._guard:
                        coming = self._announce(run)
                    self._prefetched.append(self._beside(run, coming))
            left -= min(count, left)

    def prefetch(self) -> None:
        """Wait for the hot runs.  Raises RemoteDamagedError, RemoteUnavailableError."""
        if not self._prefetched:
            self.begin_prefetch()
        while self._prefetched:
            self._prefetched.pop(0).result()

    def close(self) -> None:
        """End the threads that read beside."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=False)

    def _run_of(self, slot: int) -> Segment:
        """The slots to read for a miss (under the guard)."""
        if any(first <= slot < first + count for first, count in self._hot):
            return self._hot_part(slot)
        self._ahead = min(self._ahead * 2, _READ_SLOTS_MAX) if slot == self._next else _READ_SLOTS
        run = self._part(slot, self._ahead)
        self._next = slot + run.length
        return run

    def _hot_part(self, slot: int) -> Segment:
        """The part of a hot run that has a slot."""
        first, count = next((first, count) for first, count in self._hot if first <= slot < first + count)
        segment = self._segments.find(slot)
        start = max(first + (slot - first) // _READ_SLOTS_MAX * _READ_SLOTS_MAX, segment.first)
        end = min(first + count, start + _READ_SLOTS_MAX, segment.first + segment.length)
        return segment._replace(first=start, length=end - start, offset=segment.offset + start - segment.first)

    def _part(self, slot: int, count: int) -> Segment:
        """Up to ``count`` slots of a segment, from a slot on, of which none is kept or coming."""
        segment = self._segments.find(slot)
        length = 1
        while (
            length < min(count, segment.first + segment.length - slot)
            and slot + length not in self._kept
            and slot + length not in self._coming
        ):
            length += 1
        return segment._replace(first=slot, length=length, offset=segment.offset + slot - segment.first)

    def _following(self, run: Segment) -> Segment | None:
        """What to read beside: the slots behind a run, once misses are sequential (under the guard)."""
        slot = run.first + run.length
        if self._ahead < _READ_SLOTS_MAX or slot != self._next or not self._segments.has(slot):
            return None
        if slot in self._kept or slot in self._coming:
            return None
        following = self._part(slot, _READ_SLOTS_MAX)
        self._next = slot + following.length
        return following

    def _announce(self, run: Segment) -> Future[None]:
        """Mark slots as coming (under the guard)."""
        coming: Future[None] = Future()
        for slot in range(run.first, run.first + run.length):
            self._coming[slot] = coming
        return coming

    def _beside(self, run: Segment, coming: Future[None]) -> Future[None]:
        """Read a run that was announced in a thread; who needs it sees its error."""
        return self._executor().submit(self._fetch, run, coming)

    def _executor(self) -> ThreadPoolExecutor:
        with self._guard:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_READ_THREADS)
            return self._threads

    def _fetch(self, run: Segment, coming: Future[None]) -> None:
        """Read a run that was announced.  Raises RemoteDamagedError, RemoteUnavailableError."""
        try:
            data = self.read_run(run, run.first, run.length)
        except BaseException as error:
            with self._guard:
                self._arrive(run, coming)
            is_own = isinstance(error, Exception)  # an interruption is that of one thread
            coming.set_exception(error if is_own else RemoteUnavailableError(f"reading {run.name} was interrupted"))
            raise
        with self._guard:
            for at in range(run.length):
                self._kept[run.first + at] = data[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]
            while len(self._kept) > _KEPT_SLOTS:
                self._kept.popitem(last=False)
            self._arrive(run, coming)
        coming.set_result(None)

    def _arrive(self, run: Segment, coming: Future[None]) -> None:
        for slot in range(run.first, run.first + run.length):
            if self._coming.get(slot) is coming:
                del self._coming[slot]

    def read_run(self, segment: Segment, slot: int, count: int) -> memoryview:
        """The bytes of a run of slots of a segment.  Raises RemoteDamagedError, RemoteUnavailableError."""
        path = f"segment/{segment.name}"
        start = (segment.offset + slot - segment.first) * SLOT_BYTES
        data = self._repository.objects.get_range(path, start, count * SLOT_BYTES)
        if data is None or len(data) != count * SLOT_BYTES:
            problem = "is missing" if data is None else "is cut short"
            raise RemoteDamagedError(f"{self._repository.url}/{path} {problem}")
        return memoryview(data)

    def place_of(self, slot: int) -> str:
        """The object that has a slot, as errors name it."""
        return f"{self._repository.url}/segment/{self._segments.find(slot).name}"

    def segment_of(self, slot: int) -> Segment:
        """The segment that has a slot.  Raises RemoteDamagedError."""
        return self._segments.find(slot)
