"""Entries of logs in directories: objects for who reads them, of which a writer's are in one file."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clusterdb.errors import RemoteDamagedError, RemoteError, RemoteUnavailableError
from clusterdb.remote import objects
from clusterdb.remote.objects import Directory, Engine, Objects
from clusterdb.zones import segment
from clusterdb.zones.directory import NodeDirectory, Staged
from clusterdb.zones.faults import Faults, FaultyEngine
from clusterdb.zones.segment import ENTRY_MAGIC
from tests.zones.damage import flip_bit
from vfs import failpoints

_FOLDER = "copies/c/f"


def _path(position: int) -> str:
    return f"{_FOLDER}/{position:012}"


def _entry(text: str, length: int = 0) -> bytes:
    data = (ENTRY_MAGIC + text.encode()).ljust(length, b"\0")
    return data + struct.pack("<I", zlib.crc32(data))


def _handle(root: Path) -> Objects:
    """The objects of a node, as a process of their own reaches them."""
    return Objects(f"file://{root}", NodeDirectory(Directory(root)), f"file://{root}")


def _names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / _FOLDER).iterdir())


@pytest.fixture(autouse=True)
def _without_syncs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(objects.CALLS, "sync_file", lambda path: None)
    monkeypatch.setattr(objects.CALLS, "sync_directory", lambda path: None)
    yield
    failpoints.armed.clear()


def test_entries_of_a_writer_share_a_file(tmp_path: Path) -> None:
    node = _handle(tmp_path)
    for position in range(1, 100):
        assert node.create(_path(position), _entry(str(position), 1000))
    assert _names(tmp_path) == ["000000000001"]
    assert [listed.path for listed in _handle(tmp_path).list("copies")] == [_path(at) for at in range(1, 100)]
    assert _handle(tmp_path).get(_path(57)) == _entry("57", 1000)
    assert _handle(tmp_path).get_range(_path(57), len(ENTRY_MAGIC) + 1, 3) == b"7\0\0"
    assert _handle(tmp_path).get(_path(100)) is None


def test_positions_are_created_once(tmp_path: Path) -> None:
    first, second = _handle(tmp_path), _handle(tmp_path)
    assert first.create(_path(1), _entry("first 1"))
    assert first.create(_path(2), _entry("first 2"))
    assert not second.create(_path(2), _entry("second 2"))
    assert second.create(_path(3), _entry("second 3"))
    assert not first.create(_path(3), _entry("first 3"))
    assert second.create(_path(4), _entry("second 4"))
    assert first.create(_path(5), _entry("first 5"))
    assert [node.get(_path(at)) for node in (first, second) for at in (2, 3, 4, 5)] == [
        *(_entry("first 2"), _entry("second 3"), _entry("second 4"), _entry("first 5")),
    ] * 2


@pytest.mark.parametrize("point", ["segment: stopped", "segment: end agreed on"])
def test_late_entry_takes_no_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """A writer that was stopped writes once more; who sees that cannot continue behind what does not count."""
    monkeypatch.setattr("clusterdb.zones.directory.can_sync_together", lambda path: True)
    engine = NodeDirectory(Directory(tmp_path), tmp_path.stat().st_dev)
    second, third = _handle(tmp_path), _handle(tmp_path)
    assert engine.create(_path(1), _entry("first 1"))
    staged: list[Staged] = []

    def write_late() -> None:
        failpoints.armed.clear()
        entry = engine.stage(_path(2), _entry("first 2"))
        assert entry is not None
        staged.append(entry)
        if point == "segment: end agreed on":
            assert third.get(_path(2)) is None
            assert not NodeDirectory(Directory(tmp_path)).create(_path(3), _entry("third 3"))

    failpoints.armed[point] = write_late
    is_late = point == "segment: end agreed on"
    assert second.create(_path(2), _entry("second 2")) == is_late
    assert not staged[0].finish()
    if not is_late:  # it was there when the end was agreed on
        assert second.get(_path(2)) == _entry("first 2")
        return
    assert third.create(_path(3), _entry("third 3"))
    assert [third.get(_path(at)) for at in (1, 2, 3)] == [_entry("first 1"), _entry("second 2"), _entry("third 3")]


def test_log_is_continued_after_who_stopped_it_died(tmp_path: Path) -> None:
    class _DiedError(Exception):
        pass

    def die() -> None:
        failpoints.armed.clear()
        raise _DiedError

    first, second = _handle(tmp_path), _handle(tmp_path)
    for position, point in enumerate(("segment: stopped", "segment: end agreed on"), 1):
        assert first.create(_path(2 * position - 1), _entry("first"))
        failpoints.armed[point] = die
        with pytest.raises(_DiedError):
            second.create(_path(2 * position), _entry("second"))
        assert first.create(_path(2 * position), _entry("first again"))
    assert second.create(_path(5), _entry("second"))
    assert [second.get(_path(at)) for at in range(1, 6)] == [
        *[_entry("first"), _entry("first again")] * 2,
        _entry("second"),
    ]


def test_entries_of_earlier_releases_are_continued(tmp_path: Path) -> None:
    plain = Directory(tmp_path)
    for position in (1, 2, 3):
        assert plain.create(_path(position), _entry(str(position)))
    node = _handle(tmp_path)
    assert not node.create(_path(3), _entry("other"))
    for position in (4, 5):
        assert node.create(_path(position), _entry(str(position)))
    assert _names(tmp_path) == [f"{at:012}" for at in (1, 2, 3, 4)]
    assert [node.get(_path(at)) for at in range(1, 6)] == [_entry(str(at)) for at in range(1, 6)]


def test_long_entries_have_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterdb.zones.directory.ENTRY_BYTES_MAX", 1000)
    node = _handle(tmp_path)
    sizes = [10, 10, 2000, 10, 3000, 2000, 10]
    for position, size in enumerate(sizes, 1):
        assert node.create(_path(position), _entry(str(position), size))
    assert [int(name) for name in _names(tmp_path)] == [1, 3, 4, 5, 6, 7]
    sizes = [path.stat().st_size for path in (tmp_path / _FOLDER).iterdir()]
    assert sum(listed.size_bytes for listed in _handle(tmp_path).list(_FOLDER)) == sum(sizes)


def test_network_file_systems_share_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine would not see a stop there in time."""
    local = _handle(tmp_path)
    assert local.create(_path(1), _entry("1"))
    monkeypatch.setattr("clusterdb.zones.directory.file_system_of", lambda path: "nfs4")
    node = _handle(tmp_path)
    assert node.create(_path(2), _entry("2"))
    assert node.create(_path(3), _entry("3"))
    assert _names(tmp_path) == ["000000000001", "000000000001.end", "000000000002", "000000000003"]
    assert not local.create(_path(2), _entry("other"))
    assert [local.get(_path(at)) for at in (1, 2, 3)] == [_entry("1"), _entry("2"), _entry("3")]


