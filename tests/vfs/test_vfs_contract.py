"""The contract of every method of the VFS and its files, called as SQLite calls them but without SQLite between.

Numbers and names are those of https://sqlite.org/c3ref/io_methods.html and https://sqlite.org/c3ref/vfs.html .
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import clusterdb
from tests.support.stores import assert_clean

NONE, SHARED = 0, apsw.SQLITE_LOCK_SHARED
RESERVED, PENDING, EXCLUSIVE = apsw.SQLITE_LOCK_RESERVED, apsw.SQLITE_LOCK_PENDING, apsw.SQLITE_LOCK_EXCLUSIVE
MAIN = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE
MAIN_READONLY = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY
JOURNAL = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
SUPER_JOURNAL = apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
TEMPORARY = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_DELETEONCLOSE
COMMIT_PHASETWO = apsw.SQLITE_FCNTL_COMMIT_PHASETWO

Open = Callable[..., Any]


@pytest.fixture
def opened(store: clusterdb.Store) -> Iterator[Open]:
    """A function that opens files of the empty cluster ``prod`` through the VFS, and closes them at the end."""
    store.create_cluster("prod")
    files: list[Any] = []

    def open_file(name: str | None = "prod", flags: int = MAIN) -> Any:
        file = store._vfs.xOpen(name, [flags, 0])
        files.append(file)
        return file

    yield open_file
    for file in files:
        file.xClose()


def write_locked(file: Any) -> None:
    """Take the locks of a write transaction, as SQLite's pager does."""
    for level in (SHARED, RESERVED, EXCLUSIVE):
        file.xLock(level)


def commit(file: Any) -> None:
    """The end of SQLite's commit: sync, publish, and down to no lock."""
    file.xSync(apsw.SQLITE_SYNC_NORMAL)
    file.xFileControl(COMMIT_PHASETWO, 0)
    file.xUnlock(SHARED)
    file.xUnlock(NONE)


def roll_back(file: Any) -> None:
    """The end of a transaction without COMMIT_PHASETWO."""
    file.xUnlock(SHARED)
    file.xUnlock(NONE)


def stored(file: Any) -> bytes:
    """Everything that a new reader sees."""
    file.xLock(SHARED)
    data = bytes(file.xRead(file.xFileSize() + 100, 0))
    assert len(data) == file.xFileSize()
    file.xUnlock(NONE)
    return data


def store_bytes(file: Any, data: bytes, offset: int = 0) -> None:
    """One committed transaction that writes ``data``."""
    write_locked(file)
    file.xWrite(data, offset)
    commit(file)


def pattern(amount: int, seed: int = 1) -> bytes:
    """Bytes without a period of a page, so that a piece from the wrong place shows."""
    return bytes((seed + at * 7 + (at >> 8) * 13) & 255 for at in range(amount))


# --- opening ----------------------------------------------------------------------------------------------------------
def test_open_answers_the_flags_it_was_given(store: clusterdb.Store) -> None:
    """SQLite learns from the second flag word what it really got."""
    store.create_cluster("prod")
    for flags in (MAIN, MAIN_READONLY):
        both = [flags, 0]
        file = store._vfs.xOpen("prod", both)
        assert both[1] == flags
        file.xClose()


def test_open_of_an_unknown_name_suggests_a_known_one(store: clusterdb.Store) -> None:
    """A misspelt cluster is refused with the name that was meant."""
    store.create_cluster("prod")
    with pytest.raises(apsw.CantOpenError, match=r"no cluster 'prdo'; did you mean 'prod'\?"):
        store._vfs.xOpen("prdo", [MAIN, 0])


def test_open_for_reading_refuses_the_writer_lock(opened: Open) -> None:
    """A file opened read-only can be read and never written."""
    file = opened(flags=MAIN_READONLY)
    file.xLock(SHARED)
    with pytest.raises(apsw.ReadOnlyError):
        file.xLock(RESERVED)
    file.xUnlock(NONE)


