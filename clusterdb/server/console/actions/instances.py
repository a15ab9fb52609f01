"""Instances and endpoints: add, change, delete, fail over, crash, simulate faults."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, get_args

from clusterdb.access.sqlite import SQLError
from clusterdb.errors import InvalidArgumentError
from clusterdb.ha.endpoints import EndpointType
from clusterdb.server.console.actions.clusters import path_of
from clusterdb.server.console.actions.record import Action, Done
from clusterdb.server.console.code import Code, boto_call, cluster_text, python_call
from clusterdb.server.console.fields import Fields
from clusterdb.store import Store
from clusterdb.views import messages

__all__ = ["ACTIONS", "FAULTS"]

FAULTS = {
    "replica": "Readers stop receiving changes",
    "disk": "Reads of pages block",
    "congestion": "Reads of pages are slow",
}


def _page(fields: Fields) -> str:
    return path_of(fields.required("cluster"), "/instances")


# --- instances --------------------------------------------------------------------------------------------------------
def _numbers(fields: Fields) -> dict[str, Any]:
    return {
        "promotion_tier": fields.whole("tier", "Tier", 1),
        "replica_lag_ms": fields.number("lag", "Lag", 0),
        "lag_jitter_ms": fields.number("jitter", "Jitter", 0),
    }


def _options(fields: Fields) -> list[str]:
    texts = (("--tier", fields.text("tier")), ("--lag", fields.text("lag")), ("--jitter", fields.text("jitter")))
    return [part for option, value in texts if value for part in (option, value)]


def _add(store: Store, fields: Fields) -> Done:
    cluster, name = fields.required("cluster"), fields.required("name", "Name of the instance")
    zone, size = fields.text("zone") or "local", fields.text("class") or "db.local"
    added = store.cluster(cluster).add_instance(name, instance_class=size, availability_zone=zone, **_numbers(fields))
    return Done(messages.added_instance(cluster, added), _page(fields))


def _add_code(fields: Fields) -> Code:
    cluster, name = fields.text("cluster"), fields.text("name") or "NAME"
    size = fields.text("class") or "db.local"
    return Code(
        ("add-instance", cluster, name, "--class", size, *_options(fields)),
        boto_call(
            "create_db_instance",
            DBInstanceIdentifier=name,
            DBClusterIdentifier=cluster,
            DBInstanceClass=size,
            Engine=fields.text("engine") or "sqlite",
            PromotionTier=fields.whole("tier", "Tier", 1),
        ),
        python_call(f"{cluster_text(cluster)}.add_instance", name, instance_class=size, **_numbers(fields)),
    )


def _modify(store: Store, fields: Fields) -> Done:
    cluster, name = fields.required("cluster"), fields.required("instance")
    return Done(
        messages.modified_instance(cluster, store.cluster(cluster).modify_instance(name, **_numbers(fields))),
        _page(fields),
    )


def _modify_code(fields: Fields) -> Code:
    cluster, name = fields.text("cluster"), fields.text("instance")
    call = boto_call("modify_db_instance", DBInstanceIdentifier=name, PromotionTier=fields.whole("tier", "Tier", 1))
    return Code(
        ("modify-instance", cluster, name, *_options(fields)),
        f"{call}  # the RDS API has no lag to set",
        python_call(f"{cluster_text(cluster)}.modify_instance", name, **_numbers(fields)),
    )


def _delete(store: Store, fields: Fields) -> Done:
    cluster, name = fields.required("cluster"), fields.required("instance")
    store.cluster(cluster).delete_instance(name)
    return Done(messages.deleted_instance(cluster, name), _page(fields))


def _delete_code(fields: Fields) -> Code:
    cluster, name = fields.text("cluster"), fields.text("instance")
    return Code(
        ("rm-instance", cluster, name),
        boto_call("delete_db_instance", DBInstanceIdentifier=name),
        python_call(f"{cluster_text(cluster)}.delete_instance", name),
    )


def _failover(store: Store, fields: Fields) -> Done:
    cluster = store.cluster(fields.required("cluster"))
    writer = next((instance.name for instance in cluster.instances() if instance.role == "writer"), None)
    promoted = cluster.failover(fields.text("target") or None)
    undo = ("Fail back", "failover", {"cluster": cluster.name, "target": writer}) if writer else None
    return Done(messages.promoted(cluster.name, promoted, writer), _page(fields), undo)


def _failover_code(fields: Fields) -> Code:
    cluster, target = fields.text("cluster"), fields.text("target")
    return Code(
        ("failover", cluster, *(["--to", target] if target else [])),
        boto_call("failover_db_cluster", DBClusterIdentifier=cluster, TargetDBInstanceIdentifier=target or None),
        python_call(f"{cluster_text(cluster)}.failover", *([target] if target else [])),
    )


def _crash(store: Store, fields: Fields) -> Done:
    cluster, name = store.cluster(fields.required("cluster")), fields.text("instance") or None
    cluster.crash_instance(name)
    writer = next((instance.name for instance in cluster.instances() if instance.role == "writer"), None)
    return Done(messages.crashed(cluster.name, name, writer), _page(fields))


def _crash_code(fields: Fields) -> Code:
    cluster, name = fields.text("cluster"), fields.text("instance")
    return Code(
        ("crash", cluster, *([name] if name else [])),
        boto_call("reboot_db_instance", DBInstanceIdentifier=name or "WRITER"),
        python_call(f"{cluster_text(cluster)}.crash_instance", *([name] if name else [])),
    )


# --- faults -----------------------------------------------------------------------------------------------------------
def _statement(fields: Fields) -> str:
    """The call of Aurora's function for a fault.  Raises InvalidArgumentError."""
    kind = fields.text("fault", "replica")
    percent, seconds = fields.whole("percent", "Percent", 100), fields.whole("seconds", "Seconds", 10)
    if kind == "replica":
        reader = fields.text("reader").replace("'", "''")
        return f"SELECT aurora_inject_replica_failure({percent}, {seconds}, '{reader}')"
    if kind == "disk":
        return f"SELECT aurora_inject_disk_failure({percent}, 0, 0, {seconds})"
    if kind == "congestion":
        least, most = fields.whole("least", "Least delay", 10), fields.whole("most", "Greatest delay", 100)
        return f"SELECT aurora_inject_disk_congestion({percent}, 0, 0, {seconds}, {least}, {most})"
    raise InvalidArgumentError(f"unknown fault '{kind:.40}': use {', '.join(FAULTS)}")


