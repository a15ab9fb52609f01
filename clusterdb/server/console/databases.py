"""The list of clusters as a tree of clones; new clusters; the question before several are deleted."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime

from starlette.responses import Response

from clusterdb.clusters.figures import cluster_details, listing
from clusterdb.errors import ClusterNotFoundError, InvalidArgumentError
from clusterdb.rules.settings import ENGINES
from clusterdb.server.console.site import Asked
from clusterdb.server.console.trees import tree_rows
from clusterdb.store import Store
from clusterdb.views.filters import is_wanted

__all__ = ["clone", "databases", "delete", "new"]

_VERSIONS_MAX = 200
_ROWS_MAX = 200


def databases(asked: Asked) -> Response:
    """The tree, of the clusters that the filter ``q`` selects."""
    text = asked.query.text("q")

    def is_shown(name: str, fields: Mapping[str, object]) -> bool:
        return all(_matches(name, fields, word) for word in text.split())

    listed = listing(asked.store.context, is_shown)
    total = asked.store.stats()
    rows = tree_rows(listed)
    first = max(0, asked.query.whole("from", "Number", 0))
    sizes = [cluster.stats.own_bytes + cluster.stats.shared_bytes for cluster in listed]
    return asked.page(
        "databases.html",
        rows=rows[first : first + _ROWS_MAX],
        first=first,
        more=first + _ROWS_MAX if len(rows) > first + _ROWS_MAX else None,
        row_count=len(rows),
        largest=max(sizes, default=0),
        total=total,
        count=len(listed),
        filter=text,
        topics=["databases"],
    )


def _matches(name: str, fields: Mapping[str, object], word: str) -> bool:
    """Whether a word of the filter is in the name or the note, or ``KEY=GLOB`` matches; ``*`` makes it a glob."""
    if "=" in word or "*" in word or "?" in word:
        return is_wanted(name, fields, [word])
    return word.lower() in name.lower() or word.lower() in str(fields.get("note") or "").lower()


def new(asked: Asked) -> Response:
    """The form of a new, empty cluster."""
    return asked.page("new.html", engines=ENGINES, fields=asked.query)


def delete(asked: Asked) -> Response:
    """The question before clusters are deleted: what this frees, which clones remain, the name to type."""
    names = asked.query.all("cluster")
    if not names:
        raise InvalidArgumentError("no database is selected: select those to delete")
    details = [cluster_details(asked.store.context, asked.store.cluster(name)) for name in names]
    clones = {
        name: [clone.name for clone in asked.store.cluster(name).clones() if clone.name not in names] for name in names
    }
    return asked.page(
        "delete.html",
        names=names,
        details=details,
        clones=clones,
        frees=sum(detail.stats.own_bytes for detail in details),
        protected=[detail.stats.name for detail in details if detail.settings.deletion_protection],
    )


def clone(asked: Asked) -> Response:
    """The dialog of a clone, filled in from its source; ``at`` is a version, ``snapshot`` the name of one."""
    query, store = asked.query, asked.store
    names = [cluster.name for cluster in store.clusters()]
    snapshots = store.snapshots()
    snapshot = next((item for item in snapshots if item.name == query.text("snapshot")), None)
    source = query.text("source") or (snapshot.cluster if snapshot is not None else "") or next(iter(names), "")
    if not source:
        raise ClusterNotFoundError("there is no database to clone: create one first")
    is_there = source in names or snapshot is None
    details = cluster_details(store.context, store.cluster(source)) if is_there else None
    at = query.text("at")
    kind = "snapshot" if snapshot is not None else "version" if at.isdecimal() else "time" if at else "now"
    return asked.page(
        "clone.html",
        source=source,
        names=names,
        details=details,
        settings=details.settings if details is not None else None,
        versions=store.cluster(source).versions(_VERSIONS_MAX) if is_there else [],
        snapshots=sorted(snapshots, key=lambda item: item.cluster != source),
        chosen=query.text("from") or kind,
        at=at,
        local=_local,
        snapshot=query.text("snapshot"),
        name=query.text("name") or _free_name(store, source),
    )


def _local(time: datetime) -> str:
    """A time for an input of the type datetime-local."""
    return time.astimezone().replace(tzinfo=None).isoformat(timespec="milliseconds")


def _free_name(store: Store, source: str) -> str:
    taken = {cluster.name for cluster in store.clusters()}
    return next(name for number in itertools.count(1) if (name := f"{source[:55]}-{number}") not in taken)
