"""Waiting for the signal that ends a command, in a process with several threads.

Python runs a signal's handler in the main thread, but the kernel may deliver the signal to another: then nothing wakes
a main thread that sleeps or waits for a lock, and the handler never runs.  A :class:`Pause` waits for the descriptor
that a signal is written to in whichever thread it arrives (``set_wakeup_fd`` in Python's documentation of ``signal``).
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Pause", "catching", "pausing"]


class Pause:
    """Waits for time to pass, or for a signal."""

    def __init__(self, wakened: socket.socket) -> None:
        self._wakened = wakened

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a signal that has a handler in Python, for ``timeout_s`` at most; whether there was one."""
        readable, _, _ = select.select([self._wakened], [], [], timeout_s)
        with suppress(BlockingIOError):
            return bool(readable) and bool(self._wakened.recv(4096))
        return False


@contextmanager
def pausing() -> Iterator[Pause]:
    """A pause for the body, which runs in the main thread."""
    wakened, waker = socket.socketpair()
    with wakened, waker:
        wakened.setblocking(False)
        waker.setblocking(False)
        before = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            yield Pause(wakened)
        finally:
            signal.set_wakeup_fd(before)


@contextmanager
def catching(*numbers: int) -> Iterator[Callable[[], None]]:
    """Keep these signals from ending the body; it calls what is yielded, which waits until one of them has arrived."""
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: arrived.append(number)) for number in numbers}
    try:
        with pausing() as pause:

            def wait() -> None:
                while not arrived:
                    pause.wait()

            yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
