"""One sync of a device for what was written to several of its files.

``sync_file_range(2)`` writes the dirty pages of a range to the device and waits, but neither writes metadata nor
flushes the device's own cache.  Where bytes are written over blocks that are on the device, there is no metadata to
write; and the flush of one ``fdatasync(2)`` after that covers what the device was given before it.  This holds for a
file system that writes over blocks in place, shares none between files, and whose fdatasync always flushes: ext4.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clusterdb.zones.segment import Record
from vfs.storage.device import file_system_of

__all__ = ["CALLS", "can_sync_together", "sync_together"]

_FILE_SYSTEMS = frozenset({"ext4"})
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def _write_range(fd: int, record: Record, flags: int) -> None:
    assert _sync_file_range is not None
    if _sync_file_range(fd, record.offset, record.length, flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@dataclass(slots=True)
class Calls:
    """The calls of a sync, so that a recorder or a fault injector can replace them."""

    write_range: Callable[[int, Record, int], None] = _write_range
    flush: Callable[[int], None] = os.fdatasync


CALLS = Calls()


def can_sync_together(directory: Path) -> bool:
    """Whether files below a directory can be synced together with others of their device."""
    return _sync_file_range is not None and file_system_of(directory) in _FILE_SYSTEMS


def sync_together(ranges: Sequence[tuple[int, Record]]) -> list[OSError | None]:
    """Put ranges of files of one device on it, which were written over blocks there: for each one, its error."""
    if not ranges:
        return []
    errors = [_error_of(CALLS.write_range, fd, record, _WRITE) for fd, record in ranges]
    for index, (fd, record) in enumerate(ranges):
        waited = _error_of(CALLS.write_range, fd, record, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
        errors[index] = errors[index] or waited
    whole = [fd for (fd, _), error in zip(ranges, errors, strict=True) if error is None]
    flushed = _error_of(CALLS.flush, whole[0]) if whole else None  # when all are written
    return [error or flushed for error in errors]  # after a flush that failed, the device may have dropped anything


def _error_of(call: Callable[..., None], *arguments: object) -> OSError | None:
    try:
        call(*arguments)
    except OSError as error:
        return error
    return None
