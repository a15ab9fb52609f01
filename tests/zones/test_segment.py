"""Segments of a log: what is read of them after a torn write, damage, and a stop of their writer."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusterdb.errors import RemoteDamagedError
from clusterdb.zones import segment
from clusterdb.zones.segment import Segment, Writer, segment_bytes

_FIRST = 7
_SECTOR_BYTES = 512
_RANDOM = Random(1)


def _entry(length: int) -> bytes:
    """An entry, a part of which is zeros, as that of a database is."""
    data = _RANDOM.randbytes(length // 3).ljust(length, b"\0")
    return data + struct.pack("<I", zlib.crc32(data))


def _written(path: Path, entries: list[bytes]) -> list[int]:
    """Write a segment; where its records begin, and where the last one ends."""
    path.write_bytes(segment_bytes(_FIRST, entries[0]))
    writer = Writer(path, _FIRST)
    starts = [4096]
    for entry in entries[1:]:
        assert writer.has_room(len(entry)) or writer.grow(len(entry))
        record = writer.write(entry)
        os.fdatasync(writer.fd)
        assert writer.written(record)
        starts.append(record.offset)
        end = record.offset + record.length
    writer.close()
    return [*starts, end]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Segment, int]]:
    fd = os.open(path, os.O_RDWR)
    try:
        yield Segment(str(path), _FIRST), fd
    finally:
        os.close(fd)


def _read(path: Path) -> list[bytes]:
    with _opened(path) as (read, fd):
        return [os.pread(fd, length, offset) for offset, length in read.records(fd)]


lengths = st.lists(st.integers(0, 60_000), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths, st.randoms())
def test_torn_record_is_none_and_those_before_it_stay(tmp_path: Path, sizes: list[int], random: Random) -> None:
    """Any of its sectors may not be on the device when the power fails."""
    path, entries = tmp_path / "segment", [_entry(size) for size in sizes]
    starts = _written(path, entries)
    assert _read(path) == entries
    data = bytearray(path.read_bytes())
    sectors = range(starts[-2], starts[-1], _SECTOR_BYTES)
    nonce = bytes(data[64:80])
    for at in random.sample(sectors, random.randint(1, len(sectors))):
        data[at : at + _SECTOR_BYTES] = nonce * (_SECTOR_BYTES // len(nonce))
    path.write_bytes(data)
    assert _read(path) == entries[:-1]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths, st.randoms())
def test_damage_shortens_no_log(tmp_path: Path, sizes: list[int], random: Random) -> None:
    """A changed bit is met by who reads the entry, or the segment, which never seems to end earlier."""
    path, entries = tmp_path / "segment", [_entry(size) for size in sizes]
    starts = _written(path, entries)
    data = bytearray(path.read_bytes())
    near = random.choice([64, *starts[:-1]]) + random.randrange(24)  # what makes a head, or anything else
    at = random.choice([near, random.randrange(4096, starts[-1])])
    data[at] ^= 1 << random.randrange(8)
    path.write_bytes(data)
    try:
        read = _read(path)
    except RemoteDamagedError as error:
        assert str(path) in str(error)
    else:
        assert len(read) == len(entries)


def test_lost_sector_before_others_is_damage(tmp_path: Path) -> None:
    path, entries = tmp_path / "segment", [_entry(5000) for _ in range(4)]
    starts = _written(path, entries)
    data = bytearray(path.read_bytes())
    data[starts[2] : starts[2] + _SECTOR_BYTES] = bytes(_SECTOR_BYTES)
    path.write_bytes(data)
    with pytest.raises(RemoteDamagedError, match=f"segment is damaged at byte {starts[2]}"):
        _read(path)


def test_log_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    """At the end of any of its records, too: a block of room follows the last one."""
    path, entries = tmp_path / "segment", [_entry(3000) for _ in range(9)]
    starts = _written(path, entries)
    for size in (*starts[1:-1], starts[-1] + 512, starts[3] + 1000, starts[-2] + 20):
        data = path.read_bytes()
        (tmp_path / "cut").write_bytes(data[:size])
        with pytest.raises(RemoteDamagedError, match="is damaged at byte"):
            _read(tmp_path / "cut")
            with _opened(tmp_path / "cut") as (read, fd):
                read.part(fd, _FIRST + len(read.records(fd)) - 1, 0, None)


def test_room_that_cannot_be_added_breaks_the_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sync of the room has failed to write may be a record."""
    path = tmp_path / "segment"
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    writer = Writer(path, _FIRST)
    staged = writer.write(_entry(20_000 - 4096))

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segment.CALLS, "sync", fail)
        writer.grow_ahead()
        assert not writer.is_broken  # there is enough
        assert writer.written(staged)
        writer.grow_ahead()
    assert writer.is_broken
    assert not writer.written(writer.write(_entry(10)))
    writer.close()


