"""The HTTP application: guards on every route, AWS's services, ``/healthz``, metrics and the console.

Work that may block runs in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from clusterdb.server.api import Api, is_api_path, refusal
from clusterdb.server.call import Serving
from clusterdb.server.faults import Fault
from clusterdb.server.guard import Credential, require_basic, require_known_host, require_own_origin
from clusterdb.server.namespaces import Namespaces
from clusterdb.server.pages import page_routes
from clusterdb.server.protocol.messages import Reply, Request
from clusterdb.store import Store

__all__ = ["BODY_BYTES_MAX", "Site", "create_app"]

BODY_BYTES_MAX = 4 << 20
_THREADS_MAX = 64
"""More than the calls that can wait for one writer at a time in practice: the Data API's clients wait here."""


@dataclass(frozen=True)
class Site:
    """What an application serves, and where.

    :ivar host: the host that is bound
    :ivar names: further host names that the server is known by
    :ivar credentials: the access keys that may call; None: anyone may, on loopback
    """

    store: Store
    account: str
    region: str
    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    credentials: Mapping[str, Credential] | None = None
    serving: Serving = field(default_factory=Serving)


def create_app(site: Site, namespaces: Namespaces, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application; ``routes`` come before those of pages.

    Its ``state.closing`` is an event that is set when the server is about to stop: streams end then.
    """
    api = Api(namespaces, site.serving, site.account, site.credentials)
    limiter: list[anyio.CapacityLimiter] = []

    async def call(body: bytes, scope: Scope) -> Response:
        if not limiter:
            limiter.append(anyio.CapacityLimiter(_THREADS_MAX))
        request = _request(scope, body)
        reply = await anyio.to_thread.run_sync(api.reply, request, limiter=limiter[0], abandon_on_cancel=True)
        return _response(reply)

    app = Starlette(
        routes=[
            *routes,
            Route("/healthz", _healthy),
            *page_routes(site.store, site.serving, namespaces, account=site.account, region=site.region),
        ]
    )
    app.state.closing = asyncio.Event()
    app.add_middleware(_Front, site=site, call=call)
    return app


async def _healthy(request: object) -> Response:
    return PlainTextResponse("ok\n")


class _Front:
    """The guards, and requests for AWS's services; everything else goes to the routes."""

    def __init__(self, app: ASGIApp, site: Site, call: Callable[..., object]) -> None:
        self._app = app
        self._site = site
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_api = scope["method"] == "POST" and is_api_path(scope["path"])
        try:
            self._require_allowed(scope, is_api=is_api)
            if not is_api:
                await self._app(scope, receive, send)
                return
            body = await _body(scope, receive)
        except Fault as fault:
            await _refused(scope, fault, is_api=is_api)(scope, receive, send)
            return
        response = await self._call(body, scope)  # type: ignore[misc]
        await response(scope, receive, send)

    def _require_allowed(self, scope: Scope, *, is_api: bool) -> None:
        headers = _headers(scope)
        require_known_host(headers.get("host"), self._site.host, self._site.names)
        require_own_origin(headers)
        if self._site.credentials is not None and not is_api and scope["path"] != "/healthz":
            require_basic(headers.get("authorization"), self._site.credentials)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _request(scope: Scope, body: bytes) -> Request:
    return Request(scope["method"], scope["path"], _headers(scope), body, scope["query_string"].decode("latin-1"))


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body.  Raises Fault if it is too large, without reading the rest."""
    length = _headers(scope).get("content-length", "0")
    parts: list[bytes] = []
    size = 0
    more = True
    if length.isdigit() and int(length) > BODY_BYTES_MAX:
        raise _too_large()
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Fault("RequestTimeout", "The connection was closed before the request was complete", 400)
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise _too_large()
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large() -> Fault:
    return Fault("RequestEntityTooLarge", f"The request is larger than {BODY_BYTES_MAX} bytes", 413)


def _refused(scope: Scope, fault: Fault, *, is_api: bool) -> Response:
    if is_api:
        response = _response(refusal(_request(scope, b""), fault))
    else:
        response = PlainTextResponse(f"{fault.message}\n", fault.status)
        if fault.status == 401:
            response.headers["www-authenticate"] = 'Basic realm="clusterdb", charset="UTF-8"'
    if fault.status == 413:
        response.headers["connection"] = "close"
    return response


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers))
