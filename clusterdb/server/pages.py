"""The routes for people and monitors: the console and ``/metrics``; one line for each package."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from clusterdb.server.call import Serving
from clusterdb.store import Store

__all__ = ["page_routes"]


def page_routes(store: Store, serving: Serving) -> list[BaseRoute]:
    """The routes of the console, at ``/``, and of metrics."""

    async def home(request: Request) -> Response:
        return PlainTextResponse(f"clusterdb serves {store.path}: Amazon RDS by POST /\n")

    routes: list[BaseRoute] = []
    # routes += console.routes(lambda: store, read_only=serving.read_only)
    # routes += monitoring.routes(store)
    routes.append(Route("/", home))
    return routes
