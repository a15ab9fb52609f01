"""Storage against a model of itself: volumes as dictionaries of pages, tables and maps as sets.

A state machine plays random histories (create, clone, write, commit, roll back, drop, reopen, with readers pinned at
any version) on a store and on dictionaries; after every step each pinned reader must read exactly its own version.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import clusterdb
import vfs.chores
import vfs.reclaim
import vfs.slots
import vfs.volume
from vfs import layout
from vfs.errors import (
    CorruptionError,
    FormatError,
    PoolFullError,
    SnapshotMovedError,
    StorageError,
    VolumeDroppedError,
    WriterBusyError,
)
from vfs.layout import (
    HOLE,
    LIVE_EVEN,
    MAP_HEADER_BYTES,
    MAP_HINT_AT,
    MAP_SLOT_COUNT_AT,
    RESERVED,
    SECTOR_BYTES,
    SLOT_BYTES,
    SLOT_COUNT_MAX,
    VERSION_RECORD_BYTES,
    Entry,
    Version,
    depth_of,
    pack_pool_header,
    pack_version,
    page_count_of,
    unpack_entries,
    unpack_entry,
    unpack_pool_header,
    unpack_version,
)
from vfs.slots import PREPARED_SLOTS, SlotMap, runs_of
from vfs.table import Dirty, Editor, find_leaf, only_in, reached
from vfs.volume import Durability, Volume, WriteTransaction

ZEROS = bytes(SLOT_BYTES)

# --- volumes as dictionaries ----------------------------------------------------------------------------------------
page_numbers = st.one_of(
    st.integers(0, 12),
    st.sampled_from([254, 255, 256, 257, 300, 511, 65_535, 65_536, 70_000]),
)
fills = st.integers(0, 9)
page_writes = st.lists(st.tuples(page_numbers, fills), min_size=1, max_size=6)
durabilities = st.sampled_from(Durability)
choices = st.integers(0, 1 << 16)


def page_bytes(page: int, fill: int) -> bytes:
    """A page whose bytes tell where it belongs; fill 0 is a page of zeros."""
    return ZEROS if fill == 0 else (b"page %d, fill %d. " % (page, fill)).ljust(32, b"-") * (SLOT_BYTES // 32)


@dataclass
class Content:
    """What a version holds: its size, and the pages that are not all zeros."""

    size_bytes: int = 0
    pages: dict[int, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.size_bytes} bytes, pages {sorted(self.pages)}>"

    def copy(self) -> Content:
        """The same content, to be changed on its own."""
        return Content(self.size_bytes, dict(self.pages))

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes at ``offset``."""
        for page in range(offset // SLOT_BYTES, (offset + len(data) - 1) // SLOT_BYTES + 1):
            begin = page * SLOT_BYTES
            old = bytearray(self.pages.get(page, ZEROS))
            part = data[max(begin - offset, 0) : begin + SLOT_BYTES - offset]
            within = max(offset - begin, 0)
            old[within : within + len(part)] = part
            self._set(page, bytes(old))
        self.size_bytes = max(self.size_bytes, offset + len(data))

    def truncate(self, size_bytes: int) -> None:
        """Cut or extend to a size."""
        last, within = divmod(size_bytes, SLOT_BYTES)
        for page in [page for page in self.pages if page * SLOT_BYTES >= size_bytes]:
            del self.pages[page]
        if within and last in self.pages:
            self._set(last, self.pages[last][:within].ljust(SLOT_BYTES, b"\0"))
        self.size_bytes = size_bytes

    def _set(self, page: int, data: bytes) -> None:
        if data == ZEROS:
            self.pages.pop(page, None)
        else:
            self.pages[page] = data

    def read(self, amount: int, offset: int) -> bytes:
        """Up to ``amount`` bytes; fewer only at the end."""
        end = min(offset + amount, self.size_bytes)
        if end <= offset:
            return b""
        first = offset // SLOT_BYTES
        joined = b"".join(self.pages.get(page, ZEROS) for page in range(first, (end - 1) // SLOT_BYTES + 1))
        return joined[offset - first * SLOT_BYTES : end - first * SLOT_BYTES]


@dataclass(eq=False)
class Modelled:
    """A cluster and what was last committed to it."""

    cluster: clusterdb.Cluster
    committed: Content
    is_dropped: bool = False
    is_being_written: bool = False


@dataclass(eq=False)
class Handle:
    """An open volume: what it has pinned, and what its transaction has made of that."""

    of: Modelled
    volume: Volume
    pinned: Content | None = None
    transaction: WriteTransaction | None = None
    staged: Content | None = None


def assert_reads(source: Volume | WriteTransaction, content: Content) -> None:
    """A handle reads exactly this content, also across page borders, in holes and at its end."""
    assert source.size_bytes == content.size_bytes
    for page in sorted({0, 3, 299, 69_999, *content.pages, *(page + 1 for page in content.pages)}):
        offset = page * SLOT_BYTES
        if offset < content.size_bytes:
            is_right = bytes(source.read(SLOT_BYTES, offset)) == content.read(SLOT_BYTES, offset)
            assert is_right, f"page {page}"
    for offset in {0, 4000, max(0, content.size_bytes - 50)}:
        assert bytes(source.read(200, offset)) == content.read(200, offset), f"200 bytes at {offset}"


class StoreMachine(RuleBasedStateMachine):
    """Random histories on one store.  Subclasses say where it lives and which limits are lowered."""

    on_disk = False
    limits: tuple[tuple[object, str, int], ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        for module, name, value in self.limits:
            self._patch.setattr(module, name, value)
        self._directory = tempfile.mkdtemp(prefix="clusterdb-model-") if self.on_disk else None
        self.store = self._open()
        self.live: list[Modelled] = []
        self.handles: list[Handle] = []
        self._named_count = 0

    def _open(self) -> clusterdb.Store:
        return clusterdb.open(Path(self._directory) / "store" if self._directory else ":memory:")

    def _name(self) -> str:
        self._named_count += 1
        return f"c{self._named_count}"

    def _which(self, *, pinned: bool | None = None, writing: bool | None = None) -> list[Handle]:
        return [
            handle
            for handle in self.handles
            if pinned in (None, handle.pinned is not None) and writing in (None, handle.transaction is not None)
        ]

    # --- clusters -----------------------------------------------------------------------------------------------
    @initialize(writes=page_writes)
    def begin_with_one(self, writes: list[tuple[int, int]]) -> None:
        self.create()
        self.transact(0, writes, Durability.FULL)

    @precondition(lambda self: len(self.live) < 6)
    @rule()
    def create(self) -> None:
        self.live.append(Modelled(self.store.create_cluster(self._name()), Content()))

    @precondition(lambda self: 0 < len(self.live) < 10)
    @rule(choice=choices)
    def clone(self, choice: int) -> None:
        """A clone has the last committed state, whatever its source's writer is doing."""
        source = self.live[choice % len(self.live)]
        self.live.append(Modelled(source.cluster.clone(self._name()), source.committed.copy()))

    @precondition(lambda self: self.live)
    @rule(choice=choices)
    def drop(self, choice: int) -> None:
        """Any cluster can be dropped at any time."""
        dropped = self.live.pop(choice % len(self.live))
        dropped.cluster.delete()
        dropped.is_dropped = True

    # --- handles ------------------------------------------------------------------------------------------------
    @precondition(lambda self: self.live and len(self.handles) < 8)
    @rule(choice=choices)
    def open_handle(self, choice: int) -> None:
        """A new handle, pinned at the head."""
        self._open_handle(choice)

    def _open_handle(self, choice: int) -> Handle:
        of = self.live[choice % len(self.live)]
        volume = self.store._pages.open_volume(self.store._volume_of(of.cluster))
        volume.pin()
        handle = Handle(of, volume, of.committed.copy())
        self.handles.append(handle)
        return handle

    @precondition(lambda self: self._which(writing=False))
    @rule(choice=choices)
    def pin_again(self, choice: int) -> None:
        """Pinning gives the head; a dropped volume refuses."""
        fit = self._which(writing=False)
        handle = fit[choice % len(fit)]
        handle.volume.unpin()
        handle.pinned = None
        if handle.of.is_dropped:
            with pytest.raises(VolumeDroppedError):
                handle.volume.pin()
            return
        handle.volume.pin()
        handle.pinned = handle.of.committed.copy()

    @precondition(lambda self: self._which(pinned=True, writing=False))
    @rule(choice=choices)
    def unpin(self, choice: int) -> None:
        """A handle without a pin holds nothing."""
        fit = self._which(pinned=True, writing=False)
        handle = fit[choice % len(fit)]
        handle.volume.unpin()
        handle.pinned = None

    @precondition(lambda self: self.handles)
    @rule(choice=choices)
    def close_handle(self, choice: int) -> None:
        """Closing rolls back what was not published."""
        self._close(self.handles[choice % len(self.handles)])

    def _close(self, handle: Handle) -> None:
        self._end(handle)
        handle.volume.close()
        self.handles.remove(handle)

    # --- write transactions -------------------------------------------------------------------------------------
    @precondition(lambda self: self._which(pinned=True, writing=False))
    @rule(choice=choices)
    def begin(self, choice: int) -> None:
        """One writer a volume, and only on top of its head."""
        fit = self._which(pinned=True, writing=False)
        self._begin(fit[choice % len(fit)])

    def _begin(self, handle: Handle) -> None:
        refusal: type[StorageError] | None = None
        if handle.of.is_being_written:
            refusal = WriterBusyError
        elif handle.of.is_dropped:
            refusal = VolumeDroppedError
        elif handle.volume.version.version != handle.of.cluster.stats().version:
            refusal = SnapshotMovedError
        if refusal is not None:
            with pytest.raises(refusal):
                handle.volume.begin_write()
            return
        handle.transaction = handle.volume.begin_write()
        assert handle.pinned == handle.of.committed
        handle.staged = handle.pinned.copy()
        handle.of.is_being_written = True

    @precondition(lambda self: self._which(writing=True))
    @rule(choice=choices, writes=page_writes)
    def write_pages(self, choice: int, writes: list[tuple[int, int]]) -> None:
        """Writes of whole pages."""
        fit = self._which(writing=True)
        for page, fill in writes:
            self._write(fit[choice % len(fit)], page_bytes(page, fill), page * SLOT_BYTES)

    @precondition(lambda self: self._which(writing=True))
    @rule(choice=choices, page=page_numbers, within=st.integers(1, 4095), size=st.integers(1, 9000), fill=fills)
    def write_part(self, choice: int, page: int, within: int, size: int, fill: int) -> None:
        """A write that begins and ends anywhere."""
        fit = self._which(writing=True)
        self._write(fit[choice % len(fit)], (page_bytes(page, fill) * 3)[:size], page * SLOT_BYTES + within)

    def _write(self, handle: Handle, data: bytes, offset: int) -> None:
        assert handle.transaction is not None and handle.staged is not None
        handle.transaction.write(data, offset)
        handle.staged.write(data, offset)

    @precondition(lambda self: self._which(writing=True))
    @rule(choice=choices, page=page_numbers, within=st.sampled_from([0, 0, 1, 2048, 4095]))
    def truncate(self, choice: int, page: int, within: int) -> None:
        """Cut or extend to any size."""
        fit = self._which(writing=True)
        handle = fit[choice % len(fit)]
        assert handle.transaction is not None and handle.staged is not None
        handle.transaction.truncate(page * SLOT_BYTES + within)
        handle.staged.truncate(page * SLOT_BYTES + within)

    @precondition(lambda self: self._which(writing=True))
    @rule(choice=choices, durability=durabilities, goes_on=st.booleans())
    def commit(self, choice: int, durability: Durability, goes_on: bool) -> None:
        """Publish; a dropped volume refuses.  The transaction ends or goes on."""
        fit = self._which(writing=True)
        self._commit(fit[choice % len(fit)], durability)
        if not goes_on:
            self._end(fit[choice % len(fit)])

    def _commit(self, handle: Handle, durability: Durability) -> None:
        assert handle.transaction is not None and handle.staged is not None
        if handle.of.is_dropped and not handle.transaction.is_unchanged():
            with pytest.raises(VolumeDroppedError):
                handle.transaction.publish(durability)
            self._end(handle)
            return
        handle.transaction.publish(durability)
        handle.of.committed = handle.staged.copy()
        handle.pinned = handle.staged.copy()

    @precondition(lambda self: any(not each.is_being_written for each in self.live) and len(self.handles) < 8)
    @rule(choice=choices, writes=page_writes, durability=durabilities)
    def transact(self, choice: int, writes: list[tuple[int, int]], durability: Durability) -> None:
        """A whole transaction through a handle of its own."""
        free = [at for at, each in enumerate(self.live) if not each.is_being_written]
        handle = self._open_handle(free[choice % len(free)])
        self._begin(handle)
        for page, fill in writes:
            self._write(handle, page_bytes(page, fill), page * SLOT_BYTES)
        self._commit(handle, durability)
        self._close(handle)

    @precondition(lambda self: self._which(writing=True))
    @rule(choice=choices)
    def roll_back(self, choice: int) -> None:
        """What was not published is forgotten."""
        fit = self._which(writing=True)
        self._end(fit[choice % len(fit)])

    def _end(self, handle: Handle) -> None:
        if handle.transaction is not None:
            handle.transaction.end()
            handle.transaction = handle.staged = None
            handle.of.is_being_written = False

    # --- the store ----------------------------------------------------------------------------------------------
    @precondition(lambda self: self.on_disk)
    @rule()
    def reopen_store(self) -> None:
        """What was committed is there when the store is opened again."""
        for handle in list(self.handles):
            self._close(handle)
        self.store.close()
        self.store = self._open()
        for modelled in self.live:
            modelled.cluster = self.store.cluster(modelled.cluster.name)

    # --- what must always hold ----------------------------------------------------------------------------------
    @invariant()
    def readers_read_their_version(self) -> None:
        for handle in self.handles:
            if handle.pinned is not None:
                assert_reads(handle.volume, handle.pinned)
            if handle.transaction is not None and handle.staged is not None:
                assert_reads(handle.transaction, handle.staged)

    @invariant()
    def nothing_is_damaged(self) -> None:
        problems = self.store.check().problems
        assert problems == []

    def teardown(self) -> None:
        """When all is closed and dropped, only the pool header is left."""
        try:
            for modelled in self.live:
                with self.store._pages.pinned(self.store._volume_of(modelled.cluster)) as volume:
                    assert_reads(volume, modelled.committed)
            for handle in list(self.handles):
                self._close(handle)
            for modelled in self.live:
                modelled.cluster.delete()
            report = self.store.check()
            assert (report.problems, report.leaked_count) == ([], 0)
            assert self.store.stats().used_bytes == SLOT_BYTES
        finally:
            self._patch.undo()
            with contextlib.suppress(clusterdb.Error):
                self.store.close()
            if self._directory is not None:
                shutil.rmtree(self._directory)


class DiskMachine(StoreMachine):
    """As above, on disk, with reopening."""

    on_disk = True


_LOW_LIMITS: tuple[tuple[object, str, int], ...] = (
    (vfs.volume, "STAGED_PAGES_MAX", 3),
    (vfs.reclaim, "UNSYNCED_SLOTS_MAX", 8),
    (vfs.reclaim, "_DRAIN_SLOTS", 2),
    (vfs.chores, "_LARGE_SLOTS", 6),
)


class LowLimitsMachine(StoreMachine):
    """With limits so low that writing ahead, draining and large drops happen all the time."""

    limits = _LOW_LIMITS


class LowLimitsDiskMachine(DiskMachine):
    """The same on disk."""

    limits = _LOW_LIMITS


def play(machine: type[StoreMachine], example_count: int, step_count: int) -> None:
    """Play that many random histories of up to ``step_count`` steps."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=example_count,
            stateful_step_count=step_count,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.parametrize("machine", [StoreMachine, LowLimitsMachine])
def test_random_histories(machine: type[StoreMachine]) -> None:
    """Whatever happens in a store, readers read their version and all space comes back."""
    play(machine, 60, 50)


def test_random_histories_on_disk() -> None:
    """The same on disk, across reopening."""
    play(LowLimitsDiskMachine, 10, 40)


@pytest.mark.parametrize("drops_source", [False, True])
def test_a_clone_dropped_under_a_reader(drops_source: bool) -> None:
    """Dropping takes nothing from under a reader, whatever volume its pages are from."""
    machine = DiskMachine()
    try:
        machine.begin_with_one([(0, 1), (1, 1)])
        machine.clone(0)
        machine.open_handle(1)  # a reader of the clone
        machine.transact(0, [(0, 2), (1, 2)], Durability.FULL)
        if drops_source:
            machine.drop(0)
        machine.drop(len(machine.live) - 1)
        machine.nothing_is_damaged()
        machine.create()
        machine.transact(len(machine.live) - 1, [(page, 3) for page in range(12)], Durability.FULL)
        machine.readers_read_their_version()
    finally:
        machine.teardown()


@pytest.mark.slow
@pytest.mark.parametrize("machine", [StoreMachine, LowLimitsMachine, DiskMachine, LowLimitsDiskMachine])
def test_many_random_histories(machine: type[StoreMachine]) -> None:
    """More and longer histories."""
    play(machine, 250, 60)


def test_a_lone_clone_gives_back_what_it_rewrites() -> None:
    """When the source is gone, what the clone overwrites is nobody's and comes back."""
    with clusterdb.open(":memory:") as store:
        for at in range(1, 4):
            if at == 1:
                cluster = store.create_cluster("c1")
            else:
                source, cluster = cluster, cluster.clone(f"c{at}")
                source.delete()
            connection = cluster.connect()
            connection.execute(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (body); INSERT INTO t VALUES (randomblob(400000))"
            )
            connection.close()
        assert store.stats().used_bytes == SLOT_BYTES + cluster.stats().own_bytes


# --- the page table -------------------------------------------------------------------------------------------------
class Slots:
    """A pool in a list, for page tables without a store."""

    def __init__(self) -> None:
        self.contents: list[bytes] = [ZEROS]

    def place(self, node: bytes | bytearray) -> int:
        self.contents.append(bytes(node))
        return len(self.contents) - 1

    def read(self, slot: int) -> memoryview:
        return memoryview(self.contents[slot])


table_pages = st.one_of(
    st.integers(0, 5), st.sampled_from([255, 256, 300, 65_535, 65_536, 70_000, 1 << 24, (1 << 24) + 300])
)
table_steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), table_pages),
        st.tuples(st.just("set again"), table_pages),
        st.tuples(st.just("truncate"), table_pages),
        st.tuples(st.just("grow"), table_pages),
    ),
    max_size=8,
)


