"""``/metrics``: the present metrics of the store, for Prometheus."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from clusterdb.errors import Error
from clusterdb.metrics import prometheus
from clusterdb.server.call import Serving
from clusterdb.server.monitoring.sampling import monitor_of
from clusterdb.server.namespaces import Namespaces
from clusterdb.store import Store

__all__ = ["CONTENT_TYPE", "routes"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def routes(store: Store, serving: Serving, namespaces: Namespaces) -> list[BaseRoute]:
    """The route ``/metrics``; the server begins to take samples for CloudWatch."""
    monitor_of(serving).start(namespaces.stores)

    def page(request: Request) -> Response:
        try:
            text = prometheus(store.metrics())
        except Error as error:
            return PlainTextResponse(f"{' '.join(str(error).split())}\n", 503)
        return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})

    return [Route("/metrics", page, methods=["GET"])]
