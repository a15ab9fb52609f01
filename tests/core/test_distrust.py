"""Distrust: nothing that is read from a store is believed unchecked.

``tests/torture/damage.py`` damages bytes at random, which checksums catch.  Here the damage has structure: numbers that
make no sense under checksums that are right, nodes that contain themselves, catalog rows that contradict each other,
links where files belong.  Whatever a store holds, who uses it gets right data or an error of ``clusterdb`` or
``apsw``: never another exception, never a hang, never a crash of the interpreter, never wrong rows that ``check`` does
not report.

What might hang or crash runs in a child process (:func:`in_child`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import struct
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import clusterdb
from tests.support.stores import assert_clean, rows
from vfs import layout, osio
from vfs import store as vfs_store
from vfs.errors import CorruptionError, StorageError
from vfs.layout import SLOT_BYTES, Entry, Version, pack_version, unpack_entries, unpack_entry, unpack_version
from vfs.table import only_in, reached, read_node, verify_path
from vfs.volume import head_records

NAMED = (clusterdb.Error, apsw.Error)
ROW_COUNT = 100
WRITTEN = {"one": 1, "two": 2, "three": 2, "heir": 4, "joint-heir": 4}
"""The clusters of :func:`make_family`, and what all rows of each have in column n."""

CPU_SECONDS = 1
FILE_BYTES_MAX = 1 << 28


# --- a family of clusters -------------------------------------------------------------------------------------------
def fill(cluster: clusterdb.Cluster, n: int) -> None:
    """Every row has that n, and a body that goes with it."""
    connection = cluster.connect()
    connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, n, body)")
    with connection:
        values = [(number, n, f"{number}-{n}-" * 40) for number in range(ROW_COUNT)]
        connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", values)
    connection.close()


def make_family(path: Path) -> None:
    """one (volume 1), its clone two (2), a clone of that, three (3), and two heirs (5, 6) whose source (4) is gone."""
    with clusterdb.open(path) as store:
        fill(store.create_cluster("one"), 1)
        fill(store.cluster("one").clone("two"), 2)
        store.cluster("two").clone("three")
        connection = store.cluster("two").connect()
        connection.execute("CREATE TABLE later (x); INSERT INTO later VALUES (randomblob(9000))")
        connection.close()
        fill(store.create_cluster("gone"), 4)
        store.cluster("gone").clone("heir")
        store.cluster("gone").clone("joint-heir")
        store.cluster("gone").delete()


@pytest.fixture(scope="module")
def family() -> Iterator[Path]:
    """The family's store, closed.  Damage copies of it."""
    memory = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="distrust-", dir=memory if memory.is_dir() else None))
    make_family(base / "family")
    yield base / "family"
    shutil.rmtree(base)


@contextlib.contextmanager
def copy_of(family: Path, *, same_boot: bool = True) -> Iterator[Path]:
    """A copy of the store, closed; without ``same_boot`` the next to open it must rebuild what is derived."""
    copy = family.with_name("copy")
    shutil.copytree(family, copy, ignore=shutil.ignore_patterns("map", "readers"))
    try:
        if same_boot:
            clusterdb.open(copy).close()
        yield copy
    finally:
        shutil.rmtree(copy)


def in_child(action: Callable[[], object]) -> None:
    """Do it in a child process: what it raises is an AssertionError here, and so is a hang or a crash."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)  # processor time: a busy machine makes no difference
        signal.alarm(120)
        trouble = ""
        try:
            action()
        except BaseException:
            trouble = traceback.format_exc()
        with open(writer, "w", encoding="utf-8", errors="replace") as pipe:
            pipe.write(trouble)
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        trouble = pipe.read()
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"ended by {signal.Signals(os.WTERMSIG(status)).name} (SIGVTALRM: a hang)"
    if trouble:
        raise AssertionError(trouble)


# --- all that can be done with a store ------------------------------------------------------------------------------
class Visit:
    """Somebody uses every verb of a damaged store.  ``refusals`` are the named errors that came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refusals: list[str] = []
        self.problems: list[str] = []

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """In the body a named error may be raised, of one line."""
        try:
            yield
        except NAMED as error:
            text = str(error)
            assert text and "\n" not in text, f"{what}: not one line: {error!r}"
            self.refusals.append(f"{what}: {text}")

    def run(self) -> Visit:
        """Check, read, write, clone, delete, reclaim, shrink, and read once more."""
        forbid_absurd_files()
        with self.attempt("open"), clusterdb.open(self.path) as store:
            self.check(store)
            for cluster in self.clusters(store):
                self.use(store, cluster)
            for cluster in self.clusters(store):
                if cluster.name.endswith("-copy"):
                    with self.attempt(f"delete {cluster.name}"):
                        cluster.delete()
            for verb in (store.stats, store.reclaim, store.shrink, store.dump):
                with self.attempt(verb.__name__):
                    verb()
            self.check(store)
            for cluster in self.clusters(store):
                self.read(cluster)
        return self

    def check(self, store: clusterdb.Store) -> None:
        """Note what check reports, or that it is refused."""
        before = len(self.refusals)
        with self.attempt("check"):
            self.problems += store.check().problems
        self.problems += self.refusals[before:]

    def clusters(self, store: clusterdb.Store) -> list[clusterdb.Cluster]:
        """The clusters there are."""
        with self.attempt("clusters"):
            return store.clusters()
        return []

    def use(self, store: clusterdb.Store, cluster: clusterdb.Cluster) -> None:
        """Every verb of a cluster."""
        self.read(cluster)
        for verb in (cluster.stats, lambda: write(cluster), lambda: cluster.clone(f"{cluster.name}-copy")):
            with self.attempt(f"use {cluster.name}"):
                verb()
        with self.attempt(f"dump {cluster.name}"):
            assert store.dump(cluster=cluster.name)

    def read(self, cluster: clusterdb.Cluster) -> None:
        """A cluster has its own rows, or cannot be read, or check has found something."""
        with self.attempt(f"read {cluster.name}"):
            connection = cluster.connect(read_only=True)
            try:
                found = rows(connection, "SELECT count(*), min(n), max(n) FROM t")
            finally:
                connection.close()
            n = WRITTEN.get(cluster.name)
            right = n is None or found == [(ROW_COUNT, n, n)]
            assert right or self.problems, f"{cluster.name} has {found}, and check finds nothing"


def write(cluster: clusterdb.Cluster) -> None:
    """Change a page, add some, take some away."""
    connection = cluster.connect()
    try:
        connection.execute("UPDATE t SET body = body || '.' WHERE id < 3; CREATE TABLE IF NOT EXISTS u (x)")
        connection.execute("INSERT INTO u VALUES (randomblob(20000)); DELETE FROM u; VACUUM")
    finally:
        connection.close()