@dataclass
class Step:
    """A version of a table, and what its pages are by the model."""

    version: Version
    pages: dict[int, Entry]

    def slots(self, pool: Slots, born_after: int = 0) -> set[int]:
        return {at.entry.slot for at in reached(pool.read, self.version, born_after)}


def make_version(number: int, page_count: int, root: Entry) -> Version:
    return Version(1, number, number, page_count * SLOT_BYTES, 1 << 20, 0, 0, root)


def edit(
    pool: Slots, base: Step, number: int, steps: list[tuple[str, int]], recent: dict[Entry, Dirty]
) -> tuple[Step, Editor]:
    """Apply steps to a version with an Editor and to its model with dictionary operations."""
    editor = Editor(pool.read, base.version, number, recent)
    pages, page_count = dict(base.pages), base.version.page_count
    for verb, page in steps:
        if verb in ("set", "set again"):
            own = page in pages and pages[page].birth == number
            slot = pages[page].slot if own and verb == "set again" else pool.place(b"")
            page_count = max(page_count, page + 1)
            editor.grow(page_count)
            editor.set_page(page, slot, slot + 7)
            pages[page] = Entry(slot, slot + 7, number)
        elif verb == "truncate" and page < page_count:
            editor.truncate(page)
            pages = {kept: entry for kept, entry in pages.items() if kept < page}
            page_count = page
        elif verb == "grow":
            page_count = max(page_count, page)
    editor.grow(page_count)
    root = editor.seal(pool.place)
    return Step(make_version(number, page_count, root), pages), editor


