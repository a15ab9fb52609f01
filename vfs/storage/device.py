"""Operating system calls for pool I/O and locks: the only module below SQL that issues them.

All writes and syncs use the table :data:`CALLS`, so that a recorder or a fault injector can replace it, and so that it
lists exactly the calls that another data plane has to provide.

Locks are open-file-description locks (``fcntl(2)``): they belong to an open file, not to a process, so two handles of
one process exclude each other, and the kernel releases them with the last descriptor of a dead owner.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import io
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from vfs.errors import PoolFullError, RegistryBusyError
from vfs.holds import Hold, begin_busy, busy_marks, end_busy
from vfs.interrupts import deliver

__all__ = [
    "CALLS",
    "Calls",
    "LockFile",
    "Mapping",
    "boot_id",
    "comes_true",
    "REMOTE_FILE_SYSTEMS",
    "file_system_of",
    "is_read_only",
    "open_again",
    "punch_hole",
    "raise_if_full",
    "sync",
    "wait_until",
    "write_at",
]

LOCK_PATIENCE_S = 60
"""The timeout for a lock that is usually held for microseconds (while a store is opened: for the time of a rebuild)."""

REMOTE_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "virtiofs"}
)
"""Those that several machines mount; locks, and what one machine writes, may be seen late there."""

Buffer = bytes | bytearray | memoryview

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate64 if hasattr(_libc, "fallocate64") else _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_mmap = _libc.mmap64 if hasattr(_libc, "mmap64") else _libc.mmap
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_mmap.restype = ctypes.c_void_p
_MAP_FIXED = 0x10
_PUNCH_KEEP_SIZE = 0x02 | 0x01
_IOV_MAX = 1024


def _punch(fd: int, offset: int, length: int) -> None:
    if _fallocate(fd, _PUNCH_KEEP_SIZE, offset, length):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _rename(folder: int, former: str, name: str) -> None:
    os.rename(former, name, src_dir_fd=folder, dst_dir_fd=folder)


_SYSTEM_CLOCKS = (time.time_ns, time.clock_gettime_ns)


@dataclass(slots=True)
class Calls:
    """The I/O calls that change a store and the clocks that date it, with the signatures of :mod:`os` and :mod:`time`.

    Watchers are called when a call is replaced, or restored.
    """

    pwritev: Callable[[int, Sequence[Buffer], int], int] = os.pwritev
    fdatasync: Callable[[int], None] = os.fdatasync
    ftruncate: Callable[[int, int], None] = os.ftruncate
    allocate: Callable[[int, int, int], None] = os.posix_fallocate
    punch: Callable[[int, int, int], None] = _punch
    rename: Callable[[int, str, str], None] = _rename
    time_ns: Callable[[], int] = time.time_ns
    clock_gettime_ns: Callable[[int], int] = time.clock_gettime_ns

    watchers: ClassVar[list[Callable[[], None]]] = []

    def __setattr__(self, name: str, call: Callable[..., object]) -> None:
        object.__setattr__(self, name, call)
        for watcher in self.watchers:
            watcher()

    def are_replaced(self) -> bool:
        """Whether writes or syncs are replaced."""
        return self.pwritev is not os.pwritev or self.fdatasync is not os.fdatasync

    def clocks_are_replaced(self) -> bool:
        """Whether a clock is replaced."""
        return (self.time_ns, self.clock_gettime_ns) != _SYSTEM_CLOCKS

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` now, and whenever a call is replaced: for code that does not use this table itself."""
        self.watchers.append(watcher)
        watcher()


CALLS = Calls()


def write_at(fd: int, buffers: Sequence[Buffer], offset: int) -> None:
    """Write all buffers consecutively from ``offset``.

    Raises PoolFullError when the device is full (ENOSPC, EDQUOT), OSError for any other failure.
    """
    while len(buffers) > _IOV_MAX:
        write_at(fd, buffers[:_IOV_MAX], offset)
        offset += sum(map(len, buffers[:_IOV_MAX]))
        buffers = buffers[_IOV_MAX:]
    try:
        written = CALLS.pwritev(fd, buffers, offset)
        if written != sum(map(len, buffers)):
            _write_rest(fd, b"".join(buffers), offset, written)
    except OSError as error:
        raise_if_full(error)
        raise


