"""A recorder of everything that is written to a store's durable files, and the images a power loss could leave of it.

The pool and the histories are recorded at the table of I/O calls (``vfs.storage.device.CALLS``), the catalog by a VFS
under its SQLite connection.
"""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import apsw

from vfs.storage import device

SECTOR = 512
Kind = Literal["write", "size", "sync", "delete", "rename", "mark", "death", "sweep"]
MARKS = ("mark", "death", "sweep")


@dataclass(frozen=True, slots=True)
class Event:
    """One call: bytes written at an offset, a new size, a sync, a deletion, a former name; or a mark of the scenario's.

    Marks are of no file: how far the scenario has come, that a process died, that a sweep moved on.
    """

    file: str
    kind: Kind
    at: int = 0
    data: bytes = b""


class Log(Protocol):
    """Where events go, in the order in which they happen; a list is one."""

    def append(self, event: Event, /) -> None: ...


class SharedLog:
    """A log that several processes write, one at a time."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def append(self, event: Event, /) -> None:
        """Write the event behind those of all processes."""
        data = pickle.dumps(event)
        os.write(self._fd, len(data).to_bytes(8, "little") + data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def read_log(path: Path) -> list[Event]:
    """The events of a :class:`SharedLog`."""
    data, events, at = path.read_bytes(), [], 0
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 8], "little")
        events.append(pickle.loads(data[at + 8 : end]))
        at = end
    return events


@dataclass
class Recorder:
    """The log of one scenario on one store directory; ``gate`` is called before every call that is recorded."""

    directory: Path
    events: Any = field(default_factory=list[Event])  # a Log
    gate: Callable[[], None] = lambda: None

    def mark(self, number: int) -> None:
        """The scenario has come so far."""
        self.events.append(Event("", "mark", number))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record everything in the body."""
        calls, names = device.CALLS, _Names(self.directory)
        recorded = _recorded_calls(calls, names, self.events, self.gate)
        vfs = _CatalogVFS(self.directory, self.events, self.gate)
        device.CALLS.__init__(*(getattr(recorded, name) for name in calls.__slots__))  # type: ignore[misc]
        try:
            yield
        finally:
            device.CALLS.__init__()  # type: ignore[misc]
            vfs.unregister()