def test_a_dropped_cluster_is_refused_at_the_next_lock(store: clusterdb.Store, opened: Open) -> None:
    """An open file of a deleted cluster fails with an I/O error that names the cluster."""
    file = opened()
    store_bytes(file, pattern(4096))
    store.cluster("prod").delete()
    with pytest.raises(apsw.IOError, match="prod"):
        file.xLock(SHARED)


def test_nameless_files_go_to_the_stock_vfs(opened: Open) -> None:
    """Temporary databases and sorter runs are SQLite's own temporary files."""
    for kind in (apsw.SQLITE_OPEN_TEMP_DB, apsw.SQLITE_OPEN_TRANSIENT_DB, apsw.SQLITE_OPEN_SUBJOURNAL):
        file = opened(None, kind | TEMPORARY)
        assert isinstance(file, apsw.VFSFile)
        file.xWrite(b"spilled", 0)
        assert file.xRead(7, 0) == b"spilled"


def test_paths_with_a_slash_go_to_the_stock_vfs(opened: Open, tmp_path: Path) -> None:
    """A path is a plain file, whatever it is opened as."""
    path = tmp_path / "plain"
    file = opened(str(path), MAIN | apsw.SQLITE_OPEN_CREATE)
    assert isinstance(file, apsw.VFSFile)
    file.xWrite(b"plain bytes", 0)
    assert path.read_bytes() == b"plain bytes"


def test_default_vfs_may_be_that_of_a_store(store: clusterdb.Store, tmp_path: Path) -> None:
    """Plain files, other stores, imports and temporary databases go where they went before."""
    default = apsw.vfs_names()[0]
    store.create_cluster("prod").connect().execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    apsw.set_default_vfs(store.vfs)
    try:
        for name, mode in (("plain.db", "delete"), ("wal.db", "wal")):
            plain = apsw.Connection(str(tmp_path / name))
            assert plain.pragma("journal_mode", mode) == mode
            plain.execute("CREATE TABLE p (a); INSERT INTO p VALUES (2)")
            assert plain.execute("SELECT a FROM p").get == 2
            plain.close()
        with clusterdb.open(tmp_path / "other", create=True) as other:
            dev = other.create_cluster("dev").connect()
            dev.execute(f"ATTACH '{tmp_path / 'plain.db'}' AS p; CREATE TEMP TABLE q (a); CREATE TABLE r (a)")
            assert dev.execute("SELECT a FROM p.p").get == 2
            dev.close()
            apsw.set_default_vfs(other.vfs)
            raw = apsw.Connection("prod", vfs=store.vfs)
            raw.execute(f"ATTACH '{tmp_path / 'plain.db'}' AS p")
            assert raw.execute("SELECT t.a + p.a FROM t, p.p").get == 3
            raw.close()
        apsw.set_default_vfs(store.vfs)
        store.create_cluster("copy", from_file=tmp_path / "plain.db").export(tmp_path / "copy.db")
        raw = apsw.Connection("copy")
        assert raw.execute("SELECT a FROM p").get == 2
        raw.close()
    finally:
        apsw.set_default_vfs(default)
    assert sqlite3.connect(tmp_path / "copy.db").execute("SELECT a FROM p").fetchall() == [(2,)]


@pytest.mark.parametrize("page_size", [512, 4096, 8192, 65536])
def test_connection_knows_the_page_size_before_it_reads(store: clusterdb.Store, page_size: int) -> None:
    """As that to a plain file does, since SQLite looks at the header when it opens one."""
    connection = store.create_cluster("prod").connect()
    connection.execute(f"PRAGMA page_size = {page_size}; VACUUM; CREATE TABLE t (a)")
    connection.close()
    raw = apsw.Connection("prod", vfs=store.vfs)
    assert raw.pragma("page_size") == page_size
    assert raw.execute("SELECT count(*) FROM t").get == 0
    raw.close()
    assert apsw.Connection("prod", vfs=store.vfs).pragma("page_size") == page_size