def forbid_absurd_files() -> None:
    """From now on this process makes no huge files (for children only)."""
    ftruncate, allocate = osio.CALLS.ftruncate, osio.CALLS.allocate

    def modest_ftruncate(fd: int, size: int) -> None:
        assert size <= FILE_BYTES_MAX, f"a file of {size} bytes was asked for"
        ftruncate(fd, size)

    def modest_allocate(fd: int, offset: int, size: int) -> None:
        assert offset + size <= FILE_BYTES_MAX, f"a file of {size} bytes was asked for"
        allocate(fd, offset, size)

    osio.CALLS.ftruncate, osio.CALLS.allocate = modest_ftruncate, modest_allocate


def survives(path: Path) -> None:
    """Use the store in every way; what it answers is right data or a named error."""
    in_child(Visit(path).run)


quick = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


# --- parsers of bytes -----------------------------------------------------------------------------------------------
words32, words64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
sizes = st.one_of(st.integers(0, 1 << 22), words64, st.sampled_from([1 << 44, (1 << 44) + 1, 1 << 63, (1 << 64) - 1]))


@given(st.binary(max_size=600))
@example(b"clsthead")
@example(b"clsthead" + bytes(504))
def test_any_bytes_are_a_version_record_or_none(data: bytes) -> None:
    """Bytes without a right checksum are no version record, however many they are."""
    assert unpack_version(data) is None
    assert unpack_version(memoryview(data)) is None
    assert unpack_version(b"clsthead" + data) is None


@given(st.binary(max_size=600))
@example(b"clstpool")
@example(struct.pack("<8sII16sI", b"clstpool", layout.FORMAT, SLOT_BYTES, bytes(16), 1))
def test_any_bytes_are_a_pool_header_or_refused(data: bytes) -> None:
    """Bytes without a right checksum are no pool header; they are refused by name."""
    for header in (data, b"clstpool" + data, b"clstpool" + layout.FORMAT.to_bytes(4, "little") + data):
        with pytest.raises(StorageError):
            layout.unpack_pool_header(header)


@given(st.binary(max_size=64), st.integers(0, SLOT_BYTES - 64))
def test_any_slot_can_be_looked_at_as_a_node(part: bytes, at: int) -> None:
    """A slot of whatever bytes has 256 entries; those that are no holes are listed by index."""
    data = (bytes(at) + part).ljust(SLOT_BYTES, b"\0")
    listed = unpack_entries(data)
    assert [index for index, _ in listed] == sorted({index for index, _ in listed})
    assert listed == [(at, unpack_entry(data, at)) for at in range(256) if unpack_entry(data, at).slot]


@given(st.binary(max_size=SLOT_BYTES), words64, st.booleans())
def test_any_slot_can_be_looked_at_as_a_head(data: bytes, volume: int, right: bool) -> None:
    """A slot of whatever bytes, also a short one, has sectors with a record of this very volume, or none."""
    record = Version(volume if right else volume ^ 1, 1, 1, 1, 1, 1, 1, layout.HOLE)
    assert head_records(memoryview(data), volume) == [None] * layout.HEAD_SECTORS
    found = head_records(memoryview(pack_version(record) + data), volume)
    assert found == [record if right else None, *[None] * (layout.HEAD_SECTORS - 1)]


@given(sizes)
def test_the_page_table_of_any_size_has_a_depth(size_bytes: int) -> None:
    """However large a volume says it is, its depth is a small number that fits the size."""
    page_count = layout.page_count_of(size_bytes)
    depth = layout.depth_of(page_count)
    assert depth <= 7
    assert page_count <= 256**depth


# --- walks ----------------------------------------------------------------------------------------------------------
READS_MAX = 1_000
POOL_SLOTS = 8


class Pool:
    """A few slots of any bytes."""

    def __init__(self, slots: list[bytes]) -> None:
        self.slots = slots
        self.read_count = 0

    def read(self, slot: int) -> memoryview:
        """As PageStore.read_slot; a walk that reads thousands of times from a few slots will not end."""
        self.read_count += 1
        assert self.read_count <= READS_MAX, "the walk does not end"
        if slot >= len(self.slots):
            raise CorruptionError(f"slot {slot} lies past the end of the pool")
        return memoryview(self.slots[slot])

    def entry(self, slot: int, birth: int) -> Entry:
        """An entry that names a slot with its right checksum."""
        return Entry(slot, zlib.crc32(self.slots[slot]) if slot < len(self.slots) else 0, birth)


def node_of(entries: dict[int, Entry]) -> bytes:
    """A node with these entries by index."""
    return b"".join(struct.pack("<IIQ", *entries.get(index, layout.HOLE)) for index in range(256))


def forge(data: bytes, crc: int, at: int) -> bytes:
    """The bytes with the four at ``at`` chosen so that the crc32 of all is as wanted (crc32 is linear)."""
    start = zlib.crc32(data[:at] + bytes(4) + data[at + 4 :])
    basis: dict[int, tuple[int, int]] = {}  # highest bit -> (effect, four bytes that have it)
    for bit in range(32):
        cause = 1 << bit
        effect = zlib.crc32(data[:at] + cause.to_bytes(4, "little") + data[at + 4 :]) ^ start
        while effect and effect.bit_length() in basis:
            other = basis[effect.bit_length()]
            effect, cause = effect ^ other[0], cause ^ other[1]
        if effect:
            basis[effect.bit_length()] = (effect, cause)
    wanted, chosen = start ^ crc, 0
    while wanted:
        effect, cause = basis[wanted.bit_length()]
        wanted, chosen = wanted ^ effect, chosen ^ cause
    return data[:at] + chosen.to_bytes(4, "little") + data[at + 4 :]


def node_that_contains_itself(slot: int, birth: int, count: int) -> tuple[bytes, Entry]:
    """A node with a right checksum whose first ``count`` (< 256) entries name itself; its entry."""
    entry = Entry(slot, 0x600DC0DE, birth)
    spare = 255 * 16 + 4  # the crc of a hole
    return forge(node_of(dict.fromkeys(range(count), entry)), entry.crc, spare), entry


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, Version, Version]:
    """Nodes with any entries, many of them with right checksums, and two versions that begin somewhere."""
    pool = Pool([bytes(SLOT_BYTES)])
    births = st.one_of(st.integers(0, 12), words64)

    def entry() -> Entry:
        slot = draw(st.one_of(st.integers(0, POOL_SLOTS), words32))
        right = pool.entry(slot, draw(births))
        return right if draw(st.integers(0, 9)) else right._replace(crc=draw(words32))

    for _ in range(POOL_SLOTS):
        count = draw(st.integers(0, 4))
        pool.slots.append(node_of({draw(st.integers(0, 255)): entry() for _ in range(count)}))

    def version() -> Version:
        return Version(1, draw(births), draw(births), draw(sizes), draw(words64), draw(words64), 0, entry())

    return pool, version(), version()


def walks_end(pool: Pool, one: Version, other: Version, born_after: int, leaf_number: int) -> None:
    """Every walk of the versions ends, with what is in the pool or with CorruptionError."""
    walks: list[Callable[[], object]] = [
        lambda: all(at.entry.slot and -1 <= at.level < one.depth for at in reached(pool.read, one, born_after)),
        lambda: all(at.entry.slot for at in only_in(pool.read, one, [other], born_after)),
        lambda: verify_path(pool.read, one, leaf_number) is None,
        lambda: zlib.crc32(read_node(pool.read, one.root, "root")) == one.root.crc,
    ]
    for walk in walks:
        with contextlib.suppress(CorruptionError):
            assert walk()


