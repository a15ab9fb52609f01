"""The past of clusters: snapshots, points in time, going back in place, resetting a clone.

A cluster's data is a volume; to go back, or to be reset, is to go over to another volume, a clone of a past version.
The former volume is kept as one of the cluster's *pasts* for as long as its settings keep the past, and dropped
otherwise.  Open connections follow: what they read in a transaction stays as it is until that ends.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from clusterdb import copies, status
from clusterdb.catalog import ClusterRow, SnapshotRow, snapshot_holder
from clusterdb.copies import Progress
from clusterdb.errors import (
    BacktrackDisabledError,
    ClusterNotFoundError,
    ClusterStateError,
    DeletionProtectedError,
    InvalidArgumentError,
    InvalidRestoreTimeError,
    NoSourceError,
    SnapshotNotFoundError,
    StoreBusyError,
)
from clusterdb.names import check_name, suggestion
from clusterdb.points import Point, time_ns_of
from clusterdb.settings import ClusterSettings
from vfs import expiry
from vfs.layout import Version
from vfs.registry import VolumeRow, VolumeState
from vfs.sqlite_vfs import continue_from

if TYPE_CHECKING:
    from clusterdb.cluster import Cluster
    from clusterdb.store import Store

__all__ = ["Snapshot"]

_SKEW_NS_MAX = 1_000_000_000
"""A store's clock may be ahead of the system's by this much because that is slewed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A manual snapshot.

    ``cluster`` is what it is of, as that was named; ``version`` and ``taken_at`` are what it shows; ``logical_bytes``
    is the size of the database in it.
    """

    name: str
    cluster: str
    version: int
    taken_at: datetime
    created_at: datetime
    logical_bytes: int


# --- finding a version ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Found:
    """A version of a volume, in words too; ``version`` None is the head, ``record`` what a snapshot's pin keeps."""

    volume: VolumeRow
    version: int | None
    text: str
    record: Version | None = None


def find(store: Store, row: ClusterRow, at: Point | None) -> Found:
    """The volume and version that a point in the past of a cluster means.

    Raises InvalidRestoreTimeError, SnapshotNotFoundError, InvalidArgumentError.
    """
    if at is None:
        text = f"cluster '{row.name}'"
        return Found(store._require_in_use(row.volume, text), None, text)
    if isinstance(at, str):
        snapshot = require_snapshot(store, at)
        return Found(
            store._require_known(snapshot.volume), snapshot.version, f"snapshot '{at}'", record_of(store, snapshot)
        )
    if isinstance(at, bool) or not isinstance(at, int | datetime | timedelta):
        raise InvalidArgumentError(
            f"invalid point in time {at!r}: use a version, a datetime, a timedelta or a snapshot"
        )
    if isinstance(at, int):
        return _find_version(store, row, at)
    return _find_time(store, row, at)


def is_of(store: Store, row: ClusterRow, found: Found) -> bool:
    """Whether a version is one of a cluster's own: a snapshot may be of another."""
    return found.volume.volume in {volume.volume for volume, _ in _volumes(store, row)}


def _volumes(store: Store, row: ClusterRow) -> list[tuple[VolumeRow, int]]:
    """(volume, until when it was the cluster's) of a cluster's pasts and its present, oldest first."""
    found = []
    for volume, until_ns in [*store._catalog.pasts(row.cluster), (row.volume, 1 << 62)]:
        volume_row = store._catalog.volume_row(volume)
        if volume_row is not None:
            found.append((volume_row, until_ns))
    return found


def _range(store: Store, volume: VolumeRow) -> tuple[int, int]:
    """The oldest retained version of a volume (or its head, if it keeps no past), and its head."""
    head = store._pages.published_version(volume)
    return volume.retained or head, head


def _find_version(store: Store, row: ClusterRow, version: int) -> Found:
    for volume, _ in reversed(_volumes(store, row)):
        oldest, head = _range(store, volume)
        if oldest <= version <= head:
            return Found(volume, version, f"cluster '{row.name}' at version {version}")
    raise InvalidRestoreTimeError(f"cluster '{row.name}' has no version {version}: {_available(store, row)}")


