"""A cluster: a named database of a store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterdb import backups, copies, instances, sqlite, untrusted
from clusterdb.copies import Progress
from clusterdb.errors import InvalidArgumentError
from clusterdb.points import Point
from clusterdb.settings import ClusterSettings
from clusterdb.untrusted import Limits
from vfs.interrupts import uninterrupted
from vfs.layout import SLOT_BYTES
from vfs.table import reached

if TYPE_CHECKING:
    from clusterdb.backups import Snapshot
    from clusterdb.diff import Applied, OnConflict
    from clusterdb.instances import Endpoint, EndpointType, Instance, ReplicaStatus
    from clusterdb.store import Store

__all__ = ["Cluster", "ClusterStats"]


@dataclass(frozen=True, slots=True)
class ClusterStats:
    """What one cluster holds.

    ``logical_bytes`` is the size of its database.  ``own_bytes`` are the slots of the pool (pages, page-table nodes and
    the head) that no other cluster can reach, ``shared_bytes`` those that others reach too: what several clusters have
    from a source that is gone counts as shared.  ``version`` counts committed transactions along the lineage.
    """

    name: str
    version: int
    logical_bytes: int
    own_bytes: int
    shared_bytes: int
    created_at: datetime
    source: str | None


class Cluster:
    """A handle on a cluster; cheap, holds nothing open.  It stays valid when the cluster is renamed.

    ``store`` is its :class:`Store`; ``name`` what it was called when the handle was made, or was last renamed by it.
    """

    def __init__(self, store: Store, name: str, id: int) -> None:
        self.store = store
        self.name = name
        self.id = id

    def __repr__(self) -> str:
        return f"<clusterdb.Cluster '{self.name}' in {self.store.path}>"

    def connect(
        self,
        endpoint: str = "writer",
        *,
        read_only: bool = False,
        at: Point | None = None,
        trusted: bool = True,
        limits: Limits | None = None,
    ) -> sqlite.Connection:
        """A connection to the cluster's database, an ``apsw.Connection``.

        ``endpoint``: ``"writer"``, ``"reader"`` (one of the readers, by chance; the writer if there is none), the name
        of an instance or of a custom endpoint.  A cluster without instances has an implicit writer.  Through a reader
        nothing can be written, and what is seen lags as the instance is set to.

        ``at``: a point in the past, as :meth:`clone` takes it, to look at; nothing can be written there.

        ``trusted=False`` is for SQL of others: no files (ATTACH, VACUUM), no settings that do more than answer, and
        no more time and steps than :class:`Limits` allow (``limits``).  Its statements raise NotAuthorizedError and
        LimitExceededError.

        Raises ClusterNotFoundError, EndpointNotFoundError, ClusterStateError, InvalidRestoreTimeError,
        SnapshotNotFoundError, InvalidArgumentError.
        """
        untrusted.check_options(trusted=trusted, limits=limits)
        if at is not None:
            if endpoint != "writer":
                raise InvalidArgumentError(
                    f"endpoint '{endpoint}': instances show the present; leave it out for a point in the past"
                )
            connection = self.store._connect_past(self, at)
        else:
            connection = self.store._connect(self, endpoint, read_only=read_only)
        return untrusted.prepared(connection, trusted=trusted, limits=limits)

    # --- instances --------------------------------------------------------------------------------------------------
    @uninterrupted
    def add_instance(
        self,
        name: str,
        *,
        instance_class: str = "db.local",
        promotion_tier: int = 1,
        availability_zone: str = "local",
        replica_lag_ms: float = 0,
        lag_jitter_ms: float = 0,
    ) -> Instance:
        """Add an instance: the first is the writer, up to 15 more are readers.

        ``promotion_tier`` 0 to 15: the lower, the sooner a failover makes it the writer.  Readers show what the writer
        had ``replica_lag_ms`` ago, and by chance up to ``lag_jitter_ms`` more.

        Raises InvalidNameError, InstanceExistsError, TooManyReadersError, InvalidArgumentError, ClusterNotFoundError.
        """
        return instances.add(
            self.store, self, name, instance_class, promotion_tier, availability_zone, replica_lag_ms, lag_jitter_ms
        )

    @uninterrupted
    def modify_instance(
        self,
        name: str,
        *,
        promotion_tier: int | None = None,
        replica_lag_ms: float | None = None,
        lag_jitter_ms: float | None = None,
    ) -> Instance:
        """Change an instance; open connections see its new lag.  Raises InstanceNotFoundError, InvalidArgumentError."""
        return instances.modify(self.store, self, name, promotion_tier, replica_lag_ms, lag_jitter_ms)

    @uninterrupted
    def delete_instance(self, name: str) -> None:
        """Delete an instance; if it is the writer, a reader takes its place first.  Raises InstanceNotFoundError."""
        instances.remove(self.store, self, name)

    def instances(self) -> list[Instance]:
        """The instances, the writer first.  Raises ClusterNotFoundError."""
        return instances.listed(self.store, self)

    @uninterrupted
    def failover(self, target: str | None = None) -> str:
        """Make a reader the writer: ``target``, or the one with the lowest tier, of those the largest.  Its name.

        The old writer is fenced: its open transactions cannot be committed, its connections fail.  Connections made
        through the cluster endpoint afterwards reach the new writer.

        Raises NoReaderError, InstanceNotFoundError, InvalidArgumentError, ClusterNotFoundError.
        """
        return instances.failover(self.store, self, target)

    @uninterrupted
    def crash_instance(self, name: str | None = None) -> None:
        """Crash an instance (the writer by default): its connections fail; a reader takes a crashed writer's place.

        Raises InstanceNotFoundError, ClusterNotFoundError.
        """
        instances.crash(self.store, self, name)

    def replica_status(self) -> list[ReplicaStatus]:
        """What ``SELECT * FROM aurora_replica_status()`` tells.  Raises ClusterNotFoundError."""
        with self.store._errors():
            return instances.status(self.store, self)

    def endpoints(self) -> list[Endpoint]:
        """All endpoints, with the instances that each may lead to now.  Raises ClusterNotFoundError."""
        return instances.endpoints(self.store, self)

    @uninterrupted
    def add_endpoint(
        self,
        name: str,
        type: EndpointType = "ANY",
        *,
        members: Sequence[str] = (),
        excluded: Sequence[str] = (),
    ) -> Endpoint:
        """Add a custom endpoint, for the ``members`` only, or for all instances but the ``excluded``.

        Raises InvalidNameError, EndpointExistsError, InstanceNotFoundError, InvalidArgumentError.
        """
        return instances.add_endpoint(self.store, self, name, type, members, excluded)

    @uninterrupted
    def delete_endpoint(self, name: str) -> None:
        """Delete a custom endpoint.  Raises EndpointNotFoundError."""
        instances.remove_endpoint(self.store, self, name)

    def clone(
        self, name: str, *, at: Point | None = None, copy_type: str = "copy-on-write", **settings: Any
    ) -> Cluster:
        """A new cluster with this one's last committed state, in constant time; the two share all unchanged pages.

        ``at``: a point in the past instead, see :data:`clusterdb.Point`: a version, a time, so long ago, or a snapshot.
        ``copy_type="full-copy"`` shares nothing, and takes as long as the database is large.  ``settings`` of
        :class:`ClusterSettings`; the engine, the backup retention and the clone limit are the source's.

        Raises InvalidNameError, ClusterExistsError, ClusterNotFoundError, InvalidRestoreTimeError,
        SnapshotNotFoundError, InvalidArgumentError.
        """
        return self.store._clone(self, name, at, copy_type, settings)

    # --- the past ---------------------------------------------------------------------------------------------------
    @uninterrupted
    def snapshot(self, name: str, *, at: Point | None = None) -> Snapshot:
        """Keep the last committed state (or a past one) until the snapshot is deleted; it outlives the cluster.

        Raises InvalidNameError, SnapshotExistsError, ClusterNotFoundError, InvalidRestoreTimeError.
        """
        return backups.take(self.store, self, name, at)

    @uninterrupted
    def backtrack(self, to: Point) -> None:
        """Go back in place to a version or a time, or forward again, within the backtrack window.

        Open connections go on: what they have read in a transaction stays as it was until that ends; a transaction that
        has written cannot be committed any more.  Raises BacktrackDisabledError, InvalidRestoreTimeError,
        InvalidArgumentError, ClusterNotFoundError.
        """
        with self.store._errors():
            backups.backtrack(self.store, self, to)

    @uninterrupted
    def reset(self, to: str | None = None) -> None:
        """Begin again under the same name: with the present state of the source of this clone, or with a snapshot.

        Open connections go on, as after :meth:`backtrack`.  Raises NoSourceError, SnapshotNotFoundError,
        ClusterNotFoundError.
        """
        backups.reset(self.store, self, to)

    def restorable(self) -> tuple[datetime, datetime]:
        """The earliest and the latest time that a clone can be made of.  Raises ClusterNotFoundError."""
        with self.store._errors():
            return backups.restorable(self.store, self.store._row_of(self))

    # --- life -------------------------------------------------------------------------------------------------------
    @property
    def status(self) -> str:
        """``"available"`` or ``"stopped"``.  Raises ClusterNotFoundError."""
        return self.store._row_of(self).status

    @property
    def clone_group_id(self) -> str:
        """What a cluster and all its clones have in common.  Raises ClusterNotFoundError."""
        return self.store._row_of(self).clone_group

    def stop(self) -> None:
        """Refuse connections until it is started; connections that may write fail from now on.

        Raises ClusterStateError, ClusterNotFoundError.
        """
        self.store._change_status(self, "stop")

    def start(self) -> None:
        """Accept connections again.  Raises ClusterStateError, ClusterNotFoundError."""
        self.store._change_status(self, "start")

    # --- settings ---------------------------------------------------------------------------------------------------
    @property
    def settings(self) -> ClusterSettings:
        """The settings now.  Raises ClusterNotFoundError."""
        return self.store._row_of(self).settings

    def modify(self, **changes: Any) -> ClusterSettings:
        """Change settings (all but the engine); the settings now.

        Raises InvalidArgumentError, ClusterNotFoundError.
        """
        return self.store._modify(self, changes)

    def rename(self, new_name: str) -> None:
        """Give the cluster another name; open connections go on.

        Raises InvalidNameError, ClusterExistsError, ClusterNotFoundError.
        """
        self.store._rename(self, new_name)
        self.name = new_name

    def delete(self) -> None:
        """Drop the cluster.  Clones of it live on; its open connections fail at their next transaction.

        Raises ClusterNotFoundError.
        """
        self.store._delete(self)

    @uninterrupted
    def export(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, progress: Progress | None = None
    ) -> tuple[str, ...]:
        """Write the cluster's last committed state as a plain SQLite database file, whole or not at all.

        A new file has the mode that the umask leaves (others can read it unless that forbids it); one that is replaced
        keeps its mode.  No file in the directory of a store is replaced.

        Returns the names of the collations that the file needs and SQLite does not have, as texts of aurora-mysql
        clusters do: ``clusterdb.flavours.collations.install`` registers those on an apsw connection.

        ``progress`` is called with (pages done, pages in all).  Raises ExportTargetError, ClusterNotFoundError.
        """
        with self.store._errors(), closing(self.store._connect(self, "writer", read_only=True)) as connection:
            return copies.copy_out(connection, Path(path), overwrite=overwrite, progress=progress)

    def apply(self, changeset: bytes, *, on_conflict: OnConflict = "abort") -> Applied:
        """Make the changes of a changeset (:meth:`clusterdb.Diff.changeset`), in one transaction, without triggers.

        ``on_conflict``: what to do where the cluster has not the row that was changed: ``"abort"`` and change nothing,
        ``"skip"`` that change, or ``"replace"`` what is there (what a constraint forbids is skipped even then).

        Raises ChangesetConflictError, InvalidArgumentError for what is no changeset or does not fit the tables.
        """
        from clusterdb.diff import clusters

        return clusters.apply(self.store, self, changeset, on_conflict)

    @uninterrupted
    def stats(self) -> ClusterStats:
        """What the cluster holds now.  Costs a walk over what it does not share.

        Raises ClusterNotFoundError.
        """
        store = self.store
        named = store._row_of(self)
        with store._pinned_row(named) as volume:
            version = volume.version
            own_count = sum(1 for _ in reached(store._pages.read_slot, version, store._newest_shared(volume.row)))
        return ClusterStats(
            name=named.name,
            version=version.version,
            logical_bytes=version.size_bytes,
            own_bytes=(own_count + 1) * SLOT_BYTES,
            shared_bytes=(version.slot_count - own_count) * SLOT_BYTES,
            created_at=datetime.fromtimestamp(named.created_ns / 1e9, tz=timezone.utc),
            source=named.source,
        )