class _Names:
    """Descriptor -> name of a file of the store."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, fd: int) -> str | None:
        path, directory = Path(f"/proc/self/fd/{fd}").readlink(), self._directory.resolve()
        if path.parent == directory / "history":
            return f"history/{path.name}"
        return path.name if path.parent == directory else None

    def recorded(self, fd: int) -> str | None:
        """The name, if what is done to the file is recorded here (the catalog has a recorder of its own)."""
        name = self.of(fd)
        is_recorded = name in ("pool", "remote") or (name or "").startswith("history/")
        return name if is_recorded else None


def _recorded_calls(calls: device.Calls, names: _Names, events: Log, gate: Callable[[], None]) -> device.Calls:
    def pwritev(fd: int, buffers: Any, offset: int) -> int:
        if name := names.recorded(fd):
            gate()
            events.append(Event(name, "write", offset, b"".join(buffers)))
        return os.pwritev(fd, buffers, offset)

    def fdatasync(fd: int) -> None:
        if name := names.recorded(fd):
            gate()
        os.fdatasync(fd)
        if name:
            events.append(Event(name, "sync"))

    def ftruncate(fd: int, size: int) -> None:
        if name := names.recorded(fd):
            gate()
        os.ftruncate(fd, size)
        if name:
            events.append(Event(name, "size", size))

    def punch(fd: int, offset: int, length: int) -> None:
        if name := names.recorded(fd):
            gate()
        device.Calls().punch(fd, offset, length)
        if name:
            events.append(Event(name, "write", offset, bytes(length)))

    def rename(folder: int, former: str, name: str) -> None:
        gate()
        device.Calls().rename(folder, former, name)
        events.append(Event(f"history/{name}", "rename", 0, f"history/{former}".encode()))

    return replace(calls, pwritev=pwritev, fdatasync=fdatasync, ftruncate=ftruncate, punch=punch, rename=rename)


class _CatalogVFS(apsw.VFS):
    """The default VFS while recording: what it is asked to write to the catalog's files is logged."""

    def __init__(self, directory: Path, events: Log, gate: Callable[[], None]) -> None:
        self._directory = str(directory.resolve())
        self._events = events
        self._gate = gate
        super().__init__("recorder", base="", makedefault=True)

    def _name(self, path: str | None) -> str | None:
        folder, _, name = (path or "").rpartition("/")
        return name if folder == self._directory and name.startswith("catalog.db") else None

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name if name is None or isinstance(name, str) else name.filename()
        catalog_name = self._name(path)
        if catalog_name is None:
            return apsw.VFSFile("unix", name, flags)
        return _CatalogFile(catalog_name, self._events, self._gate, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        name = self._name(filename)
        if name is not None:
            self._gate()
        super().xDelete(filename, syncdir)
        if name is not None:
            self._events.append(Event(name, "delete"))
            if syncdir:
                self._events.append(Event(name, "sync"))


class _CatalogFile(apsw.VFSFile):
    def __init__(self, known: str, events: Log, gate: Callable[[], None], name: Any, flags: list[int]) -> None:
        self._known = known
        self._events = events
        self._gate = gate
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._gate()
        super().xWrite(data, offset)
        self._events.append(Event(self._known, "write", offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._gate()
        super().xTruncate(newsize)
        self._events.append(Event(self._known, "size", newsize))

    def xSync(self, flags: int) -> None:
        self._gate()
        super().xSync(flags)
        self._events.append(Event(self._known, "sync"))


def apply(image: bytearray, event: Event) -> None:
    """What an event does to a file."""
    if event.kind == "write":
        end = event.at + len(event.data)
        if len(image) < end:
            image.extend(bytes(end - len(image)))
        image[event.at : end] = event.data
    elif event.kind == "size":
        if event.at < len(image):
            del image[event.at :]
        else:
            image.extend(bytes(event.at - len(image)))
    elif event.kind == "delete":
        image.clear()


class Device:
    """The files as a device has them: what was synced, and what was written since."""

    def __init__(self) -> None:
        self.synced: dict[str, bytearray] = {}
        self.unsynced: dict[str, list[Event]] = {}
        self.renamed: tuple[str, str] | None = None
        """The last file that got another name, which the device may not know yet: its former name, and the name."""

    @classmethod
    def of(cls, directory: Path) -> Device:
        """A device that has the files of a store that is closed, and nothing else."""
        device = cls()
        files = [*directory.glob("catalog.db*"), directory / "pool", *directory.glob("history/*")]
        device.synced = {str(path.relative_to(directory)): bytearray(path.read_bytes()) for path in files}
        device.unsynced = {name: [] for name in device.synced}
        return device

    def take(self, event: Event) -> None:
        """The next event of the log happens."""
        if event.kind in MARKS:
            return
        if event.kind == "rename":
            former = event.data.decode()
            self.synced[event.file] = self.synced.pop(former, bytearray())
            self.unsynced[event.file] = self.unsynced.pop(former, [])
            self.renamed = former, event.file
            return
        image = self.synced.setdefault(event.file, bytearray())
        waiting = self.unsynced.setdefault(event.file, [])
        if event.kind == "sync":
            for unsynced in waiting:
                apply(image, unsynced)
            waiting.clear()
        else:
            waiting.append(event)

    def has_catalog(self) -> bool:
        """Whether there is a store yet."""
        return "catalog.db" in self.synced or "catalog.db-wal" in self.synced

    def image(self, rng: random.Random, how: str) -> dict[str, bytes]:
        """The files after a power loss now.

        ``how``: all, none, or some of the unsynced events are kept; torn: single sectors of them; reordered: some, in
        any order; shrunk: some, but no file is longer than it was when it was last synced; older, newer: those before
        or behind some moment; one: a single one; but one: all others.
        """
        files = {}
        for name, synced in self.synced.items():
            image, waiting = bytearray(synced), list(self.unsynced[name])
            if how == "none":
                waiting = []
            elif how in ("some", "reordered", "shrunk"):
                waiting = [event for event in waiting if rng.random() < 0.5]
            elif how in ("older", "newer", "one", "but one") and waiting:
                at = rng.randrange(len(waiting))
                kept = {"older": waiting[:at], "newer": waiting[at:], "one": waiting[at : at + 1]}
                waiting = kept.get(how, waiting[:at] + waiting[at + 1 :])
            if how == "reordered":
                rng.shuffle(waiting)
            for event in waiting:
                if how == "torn" and event.kind == "write":
                    _apply_torn(image, event, rng)
                else:
                    apply(image, event)
            if how == "shrunk":
                del image[len(synced) :]
            files[name] = bytes(image)
        if self.renamed and how != "all" and rng.random() < 0.5 and self.renamed[1] in files:
            former, name = self.renamed
            files[former] = files.pop(name)
        return files


def _apply_torn(image: bytearray, event: Event, rng: random.Random) -> None:
    first = event.at // SECTOR
    last = (event.at + len(event.data) - 1) // SECTOR
    for sector in range(first, last + 1):
        if rng.random() < 0.6:
            begin = max(event.at, sector * SECTOR)
            end = min(event.at + len(event.data), (sector + 1) * SECTOR)
            apply(image, Event(event.file, "write", begin, event.data[begin - event.at : end - event.at]))


HOW = ("all", "none", "some", "torn", "reordered", "shrunk", "older", "newer", "one", "but one")
