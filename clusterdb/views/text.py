"""Values as text for people: sizes, durations, times, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterdb.views.grid import Cell

__all__ = ["bytes_text", "cells_of", "duration_text", "no_terminal_text", "table", "time_text"]

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


def table(rows: Iterable[Sequence[object]], headers: Sequence[str], *, width: int | None = None) -> str:
    """A text table of values: NULL is an empty cell, a blob its size; columns of numbers are aligned right.

    With ``width``, long texts are cut so that lines fit it (:mod:`clusterdb.views.grid`).
    """
    from clusterdb.views.grid import PLAIN, grid  # most commands print no table

    return "\n".join(grid(headers, cells_of(rows), PLAIN, width=width).lines)


def cells_of(rows: Iterable[Sequence[object]]) -> list[list[Cell]]:
    """Values as cells: NULL is an empty text, a blob its size."""
    from clusterdb.views.grid import Cell

    def cell(value: object) -> Cell:
        if value is None:
            return Cell("", "null")
        if isinstance(value, bytes):
            return Cell(f"<{len(value)} bytes>", "blob")
        return Cell(str(value), "number" if isinstance(value, int | float) else "text")

    return [[cell(value) for value in row] for row in rows]


def no_terminal_text(question: str) -> str:
    """The message for a question that cannot be asked."""
    return f"cannot ask, standard input is not a terminal ({question}): add --yes"
