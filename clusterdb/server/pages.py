"""The routes for people and monitors: the console and ``/metrics``; one line for each package."""

from __future__ import annotations

from starlette.routing import BaseRoute

from clusterdb.server import console, monitoring
from clusterdb.server.call import Serving
from clusterdb.server.namespaces import Namespaces
from clusterdb.store import Store

__all__ = ["page_routes"]


def page_routes(
    store: Store, serving: Serving, namespaces: Namespaces, *, account: str, region: str
) -> list[BaseRoute]:
    """The routes of the console, at ``/``, and of metrics."""
    routes: list[BaseRoute] = []
    routes += console.routes(lambda: store, read_only=serving.read_only, account=account, region=region)
    routes += monitoring.routes(store, serving, namespaces)
    return routes
