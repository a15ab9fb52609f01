"""Ctrl-C while SQLite runs: it ends the statement, not the shell.

Python runs signal handlers between its own steps only; a progress handler gives it such steps in a long query.  Nothing
is raised within SQLite or the storage layer below it: the handler calls ``sqlite3_interrupt``, and SQLite returns
SQLITE_INTERRUPT.  If SQLite is not running, as when Python prints a long result, the second Ctrl-C raises
KeyboardInterrupt.

A command of the control plane is short: Ctrl-C takes effect after its end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import apsw

__all__ = ["ignored", "interruptible", "postponed"]

_STEPS = 20_000
_TOO_LATE = "done before it could be interrupted"


@contextmanager
def interruptible(db: apsw.Connection) -> Iterator[None]:
    """Ctrl-C interrupts the statement that runs on this connection."""
    pressed = 0

    def press(_signal: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        with suppress(apsw.ConnectionClosedError):
            db.interrupt()
        if pressed > 1 and not _in_storage(frame):
            raise KeyboardInterrupt

    with _handled_by(press):
        db.set_progress_handler(lambda: pressed > 0, _STEPS, id=interruptible)
        try:
            yield
        finally:
            with suppress(apsw.ConnectionClosedError):  # closed by .open
                db.set_progress_handler(None, id=interruptible)
    if pressed:
        raise KeyboardInterrupt(_TOO_LATE)


@contextmanager
def postponed() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt at the end of the block."""
    pressed = 0

    def press(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1

    with _handled_by(press):
        yield
    if pressed:
        raise KeyboardInterrupt(_TOO_LATE)


@contextmanager
def ignored() -> Iterator[None]:
    """Ctrl-C is for another program on this terminal, which the block waits for."""
    with _handled_by(lambda _signal, _frame: None):
        yield


@contextmanager
def _handled_by(press: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()  # other threads receive no signals
    if not is_main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started by nohup, or with &
        yield
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _in_storage(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("vfs."):
            return True
        frame = frame.f_back
    return False