@settings(deadline=None, max_examples=60)
@given(pools(), words64, words64)
def test_walks_of_absurd_page_tables_end(
    drawn: tuple[Pool, Version, Version], born_after: int, leaf_number: int
) -> None:
    """Absurd slots, births, depths: a walk ends, with what is there or with CorruptionError."""
    walks_end(*drawn, born_after % 16, leaf_number)


@pytest.mark.slow
@settings(deadline=None, max_examples=5_000)
@given(pools(), words64, words64)
def test_walks_of_very_many_absurd_page_tables_end(
    drawn: tuple[Pool, Version, Version], born_after: int, leaf_number: int
) -> None:
    """The same, for longer."""
    walks_end(*drawn, born_after % 16, leaf_number)


def bomb(count: int, size_bytes: int) -> tuple[Pool, Version]:
    """A pool with a root that contains itself so many times."""
    node, entry = node_that_contains_itself(1, 3, count)
    assert zlib.crc32(node) == entry.crc
    return Pool([bytes(SLOT_BYTES), node]), Version(1, 3, 3, size_bytes, 10, 10, 0, entry)


@pytest.mark.parametrize("size_bytes", [1 << 20, 1 << 28, (1 << 64) - 1])
def test_a_node_that_contains_itself_once_is_walked_to_the_depth(size_bytes: int) -> None:
    """A circle ends where the page table's depth does."""
    pool, version = bomb(1, size_bytes)
    walks_end(pool, version, version._replace(root=layout.HOLE), 0, 0)


def test_a_node_that_contains_itself_everywhere_does_not_keep_a_walk() -> None:
    """A few slots cannot be unfolded to billions: the walk says that they are damaged."""
    pool, version = bomb(255, 1 << 32)
    with pytest.raises(CorruptionError):
        list(reached(pool.read, version))


def test_a_node_that_contains_itself_everywhere_does_not_keep_a_comparison() -> None:
    """The same for what is in one version only."""
    pool, version = bomb(255, 1 << 32)
    with pytest.raises(CorruptionError):
        list(only_in(pool.read, version, []))


# --- version records and nodes in the pool --------------------------------------------------------------------------
def version_of(path: Path, name: str) -> tuple[Version, int]:
    """The head of a cluster, and its head slot."""
    with clusterdb.open(path) as store, store._pinned(store.cluster(name)) as volume:
        return volume.version, volume.row.head_slot


def put(path: Path, slot: int, data: bytes, within: int = 0) -> None:
    """Overwrite a part of a slot."""
    with open(path / "pool", "r+b") as pool:
        pool.seek(slot * SLOT_BYTES + within)
        pool.write(data)


def forget_derived(path: Path) -> None:
    """As after a boot."""
    (path / "map").unlink()
    (path / "readers").unlink()


def put_record(path: Path, record: Version, head_slot: int) -> None:
    """Make it the only version record in a head."""
    put(path, head_slot, pack_version(record) * layout.HEAD_SECTORS)


ABSURD = {
    "version": [0, 1, 1 << 62, 1 << 63, (1 << 64) - 2, (1 << 64) - 1],
    "durable": [0, 1, 1 << 63, (1 << 64) - 1],
    "size_bytes": [0, 1, 4095, 1 << 40, (1 << 44) + 4096, (1 << 63) - 1, 1 << 63, (1 << 64) - 1],
    "slot_count": [0, (1 << 64) - 1],
    "own_count": [0, (1 << 63) - 1],
    "time_ns": [0, 1 << 63, (1 << 64) - 1],
}
ABSURD_ROOTS: dict[str, object] = {
    "root slot 0": {"slot": 0},
    "root slot 2**32-1": {"slot": (1 << 32) - 1},
    "root birth 0": {"birth": 0},
    "root birth 2**64-1": {"birth": (1 << 64) - 1},
    "root crc 0": {"crc": 0},
}


def in_any_boot(cases: dict[str, object]) -> list[Any]:
    """(case, whether it is the same boot) for each case; else everything derived is rebuilt first."""
    return [
        pytest.param(case, boot == "same boot", id=f"{name}, {boot}")
        for name, case in cases.items()
        for boot in ("same boot", "rebuilt")
    ]


RECORD_CASES: dict[str, object] = {
    f"{field}={value:#x}": (field, value) for field, values in ABSURD.items() for value in values
}


@pytest.mark.parametrize(("case", "same_boot"), in_any_boot(RECORD_CASES))
def test_absurd_version_records(family: Path, case: tuple[str, int], same_boot: bool) -> None:
    """A version record with a right checksum and a number that makes no sense is refused, or does no harm."""
    field, value = case
    with copy_of(family) as path:
        record, head_slot = version_of(path, "two")
        put_record(path, record._replace(**{field: value}), head_slot)
        if not same_boot:
            forget_derived(path)
        survives(path)


@pytest.mark.parametrize(("change", "same_boot"), in_any_boot(ABSURD_ROOTS))
def test_absurd_roots(family: Path, change: dict[str, int], same_boot: bool) -> None:
    """The same for the root of the page table."""
    with copy_of(family) as path:
        record, head_slot = version_of(path, "two")
        put_record(path, record._replace(root=record.root._replace(**change)), head_slot)
        if not same_boot:
            forget_derived(path)
        survives(path)


CIRCLES: dict[str, object] = {
    "once": (1, 1 << 20),
    "once and deep": (1, 1 << 32),
    "everywhere": (255, 1 << 20),
    "everywhere and deep": (255, 1 << 32),
}


@pytest.mark.parametrize(("circle", "same_boot"), in_any_boot(CIRCLES))
def test_a_page_table_that_contains_itself(family: Path, circle: tuple[int, int], same_boot: bool) -> None:
    """A cluster whose root contains itself is refused; nobody walks in circles."""
    count, size_bytes = circle
    with copy_of(family) as path:
        record, head_slot = version_of(path, "two")
        node, entry = node_that_contains_itself(record.root.slot, record.version, count)
        put(path, entry.slot, node)
        put_record(path, record._replace(root=entry, size_bytes=size_bytes), head_slot)
        if not same_boot:
            forget_derived(path)
        survives(path)


def put_in_leaf(path: Path, name: str, index: int, entry: Entry) -> None:
    """Give a small cluster's only node another entry, and make every checksum above right again."""
    record, head_slot = version_of(path, name)
    with clusterdb.open(path) as store:
        node = bytearray(store._pages.read_slot(record.root.slot))
    struct.pack_into("<IIQ", node, index * 16, *entry)
    put(path, record.root.slot, node)
    put_record(path, record._replace(root=record.root._replace(crc=zlib.crc32(node))), head_slot)


