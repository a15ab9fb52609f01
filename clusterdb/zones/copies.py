"""The copies of the clusters of a store, as their writers keep them.

A commit is published in the pool first, and returns when four of six nodes have it (synchronous=FULL); other commits
are sent with the next one that waits, or when the store is closed.  So the pool is never behind the nodes, and what a
commit that failed has left is sent by the next writer, in whichever process.

Invariants
    Q7  A batch is based on the last complete one of the log, and has every page whose birth is later: what several
        processes have committed since is in it, by whichever process.
    Q9  What is sent is on the device of the pool: otherwise a power failure would leave a store that is older than its
        copies.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
import zlib
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from clusterdb.core.volumes import begun
from clusterdb.errors import CorruptStoreError, Error, WriterFencedError
from clusterdb.remote.objects import Engine, Objects, open_objects
from clusterdb.rules.settings import Zones, checked_zones
from clusterdb.zones.directory import node_engine
from clusterdb.zones.entry import Batch
from clusterdb.zones.faults import Faults, FaultyEngine
from clusterdb.zones.node import Log, Tail
from clusterdb.zones.quorum import OUTCOME, UNCHANGED, WRITE_QUORUM, EpochOverError, Member, Quorum
from clusterdb.zones.worker import Worker
from vfs.abc import Durability
from vfs.format.layout import FANOUT_SHIFT, ZERO_CRC, ZERO_SLOT, Version, page_count_of
from vfs.registry import VolumeRow
from vfs.storage.heads import head_of
from vfs.storage.walk import nodes

__all__ = ["ENDED", "FORMER", "PARENT", "ClusterCopies", "StoreCopies", "log_name", "nodes_of", "send_as_writer"]

PART_PAGES = 2048
"""Pages in one entry of a log: 8 MiB."""
PATIENCE = "CLUSTERDB_QUORUM_PATIENCE_S"
"""The variable of the environment with the seconds that a commit waits for four nodes."""
_PATIENCE_S = 30.0
FORMER, PARENT, ENDED = "copies", "copies-parent", "copies-ended"
_LOG, _BEGUN, _FLOOR = "copies-log", "copies-begun", "copies-floor"
"""Documents of a cluster, and of the store: where a log came from, and the logs of deleted clusters."""
_EPOCHS_MIN = 3
"""How many epochs a commit begins at least, while other writers end them."""
_CLOSE_S = 5.0
"""How long a store that is closed waits for nodes."""
_TEND_S, _TEND_S_MAX = 0.5, 30.0
"""How long nodes that are out of reach are left alone without commits: at first, and at most."""
_LOG_BYTES = 64 << 20
"""A log that is longer, by four times the size of the database, begins anew."""


def log_name(context: Context, cluster: int) -> str:
    """The name of a cluster's log on its nodes: the identity of the store, the cluster's number, and a nonce.

    The nonce tells clusters apart that were created after a backup, and after that backup was restored.
    """
    documents = context.catalog.documents
    document = documents.get(cluster, _LOG)
    if document is None and context.read_only:
        document = {"nonce": "none"}
    if document is None:
        with context.catalog.transaction():
            document = documents.get(cluster, _LOG) or {"nonce": secrets.token_hex(8)}
            documents.put(cluster, _LOG, "", document)
    return f"{context.catalog.store_id.hex()}-{cluster}-{document['nonce']}"


def nodes_of(zones: Zones) -> list[tuple[str, int, str]]:
    """The nodes of an arrangement: (zone, number from 1 to 6, URL)."""
    places = [(zone, url) for zone, *urls in zones for url in urls]
    return [(zone, number, url) for number, (zone, url) in enumerate(places, 1)]


@dataclass(frozen=True, slots=True)
class _Base:
    """What the nodes have: a version of a volume, as the last complete batch states it; None: nothing."""

    volume: int
    version: int
    sequence: int


class StoreCopies:
    """The copies of all clusters of a store in this process; :meth:`close` sends what was not sent."""

    def __init__(self, context: Context) -> None:
        self._context = context = weakref.proxy(context)  # which has this
        self.store = context.catalog.store_id.hex()
        self.faults = Faults(context.pages.directory)
        directory = context.pages.directory
        self._chores = Worker("clusterdb-node-room")
        self._pool_device = directory.stat().st_dev if directory is not None else None
        self._clusters: dict[int, ClusterCopies] = {}
        self._asked: dict[tuple[str, str], Future[Tail]] = {}
        self._tended: dict[ClusterCopies, int] = {}
        self._is_closed = threading.Event()
        self._guard = threading.Lock()

    def of(self, row: ClusterRow) -> ClusterCopies:
        """The copies of a cluster that has zones."""
        with self._guard:
            copies = self._clusters.get(row.cluster)
            if copies is None:
                copies = self._clusters[row.cluster] = ClusterCopies(self._context, self, row)
            return copies

    def objects(self, url: str) -> Objects:
        """The objects of a node, with the faults that were asked for.  Raises InvalidArgumentError, RemoteError."""

        def of_node(engine: Engine) -> Engine:
            return FaultyEngine(node_engine(engine, self._pool_device, self._chores), url, self.faults)

        return open_objects(url, of_node)

    def asked(self, url: str, log: str) -> Future[Tail]:
        """How a log ends on a node: the question that waits for an answer, or a new one, in a thread of its own."""
        with self._guard:
            self._asked = {key: asked for key, asked in self._asked.items() if not asked.done()}
            asked = self._asked.get((url, log))
            if asked is None:
                thread = Worker("clusterdb-node-status")
                asked = self._asked[url, log] = thread.submit(lambda: Log(self.objects(url), log).tail())
                thread.shutdown()
            return asked

    def tend(self, copies: ClusterCopies) -> None:
        """Have the nodes of a cluster that are out tried again until they are in, or the store is closed."""
        with self._guard:
            is_running = bool(self._tended)
            self._tended[copies] = self._tended.get(copies, 0) + 1
        if not is_running:
            work = (weakref.ref(self), self._is_closed)
            threading.Thread(target=_tend, args=work, name="clusterdb-nodes", daemon=True).start()

    def retry(self) -> bool:
        """Try the nodes that are out once more; whether there may be any."""
        with self._guard:
            tended = list(self._tended.items())
        done = [(copies, count) for copies, count in tended if not copies.retry()]
        with self._guard:
            for copies, count in done:
                if self._tended.get(copies) == count:  # else a node has gone out meanwhile
                    del self._tended[copies]
            return bool(self._tended)

    def forget(self, cluster: int) -> None:
        """A cluster was deleted."""
        with self._guard:
            copies = self._clusters.pop(cluster, None)
            if copies is not None:
                self._tended.pop(copies, None)
        if copies is not None:
            copies.close()

    def close(self) -> None:
        """End the threads of the nodes, when they have sent what they have."""
        self._is_closed.set()
        with self._guard:
            clusters, self._clusters = list(self._clusters.values()), {}
        for copies in clusters:
            if copies.has_unsent:
                with suppress(Error):  # the next writer sends it
                    send_as_writer(self._context, copies, _CLOSE_S)
            copies.close()
        self._chores.shutdown()


def _tend(store_ref: weakref.ref[StoreCopies], is_closed: threading.Event) -> None:
    """Try again and again, less and less often, while the store is open; nothing is kept from being collected."""
    pause_s = _TEND_S
    while not is_closed.wait(pause_s):
        store = store_ref()
        try:
            if store is None or not store.retry():
                return
        except Exception:
            if is_closed.is_set():
                return  # what it has used is closed
            raise
        del store
        pause_s = min(2 * pause_s, _TEND_S_MAX)


class ClusterCopies:
    """The copies of a cluster.  Implements :class:`vfs.abc.Copies`."""

    def __init__(self, context: Context, store: StoreCopies, row: ClusterRow) -> None:
        self._context, self._store = context, store
        self.cluster, self._zones = row.cluster, row.settings.zones
        name = log_name(context, row.cluster)
        former = context.catalog.documents.get(row.cluster, FORMER)
        self._patience_s: float | None = None
        self._about = {
            "name": row.name,
            "engine": row.settings.engine,
            "store": store.store,
            "cluster": row.cluster,
            "zones": [list(zone) for zone in self._zones],
            "former": former["log"] if former is not None else None,
        }
        self.quorum = Quorum(self._members(self._zones, name), self._about)
        self._has_open_former = former is not None and not former.get("is_closed")
        """Whether the cluster was recovered from a log that is open to its writer, as far as is known here."""
        self.has_unsent = False
        """Whether this process has committed without waiting for the nodes."""
        self._base: _Base | None = None
        self._guard = threading.RLock()

    @property
    def patience_s(self) -> float:
        """How long a commit waits for nodes now, in seconds."""
        return float(os.environ.get(PATIENCE) or _PATIENCE_S) if self._patience_s is None else self._patience_s

    def _members(self, zones: Zones, name: str) -> list[Member]:
        objects = self._store.objects
        return [Member(zone, number, Log(objects(url), name)) for zone, number, url in nodes_of(zones)]

    @property
    def text(self) -> str:
        """The cluster, for messages."""
        row = self._context.catalog.clusters.get(self.cluster)
        return f"cluster '{row.name}'" if row is not None else f"cluster {self.cluster}"

    # --- for the data plane -----------------------------------------------------------------------------------------
    def before_commit(self, durability: Durability) -> None:
        """Have four nodes, so that a commit that cannot be kept is refused before it changes anything.

        Other commits need an epoch only: a store that is not the writer any more must not change anything.  Raises
        QuorumError, WriterFencedError.
        """
        with self._guard:
            if not self.quorum.is_established:
                self._establish()
            if durability == Durability.FULL or self._has_open_former:
                self._in_epoch(lambda: self.quorum.require(self.patience_s))
            if self._has_open_former:
                self.send()

    def committed(self, durability: Durability) -> None:
        """Send what the nodes lack, and wait until four have it.  Raises QuorumError, WriterFencedError."""
        if durability != Durability.FULL:
            self.has_unsent = True
            return
        with self._guard:
            self.quorum.outcome = OUTCOME
            try:
                self.send()
            finally:
                self.quorum.outcome = UNCHANGED

    def send(self) -> None:
        """Send what the nodes lack, as :meth:`committed` does; the caller is the writer."""
        with self._guard:
            row = self._context.catalog.volumes.volume_of(self.cluster)
            if row is None:
                return
            head = head_of(self._context.pages, row)
            self._in_epoch(lambda: self._send(row, head))
            if self._has_open_former:
                self._close_former()
            if self.quorum.log_bytes > _LOG_BYTES + 4 * head.size_bytes:
                self._in_epoch(lambda: self._begin_anew(row, head))
            self.has_unsent = False
            if not self.quorum.is_whole:
                self._store.tend(self)

    def _send(self, row: VolumeRow, head: Version) -> None:
        """Send a version, if the log does not have it.  Raises QuorumError, EpochOverError."""
        if not self._has(row, head):
            self._note_begun()
            self.quorum.append(self._parts(row, head), self.patience_s)
            self._base = _Base(row.volume, head.version, self.quorum.sequence)
        self.quorum.require(self.patience_s)  # what an epoch has found may be on fewer than four nodes

    def _in_epoch(self, work: Callable[[], None]) -> None:
        """Do work in an epoch of this process.  Raises QuorumError, WriterFencedError."""
        self._repeated(self.quorum, self._establish, work)

    def _repeated(self, quorum: Quorum, establish: Callable[[], None], work: Callable[[], None]) -> None:
        """Do work in an epoch, for a while again and again if that ends meanwhile.

        Another process of this store ends it, a writer elsewhere, or nodes that have come back.
        """
        until = time.monotonic() + self.patience_s
        for attempt in count(1):
            if not quorum.is_established:
                establish()
            try:
                return work()
            except EpochOverError:
                if attempt >= _EPOCHS_MIN and time.monotonic() > until:
                    raise quorum.lacking() from None
        return None

    def retry(self) -> bool:
        """Try nodes that are out again, in their threads; whether there may be any."""
        if not self._guard.acquire(blocking=False):
            return True  # a commit does so
        try:
            if self._context.catalog.volumes.volume_of(self.cluster) is None:
                return False  # another process has deleted it
            if self.quorum.wants_epoch and not self.quorum.is_fenced:
                try:
                    self._establish(0)  # a commit waits for this
                except Error:
                    return True
            if not self.quorum.is_established or self.quorum.is_whole:
                return False
            self.quorum.retry()
            return True
        finally:
            self._guard.release()

    def confirm(self) -> None:
        """Append a batch without pages, so that nodes that were filled again count (Q8); the caller is the writer."""
        with self._guard:
            self.send()
            row = self._context.catalog.volumes.volume_of(self.cluster)
            if row is not None:
                head = head_of(self._context.pages, row)
                self._in_epoch(lambda: self._confirm(row, head))

    def _confirm(self, row: VolumeRow, head: Version) -> None:
        self._send(row, head)  # an epoch may have begun since
        self.quorum.append(self._batches(row, head, head.version, None), self.patience_s)
        self._base = _Base(row.volume, head.version, self.quorum.sequence)

    def _has(self, row: VolumeRow, head: Version) -> bool:
        """Whether the log has a version."""
        return self._base is not None and (self._base.volume, self._base.version) == (row.volume, head.version)

    def _begin_anew(self, row: VolumeRow, head: Version) -> None:
        first = self.quorum.sequence + 1
        self.quorum.append(self._batches(row, head, 0, None), self.patience_s)
        self._base = _Base(row.volume, head.version, self.quorum.sequence)
        documents, log = self._context.catalog.documents, log_name(self._context, self.cluster)
        with self._context.catalog.transaction():  # a clone that continues the log does so before, or from here on
            documents.put(self.cluster, _FLOOR, "", {"sequence": first})
            parents = [body for _, _, body in documents.all(PARENT)]
            parents += [body["parent"] for _, _, body in documents.all(ENDED) if body["parent"] is not None]
            needed = [int(parent["sequence"]) for parent in parents if parent["log"] == log]
            if not needed:  # else what clones continue goes on to continue another log
                documents.remove(self.cluster, PARENT)
        self.quorum.trim(first, max(needed, default=0))

    def _note_begun(self) -> None:
        """Note that nodes may have the cluster: from now on one that is empty may have lost it (Q8)."""
        if self.quorum.is_new:
            self.quorum.is_new = False
            with self._context.catalog.transaction():
                self._context.catalog.documents.put(self.cluster, _BEGUN, "", {})

    @contextmanager
    def patient(self, patience_s: float | None) -> Iterator[None]:
        """Wait for nodes for this time in the body; None: as usual."""
        with self._guard:
            self._patience_s = patience_s
            try:
                yield
            finally:
                self._patience_s = None

    def close(self) -> None:
        """End the threads of the nodes, when they have sent what they have; those that hang are left."""
        until = time.monotonic() + _CLOSE_S
        for member in self.quorum.members:
            member.close(max(0.0, until - time.monotonic()))

    # --- epochs -----------------------------------------------------------------------------------------------------
    def _establish(self, patience_s: float | None = None) -> None:
        """Begin an epoch; ``patience_s``: how long to wait for nodes, as a commit does by default."""
        self.quorum.is_new = self._context.catalog.documents.get(self.cluster, _BEGUN) is None
        self.quorum.establish(self.patience_s if patience_s is None else patience_s)
        try:
            self._adopt(self.quorum.newest)
        except BaseException:
            self.quorum.is_established = False
            raise

    def _adopt(self, newest: Batch | None) -> None:
        """Base what is sent on the newest batch of the log.  Raises WriterFencedError if it is not this store's."""
        if newest is None:
            self._base = None
            return
        if newest.store != self._store.store:
            raise WriterFencedError(
                f"it was opened elsewhere from its copies, by store {newest.store[:8]}, which has its newest commits: "
                "use it there, and delete it here"
            )
        self._base = _Base(newest.volume, newest.version, newest.sequence)
        row = self._context.catalog.volumes.volume_of(self.cluster)
        if row is None:
            return
        is_older = row.volume < newest.volume  # numbers of volumes only grow
        if is_older or (row.volume == newest.volume and head_of(self._context.pages, row).version < newest.version):
            raise WriterFencedError(
                "it is older than its copies, since its store was restored from a backup: recover it from its copies "
                "(clusterdb recover) under another name, and leave this one"
            )

    def _close_former(self) -> None:
        """Close the log from which this cluster was recovered to its writer; this one's has everything already.

        Until then nothing is committed here, and the other log is the cluster's.  Raises QuorumError,
        WriterFencedError.
        """
        documents = self._context.catalog.documents
        document = documents.get(self.cluster, FORMER)
        assert document is not None
        former = Quorum(self._members(checked_zones(document["zones"]), str(document["log"])), self._about)
        try:
            work = partial(self._append_closing, former, document["last"])
            self._repeated(former, partial(former.establish, self.patience_s), work)
            with self._context.catalog.transaction():
                documents.put(self.cluster, FORMER, "", {**document, "is_closed": True})
            self._has_open_former = False
        finally:
            for member in former.members:
                member.close(0)

    def _append_closing(self, former: Quorum, last: list[Any]) -> None:
        """Have the end of a log on four nodes; ``last``: identifies the batch from which this cluster was recovered."""
        newest = former.newest
        is_own = newest is not None and newest.store == self._store.store
        if newest is None or not (is_own or list(newest.identity) == last):
            raise WriterFencedError(
                "it was recovered from copies to which its former writer has committed since: recover it again, "
                "and delete this one"
            )
        if not is_own:
            empty = array("I")
            closing = replace(
                newest,
                store=self._store.store,
                base=newest.version,
                part=0,
                parent=None,
                pages=empty,
                crcs=empty,
                data=b"",
            )
            former.append([closing], self.patience_s)
        former.require(self.patience_s)

    # --- batches ----------------------------------------------------------------------------------------------------
    def _parts(self, row: VolumeRow, head: Version) -> Iterator[Batch]:
        """The parts of the batch that makes the copies equal to a version (Q7)."""
        base, parent = self._base, None
        since = base.version if base is not None and base.volume == row.volume else 0
        if base is None:
            parent, since = self._parent(row)
        return self._batches(row, head, since, parent)

    def _batches(self, row: VolumeRow, head: Version, since: int, parent: tuple[str, int] | None) -> Iterator[Batch]:
        """The parts of a batch with the pages that differ from version ``since``; 0: all."""
        numbers, crcs, slots = _changed(self._context, head, since)
        empty = array("I")
        for start in range(0, max(len(numbers), 1), PART_PAGES):
            part = slice(start, start + PART_PAGES)
            yield Batch(
                0,
                "",
                0,
                (),
                self._store.store,
                row.volume,
                since,
                head.version,
                head.size_bytes,
                head.time_ns,
                start // PART_PAGES,
                start + PART_PAGES >= len(numbers),
                numbers[part] if numbers else empty,
                crcs[part] if numbers else empty,
                b"".join(self._page(slot, crc) for slot, crc in zip(slots[part], crcs[part], strict=True)),
                parent,
            )

    def _page(self, slot: int, crc: int) -> bytes | memoryview:
        if not slot:
            return ZERO_SLOT
        page = self._context.pages.read_page(slot, crc)
        if zlib.crc32(page) != crc:
            raise CorruptStoreError(f"slot {slot} of {self.text} fails its checksum: it was not copied")
        return page

    def _parent(self, row: VolumeRow) -> tuple[tuple[str, int] | None, int]:
        """The log, and the batch of it, that a new log continues, and the version from which pages differ from that."""
        current = self._context.catalog.clusters.get(self.cluster)
        source = current.source_cluster if current is not None else None
        source_row = self._context.catalog.clusters.get(source) if source is not None else None
        if source_row is None or source_row.settings.zones != self._zones or row.parent is None:
            return None, 0
        base = self._store.of(source_row).base_for(row.parent, row.base.version)
        if base is None:
            return None, 0
        log, documents = log_name(self._context, source_row.cluster), self._context.catalog.documents
        with self._context.catalog.transaction():
            floor = documents.get(source_row.cluster, _FLOOR)
            is_gone = self._context.catalog.clusters.get(source_row.cluster) is None
            if is_gone or (floor is not None and base.sequence < int(floor["sequence"])):
                return None, 0  # its source was deleted, or has begun anew, meanwhile
            documents.put(self.cluster, PARENT, "", {"log": log, "sequence": base.sequence})
        return (log, base.sequence), base.version

    def base_for(self, volume: int, version: int) -> _Base | None:
        """The newest batch that this log is known to have, if the version descends from it; for a clone."""
        base, quorum = self._base, self.quorum
        if base is None or not quorum.is_established or quorum.count(base.sequence) < WRITE_QUORUM:
            return None
        return base if base.volume == volume and base.version <= version else None


