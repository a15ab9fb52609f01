"""The stream of what changes: one for a page, with all of its topics.

A topic is ``databases`` (something in the list changed; the page loads it again) or ``lag:NAME`` (the drawing of the
lag of a cluster's readers).  What a topic shows is computed once per second for all streams together, and sent to
those whose last message differs.  Pages close their stream while their tab is hidden (``hx-sse``).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from clusterdb.access.sqlite import SQLError
from clusterdb.errors import Error
from clusterdb.server.console import charts
from clusterdb.server.console.site import HEADERS, Site
from clusterdb.store import Store

__all__ = ["Hub"]

SAMPLES = 60
_TICK_S = 1.0
_BEATS = 15
_TOPICS_MAX = 8


@dataclass
class _Topic:
    """What was computed last, when, and the samples before it."""

    message: str = ""
    at: float = -1e9
    samples: dict[str, deque[float | None]] = field(default_factory=dict)
    guard: asyncio.Lock = field(default_factory=asyncio.Lock)


class Hub:
    """The topics of one server."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._topics: dict[str, _Topic] = {}
        self.stream_count = 0

    async def endpoint(self, request: Request) -> Response:
        """The stream of the topics in the URL, as ``?topic=databases&topic=lag:prod``."""
        topics = request.query_params.getlist("topic")[:_TOPICS_MAX]
        closing = getattr(request.app.state, "closing", None) or asyncio.Event()
        response = StreamingResponse(self._stream(topics, closing), media_type="text/event-stream")
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    async def _stream(self, topics: list[str], closing: asyncio.Event) -> AsyncIterator[str]:
        sent: dict[str, str] = {}
        self.stream_count += 1
        beats = 0
        try:
            yield "retry: 2000\n\n"
            while not closing.is_set():
                for topic in topics:
                    message = await self._message(topic)
                    if message is None:
                        return
                    if message != sent.get(topic) and (topic in sent or topic.startswith("lag:")):
                        yield message
                    sent[topic] = message
                beats += 1
                if beats % _BEATS == 0:
                    yield ": the stream is open\n\n"
                with suppress(TimeoutError):
                    await asyncio.wait_for(closing.wait(), _TICK_S)
        finally:
            self.stream_count -= 1
            if not self.stream_count:
                self._topics.clear()

    async def _message(self, name: str) -> str | None:
        """The present message of a topic; None ends the stream: the store is closed, or the cluster deleted."""
        topic = self._topics.setdefault(name, _Topic())
        async with topic.guard:
            if time.monotonic() - topic.at >= _TICK_S * 0.9:
                try:
                    topic.message = await run_in_threadpool(_compute, self._site.store_of(), name, topic)
                except (Error, SQLError):
                    return None
                topic.at = time.monotonic()
        return topic.message


def _compute(store: Store, name: str, topic: _Topic) -> str:
    kind, _, argument = name.partition(":")
    if kind == "lag":
        return _lag(store, argument, topic)
    if kind == "databases":
        return f"event: databases\ndata: {_state(store)}\n\n"
    return ""


def _state(store: Store) -> str:
    """A number that differs when the list of clusters, or the space that they use, has changed."""
    context = store.context
    context.require_open()
    rows = (
        (row.cluster, row.name, row.volume, row.status, row.settings.to_json())
        for row in context.catalog.clusters.all()
    )
    return f"{hash((tuple(rows), context.pages.slot_map.used_count())):x}"


def _lag(store: Store, name: str, topic: _Topic) -> str:
    rows = [row for row in store.cluster(name).replica_status() if row.replica_lag_in_msec is not None]
    for row in rows:
        topic.samples.setdefault(row.server_id, deque(maxlen=SAMPLES)).append(row.replica_lag_in_msec)
    for gone in topic.samples.keys() - {row.server_id for row in rows}:
        del topic.samples[gone]
    texts = Markup("").join(
        Markup('<li class="series-{}">{}: {:.0f} ms behind, at version {}</li>').format(
            number % 6, row.server_id, row.replica_lag_in_msec or 0, row.current_read_lsn
        )
        for number, row in enumerate(rows)
    )
    chart = charts.lags({name: tuple(values) for name, values in topic.samples.items()}, SAMPLES)
    html = f'<hx-partial hx-target="#lag" hx-swap="innerHTML">{chart}<ul class="legend">{texts}</ul></hx-partial>'
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
