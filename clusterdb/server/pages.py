"""The routes for people and monitors: the console and ``/metrics``; one line for each package."""

from __future__ import annotations

from starlette.routing import BaseRoute

from clusterdb.server import console
from clusterdb.server.call import Serving
from clusterdb.store import Store

__all__ = ["page_routes"]


def page_routes(store: Store, serving: Serving, *, account: str, region: str) -> list[BaseRoute]:
    """The routes of the console, at ``/``, and of metrics."""
    routes: list[BaseRoute] = []
    routes += console.routes(lambda: store, read_only=serving.read_only, account=account, region=region)
    # routes += monitoring.routes(store)
    return routes
