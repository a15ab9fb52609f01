"""A browser without scripts: requests to the console's routes, in this process, without a network."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.applications import Starlette

import clusterdb
from clusterdb.server.console import routes

__all__ = ["Client", "Page"]

Form = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a reader sees: the text without tags, with single blanks."""
        text = re.sub(r"<(script|style).*?</\1>", " ", self.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())

    @property
    def error(self) -> str:
        """The error that the page shows; empty without one."""
        match = re.search(r'class="error" role="alert">(.*?)</p>', self.text, re.DOTALL)
        return html.unescape(re.sub(r"<[^>]*>", "", match[1])).strip() if match else ""


class Client:
    """Asks the console of a store; ``token`` is that of its forms."""

    def __init__(self, store: clusterdb.Store, *, read_only: bool = False) -> None:
        self.app = Starlette(routes=routes(lambda: store, read_only=read_only))
        self.app.state.closing = asyncio.Event()
        match = re.search(r'name="token" value="([^"]+)"', self.get("/query").text)
        assert match is not None
        self.token = match[1]

    def get(self, path: str, **headers: str) -> Page:
        """A page."""
        return self.request("GET", path, b"", headers)

    def post(self, path: str, fields: Form = (), *, part: bool = False, token: str | None = None) -> Page:
        """Send a form; ``part``: as htmx does."""
        pairs = [*(fields.items() if isinstance(fields, Mapping) else fields)]
        body = urlencode([*pairs, ("token", self.token if token is None else token)]).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", **({"hx-request": "true"} if part else {})}
        return self.request("POST", path, body, headers)

    def do(self, action: str, fields: Form = ()) -> Page:
        """Perform an action, and follow to the page that it continues at."""
        page = self.post(f"/do/{action}", fields)
        return self.get(page.headers["location"].partition("#")[0]) if page.status == 303 else page

    def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, leaves: bool = False) -> Page:
        """Run the application for one request; ``leaves``: the client closes the connection once it has sent it."""
        path, _, query = path.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:80"), *((k.encode(), v.encode()) for k, v in headers.items())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        received: list[Any] = []

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            if not leaves:
                await asyncio.sleep(3600)  # until the response is complete
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received.append(message)

        asyncio.run(self.app(scope, receive, send))
        start = next(message for message in received if message["type"] == "http.response.start")
        return Page(
            start["status"],
            {name.decode().lower(): value.decode() for name, value in start["headers"]},
            b"".join(message.get("body", b"") for message in received if message["type"] == "http.response.body"),
        )
