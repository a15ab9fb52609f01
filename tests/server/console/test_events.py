"""The stream of changes."""

from __future__ import annotations

import asyncio
import http.client
import re
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import clusterdb
from clusterdb.server.background import running
from clusterdb.server.console.events import Hub
from clusterdb.server.console.site import Site
from tests.server.console.client import Client


def read(hub: Hub, topics: list[str], until: Callable[[str], bool], meanwhile: Callable[[], object]) -> str:
    """Read a stream until its text satisfies a condition; ``meanwhile`` runs after its first message."""

    async def reading() -> str:
        text = ""
        closing = asyncio.Event()
        request: Any = type("Request", (), {})()
        request.query_params = type("Query", (), {"getlist": lambda self, name: topics})()
        request.app = type("App", (), {"state": type("State", (), {"closing": closing})()})()
        response: Any = await hub.endpoint(request)
        thread = threading.Thread(target=meanwhile)
        async for part in response.body_iterator:
            if not text:
                thread.start()
            text += part
            if until(text):
                closing.set()
        thread.join()
        return text

    return asyncio.run(asyncio.wait_for(reading(), 60))


def test_change_of_the_list_is_sent(shop: clusterdb.Store) -> None:
    """A clone of another process would be seen the same way."""
    hub = Hub(Site(lambda: shop, False))
    text = read(
        hub,
        ["databases"],
        lambda text: "event: databases" in text,
        lambda: _later(lambda: shop.cluster("prod").clone("x")),
    )
    assert text.startswith("retry:")
    assert hub.stream_count == 0


def _later(change: Callable[[], object]) -> None:
    threading.Event().wait(1.2)  # after the first state was computed
    change()


def test_lag_is_drawn(shop: clusterdb.Store) -> None:
    """As a part of the page, with the lag of every reader."""
    text = read(Hub(Site(lambda: shop, False)), ["lag:prod"], lambda text: "</hx-partial>" in text, lambda: None)
    assert "prod-2: " in text and "ms behind, at version " in text and "<svg" in text
    assert all(line.startswith(("data: ", "retry: ")) for line in text.splitlines() if line)


def test_readers_that_are_cut_off_fall_behind(shop: clusterdb.Store) -> None:
    """While a failure of replicas is simulated, their line rises."""
    with closing(shop.cluster("prod").connect()) as connection:
        connection.execute("SELECT aurora_inject_replica_failure(100, 60, '')").fetchall()
    text = read(
        Hub(Site(lambda: shop, False)), ["lag:prod"], lambda text: text.count("</hx-partial>") > 2, lambda: None
    )
    lags = [float(lag) for lag in re.findall(r"prod-2: (\d+) ms behind, cut off from the writer", text)]
    assert lags == sorted(lags) and lags[-1] >= 2000


def test_stream_of_a_deleted_database_ends(shop: clusterdb.Store) -> None:
    """Instead of an error in the log once a second."""
    text = read(Hub(Site(lambda: shop, False)), ["lag:nope"], lambda text: False, lambda: None)
    assert text == "retry: 2000\n\n"


def test_streams_end_with_their_server(shop: clusterdb.Store) -> None:
    """A server that stops does not wait for pages to leave."""
    with running(shop) as server:
        connection = http.client.HTTPConnection(server.host, server.port)
        connection.request("GET", "/events?topic=databases")
        response = connection.getresponse()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.readline() == b"retry: 2000\n"
    assert response.read().strip() == b""
    connection.close()


def test_pages_name_their_topics(console: Client) -> None:
    """One stream for each page that shows what changes."""
    assert console.get("/").text.count('hx-sse:connect="/events?topic=databases"') == 1
    assert 'topic=lag%3Aprod"' in console.get("/clusters/prod/instances").text
