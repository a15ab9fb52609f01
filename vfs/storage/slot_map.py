"""The allocation map: one 16-bit state per slot of the pool, in shared memory.

States of a slot
    free                      0: anyone holding the pool lock may reserve it
    reserved by session r     ``RESERVED + r``: being filled, or superseded and waiting for readers; r gives it on
    live, even / odd          reached by a published version, or leaked; the parity is the sweep's mark

Invariants
    M1  A slot leaves ``free`` only under the pool lock.  It leaves ``reserved by r`` only through r, or, when r is
        dead, through whoever holds the pool lock.
    M2  A slot is labelled live before the version that reaches it is published, with the epoch read after the
        publishing flag of the session was raised (see ``sweep.py`` for who relies on this).
    M3  The pool file is as long as the map says before any slot of the new part is reserved.
    M4  The map is derived: what it says about a slot can be recomputed from heads and pins, and is, in a new boot.
    M5  A slot is written before it is read through the mapping, also the slot of a head: growing and shrinking leave
        holes, and reading a hole of a full tmpfs is a SIGBUS.

Who guards what: the pool lock guards reserving and growing.  Freeing and labelling are single aligned 16-bit stores
by the only session that may make them (M1), so they need no lock.  The hint is only a hint, and so is what a process
remembers of a stretch where it found nothing free: without it, a free slot in front of a long stretch that is full
would make every reservation read all of that.  Both are forgotten before the pool grows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from vfs.errors import PoolFullError
from vfs.format.layout import SLOT_BYTES, SLOT_COUNT_MAX
from vfs.format.shared import FREE, LIVE_EVEN, LIVE_ODD, MAP_HEADER_BYTES, RESERVED, MapHeader
from vfs.storage.device import CALLS, Mapping, write_at

__all__ = ["SlotMap", "runs_of"]

PREPARED_SLOTS = 256
"""The pool file grows by what a large transaction asks for, or by 1 MiB of written zeros for small ones."""

_NEAR_SLOTS = 4096
"""How far the search for a free slot always looks, before it leaps over what was full."""

_SLACK_SLOTS = 2048
"""Free slots that never keep the pool from growing for a run."""


def runs_of(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending slots as (first, count) runs."""
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
    """The longest part of [start, end) that has none of the slots, as its bounds."""
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

    def close(self) -> None:
        """Unmap the file, if nobody looks at it any more."""
        with suppress(BufferError):
            self._states.release()
        self.header = MapHeader()  # of nothing: a view would keep the file mapped
        self._mapping.close()

    @property
    def slot_count(self) -> int:
        """Slots of the pool file, whatever their state."""
        return self.header.slot_count

    @property
    def states(self) -> memoryview:
        """The states, mapped at least as far as the pool reaches."""
        if self.header.slot_count > len(self._states):
            self._mapping.renew()
            self._attach()
        return self._states

    # --- under the pool lock ----------------------------------------------------------------------------------------
    def reserve(self, row: int, count: int) -> list[int]:
        """Reserve ``count`` free slots for session ``row``, the lowest there are, growing the pool if need be.

        The caller holds the pool lock.  Returns them in ascending order.  Raises PoolFullError when the pool cannot
        grow; then nothing is reserved.
        """
        state = RESERVED + row
        hint = max(1, self.header.hint)
        end = self.slot_count
        taken, position = self._take(hint, end, count, state)
        if len(taken) < count:
            # Frees behind the hint may have lost their race to lower it: look there before growing.
            self._full = (0, 0)
            more, position = self._take(1, end, count - len(taken), state)
            taken += more
        if len(taken) < count:
            try:
                self._grow(count - len(taken))
            except BaseException:
                self.free(taken)
                raise
            more, position = self._take(end, self.slot_count, count - len(taken), state)
            taken += more
        self.header.hint = position
        taken.sort()
        return taken

    def reserve_run(self, row: int, count: int, spare: int) -> list[int]:
        """Reserve ``count`` slots in a row, and up to ``spare`` more that follow: the highest there are.

        The pool grows for a run while less than a third of it (and 8 MiB) is free: a commit that writes one place syncs
        faster.  Else, and for very many, as :meth:`reserve`.
        """
        if count > PREPARED_SLOTS or not count:
            return self.reserve(row, count) if count else []
        _ = self.states  # renews the mapping
        end = MAP_HEADER_BYTES + 2 * self.slot_count
        # No state but FREE has a zero high byte, so zeros begin where a state begins.
        at = self._mapping.mmap.rfind(bytes(2 * count), MAP_HEADER_BYTES + 2, end)
        if at >= 0:
            first = (at - MAP_HEADER_BYTES) >> 1
        elif 3 * (self.free_count() - _SLACK_SLOTS) < self.slot_count:
            first = self.slot_count
            self._grow(count)
        else:
            return self.reserve(row, count)
        states, end_slot = self.states, first + count
        while first > 1 and end_slot - first < count + spare and states[first - 1] == FREE:
            first -= 1
        taken = list(range(first, end_slot))
        self._set(taken, RESERVED + row)
        return taken

    def _take(self, start: int, end: int, count: int, state: int) -> tuple[list[int], int]:
        """Claim up to ``count`` free slots in [start, end): the slots, and where to look next."""
        states = self.states
        taken: list[int] = []
        slot = start
        while len(taken) < count:
            slot = self._next_free(slot, end)
            if slot >= end:
                return taken, end
            while slot < end and len(taken) < count and states[slot] == FREE:
                states[slot] = state
                taken.append(slot)
                slot += 1
        return taken, slot

    def _next_free(self, slot: int, end: int) -> int:
        """The first free slot in [slot, end), but for some of a stretch that was full; or ``end``."""
        near = min(end, slot + _NEAR_SLOTS)
        found = self._find_free(slot, near)
        if found < near or near == end:
            return found
        full_from, full_to = self._full
        if not full_from <= near <= full_to:
            full_from = full_to = near
        found = self._find_free(full_to, end)
        self._full = (full_from, found)
        return found

    def _find_free(self, slot: int, end: int) -> int:
        """The first free slot in [slot, end), or ``end``."""
        at = self._mapping.mmap.find(b"\0\0", MAP_HEADER_BYTES + 2 * slot, MAP_HEADER_BYTES + 2 * end)
        return end if at < 0 else (at - MAP_HEADER_BYTES) >> 1

    def _grow(self, count: int) -> None:
        """Add at least ``count`` slots to the pool.

        Syncing writes into new file space costs more than into written blocks, since the file system must journal
        where they are: so what small transactions will need next is written once, with zeros, in one go.
        """
        # A pool that is longer than the map says: who was growing it died, or the map is damaged.
        slot_count = max(self.slot_count, os.fstat(self._pool_fd).st_size // SLOT_BYTES)
        prepare = count <= PREPARED_SLOTS
        wanted = slot_count + (PREPARED_SLOTS if prepare else count)
        if wanted > SLOT_COUNT_MAX:
            raise PoolFullError(f"the pool cannot have more than {SLOT_COUNT_MAX} slots")
        self.resize(wanted)
        if prepare and self._is_durable:
            write_at(self._pool_fd, [bytes(PREPARED_SLOTS * SLOT_BYTES)], slot_count * SLOT_BYTES)

    def resize(self, slot_count: int) -> None:
        """Make pool and map reach to ``slot_count``, further than they do (M3: the pool file first)."""
        try:
            CALLS.ftruncate(self._pool_fd, slot_count * SLOT_BYTES)
            map_bytes = MAP_HEADER_BYTES + 2 * slot_count
            if map_bytes > os.fstat(self._mapping.fd).st_size:  # never shorter: others have it mapped
                CALLS.ftruncate(self._mapping.fd, map_bytes)
            if self._is_durable:  # a full disk must show here, not as SIGBUS when the mapping is written to
                CALLS.allocate(self._mapping.fd, 0, map_bytes)
        except OSError as error:
            raise PoolFullError(f"the page pool cannot grow: {error.strerror}") from error
        self._mapping.renew()
        self._attach()
        self.header.slot_count = slot_count

    def reserve_all_free(self, row: int, start: int, end: int) -> list[int]:
        """Reserve every free slot in [start, end) (the caller holds the pool lock)."""
        taken, _ = self._take(start, end, end - start, RESERVED + row)
        return taken

    def cut_free_tail(self) -> None:
        """Shorten pool and map by the free slots at their end (the caller holds the pool lock).

        Nobody reads a slot that is free, so nobody misses the end of a mapping that is longer now than the file.
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
        """Reserved slots become live (M2)."""
        self._set(slots, self.live_label())

    def live_label(self) -> int:
        """The label of the present sweep epoch."""
        return LIVE_ODD if self.header.epoch & 1 else LIVE_EVEN

    def hand_over(self, slots: Iterable[int], row: int) -> None:
        """Slots become reserved by session ``row``, who will free or fill them."""
        self._set(slots, RESERVED + row)

    def free(self, slots: Sequence[int]) -> None:
        """Slots become free; nobody may reach them any more."""
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
        for slot in slots:
            states[slot] = state

    def note_leaks(self) -> None:
        """There are live slots that only a sweep will find."""
        self.header.leaks |= 1

    # --- reading ----------------------------------------------------------------------------------------------------
    def used_count(self) -> int:
        """Slots that are not free (a scan of the map)."""
        return self.slot_count - self.free_count()

    def free_count(self) -> int:
        """Free slots (a scan of the map)."""
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
