"""Finding slots that nothing reaches and nobody will free: what killed processes leaked.  And giving space back.

A sweep marks and frees while everybody else goes on.  Live slots carry the parity of the sweep epoch in which they were
labelled or last marked.

    1  dead sessions are buried, dropped volumes whose readers have gone are reclaimed
    2  the epoch moves on: from now on new slots get the new label
    3  sessions that were labelling at that moment are waited for (they may use the old label); if a reader holds a
       version older than its volume's head, the sweep is put off
    4  everything that a head or a pin reaches gets the new label
    5  heads that are not on the device yet are synced
    6  what still has the old label is free

Invariants
    W1  A slot that a published or pinned version reaches when step 6 begins has the new label: it was reached by a head
        or pin of step 4, or labelled after step 2, or it is reserved by the keeper of a live process.
    W2  Step 4 changes old labels only, under the pool lock, so that it never overwrites a reservation.  By an unlucky
        race it may overwrite that somebody keeps a superseded slot, or has freed it: such a slot is leaked until the
        next sweep, and its keeper leaves it alone (R5).
    W3  A dropped volume that cannot be reclaimed yet is walked under its volume lock; if that lock is taken, the sweep
        is put off: whoever has it may be freeing the same slots.
    W5  No reader that was there before step 2 holds an old version in step 4: it could be about to pin for a clone
        what only a dead process knew to be superseded.  Who comes later pins heads, and what those lose carries the
        new label.
    W6  What the catalog says in step 4 of volumes whose head slots have the old label is final.
    W4  Records that dead writers left are wiped before what they name is freed (V2 of volume.py).
    W7  No volume can fall back behind the head that step 4 marked: before step 6 the head published by then is durable
        (R3).  Under synchronous=OFF nothing is promised, and recovery checks every slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vfs.errors import CorruptionError, RegistryBusyError, VolumeDroppedError
from vfs.failpoints import reach
from vfs.holds import Holds
from vfs.interrupts import deliver
from vfs.layout import (
    KEEPS_SUPERSEDED,
    LOCK_SWEEP,
    MAP_EPOCH_AT,
    MAP_LEAKS_AT,
    MAP_SWEEPING_AT,
    POOL_HEADER_SLOT,
    S_OWNER,
    S_PIN,
    S_PUBLISHING,
    S_VOLUME,
    SLOT_SHIFT,
    V_RETAINED,
    V_VERSION,
    VOLUME_ROWS,
    WORD_MAX,
    Entry,
    Version,
    unpack_entries,
)
from vfs.osio import punch_hole
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.sessions import Session
from vfs.slots import runs_of
from vfs.table import Reached, read_node

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["SweepReport", "shrink", "sweep"]

_ATTEMPTS = 20
_CUT_SHORT = 2
"""In MAP_LEAKS: a sweep was cut short."""
_LABELLING_LOOKS = 100
_PUNCH_SLOTS_MIN = 16
_PUNCH_SLOTS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did: ``freed_count`` slots came back; ``put_off`` says why it could not finish, or is empty."""

    freed_count: int = 0
    put_off: str = ""


def sweep(store: PageStore) -> SweepReport:
    """Free the slots that nothing reaches and nobody will free.  Raises CorruptionError if a page table is damaged."""
    with store.session() as session:
        hold = session.locks.try_lock(LOCK_SWEEP)
        if hold is None:
            return SweepReport(put_off="another process is sweeping")
        with hold:
            freed_count = 0
            for _ in range(_ATTEMPTS):
                report = _Sweep(store, session).run()
                freed_count += report.freed_count
                if not report.put_off and not store.has_leaks():
                    break
                session.pause()
            return SweepReport(freed_count, report.put_off)


class _PutOffError(Exception):
    """The sweep cannot finish now."""


