"""Deferred signals: an operation that changes a store in several steps completes before signal handlers are called.

The storage layer takes its locks so that an exception from a signal handler leaves no lock behind (holds.py), and every
step can be undone or finished by another process.  But an operation that is interrupted between two steps costs others
a sweep, and leaves its caller without a result.  In the body of ``uninterrupted`` Python's signal handlers are
deferred, and called when it ends, in the order in which the signals arrived.  Long loops in such a body call
:func:`deliver` where they can be interrupted.

Only the main thread runs signal handlers (https://docs.python.org/3/library/signal.html), so this does not affect other
threads.  Signals without a Python handler are not affected either.
"""

from __future__ import annotations

import os
import signal
import threading
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_signal
from collections import deque
from collections.abc import Callable
from functools import wraps
from itertools import starmap
from threading import get_ident
from types import FrameType
from typing import Any, ParamSpec, TypeVar

__all__ = ["are_deferred", "deliver", "uninterrupted"]

_NAMES = ["INT", "TERM", "HUP", "QUIT", "ALRM", "VTALRM", "PROF", "USR1", "USR2", "CHLD", "WINCH", "CONT"]
_SIGNALS = tuple(getattr(signal, f"SIG{name}") for name in _NAMES)
Handler = Callable[[int, FrameType | None], Any]
_P = ParamSpec("_P")
_R = TypeVar("_R")

_depth = 0  # of the bodies that the main thread is in; no other thread uses these variables
_handlers: list[tuple[int, Handler]] = []
_seen: list[Any] = []  # the handlers of all signals when a body was entered last, and those that are called
_called: list[tuple[int, Handler]] = []
_pending: deque[int] = deque()


def _put_off(number: int, _frame: FrameType | None) -> None:
    _pending.append(number)


_main_thread = threading.main_thread().ident


def _look_for_main_thread() -> None:
    global _main_thread
    _main_thread = threading.main_thread().ident


os.register_at_fork(after_in_child=_look_for_main_thread)


def deliver() -> None:
    """Call the handlers of deferred signals, which may raise; for use in a body where it can be interrupted."""
    if _pending and get_ident() == _main_thread:
        _call_handlers(dict(_handlers))


def _call_handlers(handlers: dict[int, Handler]) -> None:
    while _pending:
        number = _pending.popleft()
        handler = handlers.get(number)
        if handler is not None:
            handler(number, None)


def are_deferred() -> bool:
    """Whether no signal handler is called in this thread now."""
    return _depth > 0 or get_ident() != _main_thread


class _Uninterrupted:
    """Defers signal handlers until the body (or the decorated function) has ended."""

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def whole(*arguments: _P.args, **named: _P.kwargs) -> _R:
            with self:
                return function(*arguments, **named)

        return whole

    def __enter__(self) -> None:
        global _depth
        if get_ident() != _main_thread:
            return
        if not _depth:
            current = list(map(getsignal, _SIGNALS))
            if current != _seen:
                _seen[:] = current
                _called[:] = [pair for pair in zip(_SIGNALS, current, strict=True) if callable(pair[1])]
            _handlers[:] = _called
            try:
                for number, _ in _handlers:
                    set_signal(number, _put_off)
            except BaseException:
                _restore(_handlers)
                raise
        _depth += 1

    def __exit__(self, *_error: object) -> None:
        global _depth
        if get_ident() != _main_thread:
            return
        _depth -= 1
        if not _depth:
            handlers = [pair for pair in _handlers if getsignal(pair[0]) is _put_off]  # the body may set its own
            _restore(handlers)
            if _pending:
                _call_handlers(dict(_handlers))


def _restore(handlers: list[tuple[int, Handler]]) -> None:
    """Set all handlers, although one of them may raise as soon as it is set."""
    try:
        deque(starmap(set_signal, handlers), 0)
    except BaseException:
        deque(starmap(set_signal, handlers), 0)
        raise


uninterrupted = _Uninterrupted()
"""A context manager and a decorator; bodies may be nested, in any thread."""
