"""A proxy before an HTTP service: counts requests and the bytes of answers, and delays each request."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

__all__ = ["Proxy", "counting"]


@dataclass
class Proxy:
    """A running proxy.

    :ivar url: its address
    :ivar delay_s: what it waits before it passes on a request
    :ivar requests: the requests by method
    :ivar received_bytes: the bytes of the bodies of answers
    """

    url: str
    delay_s: float = 0
    requests: Counter[str] = field(default_factory=Counter)
    received_bytes: int = 0

    def reset(self, delay_s: float) -> None:
        """Count from zero, with another delay."""
        self.delay_s, self.requests, self.received_bytes = delay_s, Counter(), 0


@contextmanager
def counting(port: int) -> Iterator[Proxy]:
    """A proxy before a service on loopback, in threads of this process."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        proxy = Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_accept, args=(proxy, listener, port), daemon=True).start()
        yield proxy


def _accept(proxy: Proxy, listener: socket.socket, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # closed
            return
        threading.Thread(target=_serve, args=(proxy, client, port), daemon=True).start()


def _serve(proxy: Proxy, client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as service:
        for end in (client, service):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rwb") as to_client, service.makefile("rwb") as to_service:
            try:
                while (head := _head(to_client)) is not None:
                    method = head.partition(b" ")[0].decode()
                    proxy.requests[method] += 1
                    time.sleep(proxy.delay_s)
                    _pass_on(head, to_client, to_service, has_body=True)
                    answer = _head(to_service)
                    if answer is None:
                        return
                    has_body = method != "HEAD" and answer.split(b" ")[1] not in (b"204", b"304")
                    proxy.received_bytes += _pass_on(answer, to_service, to_client, has_body=has_body)
            except OSError:  # the client has gone
                return


def _head(source: BinaryIO) -> bytes | None:
    """The first line and the headers of a message; None at the end of the connection."""
    lines = []
    while line := source.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return None


def _pass_on(head: bytes, source: BinaryIO, target: BinaryIO, *, has_body: bool) -> int:
    """Pass on a message; the bytes of its body."""
    headers = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    target.write(head)
    count = 0
    if has_body and b"chunked" in headers.get(b"transfer-encoding", b""):
        while size := int((line := source.readline()).split(b";")[0], 16):
            target.write(line + source.read(size + 2))
            count += size
        target.write(line + source.readline())
    elif has_body:
        count = int(headers.get(b"content-length", b"0"))
        target.write(source.read(count))
    target.flush()
    return count
