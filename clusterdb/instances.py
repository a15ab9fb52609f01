"""Instances and endpoints of clusters: who may write, who reads and how far behind, failover, simulated faults.

Names, limits and rules are Aurora's (Amazon Aurora User Guide: "Amazon Aurora endpoint connections", "High availability
for Amazon Aurora", "Testing Amazon Aurora PostgreSQL by using fault injection queries").
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clusterdb import backups, sqlite
from clusterdb.catalog import ClusterRow, EndpointRow, InstanceRow
from clusterdb.errors import (
    EndpointExistsError,
    EndpointNotFoundError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidArgumentError,
    NoReaderError,
    StoreBusyError,
    TooManyReadersError,
)
from clusterdb.names import check_name, suggestion
from clusterdb.status import after as status_after
from vfs.instances import InstanceView

if TYPE_CHECKING:
    from clusterdb.cluster import Cluster
    from clusterdb.store import Store

__all__ = ["Endpoint", "Instance", "ReplicaStatus"]

READERS_MAX = 15
TIER_MAX = 15
_MS = 1_000_000
_SIZES = ("micro", "small", "medium", "large", "xlarge")
EndpointType = Literal["WRITER", "READER", "ANY"]


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance: ``role`` is 'writer' or 'reader'; readers show what the writer had ``replica_lag_ms`` ago, and up to
    ``lag_jitter_ms`` more."""

    name: str
    role: str
    instance_class: str
    promotion_tier: int
    availability_zone: str
    replica_lag_ms: float
    lag_jitter_ms: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint: ``kind`` is CLUSTER, READER, INSTANCE or CUSTOM; ``members`` the instances it may lead to now.

    ``type`` says which those can be: WRITER, READER, or ANY.
    """

    name: str
    kind: str
    type: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One instance, with the columns of Aurora's ``aurora_replica_status()`` that have a meaning here.

    LSNs are versions.
    """

    server_id: str
    session_id: str
    durable_lsn: int
    highest_lsn_rcvd: int | None
    current_read_lsn: int | None
    cur_replay_latency_in_usec: int | None
    is_current: bool
    last_update_timestamp: float
    replica_lag_in_msec: float | None


# --- instances --------------------------------------------------------------------------------------------------------
def add(
    store: Store,
    cluster: Cluster,
    name: str,
    instance_class: str,
    promotion_tier: int,
    availability_zone: str,
    replica_lag_ms: float,
    lag_jitter_ms: float,
) -> Instance:
    """Add an instance: the first is the writer, the others are readers."""
    store._require_writable()
    check_name(name, "instance")
    _require_tier(promotion_tier)
    _require_lag(replica_lag_ms, lag_jitter_ms)
    for what, value in (("instance_class", instance_class), ("availability_zone", availability_zone)):
        if not isinstance(value, str) or not value or not value.isprintable():
            raise InvalidArgumentError(f"{what}={value!r}: use a text")
    with store._catalog.transaction():
        row = store._row_of(cluster)
        status_after(row.name, row.status, "add an instance to")
        others = store._catalog.instances(row.cluster)
        if name in ("writer", "reader", *(each.name for each in store._catalog.endpoints(row.cluster))):
            raise InstanceExistsError(f"cluster '{row.name}' has an endpoint '{name}' already: choose another name")
        if len(others) > READERS_MAX:
            raise TooManyReadersError(f"cluster '{row.name}' has {READERS_MAX} readers already: delete one first")
        made = store._catalog.add_instance(
            name,
            row.cluster,
            is_writer=not others,
            instance_class=instance_class,
            tier=promotion_tier,
            zone=availability_zone,
            lag_ns=int(replica_lag_ms * _MS),
            jitter_ns=int(lag_jitter_ms * _MS),
        )
        store._catalog.add_event("instance", name, "creation", f"instance '{name}' added to cluster '{row.name}'")
    view = _view(store, made)  # its row may have been another's
    view.restart()
    view.clear()
    _tell(store, row, made)
    return _instance(made)