def test_deleted_entries_free_their_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "_BYTES_MAX", 50_000)
    node = _handle(tmp_path)
    for position in range(1, 41):
        assert node.create(_path(position), _entry(str(position), 3000))
    files = [int(name) for name in _names(tmp_path)]
    for position in range(2, 40):
        node.delete(_path(position))
    assert [int(name) for name in _names(tmp_path)] == [1, files[-1]]
    assert (tmp_path / _path(1)).stat().st_size < 8192
    other = _handle(tmp_path)
    assert [listed.path for listed in other.list(_FOLDER)] == [_path(at) for at in (1, *range(files[-1], 41))]
    assert [node.get(_path(1)), other.get(_path(2))] == [_entry("1", 3000), None]
    assert other.create(_path(41), _entry("41"))
    for position in (1, *range(files[-1], 42)):
        other.delete(_path(position))
    assert _names(tmp_path) == []


def test_entry_whose_sync_fails_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = _handle(tmp_path)
    assert node.create(_path(1), _entry("1"))

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segment.CALLS, "sync", fail)
        with pytest.raises(RemoteError, match=f"cannot write '{tmp_path}/{_path(2)}': Input/output error"):
            node.create(_path(2), _entry("2", 20_000))
    assert _handle(tmp_path).get(_path(2)) is None
    assert node.create(_path(2), _entry("2 again"))
    assert _handle(tmp_path).get(_path(2)) == _entry("2 again")


