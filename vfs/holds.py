"""Holds: states that must be undone in any case, such as a lock, a descriptor, or a mark in shared memory.

Python runs signal handlers between its own instructions, also before the first instruction of a function.  Therefore an
exception from a handler (KeyboardInterrupt) can arise after a lock was taken and before a ``try`` is entered, and in an
``__exit__`` or a ``release()`` written in Python before its first instruction: the lock would be held for ever.

A :class:`Hold` runs no Python code when it is released.  ``io.IOBase`` is the class of the standard library whose
``__exit__`` calls ``close()`` in C, as its finalizer does, and ``close`` here is a C function too.

Finalizers also run between two instructions: the garbage collector may call them in a thread that holds a lock, or is
in a catalog transaction.  A finalizer that finds :func:`is_busy` true leaves its work for later.

Rules for using a hold
    1  The hold is created before the action that it undoes, in the ``try`` that closes it if the action fails: one that
       a traceback keeps must not undo a later action.  Undoing an action that was not done must be harmless.
    2  ``with session.volume_locked(...):`` needs nothing else.  A hold that is kept in a variable is closed in a
       ``finally``, by its first statement.
    3  Where signal handlers are deferred (:func:`vfs.interrupts.are_deferred`), a context manager written in Python
       does the same in less time.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import call, methodcaller
from threading import get_ident

__all__ = ["Hold", "Holds", "begin_busy", "busy", "busy_marks", "end_busy", "is_busy"]

_busy: dict[int, set[object]] = {}
"""By thread: a mark for each of its holds during which finalizers must not act."""


class Hold(io.IOBase):
    """Undoes an action once: at the end of a ``with``, by :meth:`close`, or with the last reference to it."""

    def __init__(self, *undo: Callable[[], object]) -> None:
        """``undo``: C functions, called in this order (Python ones could be interrupted)."""
        self.close = partial(deque, map(call, undo), 0)  # type: ignore[assignment]  # the map runs only once


class Holds(io.IOBase):
    """A collection of holds that are added one after the other and closed together."""

    def __init__(self) -> None:
        held: list[Hold] = []
        self._held = held
        self.add = held.append
        self.close = partial(deque, map(methodcaller("close"), held), 0)  # type: ignore[assignment]

    def pass_to(self, other: Holds) -> None:
        """Add these holds to another collection, and close them no more."""
        other._held.extend(self._held)
        self._held.clear()


def busy_marks() -> set[object]:
    """The marks of this thread: it is busy while there are any."""
    thread = get_ident()
    return _busy.get(thread) or _busy.setdefault(thread, set())


def busy() -> Hold:
    """Mark this thread as busy while the body runs."""
    marks, mark = busy_marks(), object()  # one mark for each hold: a hold that is kept undoes no other one
    hold = Hold(partial(marks.discard, mark))
    try:
        marks.add(mark)
        return hold
    except BaseException:
        hold.close()
        raise


def begin_busy(mark: object) -> None:
    """Mark this thread as busy until :func:`end_busy` with the same mark; the caller defers signal handlers."""
    busy_marks().add(mark)


def end_busy(mark: object) -> None:
    """Undo :func:`begin_busy`, in the same thread; harmless if it was not called."""
    entries = _busy.get(get_ident())
    if entries is not None:
        entries.discard(mark)


def is_busy() -> bool:
    """Whether this thread is in a state in which finalizers must not act."""
    return bool(_busy.get(get_ident()))