ENTRY_CASES: dict[str, object] = {
    f"{name} at {index}": (index, entry)
    for index in (0, 255)
    for name, entry in {
        "slot 2**32-1": Entry((1 << 32) - 1, 0, 4),
        "slot 2**20": Entry(1 << 20, 0, 4),
        "a hole": Entry(0, 0, 4),
        "a hole of the future": Entry(0, 1, (1 << 64) - 1),
        "the head of another": Entry(1, 0, 0),
        "a slot of the future": Entry(1, 0, (1 << 64) - 1),
    }.items()
}


@pytest.mark.parametrize(("case", "same_boot"), in_any_boot(ENTRY_CASES))
def test_absurd_entries(family: Path, case: tuple[int, Entry], same_boot: bool) -> None:
    """A node with a right checksum that names a slot, or a birth, that cannot be: refused, or harmless."""
    index, entry = case
    with copy_of(family) as path:
        put_in_leaf(path, "two", index, entry)
        if not same_boot:
            forget_derived(path)
        survives(path)


def test_check_compares_the_checksums_of_what_is_shared(family: Path) -> None:
    """Where two clusters name the same slot with different checksums, one of them is wrong, and check says so."""
    with copy_of(family) as path:
        record, _ = version_of(path, "one")
        with clusterdb.open(path) as store:
            (slot, crc, birth) = unpack_entry(store._pages.read_slot(record.root.slot), 3)
        put_in_leaf(path, "two", 3, Entry(slot, crc ^ 1, birth))
        with clusterdb.open(path) as store:
            assert not store.check().ok


def test_check_reports_a_birth_after_the_roots(family: Path) -> None:
    """A page cannot be younger than the version it is reached from (T2)."""
    with copy_of(family) as path:
        record, _ = version_of(path, "two")
        with clusterdb.open(path) as store:
            entry = unpack_entry(store._pages.read_slot(record.root.slot), 2)
        put_in_leaf(path, "two", 2, entry._replace(birth=record.version + 1))
        with clusterdb.open(path) as store:
            problems = store.check().problems
    assert any(f"slot {entry.slot}" in problem and "later" in problem for problem in problems)


# --- headers and rows of the derived files --------------------------------------------------------------------------
MAP_WORDS = 12
READERS_WORDS = [
    *range(4),
    *range(layout.VOLUME_TABLE_AT, layout.VOLUME_TABLE_AT + 6 * layout.ROW_WORDS),
    *range(layout.SESSION_TABLE_AT, layout.SESSION_TABLE_AT + 3 * layout.ROW_WORDS),
]
near = st.integers(0, 300)
absurd_words = st.one_of(
    near, near.map(lambda n: (1 << 64) - 1 - n), words64, st.sampled_from([1 << bit for bit in range(64)])
)
damaged_words = st.lists(
    st.one_of(
        st.tuples(st.just("map"), st.integers(0, MAP_WORDS - 1), absurd_words),
        st.tuples(st.just("readers"), st.sampled_from(READERS_WORDS), absurd_words),
    ),
    min_size=1,
    max_size=4,
)


def put_word(path: Path, file: str, at: int, word: int) -> None:
    """Overwrite a 64-bit word of a derived file."""
    with open(path / file, "r+b") as opened:
        opened.seek(8 * at)
        opened.write(word.to_bytes(8, "little"))


WORD_CASES = [
    ("map", layout.MAP_MAGIC_AT, "map magic"),
    ("map", layout.MAP_BOOT_AT, "boot"),
    ("map", layout.MAP_INODE_AT, "inode"),
    ("map", layout.MAP_SLOT_COUNT_AT, "slot count"),
    ("map", layout.MAP_HINT_AT, "hint"),
    ("map", layout.MAP_EPOCH_AT, "epoch"),
    ("map", layout.MAP_LEAKS_AT, "leaks"),
    ("map", layout.MAP_SWEEPING_AT, "sweeping"),
    ("readers", layout.READERS_MAGIC_AT, "readers magic"),
    ("readers", layout.SESSION_HIGH_AT, "session high"),
    ("readers", layout.VOLUME_HINT_AT, "volume hint"),
    ("readers", layout.VOLUME_TABLE_AT + layout.V_ID, "volume id"),
    ("readers", layout.VOLUME_TABLE_AT + layout.V_VERSION, "volume version"),
    ("readers", layout.VOLUME_TABLE_AT + layout.V_DURABLE, "volume durable"),
    ("readers", layout.VOLUME_TABLE_AT + layout.V_PINS, "volume pins"),
    ("readers", layout.VOLUME_TABLE_AT + layout.V_CHORES, "volume chores"),
]


@pytest.mark.parametrize(("file", "at", "what"), [pytest.param(*case, id=case[2]) for case in WORD_CASES])
def test_absurd_words_of_the_derived_files(family: Path, file: str, at: int, what: str) -> None:
    """A word of map or readers that cannot be is refused, rebuilt, or harmless."""
    for word in (0, 1, 1 << 32, (1 << 64) - 1):
        with copy_of(family) as path:
            put_word(path, file, at, word)
            try:
                survives(path)
            except AssertionError as error:
                raise AssertionError(f"{what} = {word:#x}") from error


SESSION_CASES = {"session volume": layout.S_VOLUME, "session pin": layout.S_PIN, "session flag": layout.S_PUBLISHING}


@pytest.mark.parametrize("field", [pytest.param(value, id=name) for name, value in SESSION_CASES.items()])
def test_absurd_rows_of_dead_sessions(family: Path, field: int) -> None:
    """A row of the session table that nobody holds can say what it likes: it is buried."""
    for word in (1, 9, 1 << 32, (1 << 64) - 1):
        with copy_of(family) as path:
            at = layout.SESSION_TABLE_AT + 2 * layout.ROW_WORDS
            put_word(path, "readers", layout.SESSION_HIGH_AT, 3)
            put_word(path, "readers", at + layout.S_OWNER, 4711)
            put_word(path, "readers", at + field, word)
            survives(path)


def test_a_sweep_killed_at_its_beginning_is_made_again(own: Path) -> None:
    """A process that dies when it has begun the first sweep of a boot, and done nothing yet, does no harm."""
    put_word(own, "map", layout.MAP_EPOCH_AT, 0)
    put_word(own, "map", layout.MAP_SWEEPING_AT, 1)
    assert_is_the_family(own)


def test_a_pool_is_never_cut_by_what_the_map_says(tmp_path: Path) -> None:
    """A map that says the pool is short is not believed: the data behind that is still there."""
    with clusterdb.open(tmp_path / "store") as store:
        connection = store.create_cluster("big").connect()
        connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(3000000)), ('last')")
        connection.close()
    size = (tmp_path / "store" / "pool").stat().st_size
    put_word(tmp_path / "store", "map", layout.MAP_SLOT_COUNT_AT, 64)

    def write_more() -> None:
        with contextlib.suppress(*NAMED), clusterdb.open(tmp_path / "store") as store:
            connection = store.create_cluster("new").connect()
            connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(100000))")

    def read() -> None:
        with clusterdb.open(tmp_path / "store") as store:
            assert rows(store.cluster("big").connect(), "SELECT x FROM t WHERE x = 'last'") == [("last",)]
            assert_clean(store)

    in_child(write_more)
    assert (tmp_path / "store" / "pool").stat().st_size >= size
    in_child(read)