def send_as_writer(
    context: Context, copies: ClusterCopies, patience_s: float | None = None, *, confirms: bool = False
) -> None:
    """Send what the nodes lack of a cluster that nobody writes to now; ``confirms``: as :meth:`ClusterCopies.confirm`.

    Raises QuorumError, WriterFencedError, StoreBusyError.
    """
    row = context.catalog.volumes.volume_of(copies.cluster)
    if row is None:
        return
    with ExitStack() as stack:
        with context.errors():
            begun(stack, context.plane.open_volume(context.pages, row))
            context.pages.sync()  # nodes are never ahead of the device
        with copies.patient(patience_s):
            if confirms:
                copies.confirm()
            else:
                copies.send()


def _changed(context: Context, head: Version, since: int) -> tuple[array[int], array[int], array[int]]:
    """The numbers, checksums and slots of the pages that differ from a version before; slot 0: a hole, of zeros."""
    numbers, crcs, slots = array("I"), array("I"), array("I")
    for node in nodes(context.pages.read_slot, head, since):
        if node.at.level:
            continue
        for child in node.children(node.young(since)):
            numbers.append(child.number)
            crcs.append(child.entry.crc)
            slots.append(child.entry.slot)
        if since:
            first = node.at.number << FANOUT_SHIFT
            held = node.slots()[: max(0, page_count_of(head.size_bytes) - first)]
            if 0 in held:
                for index, slot in enumerate(held):
                    if not slot:
                        numbers.append(first + index)
                        crcs.append(ZERO_CRC)
                        slots.append(0)
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    return (
        array("I", [numbers[at] for at in order]),
        array("I", [crcs[at] for at in order]),
        array("I", [slots[at] for at in order]),
    )
