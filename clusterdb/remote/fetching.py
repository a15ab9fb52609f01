"""Databases of a repository in a new volume: the page table at once, and pages when they are read, or all of them in
parallel ranges.

Every node and page is compared with its checksum.  The cluster becomes visible when it is complete; if the process
dies before, the next one to open the store drops the volume.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from clusterdb.catalog.rows import ClusterRow
from clusterdb.clusters.creating import create_built
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import begun, pinned_volume
from clusterdb.errors import InvalidArgumentError, RemoteDamagedError, RemoteNotFoundError
from clusterdb.past.retention import agree_with_settings
from clusterdb.remote.absent import AbsentPages
from clusterdb.remote.manifest import FIRST_SLOT, Manifest, Ref
from clusterdb.remote.objects import Counts
from clusterdb.remote.origin import Origin, keep_origin
from clusterdb.remote.places import absent_pages, absent_pages_if_any, add_place
from clusterdb.remote.repository import Repository, Slots
from clusterdb.remote.states import require_ref
from clusterdb.remote.tree import Side
from clusterdb.rules.names import check_name
from vfs.abc import Durability
from vfs.errors import CorruptionError
from vfs.failpoints import reach
from vfs.format.layout import ENTRY_BYTES, FANOUT_SHIFT, SLOT_BYTES, ZERO_CRC, ZERO_SLOT
from vfs.registry import VolumeRow
from vfs.storage.heads import published_version
from vfs.storage.volumes import open_volume
from vfs.storage.walk import nodes, reached
from vfs.storage.writer import WriteTransaction

__all__ = ["clone_remote", "copy_pages", "fetch", "name_pages"]

Progress = Callable[[int, int], None]
"""Called with (pages copied, pages in all)."""

_RUN_SLOTS = 256
_GAP_SLOTS = 15
_THREADS = 4
_NAMED_PAGES = 16_384
_REMOTE_BYTES = bytes(range(FIRST_SLOT >> 24, 256))
_COPY_TYPES = ("copy-on-write", "full-copy")


def clone_remote(
    context: Context,
    repository: Repository,
    manifest: Manifest,
    source: str,
    name: str,
    settings: Mapping[str, Any],
    progress: Progress | None,
    copy_type: str = "full-copy",
) -> ClusterRow:
    """Create a cluster from a database of a repository, as a state has it.

    ``copy_type`` other than ``"full-copy"``: its pages are fetched when they are read.

    Raises RemoteNotFoundError, RemoteDamagedError, RemoteUnavailableError, ClusterExistsError, StoreFullError and those
    of creating a cluster; then no cluster is left behind.
    """
    context.require_writable()
    context.catalog.clusters.require_free(check_name(name))
    ref = require_ref(repository, manifest, source)
    wanted = context.default_settings.changed({"engine": ref.engine, **settings})
    if copy_type not in _COPY_TYPES:
        raise InvalidArgumentError(f"copy_type='{copy_type}': use {' or '.join(_COPY_TYPES)}")
    is_lazy = copy_type == _COPY_TYPES[0] and context.pages.may_have_holes
    text = f"'{source}' in {repository.url}"
    with _unexpired(repository, manifest):
        slots = Slots(repository, manifest, ref.hot)
    if is_lazy:
        slots.begin_prefetch()  # meanwhile the state is pinned
    place = add_place(context, repository, manifest) if is_lazy else 0

    def build(volume: VolumeRow) -> None:
        with _unexpired(repository, manifest), context.errors():
            if is_lazy:
                _name(context, volume, slots, ref, text, absent_pages(context), place)
            else:
                _fill(context, volume, slots, ref, text, progress)

    def origin(row: ClusterRow) -> Origin:
        version = published_version(context.pages, context.require_in_use(row.volume))
        address, url = repository.objects.address, repository.url
        return Origin(address, url, source, manifest.number, ref.record, ref.store, row.volume, version, is_lazy)

    row = create_built(
        context,
        name,
        build,
        wanted,
        f"{'cloned' if is_lazy else 'copied'} from {text}",
        also=lambda row: keep_origin(context, row.cluster, origin(row)),
    )
    if wanted.keeps_past_ns:
        agree_with_settings(context, row.cluster)
    return row


@contextmanager
def _unexpired(repository: Repository, manifest: Manifest) -> Iterator[None]:
    """What looks like damage in the body is no longer there if the state has expired: then RemoteNotFoundError."""
    try:
        yield
    except RemoteDamagedError:
        if repository.is_expired(manifest.number):
            raise RemoteNotFoundError(
                f"the state of {repository.url} that was copied has expired meanwhile: copy a newer one, and let "
                "states stay longer (remote gc --keep)"
            ) from None
        raise


def _name(
    context: Context, volume: VolumeRow, slots: Slots, ref: Ref, text: str, absent: AbsentPages, place: int
) -> None:
    """Publish a remote version in an empty volume, whose pages are fetched when they are read."""
    slots.prefetch()
    table, numbers, holes = _leaves(slots, ref, text)
    with ExitStack() as stack:
        transaction = begun(stack, open_volume(context.pages, volume))
        transaction.truncate(ref.record.size_bytes)
        if numbers:
            entries = _without(holes, table)
            stretch = transaction.name_absent_leaves(table, numbers, holes, ref.record.page_count)
            absent.record_stretch(stretch, entries, place)
            reach("clone: pages named")
            absent.sync()  # N1
            reach("clone: places synced")
        transaction.publish(Durability.FULL)
    absent.read_by(place, slots)


def _without(holes: list[int], table: array[int]) -> array[int]:
    """The entries of leaves that are not holes."""
    entries, data = array("I"), memoryview(table).cast("B")
    start = 0
    for hole in holes:
        entries.frombytes(data[ENTRY_BYTES * start : ENTRY_BYTES * hole])
        start = hole + 1
    entries.frombytes(data[ENTRY_BYTES * start :])
    return entries


def name_pages(
    transaction: WriteTransaction,
    absent: AbsentPages,
    place: int,
    remote: array[int],
    numbers: array[int],
    crcs: array[int],
) -> None:
    """Name pages that are fetched when they are read, by their remote slots (0: only zeros), numbers and checksums."""
    for start in range(0, len(numbers), _NAMED_PAGES):
        part = slice(start, start + _NAMED_PAGES)
        absent.record(transaction.name_absent(numbers[part], crcs[part]), remote[part], crcs[part], place)


def _fill(context: Context, volume: VolumeRow, slots: Slots, ref: Ref, text: str, progress: Progress | None) -> None:
    """Write all pages of a remote version into an empty volume, and publish them."""
    size_bytes = ref.record.size_bytes
    remote, numbers, crcs = _pages(slots, ref, text)
    with ExitStack() as stack:
        transaction = begun(stack, context.plane.open_volume(context.pages, volume))
        transaction.truncate(size_bytes)
        copy_pages(slots, transaction, size_bytes, remote, numbers, crcs, text, progress)
        transaction.publish(Durability.FULL)


def copy_pages(
    slots: Slots,
    transaction: Any,
    size_bytes: int,
    remote: array[int],
    numbers: array[int],
    crcs: array[int],
    text: str,
    progress: Progress | None,
) -> None:
    """Write pages by their remote slots (0: only zeros), numbers and checksums, up to the end of a volume.

    Raises RemoteDamagedError.
    """
    done = 0
    for places, data in _runs(slots, remote):
        for at, page in zip(places, data, strict=True):
            if zlib.crc32(page) != crcs[at]:
                raise RemoteDamagedError(f"page {numbers[at]} of {text} fails its checksum")
            start = numbers[at] * SLOT_BYTES
            transaction.write(bytes(page[: size_bytes - start]), start)
        done += len(places)
        if progress is not None:
            progress(done, len(remote))


def _leaves(slots: Slots, ref: Ref, text: str) -> tuple[array[int], list[int], list[int]]:
    """The leaves of a version, one after the other, as words; their numbers; and the entries that are holes."""
    parts: list[memoryview] = []
    numbers: list[int] = []
    record = ref.record
    try:
        side = Side(slots.read_slot, record, slots.place_of)
        for node in nodes(side.read_slot, side.version, damaged=side.damaged):
            if not node.at.level:
                parts.append(node.data)
                numbers.append(node.at.number)
    except CorruptionError as error:
        raise RemoteDamagedError(f"{text} is damaged: {error}") from None
    data = b"".join(parts)
    highest = data[3::ENTRY_BYTES]  # the byte of each slot that tells whether it is remote
    holes = [at for at in _places_of(0, highest) if not any(data[at * ENTRY_BYTES : (at + 1) * ENTRY_BYTES])]
    if len(highest.translate(None, _REMOTE_BYTES)) > len(holes):
        raise RemoteDamagedError(f"{text} names slots that no repository has")
    if numbers:
        end = record.page_count - (numbers[-1] << FANOUT_SHIFT)
        if end <= 0 or any(data[len(data) - SLOT_BYTES + end * ENTRY_BYTES :]):
            raise RemoteDamagedError(f"{text} has pages behind its end")
    return array("I", data), numbers, holes


def _places_of(byte: int, data: bytes) -> Iterator[int]:
    at = data.find(byte)
    while at >= 0:
        yield at
        at = data.find(byte, at + 1)


def _pages(slots: Slots, ref: Ref, text: str) -> tuple[array[int], array[int], array[int]]:
    """The remote slots, numbers and checksums of the pages of a version."""
    table, leaves, holes = _leaves(slots, ref, text)
    numbers = array("I")
    for leaf in leaves:
        numbers.extend(range(leaf << FANOUT_SHIFT, (leaf + 1) << FANOUT_SHIFT))
    remote, crcs = table[0::4], table[1::4]
    for hole in reversed(holes):
        del remote[hole], numbers[hole], crcs[hole]
    return remote, numbers, crcs


def _runs(slots: Slots, remote: array[int]) -> Iterator[tuple[list[int], list[memoryview]]]:
    """The pages in the order of their slots, some at a time: places in ``remote``, and bytes.  Reads run ahead."""
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[tuple[list[int], Future[list[memoryview]]]] = deque()
        try:
            for places in _grouped(slots, remote):
                ahead.append((places, pool.submit(_read, slots, [remote[at] for at in places])))
                if len(ahead) > _THREADS:
                    ready, future = ahead.popleft()
                    yield ready, future.result()
            while ahead:
                ready, future = ahead.popleft()
                yield ready, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _grouped(slots: Slots, remote: array[int]) -> Iterator[list[int]]:
    """Places of pages that one request reads: of one segment, with small gaps."""
    zeros = [at for at, slot in enumerate(remote) if not slot]
    if zeros:
        yield zeros
    group: list[int] = []
    for at in sorted(range(len(remote)), key=remote.__getitem__):
        slot = remote[at]
        if not slot:
            continue
        if group and (
            slot - remote[group[-1]] > _GAP_SLOTS
            or slot - remote[group[0]] >= _RUN_SLOTS
            or slots.segment_of(slot) is not slots.segment_of(remote[group[0]])
        ):
            yield group
            group = []
        group.append(at)
    if group:
        yield group


def _read(slots: Slots, wanted: list[int]) -> list[memoryview]:
    """The bytes of slots of one segment, in one request."""
    first, last = wanted[0], wanted[-1]
    if not first:
        return [memoryview(ZERO_SLOT)] * len(wanted)
    data = slots.read_run(slots.segment_of(first), first, last - first + 1)
    return [data[(slot - first) * SLOT_BYTES :][:SLOT_BYTES] for slot in wanted]


def fetch(context: Context, cluster: ClusterRef, progress: Progress | None, requests: Counts | None = None) -> int:
    """Fetch the absent pages of a cluster: implements :meth:`clusterdb.Cluster.fetch`."""
    context.require_writable()
    row = context.row_of(cluster)
    text = f"cluster '{row.name}'"
    absent = absent_pages_if_any(context)
    if absent is None:
        return 0
    with pinned_volume(context, context.require_in_use(row.volume, text), None, text) as handle, context.errors():
        version, read_slot = handle.version, context.pages.read_slot
        missing = [
            at.entry
            for at in reached(read_slot, version)
            if at.level < 0 and at.entry.crc != ZERO_CRC and read_slot(at.entry.slot) == ZERO_SLOT
        ]
        before = absent.requests()
        missing.sort(key=lambda entry: absent.place_of(entry.slot))  # requests read ahead
        for done, entry in enumerate(missing, 1):
            absent.fetch(entry.slot, entry.crc)
            if progress is not None:
                progress(done, len(missing))
        if requests is not None:
            requests.add(absent.requests(), since=before)
    return len(missing)
