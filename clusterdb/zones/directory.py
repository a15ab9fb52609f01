"""The engine of a storage node in a directory: objects, of which the entries of logs share files.

An entry of a log follows the last one in its segment (:mod:`clusterdb.zones.segment`), which takes one write and one
sync; as an object of its own it would take four syncs.  For who reads, lists and deletes them, entries are objects.

    copies/CLUSTER/FOLDER/FIRST      a segment with the entries from a position on, or one entry
    copies/CLUSTER/FOLDER/FIRST.end  the last position of that segment, created once

Invariants
    Q12  Who creates an entry in a file of its own, behind a segment of somebody else, first stops the writer of that
         one, and has its end agreed on.  Entries behind the agreed end do not count, so that nothing that is late takes
         the position of an entry that was created meanwhile.
    Q13  The newest file of a folder is deleted only with the log: where it ends is what fences a writer.  A segment
         before it whose entries were deleted is cut behind the first one, and has no others, whatever is added late.
"""

from __future__ import annotations

import os
import re
import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from clusterdb.errors import RemoteDamagedError, RemoteError
from clusterdb.remote.objects import Directory, Engine, Listed
from clusterdb.zones import segment
from clusterdb.zones.segment import ENTRY_BYTES_MAX, Record, Segment, Writer, segment_bytes
from clusterdb.zones.together import can_sync_together
from vfs.failpoints import reach
from vfs.storage.device import REMOTE_FILE_SYSTEMS, file_system_of

__all__ = ["NodeDirectory", "Staged", "node_engine"]

_FILE = re.compile(r"(\d{12})(\.end)?")
_ENTRY = re.compile(r"(copies/[^/]+/[^/]+)/(\d{12})(\.end)?")
_END = ".end"
_NO_END = 1 << 62
Files = list[tuple[int, bool]]


@dataclass(slots=True)
class Staged:
    """An entry that was written to a segment; it is created when it was synced, and :meth:`finish` returns True.

    :ivar record: the bytes that have to be synced, in the file ``writer.fd``
    :ivar give_up: to be called when the sync has failed: the segment ends before the entry
    """

    writer: Writer
    record: Record
    give_up: Callable[[], None]

    def finish(self) -> bool:
        """Count the entry, which is synced; False if somebody else continues the log.  Raises OSError."""
        return self.writer.written(self.record)


