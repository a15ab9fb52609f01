"""Pulling: the newest state of a clone's origin becomes the newest version of the clone.

It is published as any transaction is: open connections keep the version that they read, and the past keeps the one
before.  Pages of which the repository names the same slot before and after are the same (P5 of
:mod:`clusterdb.remote.repository`), so they stay, cached or not; the others become absent, or are copied.
"""

from __future__ import annotations

from array import array
from contextlib import ExitStack
from dataclasses import dataclass, replace

from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import begun
from clusterdb.errors import NoSourceError, RemoteConflictError, RemoteDamagedError
from clusterdb.remote.absent import AbsentPages
from clusterdb.remote.fetching import Progress, copy_pages, name_pages
from clusterdb.remote.manifest import FIRST_SLOT, Manifest, Ref
from clusterdb.remote.objects import Counts, open_objects
from clusterdb.remote.origin import Origin, keep_origin, lineage, origin_of
from clusterdb.remote.places import absent_pages, add_place, renew_due
from clusterdb.remote.repository import Repository, Slots
from clusterdb.remote.states import require_ref
from clusterdb.remote.tree import Side, differing_leaves
from clusterdb.rules import status
from vfs.abc import Durability
from vfs.errors import CorruptionError
from vfs.format.layout import FANOUT, FANOUT_SHIFT, ZERO_CRC, Version
from vfs.sqlite.header import move_cookie, schema_cookie
from vfs.storage.heads import published_version
from vfs.storage.volumes import open_volume
from vfs.storage.walk import find_leaf

