"""Connections to clusters, in the present or the past, with or without an instance; and the resolution of names.

SQLite opens a cluster by its name through the store's VFS, which calls :func:`resolve`.  :func:`connect` knows the
volume already: it passes it to :func:`resolve` in the context's thread-local while SQLite opens the connection.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial, wraps
from typing import ParamSpec

from clusterdb.access import sqlite
from clusterdb.access.translate import UNNAMED
from clusterdb.catalog.rows import ClusterRow, InstanceRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import clone_volume, drop_volume, vfs_of
from clusterdb.errors import ClusterNotFoundError, ClusterStateError, Error
from clusterdb.ha import endpoints, faults, instances
from clusterdb.ha.gate import InstanceGate, InstanceState
from clusterdb.past.find import find
from clusterdb.past.retention import expire_past
from clusterdb.rules import status
from clusterdb.rules.points import Point
from vfs.abc import Target
from vfs.interrupts import uninterrupted
from vfs.registry import VolumeRow, VolumeState

__all__ = ["connect", "connect_past", "resolve"]

_P = ParamSpec("_P")
_loan_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Through:
    """The instance that a connection was opened through, and its cluster."""

    cluster: int
    state: InstanceState
    is_writer: bool

    def target(self, target: Target) -> Target:
        """The same volume, with the gate of the instance."""
        gate = partial(InstanceGate, self.state, is_reader=not self.is_writer)
        return target._replace(gate=gate, read_only=not self.is_writer)


def _closed_if_interrupted(open_connection: Callable[_P, sqlite.Connection]) -> Callable[_P, sqlite.Connection]:
    """Defer signal handlers, and close the connection if a handler raises before the caller has it."""

    @wraps(open_connection)
    def open_whole(*arguments: _P.args, **named: _P.kwargs) -> sqlite.Connection:
        connection: sqlite.Connection | None = None
        try:
            with uninterrupted:
                connection = open_connection(*arguments, **named)
            return connection  # noqa: RET504  # leaving the body may raise
        except BaseException:
            if connection is not None:
                connection.close()
            raise

    return open_whole


# --- names ------------------------------------------------------------------------------------------------------------
def resolve(context: Context, name: str) -> Target:
    """The volume that a name refers to, for the VFS.  Raises LookupError with a message for the user."""
    context.require_open()
    prepared: tuple[str, Target] | None = getattr(context.local, "known", None)
    if prepared is not None and prepared[0] == name:
        return prepared[1]
    row = context.catalog.clusters.named(name)
    target = _target(context, row) if row is not None else None
    if row is None or target is None:
        raise LookupError(context.no_cluster(name))
    try:
        status.after(row.name, row.status, "connect to")
    except ClusterStateError as error:
        raise LookupError(str(error)) from None
    through: _Through | None = getattr(context.local, "through", None)
    if through is not None and through.cluster == row.cluster:  # ATTACH, through an instance of that cluster
        return through.target(target)
    return target


def _target(context: Context, row: ClusterRow) -> Target | None:
    volumes = context.catalog.volumes
    volume = volumes.volume_row(row.volume)
    if volume is None:
        return None
    return Target(
        volume,
        lambda: volumes.volume_of(row.cluster),
        lambda: expire_past(context, row.cluster),
        copies=context.copies_of(row) if row.settings.zones else None,
        read_only=context.read_only,
    )


@contextmanager
def _executing(context: Context, through: _Through) -> Iterator[None]:
    """Open the clusters that this thread attaches in the body through an instance."""
    before = getattr(context.local, "through", None)
    context.local.through = through
    try:
        yield
    finally:
        context.local.through = before


# --- the present ------------------------------------------------------------------------------------------------------
@_closed_if_interrupted
def connect(
    context: Context, cluster: ClusterRef, endpoint: str, *, read_only: bool, cached_statements: int = 100
) -> sqlite.Connection:
    """Connect to a cluster through an endpoint: implements :meth:`clusterdb.Cluster.connect`."""
    while True:
        row = context.row_of(cluster)
        status.after(row.name, row.status, "connect to")
        instance = endpoints.choose(context, row, endpoint)
        connection = _connect_to(context, cluster, row, instance, cached_statements, read_only=read_only)
        current = context.catalog.clusters.get(row.cluster)
        is_current = current is not None and current.status == row.status
        if is_current and instance is not None:
            is_current = instances.require(context, row, instance.name).is_writer == instance.is_writer
        if is_current:
            return connection
        connection.close()  # the cluster was stopped, or failed over, in between


def _connect_to(
    context: Context,
    cluster: ClusterRef,
    row: ClusterRow,
    instance: InstanceRow | None,
    cached_statements: int,
    *,
    read_only: bool,
) -> sqlite.Connection:
    target = _target(context, row)
    if target is None:
        raise context.deleted(f"cluster '{cluster.name}'")
    kind, through = sqlite.Connection, None
    if instance is not None:
        through = _Through(row.cluster, instances.state_to_connect(context, instance), instance.is_writer)
        kind, target = sqlite.InstanceConnection, through.target(target)
    elif row.settings.zones:
        kind = sqlite.InstanceConnection
    if row.settings.idle_s is not None:
        _note_use(context, row.cluster)
    context.local.known = (row.name, target)
    try:
        with context.errors():
            connection = sqlite.connect(
                row.name,
                context.vfs,
                read_only=read_only or target.read_only,
                kind=kind,
                cached_statements=cached_statements,
            )
    finally:
        context.local.known = None
    if row.settings.zones:
        connection.storage_node_count = sum(len(urls) for _, *urls in row.settings.zones)
    if isinstance(connection, sqlite.InstanceConnection):
        faults.prepare(context, cluster, instance, through.state if through is not None else None, connection)
        if through is not None:
            connection.executing = partial(_executing, context, through)
    if row.settings.idle_s is not None and not context.read_only:
        connection.when_closed = partial(_note_use, context, row.cluster)
    context.connections.add(connection)
    return connection


def _note_use(context: Context, cluster: int) -> None:
    """Record the use of a cluster, which is deleted when it is idle."""
    with suppress(Error), context.catalog.transaction():
        context.catalog.clusters.set_used(cluster, time.time_ns())


# --- the past ---------------------------------------------------------------------------------------------------------
@_closed_if_interrupted
def connect_past(context: Context, cluster: ClusterRef, at: Point) -> sqlite.Connection:
    """Connect to a past version, which is lent until the connection is closed."""
    version = find(context, context.row_of(cluster), at)
    context.require_writable()
    with ExitStack() as loan:
        row = loan.enter_context(clone_volume(context, version, VolumeState.BUILDING))
        loan.callback(_drop_lent, context, row)
        vfs = vfs_of(context, row)
        loan.callback(vfs.close)
        with context.errors():
            connection = sqlite.connect(UNNAMED, vfs, read_only=True)
        # Neither refers to the other, so the connection can be collected alone.
        number = next(_loan_numbers)
        context.loans[number] = loan.pop_all()
        connection.when_closed = partial(_end_loan, context, number)
        connection.when_collected = partial(context.defer, connection.when_closed)
    context.connections.add(connection)
    return connection


def _drop_lent(context: Context, row: VolumeRow) -> None:
    with suppress(ClusterNotFoundError):  # another process has dropped it meanwhile
        drop_volume(context, row)


def _end_loan(context: Context, number: int) -> None:
    """Release the resources lent to a connection."""
    loan = context.loans.pop(number, None)
    if loan is not None:
        loan.close()
