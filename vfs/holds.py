"""Something that must be undone, whatever happens: a lock, a descriptor, a mark in shared memory.

Python runs signal handlers between its own instructions, also before the first one of a function.  So an exception out
of a handler (KeyboardInterrupt) can arise after a lock was taken and before a ``try`` is entered, and in an
``__exit__`` or a ``release()`` written in Python before it has done anything: the lock would be held for ever.

A :class:`Hold` has no Python code on the way out.  ``io.IOBase`` is the class of the standard library whose
``__exit__`` calls ``close()`` in C, as its finalizer does, and ``close`` here is a C function too.

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

__all__ = ["Hold", "Holds"]


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
