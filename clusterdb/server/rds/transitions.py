"""Transitional statuses, such as ``creating``: shown in the answer of a verb, and for the server's delay afterwards.

Verbs take effect at once, whatever the delay; a resource is only shown, and treated, as not yet available.  This state
is of the running server: after a restart everything is available.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from clusterdb.server.call import Call

__all__ = ["Transitions", "transitions_of"]


class Transitions:
    """The statuses that are not over, by kind and key; and the last pictures of what was deleted.

    ``clock`` counts seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._statuses: dict[tuple[str, object], tuple[float, str]] = {}
        self._ghosts: dict[tuple[str, object], tuple[float, dict[str, Any]]] = {}

    def begin(self, kind: str, key: object, status: str, delay_s: float) -> None:
        """Show a status for some seconds."""
        if delay_s > 0:
            with self._guard:
                self._statuses[kind, key] = (self._clock() + delay_s, status)

    def status(self, kind: str, key: object) -> str | None:
        """The status that is not over; None if there is none."""
        if not self._statuses:
            return None
        with self._guard:
            until, status = self._statuses.get((kind, key), (0.0, ""))
            if until > self._clock():
                return status
            self._statuses.pop((kind, key), None)
            return None

    def bury(self, kind: str, key: object, picture: dict[str, Any], delay_s: float) -> None:
        """Show the picture of what was deleted for some seconds."""
        if delay_s > 0:
            with self._guard:
                self._ghosts[kind, key] = (self._clock() + delay_s, picture)

    def ghosts(self, kind: str, store: object) -> list[dict[str, Any]]:
        """The pictures of a kind, of a store (the first part of their keys), that are still shown."""
        if not self._ghosts:
            return []
        with self._guard:
            now = self._clock()
            self._ghosts = {key: ghost for key, ghost in self._ghosts.items() if ghost[0] > now}
            return [
                picture
                for (of, key), (_, picture) in self._ghosts.items()
                if of == kind and isinstance(key, tuple) and key[0] == store
            ]

    def close(self) -> None:
        """Forget everything."""
        with self._guard:
            self._statuses.clear()
            self._ghosts.clear()


def transitions_of(call: Call) -> Transitions:
    """The statuses of the server of a call."""
    return call.serving.kept("rds-transitions", Transitions)