def modify(
    store: Store, cluster: Cluster, name: str, promotion_tier: int | None, lag_ms: float | None, jitter_ms: float | None
) -> Instance:
    """Change the promotion tier or the lag of an instance."""
    store._require_writable()
    with store._catalog.transaction():
        row = store._row_of(cluster)
        known = require(store, row, name)
        tier = known.tier if promotion_tier is None else promotion_tier
        lag = known.lag_ns / _MS if lag_ms is None else lag_ms
        jitter = known.jitter_ns / _MS if jitter_ms is None else jitter_ms
        _require_tier(tier)
        _require_lag(lag, jitter)
        changed = known._replace(tier=tier, lag_ns=int(lag * _MS), jitter_ns=int(jitter * _MS))
        store._catalog.set_instance(changed)
        store._catalog.add_event("instance", name, "configuration change", f"instance '{name}' modified")
    _tell(store, row, changed)
    return _instance(changed)


def remove(store: Store, cluster: Cluster, name: str) -> None:
    """Delete an instance; if it is the writer and there are readers, one of those takes its place first."""
    store._require_writable()
    row = store._row_of(cluster)
    while True:
        if require(store, row, name).is_writer and len(store._catalog.instances(row.cluster)) > 1:
            failover(store, cluster, None, instead_of=name)
        with store._catalog.transaction():
            known = require(store, row, name)
            if known.is_writer and len(store._catalog.instances(row.cluster)) > 1:
                continue  # another process has made it the writer meanwhile
            store._catalog.remove_instance(known)
            store._catalog.add_event("instance", name, "deletion", f"instance '{name}' deleted")
            break
    _view(store, known).restart()
    backups.keep_past(store, row.cluster)


def listed(store: Store, cluster: Cluster) -> list[Instance]:
    """The instances of a cluster, the writer first."""
    return [_instance(row) for row in store._catalog.instances(store._row_of(cluster).cluster)]


def require(store: Store, row: ClusterRow, name: str) -> InstanceRow:
    """Raises InstanceNotFoundError."""
    known = {each.name: each for each in store._catalog.instances(row.cluster)}
    if name not in known:
        raise InstanceNotFoundError(f"cluster '{row.name}' has no instance '{name}'{suggestion(name, known)}")
    return known[name]


def _require_tier(tier: object) -> None:
    if type(tier) is not int or not 0 <= tier <= TIER_MAX:
        raise InvalidArgumentError(f"promotion_tier={tier!r}: use a whole number from 0 to {TIER_MAX}")