def use_with_damaged_words(family: Path, words: list[tuple[str, int, int]]) -> None:
    """Overwrite the words of a copy, and use it."""
    with copy_of(family) as path:
        for word in words:
            put_word(path, *word)
        survives(path)


@settings(quick, max_examples=25)
@given(words=damaged_words)
@example(words=[("map", layout.MAP_EPOCH_AT, (1 << 64) - 1)])
def test_any_words_of_the_derived_files(family: Path, words: list[tuple[str, int, int]]) -> None:
    """Whatever stands in the headers and rows of map and readers: right data or a named error."""
    use_with_damaged_words(family, words)


@pytest.mark.slow
@settings(quick, max_examples=250)
@given(words=damaged_words)
@example(words=[("map", layout.MAP_EPOCH_AT, (1 << 64) - 1)])
def test_very_many_words_of_the_derived_files(family: Path, words: list[tuple[str, int, int]]) -> None:
    """The same, for longer."""
    use_with_damaged_words(family, words)


# --- the catalog ----------------------------------------------------------------------------------------------------
def change_catalog(path: Path, sql: str) -> None:
    """What a person with a SQLite shell can do to the catalog of a closed store, as far as the schema allows it."""
    connection = apsw.Connection(str(path / "catalog.db"))
    with contextlib.suppress(apsw.MismatchError, apsw.ConstraintError):
        connection.execute(sql)
    connection.close()


def survives_in_any_boot(family: Path, sql: str) -> None:
    """Use the store with that catalog, first as it is, then with everything derived rebuilt from it."""
    for same_boot in (True, False):
        with copy_of(family, same_boot=same_boot) as path:
            change_catalog(path, sql)
            survives(path)


CATALOG_DAMAGE = [
    "UPDATE volumes SET row = -1 WHERE volume = 2",
    "UPDATE volumes SET row = -64 WHERE volume = 2",
    "UPDATE volumes SET row = -100000 WHERE volume = 2",
    "UPDATE volumes SET row = 32768 WHERE volume = 2",
    "UPDATE volumes SET row = 1000000 WHERE volume = 2",
    "UPDATE volumes SET row = 9223372036854775807 WHERE volume = 2",
    "UPDATE volumes SET row = 'text' WHERE volume = 2",
    "UPDATE volumes SET row = 1.5 WHERE volume = 2",
    "UPDATE volumes SET row = x'00' WHERE volume = 2",
    "UPDATE volumes SET row = 0 WHERE volume = 2",
    "UPDATE volumes SET row = 0",
    "UPDATE volumes SET row = row + 100 WHERE volume = 2",
    "UPDATE volumes SET head_slot = -1 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 0 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 0 WHERE volume = 3",
    "UPDATE volumes SET head_slot = 1000000 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 1 << 40 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 9223372036854775807 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 1 << 63 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 'text' WHERE volume = 2",
    "UPDATE volumes SET head_slot = 1.5 WHERE volume = 2",
    "UPDATE volumes SET head_slot = (SELECT head_slot FROM volumes WHERE volume = 1) WHERE volume = 2",
    "UPDATE volumes SET head_slot = (SELECT head_slot FROM volumes WHERE volume = 1) WHERE volume = 3",
    "UPDATE volumes SET state = 'unknown' WHERE volume = 2",
    "UPDATE volumes SET state = '' WHERE volume = 2",
    "UPDATE volumes SET state = x'6c697665' WHERE volume = 2",
    "UPDATE volumes SET state = 'live' WHERE state = 'dead'",
    "UPDATE volumes SET parent = NULL WHERE volume = 2",
    "UPDATE volumes SET parent = 99 WHERE volume = 2",
    "UPDATE volumes SET parent = -1 WHERE volume = 2",
    "UPDATE volumes SET parent = 'text' WHERE volume = 2",
    "UPDATE volumes SET parent = x'01' WHERE volume = 2",
    "UPDATE volumes SET parent = 2 WHERE volume = 2",
    "UPDATE volumes SET parent = 3 WHERE volume = 2",
    "UPDATE volumes SET base = x'' WHERE volume = 2",
    "UPDATE volumes SET base = 'text' WHERE volume = 2",
    "UPDATE volumes SET base = printf('%.84c', 'x') WHERE volume = 2",
    "UPDATE volumes SET base = 7 WHERE volume = 2",
    "UPDATE volumes SET base = 1.5 WHERE volume = 2",
    "UPDATE volumes SET base = zeroblob(84) WHERE volume = 2",
    "UPDATE volumes SET base = zeroblob(100000) WHERE volume = 2",
    "UPDATE volumes SET volume = 0 WHERE volume = 2",
    "UPDATE volumes SET volume = -5 WHERE volume = 2",
    "UPDATE volumes SET volume = 9223372036854775807 WHERE volume = 2",
    "UPDATE volumes SET volume = (1 << 62) + 1 WHERE volume = 1; "
    "UPDATE clusters SET volume = (1 << 62) + 1 WHERE volume = 1",
    "UPDATE pins SET holder = 'me' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:x' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:-1' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:99999999999999999999999' WHERE volume = 1",
    "UPDATE pins SET holder = x'ff' WHERE volume = 1",
    "UPDATE pins SET version = -1 WHERE volume = 1",
    "UPDATE pins SET version = 9223372036854775807 WHERE volume = 1",
    "UPDATE pins SET version = 'text' WHERE volume = 1",
    "UPDATE pins SET version = x'01' WHERE volume = 1",
    "UPDATE pins SET volume = 99 WHERE volume = 1",
    "UPDATE pins SET volume = 'text' WHERE volume = 1",
    "UPDATE pins SET released = 'text' WHERE volume = 1",
    "UPDATE pins SET released = -1 WHERE volume = 1",
    "UPDATE pins SET record = x'' WHERE volume = 1",
    "UPDATE pins SET record = 'text' WHERE volume = 1",
    "UPDATE pins SET record = 5 WHERE volume = 1",
    "UPDATE pins SET record = (SELECT record FROM pins WHERE volume = 2) WHERE volume = 1",
    "UPDATE clusters SET volume = 99 WHERE volume = 2",
    "UPDATE clusters SET volume = -1 WHERE volume = 2",
    "UPDATE clusters SET volume = (SELECT volume FROM volumes WHERE state = 'dead') WHERE volume = 2",
    "UPDATE clusters SET created_ns = 'text' WHERE volume = 2",
    "UPDATE clusters SET created_ns = x'' WHERE volume = 2",
    "UPDATE clusters SET created_ns = 9223372036854775807 WHERE volume = 2",
    "UPDATE clusters SET created_ns = 1 << 63 WHERE volume = 2",
    "UPDATE clusters SET created_ns = 1e300 WHERE volume = 2",
    "UPDATE clusters SET source = x'00' WHERE volume = 2",
    "UPDATE store SET id = 'text'",
    "UPDATE store SET id = 7",
    "UPDATE store SET id = 9223372036854775807",
    "UPDATE store SET id = 1e15",
    "UPDATE store SET id = x''",
    "UPDATE store SET seal = 'text'",
    "UPDATE store SET seal = 9223372036854775807",
    "UPDATE store SET created_ns = 'text'",
    "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    "UPDATE sqlite_sequence SET seq = -5",
    "UPDATE sqlite_sequence SET seq = 'text'",
    "DELETE FROM store",
    "INSERT INTO store VALUES (x'00', 0, 0)",
    "DELETE FROM volumes",
    "DELETE FROM volumes WHERE volume = 1",
    "DELETE FROM volumes WHERE volume = 4",
    "DELETE FROM clusters",
    "DROP TABLE store",
    "DROP TABLE volumes",
    "DROP TABLE pins",
    "DROP TABLE clusters",
    "ALTER TABLE volumes DROP COLUMN parent",
    "ALTER TABLE volumes RENAME COLUMN head_slot TO other",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = -1",
    "PRAGMA application_id = 0",
]