# --- names ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["prod", "Prod-2", "a", "x" + "-1" * 31, "test_site_gw0", "a__"])
def test_cluster_names_never_become_files_of_the_working_directory(
    store: clusterdb.Store, opened: Open, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full path of a cluster's name lies elsewhere, is its own full path, and opens the cluster again."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "cwd" / name).write_bytes(b"bait")
    full = store._vfs.xFullPathname(name)
    assert Path(full).name == name
    assert not full.startswith(str(tmp_path / "cwd"))
    assert store._vfs.xFullPathname(full) == full
    if name != "prod":
        store.create_cluster(name)
    store_bytes(opened(full), name.encode())
    assert stored(opened(name)) == stored(opened(full)) == name.encode()


@pytest.mark.parametrize("name", ["./prod", "copy.db", "sub/prod", "../prod", "_prod", "./a_b", "a_b.db"])
def test_other_names_become_absolute_paths(
    store: clusterdb.Store, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything with a slash or a dot is a file, relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    full = store._vfs.xFullPathname(name)
    assert Path(full).resolve() == (tmp_path / name).resolve()
    assert full.startswith("/")


@pytest.mark.parametrize("name", ["prod", "prod-journal", "prod-wal", "a_b", "a_b-journal"])
@pytest.mark.parametrize("flags", [apsw.SQLITE_ACCESS_EXISTS, apsw.SQLITE_ACCESS_READWRITE])
def test_access_denies_every_cluster_name(
    store: clusterdb.Store, name: str, flags: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No volume ever has a journal or WAL, also not when a file of that name lies around."""
    store.create_cluster("prod")
    monkeypatch.chdir(tmp_path)
    full = Path(store._vfs.xFullPathname(name))
    for bait in (tmp_path / name, *([full] if full.parent.exists() else [])):
        bait.write_bytes(b"bait")
    assert store._vfs.xAccess(name, flags) is False
    assert store._vfs.xAccess(str(full), flags) is False


def test_access_of_a_path_is_the_stock_answer(store: clusterdb.Store, tmp_path: Path) -> None:
    """Journals of attached plain files are found."""
    path = tmp_path / "plain-journal"
    assert not store._vfs.xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)
    path.write_bytes(b"x")
    assert store._vfs.xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)


@pytest.mark.parametrize("name", ["prod-journal", "prod-wal", "prod", "a_b", "a_b-wal"])
def test_delete_of_a_cluster_name_touches_nothing(
    store: clusterdb.Store, opened: Open, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting a journal that never was a file harms neither the cluster nor a file of that name."""
    monkeypatch.chdir(tmp_path)
    bait = tmp_path / name
    bait.write_bytes(b"bait")
    store_bytes(opened(), pattern(4096))
    store._vfs.xDelete(name, False)
    store._vfs.xDelete(store._vfs.xFullPathname(name), False)
    assert bait.read_bytes() == b"bait"
    assert stored(opened()) == pattern(4096)


def test_delete_of_a_path_deletes_the_file(store: clusterdb.Store, tmp_path: Path) -> None:
    """Journals of attached plain files go away at commit."""
    path = tmp_path / "plain-journal"
    path.write_bytes(b"x")
    store._vfs.xDelete(str(path), False)
    assert not path.exists()


# --- reading ----------------------------------------------------------------------------------------------------------
def test_a_new_cluster_is_an_empty_file(opened: Open) -> None:
    """Size zero, and nothing to read anywhere."""
    file = opened()
    file.xLock(SHARED)
    assert file.xFileSize() == 0
    assert bytes(file.xRead(100, 0)) == b""
    assert bytes(file.xRead(16, 24)) == b""
    file.xUnlock(NONE)


@pytest.mark.parametrize("size", [1, 511, 4095, 4096, 4097, 3 * 4096 + 5])
def test_reads_are_short_at_the_end_only(opened: Open, size: int) -> None:
    """A read gives what there is: all of it before the end, the rest across it, nothing beyond."""
    file, data = opened(), pattern(size)
    store_bytes(file, data)
    file.xLock(SHARED)
    assert file.xFileSize() == size
    for offset in {0, 1, size // 2, size - 1, size, size + 1, size + 5000}:
        for amount in (1, 16, 4096, 10000):
            assert bytes(file.xRead(amount, offset)) == data[offset : offset + amount], (amount, offset)
    file.xUnlock(NONE)


@pytest.mark.parametrize("gap", [1, 4096, 5000, 300 * 4096])
def test_holes_read_zeros(opened: Open, gap: int) -> None:
    """What was jumped over when writing beyond the end is zeros, staged and stored."""
    file = opened()
    write_locked(file)
    file.xWrite(b"first", 0)
    file.xWrite(b"last", 5 + gap)
    expected = b"first" + bytes(gap) + b"last"
    assert file.xFileSize() == len(expected)
    assert bytes(file.xRead(len(expected), 0)) == expected
    commit(file)
    assert stored(file) == expected


def test_a_reader_keeps_its_version_while_others_commit(opened: Open) -> None:
    """From SHARED to NONE nothing that a reader sees changes."""
    reader, writer = opened(), opened()
    store_bytes(writer, pattern(5 * 4096, seed=1))
    reader.xLock(SHARED)
    for seed in range(2, 12):
        store_bytes(writer, pattern(4 * 4096 + 100 * seed, seed), 0)
        write_locked(writer)
        writer.xTruncate(4096 * (seed % 3 + 1))
        commit(writer)
        assert reader.xFileSize() == 5 * 4096
        assert bytes(reader.xRead(5 * 4096, 0)) == pattern(5 * 4096, seed=1)
    reader.xUnlock(NONE)
    assert stored(reader) == pattern(4 * 4096 + 1100, 11)[: 3 * 4096]


# --- writing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("offset", [0, 1, 24, 4000, 4095, 4096, 6000, 8192, 12287])
def test_writes_of_any_size_and_place(opened: Open, offset: int) -> None:
    """Less than a page, more than one, straddling: exactly the bytes written change."""
    file, reader, expected = opened(), opened(), pattern(3 * 4096)
    store_bytes(file, expected)
    for amount in (1, 16, 512, 4096, 4097, 9000):
        expected = expected[:offset] + pattern(amount, seed=99 + amount) + expected[offset + amount :]
        write_locked(file)
        file.xWrite(pattern(amount, seed=99 + amount), offset)
        assert bytes(file.xRead(len(expected), 0)) == expected
        commit(file)
        assert stored(file) == stored(reader) == expected


def test_a_write_does_not_keep_the_buffer_it_was_given(opened: Open) -> None:
    """SQLite reuses its page buffers; what was written stays what it was."""
    file, buffer = opened(), bytearray(pattern(4096))
    write_locked(file)
    file.xWrite(bytes(buffer), 0)
    buffer[:] = bytes(4096)
    commit(file)
    assert stored(file) == pattern(4096)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 5000, 8192])
def test_truncate_shrinks(opened: Open, size: int) -> None:
    """What is cut off is gone: growing again brings zeros, not the old bytes."""
    file, data = opened(), pattern(3 * 4096)
    store_bytes(file, data)
    write_locked(file)
    file.xTruncate(size)
    assert file.xFileSize() == size
    assert bytes(file.xRead(3 * 4096, 0)) == data[:size]
    commit(file)
    assert stored(opened()) == data[:size]
    write_locked(file)
    file.xTruncate(3 * 4096)
    commit(file)
    assert stored(opened()) == data[:size] + bytes(3 * 4096 - size)


def test_truncate_up_and_down_within_a_transaction(opened: Open) -> None:
    """Cut and grown in one transaction, the cut part is zeros."""
    file, data = opened(), pattern(600 * 4096)
    store_bytes(file, data)
    write_locked(file)
    file.xTruncate(300 * 4096 + 10)
    file.xTruncate(500 * 4096)
    file.xTruncate(2 * 4096 + 1)
    file.xTruncate(600 * 4096)
    commit(file)
    assert stored(opened()) == data[: 2 * 4096 + 1] + bytes(598 * 4096 - 1)


Change = tuple[str, int, int, int]
changes = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40_000), st.integers(1, 9000), st.integers(0, 255)),
        st.tuples(st.just("truncate"), st.integers(0, 40_000), st.just(0), st.just(0)),
        st.tuples(st.sampled_from(["commit", "roll back"]), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def _play(file: Any, reader: Any, steps: list[Change]) -> None:
    committed, now = stored(file), bytearray(stored(file))
    write_locked(file)
    for what, offset, amount, seed in steps:
        if what == "write":
            now.extend(bytes(max(0, offset - len(now))))
            now[offset : offset + amount] = pattern(amount, seed)
            file.xWrite(pattern(amount, seed), offset)
        elif what == "truncate":
            now.extend(bytes(max(0, offset - len(now))))
            del now[offset:]
            file.xTruncate(offset)
        else:
            if what == "commit":
                committed = bytes(now)
                commit(file)
            else:
                now = bytearray(committed)
                roll_back(file)
            assert stored(file) == stored(reader) == committed
            write_locked(file)
        assert file.xFileSize() == len(now)
        assert bytes(file.xRead(len(now) + 1, 0)) == now
    roll_back(file)
    assert stored(reader) == committed


CUT_AND_GROWN: list[Change] = [
    ("write", 0, 1, 1),
    ("truncate", 2, 0, 0),
    ("commit", 0, 0, 0),
    ("truncate", 0, 0, 0),
    ("truncate", 2, 0, 0),
    ("commit", 0, 0, 0),
]
WRITTEN_AHEAD_TWICE: list[Change] = [("write", 0, 8193, 0), ("write", 0, 1, 1), ("commit", 0, 0, 0)]


@pytest.mark.parametrize("staged_max", [2, 2048])
@pytest.mark.parametrize("where", [":memory:", "disk"])
def test_a_file_behaves_like_an_array_of_bytes(
    where: str, staged_max: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any sequence of writes, truncations, commits and rollbacks, also with pages written ahead of the commit."""
    monkeypatch.setattr("vfs.volume.STAGED_PAGES_MAX", staged_max)

    @settings(max_examples=25, deadline=None)
    @given(changes)
    @example(CUT_AND_GROWN)
    @example(WRITTEN_AHEAD_TWICE)
    def play(steps: list[Change]) -> None:
        cluster = store.create_cluster("prod")
        file, reader = store._vfs.xOpen("prod", [MAIN, 0]), store._vfs.xOpen("prod", [MAIN_READONLY, 0])
        try:
            _play(file, reader, steps)
        finally:
            file.xClose()
            reader.xClose()
            cluster.delete()
        assert_clean(store)

    with clusterdb.open(where if where == ":memory:" else tmp_path / "store") as store:
        play()


def test_a_page_written_ahead_twice_takes_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that left memory before the commit and then changed again leave no slot behind."""
    monkeypatch.setattr("vfs.volume.STAGED_PAGES_MAX", 2)
    with clusterdb.open(":memory:") as store:
        store.create_cluster("prod")
        file = store._vfs.xOpen("prod", [MAIN, 0])
        store_bytes(file, bytes(8193))
        write_locked(file)
        for seed in range(20):
            file.xWrite(pattern(5 * 4096, seed), 0)
        commit(file)
        file.xClose()
        assert_clean(store)


def test_cut_to_nothing_and_grown_again_is_all_zeros(opened: Open) -> None:
    """A transaction that ends with the size it began with has still changed what was cut off."""
    file = opened()
    store_bytes(file, pattern(4096))
    write_locked(file)
    file.xTruncate(0)
    file.xTruncate(4096)
    commit(file)
    assert stored(opened()) == bytes(4096)


# --- locks ------------------------------------------------------------------------------------------------------------
def test_all_lock_transitions_of_a_pager(opened: Open) -> None:
    """Up step by step or at once, down to SHARED or to NONE, again and again; asking for what one has is harmless."""
    file = opened()
    for up in ((SHARED, RESERVED, PENDING, EXCLUSIVE), (SHARED, RESERVED, EXCLUSIVE), (SHARED, RESERVED), (SHARED,)):
        for down in ((SHARED, NONE), (NONE,), (SHARED, SHARED, NONE, NONE)):
            for level in up:
                file.xLock(level)
                file.xLock(level)
            for level in down:
                file.xUnlock(level)
            assert not file.xCheckReservedLock()


def test_write_without_reserved_is_refused(opened: Open) -> None:
    """Code that holds no writer lock cannot change a cluster."""
    file = opened()
    store_bytes(file, pattern(4096))
    file.xLock(SHARED)
    with pytest.raises(apsw.IOError, match="written to without"):
        file.xWrite(b"x", 0)
    with pytest.raises(apsw.IOError, match="written to without"):
        file.xTruncate(0)
    file.xUnlock(NONE)
    assert stored(file) == pattern(4096)


def test_exclusive_without_reserved_is_refused(opened: Open) -> None:
    """Nobody becomes the writer by skipping the writer lock."""
    file, other = opened(), opened()
    file.xLock(SHARED)
    with pytest.raises(apsw.BusyError):
        file.xLock(EXCLUSIVE)
    file.xUnlock(NONE)
    write_locked(other)
    roll_back(other)


def test_the_second_writer_is_busy(opened: Open) -> None:
    """One writer at a time; the second gets the lock when the first is done, whether it committed or not."""
    first, second = opened(), opened()
    first.xLock(SHARED)
    first.xLock(RESERVED)
    second.xLock(SHARED)
    with pytest.raises(apsw.BusyError) as caught:
        second.xLock(RESERVED)
    assert caught.value.extendedresult == apsw.SQLITE_BUSY
    roll_back(first)
    second.xLock(RESERVED)
    roll_back(second)


def test_a_stale_snapshot_cannot_become_the_writer(opened: Open) -> None:
    """Who has read an older version must begin anew before writing."""
    stale, writer = opened(), opened()
    stale.xLock(SHARED)
    store_bytes(writer, pattern(4096))
    with pytest.raises(apsw.BusyError) as caught:
        stale.xLock(RESERVED)
    assert caught.value.extendedresult == apsw.SQLITE_BUSY_SNAPSHOT
    assert stale.xFileSize() == 0, "it still reads its own version"
    stale.xUnlock(NONE)
    write_locked(writer)  # the refused one kept no lock
    roll_back(writer)
    write_locked(stale)
    roll_back(stale)


def test_writers_of_a_clone_and_its_source_do_not_wait(store: clusterdb.Store, opened: Open) -> None:
    """Each cluster has its own writer lock."""
    store.cluster("prod").clone("dev")
    one, other = opened("prod"), opened("dev")
    write_locked(one)
    write_locked(other)
    assert opened("dev", MAIN_READONLY).xCheckReservedLock()
    one.xWrite(b"prod", 0)
    other.xWrite(b"dev", 0)
    commit(one)
    commit(other)
    assert (stored(one), stored(other)) == (b"prod", b"dev")


def test_check_reserved_lock_tells_of_any_writer(opened: Open) -> None:
    """True for the writer itself and for everyone else, only while there is a writer."""
    writer, other = opened(), opened()
    assert not other.xCheckReservedLock()
    writer.xLock(SHARED)
    other.xLock(SHARED)
    assert not other.xCheckReservedLock()
    writer.xLock(RESERVED)
    assert writer.xCheckReservedLock()
    assert other.xCheckReservedLock()
    writer.xUnlock(SHARED)
    assert not writer.xCheckReservedLock()
    assert not other.xCheckReservedLock()
    writer.xUnlock(NONE)
    other.xUnlock(NONE)


@pytest.mark.parametrize("level", [SHARED, NONE])
def test_unlock_without_commit_rolls_back(opened: Open, level: int) -> None:
    """What was not published is forgotten, though it was synced."""
    file, data = opened(), pattern(2 * 4096)
    store_bytes(file, data)
    write_locked(file)
    file.xWrite(pattern(9000, seed=50), 100)
    file.xTruncate(7777)
    file.xSync(apsw.SQLITE_SYNC_FULL)
    file.xUnlock(level)
    if level == SHARED:
        assert file.xFileSize() == len(data)
        assert bytes(file.xRead(20000, 0)) == data
        file.xUnlock(NONE)
    assert stored(file) == stored(opened()) == data


def test_close_rolls_back_and_lets_the_next_writer_in(store: clusterdb.Store, opened: Open) -> None:
    """A connection that goes away in the middle of a transaction leaves nothing behind."""
    store_bytes(opened(), pattern(4096))
    left = store._vfs.xOpen("prod", [MAIN, 0])
    write_locked(left)
    left.xWrite(b"half a transaction", 0)
    left.xClose()
    after = opened()
    write_locked(after)
    assert bytes(after.xRead(4096, 0)) == pattern(4096)
    roll_back(after)


def test_a_closed_file_is_not_open() -> None:
    """A store closes once its files are closed, though a caught error still refers to one of them."""
    store = clusterdb.open(":memory:")
    store.create_cluster("prod")
    file = store._vfs.xOpen("prod", [MAIN_READONLY, 0])
    file.xLock(SHARED)
    with pytest.raises(apsw.ReadOnlyError) as caught:
        file.xLock(RESERVED)
    file.xClose()
    store.close()
    assert "prod" in str(caught.value)


# --- publishing -------------------------------------------------------------------------------------------------------
def test_commit_phasetwo_publishes(opened: Open) -> None:
    """New readers see a transaction from COMMIT_PHASETWO on, not earlier, and before the writer unlocks."""
    writer, reader = opened(), opened(flags=MAIN_READONLY)
    store_bytes(writer, pattern(4096))
    write_locked(writer)
    writer.xWrite(pattern(4096, seed=7), 0)
    writer.xSync(apsw.SQLITE_SYNC_NORMAL)
    assert stored(reader) == pattern(4096)
    assert writer.xFileControl(COMMIT_PHASETWO, 0) is True
    assert stored(reader) == pattern(4096, seed=7)
    roll_back(writer)
    assert stored(reader) == pattern(4096, seed=7)


def test_commit_phasetwo_without_changes_makes_no_version(store: clusterdb.Store, opened: Open) -> None:
    """Writing the same bytes again, or nothing, publishes nothing and takes no page."""
    file = opened()
    store_bytes(file, pattern(3 * 4096))
    before = store.cluster("prod").stats()
    for data in (pattern(3 * 4096), pattern(4096), b""):
        write_locked(file)
        if data:
            file.xWrite(data, 0)
        commit(file)
    file.xLock(SHARED)
    file.xFileControl(COMMIT_PHASETWO, 0)  # no transaction at all
    file.xUnlock(NONE)
    assert store.cluster("prod").stats() == before


def test_several_commits_under_one_lock(opened: Open) -> None:
    """As with locking_mode=EXCLUSIVE: each COMMIT_PHASETWO publishes what came since the one before."""
    writer, reader = opened(), opened()
    write_locked(writer)
    for seed in range(5):
        writer.xWrite(pattern(5000, seed), 1000 * seed)
        writer.xFileControl(COMMIT_PHASETWO, 0)
        assert stored(reader)[1000 * seed :] == pattern(5000, seed)
        assert bytes(writer.xRead(5000, 1000 * seed)) == pattern(5000, seed)
    writer.xWrite(b"not committed", 0)
    roll_back(writer)
    assert stored(reader) == stored(writer)
    assert stored(reader)[:1000] == pattern(5000, 0)[:1000]


def test_the_change_counter_follows_the_version(store: clusterdb.Store, opened: Open) -> None:
    """A published page 1 carries the volume's version as change counter, whatever SQLite wrote there."""
    file = opened()
    header = bytearray(pattern(4096))
    header[:16] = b"SQLite format 3\0"
    header[18:20] = b"\2\2"  # a database in WAL mode
    for counter in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1"):
        header[24:28] = header[92:96] = counter
        header[200:204] = counter
        store_bytes(file, bytes(header))
        version = store.cluster("prod").stats().version.to_bytes(4, "big")
        page = stored(opened())
        assert page[24:28] == page[92:96] == version
        assert page[18:20] == b"\1\1"
        assert page[100:] == header[100:]


def test_unknown_controls_are_left_to_sqlite(opened: Open) -> None:
    """False means SQLITE_NOTFOUND: SQLite then does what it does without the control."""
    file = opened()
    for op in (apsw.SQLITE_FCNTL_SIZE_HINT, apsw.SQLITE_FCNTL_CHUNK_SIZE, apsw.SQLITE_FCNTL_BEGIN_ATOMIC_WRITE, 9999):
        assert file.xFileControl(op, 0) is False


def test_the_device_claims_only_what_holds(opened: Open) -> None:
    """No batch-atomic writes, not immutable, and sectors of one page."""
    file = opened()
    assert file.xSectorSize() == 4096
    for claim in (apsw.SQLITE_IOCAP_BATCH_ATOMIC, apsw.SQLITE_IOCAP_IMMUTABLE, apsw.SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN):
        assert not file.xDeviceCharacteristics() & claim


# --- journals ---------------------------------------------------------------------------------------------------------
def test_a_journal_is_a_file_in_memory(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads back what was written, zeros where nothing was, shrinks when truncated, and is no file on disk."""
    monkeypatch.chdir(tmp_path)
    journal = opened("prod-journal", JOURNAL)
    assert journal.xFileSize() == 0
    assert bytes(journal.xRead(10, 0)) == b""
    journal.xWrite(b"header", 0)
    journal.xWrite(b"record", 512)
    journal.xWrite(b"HEAD", 0)
    assert journal.xFileSize() == 518
    assert bytes(journal.xRead(8, 0)) == b"HEADer\0\0"
    assert bytes(journal.xRead(100, 510)) == b"\0\0record"
    journal.xSync(apsw.SQLITE_SYNC_NORMAL)
    journal.xTruncate(5)
    assert journal.xFileSize() == 5
    assert bytes(journal.xRead(100, 0)) == b"HEADe"
    journal.xWrite(b"x", 8)
    assert bytes(journal.xRead(100, 0)) == b"HEADe\0\0\0x"
    assert list(tmp_path.rglob("prod*")) == []


def test_a_super_journal_is_a_real_file(store: clusterdb.Store, opened: Open) -> None:
    """The journals of attached plain files refer to it by its full path, so it must be there after a crash."""
    path = Path(f"{store._vfs.xFullPathname('prod')}-mj0A1B2C93D")
    assert not store._vfs.xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)
    opened(str(path), SUPER_JOURNAL).xWrite(b"/somewhere/plain.db-journal\0", 0)
    assert path.read_bytes() == b"/somewhere/plain.db-journal\0"
    assert store._vfs.xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)
    store._vfs.xDelete(str(path), False)
    assert not path.exists()


def test_a_write_ahead_log_is_refused(store: clusterdb.Store, opened: Open) -> None:
    """Whatever way SQLite comes to ask for one."""
    wal = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    for name in ("prod-wal", store._vfs.xFullPathname("prod-wal")):
        with pytest.raises(apsw.CantOpenError, match="prod"):
            store._vfs.xOpen(name, [wal, 0])


def test_journals_are_never_shared_nor_found_again(opened: Open) -> None:
    """Two connections have two journals, and one that is opened anew is empty: there are no hot journals."""
    one, other = opened("prod-journal", JOURNAL), opened("prod-journal", JOURNAL)
    one.xWrite(b"of the first connection", 0)
    assert other.xFileSize() == 0
    one.xClose()
    assert opened("prod-journal", JOURNAL).xFileSize() == 0


def test_a_journal_answers_everything_sqlite_asks(opened: Open) -> None:
    """Locks, controls and characteristics of a journal claim nothing."""
    journal = opened("prod-journal", JOURNAL)
    journal.xLock(SHARED)
    journal.xUnlock(NONE)
    assert journal.xCheckReservedLock() is False
    assert journal.xFileControl(apsw.SQLITE_FCNTL_SIZE_HINT, 0) is False
    assert journal.xSectorSize() in (512, 4096)
    assert journal.xDeviceCharacteristics() == 0
