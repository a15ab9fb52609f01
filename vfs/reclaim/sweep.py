"""The sweep, which frees slots that killed processes leaked; and returning free space to the file system.

A sweep marks and frees while other sessions continue.  Live slots carry the parity of the sweep epoch in which they
were labelled or last marked.

    1  dead sessions are buried, dropped volumes without readers are reclaimed
    2  the epoch advances: new slots get the new label from now on
    3  sessions that were labelling at that moment are waited for (they may use the old label); if a reader holds a
       version older than its volume's head, the sweep is postponed
    4  everything that a head or a pin reaches gets the new label
    5  heads that are not on the device yet are synced
    6  slots that still have the old label are free

Invariants
    W1  A slot that a published or pinned version reaches when step 6 begins has the new label: it was reached by a head
        or pin of step 4, or labelled after step 2, or it is reserved by the keeper of a live process.
    W2  Step 4 changes old labels only, under the pool lock, so that it never overwrites a reservation.  In a race it
        may overwrite the state of a superseded slot that a process keeps, or has freed: such a slot is leaked until the
        next sweep, and its keeper leaves it alone (R5).
    W3  A dropped volume that cannot be reclaimed yet is walked under its volume lock; if another session has that lock,
        the sweep is postponed: that session may be freeing the same slots.
    W5  No reader from before step 2 holds an old version in step 4: it could be about to pin, for a clone, a slot that
        only a dead process knew to be superseded.  Later readers pin heads, and the slots that heads supersede carry
        the new label.
    W6  The state that the catalog has in step 4 for volumes whose head slots have the old label is final.
    W4  Records that dead writers left are wiped before the slots they name are freed (V2 of writer.py).
    W7  No volume can fall back to a version older than the head that step 4 marked: before step 6 the head published by
        then is durable (R3).  Under synchronous=OFF there is no such guarantee, and recovery checks every slot.
"""

from __future__ import annotations

from dataclasses import dataclass

from vfs.errors import CorruptionError, RegistryBusyError, VolumeDroppedError
from vfs.failpoints import reach
from vfs.format import locks
from vfs.format.layout import POOL_HEADER_SLOT, SLOT_SHIFT, Entry, Version
from vfs.format.shared import KEEPS_SUPERSEDED, VOLUME_ROWS
from vfs.holds import Holds
from vfs.interrupts import deliver
from vfs.reclaim.cleanup import Cleanup
from vfs.registry import IN_USE, VolumeRow, VolumeState
from vfs.storage.device import punch_hole
from vfs.storage.fences import fence
from vfs.storage.heads import (
    durable_version,
    head_of,
    make_durable,
    newest_recorded,
    published_version,
    retained,
    wipe_stale_record,
)
from vfs.storage.pool import Pool
from vfs.storage.sessions import Session
from vfs.storage.slot_map import runs_of
from vfs.storage.volume import Volume
from vfs.storage.volumes import pinned, remove_unowned_histories
from vfs.storage.walk import Reached, nodes

__all__ = ["SweepReport", "shrink", "sweep"]

_ATTEMPTS = 20
_CUT_SHORT = 2
"""In ``leaks``: a sweep was cut short."""
_LABELLING_LOOKS = 100
_PUNCH_SLOTS_MIN = 16
_PUNCH_SLOTS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class SweepReport:
    """The result of a sweep: ``freed_count`` slots were freed; ``put_off`` is why it could not finish, or empty."""

    freed_count: int = 0
    put_off: str = ""


def sweep(pool: Pool, cleanup: Cleanup) -> SweepReport:
    """Free the slots that no version reaches and no process keeps.  Raises CorruptionError for a damaged page table."""
    with pool.session() as session:
        hold = session.locks.try_lock(locks.SWEEP)
        if hold is None:
            return SweepReport(put_off="another process is sweeping")
        with hold:
            freed_count = 0
            for _ in range(_ATTEMPTS):
                report = _Sweep(pool, cleanup, session).run()
                freed_count += report.freed_count
                if not report.put_off and not pool.has_leaks():
                    break
                session.pause()
            return SweepReport(freed_count, report.put_off)


class _PutOffError(Exception):
    """The sweep cannot finish now."""


