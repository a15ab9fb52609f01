"""Clusters from their copies, when the store is lost: from any three of six nodes, on any machine.

The recovered cluster is a new one, in this store, whose log continues the old one.  Before it commits, the old log is
closed to its writer: its last batch is of this store, and a writer that finds it there gives up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.creating import create_built
from clusterdb.core.context import Context
from clusterdb.core.volumes import begun
from clusterdb.errors import Error, QuorumError, RemoteDamagedError, RemoteNotFoundError
from clusterdb.past.retention import agree_with_settings
from clusterdb.rules.names import check_name
from clusterdb.rules.settings import Zones, checked_zones
from clusterdb.zones.copies import FORMER, StoreCopies, nodes_of, send_as_writer
from clusterdb.zones.entry import Batch
from clusterdb.zones.node import Log
from clusterdb.zones.reading import Reading
from vfs.abc import Durability
from vfs.format.layout import SLOT_BYTES
from vfs.registry import VolumeRow

__all__ = ["Kept", "kept_clusters", "recover"]

_PATIENCE_S = 3
Progress = Callable[[int, int], None]
"""Called with (batches read, batches in all)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A cluster of which nodes have copies.

    :ivar name: its name when the nodes got it
    :ivar engine: the SQL that it accepts
    :ivar log: the name of its log
    :ivar zones: its nodes
    :ivar former: the log that it was recovered from
    """

    name: str
    engine: str
    log: str
    zones: Zones
    former: str | None


def kept_clusters(copies: StoreCopies, urls: Sequence[str]) -> list[Kept]:
    """The clusters that nodes have copies of, by name.

    Raises QuorumError if no node can be read, RemoteNotFoundError if they have no copies.
    """
    logs: dict[str, list[Log]] = {}
    problems: list[str] = []
    for url in urls:
        try:
            objects = copies.objects(url)
            for name in sorted({listed.path.split("/")[1] for listed in objects.list("copies")}):
                logs.setdefault(name, []).append(Log(objects, name))
        except Error as error:
            problems.append(str(error))
    if len(problems) == len(urls):
        raise QuorumError(f"none of the storage nodes can be read: {'; '.join(problems)}")
    kept = [one for one in (_about(name, some) for name, some in logs.items()) if one is not None]
    open_logs = {one.log for one in kept}
    kept = [one for one in kept if one.former not in open_logs]  # else it has not taken over, and has no commit
    if not kept:
        raise RemoteNotFoundError(f"no cluster has copies on {', '.join(urls)}")
    return sorted(kept, key=lambda one: (one.name, one.log))


def _about(name: str, logs: Sequence[Log]) -> Kept | None:
    """What nodes tell of a log's cluster; None if it has no commit yet, or is closed."""
    abouts = []
    last = 0, name.partition("-")[0]
    for log in logs:
        with suppress(Error):  # damaged: another node has it
            about, tail = log.about(), log.tail()
            batch = log.batch(tail.sequence) if tail.sequence else None
            if about is not None and batch is not None:
                abouts.append(about)
                last = max(last, (batch.sequence, batch.store))
    if not abouts or last[1] != name.partition("-")[0]:
        return None
    about = abouts[0]
    zones = checked_zones(about["zones"])
    return Kept(str(about["name"]), str(about["engine"]), name, zones, about.get("former"))


def recover(
    context: Context, copies: StoreCopies, kept: Kept, name: str, progress: Progress | None, settings: dict[str, Any]
) -> ClusterRow:
    """Create a cluster from the copies of another, which its store cannot write to any more when this one commits.

    Raises QuorumError (fewer than three nodes can be read), RemoteDamagedError, ClusterExistsError, StoreFullError.
    """
    context.require_writable()
    context.catalog.clusters.require_free(check_name(name))
    logs = [Log(copies.objects(url), kept.log) for _, _, url in nodes_of(kept.zones)]
    reading = Reading(logs)
    if not reading.last:
        raise RemoteNotFoundError(f"the copies of '{kept.name}' have no commit yet")
    wanted = context.default_settings.changed({"engine": kept.engine, "zones": kept.zones, **settings})
    last, newest = reading.last, reading.batch(reading.last)

    def build(volume: VolumeRow) -> None:
        with ExitStack() as stack, context.errors():
            transaction = begun(stack, context.plane.open_volume(context.pages, volume))
            _replay(transaction, logs, reading, last, progress)
            transaction.publish(Durability.FULL)

    def keep(row: ClusterRow) -> None:
        body = {
            "log": kept.log,
            "last": newest.identity,
            "zones": [list(zone) for zone in kept.zones],
        }
        context.catalog.documents.put(row.cluster, FORMER, "", body)

    row = create_built(context, name, build, wanted, f"recovered from the copies of '{kept.name}'", also=keep)
    if wanted.keeps_past_ns:
        agree_with_settings(context, row.cluster)
    with suppress(QuorumError):  # it takes over with its first commit then, when four nodes are there
        send_as_writer(context, copies.of(row), patience_s=_PATIENCE_S)
    return row


def _replay(transaction: Any, logs: Sequence[Log], reading: Reading, last: int, progress: Progress | None) -> None:
    """Write what a log has up to a batch."""
    for done, batch in enumerate(_complete(reading, last), 1):
        if batch.begins and batch.parent is not None:
            name, sequence = batch.parent
            _replay(transaction, logs, Reading([Log(log.objects, name) for log in logs]), sequence, None)
        elif batch.begins:
            transaction.truncate(0)
        for index, page in enumerate(batch.pages):
            start = page * SLOT_BYTES
            transaction.write(batch.page(index)[: batch.size_bytes - start], start)
        if batch.is_last:
            transaction.truncate(batch.size_bytes)
        if progress is not None:
            progress(done, last)


def _complete(reading: Reading, last: int) -> Iterator[Batch]:
    """The parts of the complete batches up to a number."""
    if last > reading.last:
        raise RemoteDamagedError(f"batch {last}, which another log continues, is on no storage node that can be read")
    parts: list[Batch] = []
    for sequence in range(reading.start(last), last + 1):
        batch = reading.batch(sequence)
        if parts and parts[-1].key != batch.key:
            parts = []  # what was not completed does not count
        if batch.is_last:
            for part in parts:
                yield reading.batch(part.sequence)
            yield batch
            parts = []
        else:
            parts.append(replace(batch, data=b""))  # read again when all parts are there
