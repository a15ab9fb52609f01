"""Keeping the past of a volume, and giving it up again as it grows old.  The invariants are in history.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vfs.failpoints import reach
from vfs.layout import LIVE_EVEN, LIVE_ODD, V_RETAINED
from vfs.loose import of_past
from vfs.reclaim import Superseded
from vfs.registry import IN_USE, VolumeRow
from vfs.sessions import Session

if TYPE_CHECKING:
    from vfs.store import PageStore

__all__ = ["agree_on_past", "give_up_past", "keep_past"]


def keep_past(store: PageStore, session: Session, row: VolumeRow) -> None:
    """Retain every version from the present one on.  The caller has the volume lock; does nothing if it is so already.

    Raises RegistryBusyError, StoreFailedError, PoolFullError, OSError.
    """
    if row.retained:
        return
    head = store.head_of(row)
    _require_durable(store, row, head.version)
    store.history.erase_after(row.volume, 0)
    store.history.append(row.volume, head._replace(volume=row.volume))
    word_at = store.tables.volume_at(row.table_index) + V_RETAINED
    store.tables.words[word_at] = head.version  # H6
    reach("past: word set")
    try:
        with store.registry.transaction():
            store.registry.set_retained(row.volume, head.version)
    finally:  # also when interrupted behind the commit
        current = store.registry.volume_row(row.volume)
        store.tables.words[word_at] = current.retained if current is not None else 0


def agree_on_past(store: PageStore, session: Session) -> None:
    """See that the volume table and the catalog name the same oldest versions, where a process died in between (H6).

    Leaves alone what another session is at.  Raises OSError, StorageError.
    """
    for row in store.registry.volumes_in(*IN_USE):
        word_at = store.tables.volume_at(row.table_index) + V_RETAINED
        if store.tables.words[word_at] == row.retained:
            continue
        hold = session.try_volume(row.table_index)
        if hold is None:
            continue
        with hold:
            current = store.registry.volume_row(row.volume)
            if current is not None and current.state in IN_USE:
                store.tables.words[word_at] = current.retained
                store.slot_map.note_leaks()  # what was superseded meanwhile has nobody to free it


def give_up_past(store: PageStore, session: Session, row: VolumeRow, before: int | None) -> None:
    """Retain no version before that one any more; None: keep no past at all.  The caller has the volume lock.

    Raises RegistryBusyError if another process is in a catalog transaction, CorruptionError, StoreFailedError.
    """
    head = store.head_of(row)
    oldest = head.version if before is None else min(before, head.version)
    if not row.retained or (before is not None and oldest <= row.retained):
        return
    last = store.find_record(row, oldest)
    if last is None:
        return  # its record was lost with the power: the next one will do
    _require_durable(store, row, oldest)
    states = store.slot_map.states
    loose: list[Superseded] = [
        item
        for item in of_past(store, row, store.registry.pinned_versions(row.volume), last)
        if states[item[0]] in (LIVE_EVEN, LIVE_ODD)
    ]
    store.reclaim.keep([slot for slot, _, _ in loose])
    reach("past: slots kept")
    retained = 0 if before is None else oldest
    word_at = store.tables.volume_at(row.table_index) + V_RETAINED
    try:
        with store.registry.transaction(waits=False):
            store.registry.set_retained(row.volume, retained)
    finally:  # also when interrupted behind the commit
        current = store.registry.volume_row(row.volume)
        if current is not None and current.retained == retained:
            reach("past: catalog has forgotten")
            store.tables.words[word_at] = retained
            session.fence()  # before readers' pins are read (H2, H3)
            store.reclaim.enqueue(row, loose, store.durable_version(row))
        else:
            with session.labelling():
                store.slot_map.label_live([slot for slot, _, _ in loose])
    store.history.forget_before(row.volume, oldest)
    store.reclaim.drain(session, row)


def _require_durable(store: PageStore, row: VolumeRow, version: int) -> None:
    """What the catalog will say is retained must be on the device (recovery falls back to nothing before it)."""
    if store.is_durable and store.durable_version(row) < version:
        store.make_durable([row])
