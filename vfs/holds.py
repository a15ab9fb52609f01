"""Something that must be undone, whatever happens: a lock, a descriptor, a mark in shared memory.

Python runs signal handlers between its own instructions, also before the first one of a function.  So an exception out
of a handler (KeyboardInterrupt) can arise after a lock was taken and before a ``try`` is entered, and in an
``__exit__`` or a ``release()`` written in Python before it has done anything: the lock would be held for ever.

A :class:`Hold` has no Python code on the way out.  ``io.IOBase`` is the class of the standard library whose
``__exit__`` calls ``close()`` in C, as its finalizer does, and ``close`` here is a C function too.

Finalizers are the other thing that comes between two instructions: the collector may run them in a thread that holds a
lock, or is in a catalog transaction.  What they would do then is left for later: they ask :func:`is_busy`.

Rules for who uses one
    1  The hold is made before what it undoes is done.  To undo what was not done must be harmless.
    2  ``with session.volume_locked(...):`` needs nothing else.  A hold that is kept in a variable is closed in a
       ``finally``, as the first thing that stands there.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import call, methodcaller
from threading import get_ident

__all__ = ["Hold", "Holds", "busy", "busy_marks", "is_busy"]

_busy: dict[int, set[object]] = {}
"""By thread: something for everything it holds that a finalizer must not meet."""


class Hold(io.IOBase):
    """Undoes something once: at the end of a ``with``, by :meth:`close`, or with the last reference to it."""

    def __init__(self, *undo: Callable[[], object]) -> None:
        """``undo``: C functions, called in this order (Python ones could be interrupted)."""
        self.close = partial(deque, map(call, undo), 0)  # type: ignore[assignment]  # the map runs only once


class Holds(io.IOBase):
    """Holds that are taken one after the other and closed together."""

    def __init__(self) -> None:
        held: list[Hold] = []
        self.add = held.append
        self.close = partial(deque, map(methodcaller("close"), held), 0)  # type: ignore[assignment]


def busy_marks() -> tuple[Callable[[], object], Callable[[], object]]:
    """Two C functions: this thread is busy from a call of the one to a call of the other."""
    entries, mark = _busy.setdefault(get_ident(), set()), object()
    return partial(entries.add, mark), partial(entries.discard, mark)


def busy() -> Hold:
    """In the body this thread is busy."""
    begin, end = busy_marks()
    hold = Hold(end)
    try:
        begin()
        return hold
    except BaseException:
        hold.close()
        raise


def is_busy() -> bool:
    """Whether this thread holds something that a finalizer must not meet."""
    return bool(_busy.get(get_ident()))