def _find_time(store: Store, row: ClusterRow, at: datetime | timedelta) -> Found:
    now_ns = time.time_ns()
    time_ns = time_ns_of(at, now_ns)
    told = (
        datetime.fromtimestamp(time_ns / 1e9, tz=timezone.utc).isoformat(" ", "milliseconds") if time_ns >= 0 else "?"
    )
    if time_ns > now_ns:
        raise InvalidRestoreTimeError(f"cluster '{row.name}': {told} is in the future")
    if isinstance(at, timedelta):
        time_ns += store._pages.clock.skew_ns()  # a time span is measured by the store's clock
    else:
        time_ns = _by_store_clock(store, row, time_ns)
    newest = _newest_at(store, row, time_ns)
    if newest is None:
        raise InvalidRestoreTimeError(f"cluster '{row.name}' cannot go back to {told}: {_available(store, row)}")
    volume, version = newest
    return Found(volume, version.version, f"cluster '{row.name}' as of {told}")


def _newest_at(store: Store, row: ClusterRow, time_ns: int) -> tuple[VolumeRow, Version] | None:
    """What a cluster's newest version was at a time of the store's clock."""
    for volume, until_ns in _volumes(store, row):
        if time_ns < until_ns:
            oldest, head = _range(store, volume)
            found = store._pages.newest_at(volume, time_ns, oldest, head)
            return (volume, found) if found is not None else None
    return None


def _by_store_clock(store: Store, row: ClusterRow, time_ns: int) -> int:
    """A time of the system's clock as one of the store's, which dates commits (vfs/clock.py).

    Where the system's clock was set ahead and back, what was committed since is dated ahead of it by the skew.  Earlier
    commits are not: a time before the newest commit that is not ahead of the system's clock is taken as it is.
    """
    skew_ns = store._pages.clock.skew_ns()
    if skew_ns > _SKEW_NS_MAX:
        honest = _newest_at(store, row, time.time_ns())
        if honest is not None and time_ns < honest[1].time_ns:
            return time_ns
    return time_ns + skew_ns


def _available(store: Store, row: ClusterRow) -> str:
    earliest, latest = restorable(store, row)
    if not row.settings.keeps_past_ns:
        return "it keeps no past (set backup_retention_days or backtrack_window_s)"
    return f"what can be restored begins at {earliest} and ends at {latest}"


def restorable(store: Store, row: ClusterRow) -> tuple[datetime, datetime]:
    """The earliest and the latest time that a cluster can be restored to."""
    times = []
    for volume, _ in _volumes(store, row):
        times.append(store._pages.current_head(volume).time_ns)
        oldest = store._pages.find_record(volume, volume.retained) if volume.retained else None
        if oldest is not None:
            times.append(oldest.time_ns)
    now_ns = time.time_ns()
    return _time(min(*times, now_ns)), _time(min(max(times), now_ns))


def _time(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, tz=timezone.utc)


# --- keeping the past -------------------------------------------------------------------------------------------------
def keep_past(store: Store, cluster: int) -> None:
    """Begin or cease to keep past versions of a cluster, as its settings say."""
    row = store._catalog.cluster_row(cluster)
    volume = store._catalog.volume_row(row.volume) if row is not None else None
    if row is None or volume is None or bool(volume.retained) == bool(store._kept_ns(row)):
        return
    with store._errors(), store._pages.session() as session, session.volume_locked(volume.table_index):
        current, row = store._catalog.volume_row(volume.volume), store._catalog.cluster_row(cluster)  # what is so now
        if current is not None and current.state == VolumeState.LIVE and row is not None:
            if store._kept_ns(row):
                expiry.keep_past(store._pages, session, current)
            else:
                expiry.give_up_past(store._pages, session, current, None)


