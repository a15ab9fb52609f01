"""What a command has done, as one line: a pure function for each verb.

The command line writes these lines to standard error, its shell to the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from clusterdb.views.text import bytes_text, duration_text, time_text

if TYPE_CHECKING:
    from clusterdb.ha.endpoints import Endpoint
    from clusterdb.ha.instances import Instance
    from clusterdb.past.find import Moment
    from clusterdb.past.snapshots import Snapshot
    from clusterdb.past.switching import Switched
    from clusterdb.remote import Collected, Counts, Pulled, Pushed, Repacked
    from clusterdb.zones.status import NodeStatus

__all__ = [
    "added_endpoint",
    "added_instance",
    "backtracked",
    "cloned",
    "cloned_remote",
    "collected",
    "copied_on_tmpfs",
    "copied_snapshot",
    "crashed",
    "created",
    "deleted",
    "deleted_endpoint",
    "deleted_instance",
    "deleted_snapshot",
    "exported",
    "evicted",
    "fetched",
    "imported",
    "modified",
    "modified_instance",
    "node_changed",
    "promoted",
    "pulled",
    "pushed",
    "quorum_text",
    "recovered",
    "renamed",
    "repacked",
    "repaired",
    "requests_text",
    "reset",
    "restored",
    "snapshot_taken",
    "started",
    "statement_done",
    "stopped",
]


# --- clusters ---------------------------------------------------------------------------------------------------------
def created(name: str) -> str:
    """An empty cluster."""
    return f"created {name}"


def imported(name: str, source: str, size_bytes: int) -> str:
    """A cluster from a file, which may be standard input."""
    return f"imported {'standard input' if source == '-' else source} as {name}, {bytes_text(size_bytes)}"


def cloned(source: str, name: str, origin: Moment | None) -> str:
    """A clone, and the version that it shares with its source; None: a full copy."""
    if origin is None:
        return f"copied {source} as {name}"
    return f"cloned {source} as {name}, at {_version(origin.version, origin.time)}"


def modified(name: str, before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """The settings that differ; both mappings have the same keys."""
    changes = [
        f"{key} {_setting_text(key, before[key])} -> {_setting_text(key, value)}"
        for key, value in after.items()
        if before[key] != value
    ]
    return f"modified {name}: {', '.join(changes) or 'no setting differs'}"


def _setting_text(key: str, value: object) -> str:
    if value is None:
        return "never" if key in ("ttl_s", "idle_s") else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{tag}={text}" for tag, text in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def renamed(former: str, name: str) -> str:
    return f"renamed {former} to {name}"


def stopped(name: str) -> str:
    return f"stopped {name}"


def started(name: str) -> str:
    return f"started {name}"


def deleted(name: str, clones: Sequence[str] = ()) -> str:
    """A cluster, and its clones, which remain."""
    if not clones:
        return f"deleted {name}"
    return f"deleted {name}; {'its clone remains' if len(clones) == 1 else 'its clones remain'}: {', '.join(clones)}"


def exported(name: str, file: str, size_bytes: int) -> str:
    """A cluster or a snapshot, to a file."""
    return f"exported {name} to {file}, {bytes_text(size_bytes)}"


# --- the past ---------------------------------------------------------------------------------------------------------
def backtracked(name: str, switched: Switched) -> str:
    return (
        f"backtracked {name} from version {switched.former_version} to {switched.version}, {time_text(switched.time)}"
    )


def reset(name: str, to: str, switched: Switched) -> str:
    """``to``: the name of the source, or of the snapshot."""
    return f"reset {name} from version {switched.former_version} to {to} at {_version(switched.version, switched.time)}"


def snapshot_taken(snapshot: Snapshot) -> str:
    return f"took snapshot {snapshot.name} of {snapshot.cluster} at {_version(snapshot.version, snapshot.taken_at)}"


def copied_snapshot(former: str, name: str) -> str:
    return f"copied snapshot {former} as {name}"


def deleted_snapshot(name: str) -> str:
    return f"deleted snapshot {name}"


def restored(snapshot: Snapshot, name: str) -> str:
    return (
        f"restored snapshot {snapshot.name} as {name}, "
        f"{snapshot.cluster} at {_version(snapshot.version, snapshot.taken_at)}"
    )


# --- instances --------------------------------------------------------------------------------------------------------
def added_instance(cluster: str, instance: Instance) -> str:
    return f"added instance {instance.name} to {cluster} as {'its writer' if instance.role == 'writer' else 'a reader'}"


def modified_instance(cluster: str, instance: Instance) -> str:
    jitter = f" and up to {instance.lag_jitter_ms:g} ms more" if instance.lag_jitter_ms else ""
    return (
        f"modified instance {instance.name} of {cluster}: tier {instance.promotion_tier}, "
        f"lag {instance.replica_lag_ms:g} ms{jitter}"
    )


def deleted_instance(cluster: str, name: str) -> str:
    return f"deleted instance {name} of {cluster}"


def promoted(cluster: str, name: str, former: str | None) -> str:
    """``former``: the writer before."""
    return f"promoted {name} to writer of {cluster}" + (f" in place of {former}" if former is not None else "")


def crashed(cluster: str, name: str | None, writer: str | None) -> str:
    """``name``: None for the implicit writer; ``writer``: the present one."""
    subject = f"crashed {name} of {cluster}" if name is not None else f"crashed the writer of {cluster}"
    return f"{subject}; the writer is {writer}" if writer is not None else subject


def added_endpoint(cluster: str, endpoint: Endpoint) -> str:
    return f"added endpoint {endpoint.name} to {cluster}, which leads to {', '.join(endpoint.members) or 'no instance'}"


def deleted_endpoint(cluster: str, name: str) -> str:
    return f"deleted endpoint {name} of {cluster}"


# --- SQL --------------------------------------------------------------------------------------------------------------
def statement_done(rows: int | None, changed: int | None, seconds: float) -> str:
    """``(3 rows, 0.42 ms)``; ``rows`` is None for statements without result columns, ``changed`` unless they write."""
    counts = [] if rows is None else [_count(rows, "row")]
    counts += [] if changed is None else [f"{_count(changed, 'row')} changed"]
    return f"({', '.join([*counts, duration_text(seconds)])})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _version(version: int, time: datetime) -> str:
    return f"version {version}, {time_text(time)}"


# --- object storage ---------------------------------------------------------------------------------------------------
def pushed(cluster: str, push: Pushed, *, is_done: bool) -> str:
    """``is_done``: False for a dry run."""
    place = f"{push.url}/{push.name}"
    if push.number and not push.requests.puts:
        return f"{place} has version {push.version} of {cluster} already"
    size = bytes_text(push.slot_count * 4096)
    if not is_done:
        return f"would push version {push.version} of {cluster} to {place}: {size}, {requests_text(push.requests)}"
    return f"pushed version {push.version} of {cluster} to {place}: {size}, {requests_text(push.requests)}"


def pulled(cluster: str, pull: Pulled) -> str:
    """A clone moved to the newest state of its origin."""
    place = f"version {pull.remote_version} of {pull.url}/{pull.name}"
    if pull.version == pull.former_version:
        return f"{cluster} has {place} already"
    changed = f"{pull.page_count} page{'' if pull.page_count == 1 else 's'} changed"
    return f"pulled {place} to {cluster}: {changed}, {requests_text(pull.requests)}"


def requests_text(counts: Counts) -> str:
    """What an operation asked of object storage."""
    kinds = {"PUT": counts.puts, "GET": counts.gets, "LIST": counts.lists, "DELETE": counts.deletes}
    requests = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"{requests}; {bytes_text(counts.sent_bytes)} sent, {bytes_text(counts.received_bytes)} received"


def cloned_remote(url: str, name: str, version: int, time: datetime, requests: Counts, *, is_copy: bool) -> str:
    """A cluster from a database on object storage."""
    what = f"{'copied' if is_copy else 'cloned'} {url} as {name}, at {_version(version, time)}"
    return f"{what}: {requests_text(requests)}"


def copied_on_tmpfs(store: str) -> str:
    """The reason that a clone of a database on object storage is a copy."""
    return f"all pages were copied, since store '{store}' is on a file system in memory, which has no holes"


def fetched(name: str, page_count: int, requests: Counts) -> str:
    """All pages of a lazy clone."""
    what = f"fetched {page_count} pages of {name}, {bytes_text(page_count * 4096)}"
    return f"{what}: {requests_text(requests)}" if page_count else what


def repacked(url: str, result: Repacked, *, is_done: bool) -> str:
    """``is_done``: False for a dry run."""
    if not result.segment_count:
        return f"{url} has no objects to repack: {requests_text(result.requests)}"
    new = f"{result.new_count} new one{'' if result.new_count == 1 else 's'}, {bytes_text(result.copied_bytes)}"
    objects = f"{result.segment_count} object{'' if result.segment_count == 1 else 's'}"
    freed = f"gc can free {bytes_text(result.freed_bytes)}"
    verb = "repacked" if is_done else "would repack"
    return f"{verb} {objects} of {url} to {new}; {freed}; {requests_text(result.requests)}"


def evicted(name: str, freed_bytes: int) -> str:
    """The pages of a lazy clone that are on object storage only, from now on."""
    return f"evicted {freed_bytes // 4096} pages of {name}, {bytes_text(freed_bytes)}"


def collected(url: str, result: Collected, requests: Counts) -> str:
    """What a collection deleted."""
    objects = f"{result.object_count} object{'' if result.object_count == 1 else 's'}"
    states = f"{result.state_count} state{'' if result.state_count == 1 else 's'}"
    what = f"deleted {objects} of {url}, {bytes_text(result.object_bytes)}; {states} expired"
    return f"{what}: {requests_text(requests)}"


# --- six copies in three zones ----------------------------------------------------------------------------------------
def node_changed(cluster: str, place: str | int, change: str) -> str:
    """A storage node by its number, or both of a zone by its name."""
    return f"{'zone' if isinstance(place, str) else 'node'} {place} of {cluster} is {change}"


def repaired(cluster: str, count: int) -> str:
    """How many nodes have everything now."""
    return f"{count} of 6 nodes have every commit of {cluster}"


def quorum_text(nodes: Sequence[NodeStatus]) -> str:
    """How many nodes there are, and whether that suffices for commits and for recovery."""
    count = sum(node.status != "lost" for node in nodes)
    lacking = "" if count >= 4 else "; commits fail until nodes return, reads continue"
    return f"{count} of {len(nodes)} nodes: commits need 4, recovery 3{lacking}"


def recovered(name: str, version: int, time: datetime) -> str:
    """A cluster from its copies."""
    return f"recovered {name} from its copies, at {_version(version, time)}"
