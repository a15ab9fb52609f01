"""What a command has done, as one line: a pure function for each kind of outcome.

The command line writes these lines to standard error, its shell to the terminal.
"""

from __future__ import annotations

from clusterdb.views.text import duration_text

__all__ = ["statement_done"]


def statement_done(rows: int | None, changed: int | None, seconds: float) -> str:
    """``(3 rows, 0.42 ms)``; ``rows`` is None for statements without result columns, ``changed`` unless they write."""
    counts = [] if rows is None else [_count(rows, "row")]
    counts += [] if changed is None else [f"{_count(changed, 'row')} changed"]
    return f"({', '.join([*counts, duration_text(seconds)])})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