def expire(store: Store, cluster: int) -> None:
    """Give up the past of a cluster as far as its settings do not keep it any more; waits for nobody."""
    row = store._catalog.cluster_row(cluster)
    if row is None:
        return
    cutoff_ns = store._pages.clock.now_ns() - store._kept_ns(row)
    with suppress(StoreBusyError), store._errors(), store._pages.session() as session:
        for volume, until_ns in _volumes(store, row):
            if volume.volume != row.volume and until_ns <= cutoff_ns:
                _drop_past(store, volume)
            elif volume.retained and (hold := session.try_volume(volume.table_index)) is not None:
                with hold:
                    current = store._catalog.volume_row(volume.volume)
                    if current is not None and current.state in (VolumeState.LIVE, VolumeState.PAST):
                        oldest, head = _range(store, current)
                        found = store._pages.newest_at(current, cutoff_ns, oldest, head)
                        if found is not None:
                            expiry.give_up_past(store._pages, session, current, found.version)


def may_expire(settings: ClusterSettings) -> bool:
    """Whether settings ask for anything that comes with time."""
    return settings.ttl_s is not None or settings.idle_s is not None or settings.keeps_past_ns > 0


def is_expired(store: Store, row: ClusterRow) -> bool:
    """Whether a cluster's time to live or idle time is over, nobody is connected, and it is not protected."""
    settings, now = row.settings, time.time_ns()
    over = settings.ttl_s is not None and now > row.created_ns + settings.ttl_s * 1e9
    idle = settings.idle_s is not None and now > row.used_ns + settings.idle_s * 1e9
    if not (over or idle) or settings.deletion_protection:
        return False
    volume = store._catalog.volume_row(row.volume)
    if volume is None or store._pages.reader_count(volume):
        return False
    head = store._pages.find_record(volume, store._pages.published_version(volume))
    written_ns = head.time_ns if head is not None and head.version != volume.base.version else 0
    return over or store._pages.clock.now_ns() > written_ns + (settings.idle_s or 0) * 1e9


def _drop_past(store: Store, volume: VolumeRow) -> None:
    store._drop_volume(volume, lambda: store._catalog.remove_past(volume.volume), waits=False)


def delete(store: Store, row: ClusterRow, *, only_expired: bool = False) -> None:
    """Delete a cluster, with its pasts; its snapshots stay.

    Raises DeletionProtectedError, ClusterNotFoundError, StoreBusyError; ClusterStateError if it was to be deleted only
    because it has expired, and it has not any more.
    """
    _require_unprotected(row)
    pasts = [volume for volume, _ in _volumes(store, row) if volume.volume != row.volume]

    def forget() -> None:
        current = store._catalog.cluster_row(row.cluster)
        if current is None:
            raise store._deleted(f"cluster '{row.name}'")
        _require_unprotected(current)
        if current.volume != row.volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset by another process meanwhile: try again")
        if only_expired and not is_expired(store, current):
            raise ClusterStateError(f"cluster '{row.name}' has not expired")
        store._catalog.remove_cluster(row.cluster)
        store._catalog.add_event("cluster", row.name, "deletion", f"cluster '{row.name}' deleted")

    store._drop_volume(store._require_in_use(row.volume, f"cluster '{row.name}'"), forget)
    for volume in pasts:
        with suppress(ClusterNotFoundError):  # whoever opens the store drops what is left of a cluster
            store._drop_volume(volume)


def _require_unprotected(row: ClusterRow) -> None:
    if row.settings.deletion_protection:
        raise DeletionProtectedError(
            f"cluster '{row.name}' is protected from deletion: set deletion_protection=False first"
        )


# --- going over to another volume -------------------------------------------------------------------------------------
def backtrack(store: Store, cluster: Cluster, to: Point) -> None:
    """Let a cluster go back (or forward again) in place.

    Raises BacktrackDisabledError, InvalidRestoreTimeError, InvalidArgumentError, ClusterNotFoundError.
    """
    store._require_writable()
    row = store._row_of(cluster)
    status.after(row.name, row.status, "backtrack")
    if not row.settings.backtrack_window_s:
        raise BacktrackDisabledError(f"cluster '{row.name}' has no backtrack window: set backtrack_window_s first")
    if to is None or isinstance(to, str):
        raise InvalidArgumentError(f"cluster '{row.name}': backtrack to a version or a time, reset to a snapshot")
    found = find(store, row, to)
    _require_in_window(store, row, found)
    _switch(store, row, found, "backtrack", f"cluster '{row.name}' went back to {found.text}")


