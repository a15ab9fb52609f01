"""A service that is far away: a proxy on this machine, behind which every request takes some time more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["slow"]


@contextmanager
def slow(address: str, delay_s: float) -> Iterator[str]:
    """The address of a proxy of a service at ``HOST:PORT``: what a client sends arrives after ``delay_s``."""
    host, _, port = address.partition(":")
    loop = asyncio.new_event_loop()
    started: list[str] = []
    is_ready = threading.Event()

    async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter, pause_s: float) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await source.read(1 << 20):
                if pause_s:
                    await asyncio.sleep(pause_s)
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # the end
            service_reader, service_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(forward(reader, service_writer, delay_s), forward(service_reader, writer, 0))

    async def start() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        started.append("{}:{}".format(*server.sockets[0].getsockname()[:2]))

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        is_ready.set()
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_ready.wait()
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
