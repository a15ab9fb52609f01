"""The log and the result of a bisection as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from clusterdb.history.bisect import Answer, Bisection
from clusterdb.history.log import LogEntry
from clusterdb.rules.points import time_text
from clusterdb.views.text import table

__all__ = ["bisection_text", "log_text"]

_ROWS_MAX = 5
"""The rows of an answer that are shown."""


def log_text(entries: Sequence[LogEntry], *, graph: bool = False) -> str:
    """The entries as a table, one line each; ``graph`` draws those that a backtrack has left beside the others."""
    headers = ["version", "committed", "pages", "changed", "notes"]
    rows: list[list[object]] = [
        [entry.version, time_text(entry.time), entry.page_count, _changed(entry), _notes(entry, graph=graph)]
        for entry in entries
    ]
    if graph:
        headers = ["", *headers]
        rows = [[_mark(entries, index), *row] for index, row in enumerate(rows)]
    return table(rows, headers)


def _changed(entry: LogEntry) -> str:
    if entry.definitions is None:
        return "?"
    tables = ["?"] if entry.tables is None else list(entry.tables)
    return ", ".join([*tables, *(f"definition of {name}" for name in entry.definitions)])


def _notes(entry: LogEntry, *, graph: bool) -> str:
    left = ["left by a backtrack"] if entry.is_left and not graph else []
    return ", ".join([*entry.notes, *left])


def _mark(entries: Sequence[LogEntry], index: int) -> str:
    """``*`` for a version that the present state descends from, ``| x`` for one that was left, beside it."""
    entry = entries[index]
    if entry.is_left:
        return "| x"
    was_left = index > 0 and entries[index - 1].is_left
    return "*-'" if was_left else "*"


def bisection_text(result: Bisection) -> str:
    """The two versions between which the answer changed, with their answers."""
    tested = f"{result.tested_count} of the versions {result.oldest.version} to {result.newest.version} asked"
    if result.before is None or result.after is None:
        return f"{_answer(result.newest)}\nthe oldest and the newest version give the same answer ({tested})"
    change = f"the answer changed with version {result.after.version} ({tested})"
    return f"{_answer(result.before)}\n{_answer(result.after)}\n{change}"


def _answer(answer: Answer) -> str:
    begin = f"version {answer.version}, {time_text(answer.time)}: "
    if answer.error is not None:
        return f"{begin}{answer.error}"
    shown = ["|".join("NULL" if value is None else str(value) for value in row) for row in answer.rows[:_ROWS_MAX]]
    if len(answer.rows) > _ROWS_MAX:
        shown.append(f"... ({len(answer.rows)} rows)")
    return begin + ("\n    ".join(["", *shown]) if len(shown) > 1 else "".join(shown) or "no rows")
