"""What AWS keeps about a resource and clusterdb does not: parts of AWS's structures, in the catalog's documents.

The kind of a document is the name of the structure in botocore's model, which it is validated by.  Documents of
instances and snapshots have the number of their row as their name; numbers are never reused, so that a document whose
row is gone is never found again.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from clusterdb.catalog.documents import STORE
from clusterdb.server.call import Call, Operation
from clusterdb.server.models import shape_named
from clusterdb.server.protocol.json import from_json, to_json
from clusterdb.store import Store

__all__ = ["STORE", "TAGS", "all_documents", "document", "in_transaction", "keep", "remove"]

TAGS = "TagListMessage"
"""The kind of documents that hold nothing but tags."""


def document(store: Store, kind: str, name: str = "", *, cluster: int = STORE) -> dict[str, Any] | None:
    """A part of a structure; None if nothing is kept."""
    body = store.context.catalog.documents.get(cluster, kind, name)
    return None if body is None else _read(kind, body)


def all_documents(store: Store, kind: str, cluster: int | None = None) -> dict[tuple[int, str], dict[str, Any]]:
    """The documents of a kind by cluster and name; those of one cluster or of all."""
    rows = store.context.catalog.documents.all(kind, cluster)
    return {(number, name): _read(kind, body) for number, name, body in rows}


def keep(store: Store, kind: str, values: dict[str, Any], name: str = "", *, cluster: int = STORE) -> None:
    """Keep a part of a structure, in place of what was kept; members that the model lacks are left out.

    Raises the errors of the catalog.
    """
    context = store.context
    context.require_writable()
    shape = shape_named("rds", kind)
    present = {key: value for key, value in values.items() if value is not None and key in shape.members}
    with context.catalog.transaction():
        if cluster == STORE or context.catalog.clusters.get(cluster) is not None:
            context.catalog.documents.put(cluster, kind, name, to_json(shape, present))


def remove(store: Store, kind: str, name: str = "", *, cluster: int = STORE) -> bool:
    """Forget what is kept; returns whether something was."""
    context = store.context
    context.require_writable()
    with context.catalog.transaction():
        return context.catalog.documents.remove(cluster, kind, name)


def in_transaction(operation: Operation) -> Operation:
    """An operation that reads what it changes, in the catalog only: nobody else changes it in between."""

    @wraps(operation)
    def whole(call: Call, values: dict[str, Any]) -> dict[str, Any]:
        with call.store.context.errors(), call.store.context.catalog.transaction():
            return operation(call, values)

    return whole


def _read(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    values = from_json(shape_named("rds", kind), body, kind)
    assert isinstance(values, dict)
    return values
