"""Clusters: create, clone, change, stop, start, rename, delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.points import Point, parse
from clusterdb.server.console.actions.record import Action, Done
from clusterdb.server.console.code import NO_CALL, Code, aws_time, boto_call, cli_settings, cluster_text, python_call
from clusterdb.server.console.fields import Fields
from clusterdb.store import Store
from clusterdb.views import messages
from clusterdb.views.json import object_of

__all__ = ["ACTIONS", "path_of", "point_in"]


def path_of(cluster: str, page: str = "") -> str:
    """The path of a page of a cluster."""
    return f"/clusters/{quote(cluster)}{page}"


# --- create -----------------------------------------------------------------------------------------------------------
def _create(store: Store, fields: Fields) -> Done:
    name = fields.required("name", "Name")
    store.create_cluster(name, **fields.settings())
    return Done(messages.created(name), path_of(name, "#connect"))


def _create_code(fields: Fields) -> Code:
    name, settings = fields.text("name") or "NAME", _changed_only(fields.settings())
    return Code(
        ("create", name, *cli_settings(settings)),
        boto_call(
            "create_db_cluster",
            DBClusterIdentifier=name,
            Engine=settings.get("engine", "sqlite"),
            **_boto_settings(settings),
        ),
        python_call("store.create_cluster", name, **settings),
    )


def _changed_only(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that have their default."""
    defaults: dict[str, Any] = {"engine": "sqlite", "backtrack_window_s": 0, "deletion_protection": False}
    defaults |= {"backup_retention_bytes": None, "ttl_s": None, "idle_s": None, "clone_limit": None, "tags": {}}
    return {name: value for name, value in settings.items() if name not in defaults or value != defaults[name]}


