"""Storage against a model of itself: volumes as dictionaries of pages.

A state machine plays random histories (create, clone, write, commit, roll back, drop, reopen, with readers pinned at
any version) on a store and on dictionaries; after every step each pinned reader must read exactly its own version."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
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
import vfs.reclaim.cleanup
import vfs.reclaim.queue
import vfs.storage.slot_map
import vfs.storage.writer
from tests.support.inside import pages_of
from tests.vfs.pages import ZEROS, page_bytes
from vfs.abc import Durability
from vfs.errors import (
    SnapshotMovedError,
    StorageError,
    VolumeDroppedError,
    WriterBusyError,
)
from vfs.format.layout import SLOT_BYTES
from vfs.storage.volume import Volume
from vfs.storage.volumes import open_volume, pinned
from vfs.storage.writer import WriteTransaction

page_numbers = st.one_of(
    st.integers(0, 12),
    st.sampled_from([254, 255, 256, 257, 300, 511, 65_535, 65_536, 70_000]),
)
fills = st.integers(0, 9)
page_writes = st.lists(st.tuples(page_numbers, fills), min_size=1, max_size=6)
durabilities = st.sampled_from(Durability)
choices = st.integers(0, 1 << 16)


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
        volume = open_volume(pages_of(self.store), self.store.context.volume_of(of.cluster))
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

    @precondition(lambda self: any(not modelled.is_being_written for modelled in self.live) and len(self.handles) < 8)
    @rule(choice=choices, writes=page_writes, durability=durabilities)
    def transact(self, choice: int, writes: list[tuple[int, int]], durability: Durability) -> None:
        """A whole transaction through a handle of its own."""
        free = [at for at, cluster in enumerate(self.live) if not cluster.is_being_written]
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
                with pinned(pages_of(self.store), self.store.context.volume_of(modelled.cluster)) as volume:
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
    (vfs.storage.writer, "STAGED_PAGES_MAX", 3),
    (vfs.reclaim.queue, "UNSYNCED_SLOTS_MAX", 8),
    (vfs.reclaim.queue, "_DRAIN_SLOTS", 2),
    (vfs.reclaim.cleanup, "_LARGE_SLOTS", 6),
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
def test_random_histories_match_a_model(machine: type[StoreMachine]) -> None:
    """Readers read their version, and all space comes back."""
    play(machine, 60, 50)


def test_random_histories_on_disk_match_a_model() -> None:
    """On disk, and across reopening."""
    play(LowLimitsDiskMachine, 10, 40)


@pytest.mark.parametrize("drops_source", [False, True])
def test_drop_of_a_clone_keeps_pages_of_its_reader(drops_source: bool) -> None:
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
def test_random_histories_match_a_model_at_length(machine: type[StoreMachine]) -> None:
    """More and longer histories."""
    play(machine, 250, 60)


def test_clone_without_a_source_frees_overwritten_slots() -> None:
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
