"""Output for people: pure functions from values to text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["bytes_text", "duration_text", "table"]

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def bytes_text(count: int) -> str:
    """``4096`` as ``4.0 KiB``."""
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{count} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """``0.00021`` as ``0.21 ms``."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> str:
    """A text table, values as SQLite gave them: NULL shows as an empty cell, a blob as its size."""
    from tabulate import tabulate

    rows = list(rows)
    numeric = [all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(headers))]
    return tabulate(
        [[_cell(value) for value in row] for row in rows],
        headers=list(headers),
        disable_numparse=True,
        colalign=["right" if right else "left" for right in numeric] if rows else None,
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)