def test_full_device_leaves_the_segment_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was synced in vain: the room is added when there is space again."""
    path = tmp_path / "segment"
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    writer = Writer(path, _FIRST)
    assert writer.written(writer.write(_entry(15_000)))

    def fail(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(segment.CALLS, "write_at", fail)
        writer.grow_ahead()
    assert not writer.is_broken
    entry = _entry(20_000)
    assert not writer.has_room(len(entry))
    assert writer.grow(len(entry))
    assert writer.written(writer.write(entry))
    writer.close()
    assert not writer.grow(1 << 20)


def test_writer_that_grows_is_closed_after_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "segment"
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    writer = Writer(path, _FIRST)
    assert writer.written(writer.write(_entry(15_000)))
    monkeypatch.setattr(segment.CALLS, "sync", lambda fd: writer.close())  # while it grows, in the same thread, too
    writer.grow_ahead()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer.fd)


def test_stopped_writer_creates_no_more(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    writer = Writer(path, _FIRST)
    assert writer.written(writer.write(_entry(20)))
    late = writer.write(_entry(30))
    with _opened(path) as (read, fd):
        assert read.stop(fd) == _FIRST + 2  # it is there, and whoever stops the writer counts it
    assert not writer.written(late)
    assert writer.last == _FIRST + 1
    writer.close()


def test_writer_of_a_deleted_segment_creates_no_more(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    writer = Writer(path, _FIRST)
    path.unlink()
    assert not writer.written(writer.write(_entry(20)))
    writer.close()


def test_room_that_is_added_meanwhile_hides_no_entry(tmp_path: Path) -> None:
    path, entries = tmp_path / "segment", [_entry(9000 + at) for at in range(150)]
    path.write_bytes(segment_bytes(_FIRST, entries[0]))
    writer = Writer(path, _FIRST)
    with ThreadPoolExecutor(2) as pool:
        for entry in entries[1:]:
            pool.submit(writer.grow_ahead)
            pool.submit(writer.grow_ahead)
            assert writer.has_room(len(entry)) or writer.grow(len(entry))
            assert writer.written(writer.write(entry))
    writer.close()
    writer.grow_ahead()
    assert _read(path) == entries


def test_record_that_is_being_written_is_not_written_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops a writer in the middle of the last sector waits for it, as the kernel does, and keeps its bytes."""
    path, entry = tmp_path / "segment", _entry(700)
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    writer = Writer(path, _FIRST)
    record = writer.write(entry)
    rest, at = os.pread(writer.fd, 60, record.offset + 670), record.offset + 670
    os.pwrite(writer.fd, bytes(60), at)
    stops: list[int] = []

    def write_at(fd: int, data: bytes, offset: int) -> int:
        stops.append(offset)
        if len(stops) == 2:
            os.pwrite(writer.fd, rest, at)
        return os.pwrite(fd, data, offset)

    with _opened(path) as (read, fd), monkeypatch.context() as patch:
        patch.setattr(segment.CALLS, "write_at", write_at)
        assert read.stop(fd) == _FIRST + 1
    assert _read(path)[1] == entry
    writer.close()


def test_record_that_is_not_there_any_more_is_not_counted(tmp_path: Path) -> None:
    """It was read from memory, from which it has gone since, as from the device."""
    path = tmp_path / "segment"
    path.write_bytes(segment_bytes(_FIRST, _entry(10)))
    room = path.read_bytes()
    writer = Writer(path, _FIRST)
    assert writer.written(writer.write(_entry(700)))
    writer.close()
    with _opened(path) as (read, fd):
        assert read.last(fd) == _FIRST + 1
        path.write_bytes(room)
        assert read.stop(fd) == _FIRST


def test_cut_segment_has_one_record_whatever_is_written_late(tmp_path: Path) -> None:
    path, entries = tmp_path / "segment", [_entry(3000) for _ in range(3)]
    path.write_bytes(segment_bytes(_FIRST, entries[0]))
    writer = Writer(path, _FIRST)
    for entry in entries[1:]:
        assert writer.written(writer.write(entry))
    with _opened(path) as (read, fd), _opened(path) as (other, _):
        assert len(other.records(fd)) == 3
        read.cut(fd)
        writer.write(_entry(100))
        for one in (read, other):
            assert [one.part(fd, _FIRST + at, 0, None) for at in range(3)] == [entries[0], None, None]
    assert _read(path) == entries[:1]
    writer.close()