def _require_in_window(store: Store, row: ClusterRow, found: Found) -> None:
    """The backtrack window may be shorter than what is kept for clones: until when was the version the newest?"""
    window_s = row.settings.backtrack_window_s
    begins_ns = store._pages.clock.now_ns() - window_s * 1_000_000_000
    behind = store._pages.find_record(found.volume, (found.version or 0) + 1)
    until_ns = [behind.time_ns] if behind is not None else []
    until_ns += [until for volume, until in _volumes(store, row) if volume.volume == found.volume.volume]
    if min(until_ns, default=begins_ns) < begins_ns:
        raise InvalidRestoreTimeError(
            f"{found.text} lies before the backtrack window of {window_s} seconds: clone it instead"
        )


def reset(store: Store, cluster: Cluster, to: Point | None) -> None:
    """Give a clone its source's present state, or any cluster that of a snapshot, under its own name.

    Raises NoSourceError, SnapshotNotFoundError, InvalidArgumentError, ClusterNotFoundError.
    """
    store._require_writable()
    row = store._row_of(cluster)
    status.after(row.name, row.status, "reset")
    if to is not None and not isinstance(to, str):
        raise InvalidArgumentError(f"cluster '{row.name}': reset to a snapshot, backtrack to a version or a time")
    if to is not None:
        found = find(store, row, to)
    else:
        source = store._catalog.cluster_row(row.source_cluster) if row.source_cluster is not None else None
        if source is None:
            why = "is no clone" if row.source is None else f"has lost its source '{row.source}'"
            raise NoSourceError(f"cluster '{row.name}' {why}: reset it to a snapshot, or make a new clone")
        found = find(store, source, None)
    _switch(store, row, found, "recovery", f"cluster '{row.name}' reset to {found.text}")


def _switch(store: Store, row: ClusterRow, found: Found, category: str, message: str) -> None:
    """The cluster goes over to a clone of what was found."""
    catalog, pages = store._catalog, store._pages
    old = store._require_in_use(row.volume)

    def change() -> None:
        current = catalog.cluster_row(row.cluster)
        if current is None or current.volume != old.volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset or deleted by another process meanwhile: try again")
        status.after(current.name, current.status, "reset")
        catalog.set_volume_state(new.volume, VolumeState.LIVE)
        catalog.switch_cluster(row.cluster, new.volume)
        catalog.add_event("cluster", row.name, category, message)

    def change_and_keep() -> None:
        change()
        catalog.set_volume_state(old.volume, VolumeState.PAST)
        catalog.add_past(old.volume, row.cluster, pages.clock.now_ns())

    with store._clone_volume(found, VolumeState.BUILDING) as (new, _):
        try:
            with store._errors():
                continue_from(pages, new, old)
                if store._kept_ns(row):
                    with pages.session() as session, session.volume_locked(new.table_index):
                        expiry.keep_past(pages, session, store._require_in_use(new.volume))
            if store._kept_ns(row):
                with store._errors(), pages.moving(old), catalog.transaction():
                    change_and_keep()
            else:
                store._drop_volume(old, change)
        except BaseException:
            built = catalog.volume_row(new.volume)
            if built is not None and built.state == VolumeState.BUILDING:
                store._drop_volume(built)
            raise


# --- snapshots --------------------------------------------------------------------------------------------------------
def take(store: Store, cluster: Cluster, name: str, at: Point | None) -> Snapshot:
    """Take a snapshot of a cluster's head, or of a past version of it."""
    store._require_writable()
    _check_new(store, name)
    row = store._row_of(cluster)
    found = find(store, row, at)
    if found.record is not None:
        kept = require_snapshot(store, str(at))
        return _keep(store, name, kept.cluster, found.record, kept.settings, is_pinned=False)
    with store._lasting(found) as record:
        return _keep(store, name, row.name, record, row.settings, is_pinned=True)