def _boto_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as parameters of the RDS API; time to live, idle time and the limit of clones have none."""
    tags = [{"Key": key, "Value": value} for key, value in settings.get("tags", {}).items()]
    return {
        "BackupRetentionPeriod": settings.get("backup_retention_days"),
        "BacktrackWindow": settings.get("backtrack_window_s"),
        "DeletionProtection": settings.get("deletion_protection"),
        "Tags": tags or None,
    }


# --- clone ------------------------------------------------------------------------------------------------------------
def point_in(fields: Fields) -> Point | None:
    """The point that the radio buttons ``from`` choose: now, a version, a time or a snapshot.

    Raises InvalidArgumentError.
    """
    kind = fields.text("from", "now")
    if kind == "version":
        return fields.whole("version", "Version", 0)
    if kind == "time":
        text = fields.required("time", "Time")
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise InvalidArgumentError(f"invalid time '{text:.40}': write it as 2026-01-31T12:00:00") from None
    return fields.required("snapshot", "Snapshot") if kind == "snapshot" else None


def _clone(store: Store, fields: Fields) -> Done:
    source, name = fields.required("source", "Source"), fields.required("name", "Name")
    settings = _clone_settings(fields)
    kind = fields.text("from", "now")
    if kind == "snapshot":
        snapshot = fields.required("snapshot", "Snapshot")
        store.restore_snapshot(snapshot, name, **settings)
        return Done(messages.restored(store.snapshot(snapshot), name), path_of(name, "#connect"))
    copy_type = "full-copy" if fields.has("full_copy") else "copy-on-write"
    clone = store.cluster(source).clone(name, at=point_in(fields), copy_type=copy_type, **settings)
    return Done(messages.cloned(source, name, clone.origin), path_of(name, "#connect"))


def _clone_settings(fields: Fields) -> dict[str, Any]:
    settings = fields.settings()
    settings.pop("engine", None)  # that of the source
    return settings


def _clone_code(fields: Fields) -> Code:
    source, name = fields.text("source") or "SOURCE", fields.text("name") or "NAME"
    settings = _changed_only(_clone_settings(fields))
    options = cli_settings(settings)
    kind, boto = fields.text("from", "now"), _boto_settings(settings)
    retention = boto.pop("BackupRetentionPeriod")
    if kind == "snapshot":
        snapshot = fields.text("snapshot") or "SNAPSHOT"
        call = boto_call(
            "restore_db_cluster_from_snapshot",
            DBClusterIdentifier=name,
            SnapshotIdentifier=snapshot,
            Engine=fields.text("engine") or "sqlite",
            **boto,
        )
        return Code(
            ("restore", snapshot, name, *options),
            call,
            python_call("store.restore_snapshot", snapshot, name, **settings),
        )
    full_copy = fields.has("full_copy")
    at = {"now": "", "version": fields.text("version"), "time": fields.text("time")}.get(kind, "")
    point = parse(at) if at else None
    named: dict[str, Any] = {"at": point} if point is not None else {}
    if full_copy:
        named["copy_type"] = "full-copy"
    call = boto_call(
        "restore_db_cluster_to_point_in_time",
        DBClusterIdentifier=name,
        SourceDBClusterIdentifier=source,
        RestoreType="full-copy" if full_copy or kind == "time" else "copy-on-write",
        UseLatestRestorableTime=True if kind != "time" else None,
        RestoreToTime=aws_time(point) if kind == "time" and point is not None else None,
        **boto,
    )
    if kind == "version":
        call = "# The RDS API clones the present, or copies a time; it has no versions."
    elif kind == "time":
        call = f"# The RDS API copies all pages for a clone of the past.\n{call}"
    if retention is not None and kind != "version":
        call += "\n" + boto_call(
            "modify_db_cluster", DBClusterIdentifier=name, BackupRetentionPeriod=retention, ApplyImmediately=True
        )
    python = python_call(f"{cluster_text(source)}.clone", name, **(named | settings))
    cli_at = f"{source}@{at}" if at else source
    return Code(("clone", cli_at, name, *(["--full-copy"] if full_copy else []), *options), call, python)


# --- change -----------------------------------------------------------------------------------------------------------
def _modify(store: Store, fields: Fields) -> Done:
    cluster = store.cluster(fields.required("cluster"))
    before = cluster.settings
    after = cluster.modify(**_modified(fields))
    return Done(
        messages.modified(cluster.name, object_of(before), object_of(after)),
        fields.text("back") or path_of(cluster.name, "/settings"),
    )


def _modified(fields: Fields) -> dict[str, Any]:
    settings = fields.settings()
    settings.pop("engine", None)
    return settings


def _modify_code(fields: Fields) -> Code:
    name, settings = fields.text("cluster"), _modified(fields)
    boto = _boto_settings(settings)
    tags = boto.pop("Tags")
    calls = []
    if any(value is not None for value in boto.values()):
        calls.append(boto_call("modify_db_cluster", DBClusterIdentifier=name, **boto, ApplyImmediately=True))
    if tags:
        calls.append(
            boto_call("add_tags_to_resource", ResourceName=f"arn:aws:rds:REGION:ACCOUNT:cluster:{name}", Tags=tags)
        )
    return Code(
        ("modify", name, *cli_settings(settings)),
        "\n".join(calls) or NO_CALL,
        python_call(f"{cluster_text(name)}.modify", **settings),
    )


def _rename(store: Store, fields: Fields) -> Done:
    former, name = fields.required("cluster"), fields.required("name", "New name")
    store.cluster(former).rename(name)
    return Done(
        messages.renamed(former, name), path_of(name), ("Rename it back", "rename", {"cluster": name, "name": former})
    )


def _rename_code(fields: Fields) -> Code:
    former, name = fields.text("cluster"), fields.text("name") or "NAME"
    return Code(
        ("rename", former, name),
        boto_call("modify_db_cluster", DBClusterIdentifier=former, NewDBClusterIdentifier=name, ApplyImmediately=True),
        python_call(f"{cluster_text(former)}.rename", name),
    )


def _stop(store: Store, fields: Fields) -> Done:
    name = fields.required("cluster")
    store.cluster(name).stop()
    return Done(messages.stopped(name), path_of(name), ("Start it", "start", {"cluster": name}))


def _start(store: Store, fields: Fields) -> Done:
    name = fields.required("cluster")
    store.cluster(name).start()
    return Done(messages.started(name), path_of(name), ("Stop it", "stop", {"cluster": name}))


def _status_code(verb: str) -> Any:
    def code(fields: Fields) -> Code:
        name = fields.text("cluster")
        return Code(
            (verb, name),
            boto_call(f"{verb}_db_cluster", DBClusterIdentifier=name),
            python_call(f"{cluster_text(name)}.{verb}"),
        )

    return code


# --- delete -----------------------------------------------------------------------------------------------------------
def _delete(store: Store, fields: Fields) -> Done:
    names = fields.all("cluster")
    if not names:
        raise InvalidArgumentError("no database is selected: select those to delete")
    if fields.text("typed") != names[0]:
        raise InvalidArgumentError(f"the name typed is not '{names[0]}': type it to delete {_counted(names)}")
    chosen = [store.cluster(name) for name in names]  # raises before anything is deleted
    protected = [cluster.name for cluster in chosen if cluster.settings.deletion_protection]
    if protected:
        raise InvalidArgumentError(
            f"'{protected[0]}' is protected: switch its protection off first; nothing was deleted"
        )
    clones = {clone.name for cluster in chosen for clone in cluster.clones()} - set(names)
    for cluster in chosen:
        cluster.delete()
    text = messages.deleted(names[0], sorted(clones)) if len(names) == 1 else f"deleted {', '.join(names)}"
    return Done(text, "/")


def _counted(names: list[str]) -> str:
    return f"these {len(names)} databases" if len(names) > 1 else "this database"


def _delete_code(fields: Fields) -> Code:
    names = fields.all("cluster") or ["NAME"]
    calls = [boto_call("delete_db_cluster", DBClusterIdentifier=name, SkipFinalSnapshot=True) for name in names]
    return Code(
        ("rm", "--yes", *names),
        "\n".join(calls),
        "\n".join(python_call(f"{cluster_text(name)}.delete") for name in names),
    )


ACTIONS = (
    Action("create", _create, _create_code),
    Action("clone", _clone, _clone_code),
    Action("modify", _modify, _modify_code),
    Action("rename", _rename, _rename_code),
    Action("stop", _stop, _status_code("stop")),
    Action("start", _start, _status_code("start")),
    Action("delete", _delete, _delete_code),
)
