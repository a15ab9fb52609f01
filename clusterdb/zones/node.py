"""A storage node: the logs of clusters, in a bucket or a directory.

    copies/CLUSTER/node             names the folder of the log, and tells of the cluster
    copies/CLUSTER/FOLDER/ready     states that the node has been given everything that was committed
    copies/CLUSTER/FOLDER/POSITION  the entry at a position of the log, created once

Positions count from 1.  Creating an object that exists fails, and that is all that fences a writer: it appends at the
position after the last entry that it knows, and one that another writer has claimed is taken.

Invariants
    Q1  A position is created once.  Claims are never deleted, so a writer that was stopped meets the claim that
        followed its last entry.
    Q2  The positions of a folder have no gap but for deleted batches.  A batch is deleted when the node has a later one
        that is complete and begins anew, and no clone continues the log from it.
    Q8  A node that was lost, or replaced, counts neither for reading nor for an epoch until a writer has begun a folder
        there, given it everything, and stated so: it may have been one of the four that had a commit.  A writer that
        has not noticed the loss writes to the former folder, which nobody reads.
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple

from clusterdb.errors import RemoteDamagedError
from clusterdb.remote.objects import Objects
from clusterdb.zones.directory import Staged
from clusterdb.zones.entry import HEAD_BYTES_MAX, Batch, Entry, Packed, Start, begins, unpack, unpack_head

__all__ = ["Log", "Place", "Tail"]


@dataclass(frozen=True, slots=True)
class Tail:
    """How a log ends.

    :ivar position: of its last entry; 0 if it is empty
    :ivar epoch, writer: of the last entry
    :ivar sequence: the number of the last batch whose content it has
    :ivar starts: of the epochs that the log up to that belongs to
    :ivar is_blank: whether the node has nothing of the log
    :ivar is_ready: whether it counts (Q8)
    :ivar size_bytes: of its objects
    """

    position: int = 0
    epoch: int = 0
    writer: str = ""
    sequence: int = 0
    starts: tuple[Start, ...] = ()
    is_blank: bool = True
    is_ready: bool = False
    size_bytes: int = 0

    @property
    def owner(self) -> tuple[int, str]:
        """Whose it is: of two claims, the greater one counts."""
        return self.epoch, self.writer


_NODE, _READY, _HEADER = "node", "ready", b"clusterdb-node 1 "


class Place(NamedTuple):
    """Where a batch is: its position, and whether nothing before it in the log is needed."""

    position: int
    begins: bool


class Log:
    """The log of one cluster on one node.  All methods raise RemoteError and RemoteDamagedError."""

    def __init__(self, objects: Objects, cluster: str) -> None:
        self.objects = objects
        self._cluster = f"copies/{cluster}"
        self.folder: str | None = None
        """Where the log is, as far as is known."""
        self._places: dict[int, Place] = {}
        self._scanned = 0
        self._guard = threading.Lock()

    def tail(self) -> Tail:
        """How the log ends."""
        if not self.about():
            return Tail()
        self.forget()
        listed, is_ready = self._listed()
        size_bytes = sum(size for _, size in listed)
        for position, _ in reversed(listed):
            head = self._head(position)
            if head is not None:
                sequence = head["after"] if "after" in head else head["sequence"]
                owner = head["epoch"], head["writer"]
                return Tail(position, *owner, sequence, head["starts"], False, is_ready, size_bytes)
        return Tail(is_blank=False, is_ready=is_ready)

    def begin(self, about: dict[str, Any]) -> None:
        """Begin the log of a blank node (Q8); ``about`` tells of the cluster, for who finds only the nodes."""
        body = json.dumps({"folder": secrets.token_hex(8), **about}, sort_keys=True)
        self.objects.create(f"{self._cluster}/{_NODE}", _HEADER + body.encode() + b"\n")
        self.about()

    def note_ready(self) -> None:
        """State that the node has been given everything (Q8)."""
        self.objects.create(f"{self._cluster}/{self.folder}/{_READY}", b"ready\n")

    def _listed(self) -> tuple[list[tuple[int, int]], bool]:
        """The positions that have an entry, and the sizes of the objects in bytes, in order; whether it counts."""
        if self.folder is None and not self.about():
            return [], False
        listed = self.objects.list(f"{self._cluster}/{self.folder}")
        names = [(one.path.rpartition("/")[2], one.size_bytes) for one in listed]
        places = [(int(name), size) for name, size in names if name.isdigit()]
        return places, _READY in (name for name, _ in names)

    def read(self, position: int) -> Entry | None:
        """The entry at a position; None if there is none."""
        path = self._path(position)
        data = self.objects.get(path)
        return unpack(data, f"{self.objects.url}/{path}") if data is not None else None

    def index(self) -> dict[int, Place]:
        """The places of the newest batch of each number, which a claim may have voided."""
        with self._guard:
            places, last = dict(self._places), self._scanned
            for position, _ in self._listed()[0]:
                if position > last:
                    head = self._head(position)
                    if head is not None and "sequence" in head:
                        places[head["sequence"]] = Place(position, begins(head))
                    last = position
            self._places, self._scanned = places, last  # all or nothing: a part may end with what is void
            return dict(self._places)

    def batch(self, sequence: int) -> Batch | None:
        """The batch of a number; None if there is none.

        Where it is, is known from the last look at the index, or from :meth:`append_batch`: others append, and void,
        only what they have claimed, and a writer that meets a claim calls :meth:`tail` first.
        """
        place = self._places.get(sequence) or self.index().get(sequence)
        entry = self.read(place.position) if place is not None else None
        return entry if isinstance(entry, Batch) and entry.sequence == sequence else None

    def start_of(self, sequence: int) -> Start | None:
        """The epoch that a batch belongs to; None if there is no such batch."""
        place = self._places.get(sequence) or self.index().get(sequence)
        head = self._head(place.position) if place is not None else None
        return head["starts"][-1] if head is not None and head["starts"] else None

    def append(self, position: int, data: bytes) -> bool:
        """Create the entry at a position (Q1); False if the position is taken by another entry."""
        return self.objects.create(self._path(position), data)

    def append_batch(self, position: int, batch: Packed) -> bool:
        """As :meth:`append`, and remember where the batch is."""
        if not self.append(position, batch.data):
            return False
        self._note_place(position, batch)
        return True

    def _note_place(self, position: int, batch: Packed) -> None:
        with self._guard:
            self._places[batch.sequence] = Place(position, batch.begins)

    def stage(self, position: int, batch: Packed) -> Staged | None:
        """Write a batch at a position, and leave the sync to who commits; None: it has to be appended."""
        staged: Staged | None = self.objects.stage(self._path(position), batch.data)
        return staged

    def finish(self, position: int, batch: Packed, staged: Staged) -> bool:
        """Count a batch that was staged, and synced; False if it has to be appended."""
        if not staged.finish():
            return False
        self._note_place(position, batch)
        return True

    def forget(self) -> None:
        """Forget where batches are: other writers may have voided some."""
        with self._guard:
            self._places, self._scanned = {}, 0

    def trim(self, before: int, kept: int) -> int:
        """Delete the batches before one that begins anew, and after a number that clones need; returns how many."""
        places = {at: place for at, place in self.index().items() if kept < at < before}
        for at, place in sorted(places.items()):
            self.objects.delete(self._path(place.position))
            self._places.pop(at, None)
        return len(places)

    def about(self) -> dict[str, Any] | None:
        """What the node tells of the cluster, and where the log is; None if it is blank."""
        where = f"{self._cluster}/{_NODE}"
        data = self.objects.get(where)
        if data is None:
            return None
        try:
            about: dict[str, Any] = json.loads(data.removeprefix(_HEADER))
            folder = str(about["folder"])
        except (ValueError, KeyError, TypeError):
            raise RemoteDamagedError(f"{self.objects.url}/{where} is damaged, or of a newer release") from None
        if folder != self.folder:
            with self._guard:
                self.folder, self._places, self._scanned = folder, {}, 0
        return about

    def _head(self, position: int) -> dict[str, Any] | None:
        path = self._path(position)
        data = self.objects.get_range(path, 0, HEAD_BYTES_MAX)
        return unpack_head(data, f"{self.objects.url}/{path}")[0] if data is not None else None

    def _path(self, position: int) -> str:
        return f"{self._cluster}/{self.folder}/{position:012}"
