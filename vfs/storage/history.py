"""The version records of volumes with a retained past: for point-in-time clones, backtrack, and readers that lag.

A volume with a retained past has a file of version records, one for every version from the *oldest retained* on, at an
offset computed from the version: a version is found with one read, and a time with a binary search.  The versions from
the oldest retained to the head are pinned together: no slot that is superseded in a version after the oldest retained
one is freed until the oldest retained version advances.

Invariants
    H1  A record is written before the head moves to its version.  Records newer than the head do not count: a writer
        that finds one left by a dead writer (V2 of writer.py), or recovery, erases it durably before that version is
        written again.
    H2  The oldest retained version moves in the catalog, durably, before slots that only older versions reached are
        freed.  Until then those slots are kept (R8 of queue.py), and readers' pins are read after the word has moved.
    H3  A reader that pins a past version checks afterwards that the version is still retained (as S1 of sessions.py).
    H4  The file is not synced with a commit: a power failure may lose the newest records.  Their versions can then not
        be read or restored, except the newest, whose record recovery rewrites; slots that only they reached are free.
        The same holds for a version that was not durable and whose slots did not all reach the device, although those
        of a later version did: recovery wipes its record, also from the head's sectors.
    H5  The file of a volume is made, with the record of its base, when a version after the base is about to be
        published, or another base to be named (A3 of absorb.py): the catalog has the volume already, and its number is
        never reused.  The process that has removed a volume keeps its file, if that is small, as a spare, renames it
        for another volume, and writes to it then: the records that are left in it name the removed one, so they do not
        count.  Other files of removed volumes (their process died, or the power failed, before they were removed) are
        removed by recovery and by sweeps, in a catalog transaction of their own; so may be a spare of another process.
    H6  The word ``retained`` of the volume table is set before the catalog retains the past, and cleared after the
        catalog stops: a writer never frees slots that the catalog retains.  If a process dies in between, more is kept
        than necessary, until the next process that opens the store reconciles the two
        (vfs.reclaim.retention.agree_on_past).
    H7  A record states how many slots the volume had written by its version, so the size of the past is a subtraction
        (vfs.reclaim.retention.past_slots).  It only serves to bound the past: a wrong number expires more or fewer
        versions, and frees nothing that is needed.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from vfs.format.layout import (
    HISTORY_RECORD_BYTES,
    VERSION_RECORD_BYTES,
    Version,
    pack_history,
    unpack_version,
    unpack_written,
)
from vfs.registry import VolumeRow
from vfs.storage.device import CALLS, raise_if_full, sync, write_at

__all__ = ["History"]

_READ_AHEAD = 256
"""The records that are read at once."""
_OPEN_MIN = 64
"""How many files are open before those of volumes that other processes have removed are looked for."""
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW
_SPARES = 2
_SPARE_BYTES = 64 << 10
"""How many spare files a process keeps, and of which size: making a file costs as much as a sync of the device."""


def _write(fd: int, version: Version, written: int) -> None:
    write_at(fd, [pack_history(version, written)], version.version * HISTORY_RECORD_BYTES)


def _counting(data: bytes, volume: int, version: int) -> Version | None:
    """The record of a version in its place; None if that has none, or what another volume has left (H5)."""
    record = unpack_version(data[:VERSION_RECORD_BYTES])
    return record if record is not None and (record.volume, record.version) == (volume, version) else None


def _place(fd: int, version: int) -> bytes:
    return os.pread(fd, HISTORY_RECORD_BYTES, version * HISTORY_RECORD_BYTES)


class History:
    """The history files of one store, opened by one process."""

    def __init__(
        self,
        directory: Path | None,
        *,
        is_durable: bool,
        read_only: bool,
        has_volume: Callable[[int], bool] = lambda _: True,
    ) -> None:
        """``has_volume``: whether the catalog has a volume; it is asked without a lock."""
        self._directory = directory
        self._has_volume = has_volume
        self._open_max = _OPEN_MIN
        self._is_durable = is_durable
        self._read_only = read_only
        self._files: dict[int, int] = {}
        self._begun: set[int] = set()
        """The volumes whose files have the record of the base, if that is retained."""
        self._spares: list[tuple[int, int]] = []
        """The removed volumes whose files are kept for others, and the descriptors of these files (H5)."""
        self._folder_fd = -1
        self._guard = threading.Lock()

    def _folder(self, *, create: bool) -> int | None:
        """A descriptor of the directory of the files, never reached through a link; None if it does not exist."""
        assert self._directory is not None
        if self._folder_fd < 0:
            path = self._directory / "history"
            if create:
                path.mkdir(mode=0o700, exist_ok=True)
            try:
                self._folder_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        return self._folder_fd

    def file(self, row: VolumeRow) -> int:
        """The descriptor of the file of a volume, which is made if it does not exist.

        The first time, the record of the base is written, if that is retained and does not have one: the file is new,
        or its maker died, or a power failure took the record.  Raises PoolFullError, OSError.
        """
        with self._guard:
            fd = self._open(row.volume)
            is_new = fd is None
            if fd is None:
                fd = self._files[row.volume] = self._make(row.volume)
            if row.volume not in self._begun:
                base = row.base.version
                if 0 < row.retained <= base and (is_new or _counting(_place(fd, base), row.volume, base) is None):
                    _write(fd, row.base._replace(volume=row.volume), 0)
                self._begun.add(row.volume)
        if len(self._files) > self._open_max:
            self._close_removed()
        return fd

    def _close_removed(self) -> None:
        """Close the files of volumes that other processes have removed: a long-lived process would run out of files.

        Nobody publishes to such a volume, so nobody writes to its file.
        """
        with self._guard:
            volumes = list(self._files)
        removed = [volume for volume in volumes if not self._has_volume(volume)]
        with self._guard:
            for volume in removed:
                fd = self._files.pop(volume, None)
                self._begun.discard(volume)
                if fd is not None:
                    os.close(fd)
            self._open_max = max(_OPEN_MIN, 2 * len(self._files))

    def secure_base(self, row: VolumeRow) -> None:
        """Have the record of the base, if that is retained, on the device.  Raises PoolFullError, OSError."""
        if 0 < row.retained <= row.base.version:
            fd = self.file(row)
            if self._is_durable:
                sync(fd)
                sync(self._folder_fd)  # which has its name

    def _existing(self, volume: int) -> int | None:
        """The descriptor of the file of a volume, or None: nothing is made to be read."""
        with self._guard:
            return self._open(volume)

    def _open(self, volume: int) -> int | None:
        fd = self._files.get(volume)
        folder = self._folder(create=False) if fd is None and self._directory is not None else None
        if folder is not None:
            access = os.O_RDONLY if self._read_only else os.O_RDWR
            with suppress(FileNotFoundError):
                fd = self._files[volume] = os.open(str(volume), access | _OPEN_FLAGS, dir_fd=folder)
        return fd

    def _make(self, volume: int) -> int:
        if self._directory is None:
            return os.memfd_create(f"clusterdb-history-{volume}", os.MFD_CLOEXEC)
        try:
            folder = self._folder(create=True)
            assert folder is not None
            fd = self._renamed_spare(folder, volume)
            return (
                fd
                if fd is not None
                else os.open(str(volume), os.O_RDWR | os.O_CREAT | _OPEN_FLAGS, 0o600, dir_fd=folder)
            )
        except OSError as error:
            raise_if_full(error)
            raise

    def _renamed_spare(self, folder: int, volume: int) -> int | None:
        """The descriptor of a spare, if there is one, which is given to a volume.

        It is not written to before it has the name of that volume: its own may have been removed.
        """
        while self._spares:
            former, fd = self._spares[-1]
            try:
                CALLS.rename(folder, str(former), str(volume))
            except FileNotFoundError:  # a sweep has removed it
                self._spares.pop()
                os.close(fd)
            else:
                self._spares.pop()
                return fd
        return None

    def open_files(self) -> list[int]:
        """The descriptors of the files that are open."""
        with self._guard:
            return list(self._files.values())

    # --- records ----------------------------------------------------------------------------------------------------
    def append(self, row: VolumeRow, version: Version, written: int) -> None:
        """Write the record of a version that is about to be published (H1).

        ``written``: the slots that the volume has written, this version included.  Raises PoolFullError, OSError.
        """
        _write(self.file(row), version, written)

    def _stretches(self, fd: int, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of the versions ``first`` to ``last`` that can have records: without the holes of the file.

        A damaged number could otherwise lead to as many steps.
        """
        at = first * HISTORY_RECORD_BYTES
        end = min((last + 1) * HISTORY_RECORD_BYTES, os.fstat(fd).st_size)
        while at < end:
            try:
                at = max(at, os.lseek(fd, at, os.SEEK_DATA))
            except OSError as error:
                if error.errno == errno.ENXIO:  # there is no data behind
                    return
                raise
            hole = min(end, os.lseek(fd, at, os.SEEK_HOLE)) if at < end else end
            if at < hole:
                yield at // HISTORY_RECORD_BYTES, -(-hole // HISTORY_RECORD_BYTES) - 1
            at = hole

    def find(self, volume: int, version: int) -> Version | None:
        """The record of a version; None if the file does not have it."""
        return next(self.between(volume, version, version), None)

    def between(self, volume: int, first: int, last: int) -> Iterator[Version]:
        """The existing records of the versions ``first`` to ``last``, ascending."""
        fd = self._existing(volume)
        if fd is None:
            return
        for begin, end in self._stretches(fd, first, last):
            for start in range(begin, end + 1, _READ_AHEAD):
                count = min(end + 1 - start, _READ_AHEAD)
                data = os.pread(fd, count * HISTORY_RECORD_BYTES, start * HISTORY_RECORD_BYTES)
                for index in range(count):
                    at = index * HISTORY_RECORD_BYTES
                    record = _counting(data[at : at + VERSION_RECORD_BYTES], volume, start + index)
                    if record is not None:
                        yield record

    def written(self, volume: int, first: int, last: int) -> int | None:
        """The slots written by the first of the versions ``first`` to ``last`` whose record states it (H7)."""
        fd = self._existing(volume)
        if fd is None:
            return None
        for begin, end in self._stretches(fd, first, last):
            for version in range(begin, end + 1):
                data = _place(fd, version)
                written = unpack_written(data)
                if written is not None and _counting(data, volume, version) is not None:
                    return written
        return None

    def newest_at(self, volume: int, time_ns: int, first: int, last: int) -> Version | None:
        """The newest version of ``first`` to ``last`` that was published at or before a time."""
        best: Version | None = None
        while first <= last:
            middle = (first + last) // 2
            record = self.find(volume, middle)
            if record is None:  # lost: the next one
                record = next(self.between(volume, middle + 1, last), None)
            if record is None or record.time_ns > time_ns:
                last = middle - 1
            else:
                best, first = record, record.version + 1
        return best

    # --- forgetting -------------------------------------------------------------------------------------------------
    def erase_after(self, volume: int, version: int) -> None:
        """Erase the records of later versions, on the device too (H1).  Raises OSError."""
        fd = self._existing(volume)
        end = (version + 1) * HISTORY_RECORD_BYTES
        if fd is not None and os.fstat(fd).st_size > end:
            CALLS.ftruncate(fd, end)
            if self._is_durable:
                sync(fd)

    def erase(self, volume: int, version: int) -> None:
        """Erase one record, on the device too (H1): another power failure must not restore it.  Raises OSError."""
        fd = self._existing(volume)
        if fd is None:
            return
        write_at(fd, [bytes(HISTORY_RECORD_BYTES)], version * HISTORY_RECORD_BYTES)
        if self._is_durable:
            sync(fd)

    def forget_before(self, volume: int, version: int) -> None:
        """Return the space of the records of older versions to the file system."""
        end = version * HISTORY_RECORD_BYTES // 4096 * 4096
        fd = self._existing(volume)
        if fd is not None and end and not self._read_only:
            CALLS.punch(fd, 0, end)

    def remove(self, volume: int, *, may_keep: bool = True) -> None:
        """Remove the file of a removed volume, or keep it as a spare, if it was this process that removed it (H5)."""
        with self._guard:
            fd = self._files.pop(volume, None)
            self._begun.discard(volume)
            if may_keep and fd is not None and self._is_spare(fd):
                self._spares.append((volume, fd))
                return
            if fd is not None:
                os.close(fd)
            self._unlink(volume)

    def _is_spare(self, fd: int) -> bool:
        has_name = self._directory is not None and not self._read_only
        return has_name and len(self._spares) < _SPARES and os.fstat(fd).st_blocks * 512 <= _SPARE_BYTES

    def _unlink(self, volume: int) -> None:
        if self._directory is None or self._read_only:
            return
        folder = self._folder(create=False)
        if folder is not None:
            with suppress(FileNotFoundError):
                os.unlink(str(volume), dir_fd=folder)

    def volumes(self) -> list[int]:
        """The volumes that have a file, spares of this process aside."""
        if self._directory is None:
            return list(self._files)
        with self._guard:
            folder = self._folder(create=False)
            if folder is None:
                return []
            with os.scandir(folder) as entries:
                volumes = {int(entry.name) for entry in entries if entry.name.isdecimal()}
            return list(volumes.difference(volume for volume, _ in self._spares))

    def close(self) -> None:
        """Close the files, and remove the spares."""
        with self._guard:
            while self._spares:
                volume, fd = self._spares.pop()
                os.close(fd)
                self._unlink(volume)
            for fd in self._files.values():
                os.close(fd)
            self._files = {}
            if self._folder_fd >= 0:
                os.close(self._folder_fd)
                self._folder_fd = -1