def test_full_disk_is_an_error_and_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = _handle(tmp_path)
    assert node.create(_path(1), _entry("1"))

    def fail(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(segment.CALLS, "write_at", fail)
        with pytest.raises(RemoteError, match=r"cannot write .*No space left on device"):
            node.create(_path(2), _entry("2", 100_000))
    assert node.create(_path(2), _entry("2", 100_000))
    assert _handle(tmp_path).get(_path(2)) == _entry("2", 100_000)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("000000000001", lambda data: data[:64] + b"\1" + data[65:], "is damaged at byte 64"),
        ("000000000001", lambda data: data[:4096] + b"\1" + data[4097:], "is damaged at byte 4096"),
        ("000000000001", lambda data: b"\1" + data[1:], "is damaged at byte 0, or of a newer release"),
        ("000000000001", lambda data: data[:5000], "is damaged at byte 8192"),
        ("000000000001.end", lambda data: b"2" + data[1:], "000000000001.end is damaged"),
        ("000000000001.end", lambda data: data[:1], "000000000001.end is damaged"),
    ],
)
def test_damage_is_an_error(tmp_path: Path, name: str, damage: Callable[[bytes], bytes], message: str) -> None:
    assert _handle(tmp_path).create(_path(1), _entry("1"))
    if name.endswith("end"):
        assert not _handle(tmp_path).create(_path(1), _entry("other"))
    file = tmp_path / _FOLDER / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises((RemoteDamagedError, RemoteError), match=message):
        _handle(tmp_path).get(_path(1))
    with pytest.raises((RemoteDamagedError, RemoteError), match=message):
        _handle(tmp_path).create(_path(2), _entry("2"))


def test_two_writers_agree_on_every_entry(tmp_path: Path) -> None:
    """Handles that create, read and list in turns see what a model of create-only objects sees."""
    random = Random(5)
    model: dict[int, bytes] = {}
    handles = [_handle(tmp_path) for _ in range(3)]
    for turn in range(400):
        at = random.choice([len(model) + 1, len(model) + 1, max(1, len(model) - random.randrange(5))])
        data = _entry(f"entry {turn}", random.choice([0, 100, 30_000]))
        node = random.choices(handles, [5, 2, 1])[0]
        assert node.create(_path(at), data) == (at not in model)
        model.setdefault(at, data)
        at = random.randint(1, len(model) + 1)
        assert random.choice(handles).get(_path(at)) == model.get(at)
    assert [listed.path for listed in handles[0].list("copies")] == [_path(at) for at in sorted(model)]


def test_entry_that_others_have_counted_stays_when_its_sync_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end that was agreed on decides, and who has counted the entry has synced it."""
    first, second = _handle(tmp_path), _handle(tmp_path)
    assert first.create(_path(1), _entry("first 1"))

    def fail(fd: int) -> None:
        monkeypatch.setattr(segment.CALLS, "sync", os.fdatasync)
        assert second.create(_path(3), _entry("second 3"))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(segment.CALLS, "sync", fail)
    with pytest.raises(RemoteError, match="Input/output error"):
        first.create(_path(2), _entry("first 2"))
    assert not first.create(_path(2), _entry("first again"))
    assert [first.get(_path(at)) for at in (1, 2, 3)] == [_entry("first 1"), _entry("first 2"), _entry("second 3")]


def test_undecided_entry_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written after somebody else had stopped the segment, and its writer cannot have the end agreed on."""
    first, second = _handle(tmp_path), _handle(tmp_path)
    assert first.create(_path(1), _entry("first 1"))

    late: list[str] = []

    def create_late(path: Path, data: bytes) -> None:
        """Called for the end of the segment, which counts one entry."""
        monkeypatch.setattr(objects.CALLS, "write", full)
        with pytest.raises(RemoteError, match="No space left on device"):
            first.create(_path(2), _entry("first 2"))
        late.append("refused")
        monkeypatch.setattr(objects.CALLS, "write", write)
        write(path, data)

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write = objects.CALLS.write
    monkeypatch.setattr(objects.CALLS, "write", create_late)
    assert second.create(_path(2), _entry("second 2"))
    assert late == ["refused"]
    assert first.get(_path(2)) == _entry("second 2")


def test_folder_that_is_empty_has_no_entry(tmp_path: Path) -> None:
    node = _handle(tmp_path)
    (tmp_path / _FOLDER).mkdir(parents=True)
    assert node.get(_path(1)) is None
    assert node.get_range(_path(1), 0, 10) is None


def test_entries_of_many_writers_are_listed_with_few_listings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for position in range(1, 121):
        assert _handle(tmp_path).create(_path(position), _entry(str(position)))
    node, listings = NodeDirectory(Directory(tmp_path)), []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: listings.append(path) or iterdir(path))
    assert len(list(node.list(_FOLDER))) == 120
    for position in range(1, 121):
        assert node.get(_path(position)) == _entry(str(position))
    assert len(listings) < 10


def test_listings_open_no_file_before_the_newest_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for position in range(1, 41):
        assert _handle(tmp_path).create(_path(position), _entry(str(position)))
    node, opened = NodeDirectory(Directory(tmp_path)), list[str]()
    before = [(entry.path, entry.size_bytes) for entry in node.list(_FOLDER)]
    open_file = os.open

    def opens(path: Any, *arguments: Any) -> int:
        opened.append(Path(path).name)
        return open_file(path, *arguments)

    monkeypatch.setattr(os, "open", opens)
    assert [(entry.path, entry.size_bytes) for entry in node.list(_FOLDER)] == before
    assert set(opened) <= {f"{40:012}"}


