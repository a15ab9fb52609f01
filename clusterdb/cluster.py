"""The verbs of a cluster: :class:`clusterdb.store.Cluster` adds the store that it belongs to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.zones import with_zones
from vfs.interrupts import uninterrupted

if TYPE_CHECKING:
    from clusterdb.access.copies import Progress
    from clusterdb.access.sqlite import Connection
    from clusterdb.access.untrusted import Limits
    from clusterdb.catalog.rows import ClusterRow
    from clusterdb.clusters.figures import ClusterStats
    from clusterdb.core.context import Context
    from clusterdb.diff import Applied, OnConflict
    from clusterdb.ha.endpoints import Endpoint, EndpointType
    from clusterdb.ha.instances import Instance
    from clusterdb.ha.replica_status import ReplicaStatus
    from clusterdb.history import Bisection, LogEntry
    from clusterdb.past.find import Moment
    from clusterdb.past.snapshots import Snapshot
    from clusterdb.past.switching import Switched
    from clusterdb.remote.objects import Counts
    from clusterdb.remote.pulling import Pulled
    from clusterdb.remote.pushing import Pushed
    from clusterdb.rules.points import Point
    from clusterdb.rules.settings import ClusterSettings
    from clusterdb.zones.status import NodeStatus

__all__ = ["ClusterVerbs"]


class ClusterVerbs:
    """The verbs of a cluster, which forward to the functions that implement them.

    ``name`` is the cluster's name when the handle was created, or last renamed it; ``id`` its number in the catalog.
    """

    def __init__(self, context: Context, name: str, id: int) -> None:
        self.context = context
        self.name = name
        self.id = id

    def __repr__(self) -> str:
        return f"<clusterdb.Cluster '{self.name}' in {self.context.path}>"

    def _handle(self, row: ClusterRow) -> Self:
        """The handle on another cluster of the store."""
        raise NotImplementedError

    def connect(
        self,
        endpoint: str = "writer",
        *,
        read_only: bool = False,
        at: Point | None = None,
        trusted: bool = True,
        limits: Limits | None = None,
    ) -> Connection:
        """Open a connection to the cluster's database, an ``apsw.Connection``.

        ``endpoint``: ``"writer"``, ``"reader"`` (a reader chosen at random; the writer if there is none), the name of
        an instance or of a custom endpoint.  A cluster without instances has an implicit writer.  A connection through
        a reader is read-only, and lags as configured for the instance.

        ``at``: a point in the past, as for :meth:`clone`; the connection is read-only.

        ``trusted=False`` is for untrusted SQL: no files (ATTACH, VACUUM), no settings that do more than return a value,
        and no more time and steps than :class:`Limits` allow (``limits``).  Its statements raise NotAuthorizedError and
        LimitExceededError.

        Raises ClusterNotFoundError, EndpointNotFoundError, ClusterStateError, InvalidRestoreTimeError,
        SnapshotNotFoundError, InvalidArgumentError.
        """
        from clusterdb.access.untrusted import check_options, prepared
        from clusterdb.clusters.connecting import connect, connect_past

        check_options(trusted=trusted, limits=limits)
        if at is not None:
            if endpoint != "writer":
                raise InvalidArgumentError(
                    f"endpoint '{endpoint}': instances show the present: omit the endpoint for a point in the past"
                )
            connection = connect_past(self.context, self, at)
        else:
            connection = connect(self.context, self, endpoint, read_only=read_only)
        return prepared(connection, trusted=trusted, limits=limits)

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

        ``promotion_tier`` 0 to 15: a failover promotes the reader with the lowest tier.  Readers show the state of the
        writer from ``replica_lag_ms`` ago, and a random time of up to ``lag_jitter_ms`` more.

        Raises InvalidNameError, InstanceExistsError, TooManyReadersError, InvalidArgumentError, ClusterNotFoundError.
        """
        from clusterdb.ha import instances

        return instances.add(
            self.context, self, name, instance_class, promotion_tier, availability_zone, replica_lag_ms, lag_jitter_ms
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
        from clusterdb.ha import instances

        return instances.modify(self.context, self, name, promotion_tier, replica_lag_ms, lag_jitter_ms)

    @uninterrupted
    def delete_instance(self, name: str) -> None:
        """Delete an instance; if it is the writer, a reader takes its place first.  Raises InstanceNotFoundError."""
        from clusterdb.ha import failover

        failover.remove(self.context, self, name)

    def instances(self) -> list[Instance]:
        """The instances, the writer first.  Raises ClusterNotFoundError."""
        from clusterdb.ha import instances

        return instances.all_instances(self.context, self)

    @uninterrupted
    def failover(self, target: str | None = None) -> str:
        """Promote a reader to the writer, and return its name: ``target``, or the largest reader of the lowest tier.

        The old writer is fenced: its open transactions cannot be committed, its connections fail.  Connections opened
        through the cluster endpoint afterwards reach the new writer.

        Raises NoReaderError, InstanceNotFoundError, InvalidArgumentError, ClusterNotFoundError.
        """
        from clusterdb.ha import failover

        return failover.failover(self.context, self, target)

    @uninterrupted
    def crash_instance(self, name: str | None = None) -> None:
        """Crash an instance (the writer by default): its connections fail; a reader takes a crashed writer's place.

        Raises InstanceNotFoundError, ClusterNotFoundError.
        """
        from clusterdb.ha import failover

        failover.crash(self.context, self, name)

    def replica_status(self) -> list[ReplicaStatus]:
        """The rows of ``SELECT * FROM aurora_replica_status()``.  Raises ClusterNotFoundError."""
        from clusterdb.ha import replica_status

        with self.context.errors():
            return replica_status.status(self.context, self)

    def endpoints(self) -> list[Endpoint]:
        """All endpoints, with their present instances.  Raises ClusterNotFoundError."""
        from clusterdb.ha import endpoints

        return endpoints.endpoints(self.context, self)

    @uninterrupted
    def add_endpoint(
        self,
        name: str,
        type: EndpointType = "ANY",
        *,
        members: Sequence[str] = (),
        excluded: Sequence[str] = (),
    ) -> Endpoint:
        """Add a custom endpoint, for the ``members`` only, or for all instances except the ``excluded``.

        Raises InvalidNameError, EndpointExistsError, InstanceNotFoundError, InvalidArgumentError.
        """
        from clusterdb.ha import endpoints

        return endpoints.add_endpoint(self.context, self, name, type, members, excluded)

    @uninterrupted
    def delete_endpoint(self, name: str) -> None:
        """Delete a custom endpoint.  Raises EndpointNotFoundError."""
        from clusterdb.ha import endpoints

        endpoints.remove_endpoint(self.context, self, name)

    @uninterrupted
    def clone(self, name: str, *, at: Point | None = None, copy_type: str = "copy-on-write", **settings: Any) -> Self:
        """Clone the cluster's last committed state, in constant time; both clusters share all unchanged pages.

        ``at``: a point in the past instead, see :data:`clusterdb.Point`: a version, a time, a time span before now, or
        a snapshot.  ``copy_type="full-copy"`` shares nothing, and takes time in proportion to the size of the database.
        ``settings``: those of :class:`ClusterSettings`; the engine, the backup retention, the clone limit and the zones
        are inherited from the source.

        Raises InvalidNameError, ClusterExistsError, ClusterNotFoundError, InvalidRestoreTimeError,
        SnapshotNotFoundError, InvalidArgumentError; QuorumError if it would have copies on fewer than four nodes.
        """
        from clusterdb.clusters.cloning import clone as create_clone

        row = create_clone(self.context, self, name, at, copy_type, with_zones(settings, self.context.path))
        clone = self._handle(row)
        if row.settings.zones:
            clone.begin_copies()
        return clone

    def push(
        self,
        url: str,
        *,
        name: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Pushed:
        """Push the last committed state to a repository on object storage: what changed since the last push.

        ``url``: as for :class:`clusterdb.remote.Remote`; the repository is created if there is none.  ``name``: of the
        database there, that of the cluster by default.  ``force``: replace a database from which the cluster does not
        descend.  ``dry_run``: send nothing, and return what would be sent.  ``progress`` is called with (slots sent,
        slots to send).

        Raises RemoteConflictError, RemoteUnavailableError, RemoteError, InvalidNameError, ClusterNotFoundError.
        """
        from clusterdb.remote.handle import Remote
        from clusterdb.remote.pushing import push

        remote = Remote(url)
        return push(
            self.context,
            self,
            remote.repository,
            self.name if name is None else name,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )

    def fetch(self, *, progress: Progress | None = None, requests: Counts | None = None) -> int:
        """Fetch the pages of the last committed state that are on object storage, so that no read needs the network.

        Returns the number of pages that were fetched.  ``progress`` is called with (pages fetched, pages to fetch).
        What was asked of the storage is added to ``requests``.

        Raises RemoteUnavailableError, RemoteError, RemoteDamagedError, ClusterNotFoundError.
        """
        from clusterdb.remote.fetching import fetch

        return fetch(self.context, self, progress, requests)

    def pull(self, *, force: bool = False, progress: Progress | None = None) -> Pulled:
        """Move this clone of a repository to the newest state of the database there that it was cloned from.

        Pages that have not changed there stay, cached or not; the others come when they are read, or are copied if the
        clone is a full copy: ``progress`` is called with (pages copied, pages in all) then.  Open connections read the
        same version until their transactions end, as with any commit.  ``force``: discard changes of its own, which
        the past keeps for as long as it is retained.

        Raises NoSourceError, RemoteConflictError (it has changes of its own), RemoteNotFoundError, StoreBusyError,
        RemoteUnavailableError, RemoteError, RemoteDamagedError, ClusterStateError, ClusterNotFoundError.
        """
        from clusterdb.remote.pulling import pull

        return pull(self.context, self, force=force, progress=progress)

    def evict(self) -> int:
        """Give up the pages of the last committed state that came from object storage, and return their bytes.

        They are fetched again when they are read.  Own pages stay.  The clone's own clones share the pages, and lose
        them too.

        Raises StoreBusyError while a transaction reads or writes the cluster or one that shares its pages,
        RemoteNotFoundError if the state that they came from has expired, RemoteUnavailableError, RemoteError,
        RemoteDamagedError, ClusterNotFoundError; then pages may have been evicted in part.
        """
        from clusterdb.remote.evicting import evict

        return evict(self.context, self)

    # --- six copies in three zones ----------------------------------------------------------------------------------
    def nodes(self) -> list[NodeStatus]:
        """The storage nodes that have the copies of the cluster, as they are now.

        Raises InvalidArgumentError for a cluster without zones, ClusterNotFoundError.
        """
        from clusterdb.zones.verbs import node_statuses

        return node_statuses(self.context, self)

    def lose_node(self, node: int, for_s: float = 0.0) -> None:
        """Lose a storage node, 1 to 6, of this cluster and of those that share it: no request reaches it.

        It is lost for every process that uses the store, for ``for_s`` seconds (0: until it is returned).

        Raises InvalidArgumentError, ClusterNotFoundError.
        """
        self._set_fault(node, is_lost=True, for_s=for_s)

    def lose_zone(self, zone: str, for_s: float = 0.0) -> None:
        """Lose both storage nodes of an availability zone; as :meth:`lose_node`."""
        self._set_fault(zone, is_lost=True, for_s=for_s)

    def slow_node(self, node: int | str, delay_s: float, for_s: float = 0.0) -> None:
        """Let a storage node, or both of a zone, answer later by ``delay_s`` seconds, for ``for_s`` seconds (0: on).

        Raises InvalidArgumentError, ClusterNotFoundError.
        """
        self._set_fault(node, delay_s=delay_s, for_s=for_s)

    def return_node(self, node: int | str) -> None:
        """End the fault of a storage node, or of both of a zone; the next commits give it what it lacks.

        Raises InvalidArgumentError, ClusterNotFoundError.
        """
        from clusterdb.zones.verbs import set_fault

        set_fault(self.context, self, node, None)

    def repair_nodes(self, progress: Progress | None = None) -> int:
        """Give every storage node that can be reached what it lacks, now; returns how many of six have everything.

        ``progress`` is called with (batches on all nodes, batches in all).

        Raises QuorumError, WriterFencedError, StoreBusyError, InvalidArgumentError, ClusterNotFoundError.
        """
        from clusterdb.zones.verbs import repair

        return repair(self.context, self, progress)

    def begin_copies(self) -> None:
        """Give the storage nodes of a new cluster what it has; deletes it again without four of them.

        Does nothing for a cluster without zones.  Raises QuorumError.
        """
        row = self.context.row_of(self)
        if row.settings.zones:
            from clusterdb.zones.verbs import begin

            try:
                begin(self.context, row)
            except BaseException:
                if row.settings.deletion_protection:
                    self.modify(deletion_protection=False)
                self.delete()
                raise

    def _set_fault(self, node: int | str, *, is_lost: bool = False, delay_s: float = 0.0, for_s: float = 0.0) -> None:
        from clusterdb.zones.faults import fault_of
        from clusterdb.zones.verbs import set_fault

        set_fault(self.context, self, node, fault_of(is_lost=is_lost, delay_s=delay_s, for_s=for_s))

    # --- the past ---------------------------------------------------------------------------------------------------
    @uninterrupted
    def snapshot(self, name: str, *, at: Point | None = None) -> Snapshot:
        """Keep the last committed state (or a past one) until the snapshot is deleted; it outlives the cluster.

        Raises InvalidNameError, SnapshotExistsError, ClusterNotFoundError, InvalidRestoreTimeError.
        """
        from clusterdb.past import snapshots

        return snapshots.take(self.context, self, name, at)

    @uninterrupted
    def backtrack(self, to: Point) -> Switched:
        """Go back in place to a version or a time, or forward again, within the backtrack window.

        Open connections continue: a running transaction reads the same version until it ends; a transaction that has
        written cannot be committed any more.  Raises BacktrackDisabledError, InvalidRestoreTimeError,
        InvalidArgumentError, ClusterNotFoundError.
        """
        from clusterdb.past import switching

        with self.context.errors():
            return self._switched(switching.backtrack(self.context, self, to))

    @uninterrupted
    def reset(self, to: str | None = None) -> Switched:
        """Reset the cluster in place to the present state of the source of this clone, or to a snapshot.

        Open connections continue, as after :meth:`backtrack`.  Raises NoSourceError, SnapshotNotFoundError,
        ClusterNotFoundError.
        """
        from clusterdb.past import switching

        return self._switched(switching.reset(self.context, self, to))

    def _switched(self, switched: Switched) -> Switched:
        """Note that the storage nodes lack what the cluster has become."""
        row = self.context.row_of(self)
        if row.settings.zones:
            from clusterdb.zones.verbs import copies_of

            copies_of(self.context).of(row).has_unsent = True
        return switched

    def log(self, *, since: Point | None = None, limit: int | None = None) -> list[LogEntry]:
        """The retained versions of the cluster, newest first: when they were committed, what they changed, and what
        refers to them.  A cluster that retains no past has one.

        ``since``: the oldest point to show, see :data:`clusterdb.Point`; ``limit``: the number of versions.  The time
        depends on the size of the changes.  Raises ClusterNotFoundError, InvalidRestoreTimeError,
        SnapshotNotFoundError, InvalidArgumentError.
        """
        from clusterdb.history.log import log  # imports apsw's session extension only when it is needed

        with self.context.errors():
            return log(self.context, self, since, limit)

    def bisect(self, sql: str) -> Bisection:
        """Find the version since which a query has the answer that it has now, by binary search in the retained past.

        Each step reads a temporary clone, so that a past of n versions takes log2(n) of them.  If the answer changed
        several times, the result is one of the changes to the present answer.  A query that fails in a version, since a
        table did not exist yet, for example, has the error as its answer there.

        Raises InvalidArgumentError if the query fails now, ClusterNotFoundError, InvalidRestoreTimeError.
        """
        from clusterdb.history.bisect import bisect

        with self.context.errors():
            return bisect(self.context, self, sql)

    def restorable(self) -> tuple[datetime, datetime]:
        """The earliest and the latest time that can be cloned.  Raises ClusterNotFoundError."""
        from clusterdb.past import find

        with self.context.errors():
            return find.restorable(self.context, self.context.row_of(self))

    @property
    def source(self) -> str | None:
        """The name that the source of this clone had when it was cloned.  Raises ClusterNotFoundError."""
        return self.context.row_of(self).source

    def clones(self) -> list[Self]:
        """The clones of this cluster, by name.  Raises ClusterNotFoundError."""
        return [self._handle(row) for row in self.context.catalog.clusters.clones(self.context.row_of(self).cluster)]

    def versions(self, count: int = 10) -> list[Moment]:
        """The newest versions that can be cloned, at most ``count``, the present one first.

        Raises ClusterNotFoundError.
        """
        from clusterdb.past import find

        with self.context.errors():
            return find.newest(self.context, self.context.row_of(self), count)

    @property
    def origin(self) -> Moment | None:
        """The version of its source, or of a snapshot, that this clone began with or was reset to.

        None if it shares no pages with a source, and after a backtrack.  Raises ClusterNotFoundError.
        """
        from clusterdb.clusters import figures

        return figures.origin(self.context, self)

    # --- status -----------------------------------------------------------------------------------------------------
    @property
    def status(self) -> str:
        """``"available"`` or ``"stopped"``.  Raises ClusterNotFoundError."""
        return self.context.row_of(self).status

    @property
    def clone_group_id(self) -> str:
        """The id that a cluster shares with all its clones.  Raises ClusterNotFoundError."""
        return self.context.row_of(self).clone_group

    @uninterrupted
    def stop(self) -> None:
        """Refuse connections until the cluster is started; connections that may write fail from now on.

        Raises ClusterStateError, ClusterNotFoundError.
        """
        from clusterdb.clusters import changing

        changing.change_status(self.context, self, "stop")

    @uninterrupted
    def start(self) -> None:
        """Accept connections again.  Raises ClusterStateError, ClusterNotFoundError."""
        from clusterdb.clusters import changing

        changing.change_status(self.context, self, "start")

    # --- settings ---------------------------------------------------------------------------------------------------
    @property
    def settings(self) -> ClusterSettings:
        """The present settings.  Raises ClusterNotFoundError."""
        return self.context.row_of(self).settings

    @uninterrupted
    def modify(self, **changes: Any) -> ClusterSettings:
        """Change settings (except the engine), and return the present settings.

        Raises InvalidArgumentError, ClusterNotFoundError.
        """
        from clusterdb.clusters import changing

        return changing.modify(self.context, self, changes)

    @uninterrupted
    def rename(self, new_name: str) -> None:
        """Rename the cluster; open connections continue.

        Raises InvalidNameError, ClusterExistsError, ClusterNotFoundError.
        """
        from clusterdb.clusters import changing

        changing.rename(self.context, self, new_name)
        self.name = new_name

    @uninterrupted
    def delete(self) -> None:
        """Delete the cluster.  Its clones are not affected; its open connections fail at their next transaction.

        Raises ClusterNotFoundError.
        """
        from clusterdb.clusters.changing import delete

        self.context.require_writable()
        delete(self.context, self.context.row_of(self))

    @uninterrupted
    def export(
        self, path: str | os.PathLike[str], *, overwrite: bool = False, progress: Progress | None = None
    ) -> tuple[str, ...]:
        """Write the cluster's last committed state as a plain SQLite database file, whole or not at all.

        A new file has the mode that the umask leaves (others can read it unless that forbids it); a replaced file keeps
        its mode.  Files in the directory of a store are never replaced.

        Returns the names of the collations that the file needs and SQLite does not have, such as those of texts in
        aurora-mysql clusters: ``clusterdb.flavours.collations.install`` registers them on an apsw connection.

        ``progress`` is called with (pages done, pages in all).  Raises ExportTargetError, ClusterNotFoundError.
        """
        from clusterdb.access import copies
        from clusterdb.clusters import connecting

        writer = connecting.connect(self.context, self, "writer", read_only=True)
        with self.context.errors(), closing(writer) as connection:
            return copies.copy_out(connection, Path(path), overwrite=overwrite, progress=progress)

    def apply(self, changeset: bytes, *, on_conflict: OnConflict = "abort") -> Applied:
        """Apply a changeset (:meth:`clusterdb.Diff.changeset`), in one transaction, without triggers.

        ``on_conflict``: the action if the cluster does not have the row that was changed: ``"abort"`` and change
        nothing, ``"skip"`` that change, or ``"replace"`` the existing row (a change that violates a constraint is
        skipped even then).

        Raises ChangesetConflictError; InvalidArgumentError if ``changeset`` is invalid or does not match the tables.
        """
        from clusterdb.diff import clusters

        return clusters.apply(self.context, self, changeset, on_conflict)

    @uninterrupted
    def stats(self) -> ClusterStats:
        """The present size of the cluster, from a walk over the slots that it does not share.

        Raises ClusterNotFoundError.
        """
        from clusterdb.clusters import figures

        return figures.cluster_stats(self.context, self)
