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
from clusterdb.ha.reader_lag import reader_lags
from clusterdb.server.console import charts
from clusterdb.server.console.site import HEADERS, Site, closing_of
from clusterdb.store import Store

__all__ = ["Hub"]

SAMPLES = 60
_TICK_S = 1.0
_SIZES_S = 5.0
_BEATS = 15
_TOPICS_MAX = 8


@dataclass
class _Topic:
    """What was computed last, when, and the samples before it."""

    message: str = ""
    at: float = -1e9
    samples: dict[str, deque[float]] = field(default_factory=dict)
    used_count: int = 0
    used_at: float = -1e9
    guard: asyncio.Lock = field(default_factory=asyncio.Lock)


class Hub:
    """The topics of one server."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._topics: dict[str, _Topic] = {}
        self.stream_count = 0

    async def endpoint(self, request: Request) -> Response:
        """The stream of the topics in the URL, as ``?topic=databases&topic=lag:prod``."""
        wanted = request.query_params.getlist("topic")[:_TOPICS_MAX]
        topics = [topic for topic in wanted if topic == "databases" or topic.startswith("lag:")]
        closing = closing_of(request)
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
                    self._topics.pop(name, None)
                    return None
                topic.at = time.monotonic()
        return topic.message


def _compute(store: Store, name: str, topic: _Topic) -> str:
    kind, _, argument = name.partition(":")
    if kind == "lag":
        return _lag(store, argument, topic)
    return f"event: databases\ndata: {_state(store, topic)}\n\n"


def _state(store: Store, topic: _Topic) -> str:
    """A number that differs when the list of clusters has changed; for their sizes, only every few seconds."""
    context = store.context
    context.require_open()
    if time.monotonic() - topic.used_at >= _SIZES_S:
        topic.used_count, topic.used_at = context.pages.slot_map.used_count(), time.monotonic()
    rows = tuple(
        (row.cluster, row.name, row.volume, row.status, row.settings.to_json())
        for row in context.catalog.clusters.all()
    )
    return f"{hash((rows, topic.used_count)):x}"


def _lag(store: Store, name: str, topic: _Topic) -> str:
    cluster = store.cluster(name)
    readers = reader_lags(store.context, cluster)
    versions = {row.server_id: row.current_read_lsn for row in cluster.replica_status()}
    for reader in readers:
        samples = topic.samples.setdefault(reader.name, deque(maxlen=SAMPLES))
        before = samples[-1] if samples else None
        samples.append(before + _TICK_S * 1000 if reader.is_cut_off and before is not None else reader.lag_ms)
    for gone in topic.samples.keys() - {reader.name for reader in readers}:
        del topic.samples[gone]
    legend = Markup("").join(
        Markup('<li class="series-{}">{}: {:.0f} ms behind, {}</li>').format(
            number % 6,
            reader.name,
            topic.samples[reader.name][-1],
            "cut off from the writer" if reader.is_cut_off else f"at version {versions.get(reader.name)}",
        )
        for number, reader in enumerate(readers)
    )
    chart = charts.lags({reader.name: tuple(topic.samples[reader.name]) for reader in readers}, SAMPLES)
    html = f'<hx-partial hx-target="#lag" hx-swap="innerHTML">{chart}<ul class="legend">{legend}</ul></hx-partial>'
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"
