"""Instances of clusters: adding and changing them, and their shared state."""

from __future__ import annotations

from dataclasses import dataclass

from clusterdb.catalog.rows import ClusterRow, InstanceRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidArgumentError,
    TooManyReadersError,
)
from clusterdb.ha.gate import InstanceState
from clusterdb.past.retention import agree_with_settings
from clusterdb.rules import status
from clusterdb.rules.names import check_name, suggestion

__all__ = ["Instance", "add", "all_instances", "modify", "require", "restart_all", "state_of", "state_to_connect"]

READERS_MAX = 15
TIER_MAX = 15
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance: ``role`` is 'writer' or 'reader'.

    Readers show the state of the writer from ``replica_lag_ms`` ago, and up to ``lag_jitter_ms`` more.
    """

    name: str
    role: str
    instance_class: str
    promotion_tier: int
    availability_zone: str
    replica_lag_ms: float
    lag_jitter_ms: float


def add(
    context: Context,
    cluster: ClusterRef,
    name: str,
    instance_class: str,
    promotion_tier: int,
    availability_zone: str,
    replica_lag_ms: float,
    lag_jitter_ms: float,
) -> Instance:
    """Add an instance: the first is the writer, the others are readers."""
    context.require_writable()
    check_name(name, "instance")
    _require_tier(promotion_tier)
    _require_lag(replica_lag_ms, lag_jitter_ms)
    for parameter, value in (("instance_class", instance_class), ("availability_zone", availability_zone)):
        if not isinstance(value, str) or not value or not value.isprintable():
            raise InvalidArgumentError(f"{parameter}={value!r}: use a printable text")
    with context.catalog.transaction():
        row = context.row_of(cluster)
        status.after(row.name, row.status, "add an instance to")
        existing = context.catalog.instances.of(row.cluster)
        if name in (
            "writer",
            "reader",
            *(instance.name for instance in context.catalog.instances.endpoints(row.cluster)),
        ):
            raise InstanceExistsError(f"cluster '{row.name}' has an endpoint '{name}' already: choose another name")
        if len(existing) > READERS_MAX:
            raise TooManyReadersError(f"cluster '{row.name}' has {READERS_MAX} readers already: delete one first")
        added = context.catalog.instances.add(
            name,
            row.cluster,
            is_writer=not existing,
            instance_class=instance_class,
            tier=promotion_tier,
            zone=availability_zone,
            lag_ns=int(replica_lag_ms * _MS),
            jitter_ns=int(lag_jitter_ms * _MS),
        )
        context.catalog.events.add("instance", name, "creation", f"instance '{name}' added to cluster '{row.name}'")
        state = state_of(context, added)  # another instance may have used its row before
        state.restart()
        state.clear()
        state.set_lag(added.lag_ns, added.jitter_ns)
    agree_with_settings(context, row.cluster)  # the past that its lag needs
    return _instance(added)


def modify(
    context: Context,
    cluster: ClusterRef,
    name: str,
    promotion_tier: int | None,
    lag_ms: float | None,
    jitter_ms: float | None,
) -> Instance:
    """Change the promotion tier or the lag of an instance."""
    context.require_writable()
    with context.catalog.transaction():
        row = context.row_of(cluster)
        current = require(context, row, name)
        tier = current.tier if promotion_tier is None else promotion_tier
        lag = current.lag_ns / _MS if lag_ms is None else lag_ms
        jitter = current.jitter_ns / _MS if jitter_ms is None else jitter_ms
        _require_tier(tier)
        _require_lag(lag, jitter)
        changed = current._replace(tier=tier, lag_ns=int(lag * _MS), jitter_ns=int(jitter * _MS))
        context.catalog.instances.set(changed)
        context.catalog.events.add("instance", name, "configuration change", f"instance '{name}' modified")
        state_of(context, changed).set_lag(changed.lag_ns, changed.jitter_ns)  # the row is another's once it is deleted
    agree_with_settings(context, row.cluster)
    return _instance(changed)


def all_instances(context: Context, cluster: ClusterRef) -> list[Instance]:
    """The instances of a cluster, the writer first."""
    return [_instance(row) for row in context.catalog.instances.of(context.row_of(cluster).cluster)]


def require(context: Context, row: ClusterRow, name: str) -> InstanceRow:
    """The instance of that name.  Raises InstanceNotFoundError."""
    instances = {instance.name: instance for instance in context.catalog.instances.of(row.cluster)}
    if name not in instances:
        raise InstanceNotFoundError(f"cluster '{row.name}' has no instance '{name}'{suggestion(name, instances)}")
    return instances[name]


def _require_tier(tier: object) -> None:
    if type(tier) is not int or not 0 <= tier <= TIER_MAX:
        raise InvalidArgumentError(f"promotion_tier={tier!r}: use a whole number from 0 to {TIER_MAX}")


def _require_lag(lag_ms: float, jitter_ms: float) -> None:
    for name, value in (("replica_lag_ms", lag_ms), ("lag_jitter_ms", jitter_ms)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3_600_000:
            raise InvalidArgumentError(f"{name}={value!r}: use milliseconds from 0 to 3600000")


def state_of(context: Context, row: InstanceRow) -> InstanceState:
    """The shared state of an instance, for its management."""
    with context.errors():
        return InstanceState(context.pages, row.row, row.name)


def _instance(row: InstanceRow) -> Instance:
    return Instance(
        row.name,
        "writer" if row.is_writer else "reader",
        row.instance_class,
        row.tier,
        row.zone,
        row.lag_ns / _MS,
        row.jitter_ns / _MS,
    )


def restart_all(context: Context, row: ClusterRow) -> None:
    """Disconnect every connection through an instance of the cluster."""
    for instance in context.catalog.instances.of(row.cluster):
        state_of(context, instance).restart()


def state_to_connect(context: Context, row: InstanceRow) -> InstanceState:
    """The state for a new connection through an instance; sets the lag again, which is lost at a boot."""
    state = state_of(context, row)
    if not state.lags:
        rows = context.catalog.instances.of(row.cluster)
        current = next((instance for instance in rows if instance.instance == row.instance), row)
        state.set_lag(current.lag_ns, current.jitter_ns)
    return state
