"""A full fence between accesses to the shared tables (DESIGN.md, "Memory order")."""

from __future__ import annotations

import threading

__all__ = ["fence"]

try:
    from vfs._native import fence
except ImportError:

    def fence() -> None:
        """Order earlier stores before later loads: taking a lock does, on x86-64."""
        with threading.Lock():
            pass
