"""The past: snapshots, backtracks, resets, and changes that are applied to another database."""

from __future__ import annotations

import itertools
from typing import Any

from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.points import parse, split
from clusterdb.server.console.actions.clusters import path_of
from clusterdb.server.console.actions.record import Action, Done
from clusterdb.server.console.code import NO_CALL, Code, aws_time, boto_call, cluster_text, python_call
from clusterdb.server.console.fields import Fields
from clusterdb.store import Cluster, Store
from clusterdb.views import messages
from clusterdb.views.text import time_text

__all__ = ["ACTIONS"]


# --- snapshots --------------------------------------------------------------------------------------------------------
def _snapshot(store: Store, fields: Fields) -> Done:
    name, cluster = fields.required("name", "Name of the snapshot"), fields.required("cluster")
    taken = store.cluster(cluster).snapshot(name, at=fields.point("at"))
    return Done(messages.snapshot_taken(taken), path_of(cluster, "/past"))


def _snapshot_code(fields: Fields) -> Code:
    name, cluster, at = fields.text("name") or "NAME", fields.text("cluster"), fields.text("at")
    call = boto_call("create_db_cluster_snapshot", DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster)
    return Code(
        ("snapshot", f"{cluster}@{at}" if at else cluster, name),
        call if not at else "# The RDS API takes snapshots of the present only.",
        python_call(f"{cluster_text(cluster)}.snapshot", name, **({"at": parse(at)} if at else {})),
    )


def _copy_snapshot(store: Store, fields: Fields) -> Done:
    snapshot, name = fields.required("snapshot"), fields.required("name", "Name of the copy")
    store.copy_snapshot(snapshot, name)
    return Done(messages.copied_snapshot(snapshot, name), "/snapshots")


def _copy_snapshot_code(fields: Fields) -> Code:
    snapshot, name = fields.text("snapshot"), fields.text("name") or "NAME"
    return Code(
        ("copy-snapshot", snapshot, name),
        boto_call(
            "copy_db_cluster_snapshot",
            SourceDBClusterSnapshotIdentifier=snapshot,
            TargetDBClusterSnapshotIdentifier=name,
        ),
        python_call("store.copy_snapshot", snapshot, name),
    )


def _delete_snapshot(store: Store, fields: Fields) -> Done:
    name = fields.required("snapshot")
    if fields.text("typed") != name:
        raise InvalidArgumentError(f"the name typed is not '{name}': type it to delete this snapshot")
    store.delete_snapshot(name)
    return Done(messages.deleted_snapshot(name), "/snapshots")


def _delete_snapshot_code(fields: Fields) -> Code:
    name = fields.text("snapshot")
    return Code(
        ("rm-snapshot", "--yes", name),
        boto_call("delete_db_cluster_snapshot", DBClusterSnapshotIdentifier=name),
        python_call("store.delete_snapshot", name),
    )


# --- going back -------------------------------------------------------------------------------------------------------
def _back(store: Store, fields: Fields) -> Done:
    """Go back to a version or a time (``to``), to a snapshot, or to the present state of the source."""
    cluster = store.cluster(fields.required("cluster"))
    kept = _kept(store, cluster) if fields.has("keep") else None
    try:
        message = _go_back(store, cluster, fields)
    except BaseException:
        if kept is not None:
            store.delete_snapshot(kept)
        raise
    undo = None
    if kept is not None:
        message += f"; what was there before is the snapshot {kept}"
        undo = ("Undo", "back", {"cluster": cluster.name, "kind": "snapshot", "to": kept})
    return Done(message, path_of(cluster.name, "/past"), undo)


