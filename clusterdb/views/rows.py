"""The rows that a query returns, as JSON objects and as CSV; ``views/text.py`` has them as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterdb.views.json import Json, to_json

__all__ = ["rows_csv", "rows_json"]


def rows_json(rows: Iterable[Sequence[object]], headers: Sequence[str]) -> list[Json]:
    """An object for each row; of columns of the same name the last one counts."""
    return [to_json(dict(zip(headers, row, strict=True))) for row in rows]


def rows_csv(rows: Iterable[Sequence[object]], headers: Sequence[str]) -> str:
    """A line of names, and a line for each row: NULL is empty, a blob hexadecimal."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows([value.hex() if isinstance(value, bytes) else value for value in row] for row in rows)
    return text.getvalue()
