"""The allocation map: one 16-bit state per slot of the pool, in shared memory.

States of a slot
    free                      0: any session that holds the pool lock may reserve it
    reserved by session r     ``RESERVED + r``: being filled, or superseded and waiting for readers; r moves it on
    live, even / odd          reached by a published version, or leaked; the parity is the sweep's mark

Invariants
    M1  A slot leaves ``free`` only under the pool lock.  It leaves ``reserved by r`` only through r, or, when r is
        dead, through the session that holds the pool lock.
    M2  A slot is labelled live before the version that reaches it is published, with the epoch read after the
        publishing flag of the session was raised (``sweep.py`` relies on this).
    M3  The pool file is as long as the map states before any slot of the new part is reserved.
    M4  The map is derived: the state of a slot can be recomputed from heads and pins, and is, in a new boot.
    M5  A slot is written before it is read through the mapping, also the slot of a head: growing and shrinking leave
        holes, and reading a hole of a full tmpfs is a SIGBUS.

Who guards what: the pool lock guards reserving and growing.  Freeing and labelling are single aligned 16-bit stores
by the only session that may do them (M1), so they need no lock.  The hint is only a hint, and so is the stretch without
free slots that a process remembers: without it, a free slot in front of a long full stretch would cause every
reservation to read the whole stretch.  Both are reset before the pool grows.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress

from vfs.errors import PoolFullError
from vfs.format.layout import SLOT_BYTES, SLOT_COUNT_MAX
from vfs.format.shared import FREE, LIVE_EVEN, LIVE_ODD, MAP_HEADER_BYTES, RESERVED, MapHeader
from vfs.storage.device import CALLS, Mapping, write_at

__all__ = ["SlotMap", "runs_of"]

PREPARED_SLOTS = 256
"""The pool file grows by the size of a large transaction, or by 1 MiB of written zeros for small ones."""

_FOLIO_SLOTS = 16
"""Slots to fill with one write: Linux caches what is written at once as one folio, and each later write to a part of
a folio costs it a walk over all blocks of the folio.  (Divides PREPARED_SLOTS.)"""

_NEAR_SLOTS = 4096
"""The distance that the search for a free slot always covers, before it skips the stretch that was full."""

_SLACK_SLOTS = 2048
"""The number of free slots that never prevents the pool from growing for a run."""

_WINDOW_SLOTS = 512
"""The distance in which a run is looked for first; one for a whole commit is not looked for elsewhere."""


def runs_of(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Group ascending slots into (first, count) runs."""
    runs: list[tuple[int, int]] = []
    first = count = 0
    for slot in slots:
        if slot == first + count and count:
            count += 1
        else:
            if count:
                runs.append((first, count))
            first, count = slot, 1
    if count:
        runs.append((first, count))
    return runs


def _longest_without(start: int, end: int, slots: Iterable[int]) -> tuple[int, int]:
    """The bounds of the longest part of [start, end) that contains none of the slots."""
    bounds = [start, *(slot + 1 for slot in sorted(slots))]
    return max(zip(bounds, [*sorted(slots), end], strict=True), key=lambda part: part[1] - part[0])


