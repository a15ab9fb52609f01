"""The past of a cluster as a line of versions, and what is lost by going back."""

from __future__ import annotations

from starlette.responses import Response

from clusterdb.clusters.figures import cluster_details
from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.points import Point, parse
from clusterdb.server.console.site import Asked

__all__ = ["back", "past"]

_VERSIONS_MAX = 100


def past(asked: Asked) -> Response:
    """The retained versions, newest first, with the snapshots, clones and switches that belong to them."""
    cluster = asked.store.cluster(asked.path("cluster"))
    count = min(max(1, asked.query.whole("count", "Versions", 25)), _VERSIONS_MAX)
    entries = cluster.log(limit=count + 1)
    details = cluster_details(asked.store.context, cluster)
    versions = {entry.version for entry in entries}
    return asked.page(
        "past.html",
        cluster=cluster.name,
        details=details,
        entries=entries[:count],
        count=count,
        has_more=len(entries) > count and count < _VERSIONS_MAX,
        more=min(count * 4, _VERSIONS_MAX),
        snapshots=[snapshot for snapshot in asked.store.snapshots() if snapshot.cluster == cluster.name],
        versions=versions,
        keeps_past=details.settings.keeps_past_ns > 0,
    )


def back(asked: Asked) -> Response:
    """The question before a cluster goes back: the rows that are lost."""
    cluster = asked.store.cluster(asked.path("cluster"))
    kind, to = asked.query.text("kind", "version"), asked.query.text("to")
    if kind == "source":
        details = cluster_details(asked.store.context, cluster)
        if details.stats.source is None or not details.has_source:
            raise InvalidArgumentError(f"'{cluster.name}' has no source to reset to: choose a version or a snapshot")
        difference = asked.store.diff(cluster, details.stats.source)
        target = f"the present state of {details.stats.source}"
    else:
        point: Point | None = parse(to) if to else None
        if point is None:
            raise InvalidArgumentError("the version, time or snapshot to go back to is missing: choose one")
        difference = asked.store.diff(cluster, cluster, after_at=point)
        target = f"{'snapshot' if kind == 'snapshot' else 'version' if to.isdecimal() else 'time'} {to}"
    return asked.page(
        "back.html",
        cluster=cluster.name,
        kind=kind,
        to=to,
        target=target,
        difference=difference,
        verb="Backtrack" if kind in ("version", "time") and cluster.settings.backtrack_window_s else "Reset",
    )