__all__ = ["Pulled", "pull"]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did.

    :ivar name: the database in the repository
    :ivar url: of the repository
    :ivar former_version: the version of the cluster before
    :ivar version: the version of the cluster now; the former one if there was nothing new
    :ivar remote_version: the version of the database there
    :ivar page_count: the pages that are not those of the former version
    :ivar requests: what was asked of the engine
    """

    name: str
    url: str
    former_version: int
    version: int
    remote_version: int
    page_count: int
    requests: Counts


def pull(context: Context, cluster: ClusterRef, *, force: bool, progress: Progress | None = None) -> Pulled:
    """Move a clone to the newest state of its origin: implements :meth:`clusterdb.Cluster.pull`."""
    context.require_writable()
    row = context.row_of(cluster)
    status.after(row.name, row.status, "pull")
    origin = origin_of(context, row)
    if origin is None:
        raise NoSourceError(f"cluster '{row.name}' was not cloned from object storage: nothing to pull")
    repository = Repository(open_objects(origin.address))
    newest = repository.require_newest()
    ref = require_ref(repository, newest, origin.name)
    with context.errors():
        former = published_version(context.pages, context.require_in_use(row.volume, f"cluster '{row.name}'"))
    _require_unchanged(row, origin, former, force=force)
    version, page_count = former, 0
    if ref.record != origin.record or (row.volume, former) != (origin.volume, origin.version):
        with context.errors():
            version, page_count = _moved(context, row, origin, repository, newest, ref, force=force, progress=progress)
    counts = replace(repository.objects.counts)
    return Pulled(origin.name, repository.url, former, version, ref.record.version, page_count, counts)


def _require_unchanged(row: ClusterRow, origin: Origin, version: int, *, force: bool) -> None:
    """Raise RemoteConflictError if a version of a cluster is not the one that its origin has, unless that is forced."""
    if (row.volume, version) != (origin.volume, origin.version) and not force:
        raise RemoteConflictError(
            f"cluster '{row.name}' has changes of its own since version {origin.record.version} of '{origin.name}' in "
            f"{origin.url}: push it, or pull that database into a new clone, or discard the changes (--force)"
        )


def _moved(
    context: Context,
    row: ClusterRow,
    origin: Origin,
    repository: Repository,
    newest: Manifest,
    ref: Ref,
    *,
    force: bool,
    progress: Progress | None,
) -> tuple[int, int]:
    """Publish a state of the origin; the version, and the number of pages that are new to the cluster."""
    volume = context.require_in_use(row.volume, f"cluster '{row.name}'")
    place = add_place(context, repository, newest) if origin.is_lazy else 0
    renew_due(context)
    slots = Slots(repository, newest)
    text = f"'{origin.name}' in {repository.url}"
    with ExitStack() as stack:
        handle = open_volume(context.pages, volume)
        transaction = begun(stack, handle)
        base = handle.version
        _require_unchanged(row, origin, base.version, force=force)
        cookie = schema_cookie(handle) if base.size_bytes else 0
        since = dict(lineage(context, volume, base.version)).get(origin.volume, 0)
        since = origin.version if origin.version <= since else 0
        has_changes = (row.volume, base.version) != (origin.volume, origin.version)
        try:
            old = _old_side(repository, origin)
            new = Side(slots.read_slot, ref.record, slots.place_of)
            is_whole = has_changes or old is None
            remote, numbers, crcs = _new_pages(context, new, old, base, since, is_whole=is_whole)
        except CorruptionError as error:
            raise RemoteDamagedError(f"{text} is damaged: {error}") from None
        transaction.truncate(ref.record.size_bytes)
        if origin.is_lazy:
            absent: AbsentPages = absent_pages(context)
            name_pages(transaction, absent, place, remote, numbers, crcs)
            absent.sync()  # N1
        else:
            copy_pages(slots, transaction, ref.record.size_bytes, remote, numbers, crcs, text, progress)
        if ref.record.size_bytes:
            is_later = (ref.store, ref.record.volume) == (origin.store, origin.record.volume) and (
                ref.record.version >= origin.record.version and not has_changes
            )
            move_cookie(transaction, cookie, is_later=is_later)
        version = transaction.publish(Durability.FULL).version
    with context.catalog.transaction():
        keep_origin(
            context,
            row.cluster,
            origin._replace(
                number=newest.number, record=ref.record, store=ref.store, volume=row.volume, version=version
            ),
        )
        message = f"cluster '{row.name}' pulled version {ref.record.version} of {text}"
        context.catalog.events.add("cluster", row.name, "recovery", message)
    return version, len(numbers)


def _old_side(repository: Repository, origin: Origin) -> Side | None:
    """The version that the cluster has, as the repository has it; None if its state has expired."""
    state = repository.state(origin.number)
    if state is None:
        return None
    slots = Slots(repository, state)
    return Side(slots.read_slot, origin.record, slots.place_of)


def _new_pages(
    context: Context, new: Side, old: Side | None, base: Version, since: int, *, is_whole: bool
) -> tuple[array[int], array[int], array[int]]:
    """The remote slots, numbers and checksums of pages that differ from those of the version ``base`` here.

    A page of ``base`` that was written up to version ``since`` is that of ``old``.  ``is_whole``: look at all leaves.
    """
    remote, numbers, crcs = array("I"), array("I"), array("I")
    for leaf, present, former in differing_leaves(new, old, is_whole=is_whole):
        slots, sums, known = present[0::4].tolist(), present[1::4].tolist(), former[0::4].tolist()
        here, births = _leaf_of(context, base, leaf)
        first = leaf << FANOUT_SHIFT
        for index in range(min(FANOUT, new.version.page_count - first)):
            slot = slots[index]
            if 0 < slot < FIRST_SLOT:
                raise RemoteDamagedError(f"it names slot {slot}, which no repository has")
            is_same = slot == known[index] and births[index] <= since if slot and here[index] else slot == here[index]
            if not is_same:
                remote.append(slot)
                numbers.append(first + index)
                crcs.append(sums[index] if slot else ZERO_CRC)
    return remote, numbers, crcs


def _leaf_of(context: Context, version: Version, number: int) -> tuple[list[int], list[int]]:
    """The slots and births of a leaf here."""
    pages = context.pages
    slot = find_leaf(pages.pool_words, version.root.slot, version.depth, number)
    if not version.depth or number >> (8 * (version.depth - 1)) or not slot:
        return [0] * FANOUT, [0] * FANOUT
    node = pages.read_slot(slot)
    return node.cast("I")[0::4].tolist(), node.cast("Q")[1::2].tolist()