class SlotMap:
    """The map of one store, mapped by one process."""

    def __init__(self, map_fd: int, pool_fd: int, *, is_durable: bool) -> None:
        self._is_durable = is_durable
        self._pool_fd = pool_fd
        self._mapping = Mapping(map_fd, writable=True)
        self._full = (0, 0)
        self._attach()

    def _attach(self) -> None:
        self.header = MapHeader.at(self._mapping.bytes, 0)
        usable = (self._mapping.size - MAP_HEADER_BYTES) // 2 * 2
        self._states = self._mapping.bytes[MAP_HEADER_BYTES : MAP_HEADER_BYTES + usable].cast("H")

    def make_private(self) -> None:
        """Store nothing in the file any more, in the child of a fork: what is reserved there is the parent's."""
        self._mapping.make_private()

    def close(self) -> None:
        """Unmap the file, unless a view of it is still in use."""
        with suppress(BufferError):
            self._states.release()
        self.header = MapHeader()  # detached: a view would keep the file mapped
        self._mapping.close()

    @property
    def slot_count(self) -> int:
        """The number of slots of the pool file, in any state (a damaged number is bounded)."""
        return min(self.header.slot_count, SLOT_COUNT_MAX)

    @property
    def states(self) -> memoryview:
        """The states, mapped at least as far as the pool reaches."""
        if self.header.slot_count > len(self._states):
            self._mapping.renew()
            self._attach()
        return self._states

    # --- under the pool lock ----------------------------------------------------------------------------------------
    def reserve(self, row: int, count: int) -> list[int]:
        """Reserve ``count`` free slots for session ``row``, the lowest ones, growing the pool if necessary.

        The caller holds the pool lock.  Returns them in ascending order.  Raises PoolFullError when the pool cannot
        grow; then nothing is reserved.
        """
        state = RESERVED + row
        end = self.slot_count
        hint = max(1, min(self.header.hint, end))
        slots, position = self._take(hint, end, count, state)
        if len(slots) < count:
            # Frees below the hint may have lost their race to lower it: search there before growing.
            self._full = (0, 0)
            more, position = self._take(1, end, count - len(slots), state)
            slots += more
        if len(slots) < count:
            try:
                self.grow(count - len(slots))
            except BaseException:
                self.free(slots)
                raise
            more, position = self._take(end, self.slot_count, count - len(slots), state)
            slots += more
        self.header.hint = position
        slots.sort()
        return slots

    def reserve_run(self, row: int, count: int, spare: int, near: int = 0) -> list[int]:
        """Reserve ``count`` contiguous slots, and up to ``spare`` adjacent ones.

        They are the highest ones within a short distance of the end of the pool or of the slot ``near``, or of all.
        The pool grows for a run while less than a third of it (and 8 MiB) is free: a commit that writes a single place
        syncs faster.  Otherwise, and for more than PREPARED_SLOTS, this is :meth:`reserve`.
        """
        if count > PREPARED_SLOTS or not count:
            return self.reserve(row, count) if count else []
        end = self.slot_count
        first = self._find_run_below(count, end) or (self._find_run_below(count, near) if near <= end else 0)
        first = first or self._find_run(count, 1, end)
        if not first:
            first = end
            if not self._grow_for_run(count):
                return self.reserve(row, count)
        return self._reserve_run(row, first, count, spare)

    def reserve_near_run(self, row: int, count: int, spare: int, near: int) -> list[int]:
        """As :meth:`reserve_run`, but only just before the slot ``near`` or at the end of the pool; perhaps none.

        The caller holds the pool lock.
        """
        first = self._find_run_below(count, near) if near <= self.slot_count else 0
        # near the last one first: the slots in between become free one by one, and would leave no run at the end
        first = first or self._find_run_below(count, self.slot_count)
        if not first and self._grow_for_run(count):
            first = self._find_run_below(count, self.slot_count)
        return self._reserve_run(row, first, count, spare) if first else []

    def _grow_for_run(self, count: int) -> bool:
        """Grow although the pool has free slots, and return whether it has grown: unless there are many, or no room."""
        if 3 * (self.free_count() - _SLACK_SLOTS) >= self.slot_count:
            return False
        try:
            self.grow(count)
        except PoolFullError:  # there may still be slots that are apart
            return False
        return True

    def _find_run_below(self, count: int, end: int) -> int:
        return self._find_run(count, max(1, end - _WINDOW_SLOTS), end)

    def _find_run(self, count: int, start: int, end: int) -> int:
        """The highest ``count`` contiguous free slots in [start, end); 0 if there are none."""
        _ = self.states  # renews the mapping
        begin, stop = MAP_HEADER_BYTES + 2 * start, MAP_HEADER_BYTES + 2 * end
        # No state but FREE has a zero high byte, so zeros begin where a state begins.
        at = self._mapping.mmap.rfind(bytes(2 * count), begin, stop)
        return 0 if at < 0 else (at - MAP_HEADER_BYTES) >> 1

    def _reserve_run(self, row: int, first: int, count: int, spare: int) -> list[int]:
        states, end_slot = self.states, first + count
        while first > 1 and end_slot - first < count + spare and states[first - 1] == FREE:
            first -= 1
        slots = list(range(first, end_slot))
        self._set(slots, RESERVED + row)
        return slots

    def reserve_stretch(self, row: int, count: int) -> range:
        """Reserve ``count`` contiguous slots for session ``row``, at the end of the pool unless there are free ones.

        The caller holds the pool lock.  Raises PoolFullError.
        """
        _ = self.states  # renews the mapping
        end = MAP_HEADER_BYTES + 2 * self.slot_count
        at = self._mapping.mmap.find(bytes(2 * count), MAP_HEADER_BYTES + 2, end)  # as in reserve_run()
        first = (at - MAP_HEADER_BYTES + 1) >> 1
        if at < 0 or first + count > self.slot_count or self.states[first + count - 1] != FREE:
            first = self.slot_count
            self.grow(max(count, PREPARED_SLOTS + 1))
        slots = range(first, first + count)
        self._set(slots, RESERVED + row)
        return slots

    def _take(self, start: int, end: int, count: int, state: int) -> tuple[list[int], int]:
        """Claim up to ``count`` free slots in [start, end): the slots, and where to search next."""
        states = self.states
        slots: list[int] = []
        slot = start
        while len(slots) < count:
            slot = self._next_free(slot, end)
            if slot >= end:
                return slots, end
            while slot < end and len(slots) < count and states[slot] == FREE:
                states[slot] = state
                slots.append(slot)
                slot += 1
        return slots, slot

    def _next_free(self, slot: int, end: int) -> int:
        """The first free slot in [slot, end), or ``end``; slots freed inside the full stretch may be missed."""
        near = min(end, slot + _NEAR_SLOTS)
        free_slot = self._find_free(slot, near)
        if free_slot < near or near == end:
            return free_slot
        full_from, full_to = self._full
        if not full_from <= near <= full_to:
            full_from = full_to = near
        free_slot = self._find_free(full_to, end)
        self._full = (full_from, free_slot)
        return free_slot

    def _find_free(self, slot: int, end: int) -> int:
        """The first free slot in [slot, end), or ``end``."""
        at = self._mapping.mmap.find(b"\0\0", MAP_HEADER_BYTES + 2 * slot, MAP_HEADER_BYTES + 2 * end)
        return end if at < 0 else (at - MAP_HEADER_BYTES) >> 1

    def grow(self, count: int) -> None:
        """Add at least ``count`` slots to the pool (the caller holds the pool lock).

        Syncing writes into new file space costs more than into written blocks, since the file system must journal their
        location: therefore the next slots for small transactions are filled with zeros.
        """
        # A pool that is longer than the map states: the process that was growing it died, or the map is damaged.
        length = os.fstat(self._pool_fd).st_size
        slot_count = max(self.slot_count, length // SLOT_BYTES)
        prepare = count <= PREPARED_SLOTS
        wanted = slot_count + (PREPARED_SLOTS if prepare else count)
        if wanted > SLOT_COUNT_MAX:
            raise PoolFullError(f"the pool cannot have more than {SLOT_COUNT_MAX} slots")
        try:
            self._extend(wanted)
            zeros = [bytes(_FOLIO_SLOTS * SLOT_BYTES)]
            for slot in range(slot_count, wanted, _FOLIO_SLOTS) if prepare and self._is_durable else ():
                write_at(self._pool_fd, zeros, slot * SLOT_BYTES)
            self._mapping.renew()
            self._attach()
        except BaseException:  # leave no holes that others would take, in a file that grows with every attempt
            with suppress(OSError):
                CALLS.ftruncate(self._pool_fd, length)
            raise
        self.header.slot_count = wanted

    def _extend(self, slot_count: int) -> None:
        """Extend the files of pool and map to ``slot_count`` slots (M3: the pool file first)."""
        try:
            CALLS.ftruncate(self._pool_fd, slot_count * SLOT_BYTES)
            map_bytes = MAP_HEADER_BYTES + 2 * slot_count
            if map_bytes > os.fstat(self._mapping.fd).st_size:  # never shorter: others have it mapped
                CALLS.ftruncate(self._mapping.fd, map_bytes)
            if self._is_durable:  # report a full disk here, not as SIGBUS when the mapping is written to
                CALLS.allocate(self._mapping.fd, 0, map_bytes)
        except OSError as error:
            raise PoolFullError(f"the page pool cannot grow: {error.strerror}") from error

    def reserve_all_free(self, row: int, start: int, end: int) -> list[int]:
        """Reserve every free slot in [start, end) (the caller holds the pool lock)."""
        slots, _ = self._take(start, end, end - start, RESERVED + row)
        return slots

    def cut_free_tail(self) -> None:
        """Shorten the pool by the free slots at its end (the caller holds the pool lock).

        No process reads a free slot, so a mapping that is now longer than the file does no harm.
        """
        states, end = self.states, self.slot_count
        used = end
        while used > 1 and states[used - 1] == FREE:
            used -= 1
        if used < end:
            self.header.slot_count = used
            self.header.synced = min(self.header.synced, used)
            self.header.hint = min(self.header.hint, used)
            CALLS.ftruncate(self._pool_fd, used * SLOT_BYTES)

    # --- by the session that owns the slots -------------------------------------------------------------------------
    def label_live(self, slots: Iterable[int]) -> None:
        """Label reserved slots live (M2)."""
        self._set(slots, self.live_label())

    def live_label(self) -> int:
        """The label of the present sweep epoch."""
        return LIVE_ODD if self.header.epoch & 1 else LIVE_EVEN

    def hand_over(self, slots: Iterable[int], row: int) -> None:
        """Reserve slots for session ``row``, which will free or fill them."""
        self._set(slots, RESERVED + row)

    def free(self, slots: Sequence[int]) -> None:
        """Free slots, which must not be reachable any more."""
        if slots:
            self._set(slots, FREE)
            lowest = min(slots)
            if lowest < self.header.hint:
                self.header.hint = lowest
            full_from, full_to = self._full
            if lowest < full_to:
                inside = [slot for slot in slots if full_from <= slot < full_to]
                if inside:
                    self._full = _longest_without(full_from, full_to, inside)

    def _set(self, slots: Iterable[int], state: int) -> None:
        states = self.states
        if isinstance(slots, range) and slots.step == 1:
            states[slots.start : slots.stop] = (
                memoryview(array("H", [state])) if len(slots) == 1 else memoryview(array("H", [state]) * len(slots))
            )
            return
        for slot in slots:
            states[slot] = state

    def note_leaks(self) -> None:
        """Note that there are live slots that only a sweep will find."""
        self.header.leaks |= 1

    # --- reading ----------------------------------------------------------------------------------------------------
    def used_count(self) -> int:
        """The number of slots that are not free (a scan of the map)."""
        return self.slot_count - self.free_count()

    def free_count(self) -> int:
        """The number of free slots (a scan of the map)."""
        _ = self.states
        return self._mapping.mmap[MAP_HEADER_BYTES : MAP_HEADER_BYTES + 2 * self.slot_count].count(b"\0\0")

    def slots_in_state(self, state: int) -> list[int]:
        """All slots in a state (a scan of the map)."""
        _ = self.states  # renews the mapping
        pattern = state.to_bytes(2, "little")
        mapped, slots = self._mapping.mmap, []
        at, end = MAP_HEADER_BYTES, MAP_HEADER_BYTES + 2 * self.slot_count
        while (at := mapped.find(pattern, at, end)) >= 0:
            if at & 1:
                at += 1
                continue
            slots.append((at - MAP_HEADER_BYTES) >> 1)
            at += 2
        return slots
