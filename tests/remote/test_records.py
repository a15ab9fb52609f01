"""The records of a repository, as bytes, and the search for the newest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdb.errors import RemoteConflictError, RemoteDamagedError, RemoteFormatError
from clusterdb.remote.manifest import FIRST_SLOT, SEGMENTS_MAX, Manifest, Ref, Segment, pack, unpack
from clusterdb.remote.repository import TOMBSTONE, Repository, manifest_path
from tests.remote.engines import Memory, objects_on
from vfs.format.layout import Entry, Version

RECORD = Version(3, 7, 7, 8192, 3, 3, 1_700_000_000_000_000_000, Entry(FIRST_SLOT, 99, 7))
REF = Ref(RECORD, "00" * 16, "sqlite", 1)
MANIFEST = Manifest(2, 5, "aa", 9, FIRST_SLOT + 3, {"café": REF}, (Segment(FIRST_SLOT, 3, 8 * "ab"),), (8 * "0f",))


def test_manifests_are_read_as_they_were_written() -> None:
    assert unpack(pack(MANIFEST), "it") == MANIFEST


@given(st.integers(0, len(pack(MANIFEST)) - 1), st.integers(1, 255))
def test_changed_bytes_are_found(at: int, change: int) -> None:
    data = bytearray(pack(MANIFEST))
    data[at] ^= change
    with pytest.raises((RemoteDamagedError, RemoteFormatError)):
        unpack(bytes(data), "it")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_manifest(data: bytes) -> None:
    with pytest.raises(RemoteDamagedError):
        unpack(data, "it")


@pytest.mark.parametrize(
    "segment",
    [
        Segment(FIRST_SLOT, 1, "../../../../etc/passwd"),
        Segment(FIRST_SLOT - 1, 1, 8 * "ab"),
        Segment(FIRST_SLOT, 0, 8 * "ab"),
        Segment(FIRST_SLOT, (1 << 31) + 1, 8 * "ab"),
    ],
)
def test_impossible_segments_are_damage(segment: Segment) -> None:
    """Whatever their checksum: a name becomes a part of a path."""
    with pytest.raises(RemoteDamagedError, match="it is damaged: ValueError"):
        unpack(pack(replace(MANIFEST, segments=(segment,))), "it")


def test_newer_formats_are_refused() -> None:
    with pytest.raises(RemoteFormatError, match="has format 9; this release reads format 1: upgrade clusterdb"):
        unpack(pack(MANIFEST).replace(b"manifest 1 ", b"manifest 9 "), "it")
    engine = Memory()
    engine.put("format", b"clusterdb-repository 9 x\n")
    with pytest.raises(RemoteFormatError):
        Repository(objects_on(engine)).create()


def test_place_of_somebody_else_is_refused() -> None:
    engine = Memory()
    engine.put("format", b"mine\n")
    with pytest.raises(RemoteConflictError, match="choose another path"):
        Repository(objects_on(engine)).create()


def test_engine_that_replaces_objects_is_refused() -> None:
    """Two writers could lose data there."""

    class Replacing(Memory):
        def create(self, path: str, data: bytes) -> bool:
            self.content[path] = data
            return True

    engine = Replacing()
    with pytest.raises(RemoteConflictError, match="replaces objects that are created twice"):
        Repository(objects_on(engine)).create()
    assert "format" not in engine.content


@pytest.mark.parametrize("hint", [b"", b"1", b"4", b"9", b"12", b"nonsense", b"-3", b"9" * 40])
@pytest.mark.parametrize("expired", [0, 4, 8])
def test_hint_is_never_believed(hint: bytes, expired: int) -> None:
    """The newest state is the same with any hint, whatever has expired before it."""
    repository = Repository(objects_on(engine := Memory()))
    state = None
    for _ in range(9):
        state = repository.change(state, {})
    for number in range(1, expired + 1):
        engine.put(manifest_path(number), TOMBSTONE)
    engine.put("latest", hint)
    assert repository.newest() == state


def test_number_that_expired_is_not_used_again() -> None:
    """A writer that was stopped before its manifest wakes up when that number has come and gone."""
    repository = Repository(objects_on(engine := Memory()))
    first = repository.change(None, {})
    second = repository.change(first, {})
    third = repository.change(second, {})
    for number in (1, 2):
        engine.put(manifest_path(number), TOMBSTONE)
    assert repository.change(first, {"x": REF}) is None
    assert repository.newest() == third


def test_segments_are_folded_into_tables() -> None:
    repository = Repository(objects_on(engine := Memory()))
    state: Manifest | None = None
    expected: list[Segment] = []
    for number in range(3 * SEGMENTS_MAX // 500 + 1):
        added = tuple(Segment(FIRST_SLOT + number * 500 + at, 1, f"{number:08x}{at:08x}") for at in range(500))
        expected += added
        state = repository.change(state, {}, added, added[-1].first + 1)
        assert state is not None
        assert list(repository.all_segments(state)) == expected
        assert len(state.segments) <= SEGMENTS_MAX
    assert state is not None and state.tables
    assert max(len(data) for path, data in engine.content.items() if path.startswith("manifest")) < 64 << 10
    for segment in expected[:: len(expected) // 7]:
        assert repository.segments(state).find(segment.first) == segment
    with pytest.raises(RemoteDamagedError, match="no segment has remote slot"):
        repository.segments(state).find(expected[-1].first + 1)