class NodeDirectory:
    """Implements :class:`clusterdb.remote.objects.Engine`.  Only one thread at a time creates entries.

    ``pool_device``: the device (``st_dev``) of the page pool: entries of a directory there can be staged.  ``chores``:
    runs what adds room to segments; None: that is done when it is needed.
    """

    knows_outcomes = True
    """An entry that can be read may be behind an end that is not agreed on yet (Q12)."""

    def __init__(self, directory: Directory, pool_device: int | None = None, chores: Executor | None = None) -> None:
        self._directory, self._pool_device, self._chores = directory, pool_device, chores
        self._folder = ""
        self._writer: Writer | None = None
        """The segment that this handle extends, in that folder."""
        self._can_stage = False
        self._segments: dict[str, Segment | None] = {}
        """What has been read of the files, by path; None: an entry of its own."""
        self._known: dict[str, Files] = {}
        """The files of folders, when they were last listed."""
        self._former: dict[str, tuple[int, dict[int, int]]] = {}
        """Of files before the newest one, by path: the size in bytes, and what :meth:`_sizes` returns."""
        self._ends: dict[str, int] = {}
        """The ends that were agreed on, by path."""
        self._deleted: dict[str, set[int]] = {}
        self._guard = threading.RLock()

    def __del__(self) -> None:
        self._end_segment()

    # --- reading ------------------------------------------------------------------------------------------------------
    def get(self, path: str) -> bytes | None:
        return self._part(path, 0, None)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        return self._part(path, start, length)

    def _part(self, path: str, start: int, length: int | None) -> bytes | None:
        """A part of an object; None for a length: all from the start on."""
        match = _ENTRY.fullmatch(path)
        if match is not None:
            folder, position = match[1], int(match[2])
            with suppress(FileNotFoundError), self._directory.translated("read", path, may_miss=True):
                first, end = self._file_of(folder, position)
                if position > end:
                    return None
                with self._opened(folder, first) as (fd, read):
                    if read is not None:
                        return read.part(fd, position, start, length)
                if position == first:
                    return self._whole(path, start, length)
            return None
        return self._whole(path, start, length)

    def _whole(self, path: str, start: int, length: int | None) -> bytes | None:
        """A part of an object that is a file."""
        if length is None:
            return self._directory.get(path)
        return self._directory.get_range(path, start, length)

    def _sizes(self, folder: str, first: int, size_bytes: int) -> dict[int, int]:
        """The positions in a file, and their shares of its size: the first one's includes what belongs to none.

        Of a damaged file, only the first position is known; but damage in the newest one raises RemoteDamagedError,
        since the log ends there.  What files before the newest one have is remembered: only a cut changes it (Q13).
        """
        path, newest = f"{folder}/{first:012}", self._known.get(folder, [(0, False)])[-1][0]
        known_bytes, known = self._former.get(path, (-1, {}))
        if known_bytes == size_bytes and first < newest:
            return known
        sizes = self._read_sizes(folder, first, size_bytes)
        if first < self._known.get(folder, [(0, False)])[-1][0]:
            self._former[path] = size_bytes, sizes
        return sizes

    def _read_sizes(self, folder: str, first: int, size_bytes: int) -> dict[int, int]:
        try:
            _, end = self._file_of(folder, first)
            with self._opened(folder, first) as (fd, read):
                if read is None:
                    return {first: size_bytes}
                sizes = {at: record.length for at, record in enumerate(read.records(fd), first) if at <= end}
        except RemoteDamagedError:
            if all(later <= first for later, _ in self._files(folder)):
                raise
            return {first: size_bytes}
        sizes[first] += size_bytes - sum(sizes.values())
        return sizes

    def _files(self, folder: str) -> Files:
        """The files of a folder, in order: the first position, and whether the end was agreed on.

        What is created while a folder is read may be missing although something later is not: so until it stays.
        """
        names, before = self._names(folder), None
        while names != before:
            names, before = self._names(folder), names
        return sorted((int(name), f"{name}{_END}" in names) for name in names if not name.endswith(_END))

    def _names(self, folder: str) -> set[str]:
        with suppress(FileNotFoundError), os.scandir(self._directory.root / folder) as entries:
            return {entry.name for entry in entries if _FILE.fullmatch(entry.name)}
        return set()

    def _file_of(self, folder: str, position: int) -> tuple[int, int]:
        """The first position of the file that may have a position, and the last that it can have (Q12).

        Raises FileNotFoundError, RemoteUnavailableError, RemoteDamagedError.
        """
        known = self._known.get(folder, [])
        if not known or position >= known[-1][0]:  # where the others end is known for ever
            known = self._known[folder] = self._files(folder)
        index = bisect_right(known, (position, True)) - 1
        if index < 0:
            raise FileNotFoundError
        first, is_ended = known[index]
        is_newest = index + 1 == len(known)
        end = _NO_END if is_newest else known[index + 1][0] - 1
        if not is_ended:
            return first, end
        try:
            return first, min(end, self._agreed_end(folder, first))
        except RemoteDamagedError:
            if is_newest:
                raise
            return first, end  # the file behind it begins there

    @contextmanager
    def _opened(self, folder: str, first: int, flags: int = os.O_RDONLY) -> Iterator[tuple[int, Segment | None]]:
        """A file, and what is known of it if it is a segment."""
        path = f"{folder}/{first:012}"
        fd = os.open(self._directory.root / path, flags | os.O_CLOEXEC)
        try:
            with self._guard:
                if path not in self._segments:
                    where = f"{self._directory.root}/{path}"
                    self._segments[path] = Segment(where, first) if Segment.is_one(fd, where) else None
                yield fd, self._segments[path]
        finally:
            os.close(fd)

    # --- creating -----------------------------------------------------------------------------------------------------
    def create(self, path: str, data: bytes) -> bool:
        match = _ENTRY.fullmatch(path)
        if match is None or match[3] is not None:
            return self._directory.create(path, data)
        folder, position = match[1], int(match[2])
        with self._directory.translated("write", path):
            staged = self._written(folder, position, data, grows=True)
            if staged is not None:
                try:
                    segment.CALLS.sync(staged.writer.fd)
                except OSError:
                    staged.give_up()
                    raise
                if staged.finish():
                    return True
            return self._begin_file(folder, position, data)

    def stage(self, path: str, data: bytes) -> Staged | None:
        """Write the next entry of the segment, and leave its sync to who commits; None: it has to be created.

        That is for directories on the device of the pool: what holds them up holds up the commit before it.  Raises
        RemoteUnavailableError.
        """
        match = _ENTRY.fullmatch(path)
        if match is None or not self._can_stage:
            return None
        with self._directory.translated("write", path):
            staged = self._written(match[1], int(match[2]), data, grows=False)
            if self._chores is not None and staged is not None and staged.writer.wants_room:
                self._chores.submit(staged.writer.grow_ahead)
            return staged

    def _written(self, folder: str, position: int, data: bytes, *, grows: bool) -> Staged | None:
        """The next entry of the segment that this handle extends, not synced; None if it is not that."""
        writer = self._writer
        if writer is None or (folder, position) != (self._folder, writer.last + 1) or len(data) > ENTRY_BYTES_MAX:
            return None
        if writer.is_broken:
            self._give_up(writer, folder)
            return None
        try:
            if not writer.has_room(len(data)) and not (grows and writer.grow(len(data))):
                return None
        except OSError:
            if writer.is_broken:
                self._give_up(writer, folder)
            raise
        try:
            return Staged(writer, writer.write(data), partial(self._give_up, writer, folder))
        except OSError:
            self._give_up(writer, folder)
            raise

    def _give_up(self, writer: Writer, folder: str) -> None:
        """End a segment behind its last entry: what was written after that may be on the device, or not.

        If that fails, who continues the log decides.
        """
        try:
            with suppress(OSError, RemoteError):
                writer.stop()
                if not writer.is_deleted:  # and perhaps its folder, which is not to be created again
                    self._agree_on(folder, writer.first, writer.last)
        finally:
            if self._writer is writer:
                self._end_segment()

    def _begin_file(self, folder: str, position: int, data: bytes) -> bool:
        """Create an entry in a file of its own, or in a new segment; False if its position is taken (Q12)."""
        own = self._writer if self._folder == folder else None
        is_next = own is not None and own.last + 1 == position and not own.is_stopped
        self._end_segment()
        if not is_next and position != self._last_position(folder) + 1:
            return False
        path = f"{folder}/{position:012}"
        extends = len(data) <= ENTRY_BYTES_MAX and self._is_local(folder)
        if not self._directory.create(path, segment_bytes(position, data) if extends else data):
            return False
        if extends:
            self._writer, self._folder = Writer(self._directory.root / path, position), folder
            device = os.fstat(self._writer.fd).st_dev
            self._can_stage = device == self._pool_device and can_sync_together(self._directory.root / folder)
        return True

    def _last_position(self, folder: str) -> int:
        """The last position of a folder, behind which nobody else creates an entry in the same file (Q12)."""
        files = self._files(folder)
        if not files:
            return 0
        first, is_ended = files[-1]
        if not is_ended:
            with self._opened(folder, first, os.O_RDWR) as (fd, read):
                if read is None:
                    return first
                last = read.stop(fd)
            self._agree_on(folder, first, last)
        return self._agreed_end(folder, first)

    def _agree_on(self, folder: str, first: int, last: int) -> None:
        """Propose the end of a segment: the first proposal counts."""
        self._directory.create(f"{folder}/{first:012}{_END}", _end_bytes(first, last))
        reach("segment: end agreed on")

    def _agreed_end(self, folder: str, first: int) -> int:
        where = f"{folder}/{first:012}{_END}"
        if where in self._ends:
            return self._ends[where]
        data = self._directory.get(where)
        if data is None:  # after its segment: another process has deleted both
            self._known.pop(folder, None)
            raise FileNotFoundError(f"'{self._directory.root / where}' was deleted meanwhile")
        text = data.split(b" ")[0]
        if not text.isdigit() or data != _end_bytes(first, int(text)):
            raise RemoteDamagedError(f"{self._directory.root / where} is damaged")
        end = self._ends[where] = int(text)
        return end

    def _is_local(self, folder: str) -> bool:
        """Whether all machines that see a folder see a stop at once."""
        path = self._directory.root / folder
        kind = file_system_of(next(there for there in (path, *path.parents) if there.is_dir()))
        return kind not in REMOTE_FILE_SYSTEMS and not kind.startswith("fuse")

    def _end_segment(self) -> None:
        """The next entry begins another one."""
        writer, self._writer = self._writer, None
        self._can_stage = False
        if writer is not None:
            writer.close()

    # --- deleting -----------------------------------------------------------------------------------------------------
    def delete(self, path: str) -> None:
        match = _ENTRY.fullmatch(path)
        if match is None:
            return self._directory.delete(path)
        folder, position = match[1], int(match[2])
        with suppress(FileNotFoundError), self._directory.translated("delete", path, may_miss=True):
            first, end = self._file_of(folder, position)
            with self._opened(folder, first, os.O_RDWR) as (fd, read):
                if read is not None:
                    return self._delete_entry(fd, read, folder, first, position, end)
            if first == position:
                self._directory.delete(path)
        return None

    def _delete_entry(self, fd: int, read: Segment, folder: str, first: int, position: int, end: int) -> None:
        """Note that an entry is not needed; the space of a segment is freed when none is, or none but its first."""
        path = f"{folder}/{first:012}"
        records = read.records(fd)
        deleted = self._deleted.setdefault(path, set())
        deleted.add(position)
        left = set(range(first, min(first + len(records) - 1, end) + 1)) - deleted
        if not left:
            self._directory.delete(path)
            self._directory.delete(path + _END)
        elif left == {first} and self._files(folder)[-1][0] != first:  # Q13
            read.cut(fd)

    # --- objects of their own -----------------------------------------------------------------------------------------
    def put(self, path: str, data: bytes) -> None:
        self._directory.put(path, data)

    def settle(self, path: str) -> None:
        self._directory.settle(path)

    def list(self, prefix: str) -> Iterator[Listed]:
        for listed in self._directory.list(prefix):
            match = _ENTRY.fullmatch(listed.path)
            if match is None:
                yield listed
            elif match[3] is None:
                with suppress(FileNotFoundError), self._directory.translated("list", prefix, may_miss=True):
                    sizes = self._sizes(match[1], int(match[2]), listed.size_bytes)
                    for position, size in sizes.items():
                        yield Listed(f"{match[1]}/{position:012}", size, listed.changed_at)


def _end_bytes(first: int, last: int) -> bytes:
    """What agrees on the end of the segment that begins at a position."""
    return b"%d %08x\n" % (last, zlib.crc32(b"%d %d" % (first, last)))


def node_engine(engine: Engine, pool_device: int | None, chores: Executor) -> Engine:
    """The engine of a storage node: a directory keeps its logs in segments."""
    return NodeDirectory(engine, pool_device, chores) if isinstance(engine, Directory) else engine
