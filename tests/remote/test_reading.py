"""Reading slots of a repository: hot ones first, ahead, in threads, and nothing twice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterdb.errors import RemoteUnavailableError
from clusterdb.remote.manifest import FIRST_SLOT, Manifest, Segment, Segments
from clusterdb.remote.repository import Repository, Slots
from tests.remote.engines import Memory, objects_on


class Counting:
    """An engine that counts reads of ranges, and answers slowly."""

    def __init__(self, engine: Memory) -> None:
        self.engine, self.fails = engine, False
        self.ranges: list[tuple[str, int, int]] = []
        self.guard = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        with self.guard:
            self.ranges.append((path, start, length))
        time.sleep(0.002)
        if self.fails:
            raise RemoteUnavailableError("the storage does not answer")
        return self.engine.get_range(path, start, length)


def slots_on(count: int, hot: tuple[tuple[int, int], ...] = ()) -> tuple[Counting, Slots]:
    """Slots of one segment, each of which has its number, on an engine that counts."""
    engine = Counting(Memory())
    repository = Repository(objects_on(engine))
    data = b"".join(number.to_bytes(8, "big") * 512 for number in range(count))
    repository.objects.create("segment/" + "a" * 16, data)
    manifest = Manifest(1, 0, "w", 1, FIRST_SLOT + count, {}, (Segment(FIRST_SLOT, count, "a" * 16),))
    return engine, Slots(repository, manifest, hot)


def number_at(slots: Slots, number: int) -> int:
    return int.from_bytes(slots.read_slot(FIRST_SLOT + number)[:8], "big")


def test_threads_read_nothing_twice() -> None:
    engine, slots = slots_on(3000)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: number_at(slots, number), [*range(3000)] * 2)) == [*range(3000)] * 2
    slots.close()
    assert sum(length for _, _, length in engine.ranges) == 3000 * 4096
    assert len(engine.ranges) < 60


def test_sequential_reads_run_ahead() -> None:
    engine, slots = slots_on(3000)
    assert [number_at(slots, number) for number in range(3000)] == [*range(3000)]
    slots.close()
    assert len(engine.ranges) < 25


def test_failed_read_is_tried_again_by_the_next_reader() -> None:
    engine, slots = slots_on(100)
    engine.fails = True
    for _ in range(2):
        with pytest.raises(RemoteUnavailableError):
            number_at(slots, 5)
    engine.fails = False
    assert number_at(slots, 5) == 5


def test_hot_runs_are_read_in_large_parts_as_far_as_they_are_there() -> None:
    """A collection may have dropped some of their slots, and a repack moved them."""
    engine, slots = slots_on(1000, ((FIRST_SLOT + 100, 600), (FIRST_SLOT + 990, 500)))
    slots.prefetch()
    assert sum(length for _, _, length in engine.ranges) == (600 + 10) * 4096
    count = len(engine.ranges)
    assert [number_at(slots, number) for number in (*range(100, 700), 995)] == [*range(100, 700), 995]
    assert len(engine.ranges) == count
    slots.close()
    engine, slots = slots_on(1000, ((FIRST_SLOT + 100, 600),))
    assert number_at(slots, 400) == 400
    assert engine.ranges == [("segment/" + "a" * 16, 356 * 4096, 256 * 4096)]


def places_of(segments: list[Segment]) -> dict[int, int]:
    """Where slots are in their objects."""
    return {
        slot: one.offset + slot - one.first for one in segments for slot in range(one.first, one.first + one.length)
    }


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=6), st.integers(0, 150), st.integers(1, 150)
)
def test_parts_of_segments_are_those_in_the_range(rows: list[tuple[int, int]], first: int, count: int) -> None:
    segments: list[Segment] = []
    at = FIRST_SLOT
    for gap, length in rows:
        segments.append(Segment(at + gap, length, "a" * 16, len(segments)))
        at += gap + length
    known = places_of(segments)
    covered = places_of([*Segments(segments).parts(FIRST_SLOT + first, count)])
    wanted = range(FIRST_SLOT + first, FIRST_SLOT + first + count)
    assert covered == {slot: offset for slot, offset in known.items() if slot in wanted}