def history(pool: Slots, edits: list[list[tuple[str, int]]]) -> Iterator[tuple[Step, Step, Editor]]:
    """(before, after, editor) of one version after the other."""
    before, recent = Step(make_version(1, 0, HOLE), {}), {}
    for number, steps in enumerate(edits, 2):
        after, editor = edit(pool, before, number, steps, recent)
        yield before, after, editor
        before, recent = after, editor.published()


histories = st.lists(table_steps, min_size=1, max_size=6)


@settings(deadline=None, max_examples=80)
@given(histories)
def test_a_table_names_the_pages_that_were_set(edits: list[list[tuple[str, int]]]) -> None:
    """Walks and look-ups find what was set and not truncated since, and nothing else."""
    pool = Slots()
    for _, after, _ in history(pool, edits):
        found = {at.number: at.entry for at in reached(pool.read, after.version) if at.level < 0}
        assert found == after.pages
        words = memoryview(b"".join(content.ljust(SLOT_BYTES, b"\0") for content in pool.contents)).cast("I")
        for page, entry in after.pages.items():
            leaf = find_leaf(words, after.version.root.slot, after.version.depth, page >> 8)
            assert leaf and words[(leaf << 10) + ((page & 255) << 2)] == entry.slot


@settings(deadline=None, max_examples=80)
@given(histories)
def test_an_edit_accounts_for_every_slot(edits: list[list[tuple[str, int]]]) -> None:
    """Superseded is what the new version no longer reaches; counts and leftovers add up."""
    pool = Slots()
    for before, after, editor in history(pool, edits):
        old, new = before.slots(pool), after.slots(pool)
        superseded = [slot for slot, _ in editor.superseded]
        assert len(superseded) == len(set(superseded)) and set(superseded) == old - new
        births = {at.entry.slot: at.entry.birth for at in reached(pool.read, before.version)}
        assert all(births[slot] == birth for slot, birth in editor.superseded)
        assert editor.added_count == len(new) - len(old)
        assert not set(editor.discarded) & (old | new)
        assert len(editor.discarded) == len(set(editor.discarded))