def test_directories_on_other_devices_are_not_synced_with_the_pool(tmp_path: Path) -> None:
    """Not by where the directory is, but by where the file is."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one device")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        for name in ("copies", "new"):
            (Path(folder) / name).mkdir()
            (tmp_path / name).symlink_to(Path(folder) / name)
        node = NodeDirectory(Directory(tmp_path), tmp_path.stat().st_dev)
        assert node.create(_path(1), _entry("1"))
        assert node.stage(_path(2), _entry("2")) is None


def test_node_that_fails_once_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fault that a user has asked for, an entry that can be read may be behind the end."""
    monkeypatch.setattr("clusterdb.zones.directory.can_sync_together", lambda path: True)
    url, second = f"file://{tmp_path}", _handle(tmp_path)
    engine = FaultyEngine(NodeDirectory(Directory(tmp_path), tmp_path.stat().st_dev), url, Faults(None))
    first = Objects(url, engine, url)
    assert first.create(_path(1), _entry("first 1"))

    def fail_once(self: FaultyEngine) -> Engine:
        monkeypatch.undo()
        raise RemoteUnavailableError("lost on request")

    def create_late(path: Path, data: bytes) -> None:
        """Called for the end of the segment, which counts one entry."""
        monkeypatch.setattr(objects.CALLS, "write", write)
        staged = first.stage(_path(2), _entry("first 2"))
        assert not staged.finish()
        monkeypatch.setattr(FaultyEngine, "reached", fail_once)
        with pytest.raises(RemoteUnavailableError, match="lost on request"):
            first.create(_path(2), _entry("first 2"))
        write(path, data)

    write = objects.CALLS.write
    monkeypatch.setattr(objects.CALLS, "write", create_late)
    assert second.create(_path(2), _entry("second 2"))
    assert first.get(_path(2)) == _entry("second 2")


@pytest.mark.parametrize(("name", "offset"), [("000000000001", 4096), ("000000000001", 0), ("000000000001.end", 0)])
def test_damage_in_an_older_file_hides_no_other(tmp_path: Path, name: str, offset: int) -> None:
    """The log goes beyond it, so what the node has behind it counts; the newest file is different."""
    for text in "123":
        assert _handle(tmp_path).create(_path(int(text)), _entry(text))
    flip_bit(tmp_path / _FOLDER / name, offset)
    assert [listed.path for listed in _handle(tmp_path).list(_FOLDER)] == [_path(1), _path(2), _path(3)]
    assert _handle(tmp_path).get(_path(3)) == _entry("3")
    if name.endswith("end"):
        assert _handle(tmp_path).get(_path(1)) == _entry("1")  # it ends where the next one begins
    flip_bit(tmp_path / _FOLDER / "000000000003", offset)
    with pytest.raises(RemoteDamagedError, match=f"000000000003 is damaged at byte {offset}"):
        list(_handle(tmp_path).list(_FOLDER))


def test_file_that_a_listing_has_missed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is created while a folder is read can be missing in a listing that has a later file."""
    for text in "123":
        assert _handle(tmp_path).create(_path(int(text)), _entry(text))
    scandir, incomplete = os.scandir, [True]

    @contextmanager
    def listed(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
        missing = "000000000002" if incomplete and incomplete.pop() else ""
        with scandir(folder) as entries:
            yield [entry for entry in entries if entry.name != missing]

    monkeypatch.setattr(os, "scandir", listed)
    assert _handle(tmp_path).get(_path(2)) == _entry("2")
    assert not incomplete


def test_segment_that_others_delete_has_no_entry(tmp_path: Path) -> None:
    for text in "12":
        assert _handle(tmp_path).create(_path(int(text)), _entry(text))
    reader = _handle(tmp_path)
    assert reader.get(_path(2)) == _entry("2")
    _handle(tmp_path).delete(_path(1))
    assert _names(tmp_path) == ["000000000002"]
    assert reader.get(_path(1)) is None


def test_failed_sync_creates_no_wiped_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = _handle(tmp_path)
    assert node.create(_path(1), _entry("1"))
    shutil.rmtree(tmp_path / "copies")

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segment.CALLS, "sync", fail)
        with pytest.raises(RemoteError, match="Input/output error"):
            node.create(_path(2), _entry("2", 20_000))
    assert not (tmp_path / "copies").exists()