class _Sweep:
    def __init__(self, pool: Pool, cleanup: Cleanup, session: Session) -> None:
        self._pool = pool
        self._cleanup = cleanup
        self._session = session
        self._visited: set[Entry] = set()
        self._old = self._new = 0

    def run(self) -> SweepReport:
        pool, header = self._pool, self._pool.slot_map.header
        try:
            self._cleanup.queue.bury_all(self._session)
        except RegistryBusyError as reason:
            return SweepReport(put_off=str(reason))
        self._cleanup.tidy_all(self._session)
        remove_unowned_histories(pool)
        cut_short = bool(header.sweeping or header.leaks & _CUT_SHORT)
        if header.sweeping:
            self._move_epoch(-1)  # a sweep died: free the same label as that sweep
        header.sweeping = 1
        leaks, header.leaks = header.leaks, 0  # later leaks are for the next sweep
        try:
            self._old = pool.slot_map.live_label()
            self._move_epoch(1)
            self._new = pool.slot_map.live_label()
            reach("sweep: epoch moved")
            self._require_no_old_readers()
            self._await_labelling()
            pool.registry.seal()  # the commit of a session that died while labelling must not take effect later (W6)
            self._mark_everything()
            reach("sweep: marked")
            self._make_heads_durable()
            reach("sweep: heads synced")
            freed = [slot for slot in pool.slot_map.slots_in_state(self._old) if slot != POOL_HEADER_SLOT]
            pool.slot_map.free(freed)
            reach("sweep: freed")
        except BaseException as reason:
            if self._new:
                self._move_epoch(-1)
            header.leaks |= leaks | _CUT_SHORT
            header.sweeping = 0
            if isinstance(reason, (_PutOffError, RegistryBusyError)):
                return SweepReport(put_off=str(reason))
            raise
        header.sweeping = 0
        if cut_short:
            pool.slot_map.note_leaks()  # slots leaked during the interrupted sweep have the new label: sweep again
        return SweepReport(freed_count=len(freed))

    def _move_epoch(self, step: int) -> None:
        with self._session.pool_locked():  # held by a session while it labels leaked slots
            self._pool.slot_map.header.epoch += step
        fence()  # before the flags of other sessions are read

    # --- step 3: sessions to wait for -------------------------------------------------------------------------------
    def _await_labelling(self) -> None:
        """Wait for the sessions that may label with the old epoch; raises _PutOffError if one seems to be stopped."""
        tables = self._pool.tables
        busy = {
            row: record.publishing
            for row, record in tables.sessions()
            if record.publishing not in (0, KEEPS_SUPERSEDED) and row != self._session.row
        }
        for row, marker in busy.items():
            record = tables.session(row)
            looks = 0
            while record.publishing == marker and not self._session.is_dead(row):
                looks += 1
                if looks > _LABELLING_LOOKS:
                    raise _PutOffError(f"process {record.owner} is stuck in a commit (stopped?)")
                self._session.pause()

    def _require_no_old_readers(self) -> None:
        """Check that no reader holds a version older than its volume's head, since leaked slots may belong to it.

        Done before anything is marked, because such a reader may be about to pin the version for a clone (W5).
        """
        tables = self._pool.tables
        for row, reader in tables.sessions():
            if not reader.pin or not 0 < reader.volume <= VOLUME_ROWS:
                continue
            volume = tables.volume(reader.volume - 1)
            if reader.pin != volume.version and not 0 < volume.retained <= reader.pin:
                current = tables.session(row)
                if current.pin == reader.pin and not self._session.is_dead(row):
                    raise _PutOffError(f"process {reader.owner} is reading an old version")

    # --- step 4 -----------------------------------------------------------------------------------------------------
    def _mark_everything(self) -> None:
        registry = self._pool.registry
        for row in registry.volume_rows():
            if row.state in IN_USE:
                self._mark_volume(row)
            elif row.state == VolumeState.DROPPED:
                self._mark_dropped(row)
        for pin in registry.all_pin_rows():
            try:
                self._mark(pin.version)
            except CorruptionError:
                if pin.holder in {row.holder for row in registry.pin_rows(pin.volume)}:
                    raise
                # the pin was removed during the walk: the process that did it keeps its slots (R8 of queue.py)

    def _mark_volume(self, row: VolumeRow) -> None:
        self._relabel(row.head_slot)
        try:
            with pinned(self._pool, row) as volume:
                if not self._wipe_left_record(volume):  # W4
                    raise _PutOffError("a volume is being written to")
                self._mark(volume.version)
                self._mark_past(row, volume.version)
        except VolumeDroppedError:
            self._mark_dropped(row)

    def _wipe_left_record(self, volume: Volume) -> bool:
        """Wipe a dead writer's record; False if there may be one, but another session has the volume lock."""
        version = volume.version.version
        if newest_recorded(self._pool, volume.row) <= version:
            return True
        hold = self._session.try_volume(volume.row.table_index)
        if hold is None:
            return False
        with hold:
            if volume.shared.version == version:  # otherwise a writer has committed, and has wiped it
                wipe_stale_record(self._pool, volume.row, version)
        return True

    def _mark_dropped(self, row: VolumeRow) -> None:
        hold = self._session.try_volume(row.table_index)
        if hold is None:
            raise _PutOffError("a volume is being dropped")
        with hold:
            current = self._pool.registry.volume_row(row.volume)
            if current is not None and current.state in IN_USE:
                raise _PutOffError("the drop of a volume was not committed")
            if current is not None and current.state == VolumeState.DROPPED:
                self._relabel(row.head_slot)
                head = head_of(self._pool, row)
                self._mark(head)
                self._mark_past(current, head)

    def _mark_past(self, row: VolumeRow, head: Version) -> None:
        """Mark the retained past; a process that expires a version meanwhile keeps the slots only it reached (H2)."""
        shared = self._pool.volume(row)
        for version in retained(self._pool, row, head.version - 1):
            try:
                self._mark(version)
            except CorruptionError:
                if version.version >= shared.retained > 0:
                    raise

    def _mark(self, version: Version) -> None:
        """Label everything that a version reaches with the new label, walking each node once."""
        self._pool.refresh_mapping()
        for node in nodes(self._pool.read_slot, version, enter=self._enter):
            self._visited.add(node.at.entry)
            if not node.at.level:
                self._relabel_pages(node.at.number, node.slots())

    def _enter(self, at: Reached) -> bool:
        deliver()
        self._relabel(at.entry.slot)
        return at.entry not in self._visited  # the whole entry: a slot may hold another node by now

    def _relabel_pages(self, leaf_number: int, slots: list[int]) -> None:
        states, old, new = self._pool.slot_map.states, self._old, self._new
        if max(slots) >= len(states):
            raise CorruptionError(f"leaf {leaf_number} names slot {max(slots)}, past the end of the pool")
        with self._session.pool_locked():  # W2
            for slot in slots:
                if states[slot] == old and slot:
                    states[slot] = new

    def _relabel(self, slot: int) -> None:
        states = self._pool.slot_map.states
        if slot >= len(states):
            raise CorruptionError(f"slot {slot} is past the end of the pool")
        with self._session.pool_locked():  # W2
            if states[slot] == self._old:
                states[slot] = self._new

    # --- step 5 -----------------------------------------------------------------------------------------------------
    def _make_heads_durable(self) -> None:
        """Sync the heads that a power failure could undo (W7).

        Their newest durable versions may reach slots that are about to be freed: a process that published without a
        sync (synchronous=NORMAL) may have died, and with it its queue of superseded slots.
        """
        pool = self._pool
        behind = [
            row
            for row in pool.registry.volume_rows()
            if row.state in IN_USE and 0 < durable_version(pool, row) < published_version(pool, row)
        ]
        with Holds() as holds:
            for row in behind:
                hold = self._session.try_volume(row.table_index)
                if hold is None:
                    raise _PutOffError("a volume is being written to")
                holds.add(hold)
            make_durable(pool, behind)


def shrink(pool: Pool) -> int:
    """Return free space of the pool to the file system while other sessions continue; returns the number of bytes.

    Free slots at the end are cut off, runs of free slots elsewhere become holes.
    """
    before = pool.allocated_bytes()
    pool.release_head_slots()
    with pool.session() as session:
        slot_map = pool.slot_map
        with session.pool_locked():
            slot_map.cut_free_tail()
        reach("shrink: tail cut")
        start = 1
        while start < slot_map.slot_count:
            with session.pool_locked():  # reserved while holes are punched, so that nobody writes to them
                end = min(start + _PUNCH_SLOTS_AT_ONCE, slot_map.slot_count)
                reserved = slot_map.reserve_all_free(session.row, start, end)
            try:
                for first, count in runs_of(reserved):
                    if count >= _PUNCH_SLOTS_MIN:
                        punch_hole(pool.pool_fd, first << SLOT_SHIFT, count << SLOT_SHIFT)
            finally:
                slot_map.free(reserved)
            start = end
    return max(0, before - pool.allocated_bytes())
