"""Values as text for people: sizes, durations, times, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

__all__ = ["bytes_text", "duration_text", "no_terminal_text", "table", "time_text"]

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def bytes_text(size_bytes: int) -> str:
    """``4096`` as ``4.0 KiB``."""
    size = float(size_bytes)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size_bytes} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """``0.00021`` as ``0.21 ms``."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.2f} ms"


def time_text(time: datetime | None) -> str:
    """A time as :func:`clusterdb.rules.points.time_text` has it; an empty text for None."""
    from clusterdb.rules import points

    return points.time_text(time) if time is not None else ""


def table(rows: Iterable[Sequence[object]], headers: Sequence[str]) -> str:
    """A text table of values: NULL is an empty cell, a blob its size; columns of numbers are aligned right."""
    from tabulate import tabulate

    rows = list(rows)
    is_numeric = [all(isinstance(row[index], int | float | None) for row in rows) for index in range(len(headers))]
    return tabulate(
        [[_cell(value) for value in row] for row in rows],
        headers=list(headers),
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in is_numeric] if rows else None,
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else str(value)


def no_terminal_text(question: str) -> str:
    """The message for a question that cannot be asked."""
    return f"cannot ask, standard input is not a terminal ({question}): add --yes"
