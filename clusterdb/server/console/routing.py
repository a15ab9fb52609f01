"""The routes of the console."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from clusterdb.errors import Error, InvalidArgumentError, StoreReadOnlyError
from clusterdb.server.console import clusters, compare, databases, past
from clusterdb.server.console.actions import ACTIONS
from clusterdb.server.console.actions.record import Action
from clusterdb.server.console.events import Hub
from clusterdb.server.console.site import HEADERS, Asked, Handler, Notice, Site, in_words, one_line, secured
from clusterdb.server.console.sql.editor import Editor
from clusterdb.server.console.sql.exporting import export
from clusterdb.server.console.sql.running import Runs
from clusterdb.server.console.sql.trying import Trying
from clusterdb.store import Store

__all__ = ["routes"]

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
}


def routes(
    store_of: Callable[[], Store], *, read_only: bool, account: str = "123456789012", region: str = "us-east-1"
) -> list[BaseRoute]:
    """The routes of the console, for the application's list.

    ``store_of`` returns the store, for every request; ``account`` and ``region`` are those of the code that pages show.
    The application checks Host, Origin and Sec-Fetch-Site of all requests, and limits bodies; forms carry a token of
    their own.  The route ``/events`` streams until its client leaves, or until the event ``closing`` of the
    application's state is set.
    """
    site = Site(store_of, read_only, account, region)
    site.pages.globals["asset"] = _asset
    runs = Runs()
    editor, trying, hub = Editor(runs), Trying(runs), Hub(site)
    pages: dict[str, Handler] = {
        "/": databases.databases,
        "/new": databases.new,
        "/clone": databases.clone,
        "/delete": databases.delete,
        "/snapshots": clusters.snapshots,
        "/activity": clusters.activity,
        "/diff": compare.difference,
        "/diff.sql": compare.script,
        "/diff.changeset": compare.changeset,
        "/diff/{table:path}": compare.table,
        "/query": editor.page,
        "/query/names/{cluster}": editor.names,
        "/clusters/{cluster}": clusters.overview,
        "/clusters/{cluster}/past": past.past,
        "/clusters/{cluster}/back": past.back,
        "/clusters/{cluster}/instances": clusters.instances,
        "/clusters/{cluster}/pages": clusters.pages,
        "/clusters/{cluster}/settings": clusters.settings,
        "/clusters/{cluster}/download": clusters.download,
    }
    reading_forms: dict[str, Handler] = {
        "/code/{action}": _code,
        "/query/parameters": editor.parameters,
        "/query/cancel": editor.cancel,
    }
    running: dict[str, Handler] = {
        "/query/run": editor.run,  # refuses writes itself where the server is read-only
        "/query/explain": editor.explain,
        "/query/export": lambda asked: export(asked, runs),
        "/query/try": _writing(trying.attempt),
    }
    writing_forms: dict[str, Handler] = {
        "/do/{action}": _do,
        "/query/apply": trying.apply,
        "/query/discard": trying.discard,
    }
    return [
        *(Route(path, secured(site, handler), methods=["GET"]) for path, handler in pages.items()),
        *(
            Route(path, secured(site, handler, changes=True), methods=["POST"])
            for path, handler in reading_forms.items()
        ),
        *(
            Route(path, secured(site, _writing(handler), changes=True), methods=["POST"])
            for path, handler in writing_forms.items()
        ),
        *(
            Route(path, secured(site, handler, changes=True, left=editor.leave), methods=["POST"])
            for path, handler in running.items()
        ),
        Route("/events", hub.endpoint, methods=["GET"], name="console-events"),
        Route("/static/{path:path}", _static, methods=["GET"]),
        Route("/favicon.ico", lambda _request: RedirectResponse("/static/icon.svg"), methods=["GET"]),
    ]


def _writing(handler: Handler) -> Handler:
    """A handler that is refused where the server is read-only.  Raises StoreReadOnlyError."""

    def checked(asked: Asked) -> Response:
        if asked.is_read_only:
            raise StoreReadOnlyError("this server is read-only: start it without --read-only to change something")
        return handler(asked)

    return checked


# --- actions ----------------------------------------------------------------------------------------------------------
def _action(asked: Asked) -> Action:
    name = asked.path("action")
    if name not in ACTIONS:
        raise InvalidArgumentError(f"unknown action '{name:.40}': use {', '.join(ACTIONS)}")
    return ACTIONS[name]


def _do(asked: Asked) -> Response:
    """Perform an action, then show what was done, as code too."""
    action = _action(asked)
    code = asked.shown(action.code(asked.form))
    done = action.perform(asked.store, asked.form)
    path = done.to if done.to.startswith("/") and not done.to.startswith("//") else "/"
    return asked.go(path, Notice(in_words(done.message), code, done.undo))


def _code(asked: Asked) -> Response:
    """An action as code, while its form is filled in."""
    try:
        code = asked.shown(_action(asked).code(asked.form))
    except Error as error:
        return asked.page("_message.html", message=one_line(error))
    return asked.page("_code.html", code=code)


# --- files ------------------------------------------------------------------------------------------------------------
def _files() -> dict[str, tuple[bytes, str, str]]:
    """The served files by their path: content, type and a tag of the content."""
    files = {}
    for path in sorted(_STATIC.rglob("*")):
        if path.is_file() and path.suffix in _TYPES and "source" not in path.relative_to(_STATIC).parts:
            content = path.read_bytes()
            tag = hashlib.sha256(content).hexdigest()[:16]
            files[path.relative_to(_STATIC).as_posix()] = (content, _TYPES[path.suffix], tag)
    return files


_FILES = _files()


def _asset(name: str) -> str:
    """The URL of a served file, which changes with its content."""
    return f"/static/{name}?{_FILES[name][2]}"


def _static(request: Request) -> Response:
    known = _FILES.get(request.path_params["path"])
    if known is None:
        return Response("not found\n", 404, {**HEADERS}, "text/plain")
    content, media_type, tag = known
    headers = {**HEADERS, "ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if request.url.query == tag:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if request.headers.get("if-none-match") == f'"{tag}"':
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