def _require_lag(lag_ms: float, jitter_ms: float) -> None:
    for name, value in (("replica_lag_ms", lag_ms), ("lag_jitter_ms", jitter_ms)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3_600_000:
            raise InvalidArgumentError(f"{name}={value!r}: use milliseconds from 0 to 3600000")


def _view(store: Store, row: InstanceRow) -> InstanceView:
    return InstanceView(store._pages.tables, row.row, row.name)


def _tell(store: Store, row: ClusterRow, instance: InstanceRow) -> None:
    """Let connections know the lag, and keep as much of the past as it needs."""
    _view(store, instance).set_lag(instance.lag_ns, instance.jitter_ns)
    backups.keep_past(store, row.cluster)


def lag_kept_ns(rows: Sequence[InstanceRow]) -> int:
    """How much of the past the readers of a cluster need."""
    lag_ns = max((row.lag_ns + row.jitter_ns for row in rows), default=0)
    return 2 * lag_ns + 1_000_000_000 if lag_ns else 0


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


# --- failover ---------------------------------------------------------------------------------------------------------
def failover(store: Store, cluster: Cluster, target: str | None, *, instead_of: str | None = None) -> str:
    """Make a reader the writer; its name.  The old writer is fenced.

    Without a target the reader of the lowest promotion tier, of those the largest, of those any.  With ``instead_of``
    nothing is done if another instance is the writer.
    """
    store._require_writable()
    volume = store._volume_of(cluster)
    with store._errors(), store._pages.fencing(volume) as fence, store._catalog.transaction():
        row = store._row_of(cluster)
        if row.volume != volume.volume:
            raise StoreBusyError(f"cluster '{row.name}' was reset by another process meanwhile: try again")
        status_after(row.name, row.status, "fail over")
        known = store._catalog.instances(row.cluster)
        readers = [each for each in known if not each.is_writer]
        writer = next((each.name for each in known if each.is_writer), "")
        if instead_of is not None and writer != instead_of:
            return writer
        if target is not None:
            chosen = require(store, row, target)
            if chosen.is_writer:
                raise InvalidArgumentError(f"instance '{target}' is the writer of cluster '{row.name}' already")
        elif not readers:
            raise NoReaderError(f"cluster '{row.name}' has no reader to fail over to: add an instance first")
        else:
            chosen = min(readers, key=lambda each: (each.tier, -size_rank(each.instance_class), random.random()))
        former = [each for each in known if each.is_writer]
        for each in former:
            store._catalog.set_instance(each._replace(is_writer=False))
        store._catalog.set_instance(chosen._replace(is_writer=True))
        told = f"failover from '{former[0].name}' to '{chosen.name}'" if former else f"'{chosen.name}' is the writer"
        store._catalog.add_event("cluster", row.name, "failover", told)
        fence()
        for each in (*former, chosen):
            _view(store, each).restart()
    for each in (*former, chosen):  # who has connected meanwhile
        _view(store, each).restart()
    return chosen.name


def size_rank(instance_class: str) -> float:
    """How large a class is, by its last part: ``db.r6g.2xlarge``; what is not known is the smallest."""
    size = instance_class.rpartition(".")[2]
    many = re.fullmatch(r"(\d+)xlarge", size)
    if many is not None:
        return len(_SIZES) + int(many[1])
    return _SIZES.index(size) if size in _SIZES else -1


def crash(store: Store, cluster: Cluster, name: str | None) -> None:
    """An instance (None: the writer) crashes: its connections fail; if it is the writer, a reader takes its place."""
    store._require_writable()
    with store._catalog.transaction():
        row = store._row_of(cluster)
        status_after(row.name, row.status, "crash")
        known = store._catalog.instances(row.cluster)
        writer = next((each for each in known if each.is_writer), None)
        chosen = require(store, row, name) if name is not None else writer
        if chosen is None:
            store._catalog.add_event("cluster", row.name, "failure", f"the writer of cluster '{row.name}' crashed")
        else:
            store._catalog.add_event("instance", chosen.name, "failure", f"instance '{chosen.name}' crashed")
    if chosen is None or (chosen.is_writer and len(known) == 1):
        with store._errors():
            store._pages.fence_writers(store._require_in_use(row.volume))
    if chosen is not None:
        _view(store, chosen).restart()
        if chosen.is_writer and len(known) > 1:
            failover(store, cluster, None, instead_of=chosen.name)


def restart_all(store: Store, row: ClusterRow) -> None:
    """Whoever came through an instance is connected no more."""
    for each in store._catalog.instances(row.cluster):
        _view(store, each).restart()


# --- endpoints --------------------------------------------------------------------------------------------------------
def add_endpoint(
    store: Store, cluster: Cluster, name: str, type: EndpointType, members: Sequence[str], excluded: Sequence[str]
) -> Endpoint:
    """Add a custom endpoint: for some instances, or for all but some."""
    store._require_writable()
    check_name(name, "endpoint")
    if type not in ("WRITER", "READER", "ANY"):
        raise InvalidArgumentError(f"type={type!r}: use 'WRITER', 'READER' or 'ANY'")
    if not all(
        isinstance(each, list | tuple) and all(isinstance(n, str) for n in each) for each in (members, excluded)
    ):
        raise InvalidArgumentError("members= and excluded=: use lists of instance names")
    if members and excluded:
        raise InvalidArgumentError("members= and excluded=: use at most one of them")
    with store._catalog.transaction():
        row = store._row_of(cluster)
        for each in (*members, *excluded):
            require(store, row, each)
        taken = {"writer", "reader"} | {each.name for each in store._catalog.instances(row.cluster)}
        if name in taken:
            raise EndpointExistsError(f"cluster '{row.name}' has an endpoint '{name}' already: choose another name")
        made = store._catalog.add_endpoint(row.cluster, row.name, name, type, tuple(members), tuple(excluded))
        store._catalog.add_event("cluster", row.name, "configuration change", f"endpoint '{name}' added")
    return _endpoint(made, store._catalog.instances(row.cluster))


def remove_endpoint(store: Store, cluster: Cluster, name: str) -> None:
    """Delete a custom endpoint."""
    store._require_writable()
    with store._catalog.transaction():
        row = store._row_of(cluster)
        if not store._catalog.remove_endpoint(row.cluster, name):
            raise _no_endpoint(store, row, name)
        store._catalog.add_event("cluster", row.name, "configuration change", f"endpoint '{name}' deleted")


def endpoints(store: Store, cluster: Cluster) -> list[Endpoint]:
    """All endpoints of a cluster."""
    row = store._row_of(cluster)
    known = store._catalog.instances(row.cluster)
    writers = tuple(each.name for each in known if each.is_writer)
    readers = tuple(each.name for each in known if not each.is_writer)
    return [
        Endpoint("writer", "CLUSTER", "WRITER", writers),
        Endpoint("reader", "READER", "READER", readers or writers),
        *(Endpoint(each.name, "INSTANCE", "ANY", (each.name,)) for each in known),
        *(_endpoint(each, known) for each in store._catalog.endpoints(row.cluster)),
    ]


def _endpoint(row: EndpointRow, known: Sequence[InstanceRow]) -> Endpoint:
    return Endpoint(row.name, "CUSTOM", row.type, tuple(each.name for each in choices(row, known)))


def choices(row: EndpointRow, known: Sequence[InstanceRow]) -> list[InstanceRow]:
    """The instances that a custom endpoint may lead to now."""
    return [
        each
        for each in known
        if each.name not in row.excluded
        and (not row.members or each.name in row.members)
        and (row.type == "ANY" or each.is_writer == (row.type == "WRITER"))
    ]


def _no_endpoint(store: Store, row: ClusterRow, name: str) -> EndpointNotFoundError:
    known = ["writer", "reader", *(each.name for each in store._catalog.instances(row.cluster))]
    known += [each.name for each in store._catalog.endpoints(row.cluster)]
    return EndpointNotFoundError(f"cluster '{row.name}' has no endpoint '{name}'{suggestion(name, known)}")


def choose(store: Store, row: ClusterRow, endpoint: str) -> InstanceRow | None:
    """The instance that a connection to an endpoint goes to; None: there is none, and the implicit writer serves.

    Several that fit take turns by chance.  Raises EndpointNotFoundError.
    """
    known = store._catalog.instances(row.cluster)
    writer = next((each for each in known if each.is_writer), None)
    if endpoint == "writer":
        return writer
    if endpoint == "reader":
        readers = [each for each in known if not each.is_writer]
        return random.choice(readers) if readers else writer
    for each in known:
        if each.name == endpoint:
            return each
    for custom in store._catalog.endpoints(row.cluster):
        if custom.name == endpoint:
            fitting = choices(custom, known)
            if not fitting:
                raise EndpointNotFoundError(f"endpoint '{endpoint}' of cluster '{row.name}' leads to no instance now")
            return random.choice(fitting)
    raise _no_endpoint(store, row, endpoint)


def view(store: Store, row: InstanceRow) -> InstanceView:
    """What a connection through an instance looks at; the lag is told anew, for another boot has forgotten it."""
    made = _view(store, row)
    if not made.lags:
        now = next((each for each in store._catalog.instances(row.cluster) if each.instance == row.instance), row)
        made.set_lag(now.lag_ns, now.jitter_ns)
    return made


def status(store: Store, cluster: Cluster) -> list[ReplicaStatus]:
    """What Aurora's ``aurora_replica_status()`` tells, one for every instance."""
    row = store._row_of(cluster)
    volume = store._require_in_use(row.volume)
    head, durable = store._pages.published_version(volume), store._pages.durable_version(volume)
    now = time.time()
    found = []
    for each in store._catalog.instances(row.cluster):
        if each.is_writer:
            found.append(ReplicaStatus(each.name, "MASTER_SESSION_ID", durable, None, None, None, True, now, None))
            continue
        oldest = volume.retained or head
        seen = store._pages.newest_at(volume, store._pages.clock.now_ns() - each.lag_ns, oldest, head)
        lag_ms = each.lag_ns / _MS
        shown = seen.version if seen is not None else oldest
        found.append(
            ReplicaStatus(
                each.name, f"{each.name}-{each.instance}", durable, head, shown, each.lag_ns // 1000, True, now, lag_ms
            )
        )
    return found


# --- faults -----------------------------------------------------------------------------------------------------------
_UNITS = {
    "YEAR": 31_536_000,
    "QUARTER": 7_884_000,
    "MONTH": 2_592_000,
    "WEEK": 604_800,
    "DAY": 86_400,
    "HOUR": 3600,
    "MINUTE": 60,
    "SECOND": 1,
}
_FOR = r"\s+FOR\s+INTERVAL\s+(?P<count>\d{1,12})\s+(?P<unit>" + "|".join(_UNITS) + r")\s*+;?\s*+"
_WHERE = r"(?:\s+IN\s+(?:DISK|NODE)\s+\d+)?"
_ALTER = tuple(
    re.compile(rf"\s*ALTER\s+SYSTEM\s+{pattern}\Z", re.IGNORECASE)
    for pattern in (
        r"CRASH(?:\s+(?:INSTANCE|DISPATCHER|NODE))?\s*+;?\s*+",
        r"SIMULATE\s+(?P<percent>\d+)\s+PERCENT\s+READ\s+REPLICA\s+FAILURE"
        rf"(?:\s+TO\s+(?:ALL|[\"'](?P<name>[^\"']+)[\"']))?{_FOR}",
        rf"SIMULATE\s+(?P<percent>\d+)\s+PERCENT\s+DISK\s+FAILURE{_WHERE}{_FOR}",
        rf"SIMULATE\s+(?P<percent>\d+)\s+PERCENT\s+DISK\s+CONGESTION\s+BETWEEN\s+(?P<low>\d+)\s+AND\s+(?P<high>\d+)"
        rf"\s+MILLISECONDS{_WHERE}{_FOR}",
    )
)


_IS_SYSTEM = re.compile(r"\s*ALTER\s+SYSTEM\b", re.IGNORECASE)


def alter_system(sql: str) -> str:
    """The function call that an ``ALTER SYSTEM CRASH`` or ``ALTER SYSTEM SIMULATE`` statement means; others may follow.

    Raises InvalidArgumentError.
    """
    sql, semicolon, others = sql.partition(";")
    if others.strip():
        if _ALTER[0].match(sql):
            raise InvalidArgumentError(f"'{sql.strip()}' ends the connection: no statement can follow it")
        return f"{alter_system(sql)};{alter_system(others) if _IS_SYSTEM.match(others) else others}"
    sql += semicolon
    for pattern, made in zip(_ALTER, ("crash", "replica", "disk", "congestion"), strict=True):
        match = pattern.match(sql)
        if match is None:
            continue
        if made == "crash":
            return "SELECT aurora_inject_crash('instance')"
        parts = match.groupdict()
        seconds = int(parts["count"]) * _UNITS[parts["unit"].upper()]
        if made == "replica":
            return f"SELECT aurora_inject_replica_failure({parts['percent']}, {seconds}, '{parts['name'] or ''}')"
        if made == "disk":
            return f"SELECT aurora_inject_disk_failure({parts['percent']}, 0, 0, {seconds})"
        bounds = f"{parts['low']}, {parts['high']}"
        return f"SELECT aurora_inject_disk_congestion({parts['percent']}, 0, 0, {seconds}, {bounds})"
    raise InvalidArgumentError(
        f"'{sql.strip()}' is no statement of Aurora's: use ALTER SYSTEM CRASH, or ALTER SYSTEM SIMULATE n PERCENT READ "
        "REPLICA FAILURE | DISK FAILURE | DISK CONGESTION BETWEEN n AND n MILLISECONDS FOR INTERVAL n SECOND"
    )


def _number(what: str, value: object, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise InvalidArgumentError(f"{what}={value!r}: use a number from 0 to {highest:.0f}")
    return float(value)


def prepare(
    store: Store, cluster: Cluster, instance: InstanceRow, view: InstanceView, connection: sqlite.InstanceConnection
) -> None:
    """Give a connection through an instance Aurora's functions, and let it look whether that is up."""

    def before_statement(sql: str) -> str:
        with store._errors():
            view.require_up()
        return alter_system(sql) if sql[:40].lstrip()[:5].upper() == "ALTER" and _IS_SYSTEM.match(sql) else sql

    def inject_crash(kind: Any) -> str:
        if str(kind).lower() not in ("instance", "dispatcher", "node"):
            raise InvalidArgumentError(f"{kind!r} is no crash type: use 'instance', 'dispatcher' or 'node'")
        crash(store, cluster, instance.name)
        return ""

    def percent_of(percent: object) -> int:
        if type(percent) is not int or not 0 <= percent <= 100:
            raise InvalidArgumentError(f"percentage_of_failure={percent!r}: use a whole number from 0 to 100")
        return percent

    def seconds_of(value: object) -> float:
        return _number("time_interval", value, 315_360_000)

    def inject_replica_failure(percent: Any, seconds: Any, name: Any = "") -> str:
        row = store._row_of(cluster)
        wanted = percent_of(percent), seconds_of(seconds)
        chosen = [require(store, row, str(name))] if name else store._catalog.instances(row.cluster)
        for each in chosen:
            if not each.is_writer:
                _view(store, each).simulate_replica_failure(*wanted)
        return ""

    def inject_disk_failure(percent: Any, index: Any, is_disk: Any, seconds: Any) -> str:
        _view(store, instance).simulate_disk_failure(percent_of(percent), seconds_of(seconds))
        return ""

    def inject_disk_congestion(percent: Any, index: Any, is_disk: Any, seconds: Any, low: Any, high: Any) -> str:
        least, most = (int(_number(what, each, 3_600_000)) for what, each in (("minimum", low), ("maximum", high)))
        if least > most:
            raise InvalidArgumentError(f"minimum={low!r}, maximum={high!r}: use milliseconds, the smaller first")
        _view(store, instance).simulate_congestion(percent_of(percent), seconds_of(seconds), least, most)
        return ""

    connection.instance_name = instance.name
    connection.before_statement = before_statement
    functions: dict[str, Callable[..., str]] = {
        "aurora_inject_crash": inject_crash,
        "aurora_inject_replica_failure": inject_replica_failure,
        "aurora_inject_disk_failure": inject_disk_failure,
        "aurora_inject_disk_congestion": inject_disk_congestion,
    }
    for name, function in functions.items():
        connection.create_scalar_function(name, function)
    sqlite.register_table(connection, "aurora_replica_status", ReplicaStatus, lambda: status(store, cluster))