@pytest.mark.parametrize("sql", [pytest.param(sql, id=sql) for sql in CATALOG_DAMAGE])
def test_a_catalog_that_makes_no_sense(family: Path, sql: str) -> None:
    """Whatever the catalog says, the store answers with right data or a named error."""
    survives_in_any_boot(family, sql)


COLUMNS = {
    "store": ["id", "created_ns", "seal"],
    "volumes": ["volume", "row", "head_slot", "state", "parent", "base"],
    "pins": ["volume", "version", "holder", "released", "record"],
    "clusters": ["volume", "created_ns", "source"],
}
sql_values = st.one_of(
    st.integers(-3, 40).map(str),
    st.integers(-(1 << 63), (1 << 63) - 1).map(str),
    st.sampled_from(["NULL", "''", "'live'", "'dropped'", "'volume:1'", "'volume:1e9'", "1e300", "-0.5", "32767"]),
    st.binary(max_size=90).map(lambda data: f"x'{data.hex()}'"),
    st.text(st.characters(codec="ascii", exclude_characters="'\0"), max_size=8).map(lambda text: f"'{text}'"),
)


@st.composite
def catalog_changes(draw: st.DrawFn) -> str:
    """An UPDATE of one value of one row, as far as the schema allows it."""
    table = draw(st.sampled_from(sorted(COLUMNS)))
    column = draw(st.sampled_from(COLUMNS[table]))
    which = draw(st.integers(0, 3))
    key = {"store": "id", "volumes": "volume", "pins": "record", "clusters": "volume"}[table]
    place = f"(SELECT {key} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {which})"
    return f"UPDATE OR IGNORE {table} SET {column} = {draw(sql_values)} WHERE {key} = {place}"


@settings(quick, max_examples=25)
@given(sql=catalog_changes())
@example(sql="UPDATE volumes SET row = 'text'")
def test_any_change_of_the_catalog(family: Path, sql: str) -> None:
    """One value of the catalog changed to anything that its schema takes: right data or a named error."""
    survives_in_any_boot(family, sql)


@pytest.mark.slow
@settings(quick, max_examples=250)
@given(sql=catalog_changes())
@example(sql="UPDATE volumes SET row = 'text'")
def test_very_many_changes_of_the_catalog(family: Path, sql: str) -> None:
    """The same, for longer."""
    survives_in_any_boot(family, sql)


OUTSIDE_NAMES = ["", "a/b", "../outside", "new\nline", "file:outside?mode=rwc", ":memory:", "outside.db"]


@pytest.mark.parametrize("name", [pytest.param(name, id=f"name {name!r}") for name in OUTSIDE_NAMES])
def test_a_name_in_the_catalog_leads_nowhere_else(family: Path, tmp_path: Path, name: str) -> None:
    """A cluster whose name is none is refused: no other file is opened, or made, in its stead."""
    (tmp_path / "here").mkdir()

    def use() -> None:
        os.chdir(tmp_path / "here")
        with contextlib.suppress(*NAMED), clusterdb.open(path) as store:
            for cluster in store.clusters():
                if cluster.volume == 2:
                    with contextlib.suppress(*NAMED):
                        found = rows(cluster.connect(), "SELECT count(*) FROM sqlite_schema")
                        raise AssertionError(f"'{name}' opened a database with {found}")

    with copy_of(family) as path:
        connection = apsw.Connection(str(path / "catalog.db"))
        connection.execute("UPDATE clusters SET name = ? WHERE volume = 2", (name,))
        connection.close()
        in_child(use)
    assert [each.name for each in tmp_path.iterdir()] == ["here"]
    assert list((tmp_path / "here").iterdir()) == []


def test_a_name_in_the_catalog_that_is_no_text(family: Path) -> None:
    """A cluster whose name is a blob is refused by name."""
    survives_in_any_boot(family, "UPDATE clusters SET name = x'00ff' WHERE volume = 2")


CONTRADICTIONS = {
    "two volumes in one row": "UPDATE volumes SET row = (SELECT row FROM volumes WHERE volume = 1) WHERE volume = 2",
    "a row past the table": f"UPDATE volumes SET row = {layout.VOLUME_ROWS} WHERE volume = 2",
    "a row before the table": "UPDATE volumes SET row = -1 WHERE volume = 2",
    "a head before the pool": "UPDATE volumes SET head_slot = -1 WHERE volume = 2",
    "a head in the pool's header": "UPDATE volumes SET head_slot = 0 WHERE volume = 3",
    "two volumes with one head": "UPDATE volumes SET head_slot = 1 WHERE volume = 3",
    "a cluster without a volume": "UPDATE clusters SET volume = 99 WHERE volume = 2",
    "a cluster whose volume is dropped": "UPDATE volumes SET state = 'dropped' WHERE volume = 3",
    "a source that there is not": "UPDATE volumes SET parent = 99 WHERE volume = 2",
    "a pin on another version than its record": "UPDATE pins SET version = version + 1 WHERE volume = 1",
    "a pin with the record of another volume": "UPDATE pins SET record = (SELECT record FROM pins WHERE volume = 2) "
    "WHERE volume = 1",
    "a pin neither released nor not": "UPDATE pins SET released = 'text' WHERE volume = 1",
    "a pin on a volume that there is not": "UPDATE pins SET volume = 99 WHERE volume = 1",
    "a clone without its pin": "DELETE FROM pins WHERE volume = 1",
}


@pytest.mark.parametrize("what", [pytest.param(what, id=what) for what in CONTRADICTIONS])
def test_contradictions_in_the_catalog_are_reported(family: Path, what: str) -> None:
    """Where the catalog contradicts itself, the store does not open, or check says so."""

    def use() -> None:
        with contextlib.suppress(clusterdb.CorruptStoreError), clusterdb.open(path) as store:
            assert not store.check().ok, f"check finds nothing wrong with {what}"

    with copy_of(family) as path:
        change_catalog(path, CONTRADICTIONS[what])
        in_child(use)


FAR_HEADS = [0, 1_000_000, 1 << 32, 1 << 40, (1 << 63) - 1]