def _keep(
    store: Store, name: str, cluster: str, version: Version, settings: ClusterSettings, *, is_pinned: bool
) -> Snapshot:
    with store._catalog.transaction():
        store._require_kept(version, f"cluster '{cluster}'", is_pinned=is_pinned)
        row = store._catalog.add_snapshot(name, cluster, version, settings)
        store._catalog.add_event("snapshot", name, "creation", f"snapshot '{name}' of cluster '{cluster}' taken")
    return _snapshot(store, row)


def _check_new(store: Store, name: str) -> None:
    """Raises InvalidNameError, SnapshotExistsError."""
    store._catalog.require_free_snapshot(check_name(name, "snapshot"))


def copy(store: Store, name: str, new_name: str) -> Snapshot:
    """A second snapshot of the same version, which stays when the first is deleted."""
    store._require_writable()
    _check_new(store, new_name)
    with store._catalog.transaction():
        row = require_snapshot(store, name)
        made = store._catalog.add_snapshot(new_name, row.cluster, record_of(store, row), row.settings)
        store._catalog.add_event("snapshot", new_name, "creation", f"snapshot '{new_name}' copied from '{name}'")
    return _snapshot(store, made)


def remove(store: Store, name: str) -> None:
    """Delete a snapshot; what only it kept is free."""
    store._require_writable()
    with store._catalog.transaction():
        row = require_snapshot(store, name)
        released = store._catalog.remove_snapshot(row)
        store._catalog.add_event("snapshot", name, "deletion", f"snapshot '{name}' deleted")
    with store._errors(), store._pages.session() as session:
        for volume in released:
            store._pages.chores.request(volume)
        store._pages.chores.tidy(session, released)


def restore(store: Store, name: str, new_name: str, changes: dict[str, object]) -> Cluster:
    """A new cluster with what a snapshot shows, in constant time."""
    store._require_writable()
    row = require_snapshot(store, name)
    settings = row.settings.inherited().changed(changes)
    store._catalog.require_free(check_name(new_name))
    found = Found(store._require_known(row.volume), row.version, f"snapshot '{name}'", record_of(store, row))
    cluster = store._clone_found(found, None, new_name, settings, f"restored from snapshot '{name}'")
    keep_past(store, cluster.id)
    return cluster


def export(
    store: Store, name: str, path: Path, *, overwrite: bool = False, progress: Progress | None = None
) -> tuple[str, ...]:
    """Write what a snapshot shows as a plain database file, whole or not at all; the collations that it needs."""
    row = require_snapshot(store, name)
    found = Found(store._require_known(row.volume), row.version, f"snapshot '{name}'", record_of(store, row))
    with store._lent(found) as (_, connection):
        return copies.copy_out(connection, path, overwrite=overwrite, progress=progress)


def listed(store: Store) -> list[Snapshot]:
    """All snapshots, by name."""
    store._require_open()
    return [_snapshot(store, row) for row in store._catalog.snapshots()]


def get(store: Store, name: str) -> Snapshot:
    """One snapshot, by its name."""
    store._require_open()
    return _snapshot(store, require_snapshot(store, name))


def require_snapshot(store: Store, name: str) -> SnapshotRow:
    """Raises SnapshotNotFoundError, InvalidNameError."""
    row = store._catalog.snapshot(check_name(name, "snapshot or point in time"))
    if row is None:
        known = [each.name for each in store._catalog.snapshots()]
        raise SnapshotNotFoundError(f"store '{store.path}' has no snapshot '{name}'{suggestion(name, known)}")
    return row


def record_of(store: Store, row: SnapshotRow) -> Version:
    """The version record that the snapshot's pin has."""
    pin = store._catalog.pin_of(row.volume, row.version, snapshot_holder(row.snapshot))
    if pin is not None:
        return pin.version._replace(volume=row.volume)
    raise SnapshotNotFoundError(f"snapshot '{row.name}' has lost its pin: run `clusterdb check`")


def _snapshot(store: Store, row: SnapshotRow) -> Snapshot:
    return Snapshot(
        row.name, row.cluster, row.version, _time(row.taken_ns), _time(row.created_ns), record_of(store, row).size_bytes
    )