@settings(deadline=None, max_examples=80)
@given(histories)
@example([[("set", 0)], [("set", 300)], [("set", 70_000)], [("truncate", 1)]])
def test_walks_are_set_differences(edits: list[list[tuple[str, int]]]) -> None:
    """``only_in`` gives what no other version of the lineage has, ``born_after`` what is younger; each slot once."""
    pool = Slots()
    steps = [after for _, after, _ in history(pool, edits)]
    for one in steps:
        births = {at.entry.slot: at.entry.birth for at in reached(pool.read, one.version)}
        for born_after in {0, one.version.version // 2, one.version.version}:
            young = {slot for slot, birth in births.items() if birth > born_after}
            assert one.slots(pool, born_after) == young
            for others in ([], *([other] for other in steps), [other for other in steps if other is not one]):
                walk = only_in(pool.read, one.version, [other.version for other in others], born_after)
                found = [at.entry.slot for at in walk]
                assert len(found) == len(set(found))
                assert set(found) == young.difference(*(other.slots(pool) for other in others))


def test_a_walk_stops_at_a_damaged_node() -> None:
    """A node that fails its checksum is reported, not followed."""
    pool = Slots()
    ((_, after, _),) = history(pool, [[("set", 0), ("set", 300)]])
    leaf = next(at.entry.slot for at in reached(pool.read, after.version) if at.level == 0)
    pool.contents[leaf] = pool.contents[leaf][:-1] + b"\1"
    with pytest.raises(CorruptionError, match=f"slot {leaf} .* fails its checksum"):
        list(reached(pool.read, after.version))


# --- the byte layout ------------------------------------------------------------------------------------------------
words32, words64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
entries = st.builds(Entry, words32, words32, words64)
signed64 = st.integers(-(1 << 63), (1 << 63) - 1)
sizes, counts = st.integers(0, SLOT_COUNT_MAX * SLOT_BYTES), st.integers(0, SLOT_COUNT_MAX)
versions = st.builds(Version, words64, words64, words64, sizes, counts, signed64, words64, entries)


@given(versions)
def test_version_records_round_trip(version: Version) -> None:
    """What is packed into a sector comes out again."""
    sector = pack_version(version)
    assert len(sector) == SECTOR_BYTES
    assert unpack_version(sector) == version
    assert unpack_version(memoryview(sector)[:VERSION_RECORD_BYTES]) == version


@given(versions, st.integers(0, VERSION_RECORD_BYTES - 1), st.integers(1, 255))
def test_a_damaged_version_record_is_none(version: Version, at: int, flip: int) -> None:
    """A record with a wrong byte, or cut short, is no record."""
    sector = bytearray(pack_version(version))
    sector[at] ^= flip
    assert unpack_version(bytes(sector)) is None
    assert unpack_version(pack_version(version)[:at]) is None


def test_an_empty_sector_is_no_record() -> None:
    """Zeros are no version."""
    assert unpack_version(bytes(SECTOR_BYTES)) is None


@given(st.binary(min_size=16, max_size=16))
def test_the_pool_header_round_trips(store_id: bytes) -> None:
    """A pool knows its identity."""
    assert unpack_pool_header(pack_pool_header(store_id)) == store_id
    assert len(pack_pool_header(store_id)) == SLOT_BYTES


@given(st.integers(0, 35), st.integers(1, 255))
def test_a_damaged_pool_header_is_refused(at: int, flip: int) -> None:
    """Damage is told from a foreign file and from another format."""
    header = bytearray(pack_pool_header(b"0123456789abcdef"))
    header[at] ^= flip
    with pytest.raises(FormatError if at < 12 else CorruptionError):
        unpack_pool_header(bytes(header))


@pytest.mark.parametrize("data", [b"", b"clstpool", b"SQLite format 3\0".ljust(SLOT_BYTES, b"\0")])
def test_other_files_are_no_pool(data: bytes) -> None:
    """A file that is no pool is refused as one."""
    with pytest.raises(FormatError):
        unpack_pool_header(data)


@given(st.dictionaries(st.integers(0, 255), entries, max_size=20))
def test_node_entries_round_trip(some: dict[int, Entry]) -> None:
    """A node gives back its entries by index; holes are left out of the list of them."""
    node = Dirty(bytearray(SLOT_BYTES), HOLE)
    for index, entry in some.items():
        node.set(index, *entry)
    assert [unpack_entry(node.data, index) for index in range(256)] == [some.get(index, HOLE) for index in range(256)]
    assert unpack_entries(bytes(node.data)) == [(index, some[index]) for index in sorted(some) if some[index].slot]


@pytest.mark.parametrize(
    ("page_count", "depth"), [(0, 0), (1, 1), (256, 1), (257, 2), (1 << 16, 2), ((1 << 16) + 1, 3), (1 << 24, 3)]
)
def test_depth_follows_the_page_count(page_count: int, depth: int) -> None:
    """Each level multiplies by 256."""
    assert depth_of(page_count) == depth


@given(st.integers(0, 1 << 44))
def test_page_count_covers_the_size(size_bytes: int) -> None:
    """No byte without its page, and no page without a byte."""
    count = page_count_of(size_bytes)
    assert (count - 1) * SLOT_BYTES < size_bytes <= count * SLOT_BYTES or count == size_bytes == 0


# --- the slot map ---------------------------------------------------------------------------------------------------
FIRST_SLOTS = 64


@pytest.fixture
def make_map() -> Iterator[Callable[[], tuple[SlotMap, SlotMap]]]:
    """A function that makes an empty map, as two processes have it mapped."""
    fds: list[int] = []

    def make() -> tuple[SlotMap, SlotMap]:
        map_fd, pool_fd = os.memfd_create("map"), os.memfd_create("pool")
        fds.extend((map_fd, pool_fd))
        os.ftruncate(pool_fd, FIRST_SLOTS * SLOT_BYTES)
        os.ftruncate(map_fd, MAP_HEADER_BYTES + 2 * FIRST_SLOTS)
        os.pwrite(map_fd, FIRST_SLOTS.to_bytes(8, "little"), 8 * MAP_SLOT_COUNT_AT)
        os.pwrite(map_fd, LIVE_EVEN.to_bytes(2, "little"), MAP_HEADER_BYTES)
        return SlotMap(map_fd, pool_fd, is_durable=False), SlotMap(map_fd, pool_fd, is_durable=False)

    yield make
    for fd in fds:
        os.close(fd)


def has_run(taken: set[int], slot_count: int, count: int) -> bool:
    """Whether ``count`` slots in a row are free."""
    return any(size >= count for _, size in runs_of(slot for slot in range(1, slot_count) if slot not in taken))


slot_steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve a run", "free", "label"]),
        st.integers(0, 3),
        st.one_of(st.integers(1, 40), st.integers(200, 700)),
        st.randoms(use_true_random=False),
    ),
    max_size=25,
)