@pytest.mark.parametrize("head_slot", [pytest.param(slot, id=f"head slot {slot}") for slot in FAR_HEADS])
def test_no_huge_files_for_an_absurd_head_slot(family: Path, head_slot: int) -> None:
    """However far away the catalog says a head is, a rebuild neither makes the pool that long nor fills the disk."""
    with copy_of(family, same_boot=False) as path:
        size = (path / "pool").stat().st_size
        change_catalog(path, f"UPDATE volumes SET head_slot = {head_slot} WHERE volume = 3")
        survives(path)
        assert (path / "pool").stat().st_size < 4 * size + (1 << 22)


# --- what is said of damage -----------------------------------------------------------------------------------------
def slot_of_page(path: Path, name: str, page: int) -> int:
    """Where a page (counted from 0) of a cluster is."""
    with clusterdb.open(path) as store, store._pinned(store.cluster(name)) as volume:
        walk = reached(store._pages.read_slot, volume.version)
        return next(at.entry.slot for at in walk if at.level < 0 and at.number == page)


def flip(path: Path, slot: int, within: int = 2000) -> None:
    """Change one bit of a slot."""
    with open(path / "pool", "r+b") as pool:
        pool.seek(slot * SLOT_BYTES + within)
        (byte,) = pool.read(1)
        pool.seek(slot * SLOT_BYTES + within)
        pool.write(bytes([byte ^ 1]))


@pytest.fixture
def own(family: Path) -> Iterator[Path]:
    """A copy of the family to damage."""
    with copy_of(family) as path:
        yield path


@pytest.mark.parametrize("page", [0, 1, 4])
def test_reading_a_damaged_page_names_cluster_page_and_slot(own: Path, page: int) -> None:
    """With verify_reads, SQL over a damaged page is SQLITE_CORRUPT, and says where the damage is."""
    slot = slot_of_page(own, "two", page)
    flip(own, slot)
    with clusterdb.open(own, verify_reads=True) as store:
        with pytest.raises((apsw.CorruptError, clusterdb.CorruptStoreError)) as caught:
            rows(store.cluster("two").connect(), "SELECT sum(length(body)) FROM t")
        text = str(caught.value)
        assert "cluster 'two'" in text
        assert f"page {page} (slot {slot})" in text
        assert rows(store.cluster("heir").connect(), "SELECT count(*), max(n) FROM t") == [(ROW_COUNT, 4)]


def test_changing_a_damaged_page_names_cluster_page_and_slot(own: Path) -> None:
    """The same for a change, which is not made; elsewhere changes are."""
    slot = slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own, verify_reads=True) as store:
        connection = store.cluster("two").connect()
        with pytest.raises(apsw.CorruptError, match=rf"cluster 'two': page 4 \(slot {slot}\) .*checksum"):
            connection.execute("UPDATE t SET n = n + 1")
        connection.execute("CREATE TABLE u (x); INSERT INTO u VALUES (1)")
        assert rows(connection, "SELECT x FROM u") == [(1,)]


def test_a_shared_damaged_page_is_named_for_each_cluster(own: Path) -> None:
    """A page that source and clone share is damaged in both, and each is named in its own error."""
    slot = slot_of_page(own, "three", 4)
    assert slot == slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own, verify_reads=True) as store:
        for name in ("two", "three"):
            with pytest.raises(apsw.CorruptError, match=rf"cluster '{name}': page 4 \(slot {slot}\)"):
                rows(store.cluster(name).connect(), "SELECT sum(length(body)) FROM t")


def test_a_damaged_node_names_cluster_and_slot(own: Path) -> None:
    """With verify_reads a damaged node of the page table is SQLITE_CORRUPT, and says which slot it is."""
    record, _ = version_of(own, "two")
    flip(own, record.root.slot)
    with clusterdb.open(own, verify_reads=True) as store:
        with pytest.raises((apsw.CorruptError, clusterdb.CorruptStoreError)) as caught:
            rows(store.cluster("two").connect(), "SELECT count(*) FROM t")
        assert "cluster 'two'" in str(caught.value)
        assert f"slot {record.root.slot} " in str(caught.value)
        assert "page table" in str(caught.value)


def test_check_names_page_and_slot(own: Path) -> None:
    """A check of a damaged store is not ok, and the line on it has page and slot."""
    slot = slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own) as store:
        report = store.check()
    assert not report.ok
    assert any(f"page 4 (slot {slot})" in problem for problem in report.problems)


def test_check_names_the_cluster(own: Path) -> None:
    """The line says whose page it is, by the name a person knows."""
    slot = slot_of_page(own, "two", 4)
    flip(own, slot)
    with clusterdb.open(own) as store:
        (problem,) = store.check().problems
    assert "two" in problem.replace("volume 2", "")


def test_a_damaged_cluster_keeps_nobody_from_the_others(own: Path) -> None:
    """Also where somebody died and left slots to be found, a store with a damaged cluster opens."""
    record, _ = version_of(own, "two")
    flip(own, record.root.slot)
    put_word(own, "map", layout.MAP_LEAKS_AT, 1)
    with clusterdb.open(own) as store:
        assert rows(store.cluster("heir").connect(), "SELECT count(*), max(n) FROM t") == [(ROW_COUNT, 4)]


def test_dump_of_a_damaged_page(own: Path) -> None:
    """The dump of a slot says what it is used for and shows its bytes, damaged or not; that of a cluster goes on."""
    slot = slot_of_page(own, "two", 4)
    with clusterdb.open(own) as store:
        before = store.dump(slot=slot)
    flip(own, slot)
    with clusterdb.open(own) as store:
        after = store.dump(slot=slot)
        assert "level 0 node 0" in store.dump(cluster="two")
    for text in (before, after):
        assert text.startswith(f"slot {slot}: live")
    assert before.splitlines()[0] != after.splitlines()[0]  # the checksum
    assert before.splitlines()[1:] == after.splitlines()[1:]  # the first bytes are as they were


def test_dump_says_whose_page_a_slot_is(own: Path) -> None:
    """Who is told of a damaged slot can find out whose page it is."""
    slot = slot_of_page(own, "two", 4)
    with clusterdb.open(own) as store:
        text = store.dump(slot=slot)
    assert "page 4" in text
    assert "volume 2" in text or "two" in text