def raise_if_full(error: OSError) -> None:
    """Raise PoolFullError for an error that says that the device is full."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise PoolFullError(f"no space left on the device of the page pool: {error.strerror}") from error


def _write_rest(fd: int, data: bytes, offset: int, written: int) -> None:
    """Continue after a short write, so that its cause is reported as an errno."""
    while written < len(data):
        more = CALLS.pwritev(fd, [memoryview(data)[written:]], offset + written)
        if more <= 0:
            raise OSError(errno.EIO, "a write to the pool made no progress")
        written += more


def sync(fd: int) -> None:
    """Call fdatasync.  A failure is final: the kernel may have dropped the dirty pages (see fsync(2))."""
    CALLS.fdatasync(fd)


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Return the blocks of a range to the file system; the range reads as zeros from now on."""
    CALLS.punch(fd, offset, length)


def boot_id() -> bytes:
    """16 bytes that change with every boot of the kernel."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


def file_system_of(path: Path) -> str:
    """The type of the file system that contains a path, as the kernel names it (``proc(5)``, mountinfo)."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            if mount.split()[2] == wanted:
                return source.split()[0]
    return "unknown"


def is_read_only(path: Path) -> bool:
    """Whether the file system that contains a path is mounted read-only."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def open_again(fd: int) -> int:
    """Open the file of ``fd`` again (also an anonymous one), with a new open file description."""
    return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)


class Mapping:
    """A shared mapping of a whole file, renewed as the file grows.

    Views of a former mapping stay valid while they are referenced: growing only ever adds pages.
    """

    def __init__(self, fd: int, *, writable: bool) -> None:
        self.fd = fd
        self._guard = threading.Lock()
        self._protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self.mmap: mmap.mmap
        self.bytes: memoryview
        self.size = 0
        self.renew()

    def renew(self) -> None:
        """Map the file at its present size."""
        with self._guard:
            while (size := os.fstat(self.fd).st_size) != self.size:
                try:
                    self.mmap = mmap.mmap(self.fd, size, mmap.MAP_SHARED, self._protection)
                except ValueError:  # it was shortened since fstat
                    continue
                self.bytes = memoryview(self.mmap)
                self.size = size

    def make_private(self) -> None:
        """Map a private copy in the same place: what is stored through the views stays in this process from now on.

        Raises OSError.
        """
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        flags = mmap.MAP_PRIVATE | _MAP_FIXED
        if _mmap(address, self.size, self._protection, flags, self.fd, 0) != address:
            code = ctypes.get_errno()
            raise OSError(code, f"mapping a file again failed: {os.strerror(code)}")

    def close(self) -> None:
        """Unmap the file, or leave that to the last view that is still in use."""
        with self._guard, suppress(BufferError):
            self.bytes.release()
            self.mmap.close()


_FLOCK = struct.Struct("hhqqi4x")
_REMEMBERED_MAX = 256
"""The bytes of a lock file whose system calls an owner has at hand."""


def wait_until(taken: Callable[[], bool], offset: int) -> None:
    """Call ``taken``, which tries to take the lock of that offset, until it returns true.

    Raises RegistryBusyError after LOCK_PATIENCE_S.
    """
    if not comes_true(taken, LOCK_PATIENCE_S):
        raise RegistryBusyError(
            f"another process has held a lock of the store for {LOCK_PATIENCE_S} s (byte {offset} of its file "
            "'locks'): if it is stopped, resume or kill it"
        )


def comes_true(test: Callable[[], bool], patience_s: float) -> bool:
    """Whether ``test``, which is called again and again, returns true within that time."""
    if test():
        return True
    deadline = time.monotonic() + patience_s
    pause = 20e-6
    while not test():
        deliver()
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.005)
    return True


class PlainLock:
    """A byte of a lock file, locked during a body in which signal handlers are deferred: faster than a hold.

    ``__enter__`` raises RegistryBusyError, as :meth:`LockFile.lock` does.
    """

    __slots__ = ("_file", "_lock", "_offset", "_unlock")

    def __init__(self, file: LockFile, offset: int) -> None:
        self._file, self._offset = file, offset
        self._lock, self._unlock = file.locker(offset), file.unlocker(offset)

    def __enter__(self) -> None:
        begin_busy(self)
        try:
            try:
                self._lock()
            except OSError:  # another owner has it, most likely
                wait_until(partial(self._file.keep, self._offset), self._offset)
        except BaseException:
            end_busy(self)
            raise

    def __exit__(self, *_error: object) -> None:
        try:
            self._unlock()
        finally:
            end_busy(self)


class LockFile:
    """An open file description on the lock file: the owner of the locks taken through it.

    Every lock except those of :meth:`keep` is a :class:`~vfs.holds.Hold`; a description takes no lock twice.
    """

    def __init__(self, fd: int) -> None:
        """``fd`` is closed with this object, which releases all its locks."""
        self._file = io.FileIO(fd, "r")  # an operation after close() fails instead of reaching another file
        self._unlockers: dict[int, Callable[[], object]] = {}
        self._exclusive: dict[int, bytes] = {}
        self.fd = fd

    def unlocker(self, offset: int) -> Callable[[], object]:
        """A C function that unlocks the byte, harmless if it is not held; raises ValueError after :meth:`close`."""
        unlocker = self._unlockers.get(offset)
        if unlocker is None:
            if len(self._unlockers) >= _REMEMBERED_MAX:
                self._unlockers.clear()
                self._exclusive.clear()
            unlock = _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, offset, 1, 0)
            unlocker = self._unlockers[offset] = partial(fcntl.fcntl, self._file, fcntl.F_OFD_SETLK, unlock)
        return unlocker

    def locker(self, offset: int) -> Callable[[], object]:
        """A C function that locks the byte; raises OSError if another owner has it, ValueError after :meth:`close`."""
        lock = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        return partial(fcntl.fcntl, self._file, fcntl.F_OFD_SETLK, lock)

    def try_lock(self, offset: int, *undo: Callable[[], object], shared: bool = False) -> Hold | None:
        """Lock the byte; None if another owner holds it.  ``undo`` is called before it is unlocked."""
        hold: Hold | None = None
        try:
            hold = Hold(*undo, self.unlocker(offset))
            return hold if self._try(offset, shared=shared) else None
        except BaseException:
            if hold is not None:
                hold.close()
            raise

    def keep(self, offset: int, *, shared: bool = False) -> bool:
        """Lock the byte for as long as the description is open; False if another owner holds it."""
        return self._try(offset, shared=shared)

    def _try(self, offset: int, *, shared: bool) -> bool:
        lock = self._exclusive.get(offset)
        if shared:
            lock = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, offset, 1, 0)
        elif lock is None:
            lock = self._exclusive[offset] = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        try:
            fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, lock)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise OSError(error.errno, f"locking failed: {error.strerror}") from error
        return True

    def lock(self, offset: int, *undo: Callable[[], object], shared: bool = False) -> Hold:
        """Lock the byte, waiting while another owner holds it.

        These locks are held for very short times: raises RegistryBusyError after LOCK_PATIENCE_S, when the owner must
        be stopped.
        """
        marks, mark = busy_marks(), object()
        hold: Hold | None = None
        try:
            hold = Hold(*undo, self.unlocker(offset), partial(marks.discard, mark))
            marks.add(mark)
            wait_until(partial(self._try, offset, shared=shared), offset)
            return hold
        except BaseException:
            if hold is not None:
                hold.close()
            raise

    def is_held_by_other(self, offset: int) -> bool:
        """Whether another open file description holds the byte."""
        answer = fcntl.fcntl(self.fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0))
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """Close the description, which releases all its locks."""
        self._file.close()
        self.fd = -1
