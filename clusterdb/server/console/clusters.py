"""The pages of one cluster: overview, instances, pages, settings; and what happened in the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from clusterdb.clusters.figures import cluster_details
from clusterdb.clusters.pagemap import page_map
from clusterdb.errors import Error
from clusterdb.server.console import charts
from clusterdb.server.console.actions.instances import FAULTS
from clusterdb.server.console.fields import tags_text
from clusterdb.server.console.site import Asked
from clusterdb.views.messages import quorum_text
from clusterdb.views.urls import connections

__all__ = ["activity", "download", "instances", "overview", "pages", "settings", "snapshots"]

_EVENTS_MAX = 200


def overview(asked: Asked) -> Response:
    """Status, sizes, source and clones, and how programs connect."""
    cluster = asked.store.cluster(asked.path("cluster"))
    details = cluster_details(asked.store.context, cluster)
    nodes = cluster.nodes() if details.settings.zones else []
    return asked.page(
        "overview.html",
        cluster=cluster.name,
        details=details,
        clones=[clone.name for clone in cluster.clones()],
        origin=cluster.origin,
        connections=connections(asked.store.path, cluster.name),
        endpoints=cluster.endpoints(),
        nodes=nodes,
        zones=[(zone, [node.status for node in nodes if node.zone == zone]) for zone, *_ in details.settings.zones],
        quorum=quorum_text(nodes),
        events=asked.store.events(cluster.name)[-5:][::-1],
        aws=asked.store.context.catalog.documents.get(cluster.id, "DBCluster") or {},
        topics=["databases"],
    )


def instances(asked: Asked) -> Response:
    """Instances with their lag, endpoints, failover, and faults."""
    cluster = asked.store.cluster(asked.path("cluster"))
    members = cluster.instances()
    return asked.page(
        "instances.html",
        cluster=cluster.name,
        engine=cluster.settings.engine,
        instances=members,
        readers=[instance.name for instance in members if instance.role == "reader"],
        endpoints=cluster.endpoints(),
        replication=cluster.replica_status(),
        faults=FAULTS,
        topics=[f"lag:{cluster.name}"],
    )


def pages(asked: Asked) -> Response:
    """The map of the pages."""
    cluster = asked.store.cluster(asked.path("cluster"))
    lately = max(1, asked.query.whole("lately", "Versions", 10))
    table = page_map(asked.store.context, cluster)
    changed_since = table.version - lately
    cells = charts.page_cells(table.page_count, table.births, table.shared_until, changed_since)
    own = sum(birth > table.shared_until for birth in table.births.values())
    changed = sum(birth > changed_since for birth in table.births.values())
    counts = {
        "own": own,
        "shared": len(table.births) - own,
        "changed": changed,
        "empty": max(table.page_count - len(table.births), 0),
    }
    label = (
        f"{table.page_count:,} pages: {counts['own']:,} own, {counts['shared']:,} shared, {changed:,} changed lately"
    )
    return asked.page(
        "pages.html",
        cluster=cluster.name,
        table=table,
        counts=counts,
        lately=lately,
        map=charts.page_grid(cells, label),
    )


def settings(asked: Asked) -> Response:
    """Settings, tags, note, name, protection, deletion."""
    cluster = asked.store.cluster(asked.path("cluster"))
    details = cluster_details(asked.store.context, cluster)
    return asked.page(
        "settings.html",
        cluster=cluster.name,
        details=details,
        settings=details.settings,
        tags=tags_text(details.settings.tags),
    )


def snapshots(asked: Asked) -> Response:
    """All snapshots of the store."""
    return asked.page(
        "snapshots.html", snapshots=asked.store.snapshots(), names=[c.name for c in asked.store.clusters()]
    )


def activity(asked: Asked) -> Response:
    """The events of the store, the newest first."""
    source, text = asked.query.text("source"), asked.query.text("q").lower()
    events = [
        event
        for event in reversed(asked.store.events(source or None))
        if text in f"{event.kind} {event.source} {event.category} {event.message}".lower()
    ]
    first = max(0, asked.query.whole("from", "Number", 0))
    return asked.page(
        "activity.html",
        events=events[first : first + _EVENTS_MAX],
        first=first,
        more=first + _EVENTS_MAX if len(events) > first + _EVENTS_MAX else None,
        source=source,
        filter=asked.query.text("q"),
        count=len(events),
        topics=["databases"],
    )


def download(asked: Asked) -> Response:
    """The cluster as a plain SQLite database file."""
    cluster = asked.store.cluster(asked.path("cluster"))
    folder = tempfile.TemporaryDirectory(prefix="clusterdb-export-")
    path = Path(folder.name) / f"{cluster.name}.db"
    try:
        cluster.export(path)
    except Error:
        folder.cleanup()
        raise
    return FileResponse(
        path, media_type="application/vnd.sqlite3", filename=path.name, background=BackgroundTask(folder.cleanup)
    )
