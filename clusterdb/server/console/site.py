"""What all pages share: the store, the token of forms, notices, security headers, and errors as one line."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anyio
import anyio.to_thread
import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from clusterdb.access.sqlite import SQLError
from clusterdb.errors import ClusterNotFoundError, Error, SnapshotNotFoundError, StoreBusyError, StoreReadOnlyError
from clusterdb.server.console import charts
from clusterdb.server.console.code import Code, Shown, shown
from clusterdb.server.console.fields import Fields
from clusterdb.store import Store
from clusterdb.views.text import bytes_text, duration_text, time_text

__all__ = ["HEADERS", "Asked", "Handler", "Notice", "Site", "closing_of", "in_words", "one_line", "secured", "url"]

_FOLDER = Path(__file__).parent
_BODY_BYTES_MAX = 4 << 20
_NOTICES_MAX = 200
_RUNS_MAX = 16
_LOOK_S = 1.0
_log = logging.getLogger("clusterdb.server.console")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What an action has done, shown once the next page is loaded; ``undo``: the action that undoes it, if one does."""

    message: str
    code: Shown | None = None
    undo: tuple[str, str, Mapping[str, str]] | None = None
    """The label of the button, the name of the action, and its fields."""


@dataclass
class Site:
    """The console of one server.

    ``token`` is in every form.  ``notices`` are kept by an id that is in the URL, so that a reload shows them again.
    """

    store_of: Callable[[], Store]
    read_only: bool
    account: str = "123456789012"
    region: str = "us-east-1"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    notices: OrderedDict[str, Notice] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.pages = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.pages.globals |= {"url": url, "charts": charts}
        self.pages.filters |= {
            "bytes": bytes_text,
            "time": time_text,
            "moment": lambda time: time.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            "duration": duration_text,
            "span": _span,
            "size": _size,
        }

    def note(self, notice: Notice) -> str:
        """Keep a notice, and return its id."""
        number = secrets.token_urlsafe(9)
        with self._guard:
            self.notices[number] = notice
            while len(self.notices) > _NOTICES_MAX:
                self.notices.popitem(last=False)
        return number