def _fault(store: Store, fields: Fields) -> Done:
    cluster = store.cluster(fields.required("cluster"))
    instances = [instance.name for instance in cluster.instances()]
    if not instances:
        raise InvalidArgumentError(f"'{cluster.name}' has no instances: add one before you simulate faults")
    through = fields.text("instance") or "writer"
    try:
        with closing(cluster.connect(through)) as connection:
            connection.execute(_statement(fields)).fetchall()
    except SQLError as error:
        raise InvalidArgumentError(str(error)) from None
    what = FAULTS[fields.text("fault", "replica")]
    return Done(f"{what} in {cluster.name} for {fields.whole('seconds', 'Seconds', 10)} s", _page(fields))


def _fault_code(fields: Fields) -> Code:
    cluster, sql = fields.text("cluster"), _statement(fields)
    through = fields.text("instance")
    return Code(
        ("sql", *(["--endpoint", through] if through else []), cluster, sql),
        boto_call(
            "execute_statement",
            client="data",
            resourceArn=f"arn:aws:rds:REGION:ACCOUNT:cluster:{cluster}",
            secretArn="arn:aws:secretsmanager:REGION:ACCOUNT:secret:any",
            sql=sql,
        ),
        f"connection = {python_call(f'{cluster_text(cluster)}.connect', *([through] if through else []))}\n"
        f"{python_call('connection.execute', sql)}",
    )


# --- endpoints --------------------------------------------------------------------------------------------------------
def _type(fields: Fields) -> EndpointType:
    for kind in get_args(EndpointType):
        if fields.text("type", "ANY") == kind:
            return kind  # type: ignore[no-any-return]
    raise InvalidArgumentError(f"unknown type '{fields.text('type'):.40}': use {', '.join(get_args(EndpointType))}")


def _add_endpoint(store: Store, fields: Fields) -> Done:
    cluster, name = fields.required("cluster"), fields.required("name", "Name of the endpoint")
    added = store.cluster(cluster).add_endpoint(
        name, _type(fields), members=fields.all("member"), excluded=fields.all("excluded")
    )
    return Done(messages.added_endpoint(cluster, added), _page(fields))


def _add_endpoint_code(fields: Fields) -> Code:
    cluster, name, kind = fields.text("cluster"), fields.text("name") or "NAME", fields.text("type", "ANY")
    members, excluded = fields.all("member"), fields.all("excluded")
    lists = {name: value for name, value in (("members", members), ("excluded", excluded)) if value}
    options = [part for member in members for part in ("--member", member)]
    options += [part for member in excluded for part in ("--exclude", member)]
    return Code(
        ("add-endpoint", cluster, name, "--type", kind, *options),
        boto_call(
            "create_db_cluster_endpoint",
            DBClusterIdentifier=cluster,
            DBClusterEndpointIdentifier=name,
            EndpointType=kind,
            StaticMembers=members or None,
            ExcludedMembers=excluded or None,
        ),
        python_call(f"{cluster_text(cluster)}.add_endpoint", name, kind, **lists),
    )


def _delete_endpoint(store: Store, fields: Fields) -> Done:
    cluster, name = fields.required("cluster"), fields.required("endpoint")
    store.cluster(cluster).delete_endpoint(name)
    return Done(messages.deleted_endpoint(cluster, name), _page(fields))


def _delete_endpoint_code(fields: Fields) -> Code:
    cluster, name = fields.text("cluster"), fields.text("endpoint")
    return Code(
        ("rm-endpoint", cluster, name),
        boto_call("delete_db_cluster_endpoint", DBClusterEndpointIdentifier=name),
        python_call(f"{cluster_text(cluster)}.delete_endpoint", name),
    )


_ALL: tuple[tuple[str, Callable[[Store, Fields], Done], Callable[[Fields], Code]], ...] = (
    ("add-instance", _add, _add_code),
    ("modify-instance", _modify, _modify_code),
    ("delete-instance", _delete, _delete_code),
    ("failover", _failover, _failover_code),
    ("crash", _crash, _crash_code),
    ("fault", _fault, _fault_code),
    ("add-endpoint", _add_endpoint, _add_endpoint_code),
    ("delete-endpoint", _delete_endpoint, _delete_endpoint_code),
)
ACTIONS = tuple(Action(*action) for action in _ALL)