@pytest.mark.parametrize("near", [1, vfs.slots._NEAR_SLOTS])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=slot_steps)
def test_the_map_gives_each_slot_once(
    make_map: Callable[[], tuple[SlotMap, SlotMap]],
    monkeypatch: pytest.MonkeyPatch,
    near: int,
    steps: list[tuple[str, int, int, object]],
) -> None:
    """Reserved slots are free ones, in order, all inside the pool; few of them come as a run where there is one.

    The pool grows for slots that need not be a run only if there are not enough.
    """
    monkeypatch.setattr(vfs.slots, "_NEAR_SLOTS", near)
    maps = make_map()
    reserved: dict[int, set[int]] = {row: set() for row in range(4)}
    live: set[int] = set()
    for verb, row, count, random in steps:
        slot_map = maps[count % 2]
        taken = live.union(*reserved.values())
        if verb.startswith("reserve"):
            could_run = "run" in verb and count <= PREPARED_SLOTS and has_run(taken, slot_map.slot_count, count)
            slot_count, could_stay = slot_map.slot_count, "run" not in verb and slot_map.free_count() >= count
            slots = slot_map.reserve_run(row, count, 0) if "run" in verb else slot_map.reserve(row, count)
            assert slot_map.slot_count == slot_count or not could_stay
            assert len(slots) == len(set(slots)) == count and slots == sorted(slots)
            assert not taken.intersection(slots) and slots[0] > 0 and slots[-1] < slot_map.slot_count
            assert not could_run or len(runs_of(slots)) == 1
            reserved[row].update(slots)
        else:
            some = random.sample(sorted(reserved[row]), len(reserved[row]) // 2)  # type: ignore[attr-defined]
            reserved[row].difference_update(some)
            if verb == "free":
                slot_map.free(some)
            else:
                slot_map.label_live(some)
                live.update(some)
        for view in maps:
            assert view.used_count() == 1 + len(live) + sum(map(len, reserved.values()))
            assert set(view.slots_in_state(RESERVED + row)) == reserved[row]


def test_the_pool_reaches_as_far_as_the_map(make_map: Callable[[], tuple[SlotMap, SlotMap]]) -> None:
    """Every slot that is given out lies inside the pool file."""
    slot_map, _ = make_map()
    for count in (1, 63, 64, 1000, 3):
        slots = slot_map.reserve(0, count)
        assert os.fstat(slot_map._pool_fd).st_size >= (slots[-1] + 1) * SLOT_BYTES


def test_the_hint_is_only_a_hint(make_map: Callable[[], tuple[SlotMap, SlotMap]]) -> None:
    """Free slots below the hint are found before the pool grows for what is still missing."""
    slot_map, _ = make_map()
    slot_map.header[MAP_HINT_AT] = FIRST_SLOTS - 1
    assert set(range(1, FIRST_SLOTS)) < set(slot_map.reserve(0, PREPARED_SLOTS + FIRST_SLOTS))


def test_a_stretch_that_is_full_is_searched_once(
    make_map: Callable[[], tuple[SlotMap, SlotMap]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A free slot far in front of the next one does not make every reservation read all between them."""
    slot_map, _ = make_map()
    slot_map.reserve(0, 100_000)
    slot_map.reserve(0, slot_map.free_count())
    ends = [5, slot_map.slot_count - 1]
    searched = 0
    find = SlotMap._find_free

    def counted(self: SlotMap, slot: int, end: int) -> int:
        nonlocal searched
        found = find(self, slot, end)
        searched += max(0, found - slot)
        return found

    slot_map.free(ends)
    monkeypatch.setattr(SlotMap, "_find_free", counted)
    for _ in range(100):
        assert slot_map.reserve(0, 2) == ends
        slot_map.free(ends)
    assert searched < 100_000 + 100 * 2 * 4096


def test_what_another_process_freed_is_found_before_the_pool_grows(
    make_map: Callable[[], tuple[SlotMap, SlotMap]],
) -> None:
    """Even where this one found nothing free the last time."""
    ours, theirs = make_map()
    ours.reserve(0, 100_000)
    ours.reserve(0, ours.free_count())
    last = ours.slot_count - 1
    ours.free([last])
    ours.header[MAP_HINT_AT] = 1
    assert ours.reserve(0, 1) == [last]
    theirs.free([20_000, 50_000])
    ours.header[MAP_HINT_AT] = last  # the race was lost
    assert ours.reserve(1, 2) == [20_000, 50_000]


@pytest.mark.parametrize("count", [200, 400])
def test_a_full_pool_reserves_nothing(
    make_map: Callable[[], tuple[SlotMap, SlotMap]], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """When the pool cannot grow, what was free stays free."""
    slot_map, _ = make_map()
    monkeypatch.setattr(layout, "SLOT_COUNT_MAX", 100)
    with pytest.raises(PoolFullError):
        slot_map.reserve(0, count)
    assert slot_map.used_count() == 1
    assert len(slot_map.reserve(0, FIRST_SLOTS - 1)) == FIRST_SLOTS - 1


def test_damage_shows_in_the_crc() -> None:
    """The model's own premise: entries carry the crc32 of what they name."""
    pool = Slots()
    ((_, after, _),) = history(pool, [[("set", 1)]])
    assert after.version.root.crc == zlib.crc32(pool.contents[after.version.root.slot])
