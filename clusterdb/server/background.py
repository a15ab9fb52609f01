"""A server in a thread: for the command line, and for tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from clusterdb.errors import InvalidArgumentError
from clusterdb.server.app import Site, create_app
from clusterdb.server.call import Serving
from clusterdb.server.guard import Credential, require_guarded
from clusterdb.server.namespaces import Namespaces
from clusterdb.store import Store

__all__ = ["DEFAULT_ACCOUNT", "DEFAULT_REGION", "Running", "running"]

DEFAULT_ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"
_GRACE_S = 1
"""How long calls may continue when the server stops, before their SQL is interrupted; streams end at once."""
_ANSWER_S = 9
"""How long interrupted calls have to answer, before their connections are closed."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts requests: its store, base URL, host, port, account and region."""

    store: Store
    url: str
    host: str
    port: int
    account: str
    region: str


class _Server(uvicorn.Server):
    """Reports when it accepts requests, and when it is about to stop."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event, interrupt: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._closing = closing
        self._interrupt = interrupt

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        tasks = [asyncio.create_task(self._interrupt_calls()), asyncio.create_task(self._close_connections())]
        try:
            await super().shutdown(sockets)  # waits for the calls
        finally:
            for task in tasks:
                task.cancel()

    async def _close_connections(self) -> None:
        """Close connections that are accepted while others are closed; uvicorn would wait for their clients."""
        while True:
            await asyncio.sleep(0.1)
            for connection in list(self.server_state.connections):
                if not connection.transport.is_closing():
                    connection.shutdown()

    async def _interrupt_calls(self) -> None:
        await asyncio.sleep(_GRACE_S)
        await asyncio.to_thread(self._interrupt)


@contextmanager
def running(
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    account: str = DEFAULT_ACCOUNT,
    region: str = DEFAULT_REGION,
    names: tuple[str, ...] = (),
    credentials: Mapping[str, Credential] | None = None,
    serving: Serving | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """Serve a store over HTTP while the body runs.

    ``port`` 0: any free one.  ``account`` (twelve digits) and ``region`` are those of the store; others are separate
    namespaces.  ``names``: further host names that the server is known by.  ``credentials``: the access keys that may
    call, whose signatures are verified then.  ``settings``: those of :class:`~clusterdb.server.call.Serving`.

    Raises InvalidArgumentError for a host beyond loopback without credentials, or an address that cannot be bound.
    """
    require_guarded(host, credentials)
    serving = serving if serving is not None else Serving(**settings)
    with ExitStack() as stack:
        listener = stack.enter_context(_bound(host, port))
        namespaces = Namespaces(store, account, region)
        stack.callback(namespaces.close)
        stack.callback(serving.close)
        site = Site(store, account, region, host, names, credentials, serving)
        app = create_app(site, namespaces)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_S + _ANSWER_S,
        )
        server = _Server(config, app.state.closing, serving.close)
        stack.enter_context(_started(server, listener))
        bound = listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        yield Running(store, f"http://{name}:{bound}", host, bound, account, region)


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises InvalidArgumentError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # then asyncio disables Nagle's algorithm
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidArgumentError(f"cannot listen on host '{host}', port {port}: {text}") from None
    return listener


@contextmanager
def _started(server: _Server, listener: socket.socket) -> Iterator[None]:
    """Run the server in a thread while the body runs."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(server.serve(sockets=[listener]))
        except BaseException as error:
            failures.append(error)
        finally:
            server.ready.set()

    thread = threading.Thread(target=run, name="clusterdb-server")
    thread.start()
    server.ready.wait()
    try:
        if failures:
            raise failures[0]
        yield
    finally:
        server.should_exit = True
        thread.join()
