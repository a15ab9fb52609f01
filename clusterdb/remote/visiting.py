"""A repository as a store that is open read-only: lazy clones of its databases, in a temporary store.

The clones begin with one state of the repository, which a pin keeps while the store is open: it lasts a day, is renewed
at half of that, and is deleted at the end.  Without the permission to write, the state stays for as long as
``remote gc --keep`` lets it.

The temporary store belongs to one process.  What a killed one leaves is deleted by the next that opens a repository,
since the lock of its folder has ended with it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from time import time_ns

from clusterdb.core.context import Context
from clusterdb.errors import Error, RemoteNotFoundError
from clusterdb.remote.absent import AbsentPages
from clusterdb.remote.fetching import Progress, clone_remote
from clusterdb.remote.manifest import Manifest
from clusterdb.remote.objects import open_objects
from clusterdb.remote.places import note_place
from clusterdb.remote.repository import Repository, Slots
from clusterdb.remote.states import require_ref, split_url, state_at
from clusterdb.rules.points import Point
from vfs.storage.device import file_system_of
from vfs.storage.pool import Pool

__all__ = ["Visit", "visit_database", "visit_repository"]

_PREFIX = "clusterdb-visit-"
_LOCK = "in-use"
_PIN_LIFE_NS = 86_400 * 10**9


class Visit:
    """The visit of a repository, or of one database of it.  End it when the store is closed."""

    def __init__(self, url: str, repository: Repository, manifest: Manifest, names: list[str]) -> None:
        self.url = url
        self._folder, lock = _new_folder()
        self.directory = self._folder / "store"
        self._repository, self._manifest, self._names = repository, manifest, names
        self._pin = _Pin(repository, manifest.number)
        self._pinning = Thread(target=self._pin.renew)
        self._pinning.start()  # while the store is created
        self._end = weakref.finalize(self, _end, os.getpid(), self._folder, lock, self._pinning, self._pin)

    def fill(self, context: Context, progress: Progress | None = None) -> None:
        """Clone the databases into the store at ``directory``, which nobody can change afterwards.

        Raises RemoteDamagedError, RemoteUnavailableError; RemoteNotFoundError if the state expires meanwhile.
        """
        note_place(context, self._repository, self._manifest)
        pages = context.pages
        if pages.may_have_holes and pages.directory is not None:
            pages.residence = _PinnedPages(pages, pages.directory, self._slots, self._pin)
        for name in self._names:
            clone_remote(context, self._repository, self._manifest, name, name, {}, progress, "copy-on-write")
        self._pinning.join()
        self._pin.require()
        context.freeze(self.url)

    def _slots(self, place: int) -> Slots:
        return Slots(self._repository, self._manifest)

    def end(self) -> None:
        """Delete the temporary store and the pin."""
        self._end()


def visit_repository(url: str) -> Visit:
    """Visit all databases of the repository at a URL.  Raises RemoteNotFoundError, RemoteError and its subclasses."""
    repository = Repository(open_objects(url))
    manifest = repository.require_newest()
    return Visit(url, repository, manifest, sorted(manifest.refs))


def visit_database(url: str, at: Point | None) -> tuple[Visit, str]:
    """Visit a database, now or at a point; the second value is its name.

    Raises RemoteNotFoundError, InvalidRestoreTimeError, RemoteError and its subclasses.
    """
    place, name = split_url(url)
    repository = Repository(open_objects(place))
    manifest = state_at(repository, name, at)
    require_ref(repository, manifest, name)
    return Visit(place, repository, manifest, [name]), name


# --- the pin ----------------------------------------------------------------------------------------------------------
class _Pin:
    """A pin that lasts while it is renewed, by another: one that has expired may be about to be deleted."""

    def __init__(self, repository: Repository, number: int) -> None:
        self._repository, self._number = repository, number
        self._names: list[str] = []
        self._until_ns = 0
        self._is_late = False

    def renew(self) -> None:
        """Renew the pin if half of its life is over.  An error is ignored: there may be no permission to write."""
        now_ns = time_ns()
        if now_ns > self._until_ns - _PIN_LIFE_NS // 2:
            self._until_ns = now_ns + _PIN_LIFE_NS
            self._names.append(secrets.token_hex(8))
            with suppress(Error):
                self._repository.pin(self._names[-1], self._number, self._until_ns)
                self._is_late |= len(self._names) == 1 and self._repository.may_expire(self._number)

    def require(self) -> None:
        """Check that the state had not begun to expire when it was pinned.  Raises RemoteNotFoundError."""
        if self._is_late:
            raise RemoteNotFoundError(f"state {self._number} of {self._repository.url} has expired: try again")

    def remove(self) -> None:
        """Delete the pin; what cannot be deleted expires."""
        with suppress(Error):
            for name in self._names:
                self._repository.unpin(name)


class _PinnedPages(AbsentPages):
    """The absent pages of a state that is pinned while they are read."""

    def __init__(self, pool: Pool, directory: Path, slots_of: Callable[[int], Slots], pin: _Pin) -> None:
        super().__init__(pool, directory, slots_of)
        self._pin = pin

    def read_by(self, place: int, slots: Slots) -> None:
        slots.before_read = self._pin.renew
        super().read_by(place, slots)


# --- the temporary store ----------------------------------------------------------------------------------------------
def _new_folder() -> tuple[Path, int]:
    """A new folder and the descriptor of its lock; on a file system with holes, if there is one for temporary files."""
    parents = [Path(tempfile.gettempdir()), Path("/var/tmp")]
    usable = [parent for parent in parents if os.access(parent, os.W_OK)]
    parent = next((one for one in usable if file_system_of(one) not in ("tmpfs", "ramfs")), parents[0])
    _delete_left_behind(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)  # before it was locked, another process took it for one that was left behind


def _delete_left_behind(parent: Path) -> None:
    """Delete the folders of processes that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(fd)


def _end(pid: int, folder: Path, lock: int, pinning: Thread, pin: _Pin) -> None:
    if os.getpid() == pid:  # not in a fork
        pinning.join()
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        pin.remove()
