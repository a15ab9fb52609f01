"""Simulated faults: Aurora's ``ALTER SYSTEM`` statements and injection functions, on connections through instances."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from clusterdb.access import sqlite
from clusterdb.catalog.rows import InstanceRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.errors import InvalidArgumentError
from clusterdb.ha.failover import crash
from clusterdb.ha.gate import InstanceState
from clusterdb.ha.instances import require, state_of
from clusterdb.ha.replica_status import ReplicaStatus, VolumeStatus, status

__all__ = ["alter_system", "prepare"]

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
_WHERE = r"(?:\s+(?:IN\s+)?(?P<kind>DISK|NODE)\s+(?P<index>\d{1,9}))?"
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
    """Translate an ``ALTER SYSTEM CRASH`` or ``ALTER SYSTEM SIMULATE`` statement to a function call; others may follow.

    Raises InvalidArgumentError.
    """
    sql, semicolon, following = sql.partition(";")
    if following.strip():
        if _ALTER[0].match(sql):
            raise InvalidArgumentError(f"'{sql.strip()}' ends the connection: no statement can follow it")
        return f"{alter_system(sql)};{alter_system(following) if _IS_SYSTEM.match(following) else following}"
    sql += semicolon
    for pattern, fault in zip(_ALTER, ("crash", "replica", "disk", "congestion"), strict=True):
        match = pattern.match(sql)
        if match is None:
            continue
        if fault == "crash":
            return "SELECT aurora_inject_crash('instance')"
        parts = match.groupdict()
        seconds = int(parts["count"]) * _UNITS[parts["unit"].upper()]
        if fault == "replica":
            return f"SELECT aurora_inject_replica_failure({parts['percent']}, {seconds}, '{parts['name'] or ''}')"
        if fault == "disk":
            return f"SELECT aurora_inject_disk_failure({parts['percent']}, {_place(parts)}, {seconds})"
        bounds = f"{parts['low']}, {parts['high']}"
        return f"SELECT aurora_inject_disk_congestion({parts['percent']}, {_place(parts)}, {seconds}, {bounds})"
    raise InvalidArgumentError(
        f"'{sql.strip()}' is not a statement of Aurora: use ALTER SYSTEM CRASH, or ALTER SYSTEM SIMULATE n PERCENT "
        "READ REPLICA FAILURE | DISK FAILURE | DISK CONGESTION BETWEEN n AND n MILLISECONDS FOR INTERVAL n SECOND"
    )


def _place(parts: Mapping[str, str | None]) -> str:
    """The index of a disk or a node, 0 for all, and whether it is a disk."""
    return f"{int(parts['index'] or 0)}, {int((parts['kind'] or '').upper() == 'DISK')}"


def _number(name: str, value: object, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise InvalidArgumentError(f"{name}={value!r}: use a number from 0 to {highest:.0f}")
    return float(value)


def prepare(
    context: Context,
    cluster: ClusterRef,
    instance: InstanceRow | None,
    state: InstanceState | None,
    connection: sqlite.InstanceConnection,
) -> None:
    """Add Aurora's functions to a connection, and refuse statements after a restart of its instance.

    They are there with an instance, or with zones.  Faults of disks are those of the storage nodes of a cluster with
    zones, else those of the instance.
    """
    node_count = connection.storage_node_count

    def before_statement(sql: str) -> str:
        if state is not None:
            with context.errors():
                state.require_up()
        return alter_system(sql) if sql[:40].lstrip()[:5].upper() == "ALTER" and _IS_SYSTEM.match(sql) else sql

    def inject_crash(kind: Any) -> str:
        if str(kind).lower() not in ("instance", "dispatcher", "node"):
            raise InvalidArgumentError(f"{kind!r} is not a crash type: use 'instance', 'dispatcher' or 'node'")
        crash(context, cluster, instance.name if instance is not None else None)
        return ""

    def percent_of(percent: object) -> int:
        if type(percent) is not int or not 0 <= percent <= 100:
            raise InvalidArgumentError(f"percentage_of_failure={percent!r}: use a whole number from 0 to 100")
        return percent

    def seconds_of(value: object) -> float:
        return _number("time_interval", value, 315_360_000)

    def inject_replica_failure(percent: Any, seconds: Any, name: Any = "") -> str:
        row = context.row_of(cluster)
        wanted = percent_of(percent), seconds_of(seconds)
        chosen = [require(context, row, str(name))] if name else context.catalog.instances.of(row.cluster)
        for reader in chosen:
            if not reader.is_writer:
                state_of(context, reader).simulate_replica_failure(*wanted)
        return ""

    def node_of(index: object, is_disk: object) -> int | None:
        """A storage node by its index, from 1 on, which is that of its disk too; None for 0: all."""
        if type(index) is not int or not 0 <= index <= node_count:
            kind = "disk" if is_disk else "node"
            raise InvalidArgumentError(f"index={index!r}: use a {kind} from 1 to {node_count}, or 0 for all")
        return index or None

    def inject_disk_failure(percent: Any, index: Any, is_disk: Any, seconds: Any) -> str:
        wanted = percent_of(percent), seconds_of(seconds)
        if node_count:
            context.simulate_nodes(cluster, node_of(index, is_disk), *wanted, None)
        elif instance is not None:
            state_of(context, instance).simulate_disk_failure(*wanted)
        return ""

    def inject_disk_congestion(percent: Any, index: Any, is_disk: Any, seconds: Any, low: Any, high: Any) -> str:
        least, most = (int(_number(name, bound, 3_600_000)) for name, bound in (("minimum", low), ("maximum", high)))
        if least > most:
            raise InvalidArgumentError(f"minimum={low!r}, maximum={high!r}: use milliseconds, the smaller first")
        wanted = percent_of(percent), seconds_of(seconds)
        if node_count:
            context.simulate_nodes(cluster, node_of(index, is_disk), *wanted, (least, most))
        elif instance is not None:
            state_of(context, instance).simulate_congestion(*wanted, least, most)
        return ""

    connection.instance_name = instance.name if instance is not None else ""
    connection.before_statement = before_statement
    functions: dict[str, Callable[..., str]] = {
        "aurora_inject_crash": inject_crash,
        "aurora_inject_replica_failure": inject_replica_failure,
        "aurora_inject_disk_failure": inject_disk_failure,
        "aurora_inject_disk_congestion": inject_disk_congestion,
    }
    for name, function in functions.items():
        connection.create_scalar_function(name, function)
    sqlite.register_table(connection, "aurora_replica_status", ReplicaStatus, lambda: status(context, cluster))
    volume = VolumeStatus(node_count, node_count)
    sqlite.register_table(connection, "aurora_show_volume_status", VolumeStatus, lambda: [volume])
