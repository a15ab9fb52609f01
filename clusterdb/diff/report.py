"""A difference between two clusters, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import apsw

from clusterdb.views.json import Json, to_json

if TYPE_CHECKING:
    from clusterdb.diff.compare import RowChange, SchemaChange, TableChanges

__all__ = ["difference_json", "difference_text"]

_MARKS = {"insert": "+", "update": "~", "delete": "-"}
_WIDTH_MAX = 60


def difference_text(
    before: str, after: str, schema: Sequence[SchemaChange], tables: Sequence[TableChanges], *, rows: bool
) -> str:
    """Lines with a mark: ``-`` only in ``before``, ``+`` only in ``after``, ``~`` changed; ``rows`` lists the rows."""
    if not schema and not tables:
        return f"{before} and {after} are the same"
    return "\n".join([f"{before} -> {after}", *_schema_lines(schema), *_table_lines(tables, rows=rows)])


def _schema_lines(schema: Sequence[SchemaChange]) -> Iterator[str]:
    for change in schema:
        if change.kind == "pragma":
            yield f"~ {change.name} {change.before} -> {change.after}"
            continue
        mark = "+" if change.before is None else "-" if change.after is None else "~"
        yield f"{mark} {change.kind} {change.name}"
        if mark == "~":
            yield from _block("-", change.before or "")
        if mark != "-":
            yield from _block("+", change.after or "")


def _block(mark: str, sql: str) -> Iterator[str]:
    return (f"    {mark} {line}" for line in sql.splitlines())


def _table_lines(tables: Sequence[TableChanges], *, rows: bool) -> Iterator[str]:
    for table in tables:
        counts = [(table.count(kind), f"{kind}d".replace("td", "ted")) for kind in ("insert", "update", "delete")]
        yield f"{table.name}: {', '.join(f'{count} {word}' for count, word in counts if count)}"
        for change in table.changes if rows else ():
            yield f"  {_MARKS[change.kind]} {_key_text(table, change)}{_values_text(table, change)}"


def _key_names(table: TableChanges, change: RowChange) -> Sequence[str]:
    return table.key_columns if len(change.key) == len(table.key_columns) else ("rowid",)


def _key_text(table: TableChanges, change: RowChange) -> str:
    names = _key_names(table, change)
    values = change.key[-len(names) :]
    return ", ".join(f"{name} {_value_text(value)}" for name, value in zip(names, values, strict=True))


def _values_text(table: TableChanges, change: RowChange) -> str:
    if change.old is not None and change.new is not None:
        values = [
            f"{name} {_value_text(old)} -> {_value_text(new)}"
            for name, old, new in zip(table.columns, change.old, change.new, strict=True)
            if old != new or type(old) is not type(new)
        ]
    else:
        row = change.new or change.old or ()
        values = [
            f"{name} {_value_text(value)}"
            for name, value in zip(table.columns, row, strict=False)
            if name not in table.key_columns
        ]
    return f": {', '.join(values)}" if values else ""


def _value_text(value: apsw.SQLiteValue) -> str:
    """A value as an SQL literal, shortened."""
    if isinstance(value, bytes) and len(value) > _WIDTH_MAX // 4:
        return f"<{len(value)} bytes>"
    text = apsw.format_sql_value(value).replace("\n", "\\n")
    return text if len(text) <= _WIDTH_MAX else f"{text[: _WIDTH_MAX - 4]}...'"


def difference_json(
    before: str, after: str, schema: Sequence[SchemaChange], tables: Sequence[TableChanges]
) -> dict[str, Json]:
    """The schema changes, and the changed rows of each table with their numbers.

    Rows are objects by column; an infinite number is a text.
    """
    return {
        "before": before,
        "after": after,
        "schema": [to_json(change) for change in schema],
        "tables": [
            {
                "name": table.name,
                "inserted": table.count("insert"),
                "updated": table.count("update"),
                "deleted": table.count("delete"),
                "changes": [_change_json(table, change) for change in table.changes],
            }
            for table in tables
        ],
    }


def _change_json(table: TableChanges, change: RowChange) -> Json:
    names = _key_names(table, change)
    return {
        "kind": change.kind,
        "key": _object(names, change.key[-len(names) :]),
        "old": _object(table.columns, change.old),
        "new": _object(table.columns, change.new),
    }


def _object(names: Sequence[str], values: Sequence[apsw.SQLiteValue] | None) -> Json:
    return None if values is None else {name: _value_json(value) for name, value in zip(names, values, strict=False)}


def _value_json(value: apsw.SQLiteValue) -> Json:
    is_infinite = isinstance(value, float) and value in (float("inf"), float("-inf"))
    return str(value) if is_infinite else to_json(value)