# --- media ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def umask() -> Iterator[None]:
    """Nobody's rights are taken away by the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_store_is_private_whatever_the_umask(tmp_path: Path, umask: None) -> None:
    """The directory of a new store is for its owner only, also where its parents had to be made."""
    clusterdb.open(tmp_path / "parent" / "store").close()
    assert mode(tmp_path / "parent" / "store") == 0o700
    for name in ("pool", "map", "readers", "locks"):
        assert mode(tmp_path / "parent" / "store" / name) == 0o600


def test_the_catalog_is_private_whatever_the_umask(tmp_path: Path, umask: None) -> None:
    """So is the catalog, which has the names: a store may lie in a directory that others can enter."""
    with clusterdb.open(tmp_path / "store") as store:
        fill(store.create_cluster("one"), 1)
        assert {file.name: mode(file) for file in (tmp_path / "store").glob("catalog.db*")} == {
            "catalog.db": 0o600,
            "catalog.db-wal": 0o600,
            "catalog.db-shm": 0o600,
        }


LINKED = ["pool", "map", "readers", "locks", "catalog.db", "catalog.db-wal", "catalog.db-shm"]


def plant(path: Path, name: str, target: Path) -> None:
    """Put a link in the place of a file of the store."""
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(target)


def open_and_use(path: Path) -> None:
    """Open a store and write to it."""
    with clusterdb.open(path) as store:
        fill(store.create_cluster("new"), 9)


@pytest.mark.parametrize("name", LINKED)
def test_a_link_to_a_file_outside_is_refused(own: Path, tmp_path: Path, name: str) -> None:
    """A store whose file is a link is refused, and the file it leads to is as it was."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"somebody else's " * 1000)
    plant(own, name, outside)
    with pytest.raises(clusterdb.Error):
        open_and_use(own)
    assert outside.read_bytes() == b"somebody else's " * 1000


@pytest.mark.parametrize("name", [pytest.param(name, id=f"link to the same {name}") for name in LINKED[:-1]])
def test_a_link_to_the_very_file_is_refused(own: Path, tmp_path: Path, name: str) -> None:
    """Also where the file it leads to would do: it may lie where others can write."""
    outside = tmp_path / "outside"
    shutil.copy(own / name, outside)
    before = outside.read_bytes()
    plant(own, name, outside)
    with pytest.raises(clusterdb.Error):
        open_and_use(own)
    assert outside.read_bytes() == before


@pytest.mark.parametrize("name", LINKED)
def test_a_dangling_link_is_refused(own: Path, tmp_path: Path, name: str) -> None:
    """A link to nowhere is refused, and no file comes to be where it leads."""
    plant(own, name, tmp_path / "outside")
    with pytest.raises(clusterdb.Error):
        open_and_use(own)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", [pytest.param(name, id=f"new link {name}") for name in LINKED])
def test_a_link_in_a_new_store_is_refused(tmp_path: Path, name: str) -> None:
    """Nor can somebody lay a link where a store is about to be made."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "locks").touch()
    plant(tmp_path / "store", name, tmp_path / "outside")
    with pytest.raises(clusterdb.Error):
        open_and_use(tmp_path / "store")
    assert not (tmp_path / "outside").exists()


def test_the_directory_may_be_a_link(own: Path, tmp_path: Path) -> None:
    """Where a store lies is its owner's choice."""
    (tmp_path / "link").symlink_to(own)
    open_and_use(tmp_path / "link")
    assert_is_the_family(tmp_path / "link", new=1)


def assert_is_the_family(path: Path, **others: int) -> None:
    """The store is clean, and every cluster has its rows."""
    with clusterdb.open(path) as store:
        assert_clean(store)
        assert {cluster.name for cluster in store.clusters()} == {*WRITTEN, *others}
        for name, n in WRITTEN.items():
            assert rows(store.cluster(name).connect(), "SELECT count(*), min(n), max(n) FROM t") == [(ROW_COUNT, n, n)]


def test_a_copy_is_a_store_of_its_own(own: Path, tmp_path: Path) -> None:
    """A closed store can be copied; what is done to the copy is not done to the original, nor the other way round."""
    copy = tmp_path / "copy"
    shutil.copytree(own, copy)
    with clusterdb.open(own) as store, clusterdb.open(copy) as other:
        fill(store.create_cluster("here"), 7)
        other.cluster("one").delete()
        fill(other.cluster("two"), 8)
        fill(store.cluster("heir").clone("there"), 9)
    assert_is_the_family(own, here=7, there=9)
    with clusterdb.open(copy) as other:
        assert_clean(other)
        assert [cluster.name for cluster in other.clusters()] == ["heir", "joint-heir", "three", "two"]
        assert rows(other.cluster("two").connect(), "SELECT min(n), max(n) FROM t") == [(8, 8)]
        assert rows(other.cluster("three").connect(), "SELECT min(n), max(n) FROM t") == [(2, 2)]


def test_a_store_can_be_moved(own: Path) -> None:
    """A closed store can be renamed, and back."""
    moved = own.with_name("moved")
    own.rename(moved)
    assert_is_the_family(moved)
    open_and_use(moved)
    moved.rename(own)
    assert_is_the_family(own, new=9)


@pytest.mark.parametrize("names", [("pool", "catalog.db"), ("pool", "catalog.db", "catalog.db-wal")], ids=len)
def test_pool_and_catalog_are_the_store(own: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    """Everything else is derived: a copy of these files alone is the store."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in names:
        shutil.copy(own / name, copy / name)
    assert_is_the_family(copy)


def test_pool_catalog_and_an_empty_lock_file_are_the_store(own: Path, tmp_path: Path) -> None:
    """The same with the lock file, which has no bytes."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("pool", "catalog.db", "catalog.db-wal"):
        shutil.copy(own / name, copy / name)
    (copy / "locks").touch()
    assert_is_the_family(copy)


def scramble_map(path: Path) -> None:
    """Make every slot of the map free: who believes it will write over data."""
    size = (path / "map").stat().st_size
    with open(path / "map", "r+b") as file:
        file.seek(layout.MAP_HEADER_BYTES)
        file.write(bytes(size - layout.MAP_HEADER_BYTES))


@pytest.mark.parametrize("word", [layout.MAP_BOOT_AT, layout.MAP_BOOT_AT + 1], ids=["first half", "second half"])
def test_a_map_of_another_boot_is_rebuilt(own: Path, word: int) -> None:
    """A map that was written in another boot is not believed."""
    scramble_map(own)
    put_word(own, "map", word, 0x1234)
    assert_is_the_family(own)
    open_and_use(own)
    assert_is_the_family(own, new=9)


@pytest.mark.parametrize("word", [layout.MAP_DEVICE_AT, layout.MAP_INODE_AT], ids=["device", "inode"])
def test_a_map_of_another_pool_is_rebuilt(own: Path, word: int) -> None:
    """Nor is one of another pool file."""
    scramble_map(own)
    put_word(own, "map", word, 0x1234)
    assert_is_the_family(own)


def test_another_boot(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the machine has booted anew, the map is rebuilt, once; then it is believed."""
    scramble_map(own)
    monkeypatch.setattr(vfs_store, "boot_id", lambda: b"another boot now")
    assert_is_the_family(own)
    rebuilds: list[object] = []
    monkeypatch.setattr("vfs.recovery.rebuild", rebuilds.append)
    assert_is_the_family(own)
    assert rebuilds == []


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p"])
def test_a_store_on_a_remote_file_system_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Also a store that is there already; nothing in it is touched."""

    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in own.iterdir()}

    before = files()
    monkeypatch.setattr(osio, "file_system_of", lambda _: kind)
    for verb in (clusterdb.open, clusterdb.repair):
        with pytest.raises(clusterdb.UnsupportedFileSystemError, match=f"{kind} file system"):
            verb(own)
    assert files() == before
