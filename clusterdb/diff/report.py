"""A difference for people and for programs: pure functions to text and to JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    from clusterdb.diff.compare import RowChange, SchemaChange, TableChanges

__all__ = ["as_json", "as_text"]

_MARKS = {"insert": "+", "update": "~", "delete": "-"}
_WIDTH = 60


def as_text(
    before: str, after: str, schema: Sequence[SchemaChange], tables: Sequence[TableChanges], *, rows: bool
) -> str:
    """``-`` is what only ``before`` has, ``+`` what only ``after`` has, ``~`` what they have otherwise."""
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
            yield f"  {_MARKS[change.kind]} {_key(table, change)}{_values(table, change)}"


def _key(table: TableChanges, change: RowChange) -> str:
    names = table.key_columns if len(change.key) == len(table.key_columns) else ("rowid",)
    return ", ".join(f"{name} {_value(value)}" for name, value in zip(names, change.key[-len(names) :], strict=True))


def _values(table: TableChanges, change: RowChange) -> str:
    if change.old is not None and change.new is not None:
        told = [
            f"{name} {_value(old)} -> {_value(new)}"
            for name, old, new in zip(table.columns, change.old, change.new, strict=True)
            if old != new or type(old) is not type(new)
        ]
    else:
        row = change.new or change.old or ()
        told = [
            f"{name} {_value(value)}"
            for name, value in zip(table.columns, row, strict=False)
            if name not in table.key_columns
        ]
    return f": {', '.join(told)}" if told else ""


def _value(value: Any) -> str:
    """As SQL has it, but short."""
    if isinstance(value, bytes) and len(value) > _WIDTH // 4:
        return f"<{len(value)} bytes>"
    text = apsw.format_sql_value(value).replace("\n", "\\n")
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 4]}...'"


def as_json(before: str, after: str, schema: Sequence[SchemaChange], tables: Sequence[TableChanges]) -> dict[str, Any]:
    """Numbers, texts, None, and blobs as ``{"blob": hexadecimal}``."""
    return {
        "before": before,
        "after": after,
        "schema": [
            {"kind": each.kind, "name": each.name, "before": each.before, "after": each.after} for each in schema
        ],
        "tables": [
            {
                "name": table.name,
                "inserted": table.count("insert"),
                "updated": table.count("update"),
                "deleted": table.count("delete"),
                "changes": [_change(table, change) for change in table.changes],
            }
            for table in tables
        ],
    }


def _change(table: TableChanges, change: RowChange) -> dict[str, Any]:
    names = table.key_columns if len(change.key) == len(table.key_columns) else ("rowid",)
    return {
        "kind": change.kind,
        "key": _object(names, change.key[-len(names) :]),
        "old": _object(table.columns, change.old),
        "new": _object(table.columns, change.new),
    }


def _object(names: Sequence[str], values: Sequence[Any] | None) -> dict[str, Any] | None:
    return None if values is None else {name: _plain(value) for name, value in zip(names, values, strict=False)}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return {"blob": value.hex()} if isinstance(value, bytes) else value
