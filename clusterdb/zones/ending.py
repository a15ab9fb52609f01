"""The end of copies: a deleted cluster's log stays on the nodes while the log of another cluster continues it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from clusterdb.catalog.documents import STORE
from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import Context
from clusterdb.errors import Error
from clusterdb.zones.copies import ENDED, PARENT, StoreCopies, log_name, nodes_of

__all__ = ["end_copies"]


def end_copies(context: Context, copies: StoreCopies, row: ClusterRow) -> Callable[[], None]:
    """Note in the running catalog transaction that a cluster is deleted; returns what deletes logs after it."""
    documents = context.catalog.documents
    parent = documents.get(row.cluster, PARENT)
    body = {"nodes": [url for _, _, url in nodes_of(row.settings.zones)], "parent": parent}
    documents.put(STORE, ENDED, log_name(context, row.cluster), body)

    def end() -> None:
        copies.forget(row.cluster)
        _delete_unneeded(context, copies)

    return end


def _delete_unneeded(context: Context, copies: StoreCopies) -> None:
    """Delete the ended logs that no log continues; those on nodes that cannot be reached, another time."""
    documents = context.catalog.documents
    with context.catalog.transaction():  # a cluster that is deleted meanwhile may be between the two
        ended = {name: body for _, name, body in documents.all(ENDED, STORE)}
        needed = {str(body["log"]) for _, _, body in documents.all(PARENT)}
    waiting = list(needed)
    while waiting:
        body = ended.get(waiting.pop())
        parent = body["parent"] if body is not None else None
        if parent is not None and parent["log"] not in needed:
            needed.add(parent["log"])
            waiting.append(parent["log"])
    for name in ended.keys() - needed:
        with suppress(Error):
            for url in ended[name]["nodes"]:
                objects = copies.objects(url)
                for listed in objects.list(f"copies/{name}"):
                    objects.delete(listed.path)
            with context.catalog.transaction():
                documents.remove(STORE, ENDED, name)
