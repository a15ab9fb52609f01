"""The end of copies: a deleted cluster's log stays on the nodes while the log of another cluster continues it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from clusterdb.catalog.documents import STORE
from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from clusterdb.errors import Error
from clusterdb.zones.copies import PARENT, StoreCopies, log_name, nodes_of

__all__ = ["end_copies"]

_ENDED = "copies-ended"
"""Documents of the store, by the name of a log: where it is, and the log that it continues."""


def end_copies(context: Context, copies: StoreCopies, row: ClusterRow) -> Callable[[], None]:
    """Note in the running catalog transaction that a cluster is deleted; returns what deletes logs after it."""
    documents = context.catalog.documents
    parent = documents.get(row.cluster, PARENT)
    body = {"nodes": [url for _, _, url in nodes_of(row.settings.zones)], "parent": parent["log"] if parent else None}
    documents.put(STORE, _ENDED, log_name(copies.store, row.cluster), body)

    def end() -> None:
        copies.forget(row.cluster)
        _delete_unneeded(context, copies)

    return end


def _delete_unneeded(context: Context, copies: StoreCopies) -> None:
    """Delete the ended logs that no log continues; those on nodes that cannot be reached, another time."""
    documents = context.catalog.documents
    ended = {name: body for _, name, body in documents.all(_ENDED, STORE)}
    needed = {str(body["log"]) for _, _, body in documents.all(PARENT)}
    waiting = list(needed)
    while waiting:
        body = ended.get(waiting.pop())
        if body is not None and body["parent"] and body["parent"] not in needed:
            needed.add(body["parent"])
            waiting.append(body["parent"])
    for name in ended.keys() - needed:
        with suppress(Error):
            for url in ended[name]["nodes"]:
                objects = copies.objects(url)
                for listed in objects.list(f"copies/{name}"):
                    objects.delete(listed.path)
            with context.catalog.transaction():
                documents.remove(STORE, _ENDED, name)