class _Sweep:
    def __init__(self, store: PageStore, session: Session) -> None:
        self._store = store
        self._session = session
        self._visited: set[Entry] = set()
        self._old = self._new = 0

    def run(self) -> SweepReport:
        store, header = self._store, self._store.slot_map.header
        try:
            store.reclaim.bury_all(self._session)
        except RegistryBusyError as reason:
            return SweepReport(put_off=str(reason))
        store.chores.tidy_all(self._session)
        store.remove_unowned_histories()
        cut_short = bool(header[MAP_SWEEPING_AT] or header[MAP_LEAKS_AT] & _CUT_SHORT)
        if header[MAP_SWEEPING_AT]:
            self._move_epoch(-1)  # a sweep died: look for the label that it looked for
        header[MAP_SWEEPING_AT] = 1
        leaks, header[MAP_LEAKS_AT] = header[MAP_LEAKS_AT], 0  # what leaks from here on is for the next sweep
        try:
            self._old = store.slot_map.live_label()
            self._move_epoch(1)
            self._new = store.slot_map.live_label()
            reach("sweep: epoch moved")
            self._require_no_old_readers()
            self._await_labelling()
            store.registry.seal()  # who died while labelling shall not have committed after all (W6)
            self._mark_everything()
            reach("sweep: marked")
            self._make_heads_durable()
            reach("sweep: heads synced")
            freed = [slot for slot in store.slot_map.slots_in_state(self._old) if slot != POOL_HEADER_SLOT]
            store.slot_map.free(freed)
            reach("sweep: freed")
        except BaseException as reason:
            if self._new:
                self._move_epoch(-1)
            header[MAP_LEAKS_AT] |= leaks | _CUT_SHORT
            header[MAP_SWEEPING_AT] = 0
            if isinstance(reason, (_PutOffError, RegistryBusyError)):
                return SweepReport(put_off=str(reason))
            raise
        header[MAP_SWEEPING_AT] = 0
        if cut_short:
            store.slot_map.note_leaks()  # what leaked during the other sweep has the new label: another finds it
        return SweepReport(freed_count=len(freed))

    def _move_epoch(self, step: int) -> None:
        with self._session.pool_locked():  # who labels leaked slots holds it
            header = self._store.slot_map.header
            header[MAP_EPOCH_AT] = (header[MAP_EPOCH_AT] + step) & WORD_MAX

    # --- step 3: who is in the way ----------------------------------------------------------------------------------
    def _await_labelling(self) -> None:
        """Wait for the sessions that may label with the old epoch; in vain if one of them is stopped."""
        words = self._store.tables.words
        busy = {
            row: fields[S_PUBLISHING]
            for row, fields in self._store.tables.session_rows()
            if fields[S_PUBLISHING] not in (0, KEEPS_SUPERSEDED) and row != self._session.row
        }
        for row, marker in busy.items():
            at = self._store.tables.session_at(row) + S_PUBLISHING
            looks = 0
            while words[at] == marker and not self._session.is_dead(row):
                looks += 1
                if looks > _LABELLING_LOOKS:
                    raise _PutOffError(f"the process {words[at - S_PUBLISHING]} is in a commit and does not get on")
                self._session.pause()

    def _require_no_old_readers(self) -> None:
        """Nobody may hold a version older than its volume's head: what leaked may be part of it.

        Looked at before anything is marked, for such a reader may be about to make the version a clone's (W5).
        """
        words, tables = self._store.tables.words, self._store.tables
        for row, fields in tables.session_rows():
            pin, volume = fields[S_PIN], fields[S_VOLUME]
            if not pin or not 0 < volume <= VOLUME_ROWS:
                continue
            row_at = tables.volume_at(volume - 1)
            if pin != words[row_at + V_VERSION] and not 0 < words[row_at + V_RETAINED] <= pin:
                at = tables.session_at(row) + S_PIN
                if words[at] == pin and not self._session.is_dead(row):
                    raise _PutOffError(f"the process {fields[S_OWNER]} reads an old version")

    # --- step 4 -----------------------------------------------------------------------------------------------------
    def _mark_everything(self) -> None:
        registry = self._store.registry
        for row in registry.volume_rows():
            if row.state in IN_USE:
                self._mark_volume(row)
            elif row.state == VolumeState.DROPPED:
                self._mark_dropped(row)
        for pin in registry.all_pin_rows():
            try:
                self._mark(pin.version)
            except CorruptionError:
                if pin.holder in {other.holder for other in registry.pin_rows(pin.volume)}:
                    raise
                # the pin went while we walked: who released it keeps what only it held (R8 of reclaim.py)

    def _mark_volume(self, row: VolumeRow) -> None:
        self._relabel(row.head_slot)
        try:
            with self._store.pinned(row) as volume:
                if not volume.wipe_left_record(self._session):  # W4
                    raise _PutOffError("a volume is being written to")
                self._mark(volume.version)
                self._mark_past(row, volume.version)
        except VolumeDroppedError:
            self._mark_dropped(row)

    def _mark_dropped(self, row: VolumeRow) -> None:
        hold = self._session.try_volume(row.table_index)
        if hold is None:
            raise _PutOffError("a volume is being dropped")
        with hold:
            current = self._store.registry.volume_row(row.volume)
            if current is not None and current.state == VolumeState.DROPPED:
                self._relabel(row.head_slot)
                head = self._store.head_of(row)
                self._mark(head)
                self._mark_past(current, head)

    def _mark_past(self, row: VolumeRow, head: Version) -> None:
        """Mark what a volume retains; who gives a version up meanwhile keeps what only that one reached (H2)."""
        retained_at = self._store.tables.volume_at(row.table_index) + V_RETAINED
        for version in self._store.retained(row, head.version - 1):
            try:
                self._mark(version)
            except CorruptionError:
                if version.version >= self._store.tables.words[retained_at] > 0:
                    raise

    # --- step 5 -----------------------------------------------------------------------------------------------------
    def _make_heads_durable(self) -> None:
        """Sync the heads that a power failure could undo (W7).

        Their newest durable versions may reach what is about to be freed: a process that published without a sync
        (synchronous=NORMAL) may be dead, and what it remembered of superseded slots with it.
        """
        store = self._store
        behind = [
            row
            for row in store.registry.volume_rows()
            if row.state in IN_USE and 0 < store.durable_version(row) < store.published_version(row)
        ]
        with Holds() as holds:
            for row in behind:
                hold = self._session.try_volume(row.table_index)
                if hold is None:
                    raise _PutOffError("a volume is being written to")
                holds.add(hold)
            store.make_durable(behind)

    def _mark(self, version: Version) -> None:
        """Give everything a version reaches the new label, each node walked once."""
        if not version.depth or not version.root.slot:
            return
        self._store.refresh_mapping()
        stack = [Reached(version.depth - 1, 0, version.root)]
        while stack:
            level, number, entry = stack.pop()
            deliver()
            self._relabel(entry.slot)
            if entry in self._visited:  # the whole entry: a slot may be another node's by now
                continue
            node = read_node(self._store.read_slot, entry, f"page table, level {level}, number {number}")
            self._visited.add(entry)
            if level == 0:
                states, old, new = self._store.slot_map.states, self._old, self._new
                slots = node.cast("I").tolist()[::4]
                if max(slots) >= len(states):
                    raise CorruptionError(f"leaf {number} names slot {max(slots)}, past the end of the pool")
                with self._session.pool_locked():  # W2
                    for slot in slots:
                        if states[slot] == old and slot:
                            states[slot] = new
            else:
                first = number << 8
                stack += [Reached(level - 1, first + index, child) for index, child in unpack_entries(node)]

    def _relabel(self, slot: int) -> None:
        states = self._store.slot_map.states
        if slot >= len(states):
            raise CorruptionError(f"slot {slot} lies past the end of the pool")
        with self._session.pool_locked():  # W2
            if states[slot] == self._old:
                states[slot] = self._new


def shrink(store: PageStore) -> int:
    """Give free space of the pool back to the file system while others go on; the bytes given back.

    Free slots at the end are cut off, runs of free slots elsewhere become holes.
    """
    before = store.allocated_bytes()
    with store.session() as session:
        slot_map = store.slot_map
        with session.pool_locked():
            slot_map.cut_free_tail()
        reach("shrink: tail cut")
        start = 1
        while start < slot_map.slot_count:
            with session.pool_locked():  # reserved while we punch, so that nobody writes to them
                end = min(start + _PUNCH_SLOTS_AT_ONCE, slot_map.slot_count)
                taken = slot_map.reserve_all_free(session.row, start, end)
            try:
                for first, count in runs_of(taken):
                    if count >= _PUNCH_SLOTS_MIN:
                        punch_hole(store.pool_fd, first << SLOT_SHIFT, count << SLOT_SHIFT)
            finally:
                slot_map.free(taken)
            start = end
    return max(0, before - store.allocated_bytes())