def _go_back(store: Store, cluster: Cluster, fields: Fields) -> str:
    kind = fields.text("kind", "version")
    if kind == "source":
        source = next(
            (other.name for other in store.clusters() if cluster.name in _names(other.clones())), "its source"
        )
        return messages.reset(cluster.name, source, cluster.reset())
    if kind == "snapshot":
        snapshot = fields.required("to", "Snapshot")
        return messages.reset(cluster.name, snapshot, cluster.reset(snapshot))
    point = fields.point("to")
    if point is None:
        raise InvalidArgumentError("the version or time to go back to is missing: choose one")
    if cluster.settings.backtrack_window_s:
        return messages.backtracked(cluster.name, cluster.backtrack(point))
    step = _free_name(store, f"step-{cluster.name:.40}")
    taken = cluster.snapshot(step, at=point)  # without a backtrack window, a reset to a snapshot of the version
    try:
        switched = cluster.reset(step)
    finally:
        store.delete_snapshot(step)
    return (
        f"reset {cluster.name} from version {switched.former_version} to its version {taken.version}, "
        f"{time_text(taken.taken_at)}"
    )


def _names(clusters: list[Cluster]) -> set[str]:
    return {cluster.name for cluster in clusters}


def _kept(store: Store, cluster: Cluster) -> str:
    """Take a snapshot of what is there now, and return its name."""
    return cluster.snapshot(_free_name(store, f"before-reset-{cluster.name:.40}")).name


def _free_name(store: Store, begin: str) -> str:
    taken = {snapshot.name for snapshot in store.snapshots()}
    return next(name for number in itertools.count(1) if (name := f"{begin}-{number}") not in taken)


def _back_code(fields: Fields) -> Code:
    name, kind, to = fields.text("cluster"), fields.text("kind", "version"), fields.text("to")
    if kind == "source":
        return Code(("reset", "--yes", name), NO_CALL, python_call(f"{cluster_text(name)}.reset"))
    if kind == "snapshot":
        return Code(("reset", "--yes", "--to", to, name), NO_CALL, python_call(f"{cluster_text(name)}.reset", to))
    point = parse(to)
    time = aws_time(point)
    return Code(
        ("backtrack", name, to),
        boto_call("backtrack_db_cluster", DBClusterIdentifier=name, BacktrackTo=time) if time else NO_CALL,
        python_call(f"{cluster_text(name)}.backtrack", point),
    )


# --- changes ----------------------------------------------------------------------------------------------------------
def _apply(store: Store, fields: Fields) -> Done:
    """Apply the rows that differ between two points to a database."""
    before, after, target = fields.required("before"), fields.text("after"), fields.required("target", "Database")
    on_conflict: Any = fields.text("on_conflict") or "abort"
    tables = fields.all("table") or None
    (old, old_at), (new, new_at) = split(before), split(after) if after else (None, None)
    difference = store.diff(old, new, before_at=old_at, after_at=new_at, tables=tables)
    applied = store.cluster(target).apply(difference.changeset(), on_conflict=on_conflict)
    skipped = f", and skipped {applied.skipped_count:,}" if applied.skipped_count else ""
    return Done(f"applied {applied.applied_count:,} changed rows to {target}{skipped}", path_of(target))


def _apply_code(fields: Fields) -> Code:
    before, after, target = fields.text("before"), fields.text("after"), fields.text("target") or "TARGET"
    conflict = fields.text("on_conflict") or "abort"
    sides = [before, after] if after else [before]
    (old, old_at), (new, new_at) = split(before or "BEFORE"), split(after) if after else ("", None)
    points = {"before_at": old_at, "after_at": new_at}
    named = {name: point for name, point in points.items() if point is not None}
    diff = python_call("store.diff", *([old, new] if new else [old]), **named)
    return Code(
        ("diff", *sides, "--changeset", "changes.bin"),
        NO_CALL,
        f"difference = {diff}\n{cluster_text(target)}.apply(difference.changeset(), on_conflict={conflict!r})",
    )


ACTIONS = (
    Action("snapshot", _snapshot, _snapshot_code),
    Action("copy-snapshot", _copy_snapshot, _copy_snapshot_code),
    Action("delete-snapshot", _delete_snapshot, _delete_snapshot_code),
    Action("back", _back, _back_code),
    Action("apply", _apply, _apply_code),
)