def _span(seconds: float | None) -> str:
    """Seconds as a duration that a form takes: ``12h``."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s" if seconds else ""


def _size(size_bytes: int | None) -> str:
    """Bytes as a size that a form takes, exactly: ``256 MiB``."""
    if size_bytes is None:
        return ""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size_bytes and size_bytes % (1 << shift) == 0:
            return f"{size_bytes >> shift} {unit}"
    return str(size_bytes)


def url(path: str, /, **query: object) -> str:
    """A path with a query; what is None or empty is left out."""
    pairs = [(name, str(value)) for name, value in query.items() if value not in (None, "")]
    return f"{path}?{urlencode(pairs)}" if pairs else path


@dataclass(frozen=True)
class Asked:
    """A request to the console: ``query`` has the fields of the URL, ``form`` those of the body."""

    site: Site
    request: Request
    query: Fields
    form: Fields

    @property
    def store(self) -> Store:
        """The store that is shown."""
        return self.site.store_of()

    @property
    def is_part(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return "hx-request" in self.request.headers

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be changed."""
        return self.site.read_only or self.store.read_only

    @property
    def address(self) -> str:
        """The address of the server, for boto3."""
        base = self.request.base_url
        return f"{base.scheme}://{base.netloc}"

    def shown(self, code: Code) -> Shown:
        """Code for this store and this server."""
        site = self.site
        return shown(code, store=self.store.path, url=self.address, account=site.account, region=site.region)

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page from a template."""
        notice = self.site.notices.get(self.query.text("notice"))
        shared = {
            "asked": self,
            "here": self.request.url.path,
            "notice": notice,
            "token": self.site.token,
            "read_only": self.is_read_only,
            "store_path": self.store.path,
        }
        return HTMLResponse(self.site.pages.get_template(template).render(shared | values), status)

    def go(self, path: str, notice: Notice | None = None) -> Response:
        """Continue at another page, after an action."""
        if notice is not None:
            path, _, fragment = path.partition("#")
            path += f"{'&' if '?' in path else '?'}notice={self.site.note(notice)}" + (
                f"#{fragment}" if fragment else ""
            )
        if self.is_part:
            return Response(headers={"HX-Redirect": path})
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


Handler = Callable[[Asked], Response]


def one_line(error: BaseException) -> str:
    """An error as one line, in the words of the page."""
    text = " ".join(str(error).split())
    text = text.replace("use on_conflict='skip' or on_conflict='replace' to apply the other changes", _CONFLICTS)
    return re.sub(r"^([^:=]+)=('[^']*'|[\w.-]+): ", r"\1 \2: ", in_words(text))


def in_words(text: str) -> str:
    """A message of a verb with the labels of the page in place of the names in Python."""
    for name, label in _LABELS.items():
        text = re.sub(rf"\b{name}\b", label, text)
    return text


_CONFLICTS = "choose to skip or to replace these rows on the page Diff"
_LABELS = {
    "backup_retention_days": "Days that the past is kept",
    "backup_retention_bytes": "Size that the past may take",
    "backtrack_window_s": "Backtrack window",
    "deletion_protection": "Protection",
    "ttl_s": "Time to live",
    "idle_s": "Idle time",
    "clone_limit": "Limit of clones",
    "promotion_tier": "Tier",
    "replica_lag_ms": "Lag",
    "lag_jitter_ms": "Jitter",
    "percentage_of_failure": "Percent",
    "time_interval": "Seconds",
}


def closing_of(request: Request) -> asyncio.Event:
    """The event that is set when the server is about to stop."""
    closing: asyncio.Event = request.app.state.closing
    return closing


def secured(
    site: Site, handler: Handler, *, changes: bool = False, left: Callable[[Asked], object] | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that runs a handler in a thread.

    ``changes``: the form must carry the token.  ``left``: the handler runs SQL, which may take long: it has threads of
    its own, so that other pages are answered, and ``left`` is called if its client leaves meanwhile, or the server
    stops.
    """
    limiter: list[anyio.CapacityLimiter] = []  # created within the event loop

    async def run(asked: Asked) -> Response:
        if left is None:
            return await run_in_threadpool(_answer, asked, handler, changes=changes)
        if not limiter:
            limiter.append(anyio.CapacityLimiter(_RUNS_MAX))
        answer = partial(_answer, asked, handler, changes=changes)
        task = asyncio.ensure_future(anyio.to_thread.run_sync(answer, limiter=limiter[0]))
        closing = closing_of(asked.request)
        while not (await asyncio.wait({task}, timeout=_LOOK_S))[0]:
            if closing.is_set() or await asked.request.is_disconnected():
                await run_in_threadpool(left, asked)
        return task.result()

    async def endpoint(request: Request) -> Response:
        query = Fields(parse_qsl(request.url.query, keep_blank_values=True))
        form = Fields(())
        if request.method == "POST":
            body = await _body(request)
            if body is None:
                return _with_headers(HTMLResponse("the request is larger than 4 MiB", 413))
            form = Fields(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        asked = Asked(site, request, query, form)
        return _with_headers(await run(asked))

    return endpoint


async def _body(request: Request) -> bytes | None:
    """The body; None if it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _BODY_BYTES_MAX:
            return None
        parts.append(part)
    return b"".join(parts)


def _answer(asked: Asked, handler: Handler, *, changes: bool) -> Response:
    try:
        if changes and not secrets.compare_digest(asked.form.text("token").encode(), asked.site.token.encode()):
            return _problem(asked, "the server was restarted since this page was loaded: reload the page", 403)
        return handler(asked)
    except (Error, SQLError) as error:
        return _problem(asked, one_line(error), _status_of(error))
    except Exception:
        _log.exception("%s %s failed", asked.request.method, asked.request.url.path)
        return _problem(asked, "internal error: the server's log has the details", 500)


def _status_of(error: BaseException) -> int:
    if isinstance(error, ClusterNotFoundError | SnapshotNotFoundError):
        return 404
    if isinstance(error, StoreReadOnlyError):
        return 403
    return 503 if isinstance(error, StoreBusyError) else 400


def _problem(asked: Asked, message: str, status: int) -> Response:
    template = "_error.html" if asked.is_part else "error.html"
    return asked.page(template, status=status, message=message, code=status)


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
