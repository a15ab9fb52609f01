"""The slot map against a model: free slots as a set."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vfs.reclaim.cleanup
import vfs.reclaim.queue
import vfs.storage.slot_map
import vfs.storage.writer
from vfs.errors import PoolFullError
from vfs.format.layout import SLOT_BYTES
from vfs.format.shared import LIVE_EVEN, MAP_HEADER_BYTES, RESERVED, MapHeader
from vfs.storage.device import CALLS
from vfs.storage.slot_map import PREPARED_SLOTS, SlotMap, runs_of

FIRST_SLOTS = 64


@pytest.fixture
def make_map() -> Iterator[Callable[[], tuple[SlotMap, SlotMap]]]:
    """A function that makes an empty map, as two processes have it mapped."""
    fds: list[int] = []

    def make(*, is_durable: bool = False) -> tuple[SlotMap, SlotMap]:
        map_fd, pool_fd = os.memfd_create("map"), os.memfd_create("pool")
        fds.extend((map_fd, pool_fd))
        os.ftruncate(pool_fd, FIRST_SLOTS * SLOT_BYTES)
        os.ftruncate(map_fd, MAP_HEADER_BYTES + 2 * FIRST_SLOTS)
        os.pwrite(map_fd, FIRST_SLOTS.to_bytes(8, "little"), 8 * MapHeader.word("slot_count"))
        os.pwrite(map_fd, LIVE_EVEN.to_bytes(2, "little"), MAP_HEADER_BYTES)
        return tuple(SlotMap(map_fd, pool_fd, is_durable=is_durable) for _ in range(2))  # type: ignore[return-value]

    yield make
    for fd in fds:
        os.close(fd)


def has_run(taken: set[int], slot_count: int, count: int) -> bool:
    """Whether ``count`` slots in a row are free."""
    return any(size >= count for _, size in runs_of(slot for slot in range(1, slot_count) if slot not in taken))


def reserve_near(slot_map: SlotMap, row: int, count: int) -> tuple[list[int], bool]:
    """Reserve a run near some slot; also return whether the pool has grown, which it does while few slots are free."""
    free_count, slot_count = slot_map.free_count(), slot_map.slot_count
    slots = slot_map.reserve_near_run(row, count, 0, 97 * count % (slot_count + 20))
    has_grown = slot_map.slot_count > slot_count
    assert not has_grown or 3 * (free_count - vfs.storage.slot_map._SLACK_SLOTS) < slot_count
    return slots, has_grown


slot_steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve a run", "reserve near", "free", "label"]),
        st.integers(0, 3),
        st.one_of(st.integers(1, 40), st.integers(200, 700)),
        st.randoms(use_true_random=False),
    ),
    max_size=25,
)


@pytest.mark.parametrize("near", [1, vfs.storage.slot_map._NEAR_SLOTS])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=slot_steps)
def test_map_reserves_each_slot_once(
    make_map: Callable[[], tuple[SlotMap, SlotMap]],
    monkeypatch: pytest.MonkeyPatch,
    near: int,
    steps: list[tuple[str, int, int, object]],
) -> None:
    """Reserved slots are free ones, in order, all inside the pool; few of them come as a run where there is one.

    The pool grows for slots that need not be a run only if there are not enough.
    """
    monkeypatch.setattr(vfs.storage.slot_map, "_NEAR_SLOTS", near)
    maps = make_map()
    reserved: dict[int, set[int]] = {row: set() for row in range(4)}
    live: set[int] = set()
    for verb, row, count, random in steps:
        slot_map = maps[count % 2]
        taken = live.union(*reserved.values())
        if verb.startswith("reserve"):
            if "near" in verb:
                slots, has_grown = reserve_near(slot_map, row, 1 + count % 8)
                assert slots or not has_grown
                assert slots == [] or slots == list(range(slots[0], slots[0] + 1 + count % 8))
                assert not taken.intersection(slots)
                reserved[row].update(slots)
                continue
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


def test_pool_is_as_long_as_the_map(make_map: Callable[[], tuple[SlotMap, SlotMap]]) -> None:
    """Every slot that is given out lies inside the pool file."""
    slot_map, _ = make_map()
    for count in (1, 63, 64, 1000, 3):
        slots = slot_map.reserve(0, count)
        assert os.fstat(slot_map._pool_fd).st_size >= (slots[-1] + 1) * SLOT_BYTES


def test_free_slots_below_the_hint_are_found(make_map: Callable[[], tuple[SlotMap, SlotMap]]) -> None:
    """Free slots below the hint are found before the pool grows for what is still missing."""
    slot_map, _ = make_map()
    slot_map.header.hint = FIRST_SLOTS - 1
    assert set(range(1, FIRST_SLOTS)) < set(slot_map.reserve(0, PREPARED_SLOTS + FIRST_SLOTS))


def test_full_stretch_is_searched_once(
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
        slots = find(self, slot, end)
        searched += max(0, slots - slot)
        return slots

    slot_map.free(ends)
    monkeypatch.setattr(SlotMap, "_find_free", counted)
    for _ in range(100):
        assert slot_map.reserve(0, 2) == ends
        slot_map.free(ends)
    assert searched < 100_000 + 100 * 2 * 4096


def test_slots_freed_by_another_process_are_reused_before_growth(
    make_map: Callable[[], tuple[SlotMap, SlotMap]],
) -> None:
    """Even where this one found nothing free the last time."""
    ours, theirs = make_map()
    ours.reserve(0, 100_000)
    ours.reserve(0, ours.free_count())
    last = ours.slot_count - 1
    ours.free([last])
    ours.header.hint = 1
    assert ours.reserve(0, 1) == [last]
    theirs.free([20_000, 50_000])
    ours.header.hint = last  # the race was lost
    assert ours.reserve(1, 2) == [20_000, 50_000]


@pytest.mark.parametrize("count", [200, 400])
def test_full_pool_reserves_nothing(
    make_map: Callable[[], tuple[SlotMap, SlotMap]], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """When the pool cannot grow, what was free stays free."""
    slot_map, _ = make_map()
    monkeypatch.setattr(vfs.storage.slot_map, "SLOT_COUNT_MAX", 100)
    with pytest.raises(PoolFullError):
        slot_map.reserve(0, count)
    assert slot_map.used_count() == 1
    assert len(slot_map.reserve(0, FIRST_SLOTS - 1)) == FIRST_SLOTS - 1


@pytest.mark.parametrize("call", ["allocate", "pwritev"])
def test_growth_that_fails_leaves_the_pool_as_it_was(
    make_map: Callable[..., tuple[SlotMap, SlotMap]], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """No hole is left that would seem to be a free slot, and the file does not grow with every attempt."""
    slot_map, other = make_map(is_durable=True)
    slots = slot_map.reserve(0, FIRST_SLOTS - 1)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(CALLS, call, fail)
        for view in (slot_map, other):
            with pytest.raises(PoolFullError, match="No space left"):
                view.reserve(1, 1)
            assert (view.slot_count, view.free_count()) == (FIRST_SLOTS, 0)
    assert os.fstat(slot_map._pool_fd).st_size == FIRST_SLOTS * SLOT_BYTES
    slot_map.free(slots[:5])
    assert other.reserve(1, 7)[:5] == slots[:5]
